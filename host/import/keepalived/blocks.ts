/** Lines of keepalived's configuration -> statements, some of them with a block of others. */

import type { ImportReport, Origin } from '../report.ts';
import type { ExpandedLine } from './expand.ts';
import { splitWords } from './words.ts';

/** A keyword with its arguments and, between braces, what belongs to it. */
export interface Statement {
  readonly keyword: string;
  readonly args: readonly string[];
  /** The line without its block, for those who split it in their own way. */
  readonly text: string;
  readonly origin: Origin;
  block?: Statement[];
}

interface OpenBlock {
  readonly statements: Statement[];
  readonly owner: Statement | undefined;
  readonly opened: Origin | undefined;
}

/** Builds the tree. Braces that do not match and quotes that are not closed are errors. */
export function buildBlocks(lines: readonly ExpandedLine[], report: ImportReport): Statement[] {
  const root: OpenBlock = { statements: [], owner: undefined, opened: undefined };
  const stack: OpenBlock[] = [root];
  // Only the statement right before a brace can own the block.
  let last: Statement | undefined;
  for (const { text, origin } of lines) {
    for (const piece of splitAtBraces(text)) {
      const top = stack.at(-1)!;
      if (piece === '{') {
        if (last === undefined) report.error(origin, 'this "{" follows no keyword');
        const owner = last;
        const statements: Statement[] = [];
        if (owner !== undefined) owner.block = statements;
        stack.push({ statements, owner, opened: origin });
        last = undefined;
      } else if (piece === '}') {
        if (stack.length === 1) report.error(origin, 'this "}" closes nothing');
        else stack.pop();
        last = undefined;
      } else {
        last = parseStatement(piece, origin, report);
        if (last !== undefined) top.statements.push(last);
      }
    }
  }
  for (const { owner, opened } of stack.slice(1)) {
    const name = owner === undefined ? 'this block' : `the block of ${owner.keyword}`;
    report.error(opened!, `${name} is not closed: a "}" is missing`);
  }
  return root.statements;
}

function parseStatement(text: string, origin: Origin, report: ImportReport): Statement | undefined {
  const words = splitWords(text);
  if (words === undefined) {
    report.error(origin, `the quote is not closed: ${text}`);
    return undefined;
  }
  const [keyword, ...args] = words;
  return keyword === undefined ? undefined : { keyword, args, text, origin };
}

const PIECES = /"(?:\\.|[^"\\])*"|\$\{[^{}]*\}|[{}]|[^{}"$]+|["$]/g;

/** Braces stand for themselves in double quotes and in a parameter that is not defined. */
function splitAtBraces(text: string): string[] {
  const pieces: string[] = [];
  let rest = '';
  for (const [part] of text.matchAll(PIECES)) {
    if (part !== '{' && part !== '}') {
      rest += part;
      continue;
    }
    if (rest.trim() !== '') pieces.push(rest.trim());
    pieces.push(part);
    rest = '';
  }
  if (rest.trim() !== '') pieces.push(rest.trim());
  return pieces;
}
