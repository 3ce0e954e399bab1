/**
 * A YAML text as a value, and the way back from a key of that value to its line and column.
 *
 * YAML 1.2: `on` and `yes` are words, `1_000` is text (the schema takes it where a large
 * number is wanted). Anchors, aliases and merge keys (`<<`) are understood.
 */

import {
  type Document,
  isAlias,
  isMap,
  isNode,
  isScalar,
  isSeq,
  LineCounter,
  type Node,
  type Pair,
  parseDocument,
  type YAMLError,
  type YAMLMap,
} from 'yaml';
import type { ConfigProblem, SourcePosition } from './types.ts';

/** The keys and indexes that lead to a value. */
export type Path = readonly PropertyKey[];

/** A bound on what aliases may multiply a document to. */
const ALIAS_COUNT_MAX = 100_000;

/** A text as a value, and where things are in it. */
export interface TextSource {
  readonly file: string;
  readonly value: unknown;
  readonly problems: readonly ConfigProblem[];
  /** Where the value at `path` starts, or where the nearest thing around it does. */
  positionOf(path: Path): SourcePosition;
  /** Where the last key of `path` is written, or where the nearest thing around it starts. */
  positionOfKey(path: Path): SourcePosition;
  /** The longest part of `path`, from its start, that leads to something in the text. */
  existingPart(path: Path): Path;
}

/** A parsed text. When there are problems, the value is not to be used. */
export class YamlSource implements TextSource {
  readonly file: string;
  readonly value: unknown;
  readonly problems: readonly ConfigProblem[];
  readonly #document: Document;
  readonly #lines: LineCounter;

  constructor(text: string, file: string) {
    this.file = file;
    this.#lines = new LineCounter();
    this.#document = parseDocument(text, {
      lineCounter: this.#lines,
      prettyErrors: false,
      merge: true,
      uniqueKeys: true,
    });
    const problems: ConfigProblem[] = [];
    for (const error of this.#document.errors) {
      const problem = this.#yamlProblem(error, text);
      // After its first error in a line, a YAML parser only guesses.
      const isGuess = problem.code === 'yaml-syntax' && problems.at(-1)?.line === problem.line;
      if (!isGuess) problems.push(problem);
    }
    this.value = undefined;
    if (problems.length === 0) {
      try {
        this.value = this.#document.toJS({ maxAliasCount: ALIAS_COUNT_MAX });
      } catch (error) {
        const reason = error instanceof Error ? error.message : String(error);
        problems.push(this.#problem('yaml-syntax', `not valid YAML: ${reason}`, 0));
      }
    }
    this.problems = problems;
  }

  positionOf(path: Path): SourcePosition {
    return this.#position(this.#locate(path).offset);
  }

  positionOfKey(path: Path): SourcePosition {
    const { keyOffset, offset } = this.#locate(path);
    return this.#position(keyOffset ?? offset);
  }

  existingPart(path: Path): Path {
    return path.slice(0, this.#locate(path).depth);
  }

  #yamlProblem({ code, message, pos }: YAMLError, text: string): ConfigProblem {
    const [offset] = pos;
    if (code === 'DUPLICATE_KEY') {
      return this.#problem('duplicate-key', 'this key is already there', offset);
    }
    const start = text.lastIndexOf('\n', offset - 1) + 1;
    const end = text.indexOf('\n', offset);
    const address = UNQUOTED_IPV6.exec(text.slice(start, end < 0 ? undefined : end));
    if (address !== null) {
      const sentence = `an address in brackets needs quotes: '${address[0]}'`;
      return this.#problem('yaml-syntax', sentence, start + address.index);
    }
    return this.#problem('yaml-syntax', `not valid YAML: ${message}`, offset);
  }

  #problem(code: string, message: string, offset: number): ConfigProblem {
    return { file: this.file, ...this.#position(offset), path: '', code, message };
  }

  #position(offset: number): SourcePosition {
    const { line, col } = this.#lines.linePos(offset);
    // An empty text has no line yet.
    return line === 0 ? { line: 1, column: 1 } : { line, column: col };
  }

  #locate(path: Path): { offset: number; keyOffset: number | undefined; depth: number } {
    let node = this.#resolve(this.#document.contents);
    let offset = startOf(node) ?? 0;
    let keyOffset: number | undefined;
    let depth = 0;
    for (const step of path) {
      const pair = isMap(node) ? this.#findPair(node, step) : undefined;
      const child = pair === undefined ? itemAt(node, step) : pair.value;
      const childOffset = startOf(child) ?? startOf(pair?.key);
      if (childOffset === undefined) return { offset, keyOffset: undefined, depth };
      keyOffset = startOf(pair?.key);
      depth++;
      offset = childOffset;
      node = this.#resolve(child);
    }
    return { offset, keyOffset, depth };
  }

  #findPair(map: YAMLMap, key: PropertyKey): Pair | undefined {
    const own = map.items.find((pair) => keyText(pair) === String(key));
    if (own !== undefined) return own;
    for (const merge of map.items.filter((pair) => keyText(pair) === '<<')) {
      const value = this.#resolve(merge.value);
      const sources = isSeq(value) ? value.items.map((item) => this.#resolve(item)) : [value];
      for (const source of sources) {
        const pair = isMap(source) ? this.#findPair(source, key) : undefined;
        if (pair !== undefined) return pair;
      }
    }
    return undefined;
  }

  #resolve(node: unknown): Node | undefined {
    const resolved = isAlias(node) ? node.resolve(this.#document) : node;
    return isNode(resolved) ? resolved : undefined;
  }
}

function keyText(pair: Pair): string | undefined {
  return isScalar(pair.key) ? String(pair.key.value) : undefined;
}

function itemAt(node: Node | undefined, index: PropertyKey): unknown {
  return isSeq(node) ? node.items[Number(index)] : undefined;
}

function startOf(node: unknown): number | undefined {
  return isNode(node) ? node.range?.[0] : undefined;
}

/** A list to YAML, an address to its writer: the mistake that everyone makes once. */
const UNQUOTED_IPV6 = /(?<!['"])\[[0-9a-fA-F.]*:[0-9a-fA-F:.]*\]:\d+[\w/]*/;
