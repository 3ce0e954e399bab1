// wrr: rounds over the list, newest first, at a falling weight level: at level L each destination
// of weight L or more is chosen once. Levels fall by the greatest common divisor of the weights
// from the greatest weight (less the divisor, plus 1) to 1. Linux: net/netfilter/ipvs/ip_vs_wrr.c.

import { SCHEDULE_NONE, SCHEDULER_WRR } from '../../assembly/shared/codes.ts';
import {
  SERVICE_STATE_CURRENT_WEIGHT,
  SERVICE_STATE_CURSOR,
  SERVICE_STATE_CURSOR_POSITION,
  SERVICE_STATE_LOCK,
  SERVICE_STATE_MAX_WEIGHT,
  SERVICE_STATE_WEIGHT_STEP,
} from '../../assembly/shared/layout.ts';
import type { DataPlaneMemory } from '../memory/data-plane-memory.ts';
import {
  isOverloaded,
  listLength,
  listStart,
  positionInList,
  weightOf,
} from './destination-list.ts';
import { commonDivisorOfWeights } from './greatest-common-divisor.ts';
import type { ListChange, ListOutcome, Scheduler, SchedulerTables } from './scheduler.ts';
import { acquireLock, releaseLock } from './spin-lock.ts';

export const weightedRoundRobin: Scheduler = { name: 'wrr', code: SCHEDULER_WRR, pick, change };

/** Position of "before the first destination", where a new round begins. */
const HEAD = -1;
/** A position no destination has. */
const NOWHERE = -2;

function pick(tables: SchedulerTables, service: number): number {
  const { memory, worker } = tables;
  const state = memory.serviceState(service);
  acquireLock(memory, state + SERVICE_STATE_LOCK, worker);
  const highest = memory.i32[(state + SERVICE_STATE_MAX_WEIGHT) >>> 2];
  const chosen = highest === 0 ? SCHEDULE_NONE : advance(tables, service, state, highest);
  releaseLock(memory, state + SERVICE_STATE_LOCK, worker);
  return chosen;
}

/** Goes on behind the cursor until a destination fits the level, or none can any more. */
function advance(tables: SchedulerTables, service: number, state: number, highest: number): number {
  const { u32, i32 } = tables.memory;
  const start = listStart(tables, service);
  const count = listLength(tables, service);
  const step = i32[(state + SERVICE_STATE_WEIGHT_STEP) >>> 2];
  const cursor = cursorPosition(u32, start, count, state);
  let level = i32[(state + SERVICE_STATE_CURRENT_WEIGHT) >>> 2];
  let position = cursor + 1;
  let stop = NOWHERE;
  let restarted = false;
  let lastLevel = false;
  for (;;) {
    const wholeList = position === 0;
    let greatest = 0;
    for (; position < count; position++) {
      const destination = u32[start + position];
      if (!isOverloaded(tables, destination)) {
        const weight = weightOf(tables, destination);
        if (weight >= level) {
          storeMark(tables.memory, state, destination, position, level);
          return destination;
        }
        if (weight > greatest) greatest = weight;
      }
      if (position === stop) {
        // Everybody was asked for a weight of 1. The cursor stays, the level does not.
        i32[(state + SERVICE_STATE_CURRENT_WEIGHT) >>> 2] = level;
        return SCHEDULE_NONE;
      }
    }
    level -= step;
    if (level <= 0) {
      level = highest;
      if (lastLevel || cursor === HEAD) {
        storeMark(tables.memory, state, 0, 0, level);
        return SCHEDULE_NONE;
      }
      restarted = true;
    }
    if (wholeList) level = skipLevels(level, step, greatest);
    lastLevel = level <= step;
    // What stands behind the cursor was asked for a weight of 1 already: the cursor is the end.
    if (lastLevel && restarted && cursor !== HEAD) stop = cursor;
    position = 0;
  }
}

/**
 * The next level at which a destination of the weight `greatest` fits, or level 1. The rounds left
 * out would choose nobody; there could be 2^31 of them.
 */
function skipLevels(level: number, step: number, greatest: number): number {
  if (greatest >= level) return level;
  // Every level is 1 more than a multiple of the step.
  const fitting = greatest <= 1 ? 1 : 1 + Math.floor((greatest - 1) / step) * step;
  return Math.min(fitting, level);
}

function cursorPosition(u32: Uint32Array, start: number, count: number, state: number): number {
  const cursor = u32[(state + SERVICE_STATE_CURSOR) >>> 2];
  if (cursor === 0) return HEAD;
  const hint = u32[(state + SERVICE_STATE_CURSOR_POSITION) >>> 2];
  // A destination that is gone (left behind by a worker with an older list) counts as the head.
  return positionInList(u32, start, count, cursor, hint);
}

function storeMark(
  memory: DataPlaneMemory,
  state: number,
  destination: number,
  position: number,
  level: number,
): void {
  memory.u32[(state + SERVICE_STATE_CURSOR) >>> 2] = destination;
  memory.u32[(state + SERVICE_STATE_CURSOR_POSITION) >>> 2] = position;
  memory.i32[(state + SERVICE_STATE_CURRENT_WEIGHT) >>> 2] = level;
}

function change(memory: DataPlaneMemory, listChange: ListChange): ListOutcome {
  const { kind, serviceId, destinations } = listChange;
  if (kind === 'unbind') return {};
  const weights = destinations.map((destination) => destination.weight);
  const step = commonDivisorOfWeights(weights) || 1;
  const greatest = weights.reduce((most, weight) => Math.max(most, weight), 0);
  const highest = greatest - (step - 1);
  const state = memory.serviceState(serviceId);
  acquireLock(memory, state + SERVICE_STATE_LOCK, 0);
  const level = memory.i32[(state + SERVICE_STATE_CURRENT_WEIGHT) >>> 2];
  memory.i32[(state + SERVICE_STATE_WEIGHT_STEP) >>> 2] = step;
  memory.i32[(state + SERVICE_STATE_MAX_WEIGHT) >>> 2] = highest;
  const next = kind === 'bind' ? highest : levelAfterChange(level, step, highest);
  storeMark(memory, state, 0, 0, next);
  releaseLock(memory, state + SERVICE_STATE_LOCK, 0);
  return {};
}

/** The level is kept as far as the new weights have it. */
function levelAfterChange(level: number, step: number, highest: number): number {
  if (level > highest || level === 0) return highest;
  return step > 1 ? Math.floor(level / step) * step + 1 : level;
}
