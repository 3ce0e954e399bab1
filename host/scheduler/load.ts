// How loaded destinations are compared: connections over weight, without division.

import { SCHEDULE_NONE } from '../../assembly/shared/codes.ts';
import {
  activeConnectionsOf,
  inactiveConnectionsOf,
  isOverloaded,
  listLength,
  listStart,
  weightOf,
} from './destination-list.ts';
import type { SchedulerTables } from './scheduler.ts';

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
  const a = loadA * weightB;
  const b = loadB * weightA;
  if (a !== b) return a > b;
  // Products from 2^53 on are rounded. Rounding keeps the order, so only equal ones are in doubt,
  // and those differ by less than 2^31: the low words tell the difference.
  return ((Math.imul(loadA, weightB) - Math.imul(loadB, weightA)) | 0) > 0;
}

/** The destination with the least overhead for its weight; the newest of equals. */
export function leastLoaded(tables: SchedulerTables, service: number): number {
  const { u32 } = tables.memory;
  const start = listStart(tables, service);
  const end = start + listLength(tables, service);
  let least = SCHEDULE_NONE;
  let leastWeight = 0;
  let leastOverhead = 0;
  for (let at = start; at < end; at++) {
    const destination = u32[at];
    if (isOverloaded(tables, destination)) continue;
    const weight = weightOf(tables, destination);
    if (weight <= 0) continue;
    const overhead = overheadOf(tables, destination);
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
