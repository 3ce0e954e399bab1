import { beforeAll, describe, expect, test } from 'vitest';
import { ethernet, fromHex, macBytes, packet, toHex } from '../../../support/packet-builder.ts';
import { instantiate, PROBE_BUILDS, type WasmInstance } from '../../../support/wasm.ts';

const AT = 0x20000;
const HEADER = '020000000001 0a1b2c3d4e5f 86dd';

describe.each(PROBE_BUILDS)('ethernet, %s', (build) => {
  let wasm: WasmInstance;

  beforeAll(async () => {
    wasm = await instantiate(build);
  });

  test('a literal header is taken apart', () => {
    wasm.put(AT, fromHex(HEADER));
    expect(wasm.call('ethernetTypeBe', AT)).toBe(wasm.constant('ETHERNET_TYPE_IPV6_BE'));
    expect(wasm.callWide('ethernetDestination', AT)).toBe(0x010000000002n);
    expect(wasm.callWide('ethernetSource', AT)).toBe(0x5f4e3d2c1b0an);
  });

  test('both addresses are set: neither the type nor a byte around changes', () => {
    wasm.bytes.fill(0xa5, AT - 16, AT + 32);
    wasm.call('setEthernetTypeBe', AT, wasm.constant('ETHERNET_TYPE_IPV4_BE'));
    // The two upper bytes belong to something else in a next hop's word.
    wasm.call('setEthernetAddresses', AT, 0xdead_5f4e3d2c1b0an, 0xbeef_010000000002n);
    expect(toHex(wasm.take(AT - 2, 18))).toBe(`a5a5${'0a1b2c3d4e5f'}${'020000000001'}0800a5a5`);
  });

  test('a frame is sent back: the addresses change places', () => {
    wasm.put(AT, fromHex(HEADER));
    wasm.call('swapEthernetAddresses', AT);
    expect(toHex(wasm.take(AT, 14))).toBe('0a1b2c3d4e5f02000000000186dd');
  });

  test.each([
    ['02:00:00:00:00:01', 0],
    ['01:00:5e:00:00:01', 1],
    ['33:33:00:00:00:01', 1],
    ['ff:ff:ff:ff:ff:ff', 1],
  ])('destination %s: group %i', (destination, group) => {
    wasm.put(AT, packet(ethernet({ destination })));
    expect(wasm.call('ethernetDestinationIsGroup', AT)).toBe(group);
  });

  test('a MAC address that ends at the end of memory is read without a byte more', () => {
    const at = wasm.bytes.length - 6;
    wasm.put(at, macBytes('02:00:00:00:00:07'));
    expect(wasm.callWide('loadMac', at)).toBe(0x070000000002n);
  });

  test('13 bytes are no header, 14 are', () => {
    expect(wasm.call('ethernetIsWhole', 13)).toBe(0);
    expect(wasm.call('ethernetIsWhole', 14)).toBe(1);
  });
});
