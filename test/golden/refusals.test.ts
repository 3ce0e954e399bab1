/**
 * Golden packets that are not simply forwarded: what is dropped and counted, what the director
 * answers itself, and what it repairs on the way.
 */

import { describe, expect, test } from 'vitest';
import * as codes from '../../assembly/shared/codes.ts';
import { formatEndpoint } from '../../host/config/address.ts';
import { checkMemory } from '../support/check-bed.ts';
import {
  BUILDS,
  CLIENT_PORT_MAC,
  createBed,
  knownNeighbours,
  twoArmedPorts,
  twoArmedWorld,
} from '../support/director-bed.ts';
import * as build from '../support/packet-builder.ts';
import {
  FAMILIES,
  type Family,
  fromClient,
  fromServer,
  type Golden,
  HOSTS,
  icmpError,
  ip,
  ipOf,
  LOCAL_PORTS,
  opening,
  ownIp,
  POOL,
  quote,
  runGolden,
  segment,
  service,
  toClient,
  toServer,
} from './golden.ts';

const { packet, payload } = build;
const CLIENT = 40000;

function begins(family: Family, ...inside: build.Layer[]): Uint8Array {
  const { client, vip } = HOSTS[family];
  return packet(
    fromClient(family),
    ip({ from: client, to: vip }),
    ...opening('tcp', CLIENT, 80),
    ...inside,
  );
}

function rows(family: Family): Golden[] {
  const { client, vip, server, clientPort, serverPort } = HOSTS[family];
  const nat = { services: service('tcp', family, { method: 'nat', port: 8080 }) };
  const short = packet(
    fromClient(family),
    ip({ from: client, to: vip, hops: 1 }),
    ...opening('tcp', CLIENT, 80),
  );
  // Without DF this is IPv4's to cut; IPv6 is never cut.
  const long = packet(
    fromClient(family),
    ip({ from: client, to: vip, dontFragment: true }),
    ...segment('tcp', CLIENT, 80, 'S'),
    payload(1600),
  );
  const longOlder = packet(
    fromClient(family),
    ip({ from: client, to: vip, hops: 63, dontFragment: true }),
    ...segment('tcp', CLIENT, 80, 'S'),
    payload(1600),
  );
  const wrongMac = packet(
    build.ethernet({ destination: '02:00:00:00:ff:ff' }),
    ip({ from: client, to: vip }),
    ...opening('tcp', CLIENT, 80),
  );
  const broadcast = packet(
    build.ethernet({ destination: 'ff:ff:ff:ff:ff:ff' }),
    ip({ from: client, to: vip }),
    ...opening('tcp', CLIENT, 80),
  );
  const answer = packet(
    fromServer(family),
    ip({ from: server, to: client, hops: 1 }),
    ...segment('tcp', 8080, CLIENT, 'SA'),
  );
  return [
    {
      description: 'a time to live of 1 is answered with time exceeded from the virtual address',
      bed: nat,
      port: 'client',
      packet: short,
      verdict: 'drop',
      reason: 'DROP_TTL_EXCEEDED',
      out: [
        [
          'client',
          packet(
            toClient(family),
            ownIp(family, vip, client),
            icmpError(family, 'timeExceeded'),
            quote(family, ipOf(short)),
          ),
        ],
      ],
      counters: { TRANSMITTED: 1, ICMP_SENT: 1, DROP_TTL_EXCEEDED: 1 },
    },
    {
      description: 'an answer with a time to live of 1 is told so by the server’s port',
      bed: nat,
      before: [['client', begins(family)]],
      port: 'server',
      packet: answer,
      verdict: 'drop',
      reason: 'DROP_TTL_EXCEEDED',
      out: [
        [
          'server',
          packet(
            toServer(family),
            ownIp(family, serverPort, server),
            icmpError(family, 'timeExceeded'),
            quote(family, ipOf(answer)),
          ),
        ],
      ],
      counters: { TRANSMITTED: 1, ICMP_SENT: 1, DROP_TTL_EXCEEDED: 1 },
    },
    {
      description: 'a packet that is too big is answered with the MTU, a hop older',
      bed: nat,
      port: 'client',
      packet: long,
      verdict: 'drop',
      reason: 'DROP_PACKET_TOO_BIG',
      out: [
        [
          'client',
          packet(
            toClient(family),
            ownIp(family, vip, client),
            icmpError(family, 'tooBig', 1500),
            quote(family, ipOf(longOlder)),
          ),
        ],
      ],
      counters: { TRANSMITTED: 1, ICMP_SENT: 1, DROP_PACKET_TOO_BIG: 1 },
    },
    {
      description: 'no server with weight: port unreachable, for TCP too',
      bed: { services: service('tcp', family, { method: 'nat', weight: 0 }) },
      port: 'client',
      packet: begins(family),
      verdict: 'drop',
      reason: 'DROP_NO_DESTINATION',
      out: [
        [
          'client',
          packet(
            toClient(family),
            ownIp(family, vip, client),
            icmpError(family, 'portUnreachable'),
            quote(family, ipOf(begins(family))),
          ),
        ],
      ],
      counters: { TRANSMITTED: 1, ICMP_SENT: 1, DROP_NO_DESTINATION: 1 },
    },
    {
      description: 'a server that no route leads to: host unreachable',
      bed: {
        services: service('tcp', family, { method: 'nat', address: HOSTS[family].unrouted }),
      },
      port: 'client',
      packet: begins(family),
      verdict: 'drop',
      reason: 'DROP_NO_ROUTE',
      out: [
        [
          'client',
          packet(
            toClient(family),
            ownIp(family, vip, client),
            icmpError(family, 'hostUnreachable'),
            quote(family, ipOf(begins(family))),
          ),
        ],
      ],
      counters: { TRANSMITTED: 1, ICMP_SENT: 1, DROP_NO_ROUTE: 1 },
    },
    {
      description: 'an unknown neighbour: dropped and counted, no answer',
      bed: {
        services: service('tcp', family, { method: 'nat', address: HOSTS[family].unknown }),
      },
      port: 'client',
      packet: begins(family),
      verdict: 'drop',
      reason: 'DROP_NEIGHBOUR_UNRESOLVED',
      out: [],
      counters: { DROP_NEIGHBOUR_UNRESOLVED: 1 },
    },
    {
      description: 'a frame for another machine',
      bed: nat,
      port: 'client',
      packet: wrongMac,
      verdict: 'drop',
      reason: 'DROP_NOT_FOR_US',
      out: [],
      counters: { DROP_NOT_FOR_US: 1 },
    },
    {
      description: 'a broadcast frame',
      bed: nat,
      port: 'client',
      packet: broadcast,
      verdict: 'drop',
      reason: 'DROP_MULTICAST_OR_BROADCAST',
      out: [],
      counters: { DROP_MULTICAST_OR_BROADCAST: 1 },
    },
    {
      description: 'no service on the port and no stack behind: a reset',
      bed: { ...nat, hasHost: false },
      port: 'client',
      packet: packet(
        fromClient(family),
        ip({ from: client, to: vip }),
        build.tcp({ sourcePort: CLIENT, destinationPort: 81, flags: 'S', sequence: 77 }),
      ),
      verdict: 'drop',
      reason: 'DROP_NO_EXCEPTION_PATH',
      out: [
        [
          'client',
          packet(
            toClient(family),
            ip({ from: vip, to: client, dontFragment: true, identification: 0 }),
            build.tcp({
              sourcePort: 81,
              destinationPort: CLIENT,
              flags: 'RA',
              sequence: 0,
              acknowledgement: 78,
              window: 0,
            }),
          ),
        ],
      ],
      counters: { TRANSMITTED: 1, RESETS_SENT: 1, DROP_NO_EXCEPTION_PATH: 1 },
    },
    {
      description: 'a stray ACK of a service: a reset at the number it acknowledges',
      bed: { ...nat, hasHost: false },
      port: 'client',
      packet: packet(
        fromClient(family),
        ip({ from: client, to: vip }),
        build.tcp({
          sourcePort: CLIENT,
          destinationPort: 80,
          flags: 'A',
          sequence: 77,
          acknowledgement: 4242,
        }),
      ),
      verdict: 'drop',
      reason: 'DROP_NO_EXCEPTION_PATH',
      out: [
        [
          'client',
          packet(
            toClient(family),
            ip({ from: vip, to: client, dontFragment: true, identification: 0 }),
            build.tcp({
              sourcePort: 80,
              destinationPort: CLIENT,
              flags: 'R',
              sequence: 4242,
              window: 0,
            }),
          ),
        ],
      ],
      counters: { TRANSMITTED: 1, RESETS_SENT: 1, DROP_NO_EXCEPTION_PATH: 1 },
    },
    {
      description: 'a reset is never answered with a reset',
      bed: { ...nat, hasHost: false },
      port: 'client',
      packet: packet(
        fromClient(family),
        ip({ from: client, to: vip }),
        build.tcp({ sourcePort: CLIENT, destinationPort: 81, flags: 'R' }),
      ),
      verdict: 'drop',
      reason: 'DROP_RESET_WITHOUT_CONNECTION',
      out: [],
      counters: { DROP_RESET_WITHOUT_CONNECTION: 1 },
    },
    {
      description: 'UDP without a service and without a stack: port unreachable',
      bed: { ...nat, hasHost: false },
      port: 'client',
      packet: packet(
        fromClient(family),
        ip({ from: client, to: vip }),
        build.udp({ sourcePort: CLIENT, destinationPort: 9 }),
      ),
      verdict: 'drop',
      reason: 'DROP_NO_EXCEPTION_PATH',
      out: [
        [
          'client',
          packet(
            toClient(family),
            ownIp(family, vip, client),
            icmpError(family, 'portUnreachable'),
            quote(
              family,
              ipOf(
                packet(
                  fromClient(family),
                  ip({ from: client, to: vip }),
                  build.udp({ sourcePort: CLIENT, destinationPort: 9 }),
                ),
              ),
            ),
          ),
        ],
      ],
      counters: { TRANSMITTED: 1, ICMP_SENT: 1, DROP_NO_EXCEPTION_PATH: 1 },
    },
    ...partialChecksums(family),
    {
      description: 'a tunnel’s headers are taken off the MTU that is told',
      bed: { services: service('tcp', family, { method: 'tunnel', tunnel: 'ipip' }) },
      port: 'client',
      packet: packet(
        fromClient(family),
        ip({ from: client, to: vip, dontFragment: true }),
        ...opening('tcp', CLIENT, 80),
        payload(1450),
      ),
      verdict: 'drop',
      reason: 'DROP_PACKET_TOO_BIG',
      out: [
        [
          'client',
          packet(
            toClient(family),
            ownIp(family, vip, client),
            icmpError(family, 'tooBig', family === 4 ? 1480 : 1460),
            quote(
              family,
              ipOf(
                packet(
                  fromClient(family),
                  ip({ from: client, to: vip, dontFragment: true, hops: 63 }),
                  ...opening('tcp', CLIENT, 80),
                  payload(1450),
                ),
              ),
            ),
          ),
        ],
      ],
      counters: { TRANSMITTED: 1, ICMP_SENT: 1, DROP_PACKET_TOO_BIG: 1 },
    },
    {
      description: 'routed on: an unrelated packet to a foreign address',
      bed: nat,
      port: 'server',
      packet: packet(
        fromServer(family),
        ip({ from: server, to: client }),
        ...opening('udp', 53, 5353),
      ),
      verdict: 'transmit',
      out: [
        [
          'client',
          packet(
            toClient(family),
            ip({ from: server, to: client, hops: 63 }),
            ...opening('udp', 53, 5353),
          ),
        ],
      ],
      counters: { TRANSMITTED: 1 },
    },
    {
      description: 'a ping to a port’s address is left to the own stack',
      bed: nat,
      port: 'client',
      packet: packet(
        fromClient(family),
        ip({ from: client, to: clientPort }),
        family === 4 ? build.icmp() : build.icmpv6(),
      ),
      verdict: 'pass',
      out: [
        [
          'host',
          packet(
            fromClient(family),
            ip({ from: client, to: clientPort }),
            family === 4 ? build.icmp() : build.icmpv6(),
          ),
        ],
      ],
      counters: { PASSED: 1 },
    },
  ];
}

/** A port whose peer leaves checksums to a device: they are completed before anything else. */
function partialChecksums(family: Family): Golden[] {
  const { client, vip, server } = HOSTS[family];
  const world = twoArmedWorld({});
  const ports = twoArmedPorts().map((port) => ({ ...port, partialChecksums: true }));
  const virtual = { ...world, ports };
  const rowsOf = [
    {
      name: 'TCP',
      services: service('tcp', family, { method: 'nat', port: 8080 }),
      sent: build.tcp({
        sourcePort: CLIENT,
        destinationPort: 80,
        flags: 'S',
        checksum: 'partial',
      }),
      repaired: build.tcp({ sourcePort: CLIENT, destinationPort: 8080, flags: 'S' }),
    },
    {
      name: 'UDP',
      services: service('udp', family, { method: 'nat', port: 8080 }),
      sent: build.udp({ sourcePort: CLIENT, destinationPort: 80, checksum: 'partial' }),
      repaired: build.udp({ sourcePort: CLIENT, destinationPort: 8080 }),
    },
  ];
  return rowsOf.map(({ name, services, sent, repaired }) => ({
    description: `${name} with a partial checksum gets a whole one`,
    bed: { world: virtual, services },
    port: 'client',
    packet: packet(fromClient(family), ip({ from: client, to: vip }), sent, payload('data')),
    verdict: 'transmit' as const,
    out: [
      [
        'server',
        packet(
          toServer(family),
          ip({ from: client, to: server, hops: 63 }),
          repaired,
          payload('data'),
        ),
      ] as const,
    ],
    counters: { TRANSMITTED: 1, CHECKSUMS_COMPLETED: 1 },
  }));
}

describe.each(BUILDS)('%s', (on) => {
  for (const family of FAMILIES) {
    describe(`IPv${family}`, () => {
      test.each(rows(family))('$description', (row) => {
        const bed = runGolden(row, on);
        checkMemory(bed.memory);
        bed.close();
      });

      test('an unknown neighbour is asked for, and then packets go there', () => {
        const { client, vip, unknown } = HOSTS[family];
        const bed = createBed({
          build: on,
          services: service('tcp', family, { method: 'nat', address: unknown }),
        });
        bed.send('client', begins(family));
        const wanted = bed.tables.nextHops.drainWanted();
        expect(wanted.map(({ port }) => port)).toContain(1);
        expect(wanted.map(({ address }) => build.toHex(address))).toContain(
          build.toHex(build.addressBytes(unknown)),
        );
        bed.tables.nextHops.set({
          port: 1,
          family,
          address: unknown,
          state: 'reachable',
          mac: build.macBytes('02:00:00:00:05:99'),
        });
        const { out } = bed.send(
          'client',
          packet(
            fromClient(family),
            ip({ from: client, to: vip }),
            ...segment('tcp', CLIENT, 80, 'S'),
          ),
        );
        expect(out.map(({ frame }) => build.toHex(frame.subarray(0, 6)))).toEqual(['020000000599']);
        bed.close();
      });

      test('an answer waits for its client’s neighbour, three seconds at most', () => {
        const { vip, server } = HOSTS[family];
        // On the client's network, but nobody has asked for it yet.
        const client = family === 4 ? '198.51.100.77' : '2001:db8:ffff::77';
        const services = service('tcp', family, { method: 'nat' });
        for (const isFound of [true, false]) {
          const bed = createBed({ build: on, services });
          bed.send(
            'client',
            packet(
              fromClient(family),
              ip({ from: client, to: vip }),
              ...opening('tcp', CLIENT, 80),
            ),
          );
          const answer = packet(
            fromServer(family),
            ip({ from: server, to: client }),
            ...segment('tcp', 80, CLIENT, 'SA'),
          );
          const { verdict, out } = bed.send('server', answer);
          expect([verdict, out]).toEqual(['hold', []]);
          checkMemory(bed.memory);
          if (isFound) {
            const mac = build.macBytes('02:00:00:00:0c:77');
            const found = { port: 0, family, address: client, mac, state: 'reachable' as const };
            bed.tables.nextHops.set(found);
            bed.advance(1);
            const expected = packet(
              build.ethernet({ destination: '02:00:00:00:0c:77', source: CLIENT_PORT_MAC }),
              ip({ from: vip, to: client, hops: 63 }),
              ...segment('tcp', 80, CLIENT, 'SA'),
            );
            expect(bed.take().map(({ frame }) => build.toHex(frame))).toEqual([
              build.toHex(expected),
            ]);
          } else {
            bed.advance(320, 5);
            expect(bed.take()).toEqual([]);
            expect(bed.counter('DROP_NEIGHBOUR_UNRESOLVED')).toBe(1);
          }
          checkMemory(bed.memory);
          bed.close();
        }
      });

      test('a full table refuses the next connection, counts it, and keeps the others', () => {
        const { client, vip, server } = HOSTS[family];
        const bed = createBed({
          build: on,
          services: service('tcp', family, { method: 'nat' }),
          sizes: { connections: 3 },
        });
        const from = (port: number, flags: string) =>
          packet(
            fromClient(family),
            ip({ from: client, to: vip }),
            ...segment('tcp', port, 80, flags),
          );
        for (const port of [1, 2, 3]) {
          expect(bed.send('client', from(port, 'S')).verdict).toBe('transmit');
        }
        const refused = bed.send('client', from(4, 'S'));
        expect(refused.reason).toBe('DROP_CONNECTION_TABLE_FULL');
        expect(refused.counters).toEqual({ DROP_CONNECTION_TABLE_FULL: 1 });
        for (const port of [1, 2, 3]) {
          expect(bed.send('client', from(port, 'A')).verdict).toBe('transmit');
          const answer = packet(
            fromServer(family),
            ip({ from: server, to: client }),
            ...segment('tcp', 80, port),
          );
          expect(bed.send('server', answer).out).toHaveLength(1);
        }
        checkMemory(bed.memory);
        // Once one is gone, and every worker knows, there is room again.
        bed.send('client', from(2, 'R'));
        bed.advance(1200);
        bed.advance(1);
        expect(bed.send('client', from(4, 'S')).verdict).toBe('transmit');
        checkMemory(bed.memory);
        bed.close();
      });
    });
  }

  test('IPv4: what may be cut is cut to the MTU', () => {
    const { client, vip, server } = HOSTS[4];
    const bed = createBed({
      build: on,
      services: service('udp', 4, { method: 'nat', port: 8080 }),
    });
    const whole = (from: string, to: string, port: number, hops: number) =>
      packet(
        fromClient(4),
        ip({ from, to, hops, identification: 77 }),
        build.udp({ sourcePort: CLIENT, destinationPort: port }),
        payload(1600),
      );
    const { out, counters } = bed.send('client', whole(client, vip, 80, 64));
    const cut = build.fragmentIpv4(whole(client, server, 8080, 63), 1480);
    expect(out.map(({ frame }) => build.toHex(ipOf(frame)))).toEqual(
      cut.map((frame) => build.toHex(ipOf(frame))),
    );
    expect(counters).toEqual({ TRANSMITTED: 2, FRAGMENTS_MADE: 2 });
    checkMemory(bed.memory);
    bed.close();
  });

  test('IPv4: a UDP packet without a checksum gets one from NAT, and none from direct-route', () => {
    const { client, vip, server } = HOSTS[4];
    for (const method of ['nat', 'full-nat', 'direct-route'] as const) {
      const bed = createBed({ build: on, services: service('udp', 4, { method }), pool: POOL });
      const { out } = bed.send(
        'client',
        packet(
          fromClient(4),
          ip({ from: client, to: vip }),
          build.udp({ sourcePort: CLIENT, destinationPort: 80, checksum: 0 }),
          payload('hello'),
        ),
      );
      const routed = method === 'direct-route';
      const isFull = method === 'full-nat';
      const expected = packet(
        toServer(4),
        ip({
          from: isFull ? HOSTS[4].local : client,
          to: routed ? vip : server,
          hops: 63,
        }),
        build.udp({
          sourcePort: isFull ? LOCAL_PORTS[0] : CLIENT,
          destinationPort: 80,
          ...(routed ? { checksum: 0 } : {}),
        }),
        payload('hello'),
      );
      expect(out.map(({ frame }) => build.toHex(frame))).toEqual([build.toHex(expected)]);
      bed.close();
    }
  });

  test('one-packet scheduling leaves no connection behind', () => {
    const bed = createBed({
      build: on,
      services: [
        {
          at: `udp ${formatEndpoint(HOSTS[4].vip, 80)}`,
          flags: codes.SERVICE_ONE_PACKET,
          servers: [{ at: formatEndpoint(HOSTS[4].server, 80), method: 'nat' }],
        },
      ],
      neighbours: knownNeighbours(twoArmedWorld()),
    });
    const frame = packet(
      fromClient(4),
      ip({ from: HOSTS[4].client, to: HOSTS[4].vip }),
      ...opening('udp', CLIENT, 80),
    );
    for (let n = 0; n < 100; n++) expect(bed.send('client', frame).verdict).toBe('transmit');
    expect(bed.counter('CONNECTIONS_CREATED')).toBe(100);
    expect(bed.counter('CONNECTIONS_EXPIRED')).toBe(100);
    expect(checkMemory(bed.memory).live).toHaveLength(0);
    bed.close();
  });
});
