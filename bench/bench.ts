// What every bench is given and gives.

import type { Missing, Result } from './result.ts';

/** A run's settings. */
export interface BenchContext {
  /** Small sizes and few rounds: to see that all works, in less than a minute. */
  readonly quick: boolean;
  readonly module: WebAssembly.Module;
  /** Another build of the module, measured in the same rounds. */
  readonly otherModule: WebAssembly.Module | undefined;
  /** Tells whoever waits what is being done. */
  readonly say: (text: string) => void;
  /** Tells that somebody or something could not be measured here: it has a line in the table. */
  readonly miss: (missing: Missing) => void;
}

/** One group of numbers, asked for by its name. */
export interface Bench {
  readonly name: string;
  readonly about: string;
  run(context: BenchContext): Promise<readonly Result[]>;
}
