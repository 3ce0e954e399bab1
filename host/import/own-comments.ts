/**
 * `#wvs` comments: what a keepalived.conf or a file of rules cannot say, but WVS has to know, in
 * WVS's own words. Every other program takes them for comments.
 *
 *     #wvs director:
 *     #wvs   ports: [{ name: lan, interface: eth1 }]
 */

import { LineCounter, parseDocument } from 'yaml';
import type { ImportReport, Origin } from './report.ts';

/** The keys that such comments may have. */
export interface OwnComments {
  readonly director: Readonly<Record<string, unknown>>;
  readonly marks: readonly unknown[];
  /** Where the first one is. */
  readonly origin: Origin | undefined;
}

const NOTHING: OwnComments = { director: {}, marks: [], origin: undefined };

/** Reads the comments of a file. What is wrong with them is in `report` afterwards. */
export function readOwnComments(file: string, text: string, report: ImportReport): OwnComments {
  const lines = text.split('\n').map((line) => /^\s*[#!]wvs(?:\s(.*?))?\r?$/.exec(line));
  const first = lines.findIndex((match) => match !== null);
  if (first < 0) return NOTHING;
  const origin = { file, line: first + 1, column: 1 };
  // Lines that are none of ours are empty ones, so that those of the others keep their numbers.
  const own = lines.map((match) => match?.[1] ?? '').join('\n');
  const counter = new LineCounter();
  const document = parseDocument(own, { lineCounter: counter, prettyErrors: false });
  for (const { message, pos } of document.errors) {
    const { line, col } = counter.linePos(pos[0]);
    report.error({ file, line, column: col }, `not valid YAML behind #wvs: ${message}`);
  }
  if (document.errors.length > 0) return NOTHING;
  const value: unknown = document.toJS();
  if (!isMapping(value)) {
    report.error(origin, 'expected `director:` or `marks:` behind #wvs');
    return NOTHING;
  }
  const { director = {}, marks = [], ...others } = value;
  for (const key of Object.keys(others)) {
    report.error(origin, `expected \`director:\` or \`marks:\` behind #wvs, got \`${key}:\``);
  }
  if (!isMapping(director) || !Array.isArray(marks)) {
    report.error(origin, 'behind #wvs `director:` is a mapping, and `marks:` a list');
    return NOTHING;
  }
  return { director, marks, origin };
}

function isMapping(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
