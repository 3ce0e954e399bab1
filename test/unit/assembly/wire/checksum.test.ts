/**
 * The data plane's checksum arithmetic against a twin of the kernel's, which it has to equal bit
 * for bit, also where ones' complement has two forms of zero: on random values, of which half are
 * corners.
 */

import { beforeAll, describe, expect, test } from 'vitest';
import * as linux from '../../../support/linux-checksum.ts';
import {
  addressBytes,
  concatenate,
  pseudoHeader,
  wordSum,
} from '../../../support/packet-builder.ts';
import { Random, seedFromEnvironment } from '../../../support/random.ts';
import { instantiate, PROBE_BUILDS, type WasmInstance } from '../../../support/wasm.ts';

const SEED = seedFromEnvironment(1624);
const AT = 0x20000;
const OTHER = 0x21000;
const ROUNDS = 5000;
const CORNERS = [0, 1, 0x7fff, 0x8000, 0xff00, 0xfffe, 0xffff];

/** Swaps the bytes of a 16-bit number: host order to as loaded, and back. */
function swap(value: number): number {
  return ((value & 0xff) << 8) | (value >>> 8);
}

function loaded(bytes: Uint8Array): number {
  return new DataView(bytes.buffer, bytes.byteOffset).getUint32(0, true);
}

/** An address that now and then ends or starts in a corner. */
function randomAddress(random: Random): Uint8Array {
  if (random.oneIn(8)) return new Uint8Array(16).fill(random.pick([0, 0xff]));
  return random.bytes(16);
}

describe.each(PROBE_BUILDS)('checksum, %s', (build) => {
  let wasm: WasmInstance;

  beforeAll(async () => {
    wasm = await instantiate(build);
  });

  test(`any place and length: the fast sum is the reference's and the twin's (seed ${SEED})`, () => {
    const random = new Random(SEED);
    for (let length = 0; length < 200; length++) {
      const at = AT + random.below(64);
      wasm.bytes.fill(0xa5, AT - 64, AT + 512);
      const bytes = random.oneIn(8) ? new Uint8Array(length).fill(0xff) : random.bytes(length);
      wasm.put(at, bytes);
      const sum = wasm.call('checksumSum', at, length);
      expect(sum).toBe(wasm.call('checksumSumReference', at, length));
      expect(sum).toBe(swap(wordSum(bytes)));
    }
  });

  test('64 KiB of ones: no lane overflows', () => {
    wasm.bytes.fill(0xff, AT, AT + 65535);
    expect(wasm.call('checksumSum', AT, 65535)).toBe(wasm.call('checksumSumReference', AT, 65535));
  });

  test('zeros only: the sum is 0, every other sum of zero is 0xffff', () => {
    wasm.bytes.fill(0, AT, AT + 64);
    expect(wasm.call('checksumSum', AT, 64)).toBe(0);
    wasm.put(AT + 7, Uint8Array.of(0xff, 0xff));
    expect(wasm.call('checksumSum', AT, 64)).toBe(0xffff);
  });

  test('the example of RFC 1071: ddf2', () => {
    wasm.put(AT, Uint8Array.of(0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7));
    expect(swap(wasm.call('checksumSum', AT, 8))).toBe(0xddf2);
  });

  test('one 16-bit field: all corners as csum_replace2', () => {
    for (const check of CORNERS) {
      for (const oldBe of CORNERS) {
        for (const newBe of CORNERS) {
          expect(wasm.call('checksumAdjust16', check, oldBe, newBe)).toBe(
            linux.csumReplace2(check, oldBe, newBe),
          );
        }
      }
    }
  });

  test(`one 32-bit field: as csum_replace4 (seed ${SEED})`, () => {
    const random = new Random(SEED);
    for (let i = 0; i < ROUNDS; i++) {
      const values = [random.corner16(), random.corner32(), random.corner32()] as const;
      expect(wasm.call('checksumAdjust32', ...values)).toBe(linux.csumReplace4(...values));
    }
  });

  test(`address and port, IPv4: a delta gives IPVS's checksum (seed ${SEED})`, () => {
    const random = new Random(SEED);
    for (let i = 0; i < ROUNDS; i++) {
      const rewrite = {
        oldAddress: random.corner32(),
        newAddress: random.corner32(),
        oldPort: random.corner16(),
        newPort: random.corner16(),
      };
      const { oldAddress, newAddress, oldPort, newPort } = rewrite;
      const delta = wasm.call('checksumDelta', oldAddress, newAddress, oldPort, newPort);
      expect(delta).toBeGreaterThan(0);
      for (const check of [...CORNERS, random.u16()]) {
        const expected = linux.tcpFastUpdate(check, rewrite);
        expect(wasm.call('checksumApplyDelta', check, delta)).toBe(expected);
      }
    }
  });

  test(`address and port, IPv6: a delta gives IPVS's checksum (seed ${SEED})`, () => {
    const random = new Random(SEED);
    for (let i = 0; i < ROUNDS; i++) {
      const rewrite = {
        oldAddress: randomAddress(random),
        newAddress: randomAddress(random),
        oldPort: random.corner16(),
        newPort: random.corner16(),
      };
      wasm.put(AT, rewrite.oldAddress);
      wasm.put(OTHER, rewrite.newAddress);
      const ports = [rewrite.oldPort, rewrite.newPort];
      const delta = wasm.call('checksumDeltaIpv6', AT, OTHER, ...ports);
      expect(delta).toBeGreaterThan(0);
      for (const check of [...CORNERS, random.u16()]) {
        const expected = linux.tcpFastUpdate(check, rewrite);
        expect(wasm.call('checksumApplyDelta', check, delta)).toBe(expected);
      }
    }
  });

  test('nothing changes: the delta is 0xffff, and 0xffff becomes 0x0000 as in the kernel', () => {
    const delta = wasm.call('checksumDelta', 0x01020304, 0x01020304, 80, 80);
    expect(delta).toBe(0xffff);
    expect(wasm.call('checksumApplyDelta', 0xffff, delta)).toBe(0);
    expect(wasm.call('checksumApplyDelta', 0x1234, delta)).toBe(0x1234);
  });

  test(`two deltas together, and one taken back (seed ${SEED})`, () => {
    const random = new Random(SEED);
    for (let i = 0; i < ROUNDS; i++) {
      const first = random.corner16() || 0xffff;
      const second = random.corner16() || 0xffff;
      const check = random.corner16();
      const both = wasm.call('checksumDeltaSum', first, second);
      const oneByOne = wasm.call(
        'checksumApplyDelta',
        wasm.call('checksumApplyDelta', check, first),
        second,
      );
      expect(wasm.call('checksumApplyDelta', check, both)).toBe(oneByOne);
      const back = wasm.call('checksumDeltaInverse', first);
      expect(back).toBeGreaterThan(0);
      const restored = wasm.call(
        'checksumApplyDelta',
        wasm.call('checksumApplyDelta', check, first),
        back,
      );
      expect(restored).toBe(check === 0xffff ? 0 : check);
    }
  });

  test(`pseudo-headers: the sum of their bytes (seed ${SEED})`, () => {
    const random = new Random(SEED);
    for (let i = 0; i < ROUNDS; i++) {
      const protocol = random.pick([6, 17, 58, 255]);
      const length = random.corner16();
      const [source, destination] = [randomAddress(random), randomAddress(random)];
      wasm.put(AT, source);
      wasm.put(OTHER, destination);
      expect(wasm.call('pseudoHeaderSumIpv6', AT, OTHER, protocol, length)).toBe(
        swap(wordSum(pseudoHeader(source, destination, protocol, length))),
      );
      const short = [source.subarray(0, 4), destination.subarray(0, 4)] as const;
      expect(
        wasm.call('pseudoHeaderSumIpv4', loaded(short[0]), loaded(short[1]), protocol, length),
      ).toBe(swap(wordSum(pseudoHeader(...short, protocol, length))));
    }
  });

  test(`a whole checksum: as the kernel's, whatever the field held (seed ${SEED})`, () => {
    const random = new Random(SEED);
    for (let i = 0; i < 1000; i++) {
      const transport = random.oneIn(10)
        ? new Uint8Array(40)
        : random.bytes(random.between(18, 99));
      transport.fill(0, 16, 18);
      const [source, destination] = [randomAddress(random), randomAddress(random)];
      wasm.put(AT, transport);
      wasm.view.setUint16(AT + 16, random.corner16(), true);
      wasm.put(OTHER, concatenate(source, destination));
      const { length } = transport;
      const wide = wasm.call('pseudoHeaderSumIpv6', OTHER, OTHER + 16, 6, length);
      expect(wasm.call('transportChecksum', AT, length, 16, wide)).toBe(
        linux.ipv6Magic(source, destination, 6, transport),
      );
      const [from, to] = [loaded(source), loaded(destination)];
      const narrow = wasm.call('pseudoHeaderSumIpv4', from, to, 6, length);
      expect(wasm.call('transportChecksum', AT, length, 16, narrow)).toBe(
        linux.tcpudpMagic(from, to, 6, transport),
      );
    }
  });

  test(`partial: recognised and completed as skb_checksum_help does (seed ${SEED})`, () => {
    const random = new Random(SEED);
    for (let i = 0; i < 1000; i++) {
      const transport = random.bytes(random.between(20, 99));
      const { length } = transport;
      const sum = random.between(1, 0xffff);
      wasm.put(AT, transport);
      wasm.view.setUint16(AT + 16, sum, true);
      const before = wasm.take(AT, length);
      const complete = linux.checksumHelp(before);
      // A sound checksum that has this value by chance: nothing is left to be done.
      const sound = complete === sum;
      expect(wasm.call('isPartialChecksum', AT, length, 16, sum)).toBe(sound ? 0 : 1);
      wasm.call('completeChecksum', AT, length, 16);
      expect(wasm.view.getUint16(AT + 16, true)).toBe(complete);
      expect(wasm.call('isPartialChecksum', AT, length, 16, sum)).toBe(0);
    }
  });

  test('partial: a sound checksum equal to the pseudo-header sum is left alone', () => {
    // 0x0000 in the data and pseudo-header sum P, field P: P + P + data must fold to 0xffff.
    const source = addressBytes('192.0.2.1');
    const destination = addressBytes('192.0.2.2');
    const sum = wasm.call('pseudoHeaderSumIpv4', loaded(source), loaded(destination), 6, 20);
    wasm.bytes.fill(0, AT, AT + 20);
    wasm.view.setUint16(AT + 16, sum, true);
    const twice = (sum * 2) % 0xffff;
    wasm.view.setUint16(AT, 0xffff - twice, true);
    expect(wasm.call('isPartialChecksum', AT, 20, 16, sum)).toBe(0);
    wasm.view.setUint16(AT, 0xfffe - twice, true);
    expect(wasm.call('isPartialChecksum', AT, 20, 16, sum)).toBe(1);
  });
});
