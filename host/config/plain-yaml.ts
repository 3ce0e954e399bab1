/**
 * A reader for the plain part of YAML, which is what nearly every service is written in: block
 * mappings and lists, flow ones within a line, quoted text without escapes, words and whole
 * numbers. It is many times as fast as a parser of all of YAML and gives up wherever it is not
 * certain to answer what that one would.
 */

import type { SourcePosition } from './types.ts';
import type { Path, TextSource } from './yaml-source.ts';

const KEY = /([A-Za-z][\w-]*):(?=[ \n]|$)/y;
const PLAIN = /[A-Za-z0-9/][\w.:/@%+-]*/y;
const QUOTED = /'([^'\n]*)'(?!')|"([^"\\\n]*)"/y;
const SPACES = / */y;
/** What may stand between a value and the end of its line. */
const LINE_END = / *(?: #[^\n]*)?(?:\n|$)/y;
/** A line without content. */
const BLANK_LINE = / *(?:#[^\n]*)?(?:\n|$)/y;
const WHOLE_NUMBER = /^[0-9]+$/;
/** Words that another parser has to make something of. */
const SPECIAL =
  /:$|^(?:[Nn]ull|NULL|True|TRUE|False|FALSE|0[xo].*|\d+\.\d*(?:[eE][-+]?\d+)?|\d+[eE][-+]?\d+)$/;
/** Brackets within brackets. */
const DEPTH_MAX = 20;

/** Thrown inside, and caught at once: another parser has to read this text. */
class NotPlain extends Error {}

/** A text that was read. */
export class PlainYaml implements TextSource {
  readonly file = '';
  readonly problems = [];
  readonly value: unknown;
  readonly #items: ReadonlyMap<unknown, readonly SourcePosition[]>;

  private constructor(reader: Reader) {
    this.value = reader.value;
    this.#items = reader.items;
  }

  /** Reads a text that is a mapping; undefined when it is not plain. */
  static read(text: string): PlainYaml | undefined {
    try {
      return new PlainYaml(new Reader(text));
    } catch (error) {
      if (error instanceof NotPlain) return undefined;
      throw error;
    }
  }

  /** Where the innermost item of a list starts that `path` leads to or through. */
  positionOf(path: Path): SourcePosition {
    let position: SourcePosition = { line: 1, column: 1 };
    let value = this.value;
    for (const step of path) {
      position = this.#items.get(value)?.[Number(step)] ?? position;
      value = childOf(value, step);
    }
    return position;
  }

  positionOfKey(path: Path): SourcePosition {
    return this.positionOf(path);
  }

  existingPart(path: Path): Path {
    let value = this.value;
    const length = path.findIndex((step) => {
      value = childOf(value, step);
      return value === undefined;
    });
    return length < 0 ? path : path.slice(0, length);
  }
}

function childOf(value: unknown, step: PropertyKey): unknown {
  if (typeof value !== 'object' || value === null) return undefined;
  return Object.hasOwn(value, step) ? Reflect.get(value, step) : undefined;
}

class Reader {
  readonly value: unknown;
  /** Where the items of each list start. */
  readonly items = new Map<unknown, SourcePosition[]>();
  readonly #text: string;
  #at = 0;
  #line = 1;
  #lineStart = 0;
  #depth = 0;

  constructor(text: string) {
    this.#text = text;
    this.#toContent();
    this.value = this.#blockMapping(this.#column);
    if (this.#at < text.length) throw new NotPlain();
  }

  get #column(): number {
    return this.#at - this.#lineStart;
  }

  /** At the first key of a mapping; afterwards at the content that follows it. */
  #blockMapping(indent: number): Record<string, unknown> {
    const mapping: Record<string, unknown> = {};
    do {
      const key = this.#key(mapping);
      mapping[key] = this.#endsLine() ? this.#blockBelow(indent) : this.#valueOfLine();
    } while (this.#continues(indent));
    return mapping;
  }

  /** What belongs to a key that has nothing more on its line. */
  #blockBelow(indent: number): unknown {
    const column = this.#column;
    if (this.#isItem() && column >= indent) return this.#blockList(column);
    if (column > indent) return this.#blockMapping(column);
    throw new NotPlain();
  }

  #blockList(indent: number): unknown[] {
    const list: unknown[] = [];
    const positions: SourcePosition[] = [];
    this.items.set(list, positions);
    do {
      this.#skip();
      positions.push(this.#position());
      list.push(this.#isKey() ? this.#blockMapping(this.#column) : this.#valueOfLine());
    } while (this.#continues(indent) && this.#isItem());
    return list;
  }

  /** Whether there is more of a block; content that is deeper belongs to nothing. */
  #continues(indent: number): boolean {
    if (this.#at === this.#text.length || this.#column < indent) return false;
    if (this.#column > indent) throw new NotPlain();
    return true;
  }

  #valueOfLine(): unknown {
    this.#match(SPACES);
    const value = this.#flowValue();
    if (!this.#endsLine()) throw new NotPlain();
    return value;
  }

  #flowValue(): unknown {
    switch (this.#text[this.#at]) {
      case '{':
        return this.#flowMapping();
      case '[':
        return this.#flowList();
      case "'":
      case '"': {
        const [, single, double] = this.#require(QUOTED);
        return single ?? double;
      }
      default:
        return plainValue(this.#require(PLAIN)[0]);
    }
  }

  #flowMapping(): Record<string, unknown> {
    const mapping: Record<string, unknown> = {};
    this.#flowItems('}', () => {
      const key = this.#key(mapping);
      this.#match(SPACES);
      mapping[key] = this.#flowValue();
    });
    return mapping;
  }

  #flowList(): unknown[] {
    const list: unknown[] = [];
    const positions: SourcePosition[] = [];
    this.items.set(list, positions);
    this.#flowItems(']', () => {
      positions.push(this.#position());
      list.push(this.#flowValue());
    });
    return list;
  }

  #flowItems(end: string, readItem: () => void): void {
    if (++this.#depth > DEPTH_MAX) throw new NotPlain();
    this.#skip();
    while (this.#text[this.#at] !== end) {
      readItem();
      this.#match(SPACES);
      if (this.#text[this.#at] === ',') this.#skip();
      else if (this.#text[this.#at] !== end) throw new NotPlain();
    }
    this.#at++;
    this.#depth--;
  }

  /** Past one character and the spaces behind it. */
  #skip(): void {
    this.#at++;
    this.#match(SPACES);
  }

  #key(mapping: Record<string, unknown>): string {
    const key = this.#require(KEY)[1]!;
    if (SPECIAL.test(key) || Object.hasOwn(mapping, key)) throw new NotPlain();
    return key;
  }

  #isKey(): boolean {
    KEY.lastIndex = this.#at;
    return KEY.test(this.#text);
  }

  #isItem(): boolean {
    return this.#text[this.#at] === '-' && this.#text[this.#at + 1] === ' ';
  }

  /** At the end of a line goes on to the next content. */
  #endsLine(): boolean {
    if (this.#match(LINE_END) === null) return false;
    this.#startLine();
    this.#toContent();
    return true;
  }

  #toContent(): void {
    while (this.#at < this.#text.length && this.#match(BLANK_LINE) !== null) this.#startLine();
    this.#match(SPACES);
  }

  #startLine(): void {
    this.#line++;
    this.#lineStart = this.#at;
  }

  #position(): SourcePosition {
    return { line: this.#line, column: this.#column + 1 };
  }

  #require(pattern: RegExp): RegExpExecArray {
    const match = this.#match(pattern);
    if (match === null) throw new NotPlain();
    return match;
  }

  /** Reads what matches a sticky pattern, or nothing. */
  #match(pattern: RegExp): RegExpExecArray | null {
    pattern.lastIndex = this.#at;
    const match = pattern.exec(this.#text);
    if (match !== null) this.#at = pattern.lastIndex;
    return match;
  }
}

function plainValue(word: string): unknown {
  if (WHOLE_NUMBER.test(word)) return Number(word);
  if (word === 'true' || word === 'false') return word === 'true';
  if (SPECIAL.test(word)) throw new NotPlain();
  return word;
}
