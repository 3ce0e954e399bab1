/**
 * Loads one version of a file after the other; what an edit has not touched is not parsed
 * again. Other programs' files are imported as a whole.
 */

import { loadConfig } from './load.ts';
import type { ConfigResult } from './parse.ts';
import { RememberingParser } from './reload-parser.ts';

/** As loadConfig(), with a memory. */
export class ReloadReader {
  readonly #parser = new RememberingParser();

  /** Loads a file, or says everything that is wrong with it. */
  load(file: string): Promise<ConfigResult> {
    return loadConfig(file, (text, name) => this.#parser.parse(text, name));
  }
}
