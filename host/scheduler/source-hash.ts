// sh: a table of 256 slots, filled newest first, each destination taking as many slots in a row as
// its weight says (one when it is 0); the client's address names the slot, with sh-port its port
// too. With sh-fallback a client of a destination that takes no connections is sent elsewhere.
// Linux: net/netfilter/ipvs/ip_vs_sh.c.

import {
  SCHEDULE_NONE,
  SCHEDULER_SH,
  SERVICE_SCHED1,
  SERVICE_SCHED2,
} from '../../assembly/shared/codes.ts';
import { HASH_TABLE_SLOTS } from '../../assembly/shared/limits.ts';
import type { DataPlaneMemory } from '../memory/data-plane-memory.ts';
import { isRefusing, serviceFlags, tableSlots, tableStart } from './destination-list.ts';
import { hash32 } from './hash-32.ts';
import { clientKey, clientPort } from './packet-key.ts';
import type { ListChange, ListOutcome, Scheduler, SchedulerTables } from './scheduler.ts';

export const sourceHash: Scheduler = { name: 'sh', code: SCHEDULER_SH, pick, change };

const SH_FALLBACK = SERVICE_SCHED1;
const SH_PORT = SERVICE_SCHED2;
/** log2 of HASH_TABLE_SLOTS. */
const TABLE_BITS = 8;
const SLOT_MASK = HASH_TABLE_SLOTS - 1;

function pick(tables: SchedulerTables, service: number, packet: number): number {
  if (tableSlots(tables, service) !== HASH_TABLE_SLOTS) return SCHEDULE_NONE;
  const { memory } = tables;
  const flags = serviceFlags(tables, service);
  const port = (flags & SH_PORT) === 0 ? 0 : clientPort(memory, packet);
  const slot = hash32(clientKey(memory, packet) + port, TABLE_BITS);
  const start = tableStart(tables, service);
  const destination = memory.u32[start + slot];
  if (destination === 0) return SCHEDULE_NONE;
  if (!isRefusing(tables, destination)) return destination;
  return (flags & SH_FALLBACK) === 0 ? SCHEDULE_NONE : pickAnother(tables, start, slot);
}

/** Goes round the table, beginning as far behind the client's slot as that is behind slot 0. */
function pickAnother(tables: SchedulerTables, start: number, slot: number): number {
  const { u32 } = tables.memory;
  for (let offset = 0; offset < HASH_TABLE_SLOTS; offset++) {
    const destination = u32[start + ((slot + slot + offset) & SLOT_MASK)];
    if (destination === 0) return SCHEDULE_NONE;
    if (!isRefusing(tables, destination)) return destination;
  }
  return SCHEDULE_NONE;
}

function change(_memory: DataPlaneMemory, listChange: ListChange): ListOutcome {
  const { kind, destinations } = listChange;
  if (kind === 'unbind') return {};
  const table = new Uint32Array(HASH_TABLE_SLOTS);
  if (destinations.length === 0) return { table };
  let position = 0;
  let taken = 0;
  for (let slot = 0; slot < HASH_TABLE_SLOTS; slot++) {
    const destination = destinations[position];
    table[slot] = destination.id;
    taken++;
    if (taken < destination.weight) continue;
    taken = 0;
    position = (position + 1) % destinations.length;
  }
  return { table };
}
