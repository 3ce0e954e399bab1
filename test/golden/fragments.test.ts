/**
 * Fragments: a datagram waits until it is whole, is handled like any other, and leaves in the pieces
 * it came in.
 */

import { describe, expect, test } from 'vitest';
import { checkMemory } from '../support/check-bed.ts';
import { BUILDS, createBed, twoArmedPorts, twoArmedWorld } from '../support/director-bed.ts';
import * as build from '../support/packet-builder.ts';
import {
  FAMILIES,
  type Family,
  fromClient,
  HOSTS,
  ip,
  ipOf,
  LOCAL_PORTS,
  POOL,
  service,
  toServer,
} from './golden.ts';

const { packet, payload } = build;
const CLIENT = 40000;
const SIZE = 1000;

function whole(
  fields: { from: string; to: string; hops: number; fromPort: number; toPort: number },
  link: build.Layer,
): Uint8Array {
  const { fromPort, toPort, ...ends } = fields;
  return packet(
    link,
    ip({ ...ends, identification: 77 }),
    build.udp({ sourcePort: fromPort, destinationPort: toPort }),
    payload(2600),
  );
}

function cut(family: Family, frame: Uint8Array, size = SIZE): Uint8Array[] {
  return family === 4 ? build.fragmentIpv4(frame, size) : build.fragmentIpv6(frame, size, 0x1234);
}

function request(family: Family): Uint8Array[] {
  const { client, vip } = HOSTS[family];
  const fields = { from: client, to: vip, hops: 64, fromPort: CLIENT, toPort: 80 };
  return cut(family, whole(fields, fromClient(family)));
}

/** Frames without the identification that the director gives IPv6's fragments anew. */
function comparable(family: Family, frames: readonly Uint8Array[]): string[] {
  return frames.map((frame) => {
    const copy = Uint8Array.from(frame);
    if (family === 6) copy.fill(0, 14 + 44, 14 + 48);
    return build.toHex(copy);
  });
}

describe.each(BUILDS)('%s', (on) => {
  describe.each(FAMILIES)('IPv%d', (family) => {
    const { client, vip, server, local } = HOSTS[family];

    test.each(['nat', 'full-nat', 'direct-route'] as const)('%s: cut where it was', (method) => {
      const services = service('udp', family, { method });
      for (const order of [
        [0, 1, 2],
        [2, 1, 0],
        [1, 2, 0],
      ]) {
        const bed = createBed({ build: on, services, pool: POOL });
        const parts = request(family);
        const [first, second, last] = order.map((nth) => parts[nth]);
        expect(bed.send('client', first).verdict).toBe('hold');
        expect(bed.send('client', second).verdict).toBe('hold');
        checkMemory(bed.memory);
        const { verdict, out, counters } = bed.send('client', last);
        expect(verdict).toBe('transmit');
        const expected = whole(
          {
            from: method === 'full-nat' ? local : client,
            to: method === 'direct-route' ? vip : server,
            hops: 63,
            fromPort: method === 'full-nat' ? LOCAL_PORTS[0] : CLIENT,
            toPort: 80,
          },
          toServer(family),
        );
        const frames = out.map(({ frame }) => frame);
        expect(comparable(family, frames)).toEqual(comparable(family, cut(family, expected)));
        expect(counters).toEqual({ TRANSMITTED: 3, FRAGMENTS_MADE: 3, HELD: 1 });
        checkMemory(bed.memory);
        bed.close();
      }
    });

    test('a tunnel carries the datagram in pieces that fit', () => {
      const services = service('udp', family, { method: 'tunnel' });
      const bed = createBed({ build: on, services });
      const outcomes = request(family).map((part) => bed.send('client', part));
      const out = outcomes.flatMap((outcome) => outcome.out);
      expect(outcomes.at(-1)?.verdict).toBe('transmit');
      for (const { frame } of out) expect(ipOf(frame).length).toBeLessThanOrEqual(1500);
      expect(out.length).toBeGreaterThan(1);
      checkMemory(bed.memory);
      bed.close();
    });

    test('a datagram that stays incomplete is given up after 30 seconds', () => {
      const bed = createBed({ build: on, services: service('udp', family, { method: 'nat' }) });
      const [first, , last] = request(family);
      bed.send('client', first);
      bed.send('client', last);
      bed.advance(2999, 100);
      expect(bed.counter('DROP_FRAGMENT_TIMEOUT')).toBe(0);
      bed.advance(2);
      expect(bed.counter('DROP_FRAGMENT_TIMEOUT')).toBe(1);
      checkMemory(bed.memory);
      bed.close();
    });

    test('a fragment that comes twice is dropped, one that overlaps ends the datagram', () => {
      const bed = createBed({ build: on, services: service('udp', family, { method: 'nat' }) });
      const [first, second, last] = request(family);
      bed.send('client', first);
      expect(bed.send('client', first).reason).toBe('DROP_FRAGMENT_OVERLAP');
      expect(bed.send('client', second).verdict).toBe('hold');
      expect(bed.send('client', last).verdict).toBe('transmit');
      const fields = { from: client, to: vip, hops: 64, fromPort: CLIENT, toPort: 80 };
      const others = cut(family, whole(fields, fromClient(family)), 1200);
      bed.send('client', second);
      expect(bed.send('client', others[0]).reason).toBe('DROP_FRAGMENT_OVERLAP');
      expect(bed.send('client', first).verdict).toBe('hold');
      expect(bed.send('client', last).verdict).toBe('hold');
      checkMemory(bed.memory);
      bed.close();
    });

    test('a whole that is malformed is a counted drop like any malformed packet', () => {
      const bed = createBed({ build: on, services: service('tcp', family, { method: 'nat' }) });
      // Two fragments of 8 bytes: too little for a TCP header, which only the whole shows.
      const frame = packet(
        fromClient(family),
        ip({ from: client, to: vip, identification: 5 }),
        build.tcp({ sourcePort: CLIENT, destinationPort: 80 }),
      );
      const short = Uint8Array.from(frame.subarray(0, frame.length - 4));
      const [first, second] = cut(family, short, 8);
      expect(bed.send('client', first).verdict).toBe('hold');
      const outcome = bed.send('client', second);
      expect(outcome.verdict).toBe('drop');
      expect(outcome.reason).toBe('DROP_TCP_HEADER_TOO_SHORT');
      expect(outcome.out).toEqual([]);
      expect(outcome.counters).toEqual({ HELD: 1, DROP_TCP_HEADER_TOO_SHORT: 1 });
      checkMemory(bed.memory);
      bed.close();
    });

    test('what is left to the own stack goes there in pieces', () => {
      const bed = createBed({ build: on, services: service('udp', family, { method: 'nat' }) });
      const fields = { from: client, to: vip, hops: 64, fromPort: CLIENT, toPort: 81 };
      const parts = cut(family, whole(fields, fromClient(family)));
      const outcomes = parts.map((part) => bed.send('client', part));
      expect(outcomes.at(-1)?.verdict).toBe('pass');
      const passed = outcomes.flatMap(({ out }) => out);
      expect(passed.map(({ port }) => port)).toEqual(['host', 'host', 'host']);
      expect(
        comparable(
          family,
          passed.map(({ frame }) => frame),
        ),
      ).toEqual(comparable(family, parts));
      checkMemory(bed.memory);
      bed.close();
    });

    test('no piece is longer than a frame, even when the port would take it', () => {
      const world = { ...twoArmedWorld(), ports: twoArmedPorts({ mtu: 9000 }) };
      const services = service('udp', family, {
        method: 'tunnel',
        address: family === 4 ? HOSTS[6].server : HOSTS[4].server,
      });
      const bed = createBed({ build: on, services, world });
      const fields = { from: client, to: vip, hops: 64, fromPort: CLIENT, toPort: 80 };
      const parts = cut(family, whole(fields, fromClient(family)), 1712);
      const out = parts.flatMap((part) => bed.send('client', part).out);
      for (const { frame } of out) expect(frame.length).toBeLessThanOrEqual(2048 - 256);
      expect(out.length).toBeGreaterThan(1);
      checkMemory(bed.memory);
      bed.close();
    });
  });

  test('the table of datagrams is full: counted, and those in it go on', () => {
    const bed = createBed({ build: on, services: service('udp', 4, { method: 'nat' }) });
    const { client, vip } = HOSTS[4];
    const datagram = (identification: number) =>
      build.fragmentIpv4(
        packet(
          fromClient(4),
          ip({ from: client, to: vip, identification }),
          build.udp({ sourcePort: CLIENT, destinationPort: 80 }),
          payload(600),
        ),
        304,
      );
    for (let nth = 0; nth < 64; nth++) {
      expect(bed.send('client', datagram(nth)[0]).verdict).toBe('hold');
    }
    expect(bed.send('client', datagram(64)[0]).reason).toBe('DROP_FRAGMENT_TABLE_FULL');
    expect(bed.send('client', datagram(7)[1]).verdict).toBe('transmit');
    expect(bed.send('client', datagram(64)[0]).verdict).toBe('hold');
    checkMemory(bed.memory);
    bed.close();
  });
});
