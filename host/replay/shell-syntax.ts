// The grammar of the shell lines in recordings: words with quotes, pipelines, lists and
// redirections. No variables, no loops, no substitution.

/** One command of a pipeline. */
export interface ShellCommand {
  readonly words: readonly string[];
  /** Files of `<`, `>` and `2>`. */
  readonly input?: string;
  readonly output?: string;
  readonly errors?: string;
}

/** Pipelines, each with the operator in front of it; the first has `;`. */
export type ShellList = readonly {
  readonly operator: ';' | '&&' | '||';
  readonly pipeline: readonly ShellCommand[];
}[];

interface Token {
  readonly text: string;
  readonly isOperator: boolean;
}

/** Stands behind the last token. */
const END: Token = { text: ';', isOperator: true };
const OPERATORS = ['&&', '||', '2>', '|', ';', '<', '>'];

/**
 * Parses a command line.
 * @returns the parsed line, or what is wrong with it
 */
export function parseShell(line: string): ShellList | string {
  const tokens = tokenize(line);
  if (typeof tokens === 'string') return tokens;
  const list: { operator: ';' | '&&' | '||'; pipeline: ShellCommand[] }[] = [];
  let operator: ';' | '&&' | '||' = ';';
  let pipeline: ShellCommand[] = [];
  let command: Token[] = [];
  for (const token of [...tokens, END]) {
    const isEnd = token.isOperator && [';', '&&', '||', '|'].includes(token.text);
    if (!isEnd) {
      command.push(token);
      continue;
    }
    // A `;` may end the line.
    if (token === END && command.length === 0 && pipeline.length === 0 && list.length > 0) break;
    const parsed = parseCommand(command);
    if (parsed === undefined) return `"${token.text}" unexpected`;
    pipeline.push(parsed);
    command = [];
    if (token.text === '|') continue;
    list.push({ operator, pipeline });
    pipeline = [];
    operator = token.text as typeof operator;
  }
  return list;
}

function parseCommand(tokens: readonly Token[]): ShellCommand | undefined {
  const words: string[] = [];
  const files: { input?: string; output?: string; errors?: string } = {};
  for (let at = 0; at < tokens.length; at++) {
    const { text, isOperator } = tokens[at];
    if (!isOperator) {
      words.push(text);
      continue;
    }
    const file = tokens[++at];
    if (file === undefined || file.isOperator) return undefined;
    if (text === '<') files.input = file.text;
    else if (text === '>') files.output = file.text;
    else files.errors = file.text;
  }
  return words.length === 0 && tokens.length === 0 ? undefined : { words, ...files };
}

function tokenize(line: string): Token[] | string {
  const tokens: Token[] = [];
  let at = 0;
  while (at < line.length) {
    if (/\s/.test(line[at])) {
      at++;
      continue;
    }
    const operator = OPERATORS.find((candidate) => line.startsWith(candidate, at));
    if (operator !== undefined) {
      tokens.push({ text: operator, isOperator: true });
      at += operator.length;
      continue;
    }
    const word = readWord(line, at);
    if (word === undefined) return 'Unterminated quoted string';
    tokens.push({ text: word.text, isOperator: false });
    at = word.end;
  }
  return tokens;
}

function readWord(line: string, start: number): { text: string; end: number } | undefined {
  let text = '';
  let at = start;
  while (at < line.length && !/[\s|;<>&]/.test(line[at])) {
    const character = line[at];
    if (character === "'" || character === '"') {
      const close = line.indexOf(character, at + 1);
      if (close < 0) return undefined;
      text += line.slice(at + 1, close);
      at = close + 1;
    } else if (character === '\\' && at + 1 < line.length) {
      text += line[at + 1];
      at += 2;
    } else {
      text += character;
      at++;
    }
  }
  // A lone & runs nothing in the background here; it is taken as a word's character.
  if (at === start) return { text: line[at], end: at + 1 };
  return { text, end: at };
}
