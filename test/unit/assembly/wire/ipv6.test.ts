import { beforeAll, describe, expect, test } from 'vitest';
import {
  addressBytes,
  authentication,
  extension,
  fragment,
  fromHex,
  ipv6,
  type Layer,
  packet,
  payload,
  tcp,
  toHex,
} from '../../../support/packet-builder.ts';
import { instantiate, PROBE_BUILDS, type WasmInstance } from '../../../support/wasm.ts';

const AT = 0x20000;
const HEADER =
  '6b812345 0014 06 3f 20010db8000000000000000000000001 20010db8000000000000000000000080';
const TCP = tcp();

describe.each(PROBE_BUILDS)('ipv6, %s', (build) => {
  let wasm: WasmInstance;

  beforeAll(async () => {
    wasm = await instantiate(build);
  });

  /** The walk over a packet of these layers; undefined when it is malformed. */
  function walk(layers: Layer[], cut = 0): number[] | undefined {
    const bytes = packet(ipv6(), ...layers);
    wasm.put(AT, bytes);
    const result = wasm.callWide('walkIpv6', AT, bytes.length - cut);
    if (result === 0n) return undefined;
    const parts = ['walkUpperProtocol', 'walkUpperOffset', 'walkFragmentOffset'];
    return parts.map((part) => wasm.call(part, result));
  }

  test('a literal header is taken apart', () => {
    wasm.put(AT, fromHex(HEADER));
    expect(wasm.call('ipv6Version', AT)).toBe(6);
    expect(wasm.call('ipv6TrafficClass', AT)).toBe(0xb8);
    expect(wasm.call('ipv6FlowLabel', AT)).toBe(0x12345);
    expect(wasm.call('ipv6PayloadLength', AT)).toBe(20);
    expect(wasm.call('ipv6NextHeader', AT)).toBe(6);
    expect(wasm.call('ipv6HopLimit', AT)).toBe(63);
    expect(wasm.call('ipv6SourceAt', AT)).toBe(AT + 8);
    expect(wasm.call('ipv6DestinationAt', AT)).toBe(AT + 24);
  });

  test('a header is built field by field: the literal one', () => {
    wasm.bytes.fill(0xa5, AT - 16, AT + 64);
    wasm.put(AT + 256, addressBytes('2001:db8::1'));
    wasm.put(AT + 272, addressBytes('2001:db8::80'));
    wasm.call('setIpv6VersionClassFlow', AT, 0xb8, 0x12345);
    wasm.call('setIpv6PayloadLength', AT, 20);
    wasm.call('setIpv6NextHeader', AT, 6);
    wasm.call('setIpv6HopLimit', AT, 64);
    wasm.call('ipv6DecrementHopLimit', AT);
    wasm.call('setIpv6Source', AT, AT + 256);
    wasm.call('setIpv6Destination', AT, AT + 272);
    expect(toHex(wasm.take(AT - 2, 44))).toBe(`a5a5${HEADER.replaceAll(' ', '')}a5a5`);
  });

  test('39 bytes are no header, 40 are', () => {
    expect(wasm.call('ipv6IsWhole', 39)).toBe(0);
    expect(wasm.call('ipv6IsWhole', 40)).toBe(1);
  });

  const options = extension(60);
  const routing = extension(43, { length: 24 });
  test.each<[string, Layer[], number[]]>([
    ['no extension header', [TCP], [6, 40, 0]],
    ['nothing at all', [], [59, 40, 0]],
    ['hop-by-hop', [extension(0), TCP], [6, 48, 0]],
    ['three of them', [extension(0, { length: 16 }), options, routing, TCP], [6, 88, 0]],
    ['an authentication header', [authentication(), TCP], [6, 64, 0]],
    ['a fragment header of a whole packet', [fragment(), TCP], [6, 48, 40]],
    ['a first fragment', [fragment({ more: true }), options, TCP], [6, 56, 40]],
    ['a later fragment', [fragment({ offset: 8, nextHeader: 6 }), payload(9)], [6, 48, 40]],
    [
      'a later fragment of which options go on: no header is looked for',
      [extension(0), fragment({ offset: 64, nextHeader: 60 }), payload(9)],
      [60, 56, 48],
    ],
    ['as many as are walked', new Array<Layer>(8).fill(options).concat(TCP), [6, 104, 0]],
    ['no next header behind options', [options], [59, 48, 0]],
  ])('%s: protocol, its offset, the fragment header', (_, layers, expected) => {
    expect(walk(layers)).toEqual(expected);
  });

  test('one more than are walked: malformed', () => {
    expect(walk(new Array<Layer>(9).fill(options).concat(TCP))).toBeUndefined();
  });

  test('a header that names itself for ever: malformed', () => {
    const endless = new Array<Layer>(60).fill(extension(60, { nextHeader: 60 }));
    expect(walk(endless)).toBeUndefined();
  });

  test.each([
    ['options', extension(60, { length: 16 })],
    ['authentication', authentication()],
    ['fragment', fragment()],
  ])('cut inside %s: malformed at every byte, until nothing is missing', (_, layer) => {
    const { length } = packet(ipv6(), layer);
    for (let cut = 1; cut <= length - 40; cut++) expect(walk([layer], cut)).toBeUndefined();
    expect(walk([layer])).toBeDefined();
  });

  test('a length field beyond the end: malformed', () => {
    wasm.put(AT, packet(ipv6(), extension(60), TCP));
    wasm.bytes[AT + 41] = 255;
    expect(wasm.callWide('walkIpv6', AT, 68)).toBe(0n);
  });

  test('a fragment header is built and read back', () => {
    wasm.bytes.fill(0xa5, AT, AT + 16);
    wasm.call('setIpv6Fragment', AT, 17, 1448, 1, 0x44332211);
    expect(toHex(wasm.take(AT, 10))).toBe('110005a911223344a5a5');
    expect(wasm.call('ipv6FragmentOffset', AT)).toBe(1448);
    expect(wasm.call('ipv6MoreFragments', AT)).toBe(1);
    expect(wasm.call('ipv6FragmentIdentificationBe', AT)).toBe(0x44332211);
    expect(wasm.call('ipv6ExtensionNext', AT)).toBe(17);
    wasm.call('setIpv6ExtensionNext', AT, 6);
    expect(wasm.call('ipv6ExtensionNext', AT)).toBe(6);
  });
});
