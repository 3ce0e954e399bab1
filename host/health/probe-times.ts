// When a checker probes. Probes are counted from start to start, so that a slow answer does not
// make an interval longer.
//
//   first probe                       somewhere in the warm-up, which spreads many servers over it
//   after a success                   interval, less some jitter
//   after a failure that is not the   retryDelay
//     last one before down
//   while down                        interval, less some jitter
//
// Jitter only ever shortens: `fall` times `interval` stays the longest time until a server that
// refuses connections is out.

import type { CheckConfig } from '../config/types.ts';
import type { CheckerRecord } from './checker-state.ts';
import type { Chance } from './clock.ts';

/** No checker probes more often than this. */
export const PROBE_GAP_MIN_MS = 10;

/** What of a check decides about times. */
export type ProbeTiming = Pick<CheckConfig, 'interval' | 'retryDelay' | 'jitter' | 'warmUp'>;

/** From the start of a checker to its first probe. */
export function firstDelay({ warmUp }: ProbeTiming, chance: Chance): number {
  return chance() * warmUp;
}

/** From the start of the last probe to that of the next one. */
export function nextDelay(
  timing: ProbeTiming,
  { state, failures }: Pick<CheckerRecord, 'state' | 'failures'>,
  chance: Chance,
): number {
  const isRetry = failures > 0 && state !== 'down';
  const { interval, retryDelay, jitter } = timing;
  const delay = isRetry ? retryDelay : interval - chance() * Math.min(jitter, interval);
  return Math.max(PROBE_GAP_MIN_MS, delay);
}
