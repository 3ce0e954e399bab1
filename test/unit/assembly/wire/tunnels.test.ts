/** GRE, GUE, AH and ESP: the headers around or in front of a packet that is not looked into. */

import { beforeAll, describe, expect, test } from 'vitest';
import {
  authentication,
  fromHex,
  gre,
  gue,
  ipv4,
  ipv6,
  packet,
  tcp,
  toHex,
  udp,
} from '../../../support/packet-builder.ts';
import { instantiate, PROBE_BUILDS, type WasmInstance } from '../../../support/wasm.ts';

const AT = 0x20000;

describe.each(PROBE_BUILDS)('tunnel headers, %s', (build) => {
  let wasm: WasmInstance;

  beforeAll(async () => {
    wasm = await instantiate(build);
  });

  test('gre without a checksum: four bytes, and none behind', () => {
    wasm.bytes.fill(0xa5, AT, AT + 16);
    wasm.call('buildGre', AT, wasm.constant('ETHERNET_TYPE_IPV6_BE'));
    expect(toHex(wasm.take(AT, 6))).toBe('000086dda5a5');
    expect(wasm.call('greTypeBe', AT)).toBe(wasm.constant('ETHERNET_TYPE_IPV6_BE'));
    expect(wasm.call('greHeaderLength', AT)).toBe(wasm.constant('GRE_SIZE'));
  });

  test('gre with a checksum: as the builder makes it', () => {
    const inner = packet(ipv4(), tcp());
    const expected = packet(ipv4(), gre({ checksum: true }), ipv4(), tcp()).subarray(20);
    wasm.bytes.fill(0xa5, AT, AT + 64);
    wasm.put(AT + 8, inner);
    const type = wasm.constant('ETHERNET_TYPE_IPV4_BE');
    wasm.call('buildGreFillingChecksum', AT, type, expected.length);
    expect(toHex(wasm.take(AT, expected.length))).toBe(toHex(expected));
    expect(wasm.call('greHeaderLength', AT)).toBe(wasm.constant('GRE_SIZE_WITH_CHECKSUM'));
    expect(wasm.call('greFlagsBe', AT)).toBe(wasm.constant('GRE_FLAG_CHECKSUM_BE'));
  });

  test.each([
    ['0000 0800', 3, 0, 4],
    ['0000 0800', 4, 1, 4],
    ['8000 0800', 7, 0, 8],
    ['8000 0800', 8, 1, 8],
    ['b000 0800', 15, 0, 16],
    ['b000 0800', 16, 1, 16],
  ])('gre %s of which %i bytes are there: whole %i, length %i', (hex, available, whole, length) => {
    wasm.put(AT, fromHex(hex));
    expect(wasm.call('greIsWhole', AT, available)).toBe(whole);
    expect(wasm.call('greHeaderLength', AT)).toBe(length);
  });

  test('gue without options: as the builder makes it', () => {
    wasm.bytes.fill(0xa5, AT, AT + 16);
    wasm.call('buildGue', AT, 41);
    const expected = packet(ipv4(), udp(), gue(), ipv6()).subarray(28, 32);
    expect(toHex(wasm.take(AT, 6))).toBe(`${toHex(expected)}a5a5`);
    expect(wasm.call('gueHeaderLength', AT)).toBe(wasm.constant('GUE_SIZE'));
    expect(wasm.call('gueProtocol', AT)).toBe(41);
    expect(wasm.call('gueVersion', AT)).toBe(0);
    expect(wasm.call('gueIsControl', AT)).toBe(0);
    expect(wasm.call('gueFlagsBe', AT)).toBe(0);
  });

  test('gue with remote checksum offload: the private flags and both offsets', () => {
    wasm.bytes.fill(0xa5, AT, AT + 16);
    wasm.call('buildGueRemoteChecksum', AT, 4, 20, 36);
    expect(toHex(wasm.take(AT, 14))).toBe('020400018000000000140024a5a5');
    const remote = { start: 20, field: 36 };
    const expected = packet(ipv4(), udp(), gue({ remote }), ipv4()).subarray(28, 40);
    expect(wasm.take(AT, 12)).toEqual(expected);
    expect(wasm.call('gueHeaderLength', AT)).toBe(wasm.constant('GUE_SIZE_WITH_REMOTE_CHECKSUM'));
    expect(wasm.call('gueFlagsBe', AT)).toBe(wasm.constant('GUE_FLAG_PRIVATE_BE'));
  });

  test.each([
    ['00 04 0000', 3, 0],
    ['00 04 0000', 4, 1],
    ['02 04 0001', 11, 0],
    ['02 04 0001', 12, 1],
    ['1f 04 0001', 127, 0],
    ['1f 04 0001', 128, 1],
  ])('gue %s of which %i bytes are there: whole %i', (hex, available, whole) => {
    wasm.put(AT, fromHex(hex));
    expect(wasm.call('gueIsWhole', AT, available)).toBe(whole);
  });

  test('gue version 1 and control messages are told apart', () => {
    wasm.put(AT, fromHex('45 00 0000'));
    expect(wasm.call('gueVersion', AT)).toBe(1);
    wasm.put(AT, fromHex('20 00 0000'));
    expect(wasm.call('gueIsControl', AT)).toBe(1);
  });

  test('ah: next header, length in words less two', () => {
    wasm.put(AT, packet(ipv4(), authentication({ length: 24 }), tcp()).subarray(20));
    expect(wasm.call('ahNextHeader', AT)).toBe(6);
    expect(wasm.call('ahLength', AT)).toBe(24);
    expect(wasm.call('ahSpiBe', AT)).toBe(0xaaaaaaaa);
    expect(wasm.call('ahIsWhole', 11)).toBe(0);
    expect(wasm.call('ahIsWhole', 12)).toBe(1);
  });

  test('esp: the security parameter index', () => {
    wasm.put(AT, fromHex('01020304 00000001'));
    expect(wasm.call('espSpiBe', AT)).toBe(0x04030201);
    expect(wasm.call('espIsWhole', 7)).toBe(0);
    expect(wasm.call('espIsWhole', 8)).toBe(1);
  });
});
