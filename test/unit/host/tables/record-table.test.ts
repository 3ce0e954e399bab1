import { describe, expect, it } from 'vitest';
import { RecordTable } from '../../../../host/tables/record-table.ts';
import { Random, seedFromEnvironment } from '../../../support/random.ts';

const seed = seedFromEnvironment(7);
const SIZE = 8;
const SLOTS = 64;
const BASE = 128;

/** Records of a u32 key, never 0, and a u32 value; the hash is poor on purpose. */
function createTable(u8: Uint8Array): RecordTable {
  const words = new Uint32Array(u8.buffer);
  return new RecordTable(u8, BASE, {
    size: SIZE,
    slots: SLOTS,
    isUsed: (at) => words[at >>> 2] !== 0,
    hash: (at) => poorHash(words[at >>> 2]),
  });
}

/** Many keys share a home slot, and the last slots are crowded, so that runs go round the end. */
function poorHash(key: number): number {
  return key % 3 === 0 ? 62 : key % 11;
}

/** What a search finds for each key there can be. */
function contents(table: RecordTable, words: Uint32Array): Map<number, number> {
  const found = new Map<number, number>();
  for (let key = 1; key <= 80; key++) {
    const at = table.probe(poorHash(key), (record) => words[record >>> 2] === key);
    if (words[at >>> 2] === key) found.set(key, words[(at >>> 2) + 1]);
  }
  return found;
}

describe(`RecordTable against a Map (seed ${seed})`, () => {
  for (let round = 0; round < 20; round++) {
    it(`inserts and removals in any order, round ${round}`, () => {
      const random = new Random(seed + round);
      const u8 = new Uint8Array(BASE + SIZE * SLOTS);
      const words = new Uint32Array(u8.buffer);
      const table = createTable(u8);
      const twin = new Map<number, number>();
      for (let step = 0; step < 300; step++) {
        const key = random.between(1, 80);
        const at = table.probe(poorHash(key), (record) => words[record >>> 2] === key);
        if (random.oneIn(2) && twin.size < SLOTS / 2) {
          words[at >>> 2] = key;
          words[(at >>> 2) + 1] = step;
          twin.set(key, step);
        } else if (words[at >>> 2] === key) {
          table.remove(at);
          twin.delete(key);
        }
        if (random.oneIn(10)) expect(contents(table, words)).toEqual(twin);
      }
      table.clear();
      expect(u8.every((byte) => byte === 0)).toBe(true);
    });
  }
});
