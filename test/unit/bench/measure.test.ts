import { describe, expect, it } from 'vitest';
import { compareResults } from '../../../bench/compare.ts';
import { interleave, median, ratioOf, summarize } from '../../../bench/measure.ts';
import { makeResult, type Result } from '../../../bench/result.ts';

describe('rounds', () => {
  it('take turns, every second one backwards, and leave the first out', async () => {
    const order: string[] = [];
    const competitors = ['a', 'b'].map((name) => ({
      name,
      slice: () => order.push(name),
    }));
    const samples = await interleave(competitors, 2);
    expect(order.join('')).toBe('abbaab');
    expect(samples).toEqual([
      { name: 'a', values: [4, 5] },
      { name: 'b', values: [3, 6] },
    ]);
  });

  it('give the middle, the spread, and the ratio round by round', () => {
    expect(median([5, 1, 3])).toBe(3);
    expect(median([4, 1, 3, 2])).toBe(2.5);
    expect(() => median([])).toThrow(RangeError);
    expect(summarize([3, 1, 2])).toEqual({ value: 2, spread: [1, 3] });
    // The machine was twice as slow in the second round: the ratio does not see it.
    const ratio = ratioOf({ name: 'a', values: [2, 4] }, { name: 'b', values: [1, 2] });
    expect(ratio).toEqual({ value: 2, spread: [2, 2] });
  });
});

describe('comparing two runs', () => {
  const about = { name: 'hit-path', unit: 'ns/packet', params: { connections: 1000 } };

  function result(ours: number[], twin?: number[]): Result {
    const against = twin === undefined ? [] : [{ name: 'twin', values: twin }];
    return makeResult(about, { name: 'wasm', values: ours }, against);
  }

  function verdict(before: Result, after: Result): string | undefined {
    return compareResults([before], [after])[0]?.verdict;
  }

  it('spreads that overlap: the same', () => {
    expect(verdict(result([10, 12]), result([11, 14]))).toBe('same');
  });

  it('spreads apart: worse above, better below', () => {
    expect(verdict(result([10, 12]), result([13, 14]))).toBe('worse');
    expect(verdict(result([13, 14]), result([10, 12]))).toBe('better');
  });

  it('of a gain more is better', () => {
    const gain = (values: number[]) =>
      makeResult({ ...about, unit: 'x one worker' }, { name: 'gain', values });
    expect(verdict(gain([1.8, 1.9]), gain([1.2, 1.3]))).toBe('worse');
  });

  it('against the same twin: the ratios count, not the speed of the machine', () => {
    expect(verdict(result([10, 10], [5, 5]), result([20, 20], [10, 10]))).toBe('same');
    expect(verdict(result([10, 10], [5, 5]), result([10, 10], [4, 4]))).toBe('worse');
  });

  it('numbers that only one run has are left out', () => {
    const other = { ...result([1]), params: { connections: 2000 } };
    expect(compareResults([other], [result([1])])).toEqual([]);
  });
});
