// dh: a table of 256 slots, filled with the destinations in turn, weights ignored; the packet's
// destination address names the slot. Linux: net/netfilter/ipvs/ip_vs_dh.c.

import { SCHEDULE_NONE, SCHEDULER_DH } from '../../assembly/shared/codes.ts';
import { HASH_TABLE_SLOTS } from '../../assembly/shared/limits.ts';
import type { DataPlaneMemory } from '../memory/data-plane-memory.ts';
import { isAvailable, isRefusing, tableSlots, tableStart } from './destination-list.ts';
import { hash32 } from './hash-32.ts';
import { destinationKey } from './packet-key.ts';
import type { ListChange, ListOutcome, Scheduler, SchedulerTables } from './scheduler.ts';

export const destinationHash: Scheduler = { name: 'dh', code: SCHEDULER_DH, pick, change };

/** log2 of HASH_TABLE_SLOTS. */
const TABLE_BITS = 8;

function pick(tables: SchedulerTables, service: number, packet: number): number {
  if (tableSlots(tables, service) !== HASH_TABLE_SLOTS) return SCHEDULE_NONE;
  const slot = hash32(destinationKey(tables.memory, packet), TABLE_BITS);
  const destination = tables.memory.u32[tableStart(tables, service) + slot];
  if (destination === 0 || !isAvailable(tables, destination)) return SCHEDULE_NONE;
  return isRefusing(tables, destination) ? SCHEDULE_NONE : destination;
}

function change(_memory: DataPlaneMemory, listChange: ListChange): ListOutcome {
  const { kind, destinations } = listChange;
  if (kind === 'update' || kind === 'unbind') return {};
  const table = new Uint32Array(HASH_TABLE_SLOTS);
  if (destinations.length > 0) {
    for (let slot = 0; slot < HASH_TABLE_SLOTS; slot++) {
      table[slot] = destinations[slot % destinations.length].id;
    }
  }
  return { table };
}
