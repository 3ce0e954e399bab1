/**
 * Random numbers that come again: a test names its seed in its title, so that a failure prints
 * it, and `SEED=n npx vitest run FILE` repeats that run or tries another.
 */

/** The seed of this run: the environment's, or else the one given. */
export function seedFromEnvironment(otherwise: number): number {
  const text = process.env.SEED;
  return text === undefined ? otherwise : Number.parseInt(text, 10) >>> 0;
}

/** mulberry32: small, and good enough to reach corners. */
export class Random {
  #state: number;

  constructor(seed: number) {
    this.#state = seed >>> 0;
  }

  /** 0..2^32-1. */
  u32(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let word = this.#state;
    word = Math.imul(word ^ (word >>> 15), word | 1);
    word ^= word + Math.imul(word ^ (word >>> 7), word | 61);
    return (word ^ (word >>> 14)) >>> 0;
  }

  /** 0..65535. */
  u16(): number {
    return this.u32() >>> 16;
  }

  /** 0..limit-1. */
  below(limit: number): number {
    return Math.floor((this.u32() / 2 ** 32) * limit);
  }

  /** first..last, both included. */
  between(first: number, last: number): number {
    return first + this.below(last - first + 1);
  }

  /** True once in `times`. */
  oneIn(times: number): boolean {
    return this.below(times) === 0;
  }

  pick<T>(from: readonly T[]): T {
    const chosen = from[this.below(from.length)];
    if (chosen === undefined) throw new Error('pick() from an empty list');
    return chosen;
  }

  /** None to `most` of what is made. */
  several<T>(most: number, make: () => T): T[] {
    return Array.from({ length: this.below(most + 1) }, make);
  }

  bytes(length: number): Uint8Array {
    const bytes = new Uint8Array(length);
    for (let i = 0; i < length; i++) bytes[i] = this.u32() >>> 24;
    return bytes;
  }

  /** A number that is often a corner of 16-bit ones' complement arithmetic. */
  corner16(): number {
    return this.oneIn(2) ? this.u16() : this.pick([0, 1, 0x00ff, 0xff00, 0x7fff, 0xfffe, 0xffff]);
  }

  /** Two of these: a number that is often a corner of 32-bit arithmetic. */
  corner32(): number {
    return ((this.corner16() << 16) | this.corner16()) >>> 0;
  }
}
