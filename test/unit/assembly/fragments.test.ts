/**
 * Fragments in and out against a slow reassembler: random datagrams of both families, cut at random
 * places, in random order, some parts lost, some doubled, some overlapping; with extension headers
 * in front of the fragment header and behind it.
 */

import { describe, expect, test } from 'vitest';
import { checkMemory } from '../../support/check-bed.ts';
import { BUILDS, CLIENT_PORT_MAC, createBed } from '../../support/director-bed.ts';
import * as build from '../../support/packet-builder.ts';
import { Random, seedFromEnvironment } from '../../support/random.ts';

const SEED = seedFromEnvironment(2190);
const ENDS = {
  4: { source: '198.51.100.1', destination: '192.0.2.80', server: '10.0.0.11' },
  6: { source: '2001:db8:ffff::1', destination: '2001:db8:1::80', server: '2001:db8:10::11' },
} as const;
type Family = 4 | 6;

interface Part {
  readonly offset: number;
  readonly bytes: Uint8Array;
  readonly more: boolean;
}

/** What becomes of a part: kept, dropped alone, or dropped with all that there is. */
type Answer = 'kept' | 'whole' | 'doubled' | 'refused';

/** One datagram, as slow as can be: a map from byte to value, and the parts that are there. */
class SlowReassembler {
  #parts: Part[] = [];
  #total: number | undefined;

  add(part: Part): Answer {
    const end = part.offset + part.bytes.length;
    const isOdd = part.more && part.bytes.length % 8 !== 0;
    const contradicts =
      this.#total !== undefined && (end > this.#total || (!part.more && end !== this.#total));
    if (part.bytes.length === 0 || end > 65535 || isOdd || contradicts) return this.#refuse();
    const touching = this.#parts.filter((other) => {
      return other.offset < end && part.offset < other.offset + other.bytes.length;
    });
    const [first] = touching;
    if (first !== undefined) {
      const holds = first.offset <= part.offset && end <= first.offset + first.bytes.length;
      if (touching.length === 1 && holds) return 'doubled';
      return this.#refuse();
    }
    if (!part.more) this.#total = end;
    this.#parts.push(part);
    const held = this.#parts.reduce((sum, { bytes }) => sum + bytes.length, 0);
    return held === this.#total ? 'whole' : 'kept';
  }

  take(): Uint8Array {
    const sorted = [...this.#parts].sort((a, b) => a.offset - b.offset);
    this.#refuse();
    return build.concatenate(...sorted.map(({ bytes }) => bytes));
  }

  #refuse(): Answer {
    this.#parts = [];
    this.#total = undefined;
    return 'refused';
  }
}

/** Headers of IPv6 in front of the fragment header, which every piece has. */
function front(random: Random): build.Layer[] {
  const headers: build.Layer[] = [];
  if (random.oneIn(3)) headers.push(build.extension(0, { length: 8 * random.between(1, 3) }));
  if (random.oneIn(4)) headers.push(build.extension(60));
  if (random.oneIn(4)) headers.push(build.extension(43, { length: 24 }));
  return headers;
}

/** A datagram's payload from behind the place where it is cut, and its first header's number. */
function datagram(random: Random, family: Family): { bytes: Uint8Array; first: number } {
  const { source, destination } = ENDS[family];
  const inner = [
    ...(family === 6 && random.oneIn(3) ? [build.extension(60, { length: 16 })] : []),
    build.udp({ sourcePort: 4000, destinationPort: 80 }),
    build.payload(random.bytes(random.between(100, 3000))),
  ];
  const network =
    family === 4 ? build.ipv4({ source, destination }) : build.ipv6({ source, destination });
  const whole = build.packet(network, ...inner);
  return { bytes: whole.subarray(family === 4 ? 20 : 40), first: inner[0]?.protocol ?? 0 };
}

/** Cuts at random places, multiples of 8; now and then wrongly. */
function cut(random: Random, bytes: Uint8Array): Part[] {
  const parts: Part[] = [];
  for (let offset = 0; offset < bytes.length; ) {
    const least = offset === 0 ? 4 : 1;
    const size = 8 * random.between(least, 150);
    const end = Math.min(offset + size, bytes.length);
    parts.push({ offset, bytes: bytes.subarray(offset, end), more: end < bytes.length });
    if (random.oneIn(12) && end - offset > 24) {
      const from = offset + 8 * random.between(0, 1);
      const to = end - (random.oneIn(2) ? 8 : 0);
      parts.push({ offset: from, bytes: bytes.subarray(from, to), more: to < bytes.length });
    }
    offset = end;
  }
  for (let nth = parts.length - 1; nth > 0; nth--) {
    const other = random.below(nth + 1);
    [parts[nth], parts[other]] = [parts[other], parts[nth]];
  }
  // A part that is all of the datagram is no fragment.
  const pieces = parts.filter(({ offset, more }) => offset > 0 || more);
  return random.oneIn(4) ? pieces.slice(1) : pieces;
}

function frameOf(
  family: Family,
  part: Part,
  identification: number,
  first: number,
  headers: readonly build.Layer[],
): Uint8Array {
  const { source, destination } = ENDS[family];
  const ethernet = build.ethernet({ destination: CLIENT_PORT_MAC });
  const content = build.payload(part.bytes);
  if (family === 4) {
    const fields = { fragmentOffset: part.offset, moreFragments: part.more, identification };
    const ipv4 = build.ipv4({ source, destination, protocol: first, ...fields });
    return build.packet(ethernet, ipv4, content);
  }
  const fragment = build.fragment({
    offset: part.offset,
    more: part.more,
    identification,
    nextHeader: first,
  });
  return build.packet(ethernet, build.ipv6({ source, destination }), ...headers, fragment, content);
}

/** The pieces that left, put together: by the slow reassembler again. */
function reassemble(frames: readonly Uint8Array[]): Uint8Array {
  const slow = new SlowReassembler();
  let answer: Answer = 'kept';
  for (const frame of frames) {
    const ip = frame.subarray(14);
    const view = new DataView(ip.buffer, ip.byteOffset);
    expect(ip.length).toBeLessThanOrEqual(1500);
    if (ip[0] >>> 4 === 4) {
      expect(build.internetChecksum(ip.subarray(0, 20))).toBe(0);
      const field = view.getUint16(6, false);
      const offset = (field & 0x1fff) * 8;
      answer = slow.add({ offset, bytes: ip.subarray(20), more: (field & 0x2000) !== 0 });
    } else {
      expect(view.getUint16(4, false)).toBe(ip.length - 40);
      const at = fragmentHeaderAt(frame);
      const field = new DataView(frame.buffer, frame.byteOffset).getUint16(at + 2, false);
      const more = (field & 1) !== 0;
      answer = slow.add({ offset: field & 0xfff8, bytes: frame.subarray(at + 8), more });
    }
  }
  expect(answer).toBe('whole');
  return wholeOf(frames[0], slow.take());
}

/** Where the fragment header of an IPv6 frame stands. */
function fragmentHeaderAt(frame: Uint8Array): number {
  let at = 54;
  for (let next = frame[20]; next !== 44; ) {
    next = frame[at];
    at += (frame[at + 1] + 1) * 8;
  }
  return at;
}

/** All that stands behind the IP header as if it had never been cut, its first header's number first. */
function wholeOf(fragment: Uint8Array, bytes: Uint8Array): Uint8Array {
  if (fragment[12] === 0x08) return build.concatenate(Uint8Array.of(fragment[23]), bytes);
  const end = fragmentHeaderAt(fragment);
  // The number of the fragment header gives way to that of the header behind it.
  const headers = Uint8Array.from(fragment.subarray(0, end));
  let field = 20;
  for (let at = 54; at < end; at += (headers[at + 1] + 1) * 8) field = at;
  headers[field] = fragment[end];
  return build.concatenate(headers.subarray(20, 21), headers.subarray(54), bytes);
}

describe.each(BUILDS)('%s', (on) => {
  test.each([4, 6] as const)(`IPv%d: as the slow reassembler has it, seed ${SEED}`, (family) => {
    const random = new Random(SEED + family);
    const bed = createBed({
      build: on,
      services: [4, 6].map((one) => {
        const { destination, server } = ENDS[one as Family];
        const name = (address: string) => (one === 4 ? `${address}:80` : `[${address}]:80`);
        return {
          at: `udp ${name(destination)}`,
          servers: [{ at: name(server), method: 'direct-route' as const }],
        };
      }),
    });
    const answers: Record<Answer, number> = { kept: 0, whole: 0, doubled: 0, refused: 0 };
    for (let nth = 0; nth < 250; nth++) {
      const { bytes, first } = datagram(random, family);
      const headers = family === 6 ? front(random) : [];
      const slow = new SlowReassembler();
      for (const part of cut(random, bytes)) {
        const frame = frameOf(family, part, nth, first, headers);
        const { verdict, reason, out } = bed.send('client', frame);
        const answer = slow.add(part);
        answers[answer]++;
        if (answer === 'kept') expect([verdict, out]).toEqual(['hold', []]);
        if (answer === 'doubled' || answer === 'refused') {
          expect([verdict, reason]).toEqual(['drop', 'DROP_FRAGMENT_OVERLAP']);
        }
        if (answer !== 'whole') continue;
        expect(verdict, `datagram ${nth}`).toBe('transmit');
        const left = reassemble(out.map((sent) => sent.frame));
        expect(build.toHex(left)).toBe(build.toHex(wholeOf(frame, slow.take())));
      }
      checkMemory(bed.memory);
      bed.advance(40);
    }
    for (const [answer, times] of Object.entries(answers)) {
      expect(times, answer).toBeGreaterThan(5);
    }
    bed.close();
  });
});
