// The steering program against a slow twin: random tables and random packets over few addresses
// and ports, judged by the program from their bytes, and by the twin from what they were built of.

import type { PortRange, SteeredEndpoint, SteeringOutcome, SteeringTables } from 'af-xdp-socket';
import { beforeAll, expect, test } from 'vitest';
import {
  ethernet,
  extension,
  fragment,
  icmp,
  icmpv6,
  ipv4,
  ipv6,
  type Layer,
  packet,
  payload,
  toHex,
} from '../../support/packet-builder.ts';
import { Random, seedFromEnvironment } from '../../support/random.ts';
import { Namespace, removeNamespacesAfterwards, skipUnlessPossible } from './namespace.ts';
import { judgeRounds } from './steering-judge.ts';

const possible = skipUnlessPossible();
removeNamespacesAfterwards();

const SEED = seedFromEnvironment(20_261_120);
const ROUNDS = 60;
const PACKETS = 150;

const NUMBERS = { tcp: 6, udp: 17, sctp: 132, ah: 51, esp: 50 } as const;
type Protocol = keyof typeof NUMBERS;
const PROTOCOLS = Object.keys(NUMBERS) as Protocol[];
const WITH_PORTS = ['tcp', 'udp', 'sctp'] as const;
const OTHERS = [4, 41, 47, 89];
const PORTS = [0, 1, 80, 81, 8080, 20_000, 65_535];
// 10.0.0.2 and 10.0.81.49 share a place in the program's array, as do 10.0.0.1 and a00:1::.
const ADDRESSES = [
  ...['10.0.0.1', '10.0.0.2', '10.0.81.49', '10.0.1.1', '10.128.0.1', '192.0.2.80', '0.0.0.0'],
  ...['2001:db8::1', '2001:db8::2', '2001:db8:1::1', 'a00:1::', '::', 'ff02::1'],
];
const PREFIXES = ['10.0.0.0/8', '10.0.0.0/24', '10.0.0.2/32', '0.0.0.0/0', '::/0', '2001:db8::/47'];

interface Plain {
  ipv6: boolean;
  source: string;
  destination: string;
  protocol: number;
  sourcePort: number;
  destinationPort: number;
  fragment: 'none' | 'first' | 'later';
  extensions: number;
}
interface Packet extends Plain {
  /** An ICMP message instead of a transport header. */
  icmp?: { type: number; quoted: Plain };
}

// --- making things up ---

function randomEndpoint(random: Random): SteeredEndpoint {
  const address = random.pick(ADDRESSES);
  if (random.oneIn(4)) {
    return { address, protocol: random.pick(['ah', 'esp', 'any'] as const), port: 0 };
  }
  return { address, protocol: random.pick(WITH_PORTS), port: random.pick(PORTS) };
}

function randomRange(random: Random): PortRange {
  const [one, other] = [random.pick(PORTS), random.pick(PORTS)];
  return [Math.min(one, other), Math.max(one, other)];
}

function randomTables(random: Random): SteeringTables {
  const guePort = random.pick([0, 80, 8080]);
  // Many: some addresses have more than their own entry can list.
  const most = random.oneIn(4) ? 60 : 5;
  return {
    services: random.several(most, () => randomEndpoint(random)),
    realServers: random.several(most, () => randomEndpoint(random)),
    localAddresses: random.several(2, () => random.pick(ADDRESSES)),
    fullNat: random.several(2, () => ({
      address: random.pick(ADDRESSES),
      ports: [randomRange(random)],
    })),
    tunnels: random.several(2, () => ({ address: random.pick(ADDRESSES), guePort })),
    marks: random.several(2, () =>
      random.oneIn(3)
        ? { destination: random.pick(PREFIXES), protocol: 'any' as const }
        : {
            destination: random.pick(PREFIXES),
            protocol: random.pick(WITH_PORTS),
            ports: [randomRange(random)],
          },
    ),
  };
}

function randomPlain(random: Random, isIpv6: boolean): Plain {
  const family = ADDRESSES.filter((address) => address.includes(':') === isIpv6);
  // In IPv6 the authentication header is walked over, so it is never the last protocol.
  const known = PROTOCOLS.filter((name) => !isIpv6 || name !== 'ah').map((name) => NUMBERS[name]);
  const protocol = random.oneIn(6) ? random.pick(OTHERS) : random.pick(known);
  const ported = WITH_PORTS.some((name) => NUMBERS[name] === protocol);
  return {
    ipv6: isIpv6,
    source: random.pick(family),
    destination: random.pick(family),
    protocol,
    sourcePort: ported ? random.pick(PORTS) : 0,
    destinationPort: ported ? random.pick(PORTS) : 0,
    fragment: random.oneIn(5) ? random.pick(['first', 'later'] as const) : 'none',
    extensions: isIpv6 && random.oneIn(3) ? random.between(1, 5) : 0,
  };
}

function randomPacket(random: Random): Packet {
  const isIpv6 = random.oneIn(2);
  const plain = randomPlain(random, isIpv6);
  if (!random.oneIn(3)) return plain;
  const type = random.pick(isIpv6 ? [1, 2, 3, 4, 5, 128, 135] : [0, 3, 4, 5, 8, 11, 12]);
  const icmpMessage = { type, quoted: randomPlain(random, isIpv6) };
  return { ...plain, protocol: isIpv6 ? 58 : 1, icmp: icmpMessage };
}

// --- bytes ---

function networkLayers(plain: Plain): Layer[] {
  const { source, destination, protocol } = plain;
  const first = plain.fragment === 'first';
  const offset = plain.fragment === 'later' ? 800 : 0;
  if (!plain.ipv6) {
    return [ipv4({ source, destination, protocol, moreFragments: first, fragmentOffset: offset })];
  }
  const extensions = Array.from({ length: plain.extensions }, () => extension(60));
  const fragments = plain.fragment === 'none' ? [] : [fragment({ more: first, offset })];
  const chain = [...extensions, ...fragments];
  const last = chain.length;
  // Each names what follows; the last one the transport protocol, which payload() cannot tell.
  const named = [ipv6({ source, destination, ...(last === 0 ? { nextHeader: protocol } : {}) })];
  for (const [index, layer] of chain.entries()) {
    const isLast = index === last - 1;
    if (!isLast) named.push(layer);
    else if (layer.protocol === 60) named.push(extension(60, { nextHeader: protocol }));
    else named.push(fragment({ more: first, offset, nextHeader: protocol }));
  }
  return named;
}

function transport(plain: Plain): Layer {
  const bytes = new Uint8Array(20).fill(0x11);
  new DataView(bytes.buffer).setUint16(0, plain.sourcePort);
  new DataView(bytes.buffer).setUint16(2, plain.destinationPort);
  return payload(bytes);
}

function bytesOf(made: Packet): string {
  const outer = [ethernet(), ...networkLayers(made)];
  if (made.icmp === undefined) return toHex(packet(...outer, transport(made)));
  const { type, quoted } = made.icmp;
  const message = made.ipv6 ? icmpv6({ type }) : icmp({ type });
  return toHex(packet(...outer, message, ...networkLayers(quoted), transport(quoted)));
}

// --- the twin ---

function isOneOfFive(protocol: number): boolean {
  return PROTOCOLS.some((name) => NUMBERS[name] === protocol);
}

function protocolFits(wanted: string, protocol: number): boolean {
  return wanted === 'any' ? isOneOfFive(protocol) : NUMBERS[wanted as Protocol] === protocol;
}

function bits(address: string): string {
  if (!address.includes(':')) {
    const byte = (part: string) => Number(part).toString(2).padStart(8, '0');
    return address.split('.').map(byte).join('');
  }
  const [head = '', tail = ''] = address.split('::');
  const groups = (text: string) => text.split(':').filter((group) => group !== '');
  const [before, after] = [groups(head), groups(tail)];
  const zeros = Array.from({ length: 8 - before.length - after.length }, () => '0');
  const group = (text: string) => Number.parseInt(text, 16).toString(2).padStart(16, '0');
  return [...before, ...zeros, ...after].map(group).join('');
}

function covers(prefix: string, address: string): boolean {
  const [base = '', length = ''] = prefix.split('/');
  if (base.includes(':') !== address.includes(':')) return false;
  return bits(address).startsWith(bits(base).slice(0, Number(length)));
}

function within(ranges: readonly PortRange[] | undefined, port: number): boolean {
  return ranges === undefined || ranges.some(([first, last]) => port >= first && port <= last);
}

class Twin {
  readonly tables: Required<SteeringTables>;

  constructor(tables: Required<SteeringTables>) {
    this.tables = tables;
  }

  has(list: readonly SteeredEndpoint[], address: string, protocol: number, port: number): boolean {
    return list.some(
      (endpoint) =>
        endpoint.address === address &&
        protocolFits(endpoint.protocol, protocol) &&
        (endpoint.port === 0 || endpoint.port === port),
    );
  }

  hasProtocol(list: readonly SteeredEndpoint[], address: string, protocol: number): boolean {
    return list.some(
      (endpoint) => endpoint.address === address && protocolFits(endpoint.protocol, protocol),
    );
  }

  marked(address: string, protocol: number, port: number | null): boolean {
    return this.tables.marks.some(
      (mark) =>
        covers(mark.destination, address) &&
        protocolFits(mark.protocol, protocol) &&
        (port === null || within(mark.ports, port)),
    );
  }

  fullNat(address: string, protocol: number, port: number): boolean {
    if (!WITH_PORTS.some((name) => NUMBERS[name] === protocol)) return false;
    return this.tables.fullNat.some((item) => item.address === address && within(item.ports, port));
  }

  ours(address: string): boolean {
    const { services, localAddresses } = this.tables;
    return localAddresses.includes(address) || services.some((one) => one.address === address);
  }

  tunnelled({ destination, protocol, destinationPort }: Plain): boolean {
    return this.tables.tunnels.some(
      ({ address, guePort = 0 }) =>
        address === destination &&
        (protocol === 17
          ? guePort !== 0 && guePort === destinationPort
          : [4, 41, 47].includes(protocol)),
    );
  }

  quoted(plain: Plain): SteeringOutcome {
    const { source, destination, protocol, sourcePort, destinationPort } = plain;
    const { services, realServers } = this.tables;
    if (plain.fragment === 'later') return 'passed-icmp';
    if (this.has(services, source, protocol, sourcePort)) {
      return 'steered-icmp-error-about-virtual-service';
    }
    if (this.marked(source, protocol, sourcePort)) {
      return 'steered-icmp-error-about-virtual-service';
    }
    if (this.fullNat(source, protocol, sourcePort)) return 'steered-icmp-error-about-full-nat';
    if (this.ours(source)) {
      return this.tunnelled(plain) ? 'steered-icmp-error-about-tunnel' : 'passed-icmp';
    }
    return this.has(realServers, destination, protocol, destinationPort)
      ? 'steered-icmp-error-about-real-server'
      : 'passed-icmp';
  }

  fragmented({ source, destination, protocol }: Plain): SteeringOutcome {
    const { services, realServers, fullNat } = this.tables;
    if (
      this.hasProtocol(services, destination, protocol) ||
      this.marked(destination, protocol, null)
    ) {
      return 'steered-fragment-to-virtual-address';
    }
    const pool = fullNat.some((item) => item.address === destination);
    const reply = this.hasProtocol(realServers, source, protocol);
    return reply && (pool || !this.ours(destination))
      ? 'steered-fragment-from-real-server'
      : 'passed-fragment';
  }

  decide(made: Packet): SteeringOutcome {
    const { source, destination, protocol, sourcePort, destinationPort } = made;
    const { services, realServers } = this.tables;
    if (made.icmp !== undefined) {
      if (made.fragment !== 'none') return 'passed-fragment';
      const errors = made.ipv6 ? [1, 2, 3, 4] : [3, 4, 11, 12];
      return errors.includes(made.icmp.type) ? this.quoted(made.icmp.quoted) : 'passed-icmp';
    }
    if (made.fragment !== 'none') return this.fragmented(made);
    if (this.has(services, destination, protocol, destinationPort))
      return 'steered-virtual-service';
    if (this.fullNat(destination, protocol, destinationPort)) return 'steered-full-nat-reply';
    if (this.marked(destination, protocol, destinationPort)) return 'steered-firewall-mark';
    if (this.ours(destination)) return 'passed-local-address';
    return this.has(realServers, source, protocol, sourcePort)
      ? 'steered-nat-reply'
      : 'passed-no-service';
  }
}

let net: Namespace;
beforeAll(() => {
  if (possible) net = new Namespace();
});

test(`program and twin agree (seed ${SEED})`, async () => {
  const random = new Random(SEED);
  const rounds = Array.from({ length: ROUNDS }, () => {
    const tables = randomTables(random);
    const packets = Array.from({ length: PACKETS }, () => randomPacket(random));
    return { tables, packets };
  });
  const judged = await judgeRounds(
    net,
    rounds.map(({ tables, packets }) => ({ tables, frames: packets.map(bytesOf) })),
  );
  const seen = new Set<string>();
  for (const [round, { tables, packets }] of rounds.entries()) {
    const twin = new Twin(tables as Required<SteeringTables>);
    for (const [index, made] of packets.entries()) {
      const outcome = judged[round]![index]!;
      seen.add(outcome);
      const expected = twin.decide(made);
      expect(outcome, JSON.stringify({ seed: SEED, round, index, made, tables })).toBe(expected);
    }
  }
  // Otherwise the packets would not reach what they should test.
  expect([...seen].filter((outcome) => outcome.startsWith('steered'))).toHaveLength(10);
});
