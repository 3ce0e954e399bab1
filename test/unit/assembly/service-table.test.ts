/**
 * Where a packet belongs: the service of its mark, the exact one, the FTP service of its address, the
 * one for any port; and where it goes: the longest prefix, own addresses, neighbours. Each against
 * a walk through plain lists, on random tables.
 */

import { describe, expect, test } from 'vitest';
import * as layout from '../../../assembly/shared/layout.ts';
import type { MarkRule, WorldNeighbour, WorldRoute } from '../../../host/tables/world.ts';
import { type BedService, createBed, twoArmedWorld } from '../../support/director-bed.ts';
import { addressBytes } from '../../support/packet-builder.ts';
import { Random, seedFromEnvironment } from '../../support/random.ts';
import { instantiate, PROBE_BUILDS, type WasmInstance } from '../../support/wasm.ts';

const SEED = seedFromEnvironment(660);
type Family = 4 | 6;
const HOP_NONE = 0x10000;
const HOP_LOCAL = 0x10001;
const HOP_UNRESOLVED = 0x10002;

const VIPS = { 4: ['192.0.2.80', '192.0.2.81'], 6: ['2001:db8:1::80', '2001:db8:1::81'] } as const;
const PORTS = [0, 20, 21, 80, 1023, 1024, 3000] as const;
const NUMBERS = { tcp: 6, udp: 17, sctp: 132 } as const;

function swap(port: number): number {
  return ((port & 255) << 8) | (port >>> 8);
}

/** Bits of an address, "01...". */
function bits(address: string): string {
  return [...addressBytes(address)].map((byte) => byte.toString(2).padStart(8, '0')).join('');
}

function inPrefix(address: string, prefix: string, length: number): boolean {
  return bits(address).slice(0, length) === bits(prefix).slice(0, length);
}

describe.each(PROBE_BUILDS)('%s', (build) => {
  test(`a service is found in the kernel's order, seed ${SEED}`, async () => {
    const random = new Random(SEED);
    for (let table = 0; table < 12; table++) {
      const services = randomServices(random);
      const marks = randomMarks(random);
      const bed = createBed({ services, marks });
      const wasm = await instantiate(build, bed.memory.memory, { host: { schedule: () => 0 } });
      wasm.call('initialise', 0);
      const packet = bed.memory.worker(0) + layout.WORKER_PACKETS;
      for (let round = 0; round < 300; round++) {
        const sent = randomPacket(random);
        writePacket(bed.memory.u8, packet, sent);
        const mark = wasm.call('markOf', packet);
        expect(mark).toBe(slowMark(marks, sent));
        new DataView(bed.memory.memory.buffer).setUint32(packet + layout.PACKET_MARK, mark, true);
        const id = wasm.call('findService', packet);
        const found = bed.control.serviceById(id)?.key;
        const expected = slowService(services, sent, mark);
        expect(found === undefined ? undefined : nameOf(found), JSON.stringify(sent)).toBe(
          expected,
        );
      }
      bed.close();
    }
  });

  test(`the longest prefix wins, own addresses before all, seed ${SEED}`, async () => {
    const random = new Random(SEED + 1);
    for (let table = 0; table < 8; table++) {
      const world = twoArmedWorld();
      const routes = randomRoutes(random);
      const neighbours = randomNeighbours(random);
      const bed = createBed({ world: { ...world, routes }, neighbours });
      const wasm = await instantiate(build, bed.memory.memory, { host: { schedule: () => 0 } });
      wasm.call('initialise', 0);
      const at = bed.memory.worker(0) + layout.WORKER_PACKETS;
      for (let round = 0; round < 300; round++) {
        const family = random.pick([4, 6] as const);
        const own = world.addresses.filter((address) => address.family === family);
        const address = random.oneIn(15) ? random.pick(own).address : randomAddress(random, family);
        bed.memory.u8.set(addressBytes(address), at);
        const found = describeHop(bed.memory.u8, bed.memory.nextHop(0), wasm, family, at);
        const isOwn = own.some((one) => one.address === address);
        expect(found, address).toBe(slowHop(routes, neighbours, family, address, isOwn));
      }
      bed.close();
    }
  });
});

// ---- services

interface SentPacket {
  readonly family: Family;
  readonly transport: keyof typeof NUMBERS;
  readonly source: string;
  readonly destination: string;
  readonly port: number;
}

function randomServices(random: Random): BedService[] {
  const names = new Set<string>();
  for (let nth = random.between(1, 14); nth > 0; nth--) {
    const family = random.pick([4, 6] as const);
    if (random.oneIn(4)) {
      names.add(`${family === 4 ? 'mark' : 'mark6'} ${random.between(1, 3)}`);
      continue;
    }
    const address = random.pick(VIPS[family]);
    const port = random.pick(PORTS);
    const where = family === 4 ? `${address}:${port}` : `[${address}]:${port}`;
    names.add(`${random.pick(['tcp', 'udp', 'sctp'])} ${where}`);
  }
  return [...names].map((at) => ({ at, servers: [] }));
}

function randomMarks(random: Random): MarkRule[] {
  return Array.from({ length: random.below(6) }, () => {
    const family = random.pick([4, 6] as const);
    const length = random.below(family === 4 ? 33 : 129);
    const prefix = (address: string) => ({ address, prefixLength: length });
    return {
      family,
      mark: random.between(1, 4),
      protocol: random.pick([0, 6, 17, 132]),
      ...(random.oneIn(2) ? { destination: prefix(random.pick(VIPS[family])) } : {}),
      ...(random.oneIn(3) ? { source: prefix(randomAddress(random, family)) } : {}),
      ports: random.oneIn(2)
        ? []
        : [
            [20, 80],
            [random.pick(PORTS), 5000],
          ],
    };
  });
}

function randomPacket(random: Random): SentPacket {
  const family = random.pick([4, 6] as const);
  return {
    family,
    transport: random.pick(['tcp', 'udp', 'sctp']),
    source: randomAddress(random, family),
    destination: random.pick(VIPS[family]),
    port: random.pick([...PORTS, 443, 5000, 65535]),
  };
}

function writePacket(u8: Uint8Array, at: number, sent: SentPacket): void {
  u8.fill(0, at, at + layout.PACKET_SIZE);
  u8[at + layout.PACKET_FAMILY] = sent.family;
  u8[at + layout.PACKET_PROTOCOL] = NUMBERS[sent.transport];
  u8.set(addressBytes(sent.source), at + layout.PACKET_SOURCE);
  u8.set(addressBytes(sent.destination), at + layout.PACKET_DESTINATION);
  const port = swap(sent.port);
  u8[at + layout.PACKET_DESTINATION_PORT] = port & 255;
  u8[at + layout.PACKET_DESTINATION_PORT + 1] = port >>> 8;
}

/** The last rule that matches gives the mark. */
function slowMark(rules: readonly MarkRule[], sent: SentPacket): number {
  const matching = rules.filter((rule) => {
    const { destination, source, ports } = rule;
    return (
      rule.family === sent.family &&
      (rule.protocol === 0 || rule.protocol === NUMBERS[sent.transport]) &&
      (!destination || inPrefix(sent.destination, destination.address, destination.prefixLength)) &&
      (!source || inPrefix(sent.source, source.address, source.prefixLength)) &&
      (ports.length === 0 || ports.some(([first, last]) => first <= sent.port && sent.port <= last))
    );
  });
  return matching.at(-1)?.mark ?? 0;
}

/** The order of ip_vs_service_find(). */
function slowService(
  services: readonly BedService[],
  sent: SentPacket,
  mark: number,
): string | undefined {
  const has = (name: string) => services.some((service) => service.at === name);
  const byMark = `${sent.family === 4 ? 'mark' : 'mark6'} ${mark}`;
  if (mark !== 0 && has(byMark)) return byMark;
  const host = sent.family === 4 ? sent.destination : `[${sent.destination}]`;
  const exact = `${sent.transport} ${host}:${sent.port}`;
  if (has(exact)) return exact;
  const ftp = `tcp ${host}:21`;
  const mayBeData = sent.port === 20 || sent.port >= 1024;
  if (sent.transport === 'tcp' && mayBeData && has(ftp)) return ftp;
  const any = `${sent.transport} ${host}:0`;
  return has(any) ? any : undefined;
}

function nameOf(key: object): string {
  const found = key as Record<string, string | number>;
  if ('mark' in key) return `${found.family === 4 ? 'mark' : 'mark6'} ${found.mark}`;
  const host = found.family === 4 ? found.address : `[${found.address}]`;
  return `${found.protocol} ${host}:${found.port}`;
}

// ---- routes

function randomAddress(random: Random, family: Family): string {
  if (family === 4) return `10.${random.below(2)}.${random.below(4)}.${random.between(1, 20)}`;
  return `2001:db8:${random.below(2)}:${random.below(4)}::${random.between(1, 20).toString(16)}`;
}

function randomRoutes(random: Random): WorldRoute[] {
  const routes = new Map<string, WorldRoute>();
  for (let nth = random.below(24); nth > 0; nth--) {
    const family = random.pick([4, 6] as const);
    const prefixLength = random.pick(
      family === 4 ? [0, 8, 15, 16, 22, 24, 28, 31, 32] : [0, 32, 47, 48, 64, 65, 120, 127, 128],
    );
    const prefix = randomAddress(random, family);
    const kind = random.pick(['on-link', 'on-link', 'via', 'unreachable', 'local'] as const);
    const route: WorldRoute = {
      family,
      prefix,
      prefixLength,
      port: random.below(2),
      kind,
      ...(kind === 'via' ? { via: randomAddress(random, family) } : {}),
    };
    routes.set(`${family} ${prefixLength} ${bits(prefix).slice(0, prefixLength)}`, route);
  }
  return [...routes.values()];
}

function randomNeighbours(random: Random): WorldNeighbour[] {
  return Array.from({ length: 60 }, () => {
    const family = random.pick([4, 6] as const);
    const address = randomAddress(random, family);
    const mac = random.bytes(6);
    return { port: random.below(2), family, address, mac, state: 'reachable' as const };
  });
}

/** The way that `resolve` finds, in words. */
function describeHop(
  u8: Uint8Array,
  hops: number,
  wasm: WasmInstance,
  family: Family,
  at: number,
): string {
  const hop = wasm.call('resolve', family, at);
  if (hop === HOP_NONE) return 'none';
  if (hop === HOP_LOCAL) return 'local';
  if (hop === HOP_UNRESOLVED) return 'unresolved';
  const record = hops + hop * layout.NEXT_HOP_SIZE;
  const bytes = u8.slice(
    record + layout.NEXT_HOP_ADDRESS,
    record + layout.NEXT_HOP_ADDRESS + (family === 4 ? 4 : 16),
  );
  return `${Buffer.from(bytes).toString('hex')} on ${u8[record + layout.NEXT_HOP_PORT]}`;
}

function slowHop(
  routes: readonly WorldRoute[],
  neighbours: readonly WorldNeighbour[],
  family: Family,
  address: string,
  isOwn: boolean,
): string {
  if (isOwn) return 'local';
  const [route] = routes
    .filter((one) => one.family === family && inPrefix(address, one.prefix, one.prefixLength))
    .sort((a, b) => b.prefixLength - a.prefixLength);
  if (route === undefined || route.kind === 'unreachable') return 'none';
  if (route.kind === 'local') return 'local';
  const name = (to: string) => `${Buffer.from(addressBytes(to)).toString('hex')} on ${route.port}`;
  // A gateway has its place in the table from the start; a neighbour must be known or asked for.
  if (route.kind === 'via') return name(route.via ?? '');
  const gateways = routes.filter((one) => one.kind === 'via');
  const isKnown =
    neighbours.some((one) => one.port === route.port && sameAddress(one.address, address)) ||
    gateways.some((one) => one.port === route.port && sameAddress(one.via ?? '', address));
  return isKnown ? name(address) : 'unresolved';
}

function sameAddress(one: string, other: string): boolean {
  return bits(one) === bits(other);
}
