// Collection of stale entries from the caches of lblc and lblcr, on the host's thread. Once a
// minute a cache of more than 16384 entries loses some that were idle for 6 minutes; after 29
// minutes without that, a cache loses all that were idle for lblc_expiration or lblcr_expiration.
// Linux: ip_vs_lblc_check_expire() in net/netfilter/ipvs/ip_vs_lblc.c, and lblcr's.

import { SCHEDULER_LBLC } from '../../assembly/shared/codes.ts';
import {
  SERVICE_STATE_LOCALITY,
  SERVICE_STATE_LOCALITY_COUNT,
  SERVICE_STATE_LOCALITY_DUE,
  SERVICE_STATE_LOCALITY_ROVER,
  SERVICE_STATE_LOCALITY_TURN,
} from '../../assembly/shared/layout.ts';
import { TICKS_PER_SECOND } from '../../assembly/shared/limits.ts';
import type { DataPlaneMemory } from '../memory/data-plane-memory.ts';
import { LOCALITY_BUCKETS, removeStaleEntries } from './locality-cache.ts';

const INTERVAL_TICKS = 60 * TICKS_PER_SECOND;
/** An entry of a cache that is too large is stale after this. */
const IDLE_TICKS = 6 * 60 * TICKS_PER_SECOND;
/** Turns from one full collection to the next. */
const FULL_COLLECTION_TURNS = 30;
/** Entries of one service's cache that are never too many. */
export const LOCALITY_ENTRIES_TARGET = 16 * LOCALITY_BUCKETS;

/** After how long without a connection an entry goes, in ticks: net.ipv4.vs.lblc(r)_expiration. */
export interface LocalityExpiration {
  readonly lblc: number;
  readonly lblcr: number;
}

/**
 * Runs the collections that are due. To be called once a second or oftener: a new cache's first
 * minute begins at the first call.
 * @param now tick of the workers' clock
 */
export function collectLocality(
  memory: DataPlaneMemory,
  now: number,
  expiration: LocalityExpiration,
): void {
  const { serviceRecords } = memory.map;
  for (let service = 1; service < serviceRecords; service++) {
    const code = memory.u32[(memory.serviceState(service) + SERVICE_STATE_LOCALITY) >>> 2];
    if (code === 0) continue;
    const idle = code === SCHEDULER_LBLC ? expiration.lblc : expiration.lblcr;
    collectService(memory, service, now, idle);
  }
}

function collectService(
  memory: DataPlaneMemory,
  service: number,
  now: number,
  expiration: number,
): void {
  const { u32 } = memory;
  const state = memory.serviceState(service);
  const turn = (state + SERVICE_STATE_LOCALITY_TURN) >>> 2;
  const due = (state + SERVICE_STATE_LOCALITY_DUE) >>> 2;
  if (u32[turn] === 0) {
    u32[turn] = 1;
    u32[due] = now + INTERVAL_TICKS;
    return;
  }
  if (((now - u32[due]) | 0) < 0) return;
  u32[due] = now + INTERVAL_TICKS;
  const count = u32[(state + SERVICE_STATE_LOCALITY_COUNT) >>> 2];
  if (u32[turn] % FULL_COLLECTION_TURNS === 0) {
    collectBuckets(memory, service, now, expiration, Number.POSITIVE_INFINITY);
    u32[turn] = 1;
  } else if (count <= LOCALITY_ENTRIES_TARGET) {
    u32[turn]++;
  } else {
    const excess = Math.floor(((count - LOCALITY_ENTRIES_TARGET) * 4) / 3);
    collectBuckets(memory, service, now, IDLE_TICKS, Math.min(excess, LOCALITY_ENTRIES_TARGET / 2));
  }
}

/** Goes round the buckets, on from where the last collection stopped, until `goal` entries went. */
function collectBuckets(
  memory: DataPlaneMemory,
  service: number,
  now: number,
  idle: number,
  goal: number,
): void {
  const rover = (memory.serviceState(service) + SERVICE_STATE_LOCALITY_ROVER) >>> 2;
  let bucket = memory.u32[rover];
  let left = goal;
  for (let visited = 0; visited < LOCALITY_BUCKETS && left > 0; visited++) {
    bucket = (bucket + 1) % LOCALITY_BUCKETS;
    left -= removeStaleEntries(memory, service, bucket, now, idle);
  }
  memory.u32[rover] = bucket;
}
