/** Collects what is wrong with one configuration file, each with its place in the file. */

import type { ConfigProblem } from './types.ts';
import type { Path, TextSource } from './yaml-source.ts';

/** What a rule says about the value at `path`. */
export interface Finding {
  readonly path: Path;
  readonly code: string;
  readonly message: string;
  /** Point at the key instead of its value. */
  readonly atKey?: boolean;
}

/** Errors and warnings of one file. */
export class Problems {
  readonly #source: TextSource;
  readonly #errors: ConfigProblem[] = [];
  readonly #warnings: ConfigProblem[] = [];
  readonly #seen = new Set<string>();

  constructor(source: TextSource) {
    this.#source = source;
  }

  /** Something that makes the file unusable. */
  error(finding: Finding): void {
    this.#add(this.#errors, finding);
  }

  /** Something that is allowed, but probably not meant. */
  warning(finding: Finding): void {
    this.#add(this.#warnings, finding);
  }

  /** The errors in the order of the file. */
  errors(): ConfigProblem[] {
    return this.#errors.toSorted(byPosition);
  }

  /** The warnings in the order of the file. */
  warnings(): ConfigProblem[] {
    return this.#warnings.toSorted(byPosition);
  }

  /** Whether the file has something at `path`, rather than a default. */
  has(path: Path): boolean {
    return this.#source.existingPart(path).length === path.length;
  }

  #add(list: ConfigProblem[], { path, code, message, atKey }: Finding): void {
    const source = this.#source;
    const position = atKey ? source.positionOfKey(path) : source.positionOf(path);
    // A rule may speak of a key that stands elsewhere as a default, or nowhere.
    const shown = formatPath(code === 'missing-key' ? path : source.existingPart(path));
    // What one default does to a thousand servers is one mistake.
    const identity = `${shown} ${code} ${message}`;
    if (this.#seen.has(identity)) return;
    this.#seen.add(identity);
    list.push({ file: source.file, ...position, path: shown, code, message });
  }
}

function byPosition(a: ConfigProblem, b: ConfigProblem): number {
  return a.line - b.line || a.column - b.column;
}

/** `services[0].servers[1].weight`. */
export function formatPath(path: Path): string {
  let result = '';
  for (const step of path) {
    if (typeof step === 'number') result += `[${step}]`;
    else result += result === '' ? String(step) : `.${String(step)}`;
  }
  return result;
}

/** `FILE:LINE:COLUMN: path: message`, the form every command prints. */
export function formatProblem(problem: ConfigProblem): string {
  const { file, line, column, path, message } = problem;
  return `${file}:${line}:${column}: ${path === '' ? '' : `${path}: `}${message}`;
}

/** The same for a warning, which says that it is one. */
export function formatWarning(problem: ConfigProblem): string {
  return formatProblem({ ...problem, path: '', message: warningSentence(problem) });
}

function warningSentence({ path, message }: ConfigProblem): string {
  return `warning: ${path === '' ? '' : `${path}: `}${message}`;
}
