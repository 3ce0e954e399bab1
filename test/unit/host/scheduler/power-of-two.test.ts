import { expect, test } from 'vitest';
import { WORKER_RANDOM } from '../../../../assembly/shared/layout.ts';
import { powerOfTwo } from '../../../../host/scheduler/power-of-two.ts';
import { BedMemory, ServiceBed } from './service-bed.ts';

const ids = new BedMemory();

function shares(bed: ServiceBed, picks: number): number[] {
  const chosen = bed.positions(picks);
  return bed.destinations.map((_, index) => chosen.filter((one) => one === index).length / picks);
}

test('equal loads for weights: the first draw decides, by weight, both ends included', () => {
  const bed = new ServiceBed(ids, powerOfTwo);
  bed.add(1);
  bed.add(0);
  bed.add(3);
  const [newest, quiesced, oldest] = shares(bed, 40000);
  // Of the five marks 0 to 4, the first four are the newest's.
  expect(newest).toBeCloseTo(4 / 5, 1);
  expect(oldest).toBeCloseTo(1 / 5, 1);
  expect(quiesced).toBe(0);
});

test('one is loaded: it is chosen only when both draws name it', () => {
  const bed = new ServiceBed(ids, powerOfTwo);
  bed.add(5);
  bed.load(bed.add(5), 100, 0);
  const [loaded] = shares(bed, 40000);
  expect(loaded).toBeCloseTo((6 / 11) ** 2, 1);
});

test('overloaded ones: never chosen; with all overloaded none is', () => {
  const bed = new ServiceBed(ids, powerOfTwo);
  const [oldest, newest] = [bed.add(1), bed.add(1)];
  bed.overload(newest, true);
  expect(shares(bed, 100)).toEqual([0, 1]);
  bed.overload(oldest, true);
  expect(bed.pick()).toBe(0);
});

test('weights that add up beyond 2^32: all are chosen', () => {
  const bed = new ServiceBed(ids, powerOfTwo);
  for (let count = 0; count < 4; count++) bed.add(2 ** 31 - 1);
  for (const share of shares(bed, 40000)) expect(share).toBeCloseTo(1 / 4, 1);
});

test('a worker whose random state is 0, and no worker: still random', () => {
  const bed = new ServiceBed(ids, powerOfTwo);
  bed.add(1);
  bed.add(1);
  bed.memory.u32[(bed.tables.worker + WORKER_RANDOM) >>> 2] = 0;
  expect(new Set(bed.positions(50)).size).toBe(2);
  Object.assign(bed.tables, { worker: 0 });
  const packet = 65536;
  const picks = Array.from({ length: 50 }, () => powerOfTwo.pick(bed.tables, bed.service, packet));
  expect(new Set(picks).size).toBe(2);
});
