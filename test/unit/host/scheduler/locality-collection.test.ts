import { beforeEach, describe, expect, test } from 'vitest';
import {
  SERVICE_STATE_LOCALITY_COUNT,
  SERVICE_STATE_LOCALITY_ROVER,
} from '../../../../assembly/shared/layout.ts';
import { TICKS_PER_SECOND } from '../../../../assembly/shared/limits.ts';
import { localityBased } from '../../../../host/scheduler/locality-based.ts';
import { localityBasedReplication } from '../../../../host/scheduler/locality-based-replication.ts';
import { findEntry } from '../../../../host/scheduler/locality-cache.ts';
import {
  collectLocality,
  LOCALITY_ENTRIES_TARGET,
} from '../../../../host/scheduler/locality-collection.ts';
import type { Scheduler } from '../../../../host/scheduler/scheduler.ts';
import { BedMemory, ServiceBed } from './service-bed.ts';
import { slowFold, slowHash32 } from './slow-hashes.ts';

const MINUTE = 60 * TICKS_PER_SECOND;
const EXPIRATION = { lblc: 61 * MINUTE, lblcr: 91 * MINUTE };
/** The clock wraps in the middle of these tests. */
const START = 2 ** 32 - 40 * MINUTE;

let ids: BedMemory;

beforeEach(() => {
  ids = new BedMemory();
});

function address(index: number): Uint8Array {
  return Uint8Array.of(10, index >>> 16, index >>> 8, index);
}

function entries(bed: ServiceBed): number {
  const state = bed.memory.serviceState(bed.service);
  return bed.memory.u32[(state + SERVICE_STATE_LOCALITY_COUNT) >>> 2];
}

function isCached(bed: ServiceBed, index: number): boolean {
  const packet = bed.writePacket({ destination: address(index) });
  return findEntry(bed.memory, bed.service, packet) !== 0;
}

/** Runs the collector every second up to and including `until`, in minutes since START. */
function collect(bed: ServiceBed, from: number, until: number): void {
  for (let tick = from * MINUTE; tick <= until * MINUTE; tick += TICKS_PER_SECOND) {
    collectLocality(bed.memory, (START + tick) >>> 0, EXPIRATION);
  }
}

function bedWith(scheduler: Scheduler, count: number): ServiceBed {
  const bed = new ServiceBed(ids, scheduler);
  bed.add(1);
  bed.setTick(START);
  for (let index = 0; index < count; index++) bed.pick({ destination: address(index) });
  expect(entries(bed)).toBe(count);
  return bed;
}

describe.each([
  { scheduler: localityBased, collected: 90 },
  { scheduler: localityBasedReplication, collected: 120 },
])('$scheduler.name, full collections', ({ scheduler, collected }) => {
  test('an entry unused for the expiration time: goes at the next half hour', () => {
    const bed = bedWith(scheduler, 3);
    collect(bed, 0, 59);
    bed.setTick((START + 59 * MINUTE) >>> 0);
    bed.pick({ destination: address(1) });
    collect(bed, 59, collected - 1);
    expect(entries(bed)).toBe(3);
    collect(bed, collected - 1, collected);
    expect(entries(bed)).toBe(1);
    expect(isCached(bed, 1)).toBe(true);
    expect(bed.references(bed.destinations[0])).toBe(1);
  });
});

describe('a cache of more than 16384 entries', () => {
  test('none idle for 6 minutes: all stay', () => {
    const bed = bedWith(localityBased, LOCALITY_ENTRIES_TARGET + 300);
    collect(bed, 0, 5);
    expect(entries(bed)).toBe(LOCALITY_ENTRIES_TARGET + 300);
  });

  test('all idle for 6 minutes: a third more than there are too many go, bucket by bucket', () => {
    const bed = bedWith(localityBased, LOCALITY_ENTRIES_TARGET + 300);
    collect(bed, 0, 6);
    const removed = LOCALITY_ENTRIES_TARGET + 300 - entries(bed);
    expect(removed).toBeGreaterThanOrEqual(400);
    expect(removed).toBeLessThan(400 + 40);
    // Whole buckets, from 1 to where the collection stopped.
    const state = bed.memory.serviceState(bed.service);
    const rover = bed.memory.u32[(state + SERVICE_STATE_LOCALITY_ROVER) >>> 2];
    for (let index = 0; index < LOCALITY_ENTRIES_TARGET + 300; index++) {
      const bucket = slowHash32(slowFold(address(index)), 10);
      expect(isCached(bed, index)).toBe(bucket === 0 || bucket > rover);
    }
  });

  test('16384 entries exactly: all stay', () => {
    const bed = bedWith(localityBased, LOCALITY_ENTRIES_TARGET);
    collect(bed, 0, 8);
    expect(entries(bed)).toBe(LOCALITY_ENTRIES_TARGET);
  });
});
