// What a service's scheduler would choose now, without choosing it. Choosing moves cursors, draws
// random numbers and fills caches, so it happens in a second linear memory of the same shape, which
// no worker knows of: what the scheduler may read is copied there first. The running director's
// memory is only read. The one lock taken is that of the caches of lblc and lblcr, for as long as a
// choice of theirs takes it, because their records may not be walked without.

import { SCHEDULE_NONE, SCHEDULER_LBLC, SCHEDULER_LBLCR } from '../../assembly/shared/codes.ts';
import {
  BANK_HEADER_SIZE,
  DESTINATION_SIZE,
  DESTINATION_STATE_SIZE,
  LOCALITY_LAST_USE,
  LOCALITY_MEMBERS,
  LOCALITY_MEMBERS_MAX,
  LOCALITY_MORE,
  LOCALITY_SET_CHANGED,
  LOCALITY_SIZE,
  PACKET_DESTINATION,
  PACKET_DESTINATION_PORT,
  PACKET_FAMILY,
  PACKET_PROTOCOL,
  PACKET_SIZE,
  PACKET_SOURCE,
  PACKET_SOURCE_PORT,
  SERVICE_DESTINATION_COUNT,
  SERVICE_DESTINATION_LIST,
  SERVICE_SCHEDULER,
  SERVICE_SCHEDULER_SLOTS,
  SERVICE_SCHEDULER_TABLE,
  SERVICE_SIZE,
  SERVICE_STATE_LOCK,
  SERVICE_STATE_SIZE,
  WORKER_PACKETS,
  WORKER_RANDOM,
  WORKER_TICK,
} from '../../assembly/shared/layout.ts';
import { LOCALITY_ENTRIES_MAX } from '../../assembly/shared/limits.ts';
import { DataPlaneMemory } from '../memory/data-plane-memory.ts';
import {
  addEntry,
  findEntry,
  insertMember,
  localityWord,
  lockLocality,
  memberCount,
  NO_ENTRY,
  unlockLocality,
} from '../scheduler/locality-cache.ts';
import { schedulerByCode } from '../scheduler/registry.ts';
import { swapPort } from '../tables/hash.ts';
import type { Question } from './question.ts';

/** Copies of the service's state until two in a row are equal; then no worker was at it. */
const COPIES_MAX = 64;

/** An entry of lblc's or lblcr's cache. */
interface CachedSet {
  /** Newest first. */
  readonly members: readonly number[];
  readonly lastUse: number;
  readonly changed: number;
}

/** A second memory to choose in. */
export class SchedulerPeek {
  readonly #live: DataPlaneMemory;
  /** Reserved at the first question; only the pages that copies touch ever become memory. */
  #copy: DataPlaneMemory | undefined;

  constructor(live: DataPlaneMemory) {
    this.#live = live;
  }

  /**
   * The destination that the service's scheduler would choose for a packet, or SCHEDULE_NONE.
   * @param service id, of the published bank
   */
  choose(service: number, question: Question): number {
    const copy = this.#memory();
    const live = this.#live;
    const bank = live.activeBank();
    const code = live.u8[live.service(bank, service) + SERVICE_SCHEDULER];
    const scheduler = schedulerByCode(code);
    if (scheduler === undefined) return SCHEDULE_NONE;
    const packet = writePacket(copy, question);
    this.#copyBank(copy, service);
    this.#copyServiceState(copy, service);
    this.#copyWorker(copy);
    if (code === SCHEDULER_LBLC || code === SCHEDULER_LBLCR) {
      this.#copyCache(copy, service, packet);
    }
    const tables = { memory: copy, bank: copy.bank(0), worker: copy.worker(0) };
    return scheduler.pick(tables, service, packet);
  }

  #memory(): DataPlaneMemory {
    // Ids are indices, so services and destinations are as many as in the original; the rest of
    // the memory is not looked at by schedulers and can be small.
    this.#copy ??= DataPlaneMemory.reserve({
      ...this.#live.map.sizes,
      connections: 1,
      workers: 1,
      framesPerWorker: 64,
      links: 1,
      ringEntries: 8,
    });
    return this.#copy;
  }

  #copyBank(copy: DataPlaneMemory, service: number): void {
    const live = this.#live;
    const from = live.activeBank();
    const to = copy.bank(0);
    const record = live.service(from, service) - from;
    const field = (offset: number) => live.u32[(from + record + offset) >>> 2];
    const list = field(SERVICE_DESTINATION_LIST);
    const count = field(SERVICE_DESTINATION_COUNT);
    copyBytes(live, from, copy, to, BANK_HEADER_SIZE);
    copyBytes(live, from + record, copy, to + record, SERVICE_SIZE);
    copyBytes(live, from + list, copy, to + list, count * 4);
    const table = field(SERVICE_SCHEDULER_TABLE);
    copyBytes(live, from + table, copy, to + table, field(SERVICE_SCHEDULER_SLOTS) * 4);
    for (let position = 0; position < count; position++) {
      this.#copyDestination(copy, live.u32[(from + list) / 4 + position]);
    }
  }

  #copyDestination(copy: DataPlaneMemory, id: number): void {
    const live = this.#live;
    const from = live.destination(live.activeBank(), id);
    copyBytes(live, from, copy, copy.destination(copy.bank(0), id), DESTINATION_SIZE);
    const state = live.destinationState(id);
    copyBytes(live, state, copy, copy.destinationState(id), DESTINATION_STATE_SIZE);
  }

  /** Waits for no lock: a worker that holds it is done within microseconds, and we read again. */
  #copyServiceState(copy: DataPlaneMemory, service: number): void {
    const live = this.#live;
    const from = live.serviceState(service);
    const to = copy.serviceState(service);
    for (let copies = 0; copies < COPIES_MAX; copies++) {
      const isLocked = Atomics.load(live.i32, (from + SERVICE_STATE_LOCK) >>> 2) !== 0;
      copyBytes(live, from, copy, to, SERVICE_STATE_SIZE);
      copy.u32[(to + SERVICE_STATE_LOCK) >>> 2] = 0;
      if (!isLocked && isEqual(live, from + 4, copy, to + 4, SERVICE_STATE_SIZE - 4)) return;
    }
  }

  #copyWorker(copy: DataPlaneMemory): void {
    for (const field of [WORKER_TICK, WORKER_RANDOM]) {
      const value = this.#live.u32[(this.#live.worker(0) + field) >>> 2];
      copy.u32[(copy.worker(0) + field) >>> 2] = value;
    }
  }

  /** Builds the entry for the packet's address, if there is one, in an otherwise empty cache. */
  #copyCache(copy: DataPlaneMemory, service: number, packet: number): void {
    const { locality } = copy.map.regions;
    copy.u8.fill(0, locality, locality + LOCALITY_ENTRIES_MAX * LOCALITY_SIZE);
    const set = this.#readSet(copy, service, packet);
    if (set === undefined) return;
    const { members, lastUse, changed } = set;
    for (const member of members) this.#copyDestination(copy, member);
    const oldestFirst = members.toReversed();
    addEntry(copy, service, packet, oldestFirst[0], lastUse);
    const entry = findEntry(copy, service, packet);
    if (entry === NO_ENTRY) return;
    for (const member of oldestFirst.slice(1)) insertMember(copy, entry, member, changed);
    copy.u32[localityWord(copy, entry, LOCALITY_SET_CHANGED)] = changed;
  }

  #readSet(copy: DataPlaneMemory, service: number, packet: number): CachedSet | undefined {
    const live = this.#live;
    lockLocality(live, 0);
    try {
      const entry = findEntry(live, service, packet, copy);
      if (entry === NO_ENTRY) return undefined;
      return {
        members: readMembers(live, entry),
        lastUse: live.u32[localityWord(live, entry, LOCALITY_LAST_USE)],
        changed: live.u32[localityWord(live, entry, LOCALITY_SET_CHANGED)],
      };
    } finally {
      unlockLocality(live, 0);
    }
  }
}

/** A set's members, newest first. The lock is held. */
function readMembers(memory: DataPlaneMemory, entry: number): number[] {
  const members: number[] = [];
  const size = memberCount(memory, entry);
  let record = entry;
  for (let position = 0; position < size; position++) {
    const slot = position % LOCALITY_MEMBERS_MAX;
    if (slot === 0 && position > 0) {
      record = memory.u32[localityWord(memory, record, LOCALITY_MORE)];
    }
    members.push(memory.u32[localityWord(memory, record, LOCALITY_MEMBERS) + slot]);
  }
  return members;
}

/** The packet's record, as far as schedulers read it. @returns where it is */
function writePacket(memory: DataPlaneMemory, question: Question): number {
  const { u8, u16 } = memory;
  const packet = memory.worker(0) + WORKER_PACKETS;
  u8.fill(0, packet, packet + PACKET_SIZE);
  u8[packet + PACKET_FAMILY] = question.family;
  u8[packet + PACKET_PROTOCOL] = question.protocolNumber;
  u8.set(question.source.bytes, packet + PACKET_SOURCE);
  u8.set(question.destination.bytes, packet + PACKET_DESTINATION);
  u16[(packet + PACKET_SOURCE_PORT) >>> 1] = swapPort(question.source.port);
  u16[(packet + PACKET_DESTINATION_PORT) >>> 1] = swapPort(question.destination.port);
  return packet;
}

function copyBytes(
  from: DataPlaneMemory,
  at: number,
  to: DataPlaneMemory,
  target: number,
  length: number,
): void {
  to.u8.set(from.u8.subarray(at, at + length), target);
}

function isEqual(
  one: DataPlaneMemory,
  at: number,
  other: DataPlaneMemory,
  otherAt: number,
  length: number,
): boolean {
  for (let offset = 0; offset < length; offset += 4) {
    if (one.u32[(at + offset) >>> 2] !== other.u32[(otherAt + offset) >>> 2]) return false;
  }
  return true;
}
