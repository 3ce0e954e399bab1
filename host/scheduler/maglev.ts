// mh: Maglev hashing. Each destination has its own permutation of the table's 4093 slots; in turns,
// newest first, it takes the next free slots of it, as many as its weight is worth. The client's
// address names the slot, with mh-port its port too; with mh-fallback a client of a destination
// that takes no connections is sent elsewhere. Linux: net/netfilter/ipvs/ip_vs_mh.c.
//
// Slots go by the last weight that was not 0: quiescing a destination moves nobody else's clients.

import {
  SCHEDULE_NONE,
  SCHEDULER_MH,
  SERVICE_SCHED1,
  SERVICE_SCHED2,
} from '../../assembly/shared/codes.ts';
import { MAGLEV_SLOTS } from '../../assembly/shared/limits.ts';
import { IpvsError } from '../ipvs/types.ts';
import type { DataPlaneMemory } from '../memory/data-plane-memory.ts';
import { isRefusing, serviceFlags, tableSlots, tableStart } from './destination-list.ts';
import { commonDivisorOfWeights } from './greatest-common-divisor.ts';
import { clientKey, clientPort } from './packet-key.ts';
import type {
  ListChange,
  ListedDestination,
  ListOutcome,
  Scheduler,
  SchedulerTables,
} from './scheduler.ts';
import { sipHash13 } from './sip-hash.ts';

export const maglev: Scheduler = { name: 'mh', code: SCHEDULER_MH, pick, change };

const MH_FALLBACK = SERVICE_SCHED1;
const MH_PORT = SERVICE_SCHED2;
/** Keys of the hashes for a slot (a client's, or a destination's first) and for a stride. */
const SLOT_KEY = 2654435761;
const STRIDE_KEY = 2654446892;
/** Turns are cut to this many bits (CONFIG_IP_VS_MH_TAB_INDEX / 2). */
const TURN_BITS = 6;

function pick(tables: SchedulerTables, service: number, packet: number): number {
  if (tableSlots(tables, service) !== MAGLEV_SLOTS) return SCHEDULE_NONE;
  const { memory } = tables;
  const flags = serviceFlags(tables, service);
  const port = (flags & MH_PORT) === 0 ? 0 : clientPort(memory, packet);
  const key = (clientKey(memory, packet) + port) >>> 0;
  const slot = sipHash13(key, SLOT_KEY) % MAGLEV_SLOTS;
  const start = tableStart(tables, service);
  const destination = memory.u32[start + slot];
  if (destination === 0) return SCHEDULE_NONE;
  if (!isRefusing(tables, destination)) return destination;
  return (flags & MH_FALLBACK) === 0 ? SCHEDULE_NONE : pickAnother(tables, start, slot, key);
}

/** Hashes the client anew, moved by every number below MAGLEV_SLOTS in turn, the slot's first. */
function pickAnother(tables: SchedulerTables, start: number, slot: number, key: number): number {
  const { u32 } = tables.memory;
  for (let tried = 0; tried < MAGLEV_SLOTS; tried++) {
    const offset = (slot + tried) % MAGLEV_SLOTS;
    const other = sipHash13((key + offset) >>> 0, SLOT_KEY) % MAGLEV_SLOTS;
    const destination = u32[start + other];
    if (destination === 0) return SCHEDULE_NONE;
    if (!isRefusing(tables, destination)) return destination;
  }
  return SCHEDULE_NONE;
}

function change(_memory: DataPlaneMemory, listChange: ListChange): ListOutcome {
  const { kind, destinations, family } = listChange;
  if (kind === 'unbind') return {};
  if (destinations.length > MAGLEV_SLOTS) {
    // The kernel looks at the scheduler's answer when it is bound, and never again.
    if (kind !== 'bind') return {};
    throw new IpvsError('EINVAL', `mh serves ${MAGLEV_SLOTS} destinations at most`);
  }
  return { table: buildTable(destinations, family) };
}

/** A destination while the table is filled. */
interface Claimant {
  readonly id: number;
  readonly stride: number;
  /** Slots it takes when its turn comes. */
  readonly turns: number;
  /** The next slot of its permutation. */
  slot: number;
}

/**
 * Fills a Maglev table.
 * @param destinations newest first
 * @param family of the service
 * @returns a destination id for each slot; all 0 when no destination ever had a weight
 */
function buildTable(
  destinations: readonly ListedDestination[],
  family: 4 | 6 | undefined,
): Uint32Array {
  const table = new Uint32Array(MAGLEV_SLOTS);
  const claimants = claimantsOf(destinations, family);
  let free = claimants.length > 0 ? MAGLEV_SLOTS : 0;
  while (free > 0) {
    for (const claimant of claimants) {
      for (let turn = 0; turn < claimant.turns && free > 0; turn++) {
        while (table[claimant.slot] !== 0) {
          claimant.slot = (claimant.slot + claimant.stride) % MAGLEV_SLOTS;
        }
        table[claimant.slot] = claimant.id;
        free--;
      }
    }
  }
  return table;
}

function claimantsOf(
  destinations: readonly ListedDestination[],
  family: 4 | 6 | undefined,
): Claimant[] {
  const weights = destinations.map((destination) => destination.lastWeight);
  const divisor = commonDivisorOfWeights(weights);
  if (divisor === 0) return [];
  const greatest = weights.reduce((most, weight) => Math.max(most, weight), 0) / divisor;
  const shift = Math.max(0, 32 - Math.clz32(greatest) - TURN_BITS);
  return destinations
    .filter((destination) => destination.lastWeight > 0)
    .map((destination) => {
      const key = (foldAddress(destination, family) + destination.port) >>> 0;
      return {
        id: destination.id,
        stride: (sipHash13(key, STRIDE_KEY) % (MAGLEV_SLOTS - 1)) + 1,
        turns: Math.max(1, (destination.lastWeight / divisor) >>> shift),
        slot: sipHash13(key, SLOT_KEY) % MAGLEV_SLOTS,
      };
    });
}

/**
 * One u32 for an address, host order. The kernel reads a destination's address as one of the
 * service's family, whatever its own is.
 */
function foldAddress(destination: ListedDestination, family: 4 | 6 | undefined): number {
  const { address } = destination;
  const view = new DataView(address.buffer, address.byteOffset, address.byteLength);
  const words = (family ?? destination.family) === 6 ? address.length / 4 : 1;
  let folded = 0;
  for (let word = 0; word < words; word++) folded ^= view.getUint32(word * 4);
  return folded >>> 0;
}
