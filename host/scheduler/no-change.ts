import type { ListOutcome } from './scheduler.ts';

const NOTHING: ListOutcome = {};

/** The change hook of schedulers that keep nothing between two picks. */
export function noChange(): ListOutcome {
  return NOTHING;
}
