import { createHash } from 'node:crypto';
import { expect, test } from 'vitest';
import { SERVICE_SCHED2 } from '../../../../assembly/shared/codes.ts';
import { MAGLEV_SLOTS } from '../../../../assembly/shared/limits.ts';
import { IpvsError } from '../../../../host/ipvs/types.ts';
import { maglev } from '../../../../host/scheduler/maglev.ts';
import type { ListedDestination } from '../../../../host/scheduler/scheduler.ts';
import { BedMemory, ipv4, ServiceBed } from './service-bed.ts';

const ids = new BedMemory();

/** @param weights of 10.0.0.1:80, 10.0.0.2:80 and so on, added in this order */
function bedOf(weights: readonly number[], flags = 0): ServiceBed {
  const bed = new ServiceBed(ids, maglev, { flags });
  for (const [index, weight] of weights.entries()) {
    bed.add(weight, { address: Uint8Array.of(10, 0, 0, index + 1), port: 80 });
  }
  return bed;
}

/** The table as positions in the list, a byte each. */
function positions(bed: ServiceBed): Uint8Array {
  const listed = bed.destinations.map((destination) => destination.id);
  return Uint8Array.from(bed.table ?? [], (id) => listed.indexOf(id));
}

function slotsOf(table: Uint8Array, position: number): number {
  return table.filter((one) => one === position).length;
}

function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

test('three destinations of weight 1: the known table', () => {
  const table = positions(bedOf([1, 1, 1]));
  expect([0, 1, 2].map((position) => slotsOf(table, position))).toEqual([1365, 1364, 1364]);
  expect(sha256(table)).toBe('01a891fc2a6a90c5c319ec69fd4ed0c054e9d1d3b0b936d68797115eb546abfe');
});

test('weights 2, 3 and 5: the known table', () => {
  const table = positions(bedOf([2, 3, 5]));
  expect([0, 1, 2].map((position) => slotsOf(table, position))).toEqual([2048, 1227, 818]);
  expect(sha256(table)).toBe('1acab2de0a46362c56834562be3e9f6a5fabb185f5f962b4273e6e4340ab2862');
});

test.each([
  ['198.51.100.7', 1],
  ['198.51.100.8', 3],
  ['192.0.2.1', 3],
  ['203.0.113.9', 2],
])('client %s goes to 10.0.0.%i', (client, host) => {
  const bed = bedOf([1, 1, 1]);
  expect(bed.pick({ source: ipv4(client), sourcePort: 40000 })).toBe(bed.destinations[3 - host].id);
});

test('with mh-port, 198.51.100.7:40000 goes to 10.0.0.2', () => {
  const bed = bedOf([1, 1, 1], SERVICE_SCHED2);
  const chosen = bed.pick({ source: ipv4('198.51.100.7'), sourcePort: 40000 });
  expect(chosen).toBe(bed.destinations[1].id);
});

test('a destination is quiesced: no slot moves, and its clients get none', () => {
  const bed = bedOf([2, 3, 5]);
  const before = positions(bed);
  const clients = Array.from({ length: 200 }, (_, index) => Uint8Array.of(198, 51, 100, index));
  const chosen = clients.map((source) => bed.pick({ source }));
  const quiesced = bed.destinations[0];
  bed.edit(quiesced, 0);
  expect(positions(bed)).toEqual(before);
  const now = clients.map((source) => bed.pick({ source }));
  expect(now).toEqual(chosen.map((id) => (id === quiesced.id ? 0 : id)));
});

test('a destination added with weight 0: it gets no slot', () => {
  const bed = bedOf([1, 0]);
  expect(slotsOf(positions(bed), 0)).toBe(0);
  expect(slotsOf(positions(bed), 1)).toBe(MAGLEV_SLOTS);
});

test('only destinations added with weight 0: an empty table and no choice', () => {
  const bed = bedOf([0, 0]);
  expect(bed.table?.every((id) => id === 0)).toBe(true);
  expect(bed.pick()).toBe(0);
});

test('a tunnel destination of the other family: hashed as an address of the service', () => {
  // The kernel reads the first 4 bytes of an IPv6 destination of an IPv4 service.
  const other: ListedDestination = {
    id: 7,
    family: 6,
    address: Uint8Array.of(10, 0, 0, 1, 9, 9, 9, 9, 0, 0, 0, 0, 0, 0, 0, 0),
    port: 80,
    weight: 1,
    lastWeight: 1,
  };
  const same: ListedDestination = { ...other, family: 4, address: ipv4('10.0.0.1') };
  const second: ListedDestination = { ...same, id: 8, address: ipv4('10.0.0.2') };
  const table = (first: ListedDestination) =>
    maglev.change(ids.memory, {
      kind: 'bind',
      serviceId: 1,
      family: 4,
      flags: 0,
      destinations: [first, second],
      changed: undefined,
      position: -1,
    }).table;
  expect(table(other)).toEqual(table(same));
});

test('more destinations than slots: EINVAL at bind, the old table stays at a later change', () => {
  const destinations = Array.from({ length: MAGLEV_SLOTS + 1 }, (_, index) => ({
    id: index + 1,
    family: 4 as const,
    address: Uint8Array.of(10, index >>> 16, index >>> 8, index),
    port: 80,
    weight: 1,
    lastWeight: 1,
  }));
  const change = { serviceId: 1, flags: 0, destinations, changed: undefined, position: -1 };
  const bind = () => maglev.change(ids.memory, { ...change, kind: 'bind' });
  expect(bind).toThrow(IpvsError);
  expect(bind).toThrow(expect.objectContaining({ code: 'EINVAL' }));
  expect(maglev.change(ids.memory, { ...change, kind: 'add' })).toEqual({});
  const all = maglev.change(ids.memory, {
    ...change,
    kind: 'bind',
    destinations: destinations.slice(1),
  });
  expect(new Set(all.table).size).toBe(MAGLEV_SLOTS);
});
