import { activeConnectionsOf, listLength, listStart, weightOf } from './destination-list.ts';
import type { SchedulerTables } from './scheduler.ts';

/**
 * Whether lblc and lblcr leave a destination they would rather stay with: it has more active
 * connections than its weight, and another has less than half its weight of them.
 */
export function isBusyWhileAnotherIdles(
  tables: SchedulerTables,
  service: number,
  destination: number,
): boolean {
  if (activeConnectionsOf(tables, destination) <= weightOf(tables, destination)) return false;
  const { u32 } = tables.memory;
  const start = listStart(tables, service);
  const end = start + listLength(tables, service);
  for (let at = start; at < end; at++) {
    if (activeConnectionsOf(tables, u32[at]) * 2 < weightOf(tables, u32[at])) return true;
  }
  return false;
}
