import { expect, test } from 'vitest';
import { destinationHash } from '../../../../host/scheduler/destination-hash.ts';
import type { Scheduler } from '../../../../host/scheduler/scheduler.ts';
import { BedMemory, ipv4, ServiceBed } from './service-bed.ts';

const ids = new BedMemory();

test('the table: destinations in turn, newest first, whatever their weights', () => {
  const bed = new ServiceBed(ids, destinationHash);
  const [oldest, middle, newest] = [bed.add(9), bed.add(0), bed.add(2)];
  const turn = [newest.id, middle.id, oldest.id];
  expect(Array.from(bed.table ?? [])).toEqual(
    Array.from({ length: 256 }, (_, slot) => turn[slot % 3]),
  );
});

// hash_32 of 10.0.0.1 in 8 bits is 39, of 10.0.0.2 it is 137: slots of position 0 and 2.
test('the destination address names the slot; a quiesced or overloaded one refuses', () => {
  const bed = new ServiceBed(ids, destinationHash);
  const [oldest, , newest] = [bed.add(1), bed.add(1), bed.add(1)];
  expect(bed.pick({ destination: ipv4('10.0.0.1') })).toBe(newest.id);
  expect(bed.pick({ destination: ipv4('10.0.0.2') })).toBe(oldest.id);
  bed.overload(newest, true);
  bed.edit(oldest, 0);
  expect(bed.pick({ destination: ipv4('10.0.0.1') })).toBe(0);
  expect(bed.pick({ destination: ipv4('10.0.0.2') })).toBe(0);
});

test('a destination deleted while a worker has the old table: refused', () => {
  const kept: Scheduler = {
    ...destinationHash,
    change: (memory, change) =>
      change.kind === 'delete' ? {} : destinationHash.change(memory, change),
  };
  const bed = new ServiceBed(ids, kept);
  const only = bed.add(1);
  expect(bed.pick()).toBe(only.id);
  bed.delete(only);
  expect(bed.pick()).toBe(0);
});

test('no destinations: none', () => {
  expect(new ServiceBed(ids, destinationHash).pick()).toBe(0);
});
