import { beforeAll, describe, expect, test } from 'vitest';
import * as linux from '../../../support/linux-checksum.ts';
import {
  addressBytes,
  fromHex,
  ipv4,
  ipv6,
  packet,
  payload,
  pseudoHeader,
  tcp,
  toHex,
  wordSum,
} from '../../../support/packet-builder.ts';
import { Random, seedFromEnvironment } from '../../../support/random.ts';
import { instantiate, PROBE_BUILDS, type WasmInstance } from '../../../support/wasm.ts';

const SEED = seedFromEnvironment(9293);
const AT = 0x20000;
const HEADER = '04d2 0050 11223344 55667788 5012 7210 abcd 0009';

describe.each(PROBE_BUILDS)('tcp, %s', (build) => {
  let wasm: WasmInstance;

  beforeAll(async () => {
    wasm = await instantiate(build);
  });

  test('a literal header is taken apart', () => {
    wasm.put(AT, fromHex(HEADER));
    expect(wasm.call('tcpSourcePortBe', AT)).toBe(0xd204);
    expect(wasm.call('tcpDestinationPortBe', AT)).toBe(0x5000);
    expect(wasm.call('tcpSequence', AT)).toBe(0x11223344);
    expect(wasm.call('tcpAcknowledgement', AT)).toBe(0x55667788);
    expect(wasm.call('tcpHeaderLength', AT)).toBe(20);
    expect(wasm.call('tcpFlags', AT)).toBe(wasm.constant('TCP_SYN') + wasm.constant('TCP_ACK'));
    expect(wasm.call('tcpWindow', AT)).toBe(0x7210);
    expect(wasm.call('tcpChecksumBe', AT)).toBe(0xcdab);
  });

  test('a header is built field by field: the literal one', () => {
    wasm.bytes.fill(0xa5, AT - 16, AT + 64);
    wasm.bytes[AT + 12] = 0;
    wasm.call('setTcpSourcePortBe', AT, 0xd204);
    wasm.call('setTcpDestinationPortBe', AT, 0x5000);
    wasm.call('setTcpSequence', AT, 0x11223344);
    wasm.call('setTcpAcknowledgement', AT, 0x55667788);
    wasm.call('setTcpHeaderLength', AT, 20);
    wasm.call('setTcpFlags', AT, 0x12);
    wasm.call('setTcpWindow', AT, 0x7210);
    wasm.call('setTcpChecksumBe', AT, 0xcdab);
    wasm.call('setTcpUrgent', AT, 9);
    expect(toHex(wasm.take(AT - 2, 24))).toBe(`a5a5${HEADER.replaceAll(' ', '')}a5a5`);
  });

  test.each([
    [19, 5, 0],
    [20, 4, 0],
    [20, 0, 0],
    [20, 5, 1],
    [23, 6, 0],
    [24, 6, 1],
    [59, 15, 0],
    [60, 15, 1],
  ])('%i bytes there, data offset %i words: whole %i', (available, headerWords, whole) => {
    wasm.bytes[AT + 12] = headerWords << 4;
    expect(wasm.call('tcpIsWhole', AT, available)).toBe(whole);
  });

  test('the checksum is filled in: over an odd payload, as the builder has it', () => {
    const segment = packet(ipv4(), tcp(), payload(5)).subarray(20);
    const source = addressBytes('198.51.100.1');
    const pseudo = pseudoHeader(source, addressBytes('192.0.2.80'), 6, segment.length);
    wasm.put(AT, segment);
    wasm.call('setTcpChecksumBe', AT, 0x5555);
    const sum = wordSum(pseudo);
    wasm.call('fillTcpChecksum', AT, segment.length, ((sum & 0xff) << 8) | (sum >> 8));
    expect(wasm.take(AT, segment.length)).toEqual(segment);
  });

  test(`rewritten in IPv6: still a sound segment (seed ${SEED})`, () => {
    const random = new Random(SEED);
    for (let i = 0; i < 500; i++) {
      const data = random.bytes(random.below(40));
      const before = { sourcePort: 1000, destinationPort: random.u16() };
      const after = { sourcePort: 1000, destinationPort: random.u16() };
      const rewritten = random.bytes(16);
      const address = Array.from({ length: 8 }, (_, i) =>
        (((rewritten[i * 2] ?? 0) << 8) | (rewritten[i * 2 + 1] ?? 0)).toString(16),
      ).join(':');
      wasm.put(AT, packet(ipv6(), tcp(before), payload(data)));
      const expected = packet(ipv6({ destination: address }), tcp(after), payload(data));
      wasm.put(AT + 512, expected);
      const ports = [before, after].map(
        ({ destinationPort: port }) => ((port & 255) << 8) | (port >> 8),
      );
      const delta = wasm.call('checksumDeltaIpv6', AT + 24, AT + 512 + 24, ...ports);
      wasm.call('setIpv6Destination', AT, AT + 512 + 24);
      wasm.call('setTcpDestinationPortBe', AT + 40, ports[1] ?? 0);
      wasm.call('updateTcpChecksum', AT + 40, delta);
      expect(toHex(wasm.take(AT, expected.length))).toBe(toHex(expected));
    }
  });

  test(`ports and sequence numbers: each setter keeps the sum (seed ${SEED})`, () => {
    const random = new Random(SEED);
    for (let i = 0; i < 2000; i++) {
      const check = random.corner16();
      wasm.put(AT, random.bytes(20));
      const rewrite = { oldAddress: 0, newAddress: 0 };
      const [oldPort, newPort] = [random.corner16(), random.corner16()];
      wasm.call('setTcpChecksumBe', AT, check);
      wasm.call('setTcpSourcePortBe', AT, oldPort);
      wasm.call('setTcpSourcePortUpdatingChecksum', AT, newPort);
      const moved = linux.tcpFastUpdate(check, { ...rewrite, oldPort, newPort });
      expect(wasm.call('tcpChecksumBe', AT)).toBe(moved);
      wasm.call('setTcpDestinationPortBe', AT, newPort);
      wasm.call('setTcpDestinationPortUpdatingChecksum', AT, oldPort);
      const back = linux.tcpFastUpdate(moved, { ...rewrite, oldPort: newPort, newPort: oldPort });
      expect(wasm.call('tcpChecksumBe', AT)).toBe(back);
      expect(wasm.call('tcpSourcePortBe', AT)).toBe(newPort);
      expect(wasm.call('tcpDestinationPortBe', AT)).toBe(oldPort);
      const [sequence, acknowledgement] = [random.corner32(), random.corner32()];
      const words = [wasm.view.getUint32(AT + 4, true), wasm.view.getUint32(AT + 8, true)] as const;
      wasm.call('setTcpSequenceUpdatingChecksum', AT, sequence);
      wasm.call('setTcpAcknowledgementUpdatingChecksum', AT, acknowledgement);
      expect(wasm.call('tcpSequence', AT)).toBe(sequence);
      expect(wasm.call('tcpAcknowledgement', AT)).toBe(acknowledgement);
      const first = linux.csumReplace4(back, words[0], wasm.view.getUint32(AT + 4, true));
      const second = linux.csumReplace4(first, words[1], wasm.view.getUint32(AT + 8, true));
      expect(wasm.call('tcpChecksumBe', AT)).toBe(second);
    }
  });
});
