/**
 * Known connections' plain packets are forwarded apart, when they come in bursts; one packet a turn
 * goes through all steps. So two directors get the same frames in the same order, one of them frame
 * by frame, the other in bursts, and whatever can be seen of them must be the same: what left, on
 * which port and in which order; every connection; every counter. The seed stands in each title;
 * SEED=n repeats a run.
 */

import { describe, expect, test } from 'vitest';
import { SERVICE_ONE_PACKET } from '../../../assembly/shared/codes.ts';
import * as layout from '../../../assembly/shared/layout.ts';
import { formatEndpoint } from '../../../host/config/address.ts';
import { checkMemory } from '../../support/check-bed.ts';
import {
  type BedOptions,
  type BedService,
  BUILDS,
  CLIENT_PORT_MAC,
  createBed,
  type DirectorBed,
  oneArmedWorld,
  SERVER_PORT_MAC,
  type SentFrame,
  serviceKey,
  splitEndpoint,
  twoArmedPorts,
  twoArmedWorld,
} from '../../support/director-bed.ts';
import * as build from '../../support/packet-builder.ts';
import { Random, seedFromEnvironment } from '../../support/random.ts';

const SEED = seedFromEnvironment(4711);
const BURSTS = 260;
const BURST_MAX = 64;
const CLIENT_PORTS = 14;

const VIPS = { 4: '192.0.2.80', 6: '2001:db8:1::80' } as const;
const POOLS = { 4: '10.0.0.200', 6: '2001:db8:10::200' } as const;
const CLIENTS = {
  4: ['198.51.100.1', '198.51.100.2', '198.51.100.77'],
  6: ['2001:db8:ffff::1', '2001:db8:ffff::2', '2001:db8:ffff::77'],
} as const;
const SERVERS = {
  4: ['10.0.0.11', '10.0.0.12'],
  6: ['2001:db8:10::11', '2001:db8:10::12'],
} as const;
type Family = 4 | 6;

/** Every method for both families and protocols; some services are special. */
function services(): BedService[] {
  const made: BedService[] = [];
  for (const family of [4, 6] as const) {
    const [first, second] = SERVERS[family];
    for (const transport of ['tcp', 'udp']) {
      const at = (port: number) => `${transport} ${formatEndpoint(VIPS[family], port)}`;
      const both = (method: 'nat' | 'direct-route' | 'tunnel' | 'full-nat', port: number) =>
        [first, second].map((address) => ({ at: formatEndpoint(address, port), method }));
      made.push(
        { at: at(80), servers: both('nat', 8080) },
        { at: at(81), servers: both('direct-route', 81) },
        { at: at(82), servers: both('full-nat', 8080) },
        { at: at(83), servers: both('tunnel', 83) },
        { at: at(84), persistenceSeconds: 20, servers: both('nat', 8080) },
        { at: at(85), servers: [...both('nat', 85), ...both('full-nat', 8085)] },
      );
    }
    const only = (method: 'nat', port: number) => [{ at: formatEndpoint(first, port), method }];
    made.push(
      {
        at: `udp ${formatEndpoint(VIPS[family], 86)}`,
        flags: SERVICE_ONE_PACKET,
        servers: only('nat', 86),
      },
      { at: `tcp ${formatEndpoint(VIPS[family], 21)}`, servers: only('nat', 21) },
    );
  }
  return made;
}

function bedOptions(random: Random): BedOptions {
  const flag = () => String(random.below(2));
  const hasMarks = random.oneIn(6);
  const ports = twoArmedPorts({ partialChecksums: random.oneIn(2) });
  // With one port, requests and answers come in the same burst.
  const world = random.oneIn(2)
    ? { ...oneArmedWorld(), ports: ports.slice(0, 1) }
    : { ...twoArmedWorld(), ports };
  return {
    world,
    hasHost: random.oneIn(2),
    services: services(),
    ...(hasMarks
      ? {
          marks: [
            {
              family: 4,
              mark: 7,
              protocol: 0,
              destination: { address: VIPS[4], prefixLength: 32 },
              ports: [[84, 84]],
            },
          ],
        }
      : {}),
    pool: {
      addresses: [
        { family: 4, address: POOLS[4] },
        { family: 6, address: POOLS[6] },
      ],
      portRanges: [
        [5000, 5060],
        [6000, 6003],
      ],
    },
    sysctls: {
      sloppy_tcp: random.oneIn(4) ? '0' : '1',
      nat_icmp_send: flag(),
      pmtu_disc: flag(),
      conn_reuse_mode: flag(),
      expire_nodest_conn: flag(),
    },
    sizes: { connections: 1200, framesPerWorker: 2048, ringEntries: 256, services: 64 },
  };
}

// ---- frames

/** A packet of one of few flows, so that most are of connections that are known by then. */
function plainFrame(random: Random, inward: boolean, mac: string): Uint8Array {
  const family: Family = random.oneIn(2) ? 4 : 6;
  const client = random.pick(CLIENTS[family]);
  const clientPort = 1000 + random.below(CLIENT_PORTS);
  const toPool = random.oneIn(3);
  const ends = inward
    ? {
        source: client,
        sourcePort: random.oneIn(60) ? 0 : clientPort,
        destination: random.oneIn(40) ? POOLS[family] : VIPS[family],
        destinationPort: random.pick([80, 80, 80, 81, 81, 82, 82, 83, 84, 84, 85, 86, 21, 443]),
      }
    : {
        source: random.oneIn(12) ? VIPS[family] : random.pick(SERVERS[family]),
        sourcePort: random.pick([8080, 8080, 8080, 8080, 85, 8085, 81, 86, 21]),
        destination: toPool ? POOLS[family] : client,
        destinationPort: toPool ? 5000 + random.below(60) : clientPort,
      };
  return build.packet(
    build.ethernet({ destination: mac }),
    networkLayer(random, family, ends),
    ...transportLayers(random, ends),
  );
}

interface Ends {
  readonly source: string;
  readonly destination: string;
  readonly sourcePort: number;
  readonly destinationPort: number;
}

function networkLayer(random: Random, family: Family, ends: Ends): build.Layer {
  const { source, destination } = ends;
  const hops = random.oneIn(20) ? random.below(3) : random.between(2, 255);
  if (family === 6) return build.ipv6({ source, destination, hopLimit: hops });
  return build.ipv4({
    source,
    destination,
    timeToLive: hops,
    dontFragment: random.oneIn(2),
    identification: random.u16(),
    ...(random.oneIn(30) ? { options: random.bytes(4 * random.between(1, 10)) } : {}),
  });
}

function transportLayers(random: Random, ends: Ends): build.Layer[] {
  const { sourcePort, destinationPort } = ends;
  const ports = { sourcePort, destinationPort };
  const rest = build.payload(random.oneIn(12) ? random.between(1380, 1600) : random.below(60));
  const partial = random.oneIn(8) ? { checksum: 'partial' as const } : {};
  if (random.oneIn(3)) {
    const sum = random.oneIn(6) ? { checksum: random.pick([0, 0xffff]) } : partial;
    return [build.udp({ ...ports, ...sum }), rest];
  }
  const flags = random.oneIn(6) ? random.pick(['S', 'S', 'SA', 'FA', 'R', '']) : 'A';
  return [build.tcp({ ...ports, flags, ...partial }), rest];
}

/** A frame, sometimes damaged, sometimes in fragments. */
function framesOf(random: Random, inward: boolean, mac: string): Uint8Array[] {
  const frame = plainFrame(random, inward, mac).subarray(0, 1700);
  const isIpv4 = frame[12] === 0x08;
  if (isIpv4 && frame[14] === 0x45 && frame.length > 80 && random.oneIn(12)) {
    return build.fragmentIpv4(frame, 8 * random.between(3, 60)).slice(0, 8);
  }
  if (!random.oneIn(6)) return [frame];
  const copy = Uint8Array.from(frame);
  const at = random.below(Math.min(copy.length, 80));
  copy[at] ^= 1 << random.below(8);
  // A wrong byte gets past the header's checksum only when that is right again.
  if (random.oneIn(2)) repairIpv4(copy);
  return [random.oneIn(4) ? copy.subarray(0, random.below(copy.length + 1)) : copy];
}

function repairIpv4(frame: Uint8Array): void {
  const length = (frame[14] & 15) * 4;
  if (frame[12] !== 0x08 || frame.length < 14 + length || length < 20) return;
  frame[24] = 0;
  frame[25] = 0;
  const sum = build.internetChecksum(frame.subarray(14, 14 + length));
  frame[24] = sum >>> 8;
  frame[25] = sum;
}

/** Frames for the port of one direction, or of both. */
function burstOf(random: Random, port: string, isOneArmed: boolean): Uint8Array[] {
  const frames: Uint8Array[] = [];
  const length = random.between(2, BURST_MAX - 8);
  const mac = port === 'client' ? CLIENT_PORT_MAC : SERVER_PORT_MAC;
  while (frames.length < length) {
    const inward = isOneArmed ? !random.oneIn(3) : port === 'client';
    frames.push(...framesOf(random, inward, mac));
  }
  return frames;
}

// ---- what can be seen

/** Live connections without what depends on which record each was given, in order. */
function connectionsOf(bed: DirectorBed): string[] {
  const { memory } = bed;
  const { live } = checkMemory(memory);
  const hex = (at: number, length: number) =>
    Buffer.from(Uint8Array.from(memory.u8.subarray(at, at + length))).toString('hex');
  return live
    .map((index) => {
      const hot = memory.hot(index);
      const cold = memory.cold(index);
      const isWide = memory.u8[hot + layout.CONNECTION_FAMILY] === 6;
      return [
        // All but the chains' next nodes.
        hex(hot + layout.CONNECTION_LOCAL, layout.CONNECTION_HOT_SIZE - layout.CONNECTION_LOCAL),
        memory.u32[(cold + layout.COLD_CONTROLLED) >>> 2],
        memory.u32[(cold + layout.COLD_TIMER_SLOT) >>> 2],
        memory.u32[(cold + layout.COLD_CONTROLLER) >>> 2] === 0,
        isWide ? hex(memory.wide(index), layout.WIDE_LOCAL) : '',
      ].join(' ');
    })
    .sort();
}

/** All counters, statistics of services and destinations included. */
function countersOf(bed: DirectorBed): string {
  const { memory } = bed;
  const at = memory.counters(0);
  const { services: ofServices = 64, destinations = 128 } = memory.map.sizes;
  const length = layout.COUNTERS_SERVICES + (ofServices + destinations) * layout.STATS_SIZE;
  return Buffer.from(Uint8Array.from(memory.u8.subarray(at, at + length))).toString('hex');
}

function describeFrames(sent: readonly SentFrame[]): string[] {
  const byPort = new Map<string, string[]>();
  for (const { port, frame } of sent) {
    const line = `${port} ${Buffer.from(frame).toString('hex')}`;
    byPort.set(port, [...(byPort.get(port) ?? []), line]);
  }
  return [...byPort.entries()].sort().flatMap(([, lines]) => lines);
}

/** Plays a burst frame by frame. */
function playSingly(bed: DirectorBed, port: string, frames: readonly Uint8Array[]): SentFrame[] {
  return frames.flatMap((frame) => {
    bed.put(port, frame);
    bed.turn();
    return bed.take();
  });
}

function playTogether(bed: DirectorBed, port: string, frames: readonly Uint8Array[]): SentFrame[] {
  for (const frame of frames) bed.put(port, frame);
  bed.turn();
  return bed.take();
}

/** An edit of the configuration, the same on all beds. */
function disturb(random: Random, beds: readonly DirectorBed[]): void {
  const service = random.pick(services());
  const server = random.pick(service.servers);
  const weight = random.below(2);
  const isDeleted = random.oneIn(2);
  const where = splitEndpoint(server.at);
  for (const bed of beds) {
    const isListed = bed.control.destinations(serviceKey(service.at)).some(({ key }) => {
      return key.address === where.address && key.port === where.port;
    });
    if (!isListed) bed.addServer(service.at, server);
    else if (isDeleted) bed.deleteServer(service.at, server.at);
    else bed.editServer(service.at, { ...server, weight });
  }
}

// ---- the runs

describe.each(BUILDS)('%s', (on) => {
  test.each([SEED, SEED + 1, SEED + 2, SEED + 3, SEED + 4, SEED + 5])(
    'seed %i: a burst leaves what its frames one by one leave',
    (seed) => {
      const random = new Random(seed);
      const options: BedOptions = { build: on, ...bedOptions(random) };
      const single = createBed(options);
      const together = createBed(options);
      const isOneArmed = single.world.ports.length === 1;
      let left = 0;
      for (let burst = 0; burst < BURSTS; burst++) {
        const port = isOneArmed || !random.oneIn(3) ? 'client' : 'server';
        const frames = burstOf(random, port, isOneArmed);
        const expected = describeFrames(playSingly(single, port, frames));
        expect(describeFrames(playTogether(together, port, frames)), `burst ${burst}`).toEqual(
          expected,
        );
        left += expected.length;
        if (random.oneIn(4)) {
          const ticks = random.below(random.oneIn(8) ? 4000 : 60);
          for (const bed of [single, together]) bed.advance(ticks);
        }
        if (random.oneIn(6)) disturb(random, [single, together]);
        if (burst % 8 === 0) {
          expect(connectionsOf(together), `after burst ${burst}`).toEqual(connectionsOf(single));
          expect(countersOf(together), `after burst ${burst}`).toBe(countersOf(single));
        }
      }
      expect(connectionsOf(together)).toEqual(connectionsOf(single));
      expect(countersOf(together)).toBe(countersOf(single));
      // The generator must make traffic to be worth anything.
      expect(left).toBeGreaterThan(BURSTS);
      single.close();
      together.close();
    },
  );

  test.each([
    ['nat', 4, 80],
    ['nat', 6, 80],
    ['direct-route', 4, 81],
    ['direct-route', 6, 81],
    ['tunnel', 4, 83],
    ['tunnel', 6, 83],
    ['full-nat', 4, 82],
    ['full-nat', 6, 82],
  ] as const)('%s over IPv%i: packets of a known connection need no record', (_, family, port) => {
    const bed = createBed({ build: on, ...bedOptions(new Random(1)), marks: [] });
    bed.control.setSysctl('sloppy_tcp', '1');
    const ends = { source: CLIENTS[family][0], destination: VIPS[family] };
    const frame = build.packet(
      build.ethernet({ destination: CLIENT_PORT_MAC }),
      family === 4 ? build.ipv4(ends) : build.ipv6(ends),
      build.tcp({ sourcePort: 1000, destinationPort: port, flags: 'A' }),
    );
    expect(bed.send('client', frame).verdict).toBe('transmit');
    const records = bed.memory.worker(0) + layout.WORKER_PACKETS;
    bed.memory.u8.fill(0xee, records, records + 4 * layout.PACKET_SIZE);
    expect(playTogether(bed, 'client', [frame, frame, frame, frame])).toHaveLength(4);
    const after = bed.memory.u8.subarray(records, records + 4 * layout.PACKET_SIZE);
    expect(after.every((byte) => byte === 0xee)).toBe(true);
    bed.close();
  });
});
