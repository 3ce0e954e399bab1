import { beforeAll, describe, expect, test } from 'vitest';
import * as linux from '../../../support/linux-checksum.ts';
import { fromHex, toHex } from '../../../support/packet-builder.ts';
import { Random, seedFromEnvironment } from '../../../support/random.ts';
import { instantiate, PROBE_BUILDS, type WasmInstance } from '../../../support/wasm.ts';

const SEED = seedFromEnvironment(768);
const AT = 0x20000;
const HEADER = '03e8 0035 0010 a6aa';

describe.each(PROBE_BUILDS)('udp, %s', (build) => {
  let wasm: WasmInstance;

  beforeAll(async () => {
    wasm = await instantiate(build);
  });

  test('a literal header is taken apart', () => {
    wasm.put(AT, fromHex(HEADER));
    expect(wasm.call('udpSourcePortBe', AT)).toBe(0xe803);
    expect(wasm.call('udpDestinationPortBe', AT)).toBe(0x3500);
    expect(wasm.call('udpLength', AT)).toBe(16);
    expect(wasm.call('udpChecksumBe', AT)).toBe(0xaaa6);
  });

  test('a header is built field by field: the literal one', () => {
    wasm.bytes.fill(0xa5, AT - 16, AT + 32);
    wasm.call('setUdpSourcePortBe', AT, 0xe803);
    wasm.call('setUdpDestinationPortBe', AT, 0x3500);
    wasm.call('setUdpLength', AT, 16);
    wasm.call('setUdpChecksumBe', AT, 0xaaa6);
    expect(toHex(wasm.take(AT - 2, 12))).toBe(`a5a5${HEADER.replaceAll(' ', '')}a5a5`);
  });

  test('7 bytes are no header, 8 are', () => {
    expect(wasm.call('udpIsWhole', 7)).toBe(0);
    expect(wasm.call('udpIsWhole', 8)).toBe(1);
  });

  test('a checksum that computes to 0 is sent as 0xffff', () => {
    wasm.put(AT, fromHex('0000 0000 0008 0000'));
    // 0xfff7 completes the length 8 to 0xffff, of which 0 is the complement.
    wasm.call('fillUdpChecksum', AT, 8, 0xf7ff);
    expect(wasm.call('udpChecksumBe', AT)).toBe(0xffff);
    wasm.call('fillUdpChecksum', AT, 8, 0xf6ff);
    expect(wasm.call('udpChecksumBe', AT)).toBe(0x0100);
  });

  test(`rewritten: as IPVS, and never to 0 (seed ${SEED})`, () => {
    const random = new Random(SEED);
    for (let i = 0; i < 5000; i++) {
      const check = random.corner16() || 1;
      const rewrite = {
        oldAddress: random.corner32(),
        newAddress: random.corner32(),
        oldPort: random.corner16(),
        newPort: random.corner16(),
      };
      const { oldAddress, newAddress, oldPort, newPort } = rewrite;
      const delta = wasm.call('checksumDelta', oldAddress, newAddress, oldPort, newPort);
      wasm.call('setUdpChecksumBe', AT, check);
      expect(wasm.call('updateUdpChecksum', AT, delta)).toBe(1);
      expect(wasm.call('udpChecksumBe', AT)).toBe(linux.udpFastUpdate(check, rewrite));
      expect(wasm.call('udpChecksumBe', AT)).not.toBe(0);
    }
  });

  test('no checksum: the update says so and leaves the field alone', () => {
    wasm.call('setUdpChecksumBe', AT, 0);
    expect(wasm.call('updateUdpChecksum', AT, 0x1234)).toBe(0);
    expect(wasm.call('udpChecksumBe', AT)).toBe(0);
  });

  test.each([
    ['setUdpSourcePort', 0],
    ['setUdpDestinationPort', 2],
  ])('%sUpdatingChecksum: port and checksum, or the port alone', (name, offset) => {
    wasm.put(AT, fromHex('1111 1111 0008 2222'));
    wasm.call(`${name}UpdatingChecksum`, AT, 0x1211);
    expect(toHex(wasm.take(AT + offset, 2))).toBe('1112');
    expect(toHex(wasm.take(AT + 6, 2))).toBe('2221');
    wasm.call('setUdpChecksumBe', AT, 0);
    wasm.call(`${name}UpdatingChecksum`, AT, 0x1311);
    expect(toHex(wasm.take(AT + offset, 2))).toBe('1113');
    expect(wasm.call('udpChecksumBe', AT)).toBe(0);
  });
});
