// What explain says of the steering program, against the program itself: random tables, random
// packets.

import type { SteeringTables } from 'af-xdp-socket';
import { beforeAll, expect, test } from 'vitest';
import { formatEndpoint } from '../../../../host/config/address.ts';
import { parseQuestion } from '../../../../host/explain/question.ts';
import { steeringOutcome } from '../../../../host/explain/steering-twin.ts';
import {
  ethernet,
  ipv4,
  ipv6,
  packet,
  sctp,
  tcp,
  toHex,
  udp,
} from '../../../support/packet-builder.ts';
import { Random, seedFromEnvironment } from '../../../support/random.ts';
import {
  Namespace,
  removeNamespacesAfterwards,
  skipUnlessPossible,
} from '../../af-xdp-socket/namespace.ts';
import { judgeRounds } from '../../af-xdp-socket/steering-judge.ts';

const possible = skipUnlessPossible();
removeNamespacesAfterwards();

const SEED = seedFromEnvironment(20_261_123);
const ROUNDS = 30;
const PACKETS = 120;

const PROTOCOLS = ['tcp', 'udp', 'sctp'] as const;
const PORTS = [1, 80, 443, 8080, 20_000];
const ADDRESSES = [
  ...['10.0.0.1', '10.0.0.2', '10.0.1.1', '192.0.2.80'],
  ...['2001:db8::1', '2001:db8::2', '2001:db8:1::1'],
];
const PREFIXES = ['10.0.0.0/8', '10.0.0.0/24', '10.0.0.2/32', '0.0.0.0/0', '2001:db8::/47', '::/0'];

function randomTables(random: Random): SteeringTables {
  const endpoint = () => {
    const address = random.pick(ADDRESSES);
    if (random.oneIn(5)) return { address, protocol: 'any' as const, port: 0 };
    return { address, protocol: random.pick(PROTOCOLS), port: random.pick([0, ...PORTS]) };
  };
  const range = (): readonly [number, number] => {
    const [one, other] = [random.pick(PORTS), random.pick(PORTS)];
    return [Math.min(one, other), Math.max(one, other)];
  };
  return {
    services: random.several(4, endpoint),
    realServers: random.several(4, endpoint),
    localAddresses: random.several(2, () => random.pick(ADDRESSES)),
    fullNat: random.several(2, () => ({ address: random.pick(ADDRESSES), ports: [range()] })),
    marks: random.several(2, () => {
      const destination = random.pick(PREFIXES);
      if (random.oneIn(3)) return { destination, protocol: 'any' as const };
      return { destination, protocol: random.pick(PROTOCOLS), ports: [range()] };
    }),
  };
}

function randomPacket(random: Random) {
  const isIpv6 = random.oneIn(2);
  const family = ADDRESSES.filter((address) => address.includes(':') === isIpv6);
  const protocol = random.pick(PROTOCOLS);
  const [source, destination] = [random.pick(family), random.pick(family)];
  const [sourcePort, destinationPort] = [random.pick(PORTS), random.pick(PORTS)];
  const layers = { tcp, udp, sctp };
  const ip = isIpv6 ? ipv6({ source, destination }) : ipv4({ source, destination });
  return {
    frame: toHex(packet(ethernet(), ip, layers[protocol]({ sourcePort, destinationPort }))),
    question: parseQuestion({
      protocol,
      client: formatEndpoint(source, sourcePort),
      virtual: formatEndpoint(destination, destinationPort),
    }),
  };
}

let net: Namespace;
beforeAll(() => {
  if (possible) net = new Namespace();
});

test(`program and explanation agree (seed ${SEED})`, async () => {
  const random = new Random(SEED);
  const rounds = Array.from({ length: ROUNDS }, () => ({
    tables: randomTables(random),
    packets: Array.from({ length: PACKETS }, () => randomPacket(random)),
  }));
  const judged = await judgeRounds(
    net,
    rounds.map(({ tables, packets }) => ({ tables, frames: packets.map(({ frame }) => frame) })),
  );
  const seen = new Set<string>();
  for (const [round, { tables, packets }] of rounds.entries()) {
    for (const [index, { question }] of packets.entries()) {
      const outcome = judged[round]![index]!;
      seen.add(outcome);
      expect(steeringOutcome(tables, question), `round ${round}, packet ${index}`).toBe(outcome);
    }
  }
  expect([...seen].sort()).toEqual([
    'passed-local-address',
    'passed-no-service',
    'steered-firewall-mark',
    'steered-full-nat-reply',
    'steered-nat-reply',
    'steered-virtual-service',
  ]);
});
