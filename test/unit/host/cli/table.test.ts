import { expect, test } from 'vitest';
import { formatAge, formatCount, formatShort, formatTable } from '../../../../host/cli/table.ts';

test('columns are as wide as their widest cell, and lines end where their text does', () => {
  const columns = [{ heading: 'NAME' }, { heading: 'N', align: 'right' as const }];
  expect(formatTable(columns, [['a', '1'], ['longer', '1000'], ['b']])).toBe(
    'NAME       N\na          1\nlonger  1000\nb\n',
  );
});

test.each([
  [0, '0'],
  [0.25, '0.3'],
  [7, '7'],
  [999, '999'],
  [1_000, '1k'],
  [1_500, '1.5k'],
  [12_345, '12k'],
  [9_960, '10.0k'],
  [1_234_567, '1.2M'],
  [8e9, '8G'],
])('%d in short is %s', (value, text) => {
  expect(formatShort(value)).toBe(text);
});

test('thousands are set apart', () => {
  expect(formatCount(1_000_000)).toBe('1,000,000');
});

test.each([
  [0, '0s'],
  [59.9, '59s'],
  [60, '1m 0s'],
  [3_661, '1h 1m'],
  [93_784, '1d 2h'],
])('%d seconds are %s', (seconds, text) => {
  expect(formatAge(seconds)).toBe(text);
});
