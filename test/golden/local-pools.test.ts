/**
 * Full-nat's addresses of single services, and what becomes of connections when addresses come and
 * go: a connection keeps its local end for life.
 */

import { describe, expect, test } from 'vitest';
import { formatEndpoint } from '../../host/config/address.ts';
import { checkMemory } from '../support/check-bed.ts';
import { BUILDS, createBed, type DirectorBed, serviceKey } from '../support/director-bed.ts';
import * as build from '../support/packet-builder.ts';
import {
  FAMILIES,
  type Family,
  fromClient,
  fromServer,
  HOSTS,
  ip,
  opening,
  POOL,
  segment,
} from './golden.ts';

const { packet } = build;
const OWN = { 4: '10.0.0.201', 6: '2001:db8:10::201' } as const;
const PORTS = [80, 81] as const;

/** Two services with one full-nat server each, on the same machine. */
function createPair(on: (typeof BUILDS)[number], family: Family): DirectorBed {
  const { vip, server } = HOSTS[family];
  return createBed({
    build: on,
    pool: POOL,
    services: PORTS.map((port) => ({
      at: `tcp ${formatEndpoint(vip, port)}`,
      servers: [{ at: formatEndpoint(server, port), method: 'full-nat' as const }],
    })),
  });
}

function keyOf(family: Family, port: number) {
  return serviceKey(`tcp ${formatEndpoint(HOSTS[family].vip, port)}`);
}

function local(address: string) {
  return { address, interface: '' };
}

/** Where the server sees a client's packet come from: address and port. */
function sourceOf(bed: DirectorBed, family: Family, frame: Uint8Array): string {
  const { out } = bed.send('client', frame);
  expect(out).toHaveLength(1);
  const [{ frame: sent }] = out;
  const [at, length] = family === 4 ? [26, 4] : [22, 16];
  const port = 14 + (family === 4 ? 20 : 40);
  const hex = build.toHex(sent.subarray(at, at + length));
  return `${hex} ${(sent[port] << 8) | sent[port + 1]}`;
}

function end(address: string, port: number): string {
  return `${build.toHex(build.addressBytes(address))} ${port}`;
}

function syn(family: Family, from: number, to: number, flags?: string): Uint8Array {
  const { client, vip } = HOSTS[family];
  const layers = flags === undefined ? opening('tcp', from, to) : segment('tcp', from, to, flags);
  return packet(fromClient(family), ip({ from: client, to: vip }), ...layers);
}

function answer(family: Family, to: string, fromPort: number, toPort: number): Uint8Array {
  const { server } = HOSTS[family];
  return packet(
    fromServer(family),
    ip({ from: server, to }),
    ...segment('tcp', fromPort, toPort, 'SA'),
  );
}

describe.each(BUILDS)('%s', (on) => {
  describe.each(FAMILIES)('IPv%d', (family) => {
    test('a service with an address of its own uses that, the other one the director’s', () => {
      const bed = createPair(on, family);
      bed.control.addLocalAddress(keyOf(family, 81), local(OWN[family]));
      expect(sourceOf(bed, family, syn(family, 1000, 80))).toBe(end(HOSTS[family].local, 5000));
      // The second destination begins elsewhere in its pool of four ends than the first.
      expect(sourceOf(bed, family, syn(family, 1001, 81))).toBe(end(OWN[family], 5002));
      expect(bed.send('server', answer(family, OWN[family], 81, 5002)).verdict).toBe('transmit');
      checkMemory(bed.memory);
      bed.close();
    });

    test('two addresses of a service take turns', () => {
      const bed = createPair(on, family);
      const second = OWN[family].replace(/201$/, '202');
      bed.control.addLocalAddress(keyOf(family, 80), local(OWN[family]));
      bed.control.addLocalAddress(keyOf(family, 80), local(second));
      const ends = [1000, 1001, 1002].map((from) => sourceOf(bed, family, syn(family, from, 80)));
      expect(ends).toEqual([end(OWN[family], 5000), end(second, 5000), end(OWN[family], 5001)]);
      bed.close();
    });

    test('an address taken out: its connection goes on, new ones come from elsewhere', () => {
      const bed = createPair(on, family);
      const key = keyOf(family, 80);
      bed.control.addLocalAddress(key, local(OWN[family]));
      const own = end(OWN[family], 5000);
      expect(sourceOf(bed, family, syn(family, 1000, 80))).toBe(own);
      bed.control.deleteLocalAddress(key, local(OWN[family]));
      bed.control.tick(bed.milliseconds + 60_000);
      expect(bed.control.tables.pool.retired).toHaveLength(1);
      expect(bed.send('server', answer(family, OWN[family], 80, 5000)).verdict).toBe('transmit');
      expect(sourceOf(bed, family, syn(family, 1000, 80, 'A'))).toBe(own);
      expect(sourceOf(bed, family, syn(family, 1001, 80))).toBe(end(HOSTS[family].local, 5001));
      bed.close();
    });

    test('it is let go when its last connection is gone', () => {
      const bed = createPair(on, family);
      const key = keyOf(family, 80);
      bed.control.addLocalAddress(key, local(OWN[family]));
      sourceOf(bed, family, syn(family, 1000, 80));
      bed.control.deleteLocalAddress(key, local(OWN[family]));
      bed.advance(20_000);
      expect(bed.control.connections()).toHaveLength(0);
      bed.control.tick(bed.milliseconds);
      expect(bed.control.tables.pool.retired).toEqual([]);
      bed.close();
    });

    test('the virtual address itself in the pool: requests and answers both arrive', () => {
      const { vip, server } = HOSTS[family];
      const bed = createBed({
        build: on,
        pool: { ...POOL, addresses: [{ family, address: vip }] },
        services: [
          {
            at: `tcp ${formatEndpoint(vip, 80)}`,
            servers: [{ at: formatEndpoint(server, 80), method: 'full-nat' }],
          },
        ],
      });
      expect(sourceOf(bed, family, syn(family, 1000, 80))).toBe(end(vip, 5000));
      expect(bed.send('server', answer(family, vip, 80, 5000)).verdict).toBe('transmit');
      expect(sourceOf(bed, family, syn(family, 1000, 80, 'A'))).toBe(end(vip, 5000));
      expect(bed.control.connections()).toMatchObject([{ state: 'ESTABLISHED' }]);
      expect(sourceOf(bed, family, syn(family, 1001, 80))).toBe(end(vip, 5001));
      checkMemory(bed.memory);
      bed.close();
    });
  });
});
