/**
 * ICMP errors about connections, both ways and in both families: the error's own addresses and those
 * of the packet it quotes are translated, so that each side sees an error about what it has sent.
 */

import { describe, expect, test } from 'vitest';
import { checkMemory } from '../support/check-bed.ts';
import { type BedOptions, BUILDS } from '../support/director-bed.ts';
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
const [LOCAL] = LOCAL_PORTS;

/** An IP packet inside an error: built with a checksum that fits other addresses, it stays as it is. */
function quoted(
  fields: { from: string; to: string; fromPort: number; toPort: number },
  sum: Uint8Array,
): build.Layer {
  const { from, to, fromPort, toPort } = fields;
  const bytes = ipOf(packet(build.ethernet(), ip({ from, to, hops: 61 }), payload(sum)));
  const header = from.includes(':') ? 40 : 20;
  const whole = Uint8Array.from(bytes);
  const protocol = from.includes(':') ? 6 : 9;
  new DataView(whole.buffer).setUint16(header, fromPort, false);
  new DataView(whole.buffer).setUint16(header + 2, toPort, false);
  whole[protocol] = sum[sum.length - 1];
  if (protocol === 9) {
    whole.set([0, 0], 10);
    const checksum = build.internetChecksum(whole.subarray(0, 20));
    new DataView(whole.buffer).setUint16(10, checksum, false);
  }
  return payload(whole);
}

const NUMBERS: Readonly<Record<Transport, number>> = { tcp: 6, udp: 17, sctp: 132 };

/** Eight bytes of a transport header, and behind them the number of its protocol. */
function transportBytes(transport: Transport): Uint8Array {
  return Uint8Array.of(0, 0, 0, 0, 0xaa, 0xbb, 0xcc, 0xdd, NUMBERS[transport]);
}

interface Ends {
  readonly from: string;
  readonly to: string;
  readonly fromPort: number;
  readonly toPort: number;
}

/** What each side knows of a connection: the client's packets and the server's answers. */
function views(family: Family, method: 'nat' | 'full-nat') {
  const { client, vip, server, local } = HOSTS[family];
  const isFull = method === 'full-nat';
  const peer = isFull ? local : client;
  const peerPort = isFull ? LOCAL : CLIENT;
  const ends = (from: string, fromPort: number, to: string, toPort: number): Ends => ({
    from,
    fromPort,
    to,
    toPort,
  });
  return {
    sentByClient: ends(client, CLIENT, vip, 80),
    gotByServer: ends(peer, peerPort, server, 8080),
    sentByServer: ends(server, 8080, peer, peerPort),
    gotByClient: ends(vip, 80, client, CLIENT),
    peer,
  };
}

function rows(family: Family, transport: Transport, method: 'nat' | 'full-nat'): Golden[] {
  const { client, vip, server } = HOSTS[family];
  const { sentByClient, gotByServer, sentByServer, gotByClient, peer } = views(family, method);
  const bytes = transportBytes(transport);
  const bed: BedOptions = {
    services: service(transport, family, { method, port: 8080 }),
    pool: POOL,
  };
  const begins = packet(
    fromClient(family),
    ip({ from: client, to: vip }),
    ...opening(transport, CLIENT, 80),
  );
  const before = [['client', begins]] as const;
  const counters = { TRANSMITTED: 1, ICMP_RELAYED: 1 };
  const router = family === 4 ? '10.0.0.12' : '2001:db8:10::12';
  return [
    {
      description: 'the server’s error reaches the client as the virtual address’s',
      bed,
      before,
      port: 'server',
      packet: packet(
        fromServer(family),
        ip({ from: server, to: peer }),
        icmpError(family, 'portUnreachable'),
        quoted(gotByServer, bytes),
      ),
      verdict: 'transmit',
      out: [
        [
          'client',
          packet(
            toClient(family),
            ip({ from: vip, to: client, hops: 63 }),
            icmpError(family, 'portUnreachable'),
            quoted(sentByClient, bytes),
          ),
        ],
      ],
      counters,
    },
    {
      description: 'so does the error of a router in front of the server',
      bed,
      before,
      port: 'server',
      packet: packet(
        fromServer(family),
        ip({ from: router, to: peer }),
        icmpError(family, 'tooBig', 1400),
        quoted(gotByServer, bytes),
      ),
      verdict: 'transmit',
      out: [
        [
          'client',
          packet(
            toClient(family),
            ip({ from: vip, to: client, hops: 63 }),
            icmpError(family, 'tooBig', 1400),
            quoted(sentByClient, bytes),
          ),
        ],
      ],
      counters,
    },
    {
      description: 'the client’s error reaches the server',
      bed,
      before,
      port: 'client',
      packet: packet(
        fromClient(family),
        ip({ from: client, to: vip }),
        icmpError(family, 'tooBig', 1300),
        quoted(gotByClient, bytes),
      ),
      verdict: 'transmit',
      out: [
        [
          'server',
          packet(
            toServer(family),
            ip({ from: peer, to: server, hops: 63 }),
            icmpError(family, 'tooBig', 1300),
            quoted(sentByServer, bytes),
          ),
        ],
      ],
      counters,
    },
    {
      description: 'an error with a wrong checksum is dropped',
      bed,
      before,
      port: 'server',
      packet: packet(
        fromServer(family),
        ip({ from: server, to: peer }),
        family === 4
          ? build.icmp({ type: 3, code: 3, checksum: 0x1234 })
          : build.icmpv6({ type: 1, code: 4, checksum: 0x1234 }),
        quoted(gotByServer, bytes),
      ),
      verdict: 'drop',
      reason: 'DROP_ICMP_CHECKSUM',
      out: [],
      counters: { DROP_ICMP_CHECKSUM: 1, ICMP_RELAYED: 1 },
    },
    {
      description: 'an error about nothing that is known is left to the own stack',
      bed,
      port: 'client',
      packet: packet(
        fromClient(family),
        ip({ from: client, to: vip }),
        icmpError(family, 'tooBig', 1300),
        quoted(gotByClient, bytes),
      ),
      verdict: 'pass',
      out: [
        [
          'host',
          packet(
            fromClient(family),
            ip({ from: client, to: vip }),
            icmpError(family, 'tooBig', 1300),
            quoted(gotByClient, bytes),
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
      for (const method of ['nat', 'full-nat'] as const) {
        describe(`IPv${family}, ${transport}, ${method}`, () => {
          test.each(rows(family, transport, method))('$description', (row) => {
            const bed = runGolden(row, on);
            checkMemory(bed.memory);
            bed.close();
          });
        });
      }
    }
  }

  test.each(FAMILIES)('IPv%d: an error towards a direct-route server goes as it is', (family) => {
    const { client, vip } = HOSTS[family];
    const bytes = transportBytes('tcp');
    const error = (layer: build.Layer, hops: number) =>
      packet(
        layer,
        ip({ from: client, to: vip, hops }),
        icmpError(family, 'tooBig', 1300),
        quoted({ from: vip, fromPort: 80, to: client, toPort: CLIENT }, bytes),
      );
    const row: Golden = {
      description: '',
      bed: { services: service('tcp', family, { method: 'direct-route' }) },
      before: [
        [
          'client',
          packet(fromClient(family), ip({ from: client, to: vip }), ...opening('tcp', CLIENT, 80)),
        ],
      ],
      port: 'client',
      packet: error(fromClient(family), 64),
      verdict: 'transmit',
      out: [['server', error(toServer(family), 63)]],
      counters: { TRANSMITTED: 1, ICMP_RELAYED: 1 },
    };
    runGolden(row, on).close();
  });

  test.each(FAMILIES)('IPv%d: an error does not keep a connection alive', (family) => {
    const { client, vip, server } = HOSTS[family];
    const bed = runGolden(
      {
        description: '',
        bed: { services: service('udp', family, { method: 'nat' }) },
        port: 'client',
        packet: packet(
          fromClient(family),
          ip({ from: client, to: vip }),
          ...opening('udp', CLIENT, 80),
        ),
        verdict: 'transmit',
        out: [
          [
            'server',
            packet(
              toServer(family),
              ip({ from: client, to: server, hops: 63 }),
              ...segment('udp', CLIENT, 80),
            ),
          ],
        ],
        counters: { TRANSMITTED: 1 },
      },
      on,
    );
    bed.advance(29000);
    bed.send(
      'server',
      packet(
        fromServer(family),
        ip({ from: server, to: client }),
        icmpError(family, 'portUnreachable'),
        quoted({ from: client, fromPort: CLIENT, to: server, toPort: 80 }, transportBytes('udp')),
      ),
    );
    bed.advance(2000);
    expect(bed.control.connections()).toHaveLength(0);
    bed.close();
  });
});
