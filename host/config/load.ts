/**
 * The first half of a configuration's way: file -> read -> parse -> validate. Whoever needs a
 * configuration (`check`, `run`, `plan`, `reload`, `replay`) gets it here, so that all of them
 * agree on what is one. A keepalived.conf or a file of ipvsadm's rules is one, too: it is imported
 * each time it is loaded.
 */

import { detectKind } from '../import/detect.ts';
import { type ConfigResult, parseConfig } from './parse.ts';
import { readConfigFile } from './read.ts';

/** Loads `file`, or says everything that is wrong with it. Changes nothing anywhere. */
export async function loadConfig(file: string): Promise<ConfigResult> {
  const read = await readConfigFile(file);
  if (!read.ok) return { ok: false, errors: [read.problem], warnings: [] };
  if (detectKind(read.text) !== undefined) {
    const { importedConfig } = await import('../import/import-config.ts');
    return importedConfig({ file, text: read.text });
  }
  // parseConfig() also validates: the rules need the positions that only the text has.
  return parseConfig(read.text, file);
}
