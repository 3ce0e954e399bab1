/**
 * A configuration's text cut into its services, so that a reload need only parse those that were
 * edited. Only plain files can be cut: `services:` at the start of a line, its items in block
 * style, and nothing in the file that reaches from one part into another (anchors, aliases,
 * documents).
 */

/** A text in pieces; together they are the text. */
export interface TextSlices {
  /** All but the items of `services`, which empty lines stand in for. */
  readonly frame: string;
  readonly services: readonly ServiceSlice[];
}

/** The text of one service, from its dash to the line before the next one. */
export interface ServiceSlice {
  readonly text: string;
  /** The number of its first line. */
  readonly line: number;
}

/** What may reach from one part of a document into another, or end it; also where it does not. */
const FAR_REACHING = /[&*]|<<|^(---|\.\.\.|%)|\r(?!\n)/m;
const SECTION = /^services:[ \t]*(#.*)?\r?$/gm;

/** Cuts a text into its services, or answers undefined when it cannot be cut with certainty. */
export function sliceServices(text: string): TextSlices | undefined {
  if (FAR_REACHING.test(text)) return undefined;
  const headers = [...text.matchAll(SECTION)];
  const [header] = headers;
  if (header === undefined || headers.length > 1) return undefined;
  const start = header.index + header[0].length + 1;
  const cut = new Cutter(text, start, countLines(text, 0, start) + 1);
  return cut.run(header.index);
}

class Cutter {
  readonly #text: string;
  readonly #first: number;
  #at: number;
  #line: number;
  readonly #services: ServiceSlice[] = [];
  #sliceStart: number;
  #sliceLine: number;

  constructor(text: string, start: number, line: number) {
    this.#text = text;
    this.#first = line;
    this.#at = start;
    this.#line = line;
    this.#sliceStart = start;
    this.#sliceLine = line;
  }

  run(header: number): TextSlices | undefined {
    const text = this.#text;
    let indent = -1;
    for (; this.#at < text.length; this.#toNextLine()) {
      const content = firstContent(text, this.#at);
      if (content < 0) continue;
      const column = content - this.#at;
      const isItem = text[content] === '-' && /[\s]/.test(text[content + 1] ?? '\n');
      if (indent < 0) {
        if (!isItem) break;
        indent = column;
        continue;
      }
      if (column > indent) continue;
      if (column === indent && isItem) {
        this.#endSlice();
        continue;
      }
      // A key of the top level ends the list; anything else here is none of ours to judge.
      if (column !== 0 || isItem) return undefined;
      break;
    }
    if (indent < 0) return undefined;
    this.#endSlice();
    const tail = text.slice(this.#at);
    const blank = tail === '' ? '' : '\n'.repeat(this.#line - this.#first);
    return { frame: `${text.slice(0, header)}\n${blank}${tail}`, services: this.#services };
  }

  #endSlice(): void {
    const text = this.#text.slice(this.#sliceStart, this.#at);
    this.#services.push({ text, line: this.#sliceLine });
    this.#sliceStart = this.#at;
    this.#sliceLine = this.#line;
  }

  #toNextLine(): void {
    const end = this.#text.indexOf('\n', this.#at);
    this.#at = end < 0 ? this.#text.length : end + 1;
    this.#line++;
  }
}

/** Where the first character of a line is that is neither blank nor a comment, or -1. */
function firstContent(text: string, lineStart: number): number {
  for (let at = lineStart; at < text.length; at++) {
    const character = text[at];
    if (character === ' ') continue;
    const isNothing = character === '\n' || character === '\r' || character === '#';
    return isNothing ? -1 : at;
  }
  return -1;
}

function countLines(text: string, from: number, to: number): number {
  let lines = 0;
  for (let at = text.indexOf('\n', from); at >= 0 && at < to; at = text.indexOf('\n', at + 1)) {
    lines++;
  }
  return lines;
}
