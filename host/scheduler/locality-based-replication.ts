// lblcr: connections to one destination address stay with a set of destinations, the least loaded
// of them first. A destination joins the set when the set's best is gone or busy while another
// idles; a set that has not changed for lblcr_expiration loses its most loaded one. Linux:
// net/netfilter/ipvs/ip_vs_lblcr.c.

import { SCHEDULE_NONE, SCHEDULER_LBLCR } from '../../assembly/shared/codes.ts';
import {
  LOCALITY_MEMBERS,
  LOCALITY_MEMBERS_MAX,
  LOCALITY_MORE,
  LOCALITY_SET_CHANGED,
  SYSCTL_LBLCR_EXPIRATION,
} from '../../assembly/shared/layout.ts';
import type { DataPlaneMemory } from '../memory/data-plane-memory.ts';
import { isAvailable, isOverloaded, weightOf } from './destination-list.ts';
import { isHeavier, leastLoaded, overheadOf } from './load.ts';
import {
  addEntry,
  changeCache,
  eraseMember,
  findEntry,
  insertMember,
  localityWord,
  lockLocality,
  memberCount,
  NO_ENTRY,
  pickTime,
  touchEntry,
  unlockLocality,
} from './locality-cache.ts';
import { isBusyWhileAnotherIdles } from './locality-overload.ts';
import type { ListChange, ListOutcome, Scheduler, SchedulerTables } from './scheduler.ts';

export const localityBasedReplication: Scheduler = {
  name: 'lblcr',
  code: SCHEDULER_LBLCR,
  pick,
  change,
};

function pick(tables: SchedulerTables, service: number, packet: number): number {
  lockLocality(tables.memory, tables.worker);
  const chosen = choose(tables, service, packet);
  unlockLocality(tables.memory, tables.worker);
  return chosen;
}

function choose(tables: SchedulerTables, service: number, packet: number): number {
  const { memory } = tables;
  const now = pickTime(tables);
  const entry = findEntry(memory, service, packet);
  if (entry !== NO_ENTRY) {
    touchEntry(memory, entry, now);
    // Chosen before the set is made smaller: this once it may still be the one that leaves.
    const member = leastOfSet(tables, entry);
    if (isSetOld(tables, entry, now)) {
      const most = mostOfSet(tables, entry);
      if (most !== SCHEDULE_NONE) eraseMember(memory, entry, most, now);
    }
    if (member !== SCHEDULE_NONE && !isBusyWhileAnotherIdles(tables, service, member))
      return member;
  }
  const least = leastLoaded(tables, service);
  if (least === SCHEDULE_NONE) return SCHEDULE_NONE;
  if (entry === NO_ENTRY) addEntry(memory, service, packet, least, now);
  else insertMember(memory, entry, least, now);
  return least;
}

function isSetOld(tables: SchedulerTables, entry: number, now: number): boolean {
  const { memory, bank } = tables;
  if (memberCount(memory, entry) <= 1) return false;
  const changed = memory.u32[localityWord(memory, entry, LOCALITY_SET_CHANGED)];
  return ((now - changed) | 0) > memory.i32[(bank + SYSCTL_LBLCR_EXPIRATION) >>> 2];
}

/** The least loaded member that takes connections, the newest of equals. */
function leastOfSet(tables: SchedulerTables, entry: number): number {
  const { memory } = tables;
  const size = memberCount(memory, entry);
  let record = entry;
  let least = SCHEDULE_NONE;
  let leastWeight = 0;
  let leastOverhead = 0;
  for (let position = 0; position < size; position++) {
    const slot = position % LOCALITY_MEMBERS_MAX;
    if (slot === 0 && position > 0)
      record = memory.u32[localityWord(memory, record, LOCALITY_MORE)];
    const member = memory.u32[localityWord(memory, record, LOCALITY_MEMBERS) + slot];
    if (isOverloaded(tables, member) || !isAvailable(tables, member)) continue;
    const weight = weightOf(tables, member);
    if (weight <= 0) continue;
    const overhead = overheadOf(tables, member);
    if (least !== SCHEDULE_NONE && !isHeavier(leastOverhead, leastWeight, overhead, weight))
      continue;
    least = member;
    leastWeight = weight;
    leastOverhead = overhead;
  }
  return least;
}

/** The most loaded member, available or not, but none of weight 0; the newest of equals. */
function mostOfSet(tables: SchedulerTables, entry: number): number {
  const { memory } = tables;
  const size = memberCount(memory, entry);
  let record = entry;
  let most = SCHEDULE_NONE;
  let mostWeight = 0;
  let mostOverhead = 0;
  for (let position = 0; position < size; position++) {
    const slot = position % LOCALITY_MEMBERS_MAX;
    if (slot === 0 && position > 0)
      record = memory.u32[localityWord(memory, record, LOCALITY_MORE)];
    const member = memory.u32[localityWord(memory, record, LOCALITY_MEMBERS) + slot];
    const weight = weightOf(tables, member);
    if (weight <= 0) continue;
    const overhead = overheadOf(tables, member);
    if (most !== SCHEDULE_NONE && !isHeavier(overhead, weight, mostOverhead, mostWeight)) continue;
    most = member;
    mostWeight = weight;
    mostOverhead = overhead;
  }
  return most;
}

function change(memory: DataPlaneMemory, listChange: ListChange): ListOutcome {
  return changeCache(memory, listChange, SCHEDULER_LBLCR);
}
