// Two workers pick for one service at the same time.

import { beforeAll, describe, expect, test } from 'vitest';
import {
  LOCALITY_NEXT,
  LOCALITY_POOL_FREE,
  LOCALITY_POOL_USED,
  SERVICE_STATE_LOCALITY_COUNT,
  WORKER_HELD_LOCK,
  WORKER_SCRATCH,
} from '../../../../assembly/shared/layout.ts';
import type { DataPlaneMemory } from '../../../../host/memory/data-plane-memory.ts';
import { localityBased } from '../../../../host/scheduler/locality-based.ts';
import { localityBasedReplication } from '../../../../host/scheduler/locality-based-replication.ts';
import { localityWord } from '../../../../host/scheduler/locality-cache.ts';
import { roundRobin } from '../../../../host/scheduler/round-robin.ts';
import { weightedRoundRobin } from '../../../../host/scheduler/weighted-round-robin.ts';
import { bundleThread, runThread } from '../../../support/bundle-thread.ts';
import type { PickingResult, PickingTask } from './picking-thread.ts';
import { BedMemory, ServiceBed } from './service-bed.ts';

const THREADS = 2;
const ids = new BedMemory();
let script: string;

beforeAll(async () => {
  script = await bundleThread(new URL('./picking-thread.ts', import.meta.url));
});

/** Picks of both workers together, by position in the list. */
async function pickTogether(bed: ServiceBed, picks: number, addresses: number): Promise<number[]> {
  const ready = bed.memory.worker(0) + WORKER_SCRATCH;
  bed.memory.u32[ready >>> 2] = 0;
  const results = await Promise.all(
    Array.from({ length: THREADS }, (_, worker) => {
      const task: PickingTask = {
        memory: bed.memory.memory,
        worker,
        code: bed.scheduler.code,
        service: bed.service,
        picks,
        addresses,
        ready,
        threads: THREADS,
      };
      return runThread<PickingResult>(script, task);
    }),
  );
  for (let worker = 0; worker < THREADS; worker++) {
    expect(bed.memory.u32[(bed.memory.worker(worker) + WORKER_HELD_LOCK) >>> 2]).toBe(0);
  }
  return bed.destinations.map(({ id }) =>
    results.reduce((sum, result) => sum + (result.get(id) ?? 0), 0),
  );
}

test('rr: every destination is chosen as often as every other', async () => {
  const bed = new ServiceBed(ids, roundRobin);
  for (let count = 0; count < 5; count++) bed.add(1);
  expect(await pickTogether(bed, 100_000, 1)).toEqual(Array(5).fill(40_000));
});

test('wrr: every destination is chosen as often as its weight says', async () => {
  const bed = new ServiceBed(ids, weightedRoundRobin);
  const weights = [1, 4, 2, 3];
  for (const weight of weights) bed.add(weight);
  // Complete cycles: the first destination added set the level, and a change begins at the head.
  bed.positions(4);
  const chosen = await pickTogether(bed, 50_000, 1);
  expect(chosen).toEqual(weights.toReversed().map((weight) => weight * 10_000));
});

describe.each([localityBased, localityBasedReplication])('$name', (scheduler) => {
  test('addresses are cached once each, and nothing is lost when the cache goes', async () => {
    const bed = new ServiceBed(ids, scheduler);
    for (let count = 0; count < 5; count++) bed.add(100);
    const addresses = 3000;
    const chosen = await pickTogether(bed, 30_000, addresses);
    expect(chosen.reduce((sum, count) => sum + count)).toBe(THREADS * 30_000);
    const state = bed.memory.serviceState(bed.service);
    expect(bed.memory.u32[(state + SERVICE_STATE_LOCALITY_COUNT) >>> 2]).toBe(addresses);
    const held = bed.destinations.reduce((sum, one) => sum + bed.references(one), 0);
    expect(held).toBe(addresses);
    bed.unbind();
    expect(bed.destinations.map((one) => bed.references(one))).toEqual(Array(5).fill(0));
    expect(freeRecords(bed.memory)).toBe(
      bed.memory.u32[localityWord(bed.memory, 0, LOCALITY_POOL_USED)],
    );
  });

  test('the host opens new caches meanwhile: no record and no reference is lost', async () => {
    const bed = new ServiceBed(ids, scheduler);
    for (let count = 0; count < 5; count++) bed.add(100);
    const picking = pickTogether(bed, 200_000, 1000);
    let done = false;
    void picking.finally(() => {
      done = true;
    });
    while (!done) {
      bed.unbind();
      scheduler.change(bed.memory, {
        kind: 'bind',
        serviceId: bed.service,
        flags: 0,
        destinations: bed.destinations,
        changed: undefined,
        position: -1,
      });
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
    const chosen = await picking;
    expect(chosen.reduce((sum, count) => sum + count)).toBe(THREADS * 200_000);
    bed.unbind();
    expect(bed.destinations.map((one) => bed.references(one))).toEqual(Array(5).fill(0));
    expect(freeRecords(bed.memory)).toBe(
      bed.memory.u32[localityWord(bed.memory, 0, LOCALITY_POOL_USED)],
    );
  });
});

function freeRecords(memory: DataPlaneMemory): number {
  let count = 0;
  let record = memory.u32[localityWord(memory, 0, LOCALITY_POOL_FREE)];
  for (; record !== 0; count++) record = memory.u32[localityWord(memory, record, LOCALITY_NEXT)];
  return count;
}
