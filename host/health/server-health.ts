// What the checks of a server together say of it.
//
//   checks                         the server is   the check that decides
//   one is down                    down            the one that has been down for longest
//   none is down, one is unknown   unknown         one in alpha mode before others
//   all are up                     up              the last one to come up
//
// Its weight is the configured one with what each check changes it by, as keepalived adds up the
// weights of MISC_CHECK and FILE_CHECK: a check that names a weight changes it by the difference.

import { WEIGHT_MAX } from '../config/schema.ts';
import type { Checker } from './checker.ts';
import type { CheckerRecord } from './checker-state.ts';

/** A check and what it has found out. */
export type CheckerFinding = Pick<Checker, 'check' | 'record'>;

/** The check that decides what state the server is in; undefined when there are no checks. */
export function decidingChecker<Finding extends CheckerFinding>(
  checkers: readonly Finding[],
): Finding | undefined {
  // Most servers have one check, and there may be a hundred thousand of them.
  if (checkers.length <= 1) return checkers[0];
  const down = checkers.filter(({ record }) => record.state === 'down');
  if (down.length > 0) return down.reduce((first, one) => (isEarlier(one, first) ? one : first));
  const unknown = checkers.filter(({ record }) => record.state === 'unknown');
  if (unknown.length > 0) return unknown.find(({ check }) => check.alpha === true) ?? unknown[0];
  return checkers.reduce((last, one) => (isEarlier(last, one) ? one : last));
}

function isEarlier(one: CheckerFinding, other: CheckerFinding): boolean {
  return one.record.since < other.record.since;
}

/** The weight that the checks make of the configured one; undefined when they say nothing of it. */
export function weightOf(
  checkers: readonly CheckerFinding[],
  configured: number,
): number | undefined {
  let change: number | undefined;
  for (const { record } of checkers) {
    const own = changeOf(record, configured);
    if (own !== undefined) change = (change ?? 0) + own;
  }
  if (change === undefined) return undefined;
  return Math.min(WEIGHT_MAX, Math.max(0, configured + change));
}

function changeOf({ weight, weightChange }: CheckerRecord, configured: number): number | undefined {
  return weight === undefined ? weightChange : weight - configured;
}
