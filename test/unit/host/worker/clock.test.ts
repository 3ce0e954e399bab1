import { expect, test } from 'vitest';
import { createClock, monotonicMs } from '../../../../host/worker/clock.ts';

test('a clock counts from its epoch, and agrees with another of the same epoch', () => {
  const epoch = monotonicMs() - 5000;
  const [one, other] = [createClock(epoch), createClock(epoch)];
  const before = one();
  expect(before).toBeGreaterThanOrEqual(5000);
  expect(before).toBeLessThan(6000);
  expect(Math.abs(other() - one())).toBeLessThan(5);
  expect(one()).toBeGreaterThanOrEqual(before);
});
