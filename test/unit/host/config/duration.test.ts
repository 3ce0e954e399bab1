import fc from 'fast-check';
import { expect, test } from 'vitest';
import { formatDuration, parseDuration } from '../../../../host/config/duration.ts';

test.each([
  ['300s', 300_000],
  ['2m', 120_000],
  ['100ms', 100],
  ['1h30m', 5_400_000],
  ['1.5s', 1_500],
  ['31d', 2_678_400_000],
  ['5', 5_000],
  ['0.25', 250],
  ['0', 0],
])('%s is %d ms', (text, milliseconds) => {
  expect(parseDuration(text)).toBe(milliseconds);
});

test.each(['', 's', '-1s', '5 s', '1e3', '5sec', '1.s', 'forever'])('%j is none', (text) => {
  expect(parseDuration(text)).toBeUndefined();
});

test('what formatDuration writes is read again', () => {
  fc.assert(
    fc.property(fc.nat({ max: 2_678_400_000 }), (milliseconds) => {
      expect(parseDuration(formatDuration(milliseconds))).toBe(milliseconds);
    }),
  );
});
