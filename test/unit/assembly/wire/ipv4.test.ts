import { beforeAll, describe, expect, test } from 'vitest';
import * as linux from '../../../support/linux-checksum.ts';
import { fromHex, ipv4, packet, payload, toHex } from '../../../support/packet-builder.ts';
import { Random, seedFromEnvironment } from '../../../support/random.ts';
import { instantiate, PROBE_BUILDS, type WasmInstance } from '../../../support/wasm.ts';

const SEED = seedFromEnvironment(791);
const AT = 0x20000;
/** The header in Wikipedia's "Internet checksum": a datagram from 192.168.0.1 to 192.168.0.199. */
const HEADER = '45000073 00004000 4011b861 c0a80001 c0a800c7';

describe.each(PROBE_BUILDS)('ipv4, %s', (build) => {
  let wasm: WasmInstance;

  beforeAll(async () => {
    wasm = await instantiate(build);
  });

  function put(fields: Parameters<typeof ipv4>[0]): void {
    wasm.bytes.fill(0xa5, AT - 32, AT + 128);
    wasm.put(AT, packet(ipv4(fields), payload(8)));
  }

  function checksumIsSound(): boolean {
    return wasm.call('ipv4ChecksumIsSound', AT, wasm.call('ipv4HeaderLength', AT)) === 1;
  }

  test('a literal header is taken apart', () => {
    wasm.put(AT, fromHex(HEADER));
    expect(wasm.call('ipv4Version', AT)).toBe(4);
    expect(wasm.call('ipv4VersionAndLength', AT)).toBe(wasm.constant('IPV4_PLAIN'));
    expect(wasm.call('ipv4HeaderLength', AT)).toBe(20);
    expect(wasm.call('ipv4TypeOfService', AT)).toBe(0);
    expect(wasm.call('ipv4TotalLength', AT)).toBe(0x73);
    expect(wasm.call('ipv4IdentificationBe', AT)).toBe(0);
    expect(wasm.call('ipv4DontFragment', AT)).toBe(1);
    expect(wasm.call('ipv4MoreFragments', AT)).toBe(0);
    expect(wasm.call('ipv4FragmentOffset', AT)).toBe(0);
    expect(wasm.call('ipv4IsFragment', AT)).toBe(0);
    expect(wasm.call('ipv4TimeToLive', AT)).toBe(64);
    expect(wasm.call('ipv4Protocol', AT)).toBe(17);
    expect(wasm.call('ipv4ChecksumBe', AT)).toBe(0x61b8);
    expect(wasm.call('ipv4SourceBe', AT)).toBe(0x0100a8c0);
    expect(wasm.call('ipv4DestinationBe', AT)).toBe(0xc700a8c0);
    expect(wasm.call('ipv4PlainChecksumIsSound', AT)).toBe(1);
    expect(wasm.call('ipv4ChecksumIsSound', AT, 20)).toBe(1);
  });

  test('a header is built field by field: the literal one', () => {
    wasm.bytes.fill(0xa5, AT - 16, AT + 64);
    wasm.call('setIpv4HeaderLength', AT, 20);
    wasm.call('setIpv4TypeOfService', AT, 0);
    wasm.call('setIpv4TotalLength', AT, 0x73);
    wasm.call('setIpv4IdentificationBe', AT, 0);
    wasm.call('setIpv4FragmentFieldBe', AT, wasm.constant('IPV4_DONT_FRAGMENT_BE'));
    wasm.call('setIpv4TimeToLive', AT, 64);
    wasm.call('setIpv4Protocol', AT, 17);
    wasm.call('setIpv4SourceBe', AT, 0x0100a8c0);
    wasm.call('setIpv4DestinationBe', AT, 0xc700a8c0);
    wasm.call('fillIpv4Checksum', AT, 20);
    expect(toHex(wasm.take(AT - 2, 24))).toBe(`a5a5${HEADER.replaceAll(' ', '')}a5a5`);
  });

  test.each([
    [{ fragmentOffset: 0, moreFragments: false }, [0, 0, 0]],
    [{ fragmentOffset: 0, moreFragments: true }, [0, 1, 1]],
    [{ fragmentOffset: 1480, moreFragments: true }, [1480, 1, 1]],
    [{ fragmentOffset: 65528, moreFragments: false }, [65528, 0, 1]],
    [{ dontFragment: true }, [0, 0, 0]],
  ])('%j: offset, more, is a fragment = %j', (fields, expected) => {
    put(fields);
    const names = ['ipv4FragmentOffset', 'ipv4MoreFragments', 'ipv4IsFragment'];
    expect(names.map((name) => wasm.call(name, AT))).toEqual(expected);
    const before = wasm.take(AT, 8);
    if (wasm.call('ipv4DontFragment', AT) === 1) return;
    wasm.call('setIpv4Fragment', AT, expected[0] ?? 0, expected[1] ?? 0);
    expect(wasm.take(AT, 8)).toEqual(before);
  });

  test.each([
    [19, 5, 0],
    [20, 4, 0],
    [20, 5, 1],
    [23, 6, 0],
    [24, 6, 1],
    [60, 15, 1],
  ])('%i bytes there, header of %i words: whole %i', (available, headerWords, whole) => {
    put({ headerWords });
    expect(wasm.call('ipv4IsWhole', AT, available)).toBe(whole);
  });

  test('options count in the checksum', () => {
    put({ options: fromHex('07 0b 04 c0000201 00000000 00') });
    expect(wasm.call('ipv4HeaderLength', AT)).toBe(32);
    expect(checksumIsSound()).toBe(true);
    wasm.bytes[AT + 24] ^= 1;
    expect(checksumIsSound()).toBe(false);
  });

  test('every bit of a plain header counts in the checksum', () => {
    put({});
    expect(wasm.call('ipv4PlainChecksumIsSound', AT)).toBe(1);
    for (let bit = 0; bit < 160; bit++) {
      wasm.bytes[AT + (bit >> 3)] ^= 1 << (bit & 7);
      expect(wasm.call('ipv4PlainChecksumIsSound', AT)).toBe(0);
      wasm.bytes[AT + (bit >> 3)] ^= 1 << (bit & 7);
    }
  });

  test('time to live: all 65536 checksums as ip_decrease_ttl', () => {
    put({});
    for (let check = 0; check <= 0xffff; check++) {
      wasm.view.setUint16(AT + 10, check, true);
      wasm.bytes[AT + 8] = 64;
      wasm.call('ipv4DecrementTimeToLiveUpdatingChecksum', AT);
      expect(wasm.call('ipv4ChecksumBe', AT)).toBe(linux.decreaseTtlChecksum(check));
    }
    expect(wasm.call('ipv4TimeToLive', AT)).toBe(63);
  });

  test(`time to live 255 to 0: the checksum stays sound (seed ${SEED})`, () => {
    const random = new Random(SEED);
    put({ timeToLive: 255, identification: random.u16() });
    for (let timeToLive = 254; timeToLive >= 0; timeToLive--) {
      wasm.call('ipv4DecrementTimeToLiveUpdatingChecksum', AT);
      expect(wasm.call('ipv4TimeToLive', AT)).toBe(timeToLive);
      expect(checksumIsSound()).toBe(true);
    }
  });

  test(`addresses rewritten: the checksum that ip_send_check computes (seed ${SEED})`, () => {
    const random = new Random(SEED);
    for (let i = 0; i < 2000; i++) {
      put({ identification: random.u16() });
      // Now and then the header comes with the other form of a zero checksum.
      if (random.oneIn(4)) {
        const id = wasm.view.getUint16(AT + 4, true) + wasm.view.getUint16(AT + 10, true);
        wasm.view.setUint16(AT + 4, id > 0xffff ? id - 0xffff : id, true);
        wasm.view.setUint16(AT + 10, random.pick([0, 0xffff]), true);
      }
      expect(checksumIsSound()).toBe(true);
      const [source, destination] = [random.corner32(), random.corner32()];
      wasm.call('setIpv4SourceUpdatingChecksum', AT, source);
      wasm.call('setIpv4DestinationUpdatingChecksum', AT, destination);
      expect(wasm.call('ipv4SourceBe', AT)).toBe(source);
      expect(wasm.call('ipv4DestinationBe', AT)).toBe(destination);
      const header = wasm.take(AT, 20);
      header.fill(0, 10, 12);
      expect(wasm.call('ipv4ChecksumBe', AT)).toBe(linux.ipComputeChecksum(header));
      expect(wasm.call('ipv4ComputeChecksumBe', AT, 20)).toBe(linux.ipComputeChecksum(header));
    }
  });

  test('length and type of service rewritten: the checksum stays sound', () => {
    put({});
    wasm.call('setIpv4TotalLengthUpdatingChecksum', AT, 1500);
    wasm.call('setIpv4TypeOfServiceUpdatingChecksum', AT, 0xb8);
    expect(wasm.call('ipv4TotalLength', AT)).toBe(1500);
    expect(wasm.call('ipv4TypeOfService', AT)).toBe(0xb8);
    expect(wasm.call('ipv4VersionAndLength', AT)).toBe(0x45);
    expect(checksumIsSound()).toBe(true);
  });
});
