/**
 * The parser on hostile frames: a corpus of one frame of every kind, cut at every byte, and mutated
 * at random. It must never trap, never look at a byte outside [frame, frame + length), and what it
 * accepts must hold what the head of assembly/parse.ts promises.
 *
 * That no byte outside is read is shown twice: each frame ends where memory ends, so that a read
 * behind it would trap, and each is parsed in two surroundings that differ in every byte, with the
 * same outcome.
 */

import { beforeAll, describe, expect, test } from 'vitest';
import {
  PACKET_FAMILY,
  PACKET_FLAGS,
  PACKET_FRAGMENT_FIRST,
  PACKET_FRAGMENT_LATER,
  PACKET_HEADER_LENGTH,
  PACKET_ICMP_ERROR,
  PACKET_IP_LENGTH,
  PACKET_NETWORK,
  PACKET_PROTOCOL,
  PACKET_REASON,
  PACKET_SIZE,
  PACKET_TRANSPORT,
} from '../../assembly/shared/layout.ts';
import {
  authentication,
  chunk,
  ethernet,
  extension,
  fragment,
  gre,
  gue,
  icmp,
  icmpv6,
  internetChecksum,
  ipv4,
  ipv6,
  type Layer,
  packet,
  payload,
  sctp,
  tcp,
  toHex,
  udp,
} from '../support/packet-builder.ts';
import { Random, seedFromEnvironment } from '../support/random.ts';
import {
  createPlainMemory,
  instantiate,
  PROBE_BUILDS,
  pageBytes,
  type WasmInstance,
} from '../support/wasm.ts';

const SEED = seedFromEnvironment(20260);
const MUTANTS = 15000;
const RECORD = 0x10000;
const PAGES = 4;
const MEMORY_END = pageBytes(PAGES);
/** Bytes around the frame that are filled with poison; a frame of the corpus is shorter. */
const SURROUNDINGS = 4096;

const OPTIONS = new Uint8Array(12).fill(1);
const CORPUS: Uint8Array[] = [
  [ipv4(), tcp(), payload(10)],
  [ipv4({ options: OPTIONS }), tcp({ options: OPTIONS }), payload(10)],
  [ipv4(), udp(), payload(10)],
  [ipv4(), udp({ checksum: 'partial' }), payload(10)],
  [ipv4(), sctp(), chunk({ type: 10, value: OPTIONS }), chunk({ type: 6 })],
  [ipv4(), icmp(), payload(20)],
  [ipv4(), icmp({ type: 3, code: 4, rest: 1400 }), ipv4({ options: OPTIONS }), tcp()],
  [ipv4(), icmp({ type: 11 }), ipv4(), udp(), gue(), ipv4(), tcp()],
  [ipv4({ moreFragments: true }), udp(), payload(16)],
  [ipv4({ fragmentOffset: 24, protocol: 6 }), payload(30)],
  [ipv4(), gre({ checksum: true }), ipv6(), tcp()],
  [ipv4(), authentication(), tcp()],
  [ipv6(), tcp(), payload(10)],
  [ipv6(), udp(), payload(10)],
  [ipv6(), extension(0), extension(43, { length: 24 }), extension(60), tcp()],
  [ipv6(), authentication(), sctp(), chunk()],
  [ipv6(), fragment({ more: true }), extension(60), tcp(), payload(20)],
  [ipv6(), fragment({ offset: 1280, nextHeader: 17 }), payload(20)],
  [ipv6(), icmpv6({ type: 2, rest: 1280 }), ipv6(), extension(60), tcp()],
  [ipv6(), icmpv6({ type: 1 }), ipv6(), fragment({ offset: 8, nextHeader: 6 }), payload(9)],
].map((layers: Layer[]) => packet(ethernet(), ...layers));

describe.each(PROBE_BUILDS)('parse, hostile frames, %s', (name) => {
  let wasm: WasmInstance;

  beforeAll(async () => {
    wasm = await instantiate(name, createPlainMemory(PAGES));
  });

  /** The record that one way of parsing makes of a frame at the end of memory. */
  function record(frame: Uint8Array, poison: number, parse: (at: number) => void): string {
    const at = MEMORY_END - frame.length;
    wasm.bytes.fill(poison, MEMORY_END - SURROUNDINGS, at);
    wasm.bytes.fill(0xa5, RECORD, RECORD + PACKET_SIZE);
    wasm.put(at, frame);
    parse(at);
    return toHex(wasm.take(RECORD, PACKET_SIZE));
  }

  /** Parses in both surroundings and holds the outcome to the parser's promises. */
  function check(frame: Uint8Array): void {
    const { length } = frame;
    const parse = (at: number) => void wasm.call('parse', RECORD, at, length, 1);
    expect(record(frame, 0x00, parse)).toBe(record(frame, 0xff, parse));
    holdToPromises(wasm, MEMORY_END);
    if (wasm.bytes[RECORD + PACKET_REASON] !== 0) return;
    // What later stages ask of any accepted packet must stay inside it as well.
    const partial = wasm.call('hasPartialChecksum', RECORD);
    wasm.bytes.fill(0x00, MEMORY_END - SURROUNDINGS, MEMORY_END - length);
    expect(wasm.call('hasPartialChecksum', RECORD)).toBe(partial);
    checkQuoted(frame);
  }

  /** The quoted packet of an error, parsed in both surroundings too. */
  function checkQuoted(frame: Uint8Array): void {
    const flags = wasm.view.getUint16(RECORD + PACKET_FLAGS, true);
    if ((flags & PACKET_ICMP_ERROR) === 0) return;
    const family = wasm.bytes[RECORD + PACKET_FAMILY] ?? 0;
    const network = wasm.view.getUint32(RECORD + PACKET_NETWORK, true);
    const inner = wasm.view.getUint32(RECORD + PACKET_TRANSPORT, true) + 8;
    const end = network + wasm.view.getUint32(RECORD + PACKET_IP_LENGTH, true);
    const packetOnly = frame.subarray(0, frame.length - (MEMORY_END - end));
    const offset = MEMORY_END - inner - (MEMORY_END - end);
    const parse = () => void wasm.call('parseQuoted', RECORD, MEMORY_END - offset, offset, family);
    expect(record(packetOnly, 0x00, parse)).toBe(record(packetOnly, 0xff, parse));
    holdToPromises(wasm, MEMORY_END, true);
  }

  test('every frame of the corpus is accepted as it is', () => {
    for (const frame of CORPUS) {
      check(frame);
      wasm.call('parse', RECORD, put(wasm, frame), frame.length, 1);
      expect(wasm.bytes[RECORD + PACKET_REASON]).toBe(0);
    }
  });

  test('cut at every byte: no trap, no read behind the cut', () => {
    for (const frame of CORPUS) {
      for (let length = 0; length < frame.length; length++) check(frame.subarray(0, length));
    }
  });

  test('cut at every byte, with an IP length that fits: the headers inside are cut', () => {
    for (const frame of CORPUS) {
      for (let length = 34; length < frame.length; length++) {
        check(repaired(frame.slice(0, length), true));
      }
    }
  });

  test(`mutated: bits, bytes, lengths, cuts and extra bytes (seed ${SEED})`, () => {
    const random = new Random(SEED);
    for (let i = 0; i < MUTANTS; i++) {
      const mutant = mutate(random, random.pick(CORPUS));
      try {
        check(mutant);
      } catch (error) {
        throw new Error(`mutant ${i}: ${toHex(mutant)}`, { cause: error });
      }
    }
  });

  test(`noise behind a good Ethernet header (seed ${SEED})`, () => {
    const random = new Random(SEED);
    for (let i = 0; i < MUTANTS; i++) {
      const type = random.pick([0x0800, 0x86dd]);
      const noise = random.bytes(random.below(120));
      if (noise.length > 0) noise[0] = type === 0x0800 ? 0x45 : 0x60;
      const frame = packet(ethernet({ type }), payload(noise));
      check(random.oneIn(2) ? frame : repaired(frame, random.oneIn(2)));
    }
  });
});

function put(wasm: WasmInstance, frame: Uint8Array): number {
  const at = MEMORY_END - frame.length;
  wasm.put(at, frame);
  return at;
}

/** What the head of assembly/parse.ts promises of an accepted packet that lies before `end`. */
function holdToPromises(wasm: WasmInstance, end: number, quoted = false): void {
  const word = (offset: number) => wasm.view.getUint32(RECORD + offset, true);
  if (wasm.bytes[RECORD + PACKET_REASON] !== 0) {
    expect(word(PACKET_TRANSPORT)).toBe(0);
    expect(word(PACKET_IP_LENGTH)).toBe(0);
    return;
  }
  const network = word(PACKET_NETWORK);
  const ipLength = word(PACKET_IP_LENGTH);
  const headerLength = word(PACKET_HEADER_LENGTH);
  const transport = word(PACKET_TRANSPORT);
  const flags = wasm.view.getUint16(RECORD + PACKET_FLAGS, true);
  const family = wasm.bytes[RECORD + PACKET_FAMILY] ?? 0;
  expect(network + ipLength).toBeLessThanOrEqual(end);
  expect(headerLength).toBeGreaterThanOrEqual(family === 6 ? 40 : 20);
  expect(headerLength).toBeLessThanOrEqual(ipLength);
  expect((wasm.bytes[network] ?? 0) >> 4).toBe(family);
  if ((flags & PACKET_FRAGMENT_LATER) !== 0) {
    expect(transport).toBe(0);
    return;
  }
  expect(transport).toBe(network + headerLength);
  const protocol = wasm.bytes[RECORD + PACKET_PROTOCOL] ?? 0;
  const least = quoted ? 4 : (flags & PACKET_FRAGMENT_FIRST) === 0 ? undefined : 8;
  const header = least ?? transportHeaderLength(wasm, transport, family, protocol);
  expect(transport + header).toBeLessThanOrEqual(network + ipLength);
}

function transportHeaderLength(
  wasm: WasmInstance,
  transport: number,
  family: number,
  protocol: number,
): number {
  if (protocol === 6) return Math.max(20, ((wasm.bytes[transport + 12] ?? 0) >> 4) * 4);
  if (protocol === 17 || protocol === (family === 4 ? 1 : 58)) return 8;
  return protocol === 132 ? 12 : 0;
}

/** One to four random changes; more often than not the IP header is made consistent again. */
function mutate(random: Random, original: Uint8Array): Uint8Array {
  let frame = Uint8Array.from(original);
  for (let changes = random.between(1, 4); changes > 0; changes--) {
    const at = random.below(Math.max(frame.length, 1));
    switch (random.below(6)) {
      case 0:
        frame[at] = (frame[at] ?? 0) ^ (1 << random.below(8));
        break;
      case 1:
        frame[at] = random.pick([0, 1, 4, 5, 6, 15, 43, 44, 51, 60, 127, 128, 254, 255]);
        break;
      case 2:
        frame = frame.slice(0, at);
        break;
      case 3:
        frame = Uint8Array.of(...frame, ...random.bytes(random.below(64)));
        break;
      case 4:
        // The bytes where headers say how long they are and what follows.
        frame[random.pick([14, 16, 17, 18, 20, 21, 23, 46, 54, 55])] = random.u32();
        break;
      default:
        frame.copyWithin(at, random.below(frame.length + 1));
    }
  }
  return random.oneIn(3) ? frame : repaired(frame, random.oneIn(2));
}

/** With a sound IPv4 checksum and, when asked for, lengths that agree with the frame's. */
function repaired(frame: Uint8Array, lengths: boolean): Uint8Array {
  const view = new DataView(frame.buffer, frame.byteOffset, frame.byteLength);
  if (frame.length >= 54 && frame[12] === 0x86) {
    if (lengths) view.setUint16(18, frame.length - 54);
    return frame;
  }
  const headerLength = frame.length < 34 ? 0 : ((frame[14] ?? 0) & 15) * 4;
  if (headerLength < 20 || 14 + headerLength > frame.length) return frame;
  if (lengths) view.setUint16(16, frame.length - 14);
  view.setUint16(24, 0);
  view.setUint16(24, internetChecksum(frame.subarray(14, 14 + headerLength)));
  return frame;
}
