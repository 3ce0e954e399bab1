import { beforeAll, describe, expect, test } from 'vitest';
import {
  addressBytes,
  fromHex,
  icmp,
  icmpv6,
  ipv4,
  ipv6,
  packet,
  tcp,
  toHex,
} from '../../../support/packet-builder.ts';
import { instantiate, PROBE_BUILDS, type WasmInstance } from '../../../support/wasm.ts';

const AT = 0x20000;
const ADDRESSES = AT + 1024;

describe.each(PROBE_BUILDS)('icmp, %s', (build) => {
  let wasm: WasmInstance;

  beforeAll(async () => {
    wasm = await instantiate(build);
  });

  test('a literal "fragmentation needed" is taken apart', () => {
    wasm.put(AT, fromHex('03 04 f6f8 0000 05dc'));
    expect(wasm.call('icmpType', AT)).toBe(wasm.constant('ICMP_UNREACHABLE'));
    expect(wasm.call('icmpCode', AT)).toBe(wasm.constant('ICMP_CODE_FRAGMENTATION_NEEDED'));
    expect(wasm.call('icmpChecksumBe', AT)).toBe(0xf8f6);
    expect(wasm.call('icmpNextHopMtu', AT)).toBe(1500);
    expect(wasm.call('icmpRest', AT)).toBe(1500);
  });

  test('an error is built around a quoted packet: the builder makes the same', () => {
    const quoted = packet(ipv4(), tcp());
    const expected = packet(ipv4(), icmp({ type: 3, code: 3 }), ipv4(), tcp()).subarray(20);
    wasm.bytes.fill(0xa5, AT - 16, AT + 128);
    wasm.put(AT + 8, quoted);
    wasm.call('buildIcmp', AT, 3, 3, 0);
    wasm.call('fillIcmpChecksum', AT, expected.length, 0);
    expect(toHex(wasm.take(AT, expected.length))).toBe(toHex(expected));
    expect(wasm.call('icmpChecksumIsSound', AT, expected.length, 0)).toBe(1);
    wasm.bytes[AT + 20] ^= 4;
    expect(wasm.call('icmpChecksumIsSound', AT, expected.length, 0)).toBe(0);
  });

  test('an ICMPv6 error is built: the pseudo-header counts', () => {
    const error = icmpv6({ type: 2, rest: 1280 });
    const expected = packet(ipv6(), error, ipv6(), tcp()).subarray(40);
    wasm.put(AT + 8, packet(ipv6(), tcp()));
    wasm.put(ADDRESSES, addressBytes('2001:db8:ffff::1'));
    wasm.put(ADDRESSES + 16, addressBytes('2001:db8:1::80'));
    const { length } = expected;
    const sum = wasm.call('pseudoHeaderSumIpv6', ADDRESSES, ADDRESSES + 16, 58, length);
    wasm.call('buildIcmp', AT, 2, 0, 1280);
    wasm.call('fillIcmpChecksum', AT, length, sum);
    expect(toHex(wasm.take(AT, length))).toBe(toHex(expected));
    expect(wasm.call('icmpChecksumIsSound', AT, length, sum)).toBe(1);
    expect(wasm.call('icmpChecksumIsSound', AT, length, 0)).toBe(0);
  });

  test('type, rest and checksum are set each on its own', () => {
    wasm.bytes.fill(0xa5, AT, AT + 16);
    wasm.call('setIcmpType', AT, 0);
    wasm.call('setIcmpChecksumBe', AT, 0x3412);
    wasm.call('setIcmpRest', AT, 0x01020304);
    expect(toHex(wasm.take(AT, 9))).toBe('00a5123401020304a5');
  });

  test('the errors that IPVS follows: 3, 4 and 11, and all of ICMPv6 below 128', () => {
    const types = Array.from({ length: 256 }, (_, type) => type);
    const errors = types.filter((type) => wasm.call('icmpTypeIsError', type) === 1);
    expect(errors).toEqual([3, 4, 11]);
    const errors6 = types.filter((type) => wasm.call('icmpv6TypeIsError', type) === 1);
    expect(errors6).toEqual(types.slice(0, 128));
  });

  test('7 bytes are no header, 8 are', () => {
    expect(wasm.call('icmpIsWhole', 7)).toBe(0);
    expect(wasm.call('icmpIsWhole', 8)).toBe(1);
  });
});
