// The caches of lblc and lblcr in the locality region: which destinations serve a virtual address.
// Records, bucket heads and the free list are described in assembly/shared/layout.ts.
//
//   bucket = hash_32(address, 10) << 6 | service & 63     head of bucket N in record N
//   entry -> entry -> ...                                 newest first, through LOCALITY_NEXT
//   entry -> continuation -> ...                          members 6 and on, through LOCALITY_MORE
//
// The lowest bits keep services apart; the highest are the kernel's own bucket, so that collection
// visits a service's entries in the kernel's order. One lock guards the whole region: buckets and
// the free list belong to all services. Whatever is linked is complete before it is linked, so a
// worker that dies inside the lock loses a record at worst. Each member counts in its destination's
// references: its id is not given away while a cache names it.

import {
  DESTINATION_STATE_REFERENCES,
  LOCALITY_ADDRESS,
  LOCALITY_HEAD,
  LOCALITY_LAST_USE,
  LOCALITY_MEMBERS,
  LOCALITY_MEMBERS_MAX,
  LOCALITY_MORE,
  LOCALITY_NEXT,
  LOCALITY_POOL_FREE,
  LOCALITY_POOL_LOCK,
  LOCALITY_POOL_REFUSED,
  LOCALITY_POOL_USED,
  LOCALITY_SERVICE,
  LOCALITY_SET_CHANGED,
  LOCALITY_SET_SIZE,
  LOCALITY_SIZE,
  PACKET_DESTINATION,
  PACKET_FAMILY,
  SERVICE_STATE_LOCALITY,
  SERVICE_STATE_LOCALITY_COUNT,
  SERVICE_STATE_LOCALITY_DUE,
  SERVICE_STATE_LOCALITY_ROVER,
  SERVICE_STATE_LOCALITY_TURN,
  WORKER_TICK,
} from '../../assembly/shared/layout.ts';
import { LOCALITY_ENTRIES_MAX } from '../../assembly/shared/limits.ts';
import type { DataPlaneMemory } from '../memory/data-plane-memory.ts';
import { hash32 } from './hash-32.ts';
import { destinationKey } from './packet-key.ts';
import type { ListChange, ListOutcome, SchedulerTables } from './scheduler.ts';
import { acquireLock, releaseLock } from './spin-lock.ts';

/** Buckets of one service: CONFIG_IP_VS_LBLC_TAB_BITS and CONFIG_IP_VS_LBLCR_TAB_BITS are 10. */
export const LOCALITY_BUCKET_BITS = 10;
export const LOCALITY_BUCKETS = 1 << LOCALITY_BUCKET_BITS;
/** log2 of LOCALITY_ENTRIES_MAX / LOCALITY_BUCKETS: the bucket bits that come from the service. */
const SERVICE_BITS = 6;
const SERVICE_MASK = (1 << SERVICE_BITS) - 1;

/** No record. */
export const NO_ENTRY = 0;

/** Takes the lock over the region. @param worker as for acquireLock() */
export function lockLocality(memory: DataPlaneMemory, worker: number): void {
  acquireLock(memory, memory.map.regions.locality + LOCALITY_POOL_LOCK, worker);
}

/** Releases the lock over the region. */
export function unlockLocality(memory: DataPlaneMemory, worker: number): void {
  releaseLock(memory, memory.map.regions.locality + LOCALITY_POOL_LOCK, worker);
}

/** Index of the u32 at a record's field. */
export function localityWord(memory: DataPlaneMemory, record: number, field: number): number {
  return (memory.map.regions.locality + record * LOCALITY_SIZE + field) >>> 2;
}

/** The clock of a pick, in ticks. */
export function pickTime(tables: SchedulerTables): number {
  const { memory, worker } = tables;
  return worker === 0 ? 0 : memory.u32[(worker + WORKER_TICK) >>> 2];
}

/** Records that no cache could have because all were in use, since start. */
export function localityRefusals(memory: DataPlaneMemory): number {
  return memory.u32[localityWord(memory, 0, LOCALITY_POOL_REFUSED)];
}

/**
 * The service's entry for the packet's destination address, or NO_ENTRY. The lock is held.
 * @param asked where the packet's record is, if not in the same memory
 */
export function findEntry(
  memory: DataPlaneMemory,
  service: number,
  packet: number,
  asked = memory,
): number {
  const { u32 } = memory;
  const bucket = bucketOf(service, hash32(destinationKey(asked, packet), LOCALITY_BUCKET_BITS));
  let entry = u32[localityWord(memory, bucket, LOCALITY_HEAD)];
  while (entry !== NO_ENTRY) {
    if (
      u32[localityWord(memory, entry, LOCALITY_SERVICE)] === service &&
      hasAddress(memory, entry, asked, packet)
    ) {
      return entry;
    }
    entry = u32[localityWord(memory, entry, LOCALITY_NEXT)];
  }
  return NO_ENTRY;
}

/**
 * Adds an entry for the packet's destination address, with one member. The lock is held. Does
 * nothing when the service's cache is closed, and counts a refusal when no record is free.
 */
export function addEntry(
  memory: DataPlaneMemory,
  service: number,
  packet: number,
  destination: number,
  now: number,
): void {
  const { u32 } = memory;
  const state = memory.serviceState(service);
  if (u32[(state + SERVICE_STATE_LOCALITY) >>> 2] === 0) return;
  const entry = takeRecord(memory);
  if (entry === NO_ENTRY) return;
  const address = (packet + PACKET_DESTINATION) >>> 2;
  const whole = memory.u8[packet + PACKET_FAMILY] === 6;
  const copy = localityWord(memory, entry, LOCALITY_ADDRESS);
  u32[copy] = u32[address];
  u32[copy + 1] = whole ? u32[address + 1] : 0;
  u32[copy + 2] = whole ? u32[address + 2] : 0;
  u32[copy + 3] = whole ? u32[address + 3] : 0;
  u32[localityWord(memory, entry, LOCALITY_SERVICE)] = service;
  u32[localityWord(memory, entry, LOCALITY_LAST_USE)] = now;
  u32[localityWord(memory, entry, LOCALITY_SET_SIZE)] = 1;
  u32[localityWord(memory, entry, LOCALITY_SET_CHANGED)] = now;
  u32[localityWord(memory, entry, LOCALITY_MORE)] = NO_ENTRY;
  u32[localityWord(memory, entry, LOCALITY_MEMBERS)] = destination;
  hold(memory, destination);
  const bucket = bucketOf(service, hash32(destinationKey(memory, packet), LOCALITY_BUCKET_BITS));
  const head = localityWord(memory, bucket, LOCALITY_HEAD);
  u32[localityWord(memory, entry, LOCALITY_NEXT)] = u32[head];
  Atomics.store(u32, head, entry);
  u32[(state + SERVICE_STATE_LOCALITY_COUNT) >>> 2]++;
}

/** Notes that a connection asked for the entry. The lock is held. */
export function touchEntry(memory: DataPlaneMemory, entry: number, now: number): void {
  memory.u32[localityWord(memory, entry, LOCALITY_LAST_USE)] = now;
}

/** Number of the entry's destinations. */
export function memberCount(memory: DataPlaneMemory, entry: number): number {
  return memory.u32[localityWord(memory, entry, LOCALITY_SET_SIZE)];
}

/** Replaces the only member of an entry of lblc. The lock is held. */
export function replaceMember(memory: DataPlaneMemory, entry: number, destination: number): void {
  const { u32 } = memory;
  const index = localityWord(memory, entry, LOCALITY_MEMBERS);
  const replaced = u32[index];
  hold(memory, destination);
  u32[index] = destination;
  release(memory, replaced);
}

/**
 * Puts a destination in front of the entry's members, unless it is one. The lock is held. Counts a
 * refusal when the set needs a record and none is free.
 */
export function insertMember(
  memory: DataPlaneMemory,
  entry: number,
  destination: number,
  now: number,
): void {
  const { u32 } = memory;
  const size = memberCount(memory, entry);
  let record = entry;
  for (let position = 0; position < size; position++) {
    const slot = position % LOCALITY_MEMBERS_MAX;
    if (slot === 0 && position > 0) record = u32[localityWord(memory, record, LOCALITY_MORE)];
    if (u32[localityWord(memory, record, LOCALITY_MEMBERS) + slot] === destination) return;
  }
  // A set always has a member, so all records it goes over are full here.
  if (size % LOCALITY_MEMBERS_MAX === 0) {
    const more = takeRecord(memory);
    if (more === NO_ENTRY) return;
    u32[localityWord(memory, record, LOCALITY_MORE)] = more;
  }
  hold(memory, destination);
  u32[localityWord(memory, entry, LOCALITY_SET_SIZE)] = size + 1;
  u32[localityWord(memory, entry, LOCALITY_SET_CHANGED)] = now;
  let carried = destination;
  record = entry;
  for (let position = 0; position <= size; position++) {
    const slot = position % LOCALITY_MEMBERS_MAX;
    if (slot === 0 && position > 0) record = u32[localityWord(memory, record, LOCALITY_MORE)];
    const index = localityWord(memory, record, LOCALITY_MEMBERS) + slot;
    const next = u32[index];
    u32[index] = carried;
    carried = next;
  }
}

/** Takes a destination out of the members, of which another is left. The lock is held. */
export function eraseMember(
  memory: DataPlaneMemory,
  entry: number,
  destination: number,
  now: number,
): void {
  const { u32 } = memory;
  const size = memberCount(memory, entry);
  let found = false;
  let record = entry;
  let previousRecord = entry;
  let previousIndex = 0;
  for (let position = 0; position < size; position++) {
    const slot = position % LOCALITY_MEMBERS_MAX;
    if (slot === 0 && position > 0) {
      previousRecord = record;
      record = u32[localityWord(memory, record, LOCALITY_MORE)];
    }
    const index = localityWord(memory, record, LOCALITY_MEMBERS) + slot;
    if (found) u32[previousIndex] = u32[index];
    else if (u32[index] === destination) found = true;
    previousIndex = index;
  }
  if (!found) return;
  u32[localityWord(memory, entry, LOCALITY_SET_SIZE)] = size - 1;
  u32[localityWord(memory, entry, LOCALITY_SET_CHANGED)] = now;
  if (record !== entry && (size - 1) % LOCALITY_MEMBERS_MAX === 0) {
    u32[localityWord(memory, previousRecord, LOCALITY_MORE)] = NO_ENTRY;
    giveRecord(memory, record);
  }
  release(memory, destination);
}

/**
 * Removes the service's entries of one bucket that were not used for `idle` ticks. Takes the lock.
 * @param bucket 0 to LOCALITY_BUCKETS - 1
 * @param now tick; undefined removes every entry
 * @returns how many were removed
 */
export function removeStaleEntries(
  memory: DataPlaneMemory,
  service: number,
  bucket: number,
  now: number | undefined,
  idle: number,
): number {
  const { u32 } = memory;
  const count = (memory.serviceState(service) + SERVICE_STATE_LOCALITY_COUNT) >>> 2;
  let link = localityWord(memory, bucketOf(service, bucket), LOCALITY_HEAD);
  let removed = 0;
  lockLocality(memory, 0);
  for (let entry = u32[link]; entry !== NO_ENTRY; entry = u32[link]) {
    const next = localityWord(memory, entry, LOCALITY_NEXT);
    const lastUse = u32[localityWord(memory, entry, LOCALITY_LAST_USE)];
    const stale = now === undefined || ((now - lastUse) | 0) >= idle;
    if (u32[localityWord(memory, entry, LOCALITY_SERVICE)] !== service || !stale) {
      link = next;
      continue;
    }
    Atomics.store(u32, link, u32[next]);
    u32[count]--;
    removed++;
    freeEntry(memory, entry);
  }
  unlockLocality(memory, 0);
  return removed;
}

/**
 * The change hook of lblc and lblcr: opens an empty cache at bind and drops it at unbind. Deleted
 * destinations stay in the caches until they are asked for: added again, they serve again.
 * @param code SCHEDULER_* of the cache's scheduler
 */
export function changeCache(
  memory: DataPlaneMemory,
  listChange: ListChange,
  code: number,
): ListOutcome {
  const { kind, serviceId } = listChange;
  if (kind !== 'bind' && kind !== 'unbind') return {};
  const { u32 } = memory;
  const state = memory.serviceState(serviceId);
  // Closed under the lock: a worker that still picks by it must not add behind our back.
  lockLocality(memory, 0);
  u32[(state + SERVICE_STATE_LOCALITY) >>> 2] = 0;
  unlockLocality(memory, 0);
  for (let bucket = 0; bucket < LOCALITY_BUCKETS; bucket++) {
    removeStaleEntries(memory, serviceId, bucket, undefined, 0);
  }
  u32[(state + SERVICE_STATE_LOCALITY_COUNT) >>> 2] = 0;
  u32[(state + SERVICE_STATE_LOCALITY_ROVER) >>> 2] = 0;
  u32[(state + SERVICE_STATE_LOCALITY_DUE) >>> 2] = 0;
  u32[(state + SERVICE_STATE_LOCALITY_TURN) >>> 2] = 0;
  Atomics.store(u32, (state + SERVICE_STATE_LOCALITY) >>> 2, kind === 'bind' ? code : 0);
  return {};
}

function bucketOf(service: number, bucket: number): number {
  return (bucket << SERVICE_BITS) | (service & SERVICE_MASK);
}

function hasAddress(
  memory: DataPlaneMemory,
  entry: number,
  asked: DataPlaneMemory,
  packet: number,
): boolean {
  const { u32 } = memory;
  const cached = localityWord(memory, entry, LOCALITY_ADDRESS);
  const wanted = (packet + PACKET_DESTINATION) >>> 2;
  if (u32[cached] !== asked.u32[wanted]) return false;
  if (asked.u8[packet + PACKET_FAMILY] !== 6) return true;
  return (
    u32[cached + 1] === asked.u32[wanted + 1] &&
    u32[cached + 2] === asked.u32[wanted + 2] &&
    u32[cached + 3] === asked.u32[wanted + 3]
  );
}

/** Releases an unlinked entry's members and gives all its records back. */
function freeEntry(memory: DataPlaneMemory, entry: number): void {
  const { u32 } = memory;
  const size = memberCount(memory, entry);
  u32[localityWord(memory, entry, LOCALITY_SERVICE)] = 0;
  let record = entry;
  for (let position = 0; position < size; position++) {
    const slot = position % LOCALITY_MEMBERS_MAX;
    if (slot === 0 && position > 0) {
      const more = u32[localityWord(memory, record, LOCALITY_MORE)];
      giveRecord(memory, record);
      record = more;
    }
    release(memory, u32[localityWord(memory, record, LOCALITY_MEMBERS) + slot]);
  }
  giveRecord(memory, record);
}

function takeRecord(memory: DataPlaneMemory): number {
  const { u32 } = memory;
  const free = localityWord(memory, 0, LOCALITY_POOL_FREE);
  const record = u32[free];
  if (record !== NO_ENTRY) {
    u32[free] = u32[localityWord(memory, record, LOCALITY_NEXT)];
    return record;
  }
  const used = localityWord(memory, 0, LOCALITY_POOL_USED);
  // Record 0 is the pool's own.
  if (u32[used] < LOCALITY_ENTRIES_MAX - 1) return ++u32[used];
  u32[localityWord(memory, 0, LOCALITY_POOL_REFUSED)]++;
  return NO_ENTRY;
}

function giveRecord(memory: DataPlaneMemory, record: number): void {
  const { u32 } = memory;
  const free = localityWord(memory, 0, LOCALITY_POOL_FREE);
  u32[localityWord(memory, record, LOCALITY_NEXT)] = u32[free];
  u32[free] = record;
}

function hold(memory: DataPlaneMemory, destination: number): void {
  const state = memory.destinationState(destination);
  Atomics.add(memory.u32, (state + DESTINATION_STATE_REFERENCES) >>> 2, 1);
}

function release(memory: DataPlaneMemory, destination: number): void {
  const state = memory.destinationState(destination);
  Atomics.sub(memory.u32, (state + DESTINATION_STATE_REFERENCES) >>> 2, 1);
}
