/**
 * Random and mutated frames through whole turns, on the debug build with its assertions and on the
 * release build. Whatever comes in: nothing traps, no frame and no entry is lost, counts match the
 * table, and not a byte changes outside what the data plane owns. In the end all connections are
 * gone. The seed stands in each title; SEED=n repeats a run.
 */

import { describe, expect, test } from 'vitest';
import { SERVICE_ONE_PACKET } from '../../assembly/shared/codes.ts';
import {
  CONTROL,
  CONTROL_GENERATION,
  CONTROL_REQUESTS,
  LOCAL_SIZE,
  MARK_SIZE,
  REQUEST_DROP_ENTRIES,
  REQUEST_EXPIRE_UNAVAILABLE,
  REQUEST_FLUSH,
  ROUTE_SIZE,
} from '../../assembly/shared/layout.ts';
import {
  FRAME_SIZE,
  LOCAL_SLOTS,
  MARK_RULES_MAX,
  ROUTE_SLOTS,
  TICKS_PER_SECOND,
} from '../../assembly/shared/limits.ts';
import { formatEndpoint } from '../../host/config/address.ts';
import { checkMemory } from '../support/check-bed.ts';
import {
  type BedOptions,
  type BedServer,
  type BedService,
  BUILDS,
  CLIENT_PORT_MAC,
  createBed,
  type DirectorBed,
  SERVER_PORT_MAC,
  serviceKey,
  splitEndpoint,
  twoArmedPorts,
  twoArmedWorld,
} from '../support/director-bed.ts';
import * as build from '../support/packet-builder.ts';
import { Random, seedFromEnvironment } from '../support/random.ts';

const SEED = seedFromEnvironment(77120);
const TURNS = 700;
const BURST = 24;
const WORKERS = 2;
/** Longest frame that a port can receive. */
const FRAME_MAX = FRAME_SIZE - 256;

const VIPS = { 4: '192.0.2.80', 6: '2001:db8:1::80' } as const;
const POOL_ADDRESSES = { 4: '10.0.0.200', 6: '2001:db8:10::200' } as const;
const CLIENTS = {
  4: ['198.51.100.1', '198.51.100.2'],
  6: ['2001:db8:ffff::1', '2001:db8:ffff::2'],
} as const;
const SERVERS = {
  4: ['10.0.0.11', '10.0.0.12'],
  6: ['2001:db8:10::11', '2001:db8:10::12'],
} as const;
type Family = 4 | 6;

/** A service for each method, family and protocol, on ports of their own; some are special. */
function services(): BedService[] {
  const made: BedService[] = [];
  for (const family of [4, 6] as const) {
    for (const transport of ['tcp', 'udp', 'sctp']) {
      const at = (port: number) => `${transport} ${formatEndpoint(VIPS[family], port)}`;
      const servers = (method: BedServer['method'], port: number): BedServer[] =>
        SERVERS[family].map((address) => ({ at: formatEndpoint(address, port), method }));
      made.push(
        { at: at(80), servers: servers('nat', 8080) },
        { at: at(81), servers: servers('direct-route', 81) },
        { at: at(82), servers: servers('full-nat', 8080) },
        {
          at: at(83),
          servers: [
            { at: formatEndpoint(SERVERS[family][0], 83), method: 'tunnel' },
            {
              at: formatEndpoint(SERVERS[family === 4 ? 6 : 4][1], 83),
              method: 'tunnel',
              tunnel: 'gue',
            },
          ],
        },
        { at: at(84), persistenceSeconds: 20, servers: servers('nat', 80) },
        {
          at: at(85),
          servers: [{ at: formatEndpoint('10.0.0.99', 80), method: 'tunnel', tunnel: 'gre' }],
        },
      );
    }
    const ops = { at: `udp ${formatEndpoint(VIPS[family], 86)}`, flags: SERVICE_ONE_PACKET };
    made.push({ ...ops, servers: [{ at: formatEndpoint(SERVERS[family][0], 86), method: 'nat' }] });
    const any = { at: `tcp ${formatEndpoint(VIPS[family], 0)}`, persistenceSeconds: 20 };
    made.push({ ...any, servers: [{ at: formatEndpoint(SERVERS[family][1], 0), method: 'nat' }] });
    const sip = { at: `udp ${formatEndpoint(VIPS[family], 5060)}`, engine: 'sip' as const };
    const calls = { ...sip, persistenceSeconds: 20, flags: family === 4 ? SERVICE_ONE_PACKET : 0 };
    made.push({
      ...calls,
      servers: [{ at: formatEndpoint(SERVERS[family][0], 5060), method: 'nat' }],
    });
    const mark = { at: family === 4 ? 'mark 7' : 'mark6 7', persistenceSeconds: 20 };
    made.push({
      ...mark,
      servers: [{ at: formatEndpoint(SERVERS[family][1], 0), method: 'full-nat' }],
    });
    const ftp = { at: `tcp ${formatEndpoint(VIPS[family], 21)}` };
    made.push({ ...ftp, servers: [{ at: formatEndpoint(SERVERS[family][0], 21), method: 'nat' }] });
  }
  return made;
}

function bedOptions(random: Random): BedOptions {
  const ports = twoArmedPorts({ partialChecksums: random.oneIn(2) });
  const flag = () => String(random.below(2));
  return {
    workers: WORKERS,
    world: { ...twoArmedWorld(), ports },
    hasHost: random.oneIn(2),
    services: services(),
    marks: ([4, 6] as const).map((family) => ({
      family,
      mark: 7,
      protocol: 0,
      destination: { address: VIPS[family], prefixLength: 32 },
      ports: [[7777, 7777]],
    })),
    pool: {
      addresses: [
        { family: 4, address: POOL_ADDRESSES[4] },
        { family: 6, address: POOL_ADDRESSES[6] },
      ],
      portRanges: [
        [5000, 5040],
        [6000, 6003],
      ],
    },
    sysctls: {
      schedule_icmp: flag(),
      sloppy_tcp: flag(),
      sloppy_sctp: flag(),
      nat_icmp_send: flag(),
      pmtu_disc: flag(),
      conn_reuse_mode: flag(),
      expire_nodest_conn: flag(),
      cache_bypass: flag(),
    },
    sizes: { connections: 600, framesPerWorker: 512, services: 64 },
  };
}

// ---- frames

/** A frame that makes sense, or nearly so, on its way in or out. */
function sensibleFrame(random: Random): { port: string; frame: Uint8Array } {
  const family = random.pick([4, 6] as const);
  const inward = random.oneIn(2);
  const ends = inward ? inwardEnds(random, family) : outwardEnds(random, family);
  const link = build.ethernet({
    destination: inward ? CLIENT_PORT_MAC : SERVER_PORT_MAC,
  });
  const extensions =
    family === 6 && random.oneIn(5)
      ? [build.extension(random.pick([0, 43, 60]), { length: 8 * random.between(1, 4) })]
      : [];
  const upper = upperLayers(random, family, ends);
  const layers = [link, ipLayer(random, family, ends), ...extensions, ...upper];
  return { port: inward ? 'client' : 'server', frame: build.packet(...layers) };
}

interface Ends {
  readonly source: string;
  readonly destination: string;
  readonly sourcePort: number;
  readonly destinationPort: number;
}

function inwardEnds(random: Random, family: Family): Ends {
  return {
    source: random.pick(CLIENTS[family]),
    destination: random.oneIn(20) ? POOL_ADDRESSES[family] : VIPS[family],
    sourcePort: random.oneIn(40) ? 0 : random.between(1000, 1030),
    destinationPort: random.pick([80, 81, 82, 83, 84, 85, 86, 21, 21, 443, 20, 5060, 7777]),
  };
}

function outwardEnds(random: Random, family: Family): Ends {
  const toPool = random.oneIn(3);
  return {
    source: random.oneIn(4) ? VIPS[family] : random.pick(SERVERS[family]),
    destination: toPool ? POOL_ADDRESSES[family] : random.pick(CLIENTS[family]),
    sourcePort: random.pick([8080, 80, 81, 83, 86, 21, 21, 5060]),
    destinationPort: toPool ? random.between(4999, 5041) : random.between(1000, 1030),
  };
}

function ipLayer(random: Random, family: Family, ends: Ends): build.Layer {
  const { source, destination } = ends;
  const hops = random.oneIn(10) ? random.below(3) : 64;
  if (family === 6) return build.ipv6({ source, destination, hopLimit: hops });
  return build.ipv4({
    source,
    destination,
    timeToLive: hops,
    dontFragment: random.oneIn(2),
    identification: random.below(8),
    ...(random.oneIn(20) ? { options: random.bytes(4 * random.between(1, 10)) } : {}),
  });
}

function upperLayers(random: Random, family: Family, ends: Ends): build.Layer[] {
  const { sourcePort, destinationPort } = ends;
  const ports = { sourcePort, destinationPort };
  const length = random.oneIn(5) ? random.below(1650) : random.below(40);
  const rest = build.payload(random.oneIn(4) ? helperText(random, family) : length);
  const flags = random.pick(['S', 'S', 'SA', 'A', 'FA', 'R', 'RA', 'PA', '']);
  const partial = random.oneIn(4) ? { checksum: 'partial' as const } : {};
  switch (random.below(8)) {
    case 0:
    case 1:
    case 2:
      return [build.tcp({ ...ports, flags, ...partial }), rest];
    case 3:
    case 4: {
      const sum = random.oneIn(4) ? { checksum: 0 } : partial;
      return [build.udp({ ...ports, ...sum }), rest];
    }
    case 5:
      return [build.sctp(ports), build.chunk({ type: random.below(16) }), rest];
    case 6: {
      const type = family === 4 ? random.pick([3, 4, 5, 8, 11]) : random.pick([1, 2, 3, 4, 128]);
      const fields = { type, code: random.below(5), rest: random.below(1600) };
      const error = family === 4 ? build.icmp(fields) : build.icmpv6(fields);
      return [error, build.payload(quotedPacket(random))];
    }
    default:
      return [build.authentication({ length: 24 }), rest];
  }
}

/** What the helpers of FTP and SIP read, right or nearly so. */
function helperText(random: Random, family: Family): string {
  const number = () => random.below(random.oneIn(8) ? 400 : 256);
  const client = random.pick(CLIENTS[family]);
  const server = random.pick(SERVERS[family]);
  return random.pick([
    `PORT ${client.replaceAll('.', ',')},${number()},${number()}\r\n`,
    `EPRT |${family === 4 ? 1 : 2}|${client}|${random.below(70000)}|\r\n`,
    `227 Entering Passive Mode (${server.replaceAll('.', ',')},${number()},${number()}).\r\n`,
    `229 Entering Extended Passive Mode (|||${random.below(70000)}|)\r\n`,
    'PASV\r\n',
    `OPTIONS sip:a@b SIP/2.0\r\nCall-ID: ${random.below(6)}@c\r\n\r\n`,
    `SIP/2.0 200 OK\r\nCall-ID: ${'x'.repeat(random.below(400))}\r\n\r\n`,
  ]);
}

/** What an error quotes: a packet of a connection as its receiver sees it, often cut. */
function quotedPacket(random: Random): Uint8Array {
  const family = random.pick([4, 6] as const);
  const ends = random.oneIn(2) ? inwardEnds(random, family) : outwardEnds(random, family);
  const { source, destination, sourcePort, destinationPort } = ends;
  const turned = {
    source: destination,
    destination: source,
    sourcePort: destinationPort,
    destinationPort: sourcePort,
  };
  const used = random.oneIn(2) ? turned : ends;
  const ports = { sourcePort: used.sourcePort, destinationPort: used.destinationPort };
  const upper = random.pick([build.tcp(ports), build.udp(ports), build.sctp(ports)]);
  const inner = [ipLayer(random, family, used), upper];
  const layers = random.oneIn(4)
    ? [build.ipv4({ source: '10.0.0.254', destination: '10.0.0.11' }), ...inner]
    : inner;
  const whole = build.packet(...layers);
  return random.oneIn(3) ? whole.subarray(0, random.below(whole.length + 1)) : whole;
}

/** One frame, or the fragments of one. */
function frames(random: Random): { port: string; frame: Uint8Array }[] {
  const { port, frame } = sensibleFrame(random);
  const isIpv4 = frame[12] === 0x08;
  const plain = !isIpv4 || frame[14] === 0x45;
  if (plain && random.oneIn(6) && frame.length > 80) {
    const size = 8 * random.between(1, 60);
    const parts = isIpv4
      ? build.fragmentIpv4(frame, size)
      : build.fragmentIpv6(frame, size, random.below(8));
    const kept = parts.filter(() => !random.oneIn(12));
    if (random.oneIn(2)) kept.reverse();
    return kept.slice(0, 12).map((part) => ({ port, frame: maybeMutated(random, part) }));
  }
  return [{ port, frame: maybeMutated(random, frame) }];
}

function maybeMutated(random: Random, frame: Uint8Array): Uint8Array {
  if (!random.oneIn(3)) return frame.subarray(0, FRAME_MAX);
  if (random.oneIn(10)) return random.bytes(random.below(FRAME_MAX + 1));
  const copy = Uint8Array.from(frame.subarray(0, FRAME_MAX));
  for (let change = random.below(4); change >= 0; change--) {
    const at = random.oneIn(2)
      ? random.below(Math.min(copy.length, 74))
      : random.below(copy.length);
    copy[at] = random.oneIn(2) ? copy[at] ^ (1 << random.below(8)) : random.below(256);
  }
  // Wrong bytes must get past the header's checksum to do harm.
  if (random.oneIn(2)) repairIpv4(copy);
  return random.oneIn(6) ? copy.subarray(0, random.below(copy.length + 1)) : copy;
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

// ---- the host's hand

/** An edit, or work on the whole table, between two turns. */
function disturb(random: Random, bed: DirectorBed): void {
  if (random.oneIn(2)) {
    const flush = random.oneIn(4) ? REQUEST_FLUSH : 0;
    const work = random.pick([REQUEST_DROP_ENTRIES, REQUEST_EXPIRE_UNAVAILABLE, flush]);
    Atomics.or(bed.memory.u32, CONTROL_REQUESTS >>> 2, work);
    return;
  }
  const service = random.pick(services());
  const server = random.pick(service.servers);
  const isListed = bed.control.destinations(serviceKey(service.at)).some(({ key }) => {
    return key.address === splitEndpoint(server.at).address;
  });
  if (!isListed) bed.addServer(service.at, server);
  else if (random.oneIn(2)) bed.deleteServer(service.at, server.at);
  else bed.editServer(service.at, randomlyEdited(random, server));
}

function randomlyEdited(random: Random, server: BedServer): BedServer {
  return { ...server, weight: random.below(2), upperThreshold: random.below(9) };
}

// ---- what must not change

/** The regions that workers only read, and the gaps between regions, as one checksum of each. */
function readOnlyBytes(bed: DirectorBed): Map<string, string> {
  const { memory } = bed;
  const { regions, bank, sizes } = memory.map;
  const sums = new Map<string, string>();
  const note = (name: string, from: number, to: number) => {
    let hash = 0;
    for (let word = from >>> 2; word < to >>> 2; word++) {
      hash = (Math.imul(hash, 31) + memory.u32[word]) | 0;
    }
    sums.set(name, `${from}-${to}: ${hash}`);
  };
  for (const start of [regions.bank0, regions.bank1]) {
    // Whole banks are large and mostly empty: the parts in use, and the ends of the tables.
    note(`header of bank at ${start}`, start, start + bank.lists);
    note('locals', start + bank.locals, start + bank.locals + LOCAL_SLOTS * LOCAL_SIZE);
    note('routes', start + bank.routes, start + bank.routes + ROUTE_SLOTS * ROUTE_SIZE);
    note('marks', start + bank.marks, start + bank.marks + MARK_RULES_MAX * MARK_SIZE);
  }
  note('next hops', regions.nextHops, regions.locality);
  note('behind the chains', regions.chains + memory.map.chains * 4, regions.hot);
  const { connectionRecords } = memory.map;
  note('behind the hot halves', regions.hot + connectionRecords * 64, regions.cold);
  note('behind the cold halves', regions.cold + connectionRecords * 32, regions.wide);
  note('behind the wide records', regions.wide + connectionRecords * 64, regions.rings);
  note(
    'behind the frames',
    regions.frames + sizes.workers * sizes.framesPerWorker * FRAME_SIZE,
    memory.u8.length,
  );
  note('sizes and regions', CONTROL, CONTROL_GENERATION);
  return sums;
}

/** Those of the bytes that not even the host writes. */
function canaries(sums: ReadonlyMap<string, string>): string[] {
  return [...sums].filter(([name]) => name.startsWith('behind')).map(([, sum]) => sum);
}

/** Fills what nobody owns, so that a write there shows. */
function setCanaries(bed: DirectorBed): void {
  const { memory } = bed;
  const { regions, connectionRecords, sizes } = memory.map;
  const fill = (from: number, to: number) => memory.u8.fill(0xc5, from, to);
  fill(regions.chains + memory.map.chains * 4, regions.hot);
  fill(regions.hot + connectionRecords * 64, regions.cold);
  fill(regions.cold + connectionRecords * 32, regions.wide);
  fill(regions.wide + connectionRecords * 64, regions.rings);
  fill(regions.frames + sizes.workers * sizes.framesPerWorker * FRAME_SIZE, memory.u8.length);
}

/** Received frames are all accounted for by what the counters say became of them. */
function checkCounters(bed: DirectorBed, sent: number): void {
  const counters = bed.counters();
  const value = (name: string) => counters.get(name) ?? 0;
  expect(value('RECEIVED')).toBe(sent);
  const created = value('CONNECTIONS_CREATED') - value('CONNECTIONS_EXPIRED');
  expect(created).toBe(checkMemory(bed.memory).live.length);
}

// ---- the runs

describe.each(BUILDS)('%s', (on) => {
  test.each([SEED, SEED + 1, SEED + 2])(
    'seed %i: whatever comes in, the memory is sound',
    (seed) => {
      const random = new Random(seed);
      const bed = createBed({ build: on, ...bedOptions(random) });
      // Edits write the banks, so only a run without them can watch those.
      const isEdited = seed !== SEED;
      setCanaries(bed);
      const before = readOnlyBytes(bed);
      let sent = 0;
      for (let turn = 0; turn < TURNS; turn++) {
        const worker = random.below(WORKERS);
        while (random.below(BURST) !== 0) {
          for (const { port, frame } of frames(random)) {
            if (bed.put(port, frame, worker)) sent++;
          }
        }
        bed.turn(worker);
        if (!random.oneIn(3)) {
          for (const { frame } of bed.take()) expect(frame.length).toBeLessThanOrEqual(FRAME_MAX);
        }
        if (random.oneIn(4)) bed.advance(random.below(random.oneIn(10) ? 3000 : 40));
        if (turn % 10 === 0) checkMemory(bed.memory);
        if (isEdited && random.oneIn(10)) disturb(random, bed);
      }
      bed.take();
      checkCounters(bed, sent);
      if (!isEdited) expect(readOnlyBytes(bed)).toEqual(before);
      else expect(canaries(readOnlyBytes(bed))).toEqual(canaries(before));
      // Longer than any timeout, and than controllers are renewed for.
      bed.advance(2000 * TICKS_PER_SECOND, 20 * TICKS_PER_SECOND);
      expect(checkMemory(bed.memory).live).toEqual([]);
      checkCounters(bed, sent);
      expect(bed.control.connections()).toEqual([]);
      bed.close();
    },
  );

  test(`every sensible frame is one of transmitted, passed, dropped or held, seed ${SEED}`, () => {
    const random = new Random(SEED);
    const bed = createBed({ build: on, ...bedOptions(random), hasHost: true });
    const verdicts = { drop: 0, transmit: 0, pass: 0, hold: 0 };
    for (let round = 0; round < 1500; round++) {
      for (const { port, frame } of frames(random)) {
        const outcome = bed.send(port, frame, 0);
        verdicts[outcome.verdict]++;
        checkOutcome(outcome);
      }
      if (round % 50 === 0) bed.advance(100);
    }
    // The generator must reach all of them to be worth anything.
    for (const [verdict, times] of Object.entries(verdicts)) {
      expect(times, verdict).toBeGreaterThan(50);
    }
    checkMemory(bed.memory);
    bed.close();
  });
});

/** One frame in: what left and what was counted agree with its verdict. */
function checkOutcome(outcome: ReturnType<DirectorBed['send']>): void {
  const { verdict, reason, out, counters } = outcome;
  const count = (name: string) => counters[name] ?? 0;
  const ports = out.filter(({ port }) => port !== 'host').length;
  const dropped = Object.entries(counters)
    .filter(([name]) => name.startsWith('DROP_') && name !== 'DROP_FRAGMENT_TIMEOUT')
    .reduce((sum, [, times]) => sum + times, 0);
  expect(count('TRANSMITTED')).toBe(ports);
  if (verdict === 'pass') expect(count('PASSED')).toBe(1);
  else expect(count('PASSED')).toBe(0);
  if (verdict === 'drop') {
    // A relayed error about a tunnel ends as "relayed": a new packet has taken its place.
    const own = count('RESETS_SENT') + count('ICMP_SENT');
    expect(dropped + (reason === 'ICMP_RELAYED' ? 1 : 0), JSON.stringify(counters)).toBeGreaterThan(
      0,
    );
    expect(ports).toBe(own);
  }
  if (verdict === 'transmit') {
    const made = count('FRAGMENTS_MADE');
    expect(ports, JSON.stringify(counters)).toBe(made > 0 ? made : 1);
  }
  if (verdict === 'hold') {
    expect(out).toEqual([]);
    expect(count('HELD')).toBe(1);
  }
}
