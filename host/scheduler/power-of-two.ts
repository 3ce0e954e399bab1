// twos: the power of two choices. Two destinations are drawn at random, by weight, and the one with
// less overhead for its weight is chosen, the first of equals. Linux:
// net/netfilter/ipvs/ip_vs_twos.c (which compares in 32 bits; here the comparison cannot overflow).

import { SCHEDULE_NONE, SCHEDULER_TWOS } from '../../assembly/shared/codes.ts';
import { SERVICE_STATE_CURSOR, WORKER_RANDOM } from '../../assembly/shared/layout.ts';
import { isOverloaded, listLength, listStart, weightOf } from './destination-list.ts';
import { isHeavier, overheadOf } from './load.ts';
import { noChange } from './no-change.ts';
import type { Scheduler, SchedulerTables } from './scheduler.ts';

export const powerOfTwo: Scheduler = {
  name: 'twos',
  code: SCHEDULER_TWOS,
  pick,
  change: noChange,
};

/** An xorshift generator stays at 0 for ever when it starts there. */
const SEED = 0x9e3779b9;

function pick(tables: SchedulerTables, service: number): number {
  const total = totalWeight(tables, service);
  if (total === 0) return SCHEDULE_NONE;
  const random = randomState(tables, service);
  // Both ends included: the first destination is a little likelier than its weight says.
  const first = drawn(tables, service, nextRandom(tables.memory.u32, random, total + 1));
  const second = drawn(tables, service, nextRandom(tables.memory.u32, random, total + 1));
  const heavier = isHeavier(
    overheadOf(tables, first),
    weightOf(tables, first),
    overheadOf(tables, second),
    weightOf(tables, second),
  );
  return heavier ? second : first;
}

/** Sum of the weights of the destinations that take connections. */
function totalWeight(tables: SchedulerTables, service: number): number {
  const { u32 } = tables.memory;
  const start = listStart(tables, service);
  const end = start + listLength(tables, service);
  let total = 0;
  for (let at = start; at < end; at++) {
    const weight = weightOf(tables, u32[at]);
    if (weight > 0 && !isOverloaded(tables, u32[at])) total += weight;
  }
  return total;
}

/** The destination at which the weights, added up from the newest on, reach `mark`. */
function drawn(tables: SchedulerTables, service: number, mark: number): number {
  const { u32 } = tables.memory;
  const start = listStart(tables, service);
  const end = start + listLength(tables, service);
  let left = mark;
  let last = SCHEDULE_NONE;
  for (let at = start; at < end; at++) {
    const weight = weightOf(tables, u32[at]);
    if (weight <= 0 || isOverloaded(tables, u32[at])) continue;
    last = u32[at];
    left -= weight;
    if (left <= 0) return last;
  }
  // A threshold was passed since the weights were added up.
  return last;
}

/** Index of the generator's word: the worker's, or without one a word of the service. */
function randomState(tables: SchedulerTables, service: number): number {
  const { memory, worker } = tables;
  if (worker !== 0) return (worker + WORKER_RANDOM) >>> 2;
  return (memory.serviceState(service) + SERVICE_STATE_CURSOR) >>> 2;
}

/** A whole number from 0 to below `range`, each as likely; xorshift of Marsaglia. */
function nextRandom(u32: Uint32Array, index: number, range: number): number {
  let word = u32[index] === 0 ? SEED : u32[index];
  word ^= word << 13;
  word ^= word >>> 17;
  word ^= word << 5;
  u32[index] = word;
  return Math.floor(((word >>> 0) / 0x1_0000_0000) * range);
}
