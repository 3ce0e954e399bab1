import type { OptionSpec } from './options.ts';

/** Why the reader cannot go on, in popt's words. */
export type OptionProblem =
  | 'missing argument'
  | 'unknown option'
  | 'option does not take an argument';

/** What next() finds. */
export type ReadOption =
  | { readonly kind: 'option'; readonly spec: OptionSpec; readonly value: string | undefined }
  | { readonly kind: 'problem'; readonly problem: OptionProblem }
  | { readonly kind: 'end' };

/**
 * Reads options from arguments as popt(3) does. Long names are not abbreviated; `--name=value`,
 * `--name value`, `-nvalue`, `-n=value` and `-n value` are one; short options without an argument
 * may stand together. What is no option is left over, in order, and so is all behind `--`.
 */
export class OptionReader {
  /** What counts as an option; may be replaced between two reads. */
  specs: readonly OptionSpec[];
  readonly #args: readonly string[];
  readonly #leftovers: string[] = [];
  #next = 0;
  /** The rest of short options that stand together. */
  #shorts = '';
  #isOptionsEnded = false;

  constructor(args: readonly string[], specs: readonly OptionSpec[]) {
    this.#args = args;
    this.specs = specs;
  }

  /** The argument that was read last: what messages call the option. */
  get current(): string {
    return this.#args[this.#next - 1] ?? '';
  }

  /** The next option, a problem, or the end of the arguments. */
  next(): ReadOption {
    while (this.#shorts === '') {
      if (this.#next === this.#args.length) return { kind: 'end' };
      const text = this.#args[this.#next]!;
      this.#next += 1;
      if (this.#isOptionsEnded || !text.startsWith('-') || text === '-') {
        this.#leftovers.push(text);
      } else if (text === '--') {
        this.#isOptionsEnded = true;
      } else if (text.startsWith('--')) {
        return this.#readLong(text.slice(2));
      } else {
        this.#shorts = text.slice(1);
      }
    }
    return this.#readShort();
  }

  /** The first argument that is no option and was not taken yet. Call it at the end. */
  takeLeftover(): string | undefined {
    return this.#leftovers.shift();
  }

  #readLong(text: string): ReadOption {
    const equals = text.indexOf('=');
    const name = equals < 0 ? text : text.slice(0, equals);
    const spec = this.specs.find((candidate) => candidate.long === name && name !== '');
    if (spec === undefined) return { kind: 'problem', problem: 'unknown option' };
    return this.#withValue(spec, equals < 0 ? undefined : text.slice(equals + 1));
  }

  #readShort(): ReadOption {
    const letter = this.#shorts[0]!;
    const rest = this.#shorts.slice(1);
    const spec = this.specs.find((candidate) => candidate.short === letter);
    if (spec === undefined) return { kind: 'problem', problem: 'unknown option' };
    if (spec.argument === 'none' && !rest.startsWith('=')) {
      this.#shorts = rest;
      return { kind: 'option', spec, value: undefined };
    }
    this.#shorts = '';
    if (rest === '') return this.#withValue(spec, undefined);
    return this.#withValue(spec, rest.startsWith('=') ? rest.slice(1) : rest);
  }

  #withValue(spec: OptionSpec, attached: string | undefined): ReadOption {
    if (attached !== undefined) {
      return spec.argument === 'none'
        ? { kind: 'problem', problem: 'option does not take an argument' }
        : { kind: 'option', spec, value: attached };
    }
    if (spec.argument === 'none') return { kind: 'option', spec, value: undefined };
    const following = this.#args[this.#next];
    if (following === undefined && spec.argument === 'required') {
      return { kind: 'problem', problem: 'missing argument' };
    }
    if (spec.argument === 'optional' && (following === undefined || following.startsWith('-'))) {
      return { kind: 'option', spec, value: undefined };
    }
    this.#next += 1;
    return { kind: 'option', spec, value: following };
  }
}
