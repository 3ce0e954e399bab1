// rr: one after the other, from the newest destination to the oldest, weights ignored but for 0.
// Linux: net/netfilter/ipvs/ip_vs_rr.c.

import { SCHEDULE_NONE, SCHEDULER_RR } from '../../assembly/shared/codes.ts';
import {
  SERVICE_STATE_CURSOR,
  SERVICE_STATE_CURSOR_POSITION,
} from '../../assembly/shared/layout.ts';
import type { DataPlaneMemory } from '../memory/data-plane-memory.ts';
import {
  isOverloaded,
  listLength,
  listStart,
  positionInList,
  weightOf,
} from './destination-list.ts';
import type { ListChange, ListOutcome, Scheduler, SchedulerTables } from './scheduler.ts';

export const roundRobin: Scheduler = { name: 'rr', code: SCHEDULER_RR, pick, change };

/** Words from the cursor to its position, which is only a hint: the cursor alone counts. */
const CURSOR_TO_POSITION = (SERVICE_STATE_CURSOR_POSITION - SERVICE_STATE_CURSOR) >>> 2;

function pick(tables: SchedulerTables, service: number): number {
  const { u32 } = tables.memory;
  const cursorAt = (tables.memory.serviceState(service) + SERVICE_STATE_CURSOR) >>> 2;
  const positionAt = cursorAt + CURSOR_TO_POSITION;
  const start = listStart(tables, service);
  const count = listLength(tables, service);
  for (;;) {
    const cursor = u32[cursorAt];
    const position = nextPosition(tables, start, count, cursor, u32[positionAt]);
    if (position < 0) return SCHEDULE_NONE;
    const destination = u32[start + position];
    // Whoever was chosen meanwhile has moved the cursor: what comes next is another one then.
    if (Atomics.compareExchange(u32, cursorAt, cursor, destination) !== cursor) continue;
    u32[positionAt] = position;
    return destination;
  }
}

/**
 * Tries every destination once, the one after the cursor first and the cursor's own last.
 * @param hint where the cursor stood when it was set
 * @returns the position of the first that takes connections, or -1
 */
function nextPosition(
  tables: SchedulerTables,
  start: number,
  count: number,
  cursor: number,
  hint: number,
): number {
  const { u32 } = tables.memory;
  let position = firstPosition(u32, start, count, cursor, hint);
  for (let tried = 0; tried < count; tried++) {
    if (position >= count) position = 0;
    const destination = u32[start + position];
    if (!isOverloaded(tables, destination) && weightOf(tables, destination) > 0) return position;
    position++;
  }
  return -1;
}

function firstPosition(
  u32: Uint32Array,
  start: number,
  count: number,
  cursor: number,
  hint: number,
): number {
  if (cursor === 0) return 0;
  const position = positionInList(u32, start, count, cursor, hint);
  // A worker that had not adopted the newest list yet can leave the cursor on a destination that is
  // gone from it. What came after that destination has moved up into its place.
  return position < 0 ? hint : position + 1;
}

function change(memory: DataPlaneMemory, listChange: ListChange): ListOutcome {
  const { kind, serviceId, destinations, changed, position } = listChange;
  const cursorAt = (memory.serviceState(serviceId) + SERVICE_STATE_CURSOR) >>> 2;
  if (kind === 'bind') {
    memory.u32[cursorAt + CURSOR_TO_POSITION] = 0;
    Atomics.store(memory.u32, cursorAt, 0);
  } else if (kind === 'delete' && changed !== undefined) {
    // The cursor goes to the predecessor, so that the successor is next; to the head without one.
    const predecessor = position > 0 ? destinations[position - 1].id : 0;
    const found = Atomics.compareExchange(memory.u32, cursorAt, changed.id, predecessor);
    if (found === changed.id) {
      memory.u32[cursorAt + CURSOR_TO_POSITION] = Math.max(position - 1, 0);
    }
  }
  return {};
}
