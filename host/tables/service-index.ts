// The service index of a bank: u32 service ids in open addressing, 0 for a free slot. The keys are in
// the service records of the same bank, so the bank alone says what it holds.

import {
  SERVICE_ADDRESS,
  SERVICE_FAMILY,
  SERVICE_MARK,
  SERVICE_PORT,
  SERVICE_PROTOCOL,
} from '../../assembly/shared/layout.ts';
import type { DataPlaneMemory } from '../memory/data-plane-memory.ts';
import { type Family, markHash, serviceHash, swapPort } from './hash.ts';
import { sameBytes } from './local-addresses.ts';

/** Hash of a service by its record. */
export function recordHash(memory: DataPlaneMemory, record: number): number {
  const { u8, u16, u32 } = memory;
  const family = u8[record + SERVICE_FAMILY] as Family;
  const mark = u32[(record + SERVICE_MARK) >>> 2];
  if (mark !== 0) return markHash(family, mark);
  const protocol = u8[record + SERVICE_PROTOCOL];
  const portBe = u16[(record + SERVICE_PORT) >>> 1];
  return serviceHash(family, protocol, portBe, u8, record + SERVICE_ADDRESS);
}

/** Adds a service whose record in the bank is already written. The index is never full. */
export function insertService(memory: DataPlaneMemory, bank: number, id: number): void {
  const { u32 } = memory;
  const first = indexStart(memory, bank);
  const mask = memory.map.serviceIndexSlots - 1;
  let slot = recordHash(memory, memory.service(bank, id)) & mask;
  while (u32[first + slot] !== 0) slot = (slot + 1) & mask;
  u32[first + slot] = id;
}

/** Removes a service whose record in the bank is still the one it was added with. */
export function removeService(memory: DataPlaneMemory, bank: number, id: number): void {
  const { u32 } = memory;
  const first = indexStart(memory, bank);
  const mask = memory.map.serviceIndexSlots - 1;
  let gap = recordHash(memory, memory.service(bank, id)) & mask;
  while (u32[first + gap] !== id) {
    if (u32[first + gap] === 0) throw new Error(`service ${id} is missing in the service index`);
    gap = (gap + 1) & mask;
  }
  for (let slot = (gap + 1) & mask; u32[first + slot] !== 0; slot = (slot + 1) & mask) {
    const home = recordHash(memory, memory.service(bank, u32[first + slot])) & mask;
    // An id may move back only as far as its home slot, distances taken around the end.
    if (((slot - home) & mask) < ((slot - gap) & mask)) continue;
    u32[first + gap] = u32[first + slot];
    gap = slot;
  }
  u32[first + gap] = 0;
}

/** Index, in u32 units, of the service index's first slot. */
function indexStart(memory: DataPlaneMemory, bank: number): number {
  return (bank + memory.map.bank.serviceIndex) >>> 2;
}

/** What a service is looked up by. */
export type ServiceLookup =
  | {
      readonly family: Family;
      /** IANA number. */
      readonly protocol: number;
      readonly address: Uint8Array;
      /** Host order. */
      readonly port: number;
    }
  | { readonly family: Family; readonly mark: number };

/**
 * The service with exactly this key in a bank, as the data plane would find it.
 * @returns its id, or 0
 */
export function findService(memory: DataPlaneMemory, bank: number, key: ServiceLookup): number {
  const { u32 } = memory;
  const first = indexStart(memory, bank);
  const mask = memory.map.serviceIndexSlots - 1;
  let slot = lookupHash(key) & mask;
  for (; u32[first + slot] !== 0; slot = (slot + 1) & mask) {
    const id = u32[first + slot];
    if (isService(memory, memory.service(bank, id), key)) return id;
  }
  return 0;
}

function lookupHash(key: ServiceLookup): number {
  if ('mark' in key) return markHash(key.family, key.mark);
  return serviceHash(key.family, key.protocol, swapPort(key.port), key.address);
}

function isService(memory: DataPlaneMemory, record: number, key: ServiceLookup): boolean {
  const { u8, u16, u32 } = memory;
  if (u8[record + SERVICE_FAMILY] !== key.family) return false;
  const mark = u32[(record + SERVICE_MARK) >>> 2];
  if ('mark' in key) return mark === key.mark;
  return (
    mark === 0 &&
    u8[record + SERVICE_PROTOCOL] === key.protocol &&
    u16[(record + SERVICE_PORT) >>> 1] === swapPort(key.port) &&
    sameBytes(u8, record + SERVICE_ADDRESS, key.address)
  );
}
