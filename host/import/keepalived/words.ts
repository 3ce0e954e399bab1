/**
 * Words of keepalived's configuration. A line is cut at blanks, a text in double quotes is one
 * word. Commands, and they only, also know single quotes and escapes, as a shell does.
 */

const BLANKS = /[ \t]/;

/** A text in double quotes; a backslash keeps the quote after it from ending it. */
const QUOTED = /^"((?:\\.|[^"\\])*)"/;

/** The words of a line, or undefined when a double quote is not closed. */
export function splitWords(line: string): string[] | undefined {
  const words: string[] = [];
  let rest = line.replace(/^[ \t]+/, '');
  while (rest !== '') {
    const quoted = QUOTED.exec(rest);
    if (quoted === null && rest.startsWith('"')) return undefined;
    const bare = quoted?.[0] ?? /^[^ \t"]+/.exec(rest)![0];
    words.push(quoted?.[1] ?? bare);
    rest = rest.slice(bare.length).replace(/^[ \t]+/, '');
  }
  return words;
}

/**
 * The words of a line in which quotes of both kinds may be inside of a word and backslashes
 * escape, or undefined when a quote is not closed. `ab"c d"e` is the one word `abc de`.
 */
export function splitEscapedWords(line: string): string[] | undefined {
  return split(line, true);
}

/** The program and the arguments of a command line, whose escapes have been undone before. */
export function splitCommand(line: string): string[] | undefined {
  return split(line, false);
}

function split(line: string, hasEscapes: boolean): string[] | undefined {
  const words: string[] = [];
  let word: string | undefined;
  let quote = '';
  let i = 0;
  while (i < line.length) {
    const char = line[i]!;
    if (hasEscapes && char === '\\' && i + 1 < line.length) {
      const escaped = readEscape(line, i + 1);
      word = (word ?? '') + escaped.text;
      i = escaped.end;
      continue;
    }
    i++;
    if (quote === '' && BLANKS.test(char)) {
      if (word !== undefined) words.push(word);
      word = undefined;
    } else if (quote === '' && (char === '"' || char === "'")) {
      quote = char;
      word ??= '';
    } else if (char === quote) {
      quote = '';
    } else {
      word = (word ?? '') + char;
    }
  }
  if (quote !== '') return undefined;
  if (word !== undefined) words.push(word);
  return words;
}

const CONTROLS: Readonly<Record<string, string>> = {
  a: '\x07',
  b: '\b',
  E: '\x1b',
  f: '\f',
  n: '\n',
  r: '\r',
  t: '\t',
  v: '\v',
};

/** Reads what follows a backslash, which is at `at`. */
function readEscape(line: string, at: number): { text: string; end: number } {
  const rest = line.slice(at);
  const octal = /^[0-7]{1,3}/.exec(rest)?.[0];
  if (octal !== undefined) {
    return { text: String.fromCharCode(Number.parseInt(octal, 8) & 255), end: at + octal.length };
  }
  const hex = /^x([0-9a-fA-F]+)/.exec(rest);
  if (hex !== null) {
    // Only the last byte of a longer sequence is left of it in C.
    const value = Number.parseInt(hex[1]!.slice(-2), 16);
    return { text: String.fromCharCode(value), end: at + hex[0].length };
  }
  const control = /^c(.)/.exec(rest);
  if (control !== null) {
    return { text: String.fromCharCode(control[1]!.charCodeAt(0) & 31), end: at + 2 };
  }
  return { text: CONTROLS[rest[0]!] ?? rest[0]!, end: at + 1 };
}
