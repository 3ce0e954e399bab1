// Whether numbers have become worse than an earlier run's, beyond what the runs themselves vary by.
// Where both runs measured against the same other, the ratios are compared: the machine's own speed
// cancels out of them.

import type { Result } from './result.ts';

/** What became of one number. */
export interface Change {
  readonly name: string;
  readonly params: string;
  /** What was compared: a unit, or "x NAME" for a ratio. */
  readonly unit: string;
  readonly before: number;
  readonly after: number;
  readonly verdict: 'worse' | 'better' | 'same';
}

interface Measured {
  readonly unit: string;
  readonly value: number;
  readonly spread: readonly [min: number, max: number];
}

/** A change smaller than this share is not called one, however quiet both runs were. */
const TOLERANCE = 0.05;

/** Units of which more is better; of all others less is. */
const MORE_IS_BETTER = new Set(['packets/s', 'requests/s', 'connections/s', 'x one worker']);

/** Compares results that both runs have. */
export function compareResults(
  before: readonly Result[],
  after: readonly Result[],
): readonly Change[] {
  const earlier = new Map(before.map((result) => [keyOf(result), result]));
  return after.flatMap((result) => {
    const old = earlier.get(keyOf(result));
    return old === undefined ? [] : [compareResult(old, result)];
  });
}

function keyOf({ name, unit, params }: Result): string {
  return JSON.stringify([name, unit, Object.entries(params).toSorted()]);
}

function compareResult(before: Result, after: Result): Change {
  const common = Object.keys(after.against).find((name) => name in before.against);
  const [old, now] = [before, after].map((result) => measured(result, common));
  const isUp = now.spread[0] > old.spread[1] && now.value > old.value * (1 + TOLERANCE);
  const isDown = now.spread[1] < old.spread[0] && now.value < old.value * (1 - TOLERANCE);
  const more = MORE_IS_BETTER.has(after.unit);
  const verdict = isUp === isDown ? 'same' : isUp === more ? 'better' : 'worse';
  return {
    name: after.name,
    params: Object.values(after.params).join(' '),
    unit: now.unit,
    before: old.value,
    after: now.value,
    verdict,
  };
}

function measured(result: Result, against: string | undefined): Measured {
  const comparison = against === undefined ? undefined : result.against[against];
  if (comparison === undefined) return result;
  return { unit: `x ${against}`, value: comparison.ratio, spread: comparison.ratioSpread };
}
