// How numbers are made that can be repeated: competitors take turns in rounds, so that what the
// machine does meanwhile happens to all of them; a number is the median of its rounds, its spread the
// least and the greatest of them, and a ratio is the median of the rounds' own ratios.

/** Somebody whose slices of work are timed. */
export interface Competitor<Value = number> {
  readonly name: string;
  /** Does a slice of work. @returns its value, in the unit of the bench; or several of them */
  slice(): Value | Promise<Value>;
}

/** The values of one competitor, by round. */
export interface Sample<Value = number> {
  readonly name: string;
  readonly values: readonly Value[];
}

/** A number and how far its rounds lay apart. */
export interface Summary {
  readonly value: number;
  readonly spread: readonly [min: number, max: number];
}

/**
 * Lets competitors take turns; every second round goes backwards.
 * @param warmUps rounds before the first that counts
 */
export async function interleave<Value = number>(
  competitors: readonly Competitor<Value>[],
  rounds: number,
  warmUps = 1,
): Promise<readonly Sample<Value>[]> {
  const values = competitors.map((): Value[] => []);
  for (let round = -warmUps; round < rounds; round++) {
    const order = competitors.map((_, index) => index);
    if (round % 2 === 0) order.reverse();
    for (const index of order) {
      const value = await competitors[index].slice();
      if (round >= 0) values[index].push(value);
    }
  }
  return competitors.map(({ name }, index) => ({ name, values: values[index] }));
}

/** The middle of some numbers. */
export function median(values: readonly number[]): number {
  if (values.length === 0) throw new RangeError('no values');
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

/** Median and spread. */
export function summarize(values: readonly number[]): Summary {
  return { value: median(values), spread: [Math.min(...values), Math.max(...values)] };
}

/** One number of each round. */
export function pluck<Value>(
  { name, values }: Sample<Value>,
  pick: (value: Value) => number,
): Sample {
  return { name, values: values.map(pick) };
}

/** The ratio of two competitors, round by round. */
export function ratioOf(sample: Sample, against: Sample): Summary {
  return summarize(sample.values.map((value, round) => value / against.values[round]));
}
