/**
 * Full-nat's pool of local ends. The kernel has no such method, so the rules are these: an end is
 * (local address, local port, server, server's port, protocol) and belongs to one connection at a
 * time; ends are given out in turn, so that a port comes back as late as possible; it is free again
 * when its connection is gone and not before; without a free one the connection is refused, counted,
 * and nothing of it stays.
 */

import { describe, expect, test } from 'vitest';
import { SERVICE_ONE_PACKET } from '../../assembly/shared/codes.ts';
import { formatEndpoint } from '../../host/config/address.ts';
import { checkMemory } from '../support/check-bed.ts';
import { BUILDS, createBed, type DirectorBed } from '../support/director-bed.ts';
import * as build from '../support/packet-builder.ts';
import {
  FAMILIES,
  type Family,
  fromClient,
  fromServer,
  HOSTS,
  ip,
  LOCAL_PORTS,
  opening,
  POOL,
  segment,
  service,
  type Transport,
} from './golden.ts';

const { packet } = build;

function fromClientPort(
  family: Family,
  transport: Transport,
  port: number,
  flags = 'S',
): Uint8Array {
  const { client, vip } = HOSTS[family];
  return packet(
    fromClient(family),
    ip({ from: client, to: vip }),
    ...segment(transport, port, 80, flags, 1),
  );
}

/** Source port of the one frame that left. */
function sourcePort(out: readonly { frame: Uint8Array }[]): number {
  expect(out).toHaveLength(1);
  const { frame } = out[0];
  const at = 14 + (frame[12] === 0x08 ? 20 : 40);
  return (frame[at] << 8) | frame[at + 1];
}

function localPortOf(bed: DirectorBed, frame: Uint8Array): number {
  return sourcePort(bed.send('client', frame).out);
}

describe.each(BUILDS)('%s', (on) => {
  describe.each(FAMILIES)('IPv%d', (family) => {
    test('ends are given out in turn, and refused when all are taken', () => {
      const services = service('tcp', family, { method: 'full-nat' });
      const bed = createBed({ build: on, services, pool: POOL });
      for (const [nth, port] of LOCAL_PORTS.entries()) {
        expect(localPortOf(bed, fromClientPort(family, 'tcp', 1000 + nth))).toBe(port);
      }
      const refused = bed.send('client', fromClientPort(family, 'tcp', 2000));
      expect(refused.reason).toBe('DROP_LOCAL_POOL_EXHAUSTED');
      expect(refused.out).toEqual([]);
      expect(refused.counters).toEqual({
        CONNECTIONS_EXPIRED: 1,
        DROP_LOCAL_POOL_EXHAUSTED: 1,
      });
      expect(checkMemory(bed.memory).live).toHaveLength(4);
      // Those that are there go on as if nothing had been.
      for (const [nth, port] of LOCAL_PORTS.entries()) {
        expect(localPortOf(bed, fromClientPort(family, 'tcp', 1000 + nth, 'A'))).toBe(port);
      }
      bed.close();
    });

    test('a port comes back when its connection is gone, and no tick before', () => {
      const services = service('tcp', family, { method: 'full-nat' });
      const bed = createBed({ build: on, services, pool: POOL });
      for (let nth = 0; nth < 4; nth++) {
        bed.send('client', fromClientPort(family, 'tcp', 1000 + nth));
      }
      // The second one is established and reset: closed, it stays for ten seconds more.
      bed.send('client', fromClientPort(family, 'tcp', 1001, 'A'));
      bed.send('client', fromClientPort(family, 'tcp', 1001, 'R'));
      let waited = 0;
      let outcome = bed.send('client', fromClientPort(family, 'tcp', 2000));
      while (outcome.verdict === 'drop') {
        expect(bed.control.connections()).toHaveLength(4);
        bed.advance(1);
        waited++;
        expect(waited).toBeLessThan(1200);
        outcome = bed.send('client', fromClientPort(family, 'tcp', 2000));
      }
      // A timeout of 1000 ticks is rounded up to a multiple of 64, the wheel's third level.
      expect(waited).toBeGreaterThanOrEqual(1000);
      expect(waited).toBeLessThanOrEqual(1064);
      expect(sourcePort(outcome.out)).toBe(LOCAL_PORTS[1]);
      checkMemory(bed.memory);
      bed.close();
    });

    test('a freed port is used again only when the others have had their turn', () => {
      const services = service('udp', family, { method: 'full-nat' });
      const timeouts = { tcp: 0, tcpFin: 0, udp: 1 };
      const bed = createBed({ build: on, services, pool: POOL, timeouts });
      const used: number[] = [];
      for (let nth = 0; nth < 10; nth++) {
        used.push(localPortOf(bed, fromClientPort(family, 'udp', 1000 + nth)));
        bed.advance(300);
        expect(bed.control.connections()).toHaveLength(0);
      }
      const expected = [0, 1, 2, 3, 0, 1, 2, 3, 0, 1].map((nth) => LOCAL_PORTS[nth]);
      expect(used).toEqual(expected);
      bed.close();
    });

    test('the same end serves different servers and different protocols', () => {
      const { vip, server, other } = HOSTS[family];
      const pool = {
        ...POOL,
        portRanges: [
          [6000, 6000],
          [1, 0],
        ] as const,
      };
      const bed = createBed({
        build: on,
        pool,
        services: [
          {
            at: `tcp ${formatEndpoint(vip, 80)}`,
            servers: [
              { at: formatEndpoint(server, 80), method: 'full-nat' },
              { at: formatEndpoint(other, 80), method: 'full-nat' },
            ],
          },
          {
            at: `udp ${formatEndpoint(vip, 80)}`,
            servers: [{ at: formatEndpoint(server, 80), method: 'full-nat' }],
          },
        ],
      });
      expect(localPortOf(bed, fromClientPort(family, 'tcp', 1000))).toBe(6000);
      expect(localPortOf(bed, fromClientPort(family, 'tcp', 1001))).toBe(6000);
      expect(localPortOf(bed, fromClientPort(family, 'udp', 1002))).toBe(6000);
      const refused = bed.send('client', fromClientPort(family, 'tcp', 1003));
      expect(refused.reason).toBe('DROP_LOCAL_POOL_EXHAUSTED');
      checkMemory(bed.memory);
      bed.close();
    });

    test('two services with one server never share an end', () => {
      const { client, vip, server } = HOSTS[family];
      const bed = createBed({
        build: on,
        pool: POOL,
        services: [80, 81].map((port) => ({
          at: `tcp ${formatEndpoint(vip, port)}`,
          servers: [{ at: formatEndpoint(server, 80), method: 'full-nat' as const }],
        })),
      });
      const ports: number[] = [];
      for (const [from, to] of [
        [1000, 80],
        [1001, 81],
        [1002, 80],
        [1003, 81],
      ]) {
        const frame = packet(
          fromClient(family),
          ip({ from: client, to: vip }),
          ...opening('tcp', from, to),
        );
        ports.push(localPortOf(bed, frame));
      }
      expect([...ports].sort()).toEqual([...LOCAL_PORTS]);
      checkMemory(bed.memory);
      bed.close();
    });

    test('a pool without an address of the family refuses', () => {
      const other = POOL.addresses.filter((address) => address.family !== family);
      const services = service('tcp', family, { method: 'full-nat' });
      const bed = createBed({ build: on, services, pool: { ...POOL, addresses: other } });
      const refused = bed.send('client', fromClientPort(family, 'tcp', 1000));
      expect(refused.reason).toBe('DROP_LOCAL_POOL_EXHAUSTED');
      expect(checkMemory(bed.memory).live).toHaveLength(0);
      bed.close();
    });

    test('both port ranges are used, the second after the first', () => {
      const pool = {
        ...POOL,
        portRanges: [
          [7000, 7001],
          [9000, 9001],
        ] as const,
      };
      const services = service('sctp', family, { method: 'full-nat' });
      const bed = createBed({ build: on, services, pool });
      const ports = [0, 1, 2, 3].map((nth) => {
        return localPortOf(bed, fromClientPort(family, 'sctp', 1000 + nth));
      });
      expect(ports).toEqual([7000, 7001, 9000, 9001]);
      bed.close();
    });

    test('an answer to an end that nobody has is left to the own stack', () => {
      const { server, local } = HOSTS[family];
      const services = service('tcp', family, { method: 'full-nat' });
      const bed = createBed({ build: on, services, pool: POOL, hasHost: false });
      const stray = packet(
        fromServer(family),
        ip({ from: server, to: local }),
        build.tcp({ sourcePort: 80, destinationPort: 5000, flags: 'A', acknowledgement: 9 }),
      );
      const { reason, counters } = bed.send('server', stray);
      expect(reason).toBe('DROP_NO_EXCEPTION_PATH');
      expect(counters.RESETS_SENT).toBe(1);
      bed.close();
    });

    test('only the server itself reaches the client through its end', () => {
      const { server, other, local, client } = HOSTS[family];
      const services = service('tcp', family, { method: 'full-nat' });
      const bed = createBed({ build: on, services, pool: POOL });
      bed.send('client', fromClientPort(family, 'tcp', 1000));
      const answer = (from: string, to: string, fromPort: number, toPort: number) =>
        packet(fromServer(family), ip({ from, to }), ...segment('tcp', fromPort, toPort, 'SA'));
      expect(bed.send('server', answer(server, local, 80, 5000)).verdict).toBe('transmit');
      expect(bed.send('server', answer(other, local, 80, 5000)).verdict).toBe('pass');
      expect(bed.send('server', answer(server, local, 81, 5000)).verdict).toBe('pass');
      expect(bed.send('server', answer(server, local, 80, 5001)).verdict).toBe('pass');
      // The server does not know the client: a packet straight to it is not the connection's.
      const straight = bed.send('server', answer(server, client, 80, 1000));
      const [first] = straight.out;
      expect(build.toHex(first.frame)).toContain(build.toHex(build.addressBytes(server)));
      bed.close();
    });

    test('states and timeouts are those of NAT: both directions are seen', () => {
      const { server, local } = HOSTS[family];
      const services = service('tcp', family, { method: 'full-nat' });
      const bed = createBed({ build: on, services, pool: POOL });
      const state = () => bed.control.connections().map((entry) => entry.state);
      const answer = (flags: string) =>
        packet(
          fromServer(family),
          ip({ from: server, to: local }),
          ...segment('tcp', 80, 5000, flags),
        );
      bed.send('client', fromClientPort(family, 'tcp', 1000, 'S'));
      expect(state()).toEqual(['SYN_RECV']);
      bed.send('server', answer('SA'));
      bed.send('client', fromClientPort(family, 'tcp', 1000, 'A'));
      expect(state()).toEqual(['ESTABLISHED']);
      bed.send('client', fromClientPort(family, 'tcp', 1000, 'FA'));
      expect(state()).toEqual(['CLOSE_WAIT']);
      bed.send('server', answer('FA'));
      expect(state()).toEqual(['TIME_WAIT']);
      bed.advance(12800);
      expect(state()).toEqual([]);
      bed.close();
    });
  });

  test('one-packet connections hold no end', () => {
    const { vip, server } = HOSTS[4];
    const bed = createBed({
      build: on,
      pool: POOL,
      services: [
        {
          at: `udp ${formatEndpoint(vip, 80)}`,
          flags: SERVICE_ONE_PACKET,
          servers: [{ at: formatEndpoint(server, 80), method: 'full-nat' }],
        },
      ],
    });
    for (let nth = 0; nth < 20; nth++) {
      expect(bed.send('client', fromClientPort(4, 'udp', 1000)).verdict).toBe('transmit');
    }
    expect(checkMemory(bed.memory).live).toHaveLength(0);
    bed.close();
  });
});
