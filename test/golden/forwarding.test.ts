/**
 * Golden packets of the four methods, both directions, both families, TCP, UDP and SCTP, byte by
 * byte; with two arms and with one.
 */

import { describe, expect, test } from 'vitest';
import { TUNNEL_CHECKSUM, TUNNEL_NO_CHECKSUM } from '../../assembly/shared/codes.ts';
import { checkMemory } from '../support/check-bed.ts';
import {
  BUILDS,
  type Build,
  CLIENT_PORT_MAC,
  createBed,
  NEIGHBOUR_MACS,
  oneArmedWorld,
} from '../support/director-bed.ts';
import * as build from '../support/packet-builder.ts';
import {
  FAMILIES,
  type Family,
  fromClient,
  fromServer,
  type Golden,
  HOSTS,
  ip,
  ipOf,
  LOCAL_PORTS,
  opening,
  POOL,
  runGolden,
  segment,
  service,
  TRANSPORTS,
  type Transport,
  toClient,
  toServer,
} from './golden.ts';

const { packet, payload } = build;
const CLIENT = 40000;
const HELLO = payload('hello');

/** Rows of one family and protocol; a short form of what they all have. */
function rows(family: Family, transport: Transport): Golden[] {
  const { client, vip, server, local } = HOSTS[family];
  const sent = { TRANSMITTED: 1 };
  const [localPort] = LOCAL_PORTS;
  const begins = packet(
    fromClient(family),
    ip({ from: client, to: vip }),
    ...opening(transport, CLIENT, 80),
    HELLO,
  );
  const goesOn = packet(
    fromClient(family),
    ip({ from: client, to: vip, hops: 9 }),
    ...segment(transport, CLIENT, 80),
    HELLO,
  );
  const toTheClient = packet(
    toClient(family),
    ip({ from: vip, to: client, hops: 63 }),
    ...segment(transport, 80, CLIENT, 'SA', 2),
    HELLO,
  );
  const nat = { services: service(transport, family, { method: 'nat', port: 8080 }) };
  const routed = { services: service(transport, family, { method: 'direct-route' }) };
  const full = {
    services: service(transport, family, { method: 'full-nat', port: 8080 }),
    pool: POOL,
  };
  return [
    {
      description: 'NAT: a request gets the server’s address and port',
      bed: nat,
      port: 'client',
      packet: begins,
      verdict: 'transmit',
      out: [
        [
          'server',
          packet(
            toServer(family),
            ip({ from: client, to: server, hops: 63 }),
            ...opening(transport, CLIENT, 8080),
            HELLO,
          ),
        ],
      ],
      counters: sent,
    },
    {
      description: 'NAT: so does a later packet',
      bed: nat,
      before: [['client', begins]],
      port: 'client',
      packet: goesOn,
      verdict: 'transmit',
      out: [
        [
          'server',
          packet(
            toServer(family),
            ip({ from: client, to: server, hops: 8 }),
            ...segment(transport, CLIENT, 8080),
            HELLO,
          ),
        ],
      ],
      counters: sent,
    },
    {
      description: 'NAT: an answer gets the virtual address and port',
      bed: nat,
      before: [['client', begins]],
      port: 'server',
      packet: packet(
        fromServer(family),
        ip({ from: server, to: client }),
        ...segment(transport, 8080, CLIENT, 'SA', 2),
        HELLO,
      ),
      verdict: 'transmit',
      out: [['client', toTheClient]],
      counters: sent,
    },
    {
      description: 'NAT: a packet of the server that answers nobody is routed as it is',
      bed: nat,
      port: 'server',
      packet: packet(
        fromServer(family),
        ip({ from: server, to: client }),
        ...segment(transport, 8080, CLIENT),
      ),
      verdict: 'transmit',
      out: [
        [
          'client',
          packet(
            toClient(family),
            ip({ from: server, to: client, hops: 63 }),
            ...segment(transport, 8080, CLIENT),
          ),
        ],
      ],
      counters: sent,
    },
    {
      description: 'direct-route: a request goes to the server’s MAC address, a hop older',
      bed: routed,
      port: 'client',
      packet: begins,
      verdict: 'transmit',
      out: [
        [
          'server',
          packet(
            toServer(family),
            ip({ from: client, to: vip, hops: 63 }),
            ...opening(transport, CLIENT, 80),
            HELLO,
          ),
        ],
      ],
      counters: sent,
    },
    {
      description: 'direct-route: an answer that comes by the director is routed as it is',
      bed: routed,
      before: [['client', begins]],
      port: 'server',
      packet: packet(
        fromServer(family),
        ip({ from: vip, to: client }),
        ...segment(transport, 80, CLIENT, 'SA', 2),
        HELLO,
      ),
      verdict: 'transmit',
      out: [['client', toTheClient]],
      counters: sent,
    },
    {
      description: 'full-nat: a request comes from the pool’s first address and port',
      bed: full,
      port: 'client',
      packet: begins,
      verdict: 'transmit',
      out: [
        [
          'server',
          packet(
            toServer(family),
            ip({ from: local, to: server, hops: 63 }),
            ...opening(transport, localPort, 8080),
            HELLO,
          ),
        ],
      ],
      counters: sent,
    },
    {
      description: 'full-nat: so does a later packet',
      bed: full,
      before: [['client', begins]],
      port: 'client',
      packet: goesOn,
      verdict: 'transmit',
      out: [
        [
          'server',
          packet(
            toServer(family),
            ip({ from: local, to: server, hops: 8 }),
            ...segment(transport, localPort, 8080),
            HELLO,
          ),
        ],
      ],
      counters: sent,
    },
    {
      description: 'full-nat: an answer goes from the virtual end to the client',
      bed: full,
      before: [['client', begins]],
      port: 'server',
      packet: packet(
        fromServer(family),
        ip({ from: server, to: local }),
        ...segment(transport, 8080, localPort, 'SA', 2),
        HELLO,
      ),
      verdict: 'transmit',
      out: [['client', toTheClient]],
      counters: sent,
    },
    {
      description: 'a packet of a foreign protocol port is left to the own stack',
      bed: nat,
      port: 'client',
      packet: packet(
        fromClient(family),
        ip({ from: client, to: vip }),
        ...opening(transport, CLIENT, 81),
      ),
      verdict: 'pass',
      out: [
        [
          'host',
          packet(
            fromClient(family),
            ip({ from: client, to: vip }),
            ...opening(transport, CLIENT, 81),
          ),
        ],
      ],
      counters: { PASSED: 1 },
    },
  ];
}

describe.each(BUILDS)('%s', (on) => {
  for (const family of FAMILIES) {
    for (const transport of TRANSPORTS) {
      describe(`IPv${family}, ${transport}`, () => {
        test.each(rows(family, transport))('$description', (row) => {
          const bed = runGolden(row, on);
          checkMemory(bed.memory);
          bed.close();
        });
      });
    }
  }
});

// ---- tunnels

interface TunnelRow {
  readonly description: string;
  readonly inner: Family;
  readonly outer: Family;
  readonly tunnel: 'ipip' | 'gue' | 'gre';
  readonly flags: number;
  /** The layers between the outer IP header and the client's packet. */
  readonly shim: readonly build.Layer[];
}

const TUNNELS: readonly TunnelRow[] = FAMILIES.flatMap((inner) =>
  FAMILIES.flatMap((outer): TunnelRow[] => {
    const name = `IPv${inner} in IPv${outer}`;
    const flags = TUNNEL_NO_CHECKSUM;
    const sums = TUNNEL_CHECKSUM;
    const tunnel = (kind: TunnelRow['tunnel']) => ({ inner, outer, tunnel: kind, flags });
    return [
      { description: `${name}, IPIP`, ...tunnel('ipip'), shim: [] },
      { description: `${name}, GRE`, ...tunnel('gre'), shim: [build.gre()] },
      {
        description: `${name}, GRE with a checksum`,
        ...tunnel('gre'),
        flags: sums,
        shim: [build.gre({ checksum: true })],
      },
    ];
  }),
);

/** The packet inside a tunnel, as a layer of its own that the outer header can name. */
function carried(family: Family, bytes: Uint8Array): build.Layer {
  const layer = ip({ from: HOSTS[family].client, to: HOSTS[family].vip });
  return { protocol: layer.protocol, etherType: layer.etherType, build: () => bytes };
}

describe.each(BUILDS)('tunnels, %s', (on) => {
  for (const transport of TRANSPORTS) {
    test.each(TUNNELS)(`$description, ${transport}: the packet is carried, a hop older`, (row) => {
      const { client, vip } = HOSTS[row.inner];
      const inner = packet(
        fromClient(row.inner),
        ip({ from: client, to: vip, hops: 63 }),
        ...opening(transport, CLIENT, 80),
        HELLO,
      );
      const outer = packet(
        toServer(row.outer),
        ip({
          from: HOSTS[row.outer].serverPort,
          to: HOSTS[row.outer].server,
          hops: 63,
          identification: 0x01c0,
        }),
        ...row.shim,
        carried(row.inner, ipOf(inner)),
      );
      runGolden(
        {
          description: row.description,
          bed: {
            services: service(transport, row.inner, {
              method: 'tunnel',
              address: HOSTS[row.outer].server,
              tunnel: row.tunnel,
              tunnelFlags: row.flags,
            }),
          },
          port: 'client',
          packet: packet(
            fromClient(row.inner),
            ip({ from: client, to: vip }),
            ...opening(transport, CLIENT, 80),
            HELLO,
          ),
          verdict: 'transmit',
          out: [['server', outer]],
          counters: { TRANSMITTED: 1 },
        },
        on,
      ).close();
    });
  }

  test.each(FAMILIES.flatMap((inner) => FAMILIES.map((outer) => ({ inner, outer }))))(
    'IPv$inner in IPv$outer, GUE: port 6080, checksum 0 or a good one',
    ({ inner, outer }) => {
      for (const flags of [TUNNEL_NO_CHECKSUM, TUNNEL_CHECKSUM]) {
        const bytes = tunnelled(on, inner, outer, flags);
        const [frame] = bytes.out;
        const ipLength = outer === 4 ? 20 : 40;
        const view = new DataView(frame.buffer, frame.byteOffset);
        const udp = 14 + ipLength;
        const sourcePort = view.getUint16(udp, false);
        expect(sourcePort).toBeGreaterThanOrEqual(32768);
        expect(sourcePort).toBeLessThan(60999);
        const expected = packet(
          toServer(outer),
          ip({
            from: HOSTS[outer].serverPort,
            to: HOSTS[outer].server,
            hops: 63,
            identification: 0x01c0,
          }),
          build.udp({
            sourcePort,
            destinationPort: 6080,
            ...(flags === TUNNEL_NO_CHECKSUM ? { checksum: 0 } : {}),
          }),
          build.gue(),
          carried(inner, ipOf(bytes.inner)),
        );
        expect(build.toHex(frame)).toBe(build.toHex(expected));
      }
    },
  );
});

function tunnelled(
  on: Build,
  inner: Family,
  outer: Family,
  flags: number,
): { out: Uint8Array[]; inner: Uint8Array } {
  const { client, vip } = HOSTS[inner];
  const make = (hops: number) =>
    packet(
      fromClient(inner),
      ip({ from: client, to: vip, hops }),
      ...opening('tcp', CLIENT, 80),
      HELLO,
    );
  const out: Uint8Array[] = [];
  const bed = createTunnelBed(on, inner, outer, flags);
  for (const { frame } of bed.send('client', make(64)).out) out.push(frame);
  bed.close();
  return { out, inner: make(63) };
}

function createTunnelBed(on: Build, inner: Family, outer: Family, flags: number) {
  return createBed({
    build: on,
    services: service('tcp', inner, {
      method: 'tunnel',
      address: HOSTS[outer].server,
      tunnel: 'gue',
      tunnelFlags: flags,
    }),
  });
}

// ---- one arm

describe.each(BUILDS)('one arm, %s', (on) => {
  const world = oneArmedWorld();

  test.each(FAMILIES)('IPv%d: full-nat goes out of the port it came in by, and back', (family) => {
    const { client, vip, server, local } = HOSTS[family];
    const mac = (address: string) => NEIGHBOUR_MACS[address] ?? '';
    const to = (address: string) =>
      build.ethernet({ destination: mac(address), source: CLIENT_PORT_MAC });
    const from = (address: string) =>
      build.ethernet({ destination: CLIENT_PORT_MAC, source: mac(address) });
    const bed = {
      world,
      services: service('tcp', family, { method: 'full-nat' as const }),
      pool: POOL,
    };
    const request = packet(
      from(client),
      ip({ from: client, to: vip }),
      ...opening('tcp', CLIENT, 80),
    );
    const row = {
      description: '',
      bed,
      verdict: 'transmit' as const,
      counters: { TRANSMITTED: 1 },
    };
    runGolden(
      {
        ...row,
        port: 'client',
        packet: request,
        out: [
          [
            'client',
            packet(
              to(server),
              ip({ from: local, to: server, hops: 63 }),
              ...opening('tcp', LOCAL_PORTS[0], 80),
            ),
          ],
        ],
      },
      on,
    ).close();
    runGolden(
      {
        ...row,
        before: [['client', request]],
        port: 'client',
        packet: packet(
          from(server),
          ip({ from: server, to: local }),
          ...segment('tcp', 80, LOCAL_PORTS[0], 'SA'),
        ),
        out: [
          [
            'client',
            packet(
              to(client),
              ip({ from: vip, to: client, hops: 63 }),
              ...segment('tcp', 80, CLIENT, 'SA'),
            ),
          ],
        ],
      },
      on,
    ).close();
  });
});
