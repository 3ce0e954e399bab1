/**
 * What an import could not express, and what kept it from happening at all, line by line of the
 * files it reads.
 */

/** A place in a file that is imported; line and column start at 1. */
export interface Origin {
  readonly file: string;
  readonly line: number;
  readonly column: number;
}

/** One sentence about one place. */
export interface ImportNote extends Origin {
  readonly message: string;
}

/** A file that goes on and on, as a list of a hundred thousand addresses may, is refused. */
export class ImportLimitError extends Error {
  readonly origin: Origin;

  constructor(origin: Origin, message: string) {
    super(message);
    this.name = 'ImportLimitError';
    this.origin = origin;
  }
}

/** Collects notes. What is said twice of one line, as of a group's every address, counts once. */
export class ImportReport {
  readonly #lost = new Map<string, ImportNote>();
  readonly #errors = new Map<string, ImportNote>();

  /** Something that is left out, or will be different. */
  lost(origin: Origin, message: string): void {
    add(this.#lost, origin, message);
  }

  /** Something without which the file has no meaning. */
  error(origin: Origin, message: string): void {
    add(this.#errors, origin, message);
  }

  get notes(): readonly ImportNote[] {
    return [...this.#lost.values()].toSorted(byPlace);
  }

  get errors(): readonly ImportNote[] {
    return [...this.#errors.values()].toSorted(byPlace);
  }
}

function add(notes: Map<string, ImportNote>, origin: Origin, message: string): void {
  const { file, line, column } = origin;
  const key = `${file}:${line}: ${message}`;
  if (!notes.has(key)) notes.set(key, { file, line, column, message });
}

/** Files stay in the order in which they were first spoken of. */
function byPlace(a: ImportNote, b: ImportNote): number {
  return a.file === b.file ? a.line - b.line : 0;
}

/** `FILE:LINE: message`. */
export function formatNote({ file, line, message }: ImportNote): string {
  return `${file}:${line}: ${message}`;
}
