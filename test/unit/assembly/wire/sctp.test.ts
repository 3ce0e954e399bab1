import { beforeAll, describe, expect, test } from 'vitest';
import {
  chunk,
  crc32c,
  fromHex,
  ipv4,
  packet,
  payload,
  sctp,
  toHex,
} from '../../../support/packet-builder.ts';
import { Random, seedFromEnvironment } from '../../../support/random.ts';
import { instantiate, PROBE_BUILDS, type WasmInstance } from '../../../support/wasm.ts';

const SEED = seedFromEnvironment(9260);
const AT = 0x20000;
const [COOKIE_ECHO, COOKIE_ACK, ABORT, DATA, INIT, NONE] = [10, 11, 6, 0, 1, 255];

describe.each(PROBE_BUILDS)('sctp, %s', (build) => {
  let wasm: WasmInstance;

  beforeAll(async () => {
    wasm = await instantiate(build);
  });

  /** The SCTP packet of these layers, in memory; its length. */
  function put(...chunks: Parameters<typeof packet>): number {
    const bytes = packet(ipv4(), sctp(), ...chunks).subarray(20);
    wasm.bytes.fill(0xa5, AT, AT + 256);
    wasm.put(AT, bytes);
    return bytes.length;
  }

  test('a literal header is taken apart', () => {
    wasm.put(AT, fromHex('03e8 0009 11223344 01020304'));
    expect(wasm.call('sctpSourcePortBe', AT)).toBe(0xe803);
    expect(wasm.call('sctpDestinationPortBe', AT)).toBe(0x0900);
    expect(wasm.call('sctpVerificationTagBe', AT)).toBe(0x44332211);
    expect(wasm.call('sctpChecksum', AT)).toBe(0x04030201);
  });

  test('a header is built field by field', () => {
    wasm.bytes.fill(0xa5, AT, AT + 16);
    wasm.call('setSctpSourcePortBe', AT, 0xe803);
    wasm.call('setSctpDestinationPortBe', AT, 0x0900);
    wasm.call('setSctpVerificationTagBe', AT, 0x44332211);
    expect(toHex(wasm.take(AT, 12))).toBe('03e8000911223344a5a5a5a5');
  });

  test('CRC32c of "123456789": e3069283', () => {
    wasm.put(AT, new TextEncoder().encode('123456789'));
    expect(~wasm.call('crc32c', 0xffffffff, AT, 9) >>> 0).toBe(0xe3069283);
  });

  test('the table: computed anew from the polynomial', () => {
    const table = wasm.constant('CRC32C_TABLE');
    for (let row = 0; row < 8; row++) {
      for (let byte = 0; byte < 256; byte++) {
        let crc = byte;
        for (let bit = 0; bit < 8 * (row + 1); bit++) {
          crc = (crc & 1) !== 0 ? (crc >>> 1) ^ 0x82f63b78 : crc >>> 1;
        }
        expect(wasm.view.getUint32(table + row * 1024 + byte * 4, true)).toBe(crc >>> 0);
      }
    }
  });

  test(`any length: the checksum of the bit by bit twin (seed ${SEED})`, () => {
    const random = new Random(SEED);
    for (let length = 12; length < 120; length++) {
      const bytes = random.bytes(length);
      const at = AT + random.below(8);
      wasm.put(at, bytes);
      bytes.fill(0, 8, 12);
      expect(wasm.call('sctpComputeChecksum', at, length)).toBe(crc32c(bytes));
    }
  });

  test('a port is rewritten: the checksum is computed anew', () => {
    const length = put(chunk({ value: payloadBytes(20) }));
    wasm.call('setSctpDestinationPortUpdatingChecksum', AT, 0x0a00, length);
    wasm.call('setSctpSourcePortUpdatingChecksum', AT, 0xe903, length);
    const fields = { sourcePort: 1001, destinationPort: 10 };
    const expected = packet(ipv4(), sctp(fields), chunk({ value: payloadBytes(20) })).subarray(20);
    expect(toHex(wasm.take(AT, length))).toBe(toHex(expected));
  });

  test('the port stays as it is: so does a damaged checksum', () => {
    const length = put(chunk());
    wasm.view.setUint32(AT + 8, 0x01020304, true);
    wasm.call('setSctpDestinationPortUpdatingChecksum', AT, 0x0900, length);
    wasm.call('setSctpSourcePortUpdatingChecksum', AT, 0xe803, length);
    expect(wasm.call('sctpChecksum', AT)).toBe(0x01020304);
  });

  const cookie = chunk({ type: COOKIE_ECHO, value: payloadBytes(5) });
  test.each([
    ['no chunk', [], NONE, NONE],
    ['half a chunk header', [payload(3)], NONE, NONE],
    ['INIT', [chunk({ type: INIT })], INIT, INIT],
    ['DATA, then ABORT', [chunk({ type: DATA }), chunk({ type: ABORT })], DATA, DATA],
    ['COOKIE ECHO alone', [cookie], COOKIE_ECHO, COOKIE_ECHO],
    ['COOKIE ECHO, then DATA', [cookie, chunk({ type: DATA })], COOKIE_ECHO, COOKIE_ECHO],
    ['COOKIE ECHO, then ABORT', [cookie, chunk({ type: ABORT })], COOKIE_ECHO, ABORT],
    [
      'COOKIE ACK, then ABORT',
      [chunk({ type: COOKIE_ACK }), chunk({ type: ABORT })],
      COOKIE_ACK,
      ABORT,
    ],
    [
      'COOKIE ECHO with no length',
      [chunk({ type: COOKIE_ECHO, length: 0 })],
      COOKIE_ECHO,
      COOKIE_ECHO,
    ],
    [
      'COOKIE ECHO too long',
      [chunk({ type: COOKIE_ECHO, length: 65535 })],
      COOKIE_ECHO,
      COOKIE_ECHO,
    ],
  ])('%s: first chunk and event', (_, chunks, first, event) => {
    const length = put(...chunks);
    expect(wasm.call('sctpFirstChunkType', AT, length)).toBe(first);
    expect(wasm.call('sctpEventChunkType', AT, length)).toBe(event);
  });

  test('11 bytes are no header, 12 are', () => {
    expect(wasm.call('sctpIsWhole', 11)).toBe(0);
    expect(wasm.call('sctpIsWhole', 12)).toBe(1);
  });
});

function payloadBytes(length: number): Uint8Array {
  return Uint8Array.from({ length }, (_, i) => i);
}
