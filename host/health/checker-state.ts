// What a checker knows of its server, and what one more result makes of it. Pure: the time is
// given.
//
//   state     result        condition                                   next state
//   unknown   success       -                                           up
//   unknown   failure       alpha, or fall failures in a row            down
//   up        failure       fall failures in a row                      down
//   down      success       rise successes in a row, not held           up
//   any       inconclusive  -                                           the same, nothing counted
//
// The first success is enough for an unknown server: nothing speaks against it yet.
//
// Flap damping: a change to down that is the `changes`th within `within` holds the server down for
// `hold`; a change to up that would be is refused, and holds as well. Successes go on being counted
// meanwhile, and the first one after the hold brings the server up.

import type { CheckConfig } from '../config/types.ts';
import type { ProbeResult } from './probe.ts';

/** What probes have found out about a server. */
export type CheckerState = 'unknown' | 'up' | 'down';

/** A result, and when it was there. */
export interface DatedResult extends ProbeResult {
  /** Milliseconds since 1970. */
  readonly at: number;
}

/** What a checker knows. */
export interface CheckerRecord {
  readonly state: CheckerState;
  /** Since when, in milliseconds since 1970. */
  readonly since: number;
  /** In a row, until now. */
  readonly successes: number;
  readonly failures: number;
  /** The weight the last success named, or what it adds to the configured one. */
  readonly weight: number | undefined;
  readonly weightChange: number | undefined;
  readonly lastResult: DatedResult | undefined;
  /** When the state changed lately, by the clock that never goes back; for damping only. */
  readonly changes: readonly number[];
  /** Until when the server is held down, by the same clock. */
  readonly heldUntil: number | undefined;
}

/** What of a check decides about states. */
export type CheckerRules = Pick<CheckConfig, 'rise' | 'fall' | 'alpha' | 'damping'>;

/** Both of a clock's times. */
export interface Moment {
  readonly now: number;
  readonly wall: number;
}

const NO_WEIGHT = { weight: undefined, weightChange: undefined };

/** Of a server no probe has come back from. */
export function unknownRecord(wall: number): CheckerRecord {
  return {
    state: 'unknown',
    since: wall,
    successes: 0,
    failures: 0,
    ...NO_WEIGHT,
    lastResult: undefined,
    changes: [],
    heldUntil: undefined,
  };
}

/**
 * What another check on the same server starts from: the state, but not the counts. A weight is
 * kept when the other check is one that names weights as well.
 */
export function inheritedRecord(before: CheckerRecord, keepsWeight: boolean): CheckerRecord {
  const { weight, weightChange } = keepsWeight ? before : NO_WEIGHT;
  return { ...before, successes: 0, failures: 0, weight, weightChange };
}

/** Adds a result. */
export function addResult(
  before: CheckerRecord,
  result: ProbeResult,
  rules: CheckerRules,
  moment: Moment,
): CheckerRecord {
  const lastResult = { ...result, at: moment.wall };
  if (result.isOurs === true) return { ...before, lastResult };
  const counted: CheckerRecord = {
    ...before,
    lastResult,
    successes: result.ok ? before.successes + 1 : 0,
    failures: result.ok ? 0 : before.failures + 1,
    weight: result.ok ? result.weight : before.weight,
    weightChange: result.ok ? result.weightChange : before.weightChange,
  };
  const next = nextState(counted, rules, moment.now);
  if (next === before.state) return counted;
  return change(counted, next, rules, moment);
}

function nextState(record: CheckerRecord, rules: CheckerRules, now: number): CheckerState {
  const { state, successes, failures, heldUntil } = record;
  const hasFallen = failures >= rules.fall;
  switch (state) {
    case 'unknown':
      if (successes > 0) return 'up';
      return hasFallen || (failures > 0 && rules.alpha === true) ? 'down' : 'unknown';
    case 'up':
      return hasFallen ? 'down' : 'up';
    case 'down':
      if (rules.damping !== undefined && now < (heldUntil ?? now)) return 'down';
      return successes >= rules.rise ? 'up' : 'down';
  }
}

function change(
  record: CheckerRecord,
  state: CheckerState,
  { damping }: CheckerRules,
  { now, wall }: Moment,
): CheckerRecord {
  const changed: CheckerRecord = { ...record, state, since: wall, heldUntil: undefined };
  if (damping === undefined) return changed;
  // The change that ends a hold starts a new count: it has served its time.
  const earlier = record.heldUntil === undefined ? record.changes : [];
  const recent = earlier.filter((time) => now - time < damping.within);
  // To become known is no flapping.
  const changes = record.state === 'unknown' ? recent : [...recent, now];
  if (changes.length < damping.changes) return { ...changed, changes };
  const heldUntil = now + damping.hold;
  if (state === 'down') return { ...changed, changes, heldUntil };
  return { ...record, changes, heldUntil };
}
