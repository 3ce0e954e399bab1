/** A snapshot for tests: the status of ../control/support.ts, with numbers beside it. */

import { COUNTERS_END, DROP_NO_ROUTE } from '../../../../assembly/shared/counters.ts';
import type { Snapshot } from '../../../../host/metrics/definitions.ts';
import { STATUS } from '../control/support.ts';

export function createSnapshot(changes: Partial<Snapshot> = {}): Snapshot {
  const counters = Array.from({ length: COUNTERS_END }, (_, index) => index);
  counters[DROP_NO_ROUTE] = 7;
  return {
    isReady: true,
    status: STATUS,
    workers: [{ id: 0, counters, gauges: Float64Array.of(100, 20, 460, 5_500, 60_000, 9, 0, 0) }],
    steering: { 'steered-virtual-service': 3, 'passed-icmp': 0 },
    reloads: { taken: 2, refused: 1 },
    ...changes,
  };
}
