import { expect, test } from 'vitest';
import { SERVICE_SCHED1, SERVICE_SCHED2 } from '../../../../assembly/shared/codes.ts';
import { sourceHash } from '../../../../host/scheduler/source-hash.ts';
import { BedMemory, ipv4, ServiceBed } from './service-bed.ts';

const ids = new BedMemory();

test('the table: as many slots in a row as the weight says, one for weight 0', () => {
  const bed = new ServiceBed(ids, sourceHash);
  const [oldest, middle, newest] = [bed.add(1), bed.add(0), bed.add(3)];
  const round = [newest.id, newest.id, newest.id, middle.id, oldest.id];
  expect(Array.from(bed.table ?? [])).toEqual(
    Array.from({ length: 256 }, (_, slot) => round[slot % 5]),
  );
});

test('weights that add up to more than the table: the oldest gets nothing', () => {
  const bed = new ServiceBed(ids, sourceHash);
  const [oldest, newest] = [bed.add(100), bed.add(300)];
  expect(bed.table?.every((id) => id === newest.id)).toBe(true);
  bed.edit(newest, 200);
  expect(bed.table?.filter((id) => id === oldest.id)).toHaveLength(56);
});

// hash_32 in 8 bits: 198.51.100.7 is 171, with port 40000 it is 79.
test('sh-port: the port counts, and without it it does not', () => {
  const packet = { source: ipv4('198.51.100.7'), sourcePort: 40000 };
  for (const [flags, slot] of [
    [0, 171],
    [SERVICE_SCHED2, 79],
  ]) {
    const bed = new ServiceBed(ids, sourceHash, { flags });
    for (let count = 0; count < 90; count++) bed.add(1);
    expect(bed.pick(packet)).toBe(bed.destinations[slot % 90].id);
  }
});

test('sh-fallback: the search begins as far behind the slot as the slot is behind 0', () => {
  const bed = new ServiceBed(ids, sourceHash, { flags: SERVICE_SCHED1 });
  for (let count = 0; count < 90; count++) bed.add(1);
  const packet = { source: ipv4('198.51.100.7') };
  bed.overload(bed.destinations[171 % 90], true);
  const slot = (171 + 171) % 256;
  expect(bed.pick(packet)).toBe(bed.destinations[slot].id);
  bed.overload(bed.destinations[slot], true);
  expect(bed.pick(packet)).toBe(bed.destinations[slot + 1].id);
});

test('nobody takes connections: none, with sh-fallback too', () => {
  for (const flags of [0, SERVICE_SCHED1]) {
    const bed = new ServiceBed(ids, sourceHash, { flags });
    expect(bed.pick()).toBe(0);
    bed.overload(bed.add(1), true);
    bed.add(0);
    expect(bed.pick()).toBe(0);
  }
});
