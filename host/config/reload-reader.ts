/**
 * Loads one version of a file after the other; what an edit has not touched is not parsed
 * again.
 */

import { detectKind } from '../import/detect.ts';
import { loadConfig } from './load.ts';
import type { ConfigResult } from './parse.ts';
import { readConfigFile } from './read.ts';
import { RememberingParser } from './reload-parser.ts';

/** As loadConfig(), with a memory. */
export class ReloadReader {
  readonly #parser = new RememberingParser();

  /** Loads a file, or says everything that is wrong with it. */
  async load(file: string): Promise<ConfigResult> {
    const read = await readConfigFile(file);
    if (!read.ok) return { ok: false, errors: [read.problem], warnings: [] };
    // Other programs' files are imported as a whole.
    if (detectKind(read.text) !== undefined) return await loadConfig(file);
    return this.#parser.parse(read.text, file);
  }
}
