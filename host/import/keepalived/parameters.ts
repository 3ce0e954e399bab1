/** Parameters of keepalived's configuration: `$NAME=value` and what `$NAME` and `${NAME}` become. */

/** What a definition is replaced by. */
interface Definition {
  /** One line, or several when the definition went over several. */
  readonly lines: string[];
  readonly isMultiline: boolean;
}

/** What the names that keepalived defines itself depend on. */
export interface Surroundings {
  /** The directory of the file that is read. */
  readonly directory: () => string;
  readonly instance: string;
  /** A number from 0 up to, not including, 1. */
  readonly random: () => number;
}

/** A line with what is to be replaced in it replaced, and the lines that come after it. */
export interface Substitution {
  readonly text: string;
  readonly following: readonly string[];
}

const REPLACEMENTS_MAX = 1_000;
const LINE_LENGTH_MAX = 65_536;
/** Where a reference may be: `${NAME}`, `${NAME 1 2}` or `$NAME` before a blank and the like. */
const REFERENCE = /\$(?:\{([A-Za-z_]\w*)((?: +\d+)*)\}|([A-Za-z_]\w*)(?=[ \t,)]|$))/g;

/** A substitution that never ends. */
export class EndlessSubstitutionError extends Error {
  constructor(name: string) {
    super(`$${name} stands for itself, or for too much`);
    this.name = 'EndlessSubstitutionError';
  }
}

export class Parameters {
  readonly #definitions = new Map<string, Definition>();
  readonly #surroundings: Surroundings;

  constructor(surroundings: Surroundings) {
    this.#surroundings = surroundings;
  }

  /** Defines a parameter of one line. */
  define(name: string, value: string): void {
    this.#definitions.set(name, { lines: [value], isMultiline: false });
  }

  /** Defines a parameter of several lines; more are appended with what is returned. */
  defineLines(name: string, first: string): (line: string) => void {
    const lines = first === '' ? [] : [first];
    this.#definitions.set(name, { lines, isMultiline: true });
    return (line) => {
      if (line !== '') lines.push(line);
    };
  }

  /**
   * Replaces every parameter in `line`, and again what that gives. Undefined when there was
   * none. A parameter of several lines is one only at the end of a line.
   */
  substitute(line: string): Substitution | undefined {
    let text = line;
    let replacements = 0;
    let from = 0;
    for (;;) {
      REFERENCE.lastIndex = from;
      const match = REFERENCE.exec(text);
      if (match === null) break;
      const name = match[1] ?? match[3]!;
      const end = match.index + match[0].length;
      const lines = this.#lines(name, match[2] ?? '', end === text.length);
      if (lines === undefined) {
        from = match.index + 1;
        continue;
      }
      if (++replacements > REPLACEMENTS_MAX) throw new EndlessSubstitutionError(name);
      const head = text.slice(0, match.index);
      text = head + (lines[0] ?? '') + text.slice(end);
      if (text.length > LINE_LENGTH_MAX) throw new EndlessSubstitutionError(name);
      from = match.index;
      // What a sequence repeats is replaced anew in each turn.
      const isRepeated = (lines[0] ?? '').startsWith('~');
      if (lines.length > 1 || isRepeated) return { text, following: lines.slice(1) };
    }
    return replacements === 0 ? undefined : { text, following: [] };
  }

  #lines(name: string, numbers: string, isAtEnd: boolean): readonly string[] | undefined {
    const definition = this.#definitions.get(name);
    if (definition !== undefined) {
      return definition.isMultiline && !isAtEnd ? undefined : definition.lines;
    }
    const value = this.#predefined(name, numbers);
    return value === undefined ? undefined : [value];
  }

  #predefined(name: string, numbers: string): string | undefined {
    const { directory, instance, random } = this.#surroundings;
    switch (name) {
      case '_PWD':
        return directory();
      case '_INSTANCE':
        return instance;
      case '_HASH':
        return '#';
      case '_BANG':
        return '!';
      case '_RANDOM': {
        const [min = 0, max = 32_767] = numbers.split(' ').filter(Boolean).map(Number);
        return String(min + Math.floor(random() * (max - min + 1)));
      }
      default:
        return undefined;
    }
  }
}
