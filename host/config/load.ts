/**
 * The first half of a configuration's way: file -> read -> parse -> validate. Whoever needs a
 * configuration (`check`, `run`, `plan`, `reload`, `replay`) gets it here, so that all of them
 * agree on what is one. A keepalived.conf or a file of ipvsadm's rules is one, too: it is imported
 * each time it is loaded.
 */

import { detectKind } from '../import/detect.ts';
import { type ConfigResult, parseConfig } from './parse.ts';
import { readConfigFile } from './read.ts';

/** Parses and validates the text of a file of ours. */
type ParseConfig = (text: string, file: string) => ConfigResult | Promise<ConfigResult>;

/**
 * Loads `file`, or says everything that is wrong with it. Changes nothing anywhere.
 * @param parse another way to parse our own files, which must come to the same
 */
export async function loadConfig(
  file: string,
  parse: ParseConfig = parseConfig,
): Promise<ConfigResult> {
  const read = await readConfigFile(file);
  if (!read.ok) return { ok: false, errors: [read.problem], warnings: [] };
  if (detectKind(read.text) !== undefined) {
    const { importedConfig } = await import('../import/import-config.ts');
    return importedConfig({ file, text: read.text });
  }
  // Parsing also validates: the rules need the positions that only the text has.
  return await parse(read.text, file);
}
