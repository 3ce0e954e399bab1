// The steering program's decisions, one frame at a time, through the kernel's own test run of the
// committed bytecode. The frames are built here and judged in one process inside a namespace,
// where an AF_XDP socket on the loopback interface stands for "ours".

import type { Steering, SteeringOutcome, SteeringTables } from 'af-xdp-socket';
import { beforeAll, describe, expect, test } from 'vitest';
import {
  authentication,
  ethernet,
  extension,
  fragment,
  gre,
  icmp,
  icmpv6,
  ipv4,
  ipv6,
  type Layer,
  packet,
  payload,
  sctp,
  tcp,
  toHex,
  udp,
} from '../../support/packet-builder.ts';
import { Namespace, removeNamespacesAfterwards, skipUnlessPossible } from './namespace.ts';

const possible = skipUnlessPossible();
removeNamespacesAfterwards();

// 192.0.2.x: virtual and local addresses; 10.0.0.x: real servers; 198.51.100.x: clients.
const TABLES: SteeringTables = {
  services: [
    { address: '192.0.2.80', protocol: 'tcp', port: 80 },
    { address: '192.0.2.80', protocol: 'udp', port: 53 },
    { address: '192.0.2.81', protocol: 'tcp', port: 0 },
    { address: '192.0.2.82', protocol: 'any', port: 0 },
    { address: '192.0.2.83', protocol: 'sctp', port: 9 },
    { address: '2001:db8::80', protocol: 'tcp', port: 80 },
    { address: '2001:db8::80', protocol: 'udp', port: 53 },
  ],
  marks: [
    {
      destination: '203.0.113.0/24',
      protocol: 'tcp',
      ports: [
        [80, 80],
        [8000, 8010],
      ],
    },
    { destination: '203.0.113.64/26', protocol: 'udp', ports: [[53, 53]] },
    { destination: '203.0.113.99', protocol: 'any' },
    { destination: '2001:db8:f::/48', protocol: 'tcp', ports: [[443, 443]] },
  ],
  realServers: [
    { address: '10.0.0.11', protocol: 'tcp', port: 8080 },
    { address: '10.0.0.11', protocol: 'udp', port: 53 },
    { address: '10.0.0.12', protocol: 'tcp', port: 0 },
    { address: '2001:db8:a::11', protocol: 'tcp', port: 8080 },
  ],
  localAddresses: ['192.0.2.1', '10.0.0.1', '10.0.0.2', '2001:db8:a::1', '192.0.2.80'],
  fullNat: [
    {
      address: '10.0.0.2',
      ports: [
        [20000, 29999],
        [40000, 49999],
      ],
    },
    { address: '2001:db8:a::2', ports: [[20000, 29999]] },
  ],
  tunnels: [{ address: '10.0.0.13' }, { address: '10.0.0.14', guePort: 6080 }],
};

const eth = ethernet();
const v4 = (source: string, destination: string, fields = {}) =>
  ipv4({ source, destination, ...fields });
const v6 = (source: string, destination: string, fields = {}) =>
  ipv6({ source, destination, ...fields });
const client = '198.51.100.7';
const client6 = '2001:db8:c::7';
const port = (sourcePort: number, destinationPort: number) => ({ sourcePort, destinationPort });

type Case = [what: string, outcome: SteeringOutcome, ...layers: Layer[]];

const CASES: Case[] = [
  // To virtual services.
  ['tcp to a service', 'steered-virtual-service', eth, v4(client, '192.0.2.80'), tcp(port(1, 80))],
  ['udp to a service', 'steered-virtual-service', eth, v4(client, '192.0.2.80'), udp(port(1, 53))],
  ['sctp to a service', 'steered-virtual-service', eth, v4(client, '192.0.2.83'), sctp(port(1, 9))],
  [
    'ipv6 to a service',
    'steered-virtual-service',
    eth,
    v6(client6, '2001:db8::80'),
    tcp(port(1, 80)),
  ],
  ['any port', 'steered-virtual-service', eth, v4(client, '192.0.2.81'), tcp(port(1, 4711))],
  ['any protocol: udp', 'steered-virtual-service', eth, v4(client, '192.0.2.82'), udp(port(1, 7))],
  [
    'any protocol: ah',
    'steered-virtual-service',
    ...[eth, v4(client, '192.0.2.82'), authentication(), tcp(port(1, 7))],
  ],
  [
    'any protocol: esp',
    'steered-virtual-service',
    ...[eth, v4(client, '192.0.2.82', { protocol: 50 }), payload(40)],
  ],
  [
    'ip options in front',
    'steered-virtual-service',
    ...[eth, v4(client, '192.0.2.80', { options: new Uint8Array(8).fill(1) }), tcp(port(1, 80))],
  ],
  [
    'six extension headers',
    'steered-virtual-service',
    ...[eth, v6(client6, '2001:db8::80'), extension(0), extension(60, { length: 16 })],
    ...[extension(43, { length: 24 }), authentication(), extension(60), extension(60)],
    tcp(port(1, 80)),
  ],
  [
    'an atomic fragment is whole',
    'steered-virtual-service',
    ...[eth, v6(client6, '2001:db8::80'), fragment(), tcp(port(1, 80))],
  ],
  // Not to virtual services.
  ['another port', 'passed-local-address', eth, v4(client, '192.0.2.80'), tcp(port(1, 22))],
  ['another protocol', 'passed-local-address', eth, v4(client, '192.0.2.80'), udp(port(1, 80))],
  [
    'any is not every: ospf',
    'passed-local-address',
    eth,
    v4(client, '192.0.2.82', { protocol: 89 }),
    payload(40),
  ],
  ['any is not gre', 'passed-local-address', eth, v4(client, '192.0.2.82'), gre(), payload(20)],
  ['somebody else', 'passed-no-service', eth, v4(client, '192.0.2.99'), tcp(port(1, 80))],
  [
    'the same bytes in the other family',
    'passed-no-service',
    eth,
    v6(client6, 'c000:250::'),
    tcp(port(1, 80)),
  ],
  ['arp', 'passed-not-ip', ethernet({ type: 0x0806 }), payload(28)],
  ['vlan', 'passed-vlan-tagged', ethernet({ type: 0x8100 }), payload(46)],
  ['service vlan', 'passed-vlan-tagged', ethernet({ type: 0x88a8 }), payload(46)],
  [
    'another mac',
    'steered-virtual-service',
    ethernet({ destination: '02:99:00:00:00:01' }),
    v4(client, '192.0.2.80'),
    tcp(port(1, 80)),
  ],
  // Malformed.
  ['ipv4 cut off', 'passed-malformed', ethernet({ type: 0x0800 }), payload(19)],
  [
    'ipv4 header length',
    'passed-malformed',
    eth,
    v4(client, '192.0.2.80', { headerWords: 4 }),
    tcp(),
  ],
  ['ipv4 version', 'passed-malformed', eth, v4(client, '192.0.2.80', { version: 5 }), tcp()],
  ['ipv6 version', 'passed-malformed', eth, v6(client6, '2001:db8::80', { version: 4 }), tcp()],
  ['ports cut off', 'passed-malformed', eth, v4(client, '192.0.2.80', { protocol: 6 }), payload(3)],
  [
    'seven extension headers',
    'passed-malformed',
    ...[eth, v6(client6, '2001:db8::80'), ...Array.from({ length: 7 }, () => extension(60))],
    tcp(port(1, 80)),
  ],
  [
    'an extension header that ends behind the frame',
    'passed-malformed',
    ...[eth, v6(client6, '2001:db8::80', { nextHeader: 0 })],
    payload(Uint8Array.from([6, 255, 0, 0, 0, 0, 0, 0])),
  ],
  // Firewall marks.
  ['mark', 'steered-firewall-mark', eth, v4(client, '203.0.113.5'), tcp(port(1, 80))],
  ['mark, in a range', 'steered-firewall-mark', eth, v4(client, '203.0.113.5'), tcp(port(1, 8010))],
  ['mark, behind a range', 'passed-no-service', eth, v4(client, '203.0.113.5'), tcp(port(1, 8011))],
  ['mark, another protocol', 'passed-no-service', eth, v4(client, '203.0.113.5'), udp(port(1, 80))],
  ['inner mark', 'steered-firewall-mark', eth, v4(client, '203.0.113.70'), udp(port(1, 53))],
  [
    'inner mark keeps the outer',
    'steered-firewall-mark',
    eth,
    v4(client, '203.0.113.70'),
    tcp(port(1, 80)),
  ],
  [
    'mark, any protocol',
    'steered-firewall-mark',
    eth,
    v4(client, '203.0.113.99'),
    udp(port(1, 9999)),
  ],
  ['mark, ipv6', 'steered-firewall-mark', eth, v6(client6, '2001:db8:f:1::5'), tcp(port(1, 443))],
  ['outside the mark', 'passed-no-service', eth, v4(client, '203.0.114.5'), tcp(port(1, 80))],
  // Replies.
  ['nat reply', 'steered-nat-reply', eth, v4('10.0.0.11', client), tcp(port(8080, 1))],
  ['nat reply, any port', 'steered-nat-reply', eth, v4('10.0.0.12', client), tcp(port(4711, 1))],
  ['nat reply, ipv6', 'steered-nat-reply', eth, v6('2001:db8:a::11', client6), tcp(port(8080, 1))],
  ['from another port', 'passed-no-service', eth, v4('10.0.0.11', client), tcp(port(22, 1))],
  [
    'answer to a health check',
    'passed-local-address',
    eth,
    v4('10.0.0.11', '10.0.0.1'),
    tcp(port(8080, 1)),
  ],
  [
    'answer to a health check from a virtual address',
    'passed-local-address',
    eth,
    v4('10.0.0.11', '192.0.2.80'),
    tcp(port(8080, 999)),
  ],
  [
    'full-nat reply',
    'steered-full-nat-reply',
    eth,
    v4('10.0.0.11', '10.0.0.2'),
    tcp(port(8080, 20000)),
  ],
  [
    'full-nat reply, second range',
    'steered-full-nat-reply',
    eth,
    v4('10.0.0.11', '10.0.0.2'),
    udp(port(8080, 49999)),
  ],
  [
    'full-nat reply, ipv6',
    'steered-full-nat-reply',
    eth,
    v6('2001:db8:a::11', '2001:db8:a::2'),
    tcp(port(8080, 29999)),
  ],
  [
    'outside the pool: health check',
    'passed-local-address',
    eth,
    v4('10.0.0.11', '10.0.0.2'),
    tcp(port(8080, 30000)),
  ],
  // ICMP.
  [
    'ping to a virtual address',
    'passed-icmp',
    eth,
    v4(client, '192.0.2.80'),
    icmp({ type: 8 }),
    payload(20),
  ],
  [
    'ping to any-protocol service',
    'passed-icmp',
    eth,
    v4(client, '192.0.2.82'),
    icmp({ type: 8 }),
    payload(20),
  ],
  [
    'neighbour solicitation',
    'passed-icmp',
    eth,
    v6(client6, '2001:db8::80'),
    icmpv6({ type: 135 }),
    payload(20),
  ],
  [
    'redirect about a service',
    'passed-icmp',
    eth,
    v4('198.51.100.1', '192.0.2.80'),
    icmp({ type: 5 }),
    v4('192.0.2.80', client),
    tcp(port(80, 1)),
  ],
  ...[3, 4, 11, 12].map(
    (type): Case => [
      `icmp ${type} about what a service sent`,
      'steered-icmp-error-about-virtual-service',
      ...[
        eth,
        v4('198.51.100.1', '192.0.2.80'),
        icmp({ type }),
        v4('192.0.2.80', client),
        tcp(port(80, 1)),
      ],
    ],
  ),
  ...[1, 2, 3, 4].map(
    (type): Case => [
      `icmpv6 ${type} about what a service sent`,
      'steered-icmp-error-about-virtual-service',
      ...[eth, v6('2001:db8:c::1', '2001:db8::80'), icmpv6({ type })],
      ...[v6('2001:db8::80', client6), tcp(port(80, 1))],
    ],
  ),
  [
    'icmp about what a mark sent',
    'steered-icmp-error-about-virtual-service',
    eth,
    v4('198.51.100.1', '203.0.113.5'),
    icmp({ type: 3 }),
    v4('203.0.113.5', client),
    tcp(port(80, 1)),
  ],
  [
    "icmp about the director's ssh",
    'passed-icmp',
    eth,
    v4('198.51.100.1', '192.0.2.80'),
    icmp({ type: 3 }),
    v4('192.0.2.80', client),
    tcp(port(22, 1)),
  ],
  [
    'icmp about a packet to a real server',
    'steered-icmp-error-about-real-server',
    eth,
    v4('10.0.0.11', client),
    icmp({ type: 3 }),
    v4(client, '10.0.0.11'),
    udp(port(1, 53)),
  ],
  [
    'icmpv6 about a packet to a real server',
    'steered-icmp-error-about-real-server',
    eth,
    v6('2001:db8:a::11', client6),
    icmpv6({ type: 1 }),
    v6(client6, '2001:db8:a::11'),
    tcp(port(1, 8080)),
  ],
  [
    'icmp about a health check',
    'passed-icmp',
    eth,
    v4('10.0.0.11', '10.0.0.1'),
    icmp({ type: 3 }),
    v4('10.0.0.1', '10.0.0.11'),
    udp(port(1, 53)),
  ],
  [
    'icmp about a packet to another port',
    'passed-icmp',
    eth,
    v4('10.0.0.11', client),
    icmp({ type: 3 }),
    v4(client, '10.0.0.11'),
    udp(port(1, 54)),
  ],
  [
    'icmp about full-nat',
    'steered-icmp-error-about-full-nat',
    eth,
    v4('10.0.0.11', '10.0.0.2'),
    icmp({ type: 3 }),
    v4('10.0.0.2', '10.0.0.11'),
    tcp(port(20000, 8080)),
  ],
  [
    "icmp about the pool address's own",
    'passed-icmp',
    eth,
    v4('10.0.0.11', '10.0.0.2'),
    icmp({ type: 3 }),
    v4('10.0.0.2', '10.0.0.11'),
    tcp(port(30001, 8080)),
  ],
  [
    'icmp about ipip',
    'steered-icmp-error-about-tunnel',
    eth,
    v4('10.0.0.13', '10.0.0.1'),
    icmp({ type: 3 }),
    v4('10.0.0.1', '10.0.0.13'),
    v4(client, '192.0.2.80'),
    tcp(),
  ],
  [
    'icmp about gre',
    'steered-icmp-error-about-tunnel',
    eth,
    v4('10.0.0.13', '10.0.0.1'),
    icmp({ type: 3 }),
    v4('10.0.0.1', '10.0.0.13'),
    gre(),
    v4(client, '192.0.2.80'),
    tcp(),
  ],
  [
    'icmp about gue',
    'steered-icmp-error-about-tunnel',
    eth,
    v4('10.0.0.14', '10.0.0.1'),
    icmp({ type: 3 }),
    v4('10.0.0.1', '10.0.0.14'),
    udp(port(1, 6080)),
    payload(8),
  ],
  [
    'icmp about another udp port',
    'passed-icmp',
    eth,
    v4('10.0.0.14', '10.0.0.1'),
    icmp({ type: 3 }),
    v4('10.0.0.1', '10.0.0.14'),
    udp(port(1, 53)),
    payload(8),
  ],
  [
    'icmp about udp to a tunnel without gue',
    'passed-icmp',
    eth,
    v4('10.0.0.13', '10.0.0.1'),
    icmp({ type: 3 }),
    v4('10.0.0.1', '10.0.0.13'),
    udp(port(1, 0)),
    payload(8),
  ],
  [
    "icmp about tcp to a tunnel's server",
    'passed-icmp',
    eth,
    v4('10.0.0.13', '10.0.0.1'),
    icmp({ type: 3 }),
    v4('10.0.0.1', '10.0.0.13'),
    tcp(port(1, 80)),
  ],
  [
    'icmp about a later fragment',
    'passed-icmp',
    eth,
    v4('198.51.100.1', '192.0.2.80'),
    icmp({ type: 11 }),
    v4('192.0.2.80', client, { fragmentOffset: 8 }),
    tcp(port(80, 1)),
  ],
  [
    'icmp in a fragment',
    'passed-fragment',
    eth,
    v4('198.51.100.1', '192.0.2.80', { moreFragments: true }),
    icmp({ type: 3 }),
    v4('192.0.2.80', client),
    tcp(port(80, 1)),
  ],
  [
    'icmp with a cut quote',
    'passed-icmp',
    eth,
    v4('198.51.100.1', '192.0.2.80'),
    icmp({ type: 3 }),
    payload(12),
  ],
  // Fragments.
  ...(
    [
      ['first', { moreFragments: true }],
      ['later', { fragmentOffset: 800 }],
    ] as const
  ).flatMap(([which, fields]): Case[] => [
    [
      `${which} fragment to a virtual address`,
      'steered-fragment-to-virtual-address',
      eth,
      v4(client, '192.0.2.80', fields),
      udp(port(1, 9)),
    ],
    [
      `${which} fragment to a mark`,
      'steered-fragment-to-virtual-address',
      eth,
      v4(client, '203.0.113.5', fields),
      tcp(port(1, 9)),
    ],
    [
      `${which} fragment of another protocol`,
      'passed-fragment',
      eth,
      v4(client, '192.0.2.83', fields),
      udp(port(1, 9)),
    ],
    [
      `${which} fragment from a real server`,
      'steered-fragment-from-real-server',
      eth,
      v4('10.0.0.11', client, fields),
      udp(port(53, 1)),
    ],
    [
      `${which} fragment from a real server to full-nat`,
      'steered-fragment-from-real-server',
      eth,
      v4('10.0.0.11', '10.0.0.2', fields),
      udp(port(53, 20000)),
    ],
    [
      `${which} fragment from a real server to the director`,
      'passed-fragment',
      eth,
      v4('10.0.0.11', '10.0.0.1', fields),
      udp(port(53, 1)),
    ],
    [
      `${which} fragment of nobody's`,
      'passed-fragment',
      eth,
      v4(client, '192.0.2.99', fields),
      udp(port(53, 1)),
    ],
  ]),
  [
    'first ipv6 fragment',
    'steered-fragment-to-virtual-address',
    eth,
    v6(client6, '2001:db8::80'),
    fragment({ more: true }),
    udp(port(1, 53)),
  ],
  [
    'later ipv6 fragment',
    'steered-fragment-to-virtual-address',
    eth,
    v6(client6, '2001:db8::80'),
    extension(60),
    fragment({ offset: 800, nextHeader: 17 }),
    payload(30),
  ],
  [
    'a large ping in fragments',
    'passed-fragment',
    eth,
    v4(client, '192.0.2.80', { moreFragments: true }),
    icmp({ type: 8 }),
    payload(600),
  ],
];

let outcomes: { outcome: string; verdict: number }[];
let noSocket: string[];

beforeAll(async () => {
  if (!possible) return;
  const net = new Namespace();
  const frames = CASES.map(([, , ...layers]) => toHex(packet(...layers)));
  const result = await net.run(
    ({ xdp, Bench }, argument) => {
      const judge = (steering: Steering, hex: string) => {
        const frame = Uint8Array.from(Buffer.from(hex, 'hex'));
        const { outcome, verdict } = steering.testRun(frame);
        return { outcome, verdict };
      };
      const steering = xdp.Steering.load();
      const first = judge(steering, argument.frames[0]!).outcome;
      steering.attach('lo', 'generic');
      steering.publish(argument.tables);
      const before = judge(steering, argument.frames[0]!).outcome;
      const bench = new Bench();
      const { socket } = bench.open('lo');
      steering.setSocket('lo', 0, socket.fd);
      const judged = argument.frames.map((hex) => judge(steering, hex));
      steering.clearSocket('lo', 0);
      const cleared = judge(steering, argument.frames[0]!).outcome;
      steering.setEnabled(false);
      const disabled = judge(steering, argument.frames[0]!).outcome;
      steering.close();
      return { judged, noSocket: [first, before, cleared, disabled] };
    },
    { frames, tables: TABLES },
  );
  outcomes = result.judged;
  noSocket = result.noSocket;
});

describe('what happens to', () => {
  test.each(CASES.map(([what, expected], index) => ({ what, expected, index })))(
    '$what: $expected',
    ({ expected, index }) => {
      expect(outcomes[index]!.outcome).toBe(expected);
      const redirected = expected.startsWith('steered');
      expect(outcomes[index]!.verdict).toBe(redirected ? 4 : 2);
    },
  );
});

test('before a publish, without a socket, and when disabled, everything passes', () => {
  expect(noSocket).toEqual([
    'passed-not-published',
    'passed-no-socket',
    'passed-no-socket',
    'passed-not-published',
  ]);
});

test('every frame cut at every length passes: no abort, no fault', async () => {
  const net = new Namespace();
  const frames = CASES.map(([, , ...layers]) => toHex(packet(...layers)));
  const verdicts = await net.run(
    ({ xdp }, argument) => {
      const steering = xdp.Steering.load();
      steering.publish(argument.tables);
      const seen = new Set<number>();
      for (const hex of argument.frames) {
        const whole = Uint8Array.from(Buffer.from(hex, 'hex'));
        for (let length = 14; length <= Math.min(whole.length, 160); length++) {
          seen.add(steering.program.testRun(whole.subarray(0, length)).verdict);
        }
      }
      return [...seen];
    },
    { frames, tables: TABLES },
  );
  expect(verdicts).toEqual([2]);
});
