import { describe, expect, it } from 'vitest';
import { Ids } from '../../../../host/tables/ids.ts';

describe('Ids', () => {
  it('start at 1 and end at the last record', () => {
    const ids = new Ids('services', 4);
    expect([ids.take(), ids.take(), ids.take()]).toEqual([1, 2, 3]);
    expect(ids.available).toBe(false);
    expect(() => ids.take()).toThrow('no room for more services: the limit is 3');
  });

  it('released, published, adopted: only then given out again, first released first', () => {
    const ids = new Ids('services', 3);
    ids.take();
    ids.take();
    ids.release(2);
    ids.release(1);
    expect(ids.available).toBe(false);
    ids.onAdopted();
    expect(ids.available).toBe(false);
    ids.onPublished();
    expect(ids.available).toBe(false);
    ids.onAdopted();
    expect([ids.take(), ids.take()]).toEqual([2, 1]);
  });

  it('released after a publication: waits for the next one', () => {
    const ids = new Ids('services', 2);
    ids.take();
    ids.onPublished();
    ids.release(1);
    ids.onAdopted();
    expect(ids.available).toBe(false);
  });
});
