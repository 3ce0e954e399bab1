// nq: an idle destination at once, the newest first; the shortest expected delay when none is idle.
// Linux: net/netfilter/ipvs/ip_vs_nq.c.

import { SCHEDULER_NQ } from '../../assembly/shared/codes.ts';
import {
  activeConnectionsOf,
  isOverloaded,
  listLength,
  listStart,
  weightOf,
} from './destination-list.ts';
import { shortestExpectedDelay } from './load.ts';
import { noChange } from './no-change.ts';
import type { Scheduler, SchedulerTables } from './scheduler.ts';

export const neverQueue: Scheduler = { name: 'nq', code: SCHEDULER_NQ, pick, change: noChange };

function pick(tables: SchedulerTables, service: number): number {
  const { u32 } = tables.memory;
  const start = listStart(tables, service);
  const end = start + listLength(tables, service);
  for (let at = start; at < end; at++) {
    const destination = u32[at];
    if (activeConnectionsOf(tables, destination) !== 0) continue;
    if (isOverloaded(tables, destination) || weightOf(tables, destination) === 0) continue;
    return destination;
  }
  return shortestExpectedDelay(tables, service);
}
