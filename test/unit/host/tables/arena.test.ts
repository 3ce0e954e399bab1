import { describe, expect, it } from 'vitest';
import { Arena } from '../../../../host/tables/arena.ts';
import { Random, seedFromEnvironment } from '../../../support/random.ts';

const seed = seedFromEnvironment(3);

describe('Arena', () => {
  it('full: gives nothing, until a place of that very capacity is released', () => {
    const arena = new Arena(8);
    const first = arena.allocate(4)!;
    expect(arena.allocate(4)).toBe(4);
    expect(arena.allocate(1)).toBeUndefined();
    arena.release(first, 4);
    expect(arena.allocate(2)).toBeUndefined();
    expect(arena.allocate(4)).toBe(first);
    arena.reset();
    expect(arena.allocate(8)).toBe(0);
  });

  it(`places in use never overlap (seed ${seed})`, () => {
    const random = new Random(seed);
    const arena = new Arena(200);
    const used = new Map<number, number>();
    for (let step = 0; step < 2000; step++) {
      if (random.oneIn(2)) {
        const capacity = random.pick([1, 2, 4, 8]);
        const place = arena.allocate(capacity);
        if (place === undefined) continue;
        for (const [other, size] of used) {
          expect(place + capacity <= other || other + size <= place).toBe(true);
        }
        expect(place + capacity).toBeLessThanOrEqual(200);
        used.set(place, capacity);
      } else if (used.size > 0) {
        const place = random.pick([...used.keys()]);
        arena.release(place, used.get(place)!);
        used.delete(place);
      }
    }
  });
});
