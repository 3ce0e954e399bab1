// lc: the destination with the least overhead, weights ignored but for 0; the newest of equals.
// Linux: net/netfilter/ipvs/ip_vs_lc.c.

import { SCHEDULE_NONE, SCHEDULER_LC } from '../../assembly/shared/codes.ts';
import { isOverloaded, listLength, listStart, weightOf } from './destination-list.ts';
import { overheadOf } from './load.ts';
import { noChange } from './no-change.ts';
import type { Scheduler, SchedulerTables } from './scheduler.ts';

export const leastConnection: Scheduler = {
  name: 'lc',
  code: SCHEDULER_LC,
  pick,
  change: noChange,
};

function pick(tables: SchedulerTables, service: number): number {
  const { u32 } = tables.memory;
  const start = listStart(tables, service);
  const end = start + listLength(tables, service);
  let least = SCHEDULE_NONE;
  let leastOverhead = 0;
  for (let at = start; at < end; at++) {
    const destination = u32[at];
    if (isOverloaded(tables, destination) || weightOf(tables, destination) === 0) continue;
    // Unsigned here, as in the kernel.
    const overhead = overheadOf(tables, destination) >>> 0;
    if (least !== SCHEDULE_NONE && overhead >= leastOverhead) continue;
    least = destination;
    leastOverhead = overhead;
  }
  return least;
}
