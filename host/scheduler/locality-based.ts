// lblc: connections to one destination address stay with one destination, the one that was least
// loaded when the address was first seen, until it goes, is quiesced, or is busy while another
// idles. Linux: net/netfilter/ipvs/ip_vs_lblc.c.

import { SCHEDULE_NONE, SCHEDULER_LBLC } from '../../assembly/shared/codes.ts';
import { LOCALITY_MEMBERS } from '../../assembly/shared/layout.ts';
import type { DataPlaneMemory } from '../memory/data-plane-memory.ts';
import { isAvailable, weightOf } from './destination-list.ts';
import { leastLoaded } from './load.ts';
import {
  addEntry,
  changeCache,
  findEntry,
  localityWord,
  lockLocality,
  NO_ENTRY,
  pickTime,
  replaceMember,
  touchEntry,
  unlockLocality,
} from './locality-cache.ts';
import { isBusyWhileAnotherIdles } from './locality-overload.ts';
import type { ListChange, ListOutcome, Scheduler, SchedulerTables } from './scheduler.ts';

export const localityBased: Scheduler = { name: 'lblc', code: SCHEDULER_LBLC, pick, change };

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
    const cached = memory.u32[localityWord(memory, entry, LOCALITY_MEMBERS)];
    // A destination over its upper threshold keeps its addresses.
    if (
      isAvailable(tables, cached) &&
      weightOf(tables, cached) > 0 &&
      !isBusyWhileAnotherIdles(tables, service, cached)
    ) {
      return cached;
    }
  }
  const least = leastLoaded(tables, service);
  if (least === SCHEDULE_NONE) return SCHEDULE_NONE;
  if (entry === NO_ENTRY) addEntry(memory, service, packet, least, now);
  else replaceMember(memory, entry, least);
  return least;
}

function change(memory: DataPlaneMemory, listChange: ListChange): ListOutcome {
  return changeCache(memory, listChange, SCHEDULER_LBLC);
}
