import { describe, expect, test } from 'vitest';
import { weightedRoundRobin } from '../../../../host/scheduler/weighted-round-robin.ts';
import { withSeeds } from './seeded.ts';
import { BedMemory, ServiceBed } from './service-bed.ts';
import { SlowWeightedRoundRobin } from './slow-schedulers.ts';

const ids = new BedMemory();

/** @param weights in list order, newest first */
function bedOf(weights: readonly number[]): ServiceBed {
  const bed = new ServiceBed(ids, weightedRoundRobin);
  for (const weight of weights.toReversed()) bed.add(weight);
  return bed;
}

// The first picks are those of a service whose scheduler is bound when the list is complete; adding
// one destination after the other leaves the level where the first one put it.
function rebound(weights: readonly number[]): ServiceBed {
  const bed = bedOf(weights);
  weightedRoundRobin.change(bed.memory, {
    kind: 'bind',
    serviceId: bed.service,
    flags: 0,
    destinations: bed.destinations,
    changed: undefined,
    position: -1,
  });
  return bed;
}

describe('weights, newest first', () => {
  test.each([
    { weights: [4, 3, 2], positions: [0, 0, 1, 0, 1, 2, 0, 1, 2] },
    { weights: [1, 2, 4], positions: [2, 2, 1, 2, 0, 1, 2] },
    { weights: [2, 4, 6], positions: [2, 1, 2, 0, 1, 2] },
    { weights: [1, 0, 1], positions: [0, 2, 0, 2] },
    { weights: [3], positions: [0, 0, 0] },
    { weights: [0, 0], positions: [-1, -1] },
    { weights: [], positions: [-1] },
  ])('$weights: $positions', ({ weights, positions }) => {
    expect(rebound(weights).positions(positions.length)).toEqual(positions);
  });
});

test('destinations added one by one: the first round asks for a weight of 1', () => {
  const bed = bedOf([10, 100, 75, 25, 50, 100]);
  expect(bed.positions(6)).toEqual([0, 1, 2, 3, 4, 5]);
});

test('a whole cycle: each destination is chosen as often as its weight says', () => {
  const weights = [10, 100, 75, 25, 50, 100];
  const bed = rebound(weights);
  const cycle = bed.positions(weights.reduce((sum, weight) => sum + weight) / 5);
  const chosen = weights.map((_, position) => cycle.filter((one) => one === position).length);
  expect(chosen).toEqual(weights.map((weight) => weight / 5));
});

test('the heaviest by far is overloaded: the others are found without walking every level', () => {
  const bed = rebound([1, 2 ** 31 - 1, 2]);
  bed.overload(bed.destinations[1], true);
  expect(bed.positions(6)).toEqual([2, 0, 2, 2, 0, 2]);
});

test('all overloaded: none, and none again', () => {
  const bed = rebound([3, 2 ** 31 - 1, 7]);
  expect(bed.positions(1)).toEqual([1]);
  for (const destination of bed.destinations) bed.overload(destination, true);
  expect(bed.positions(3)).toEqual([-1, -1, -1]);
});

test('all overloaded at times, and no edit in between: the level and the place stay right', () => {
  withSeeds(100, (random) => {
    const bed = new ServiceBed(ids, weightedRoundRobin);
    const slow = new SlowWeightedRoundRobin();
    slow.change('bind', []);
    const weights = random.of([
      [1, 1],
      [1, 2, 3],
      [2, 4, 6, 0],
      [5, 3, 1],
      [3, 9],
    ]);
    for (const weight of weights) {
      bed.add(weight);
      slow.change('add', bed.destinations);
    }
    const rarely = 2 + random.below(6);
    for (let step = 0; step < 200; step++) {
      for (const destination of bed.destinations) {
        if (random.once(rarely)) bed.overload(destination, !random.once(3));
      }
      expect(bed.pick(), `step ${step}`).toBe(slow.pick(bed.destinations)?.id ?? 0);
    }
  });
});
