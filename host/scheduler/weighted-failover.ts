// fo: the destination with the greatest weight, the newest of equals.
// Linux: net/netfilter/ipvs/ip_vs_fo.c.

import { SCHEDULE_NONE, SCHEDULER_FO } from '../../assembly/shared/codes.ts';
import { isOverloaded, listLength, listStart, weightOf } from './destination-list.ts';
import { noChange } from './no-change.ts';
import type { Scheduler, SchedulerTables } from './scheduler.ts';

export const weightedFailover: Scheduler = {
  name: 'fo',
  code: SCHEDULER_FO,
  pick,
  change: noChange,
};

function pick(tables: SchedulerTables, service: number): number {
  const { u32 } = tables.memory;
  const start = listStart(tables, service);
  const end = start + listLength(tables, service);
  let chosen = SCHEDULE_NONE;
  let greatest = 0;
  for (let at = start; at < end; at++) {
    const destination = u32[at];
    const weight = weightOf(tables, destination);
    if (weight <= greatest || isOverloaded(tables, destination)) continue;
    chosen = destination;
    greatest = weight;
  }
  return chosen;
}
