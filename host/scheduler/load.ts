// How loaded destinations are compared: connections over weight, without division.

import { DESTINATION_OVERLOAD, SCHEDULE_NONE } from '../../assembly/shared/codes.ts';
import {
  DESTINATION_SIZE,
  DESTINATION_STATE_ACTIVE,
  DESTINATION_STATE_FLAGS,
  DESTINATION_STATE_INACTIVE,
  DESTINATION_STATE_SIZE,
  DESTINATION_WEIGHT,
} from '../../assembly/shared/layout.ts';
import {
  activeConnectionsOf,
  destinationStateWords,
  destinationWords,
  inactiveConnectionsOf,
  isOverloaded,
  listLength,
  listStart,
  weightOf,
} from './destination-list.ts';
import type { SchedulerTables } from './scheduler.ts';

// Indices of words, for the loop that wlc runs over all servers with every connection.
const RECORD_WORDS = DESTINATION_SIZE >>> 2;
const STATE_WORDS = DESTINATION_STATE_SIZE >>> 2;
const WEIGHT_WORD = DESTINATION_WEIGHT >>> 2;
const FLAGS_WORD = DESTINATION_STATE_FLAGS >>> 2;
const ACTIVE_WORD = DESTINATION_STATE_ACTIVE >>> 2;
const INACTIVE_WORD = DESTINATION_STATE_INACTIVE >>> 2;

/** What a destination's connections cost it, i32: an active one weighs as much as 256 inactive. */
export function overheadOf(tables: SchedulerTables, destination: number): number {
  const active = activeConnectionsOf(tables, destination);
  return ((active << 8) + inactiveConnectionsOf(tables, destination)) | 0;
}

/**
 * Whether loadA / weightA is greater than loadB / weightB, exactly, for i32 arguments and weights
 * that are not negative: loadA * weightB is compared with loadB * weightA.
 */
export function isHeavier(loadA: number, weightA: number, loadB: number, weightB: number): boolean {
  // As nearly all services have it.
  if (weightA === weightB) return loadA > loadB && weightA > 0;
  const a = loadA * weightB;
  const b = loadB * weightA;
  if (a !== b) return a > b;
  // Products from 2^53 on are rounded. Rounding keeps the order, so only equal ones are in doubt,
  // and those differ by less than 2^31: the low words tell the difference.
  return ((Math.imul(loadA, weightB) - Math.imul(loadB, weightA)) | 0) > 0;
}

/** The destination with the least overhead for its weight; the newest of equals. */
export function leastLoaded(tables: SchedulerTables, service: number): number {
  const { u32, i32 } = tables.memory;
  const records = destinationWords(tables);
  const states = destinationStateWords(tables);
  const start = listStart(tables, service);
  const end = start + listLength(tables, service);
  let least = SCHEDULE_NONE;
  let leastWeight = 0;
  let leastOverhead = 0;
  for (let at = start; at < end; at++) {
    const destination = u32[at];
    const state = states + Math.imul(destination, STATE_WORDS);
    if ((i32[state + FLAGS_WORD] & DESTINATION_OVERLOAD) !== 0) continue;
    const weight = i32[records + Math.imul(destination, RECORD_WORDS) + WEIGHT_WORD];
    if (weight <= 0) continue;
    const overhead = ((i32[state + ACTIVE_WORD] << 8) + i32[state + INACTIVE_WORD]) | 0;
    if (least !== SCHEDULE_NONE && !isHeavier(leastOverhead, leastWeight, overhead, weight))
      continue;
    least = destination;
    leastWeight = weight;
    leastOverhead = overhead;
  }
  return least;
}

/**
 * The destination with the shortest expected delay: the new connection counted in, inactive ones
 * left out; the newest of equals.
 */
export function shortestExpectedDelay(tables: SchedulerTables, service: number): number {
  const { u32 } = tables.memory;
  const start = listStart(tables, service);
  const end = start + listLength(tables, service);
  let least = SCHEDULE_NONE;
  let leastWeight = 0;
  let leastDelay = 0;
  for (let at = start; at < end; at++) {
    const destination = u32[at];
    if (isOverloaded(tables, destination)) continue;
    const weight = weightOf(tables, destination);
    if (weight <= 0) continue;
    const delay = activeConnectionsOf(tables, destination) + 1;
    if (least !== SCHEDULE_NONE && !isHeavier(leastDelay, leastWeight, delay, weight)) continue;
    least = destination;
    leastWeight = weight;
    leastDelay = delay;
  }
  return least;
}
