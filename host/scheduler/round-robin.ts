// rr: one after the other, from the newest destination to the oldest, weights ignored but for 0.
// Linux: net/netfilter/ipvs/ip_vs_rr.c.

import { SCHEDULE_NONE, SCHEDULER_RR } from '../../assembly/shared/codes.ts';
import {
  SERVICE_STATE_CURSOR,
  SERVICE_STATE_CURSOR_POSITION,
  SERVICE_STATE_LOCK,
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
import { acquireLock, releaseLock } from './spin-lock.ts';

export const roundRobin: Scheduler = { name: 'rr', code: SCHEDULER_RR, pick, change };

function pick(tables: SchedulerTables, service: number): number {
  const { memory, worker } = tables;
  const state = memory.serviceState(service);
  acquireLock(memory, state + SERVICE_STATE_LOCK, worker);
  const chosen = advance(tables, service, state);
  releaseLock(memory, state + SERVICE_STATE_LOCK, worker);
  return chosen;
}

/** Tries every destination once, the one after the cursor first and the cursor's own last. */
function advance(tables: SchedulerTables, service: number, state: number): number {
  const { u32 } = tables.memory;
  const start = listStart(tables, service);
  const count = listLength(tables, service);
  let position = firstPosition(u32, start, count, state);
  for (let tried = 0; tried < count; tried++) {
    if (position >= count) position = 0;
    const destination = u32[start + position];
    if (!isOverloaded(tables, destination) && weightOf(tables, destination) > 0) {
      u32[(state + SERVICE_STATE_CURSOR) >>> 2] = destination;
      u32[(state + SERVICE_STATE_CURSOR_POSITION) >>> 2] = position;
      return destination;
    }
    position++;
  }
  return SCHEDULE_NONE;
}

function firstPosition(u32: Uint32Array, start: number, count: number, state: number): number {
  const cursor = u32[(state + SERVICE_STATE_CURSOR) >>> 2];
  if (cursor === 0) return 0;
  const hint = u32[(state + SERVICE_STATE_CURSOR_POSITION) >>> 2];
  const position = positionInList(u32, start, count, cursor, hint);
  // A worker that had not adopted the newest list yet can leave the cursor on a destination that is
  // gone from it. What came after that destination has moved up into its place.
  return position < 0 ? hint : position + 1;
}

function change(memory: DataPlaneMemory, listChange: ListChange): ListOutcome {
  const { kind, serviceId, destinations, changed, position } = listChange;
  const state = memory.serviceState(serviceId);
  acquireLock(memory, state + SERVICE_STATE_LOCK, 0);
  if (kind === 'bind') {
    moveCursor(memory, state, 0, 0);
  } else if (
    kind === 'delete' &&
    changed !== undefined &&
    memory.u32[(state + SERVICE_STATE_CURSOR) >>> 2] === changed.id
  ) {
    // The cursor goes to the predecessor, so that the successor is next; to the head without one.
    const predecessor = position > 0 ? destinations[position - 1].id : 0;
    moveCursor(memory, state, predecessor, Math.max(position - 1, 0));
  }
  releaseLock(memory, state + SERVICE_STATE_LOCK, 0);
  return {};
}

function moveCursor(
  memory: DataPlaneMemory,
  state: number,
  destination: number,
  position: number,
): void {
  memory.u32[(state + SERVICE_STATE_CURSOR) >>> 2] = destination;
  memory.u32[(state + SERVICE_STATE_CURSOR_POSITION) >>> 2] = position;
}
