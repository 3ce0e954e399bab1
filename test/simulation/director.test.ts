/**
 * A director with seeded clients, servers, losses and edits beside a simple reference of it. Every
 * packet must go where the reference says, rewritten as it says; every so often connections, states,
 * the servers' counts and all statistics are compared too.
 */

import { describe, expect, test } from 'vitest';
import { formatEndpoint } from '../../host/config/address.ts';
import { GOLDEN } from '../../host/tables/hash.ts';
import { checkMemory } from '../support/check-bed.ts';
import {
  BUILDS,
  type Build,
  CLIENT_PORT_MAC,
  createBed,
  type DirectorBed,
  NEIGHBOUR_MACS,
  type Outcome,
  SERVER_PORT_MAC,
  serviceKey,
} from '../support/director-bed.ts';
import { TCP_MACHINE } from '../support/ipvs-states.ts';
import * as build from '../support/packet-builder.ts';
import { Random, seedFromEnvironment } from '../support/random.ts';
import {
  type Decision,
  type Flow,
  type Method,
  ReferenceDirector,
  type ReferenceServer,
  type ReferenceService,
} from './reference-director.ts';

const SEED = seedFromEnvironment(1);
const STEPS = 2500;
type Family = 4 | 6;

const CLIENTS = {
  4: ['198.51.100.1', '198.51.100.2'],
  6: ['2001:db8:ffff::1', '2001:db8:ffff::2'],
};
const VIPS = { 4: '192.0.2.80', 6: '2001:db8:1::80' };
const SERVERS = { 4: ['10.0.0.11', '10.0.0.12'], 6: ['2001:db8:10::11', '2001:db8:10::12'] };
const LOCAL = { 4: '10.0.0.200', 6: '2001:db8:10::200' };
const LOCAL_PORTS = [5000, 5001, 5002, 5003, 5004];
const METHODS: readonly Method[] = ['nat', 'direct-route', 'full-nat'];
/** Names of TCP states as a listing has them, in the order of their codes. */
const LISTED = [
  'NONE',
  'ESTABLISHED',
  'SYN_SENT',
  'SYN_RECV',
  'FIN_WAIT',
  'TIME_WAIT',
  'CLOSE',
  'CLOSE_WAIT',
  'LAST_ACK',
  'LISTEN',
  'SYNACK',
];

interface Tally {
  connections: number;
  inPackets: number;
  outPackets: number;
  inBytes: number;
  outBytes: number;
}

/** The director and its reference, fed with the same packets. */
class Pair {
  readonly bed: DirectorBed;
  readonly reference: ReferenceDirector;
  readonly #family: Family;
  readonly #tallies = new Map<ReferenceServer, Tally>();

  constructor(on: Build, family: Family) {
    this.#family = family;
    this.bed = createBed({
      build: on,
      pool: {
        addresses: [{ family, address: LOCAL[family] }],
        portRanges: [
          [LOCAL_PORTS[0], LOCAL_PORTS[LOCAL_PORTS.length - 1]],
          [1, 0],
        ],
      },
      services: this.#services(),
      onChange: ({ kind }) => {
        this.#lastChange = kind;
      },
    });
    this.reference = new ReferenceDirector(this.bed.tick, {
      address: LOCAL[family],
      ports: LOCAL_PORTS,
      firstOf: (server) => this.#firstEnd(server),
    });
    for (const [nth, { transport, method }] of this.#kinds().entries()) {
      const service: ReferenceService = {
        transport,
        address: VIPS[family],
        port: 80 + nth,
        servers: [],
        cursor: undefined,
      };
      for (const address of SERVERS[family]) {
        const port = method === 'direct-route' ? service.port : 8000;
        service.servers.unshift({ address, port, method, weight: 1 });
      }
      this.reference.services.push(service);
    }
  }

  #kinds(): { transport: 'tcp' | 'udp'; method: Method }[] {
    return (['tcp', 'udp'] as const).flatMap((transport) => {
      return METHODS.map((method) => ({ transport, method }));
    });
  }

  #services() {
    return this.#kinds().map(({ transport, method }, nth) => ({
      at: `${transport} ${formatEndpoint(VIPS[this.#family], 80 + nth)}`,
      servers: SERVERS[this.#family].map((address) => ({
        at: formatEndpoint(address, method === 'direct-route' ? 80 + nth : 8000),
        method,
      })),
    }));
  }

  /** Destinations are spread over the pool by the golden ratio, in the order of their numbers. */
  #firstEnd(server: ReferenceServer): number {
    const service = this.reference.services.find(({ servers }) => servers.includes(server))!;
    const { transport, address, port } = service;
    const at = serviceKey(`${transport} ${formatEndpoint(address, port)}`);
    const { id } = this.bed.control.destinations(at).find(({ key }) => {
      return key.address === server.address && key.port === server.port;
    })!;
    const fraction = (Math.imul(id - 1, GOLDEN) >>> 0) / 2 ** 32;
    return Math.floor(fraction * LOCAL_PORTS.length);
  }

  advance(ticks: number): void {
    this.bed.advance(ticks);
    this.reference.advance(this.bed.tick);
  }

  fromClient(flow: Flow, flags: string): void {
    const before = this.reference.connections.length;
    const decision = this.reference.fromClient(flow, flags);
    const frame = frameOf(flow, flags, CLIENT_PORT_MAC, 64);
    this.#compare(decision, this.bed.send('client', frame), flow, flags);
    if (decision.kind === 'unreachable') this.#countOwnError(flow, frame);
    if (decision.kind !== 'forward') return;
    const tally = this.#tally(decision.server);
    if (this.reference.connections.length > before) tally.connections++;
    tally.inPackets++;
    tally.inBytes += frame.length - 14;
  }

  /**
   * The director's own error comes from the virtual address: to a direct-route connection of the
   * client that is not gone yet it is an answer, as it is in the kernel.
   */
  #countOwnError(flow: Flow, frame: Uint8Array): void {
    const server = this.reference.answererOf(flow);
    if (server === undefined || !this.#isListed(server)) return;
    const tally = this.#tally(server);
    tally.outPackets++;
    tally.outBytes += frame.length - 14 + (this.#family === 4 ? 28 : 48);
  }

  #isListed(server: ReferenceServer): boolean {
    return this.reference.services.some(({ servers }) => servers.includes(server));
  }

  fromServer(flow: Flow, flags: string): void {
    const decision = this.reference.fromServer(flow, flags);
    if (decision?.kind !== 'forward') return;
    const { server } = decision;
    const frame = frameOf(flow, flags, SERVER_PORT_MAC, 64);
    this.#compare(decision, this.bed.send('server', frame), flow, flags);
    if (!this.#isListed(server)) return;
    const tally = this.#tally(server);
    tally.outPackets++;
    tally.outBytes += frame.length - 14;
  }

  #tally(server: ReferenceServer): Tally {
    const known = this.#tallies.get(server);
    if (known !== undefined) return known;
    const made = { connections: 0, inPackets: 0, outPackets: 0, inBytes: 0, outBytes: 0 };
    this.#tallies.set(server, made);
    return made;
  }

  #compare(decision: Decision, outcome: Outcome, flow: Flow, flags: string): void {
    const what = `${JSON.stringify(flow)} ${flags}`;
    if (decision.kind !== 'forward') {
      const expected = {
        pass: ['pass', undefined],
        unreachable: ['drop', 'DROP_NO_DESTINATION'],
        drop: ['drop', 'DROP_DESTINATION_UNAVAILABLE'],
        exhausted: ['drop', 'DROP_LOCAL_POOL_EXHAUSTED'],
      }[decision.kind];
      expect([outcome.verdict, outcome.reason], what).toEqual(expected);
      return;
    }
    const mac = NEIGHBOUR_MACS[decision.to] ?? '';
    const expected = build.toHex(frameOf(decision.flow, flags, mac, 63)).slice(24);
    const found = outcome.out.map(({ frame }) => build.toHex(frame));
    expect(
      found.map((hex) => hex.slice(24)),
      what,
    ).toEqual([expected]);
    expect(found[0].slice(0, 12)).toBe(build.toHex(build.macBytes(mac)));
  }

  compareTables(): void {
    checkMemory(this.bed.memory);
    const listed = this.bed.control.connections().map((entry) => {
      return [
        `${entry.clientAddress} ${entry.clientPort}`,
        `${entry.virtualPort} ${entry.destinationAddress} ${entry.destinationPort}`,
        entry.state,
      ].join(' ');
    });
    const expected = this.reference.connections.map(({ client, server, state }) => {
      const code = TCP_MACHINE.states.indexOf(state);
      return [
        `${client.source} ${client.sourcePort}`,
        `${client.destinationPort} ${server.address} ${server.port}`,
        client.transport === 'udp' ? 'UDP' : LISTED[code],
      ].join(' ');
    });
    expect(listed.sort()).toEqual(expected.sort());
    this.#compareCounts();
  }

  #compareCounts(): void {
    const { memory, control } = this.bed;
    const total = [0, 0, 0, 0, 0];
    for (const service of this.reference.services) {
      const { transport, address, port } = service;
      const key = { family: this.#family, protocol: transport, address, port } as const;
      for (const entry of control.destinations(key)) {
        const server = service.servers.find((one) => one.address === entry.key.address);
        if (server === undefined) throw new Error(`${entry.key.address} is not in the reference`);
        const counts = [entry.activeConnections, entry.inactiveConnections];
        expect(counts).toEqual(this.reference.counts(server));
        const base = this.#bases.get(server) ?? [0, 0, 0, 0, 0];
        const counted = this.#statistics(service, server).map((value, nth) => value - base[nth]);
        expect(counted).toEqual(Object.values(this.#tally(server)));
      }
    }
    for (const tally of [...this.#tallies.values(), ...this.#forgotten]) {
      for (const [nth, value] of Object.values(tally).entries()) total[nth] += value;
    }
    expect(this.bed.statistics((worker) => memory.totalStatistics(worker))).toEqual(total);
    const services = [0, 0, 0, 0, 0];
    for (const { id } of control.services()) {
      const place = (worker: number) => memory.serviceStatistics(worker, id);
      for (const [nth, value] of this.bed.statistics(place).entries()) services[nth] += value;
    }
    expect(services).toEqual(total);
  }

  /** Changes a server's weight, takes it away, or brings it back. */
  edit(random: Random): void {
    const service = random.pick(this.reference.services);
    const at = `${service.transport} ${formatEndpoint(service.address, service.port)}`;
    const all = [
      ...service.servers,
      ...this.#removed.filter(([one]) => one === service).map(([, server]) => server),
    ];
    const server = random.pick(all);
    const spec = { at: formatEndpoint(server.address, server.port), method: server.method };
    if (!service.servers.includes(server)) {
      server.weight = 1;
      this.bed.addServer(at, { ...spec, weight: 1 });
      service.servers.unshift(server);
      this.#removed = this.#removed.filter(([, removed]) => removed !== server);
      if (this.#lastChange === 'destination-added') this.#forget(service, server);
    } else if (random.oneIn(2)) {
      server.weight = random.below(2);
      this.bed.editServer(at, { ...spec, weight: server.weight });
    } else {
      this.bed.deleteServer(at, spec.at);
      const nth = service.servers.indexOf(server);
      service.servers.splice(nth, 1);
      // The cursor of a server that goes moves to the one in front of it.
      if (service.cursor === server) service.cursor = service.servers[nth - 1];
      this.#removed.push([service, server]);
    }
  }

  /** What a forgotten server has counted stays in the totals. */
  #forget(service: ReferenceService, server: ReferenceServer): void {
    this.reference.forget(server);
    // Its number may have been another's: the records go on from where they are.
    this.#bases.set(server, this.#statistics(service, server));
    const tally = this.#tallies.get(server);
    if (tally === undefined) return;
    this.#forgotten.push(tally);
    this.#tallies.delete(server);
  }

  #statistics({ transport, address, port }: ReferenceService, server: ReferenceServer): number[] {
    const key = { family: this.#family, protocol: transport, address, port } as const;
    const entries = this.bed.control.destinations(key);
    const entry = entries.find((one) => one.key.address === server.address);
    const { memory } = this.bed;
    const place = (worker: number) => memory.destinationStatistics(worker, entry?.id ?? 0);
    return [...this.bed.statistics(place)];
  }

  readonly #bases = new Map<ReferenceServer, number[]>();
  #lastChange = '';
  readonly #forgotten: Tally[] = [];
  #removed: [ReferenceService, ReferenceServer][] = [];
}

function frameOf(flow: Flow, flags: string, mac: string, hops: number): Uint8Array {
  const { source, destination, sourcePort, destinationPort } = flow;
  const isIpv6 = source.includes(':');
  const ports = { sourcePort, destinationPort };
  return build.packet(
    build.ethernet({ destination: mac }),
    isIpv6
      ? build.ipv6({ source, destination, hopLimit: hops })
      : build.ipv4({ source, destination, timeToLive: hops }),
    flow.transport === 'tcp' ? build.tcp({ ...ports, flags }) : build.udp(ports),
    build.payload('some data'),
  );
}

/** One client's packet, one server's answer, a while without any, or an edit. */
function step(random: Random, pair: Pair, family: Family): void {
  const { reference } = pair;
  if (random.oneIn(40)) {
    pair.edit(random);
  } else if (random.oneIn(12)) {
    pair.advance(random.pick([1, 1, 7, 100, 900, 3000, 15000]));
  } else if (random.oneIn(2) || reference.connections.length === 0) {
    const service = random.pick(reference.services);
    const flow: Flow = {
      transport: service.transport,
      source: random.pick(CLIENTS[family]),
      sourcePort: 1000 + random.below(8),
      destination: service.address,
      destinationPort: random.oneIn(20) ? 99 : service.port,
    };
    pair.fromClient(flow, random.pick(['S', 'S', 'A', 'A', 'FA', 'R', 'PA']));
  } else {
    const { service, server, client, peer, peerPort } = random.pick(reference.connections);
    const isRouted = server.method === 'direct-route';
    const flow: Flow = {
      transport: client.transport,
      source: isRouted ? service.address : server.address,
      sourcePort: isRouted ? service.port : server.port,
      destination: peer,
      destinationPort: peerPort,
    };
    // The network between them loses one in eight.
    if (!random.oneIn(8)) pair.fromServer(flow, random.pick(['SA', 'A', 'A', 'FA', 'R']));
  }
}

describe.each(BUILDS)('%s', (on) => {
  test.each([
    [4, SEED],
    [6, SEED + 1],
  ] as const)('IPv%d: as the reference has it, seed %i', (family, seed) => {
    const random = new Random(seed);
    const pair = new Pair(on, family);
    for (let nth = 0; nth < STEPS; nth++) {
      step(random, pair, family);
      if (nth % 25 === 0) pair.compareTables();
    }
    pair.advance(100_000);
    pair.compareTables();
    expect(pair.reference.connections).toEqual([]);
    pair.bed.close();
  });
});
