import { expect, test } from 'vitest';
import { isHeavier, overheadOf } from '../../../../host/scheduler/load.ts';
import { weightedLeastConnection } from '../../../../host/scheduler/weighted-least-connection.ts';
import { withSeeds } from './seeded.ts';
import { BedMemory, ServiceBed } from './service-bed.ts';

test('an active connection costs as much as 256 inactive ones', () => {
  const bed = new ServiceBed(new BedMemory(), weightedLeastConnection);
  const destination = bed.add(1);
  bed.load(destination, 3, 20);
  expect(overheadOf(bed.tables, destination.id)).toBe(3 * 256 + 20);
});

test('loads for weights: compared like exact fractions, however large', () => {
  withSeeds(2000, (random) => {
    const large = () => 2 ** 31 - 1 - random.below(8);
    const number = () => random.of([large, () => random.below(2 ** 31), () => random.below(9)])();
    const [loadA, weightA, loadB, weightB] = [number(), number(), number(), number()];
    const exact = BigInt(loadA) * BigInt(weightB) > BigInt(loadB) * BigInt(weightA);
    expect(isHeavier(loadA, weightA, loadB, weightB)).toBe(exact);
  });
});

test('products that a double cannot tell apart: told apart', () => {
  const greatest = 2 ** 31 - 1;
  expect(isHeavier(greatest, greatest - 1, greatest, greatest)).toBe(true);
  expect(greatest * greatest === (greatest - 1) * (greatest + 1)).toBe(true);
  expect(isHeavier(greatest, greatest - 1, greatest + 0, greatest - 1)).toBe(false);
  expect(isHeavier(greatest - 1, greatest, greatest - 2, greatest - 1)).toBe(true);
});
