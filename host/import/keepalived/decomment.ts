/** Takes the comment off a line of keepalived's configuration. */

/** A line without its comment and the blanks around it. */
export interface BareLine {
  readonly text: string;
  /** Where the text starts in the line, from 1. */
  readonly column: number;
  /** The line ended in a backslash, which is not part of the text. */
  readonly isContinued: boolean;
}

/**
 * `#` and `!` start a comment anywhere but in double quotes. A backslash takes the meaning of the
 * character after it away; at the end it continues a definition of several lines.
 */
export function decomment(line: string): BareLine {
  let text = '';
  let isQuoted = false;
  let isContinued = false;
  for (let i = 0; i < line.length; i++) {
    const char = line[i]!;
    if (char === '\\') {
      const next = line[i + 1];
      if (next === undefined) isContinued = true;
      else text += !isQuoted && (next === '#' || next === '!') ? next : char + next;
      i++;
      continue;
    }
    if (char === '"') isQuoted = !isQuoted;
    if (!isQuoted && (char === '#' || char === '!')) break;
    text += char;
  }
  const column = /^[ \t]*/.exec(text)![0].length + 1;
  return { text: text.replace(/^[ \t]+|[ \t]+$/g, ''), column, isContinued };
}
