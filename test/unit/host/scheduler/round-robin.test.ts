import { expect, test } from 'vitest';
import { roundRobin } from '../../../../host/scheduler/round-robin.ts';
import { BedMemory, ServiceBed } from './service-bed.ts';

const ids = new BedMemory();

test('three destinations: the newest is first, then in turn', () => {
  const bed = new ServiceBed(ids, roundRobin);
  bed.add(1);
  bed.add(5);
  bed.add(2);
  expect(bed.positions(7)).toEqual([0, 1, 2, 0, 1, 2, 0]);
});

test('weight 0 and overloaded: passed over', () => {
  const bed = new ServiceBed(ids, roundRobin);
  const oldest = bed.add(1);
  bed.add(0);
  bed.overload(bed.add(1), true);
  bed.add(1);
  expect(bed.positions(4)).toEqual([0, 3, 0, 3]);
  bed.edit(oldest, 0);
  expect(bed.positions(2)).toEqual([0, 0]);
});

test('no destination, or none that takes connections: none is chosen and the cursor stays', () => {
  const bed = new ServiceBed(ids, roundRobin);
  expect(bed.pick()).toBe(0);
  const oldest = bed.add(1);
  const newest = bed.add(1);
  expect(bed.pick()).toBe(newest.id);
  bed.overload(oldest, true);
  bed.overload(newest, true);
  expect(bed.pick()).toBe(0);
  bed.overload(oldest, false);
  bed.overload(newest, false);
  expect(bed.pick()).toBe(oldest.id);
});

test('the destination chosen last is deleted: its successor is next', () => {
  const bed = new ServiceBed(ids, roundRobin);
  const [oldest, middle, newest] = [bed.add(1), bed.add(1), bed.add(1)];
  expect([bed.pick(), bed.pick()]).toEqual([newest.id, middle.id]);
  bed.delete(middle);
  expect(bed.pick()).toBe(oldest.id);
});

test('the destination chosen last is deleted and was the newest: the round begins anew', () => {
  const bed = new ServiceBed(ids, roundRobin);
  const [, middle, newest] = [bed.add(1), bed.add(1), bed.add(1)];
  expect(bed.pick()).toBe(newest.id);
  bed.delete(newest);
  expect(bed.pick()).toBe(middle.id);
});

test('the cursor is on a destination that is gone: what took its place is next', () => {
  // A worker can pick by the old list after the host moved the cursor and before it publishes.
  const unhooked = { ...roundRobin, change: () => ({}) };
  const bed = new ServiceBed(ids, unhooked);
  const [oldest, middle, newest] = [bed.add(1), bed.add(1), bed.add(1)];
  expect([bed.pick(), bed.pick()]).toEqual([newest.id, middle.id]);
  bed.delete(middle);
  expect(bed.pick()).toBe(oldest.id);
  bed.delete(oldest);
  expect(bed.pick()).toBe(newest.id);
});
