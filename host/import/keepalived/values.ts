/**
 * Values of keepalived's statements. One that keepalived would not take either is reported, and
 * undefined: then the default holds, there as here.
 */

import { type ParsedAddress, parseAddress } from '../../config/address.ts';
import type { ImportReport } from '../report.ts';
import type { Statement } from './blocks.ts';
import { splitEscapedWords } from './words.ts';

export interface Limits {
  readonly min: number;
  readonly max: number;
}

/** Reads the arguments of statements. */
export class Values {
  readonly report: ImportReport;

  constructor(report: ImportReport) {
    this.report = report;
  }

  /** Reports that a statement is not, or not wholly, in the result. */
  lost({ origin }: Statement, message: string): void {
    this.report.lost(origin, message);
  }

  /** The first argument as it is. */
  text(statement: Statement): string | undefined {
    const [text, ...rest] = statement.args;
    if (text === undefined || text === '') {
      this.lost(statement, `${statement.keyword} has no value`);
      return undefined;
    }
    this.#tooMany(statement, rest);
    return text;
  }

  /** A whole number. */
  number(statement: Statement, { min, max }: Limits): number | undefined {
    const text = this.text(statement);
    if (text === undefined) return undefined;
    const value = /^-?\d+$/.test(text) ? Number(text) : Number.NaN;
    if (value >= min && value <= max) return value;
    const expected = `expected a whole number from ${min} to ${max}`;
    this.lost(statement, `${statement.keyword}: ${expected}, got "${text}"`);
    return undefined;
  }

  /** A time in seconds, as milliseconds. A fraction of one becomes a whole one. */
  time(statement: Statement, { min, max }: Limits): number | undefined {
    const text = this.text(statement);
    if (text === undefined) return undefined;
    const value = /^(\d+(\.\d*)?|\.\d+)$/.test(text) ? Number(text) * 1_000 : Number.NaN;
    if (value >= min && value <= max) return value === 0 ? 0 : Math.max(1, Math.round(value));
    const isOpen = max === Number.MAX_SAFE_INTEGER;
    const range = isOpen
      ? `, ${min === 0 ? '0 or more' : 'more than 0'}`
      : ` from ${min / 1_000} to ${max / 1_000}`;
    const expected = `expected seconds${range}`;
    this.lost(statement, `${statement.keyword}: ${expected}, got "${text}"`);
    return undefined;
  }

  /** on, off and the like; a keyword alone is on. */
  flag(statement: Statement): boolean | undefined {
    const [text = 'on', ...rest] = statement.args;
    this.#tooMany(statement, rest);
    if (['on', 'true', 'yes'].includes(text)) return true;
    if (['off', 'false', 'no'].includes(text)) return false;
    this.lost(statement, `${statement.keyword}: expected on or off, got "${text}"`);
    return undefined;
  }

  /** For keywords that keepalived takes for on, whatever follows them. */
  on(statement: Statement): true {
    const rest = statement.args.join(' ');
    if (rest !== '') {
      this.lost(
        statement,
        `${statement.keyword} is on, as in keepalived, whatever follows: "${rest}"`,
      );
    }
    return true;
  }

  address(statement: Statement, text: string | undefined): ParsedAddress | undefined {
    const address = text === undefined ? undefined : parseAddress(text);
    if (address === undefined) {
      const got = text === undefined ? 'nothing' : `"${text}"`;
      this.lost(statement, `${statement.keyword}: expected an IP address, got ${got}`);
    }
    return address;
  }

  /** A port, 0 when there is none, undefined when it is wrong. */
  port(statement: Statement, text: string | undefined): number | undefined {
    if (text === undefined || /^0+$/.test(text)) return 0;
    const port = /^\d{1,5}$/.test(text) ? Number(text) : Number.NaN;
    if (port <= 65_535) return port;
    const message = `${statement.keyword}: expected a port from 1 to 65535, got "${text}"`;
    this.lost(statement, message);
    return undefined;
  }

  /** Arguments in which backslashes escape and both kinds of quotes may be. */
  escaped(statement: Statement): readonly string[] | undefined {
    const words = splitEscapedWords(statement.text);
    if (words === undefined) {
      this.report.error(statement.origin, `a quote is not closed: ${statement.text}`);
      return undefined;
    }
    return words.slice(1);
  }

  #tooMany(statement: Statement, rest: readonly string[]): void {
    if (rest.length === 0) return;
    this.lost(statement, `${statement.keyword}: there is nothing to do with "${rest.join(' ')}"`);
  }
}

/** What to do with each keyword of a block. */
export type Handlers = Readonly<Record<string, ((statement: Statement) => void) | undefined>>;

/** The keywords of a block that have nothing in WVS, each with the reason. */
export type Unexpressed = Readonly<Record<string, string | undefined>>;

/** Hands every statement of a block to its handler, and reports those that have none. */
export function readBlock(block: Statement, { handlers, unexpressed, values }: BlockReader): void {
  for (const statement of block.block ?? []) {
    const { keyword } = statement;
    const handle = ownValue(handlers, keyword);
    if (handle !== undefined) {
      handle(statement);
      continue;
    }
    const reason = ownValue(unexpressed, keyword);
    const message =
      reason === undefined
        ? `unknown keyword "${keyword}" in ${block.keyword}`
        : `${keyword} is left out: ${reason}`;
    values.lost(statement, message);
  }
}

export interface BlockReader {
  readonly handlers: Handlers;
  readonly unexpressed: Unexpressed;
  readonly values: Values;
}

function ownValue<Value>(
  record: Readonly<Record<string, Value | undefined>>,
  key: string,
): Value | undefined {
  return Object.hasOwn(record, key) ? record[key] : undefined;
}
