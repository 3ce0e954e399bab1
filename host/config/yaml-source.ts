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
  type YAMLMap,
} from 'yaml';
import type { ConfigProblem, SourcePosition } from './types.ts';

/** The keys and indexes that lead to a value. */
export type Path = readonly PropertyKey[];

/** A bound on what aliases may multiply a document to. */
const ALIAS_COUNT_MAX = 100_000;

/** A parsed text. When there are problems, the value is not to be used. */
export class YamlSource {
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
    const problems = this.#document.errors.map((error) => {
      const code = error.code === 'DUPLICATE_KEY' ? 'duplicate-key' : 'yaml-syntax';
      return this.#problem(code, yamlSentence(error.code, error.message), error.pos[0]);
    });
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

  /** Where the value at `path` starts, or where the nearest thing around it does. */
  positionOf(path: Path): SourcePosition {
    return this.#position(this.#locate(path).offset);
  }

  /** Where the last key of `path` is written, or where the nearest thing around it starts. */
  positionOfKey(path: Path): SourcePosition {
    const { keyOffset, offset } = this.#locate(path);
    return this.#position(keyOffset ?? offset);
  }

  /** The longest part of `path`, from its start, that leads to something in the text. */
  existingPart(path: Path): Path {
    return path.slice(0, this.#locate(path).depth);
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

function yamlSentence(code: string, message: string): string {
  if (code === 'DUPLICATE_KEY') return 'this key is already there';
  return `not valid YAML: ${message}`;
}
