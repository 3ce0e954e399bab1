// A service's destinations as `pick` sees them: the published list and tables, and the running
// state of each destination. Every function is a load or two; indices count u32 words of linear
// memory.

import { DESTINATION_AVAILABLE, DESTINATION_OVERLOAD } from '../../assembly/shared/codes.ts';
import {
  DESTINATION_STATE_ACTIVE,
  DESTINATION_STATE_FLAGS,
  DESTINATION_STATE_INACTIVE,
  DESTINATION_WEIGHT,
  SERVICE_DESTINATION_COUNT,
  SERVICE_DESTINATION_LIST,
  SERVICE_FLAGS,
  SERVICE_SCHEDULER_SLOTS,
  SERVICE_SCHEDULER_TABLE,
} from '../../assembly/shared/layout.ts';
import type { SchedulerTables } from './scheduler.ts';

/** Index of the first id of the service's list, the newest destination's. */
export function listStart(tables: SchedulerTables, service: number): number {
  const { memory, bank } = tables;
  const record = memory.service(bank, service);
  return (bank + memory.u32[(record + SERVICE_DESTINATION_LIST) >>> 2]) >>> 2;
}

/** Number of destinations in the service's list. */
export function listLength(tables: SchedulerTables, service: number): number {
  const { memory, bank } = tables;
  return memory.u32[(memory.service(bank, service) + SERVICE_DESTINATION_COUNT) >>> 2];
}

/** Index of the first slot of the scheduler's table. */
export function tableStart(tables: SchedulerTables, service: number): number {
  const { memory, bank } = tables;
  const record = memory.service(bank, service);
  return (bank + memory.u32[(record + SERVICE_SCHEDULER_TABLE) >>> 2]) >>> 2;
}

/** Number of slots of the scheduler's table; 0 before the first one is published. */
export function tableSlots(tables: SchedulerTables, service: number): number {
  const { memory, bank } = tables;
  return memory.u32[(memory.service(bank, service) + SERVICE_SCHEDULER_SLOTS) >>> 2];
}

/** SERVICE_* bits. */
export function serviceFlags(tables: SchedulerTables, service: number): number {
  const { memory, bank } = tables;
  return memory.u32[(memory.service(bank, service) + SERVICE_FLAGS) >>> 2];
}

/** Index of the first destination's record in the bank, that of id 0. */
export function destinationWords({ memory, bank }: SchedulerTables): number {
  return memory.destination(bank, 0) >>> 2;
}

/** Index of the first destination's running state, that of id 0. */
export function destinationStateWords({ memory }: SchedulerTables): number {
  return memory.destinationState(0) >>> 2;
}

/** Configured weight; 0 is quiesced. */
export function weightOf(tables: SchedulerTables, destination: number): number {
  const { memory, bank } = tables;
  return memory.i32[(memory.destination(bank, destination) + DESTINATION_WEIGHT) >>> 2];
}

/** Whether the destination reached its upper threshold and is not yet below the lower one. */
export function isOverloaded(tables: SchedulerTables, destination: number): boolean {
  const { memory } = tables;
  const state = memory.destinationState(destination);
  return (memory.u32[(state + DESTINATION_STATE_FLAGS) >>> 2] & DESTINATION_OVERLOAD) !== 0;
}

/** Whether the destination is in a service's list, not in the trash. */
export function isAvailable(tables: SchedulerTables, destination: number): boolean {
  const { memory } = tables;
  const state = memory.destinationState(destination);
  return (memory.u32[(state + DESTINATION_STATE_FLAGS) >>> 2] & DESTINATION_AVAILABLE) !== 0;
}

/** Whether the hash schedulers pass the destination over: quiesced or overloaded. */
export function isRefusing(tables: SchedulerTables, destination: number): boolean {
  return weightOf(tables, destination) <= 0 || isOverloaded(tables, destination);
}

/** Active connections. */
export function activeConnectionsOf(tables: SchedulerTables, destination: number): number {
  const { memory } = tables;
  return memory.i32[(memory.destinationState(destination) + DESTINATION_STATE_ACTIVE) >>> 2];
}

/** Inactive connections. */
export function inactiveConnectionsOf(tables: SchedulerTables, destination: number): number {
  const { memory } = tables;
  return memory.i32[(memory.destinationState(destination) + DESTINATION_STATE_INACTIVE) >>> 2];
}

/**
 * Where a destination stands in a list of ids.
 * @param hint the position it had when it was last looked for
 * @returns its position, or -1
 */
export function positionInList(
  ids: Uint32Array,
  start: number,
  count: number,
  destination: number,
  hint: number,
): number {
  if (hint < count && ids[start + hint] === destination) return hint;
  for (let position = 0; position < count; position++) {
    if (ids[start + position] === destination) return position;
  }
  return -1;
}
