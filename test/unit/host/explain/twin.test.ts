// wvs explain against the data plane itself: a director under a virtual clock, with random
// services, settings and connections. Each packet is explained first and sent then; what becomes
// of it must be what was said. And explaining must not change a byte of the director's memory.

import { createHash } from 'node:crypto';
import { beforeAll, describe, expect, test } from 'vitest';
import {
  FORWARD_DIRECT_ROUTE,
  FORWARD_FULL_NAT,
  FORWARD_NAT,
  FORWARD_TUNNEL,
  SERVICE_ONE_PACKET,
  SERVICE_PERSISTENT,
  SERVICE_SCHED1,
  SERVICE_SCHED2,
  VERDICT_DROP,
  VERDICT_HOLD,
  VERDICT_PASS,
  VERDICT_TRANSMIT,
} from '../../../../assembly/shared/codes.ts';
import { addressBytes, formatEndpoint } from '../../../../host/config/address.ts';
import { Explainer } from '../../../../host/explain/explain.ts';
import { parseQuestion } from '../../../../host/explain/question.ts';
import { IpvsError, type ServiceKey } from '../../../../host/ipvs/types.ts';
import { Network, TABLE_MAIN } from '../../../../host/replay/network.ts';
import { ReplayDirector } from '../../../../host/replay/replay-director.ts';
import { schedulerNames } from '../../../../host/scheduler/registry.ts';
import { compileWasm } from '../../../../host/worker/wasm.ts';
import {
  chunk,
  ethernet,
  ipv4,
  ipv6,
  packet,
  sctp,
  tcp,
  udp,
} from '../../../support/packet-builder.ts';
import { Random, seedFromEnvironment } from '../../../support/random.ts';

const SEED = seedFromEnvironment(20_261_121);
const DIRECTORS = 60;
const STEPS = 120;
const START_TICK = 1024;

const MACS = {
  wan: '02:00:00:00:01:01',
  lan: '02:00:00:00:02:01',
  client: '02:00:00:00:01:99',
  server: '02:00:00:00:02:99',
};
const OUTCOMES = {
  forward: VERDICT_TRANSMIT,
  answer: VERDICT_TRANSMIT,
  wait: VERDICT_HOLD,
  route: VERDICT_TRANSMIT,
  local: VERDICT_PASS,
  drop: VERDICT_DROP,
} as const;

interface Plan {
  readonly clients: readonly string[];
  readonly vips: readonly string[];
  readonly servers: readonly string[];
  readonly pool: string;
  readonly elsewhere: string;
}
const PLANS: Readonly<Record<4 | 6, Plan>> = {
  4: {
    clients: ['198.51.100.10', '198.51.100.11', '198.51.100.140'],
    vips: ['198.51.100.80', '198.51.100.81', '198.51.100.1'],
    servers: ['10.20.0.11', '10.20.0.12', '10.20.0.13', '10.99.0.1', '10.20.0.77', '10.20.0.1'],
    pool: '10.20.0.2',
    elsewhere: '203.0.113.9',
  },
  6: {
    clients: ['2001:db8:1::10', '2001:db8:1::11', '2001:db8:1:0:8000::1'],
    vips: ['2001:db8:1::80', '2001:db8:1::81', '2001:db8:1::1'],
    servers: ['2001:db8:2::11', '2001:db8:2::12', '2001:db8:99::1', '2001:db8:2::77'],
    pool: '2001:db8:2::2',
    elsewhere: '2001:db8:ffff::9',
  },
};
const PORTS = [20, 21, 80, 443, 5060, 8080, 30_000];

function mac(text: string): Uint8Array {
  return Uint8Array.from(text.split(':'), (byte) => Number.parseInt(byte, 16));
}

/** A network of both families: a gateway, a neighbour that is missing, a route that refuses. */
function createNetwork(): Network {
  const network = new Network();
  const wan = network.addLink('wan', mac(MACS.wan));
  const lan = network.addLink('lan', mac(MACS.lan));
  for (const link of [wan, lan]) link.isUp = true;
  lan.mtu = 1400;
  const add = (address: string, prefixLength: number, link = wan) => {
    network.addAddress({ address: addressBytes(address), prefixLength, link });
  };
  add('198.51.100.1', 24);
  add('2001:db8:1::1', 64);
  add('10.20.0.1', 24, lan);
  add('2001:db8:2::1', 64, lan);
  const neighbour = (address: string, link = wan, at = MACS.client) => {
    network.setNeighbour({ address: addressBytes(address), link, mac: mac(at) });
  };
  for (const { clients, servers } of Object.values(PLANS)) {
    for (const client of clients) neighbour(client);
    for (const server of servers) {
      if (/[1-3]$/.test(server) && !server.includes('99')) neighbour(server, lan, MACS.server);
    }
  }
  neighbour('10.20.0.254', lan, MACS.server);
  const route = (prefix: string, prefixLength: number, gateway?: string) => {
    const kind = gateway === undefined ? ('unreachable' as const) : ('via' as const);
    network.addRoute({
      table: TABLE_MAIN,
      prefix: addressBytes(prefix),
      prefixLength,
      kind,
      link: lan,
      ...(gateway !== undefined && { gateway: addressBytes(gateway) }),
    });
  };
  route('10.99.0.0', 16, '10.20.0.254');
  route('2001:db8:99::', 48);
  return network;
}

interface Sent {
  readonly protocol: 'tcp' | 'udp' | 'sctp';
  readonly from: string;
  readonly fromPort: number;
  readonly to: string;
  readonly toPort: number;
  readonly first: boolean;
}

function frameOf({ protocol, from, fromPort, to, toPort, first }: Sent, port: 'wan' | 'lan') {
  const ports = { sourcePort: fromPort, destinationPort: toPort };
  const outer = ethernet({ destination: MACS[port], source: MACS.client });
  const ip = from.includes(':')
    ? ipv6({ source: from, destination: to })
    : ipv4({ source: from, destination: to });
  if (protocol === 'udp') return packet(outer, ip, udp(ports));
  if (protocol === 'tcp') return packet(outer, ip, tcp({ ...ports, flags: first ? 'S' : 'A' }));
  // INIT and COOKIE ACK.
  return packet(outer, ip, sctp(ports), chunk({ type: first ? 1 : 11 }));
}

/** A director with random services, and packets to send to it. */
class Bed {
  readonly director: ReplayDirector;
  readonly explainer: Explainer;
  readonly #random: Random;
  readonly #keys: ServiceKey[] = [];
  readonly #answers: Sent[] = [];
  #tick = START_TICK;

  constructor(module: WebAssembly.Module, random: Random) {
    this.#random = random;
    const network = createNetwork();
    const sizes = { connections: 1024, services: 32, destinations: 128, framesPerWorker: 2048 };
    this.director = new ReplayDirector({
      module,
      network,
      bootTick: START_TICK,
      startTick: START_TICK,
      sizes,
    });
    const { memory, control } = this.director;
    this.explainer = new Explainer({
      memory,
      control,
      now: () => this.#tick,
      steering: () => undefined,
    });
    this.#setUp();
  }

  #setUp(): void {
    const random = this.#random;
    const { control } = this.director;
    const flips = [
      ...['expire_nodest_conn', 'expire_quiescent_template', 'sloppy_tcp', 'sloppy_sctp'],
      ...['nat_icmp_send', 'cache_bypass'],
    ];
    for (const name of flips) if (random.oneIn(3)) control.setSysctl(name, '1');
    control.setSysctl('conn_reuse_mode', String(random.below(4)));
    if (random.oneIn(3)) control.setSysctl('pmtu_disc', '0');
    if (random.oneIn(8)) control.setSysctl('backup_only', '1');
    if (random.oneIn(8)) control.setSysctl('drop_packet', '3');
    if (!random.oneIn(4)) {
      control.setLocalPool({
        addresses: [4, 6].map((family) => ({
          family: family as 4 | 6,
          address: PLANS[family as 4 | 6].pool,
        })),
        portRanges: [
          [1024, 1030],
          [61000, 61003],
        ],
      });
    }
    this.director.setMarks(
      Array.from({ length: random.below(3) }, () => {
        const family = random.pick([4, 6] as const);
        return {
          family,
          mark: random.between(1, 2),
          protocol: random.pick([0, 6, 17]),
          destination: {
            address: random.pick(PLANS[family].vips),
            prefixLength: family === 4 ? random.pick([24, 32]) : random.pick([64, 128]),
          },
          ports: random.oneIn(2) ? [] : [[80, 443] as const],
        };
      }),
    );
    for (let count = random.between(2, 8); count > 0; count--) this.#addService();
  }

  #addService(): void {
    const random = this.#random;
    const family = random.pick([4, 4, 6] as const);
    const { vips } = PLANS[family];
    const persistent = random.oneIn(3);
    const key: ServiceKey = random.oneIn(5)
      ? { family, mark: random.between(1, 2) }
      : {
          family,
          protocol: random.pick(['tcp', 'tcp', 'udp', 'sctp'] as const),
          address: random.pick(vips),
          port: random.oneIn(5) ? 0 : random.pick(PORTS),
        };
    const flags =
      (persistent ? SERVICE_PERSISTENT : 0) |
      (random.oneIn(4) ? SERVICE_ONE_PACKET : 0) |
      (random.oneIn(3) ? SERVICE_SCHED1 : 0) |
      (random.oneIn(3) ? SERVICE_SCHED2 : 0);
    const mask4 = random.pick(['255.255.255.255', '255.255.255.0', '255.255.255.128']);
    this.#try(() => {
      this.director.control.addService(key, {
        scheduler: random.pick(schedulerNames.filter((name) => name !== 'twos')),
        flags,
        persistenceSeconds: 60,
        persistenceMask: family === 4 ? mask4 : random.pick(['128', '64', '65']),
        engine: '',
      });
      this.#keys.push(key);
    });
    for (let count = random.below(8); count > 0; count--) this.change();
  }

  /** What the control core refuses is not set up; both sides see that. */
  #try(act: () => void): void {
    try {
      act();
    } catch (error) {
      if (!(error instanceof IpvsError)) throw error;
    }
  }

  /** Adds, edits or removes a destination of some service. */
  change(): void {
    const random = this.#random;
    const { control } = this.director;
    if (this.#keys.length === 0) return;
    const key = random.pick(this.#keys);
    const ofTheOther = random.oneIn(8);
    const family = ofTheOther ? ((10 - key.family) as 4 | 6) : key.family;
    const at = {
      family,
      address: random.pick(PLANS[family].servers),
      port: random.pick([0, 80, 8080]),
    };
    const forwardings = [
      FORWARD_NAT,
      FORWARD_NAT,
      FORWARD_DIRECT_ROUTE,
      FORWARD_TUNNEL,
      FORWARD_FULL_NAT,
    ];
    const options = {
      forwarding: ofTheOther ? FORWARD_TUNNEL : random.pick(forwardings),
      weight: random.oneIn(5) ? 0 : random.between(1, 5),
      upperThreshold: random.oneIn(5) ? 3 : 0,
      lowerThreshold: 0,
      tunnelType: random.below(3),
      tunnelPort: 6080,
      tunnelFlags: random.below(2),
    };
    const there = control.destinations(key).find(({ key: { address, port } }) => {
      return address === at.address && port === at.port;
    });
    this.#try(() => {
      if (there === undefined) control.addDestination(key, at, options);
      else if (random.oneIn(2)) control.editDestination(key, at, options);
      else control.deleteDestination(key, at);
    });
  }

  advance(): void {
    this.#tick += this.#random.pick([1, 10, 100, 500]);
    this.director.advance(this.#tick, (this.#tick - START_TICK) * 10);
  }

  /** A packet of a client, of a server that answers, or of a stranger. */
  packet(): Sent {
    const random = this.#random;
    if (this.#answers.length > 0 && random.oneIn(4)) return random.pick(this.#answers);
    const key = this.#keys.length > 0 && !random.oneIn(4) ? random.pick(this.#keys) : undefined;
    if (key !== undefined && 'port' in key) {
      return {
        protocol: key.protocol,
        from: random.pick(PLANS[key.family].clients),
        fromPort: random.pick([20, 4001, 4002, 4003]),
        to: key.address,
        toPort: key.port === 0 || random.oneIn(10) ? random.pick(PORTS) : key.port,
        first: !random.oneIn(4),
      };
    }
    const family = key?.family ?? random.pick([4, 4, 6] as const);
    const { clients, vips, servers, pool, elsewhere } = PLANS[family];
    const protocol = random.pick(['tcp', 'tcp', 'udp', 'sctp'] as const);
    if (random.oneIn(6)) {
      const from = random.pick(servers);
      const to = random.pick([...clients, ...vips, pool, elsewhere]);
      const [fromPort, toPort] = [random.pick(PORTS), random.pick(PORTS)];
      return { protocol, from, fromPort, to, toPort, first: random.oneIn(2) };
    }
    return {
      protocol,
      from: random.pick(clients),
      fromPort: random.pick([20, 4001, 4002]),
      to: random.oneIn(10) ? elsewhere : random.pick(vips),
      toPort: random.pick(PORTS),
      first: !random.oneIn(4),
    };
  }

  /** Remembers what the server would answer to a forwarded packet. */
  remember(sent: Sent, facts: Readonly<Record<string, string | number | boolean>>): void {
    const { method, server, local } = facts;
    if (method !== 'nat' && method !== 'full-nat') {
      const { protocol, from, fromPort, to, toPort } = sent;
      const back = { from: to, fromPort: toPort, to: from, toPort: fromPort };
      this.#answers.push({ protocol, ...back, first: false });
      return;
    }
    const [from, fromPort] = splitEnd(String(server));
    const [to, toPort] =
      method === 'full-nat' ? splitEnd(String(local)) : ([sent.from, sent.fromPort] as const);
    this.#answers.push({ protocol: sent.protocol, from, fromPort, to, toPort, first: false });
  }

  /** SHA-256 of the whole memory. */
  digest(): string {
    return createHash('sha256').update(Buffer.from(this.director.memory.u8)).digest('hex');
  }
}

function splitEnd(text: string): readonly [string, number] {
  const colon = text.lastIndexOf(':');
  return [text.slice(0, colon).replace(/[[\]]/g, ''), Number(text.slice(colon + 1))];
}

let module: WebAssembly.Module;
beforeAll(async () => {
  module = await compileWasm('release');
});

describe(`seed ${SEED}`, () => {
  test('what is explained is what happens', () => {
    const met = new Map<string, number>();
    for (let number = 0; number < DIRECTORS; number++) {
      const bed = new Bed(module, new Random(SEED + number));
      const random = new Random(SEED ^ number);
      for (let step = 0; step < STEPS; step++) {
        if (random.oneIn(10)) bed.change();
        if (random.oneIn(10)) bed.advance();
        const sent = bed.packet();
        const { protocol, from, fromPort, to, toPort, first } = sent;
        const asked = parseQuestion({
          protocol,
          client: formatEndpoint(from, fromPort),
          virtual: formatEndpoint(to, toPort),
        });
        const question = { ...asked, isFirst: first };
        const { steps, decision } = bed.explainer.decide(question);
        const isFromLan = PLANS[asked.family].servers.includes(from);
        const port = isFromLan ? 'lan' : 'wan';
        const trace = bed.director.receive(port, frameOf(sent, port))!;
        const said = {
          verdict: OUTCOMES[decision.outcome as keyof typeof OUTCOMES],
          reason: decision.reason,
          destination: decision.outcome === 'drop' ? 0 : decision.destination,
        };
        const happened = {
          verdict: trace.verdict,
          reason: trace.reason,
          destination: trace.verdict === VERDICT_DROP ? 0 : trace.destination,
        };
        const story = steps.map((line) => `${line.step}: ${line.result}`).join('\n');
        const which = `director ${number}, step ${step}, ${JSON.stringify(sent)}`;
        expect(said, `${which}\n${story}\n=> ${decision.verdict}\n`).toEqual(happened);
        const name = `${decision.outcome} ${decision.reason}`;
        met.set(name, (met.get(name) ?? 0) + 1);
        const forwarding = steps.find((line) => line.step === 'forwarding');
        if (decision.outcome === 'forward' && forwarding) bed.remember(sent, forwarding.facts);
      }
    }
    // The corners that matter were all turned.
    expect([...met.keys()].sort().length, JSON.stringify([...met])).toBeGreaterThan(9);
    for (const outcome of ['forward', 'answer', 'route', 'local', 'drop']) {
      expect([...met.keys()].some((name) => name.startsWith(outcome))).toBe(true);
    }
  });

  test('explaining changes not a byte of memory', () => {
    for (let number = 0; number < 6; number++) {
      const bed = new Bed(module, new Random(SEED + number));
      for (let step = 0; step < 30; step++) {
        const sent = bed.packet();
        bed.director.receive('wan', frameOf(sent, 'wan'));
      }
      bed.director.take();
      const before = bed.digest();
      for (let step = 0; step < 40; step++) {
        const { protocol, from, fromPort, to, toPort } = bed.packet();
        bed.explainer.explain({
          protocol,
          client: formatEndpoint(from, fromPort),
          virtual: formatEndpoint(to, toPort),
        });
      }
      expect(bed.digest()).toBe(before);
    }
  });
});
