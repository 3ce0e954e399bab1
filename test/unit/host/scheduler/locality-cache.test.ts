import { beforeEach, expect, test } from 'vitest';
import { SCHEDULER_LBLCR } from '../../../../assembly/shared/codes.ts';
import {
  LOCALITY_MEMBERS,
  LOCALITY_MEMBERS_MAX,
  LOCALITY_MORE,
  LOCALITY_NEXT,
  LOCALITY_POOL_FREE,
  LOCALITY_POOL_USED,
} from '../../../../assembly/shared/layout.ts';
import { LOCALITY_ENTRIES_MAX } from '../../../../assembly/shared/limits.ts';
import { localityBased } from '../../../../host/scheduler/locality-based.ts';
import { localityBasedReplication } from '../../../../host/scheduler/locality-based-replication.ts';
import {
  addEntry,
  eraseMember,
  findEntry,
  insertMember,
  localityRefusals,
  localityWord,
  memberCount,
} from '../../../../host/scheduler/locality-cache.ts';
import { withSeeds } from './seeded.ts';
import { BedMemory, ipv4, ServiceBed } from './service-bed.ts';

let ids: BedMemory;

beforeEach(() => {
  ids = new BedMemory();
});

function members(bed: ServiceBed, entry: number): number[] {
  const { memory } = bed;
  const found: number[] = [];
  let record = entry;
  for (let position = 0; position < memberCount(memory, entry); position++) {
    const slot = position % LOCALITY_MEMBERS_MAX;
    if (slot === 0 && position > 0)
      record = memory.u32[localityWord(memory, record, LOCALITY_MORE)];
    found.push(memory.u32[localityWord(memory, record, LOCALITY_MEMBERS) + slot]);
  }
  return found;
}

/** Records in use: entries and continuations. */
function usedRecords(bed: ServiceBed): number {
  const { memory } = bed;
  let used = memory.u32[localityWord(memory, 0, LOCALITY_POOL_USED)];
  let free = memory.u32[localityWord(memory, 0, LOCALITY_POOL_FREE)];
  for (; free !== 0; used--) free = memory.u32[localityWord(memory, free, LOCALITY_NEXT)];
  return used;
}

test('random sets, small and large: newest first, references and records as counted', () => {
  withSeeds(60, (random) => {
    const bed = new ServiceBed(ids, localityBasedReplication);
    const { memory } = bed;
    const servers = Array.from({ length: 24 }, () => bed.add(1));
    const packet = bed.writePacket({ destination: random.bytes(4) });
    addEntry(memory, bed.service, packet, servers[0].id, 0);
    const entry = findEntry(memory, bed.service, packet);
    let expected = [servers[0].id];
    for (let step = 0; step < 200; step++) {
      const { id } = random.of(servers);
      if (random.once(2) || expected.length === 1) {
        insertMember(memory, entry, id, step);
        if (!expected.includes(id)) expected = [id, ...expected];
      } else {
        eraseMember(memory, entry, id, step);
        if (expected.length > 1) expected = expected.filter((one) => one !== id);
      }
      expect(members(bed, entry)).toEqual(expected);
      expect(usedRecords(bed)).toBe(Math.ceil(expected.length / LOCALITY_MEMBERS_MAX));
    }
    for (const server of servers) {
      expect(bed.references(server)).toBe(expected.includes(server.id) ? 1 : 0);
    }
    bed.unbind();
    expect(usedRecords(bed)).toBe(0);
    for (const server of servers) expect(bed.references(server)).toBe(0);
  });
});

test('services that share buckets: each has its own entry for an address', () => {
  const beds = Array.from({ length: 130 }, () => new ServiceBed(ids, localityBased));
  for (const bed of beds) bed.add(1);
  const destination = ipv4('203.0.113.9');
  for (const bed of beds) expect(bed.pick({ destination })).toBe(bed.destinations[0].id);
  beds[64].unbind();
  for (const bed of beds) {
    const entry = findEntry(bed.memory, bed.service, bed.writePacket({ destination }));
    expect(entry !== 0).toBe(bed !== beds[64]);
  }
});

test('a cache that was closed: a late pick chooses but caches nothing', () => {
  const bed = new ServiceBed(ids, localityBased);
  const { id } = bed.add(1);
  bed.unbind();
  expect(bed.pick({ destination: ipv4('203.0.113.9') })).toBe(id);
  expect(usedRecords(bed)).toBe(0);
});

test('bound again: the old entries are gone', () => {
  const bed = new ServiceBed(ids, localityBased);
  const destination = ipv4('203.0.113.9');
  bed.add(1);
  bed.pick({ destination });
  localityBasedReplication.change(bed.memory, {
    kind: 'bind',
    serviceId: bed.service,
    flags: 0,
    destinations: bed.destinations,
    changed: undefined,
    position: -1,
  });
  expect(findEntry(bed.memory, bed.service, bed.writePacket({ destination }))).toBe(0);
  expect(usedRecords(bed)).toBe(0);
});

test.each([localityBased, localityBasedReplication])(
  '$name, no record free: still chooses, and counts what it could not cache',
  (scheduler) => {
    const bed = new ServiceBed(ids, scheduler);
    const [older, newer] = [bed.add(1), bed.add(1)];
    const first = ipv4('203.0.113.9');
    expect(bed.pick({ destination: first })).toBe(newer.id);
    const used = localityWord(bed.memory, 0, LOCALITY_POOL_USED);
    bed.memory.u32[used] = LOCALITY_ENTRIES_MAX - 1;
    bed.load(newer, 1, 0);
    expect(bed.pick({ destination: ipv4('203.0.113.10') })).toBe(older.id);
    expect(localityRefusals(bed.memory)).toBe(1);
    expect(bed.pick({ destination: first })).toBe(newer.id);
  },
);

test('the last record is used, and no record beyond it', () => {
  const bed = new ServiceBed(ids, localityBased);
  bed.add(1);
  bed.memory.u32[localityWord(bed.memory, 0, LOCALITY_POOL_USED)] = LOCALITY_ENTRIES_MAX - 2;
  const destination = ipv4('203.0.113.9');
  bed.pick({ destination });
  expect(findEntry(bed.memory, bed.service, bed.writePacket({ destination }))).toBe(
    LOCALITY_ENTRIES_MAX - 1,
  );
  bed.pick({ destination: ipv4('203.0.113.10') });
  expect(localityRefusals(bed.memory)).toBe(1);
});

test('IPv6 addresses that fold to the same bucket: told apart', () => {
  const bed = new ServiceBed(ids, localityBased, { family: 6 });
  const one = bed.add(1);
  const address = Uint8Array.from({ length: 16 }, (_, index) => index);
  const swapped = Uint8Array.from([
    ...address.slice(0, 8),
    ...address.slice(12),
    ...address.slice(8, 12),
  ]);
  expect(bed.pick({ destination: address })).toBe(one.id);
  bed.load(one, 1, 0);
  const other = bed.add(1);
  expect(bed.pick({ destination: swapped })).toBe(other.id);
  expect(bed.pick({ destination: address })).toBe(one.id);
});

test('a deleted destination: passed over while it is gone, serving again when it is back', () => {
  const bed = new ServiceBed(ids, localityBasedReplication);
  const [older, newer] = [bed.add(1), bed.add(1)];
  const destination = ipv4('203.0.113.9');
  expect(bed.pick({ destination })).toBe(newer.id);
  bed.delete(newer);
  expect(bed.references(newer)).toBe(1);
  expect(bed.pick({ destination })).toBe(older.id);
  bed.load(older, 1, 0);
  bed.addAgain(newer);
  expect(bed.pick({ destination })).toBe(newer.id);
  expect(bed.scheduler.code).toBe(SCHEDULER_LBLCR);
});
