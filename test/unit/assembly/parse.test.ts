/**
 * What the parser finds in a frame, and what it refuses: literal frames of the recordings, built
 * ones for every case, and every frame cut at every byte.
 */

import { beforeAll, describe, expect, test } from 'vitest';
import * as codes from '../../../assembly/shared/codes.ts';
import * as counters from '../../../assembly/shared/counters.ts';
import * as layout from '../../../assembly/shared/layout.ts';
import * as build from '../../support/packet-builder.ts';
import { Random, seedFromEnvironment } from '../../support/random.ts';
import { instantiate, PROBE_BUILDS, type WasmInstance } from '../../support/wasm.ts';

const {
  authentication,
  chunk,
  ethernet,
  extension,
  fragment,
  gre,
  gue,
  icmp,
  icmpv6,
  ipv4,
  ipv6,
  packet,
  payload,
  sctp,
  tcp,
  udp,
} = build;

const SEED = seedFromEnvironment(894);
const RECORD = 0x10000;
const QUOTE = RECORD + 0x1000;
const AT = 0x20000;
const PORT = 3;
const { PACKET_FRAGMENT_FIRST: FIRST, PACKET_FRAGMENT_LATER: LATER } = layout;
const { PACKET_ICMP_ERROR: ICMP_ERROR, PACKET_MORE_FRAGMENTS: MORE } = layout;

/** A packet record, read back. Offsets count from the frame's first byte. */
interface Found {
  reason: number;
  family: number;
  protocol: number;
  tcpFlags: number;
  port: number;
  flags: number;
  network: number;
  /** 0 for none. */
  transport: number;
  ipLength: number;
  headerLength: number;
  sourcePort: number;
  destinationPort: number;
  source: string;
  destination: string;
}

function found(wasm: WasmInstance, record = RECORD, at = AT): Found {
  const { bytes, view } = wasm;
  const word = (offset: number) => view.getUint32(record + offset, true);
  const family = bytes[record + layout.PACKET_FAMILY] ?? 0;
  const size = family === 6 ? 16 : 4;
  const transport = word(layout.PACKET_TRANSPORT);
  const address = (offset: number) => build.toHex(wasm.take(record + offset, size));
  return {
    reason: bytes[record + layout.PACKET_REASON] ?? 0,
    family,
    protocol: bytes[record + layout.PACKET_PROTOCOL] ?? 0,
    tcpFlags: bytes[record + layout.PACKET_TCP_FLAGS] ?? 0,
    port: bytes[record + layout.PACKET_PORT] ?? 0,
    flags: view.getUint16(record + layout.PACKET_FLAGS, true),
    network: word(layout.PACKET_NETWORK) - at,
    transport: transport === 0 ? 0 : transport - at,
    ipLength: word(layout.PACKET_IP_LENGTH),
    headerLength: word(layout.PACKET_HEADER_LENGTH),
    sourcePort: view.getUint16(record + layout.PACKET_SOURCE_PORT, false),
    destinationPort: view.getUint16(record + layout.PACKET_DESTINATION_PORT, false),
    source: address(layout.PACKET_SOURCE),
    destination: address(layout.PACKET_DESTINATION),
  };
}

/** An IPv4 address or an IPv6 address as found() gives it. */
function hex(address: string): string {
  return build.toHex(build.addressBytes(address));
}

const CLIENT = '198.51.100.1';
const VIP = '192.0.2.80';
const CLIENT6 = '2001:db8:ffff::1';
const VIP6 = '2001:db8:1::80';

describe.each(PROBE_BUILDS)('parse, %s', (name) => {
  let wasm: WasmInstance;

  beforeAll(async () => {
    wasm = await instantiate(name);
  });

  /** The record of a frame; all around the frame and in the record is garbage before. */
  function parse(frame: Uint8Array, length = frame.length): Found {
    wasm.bytes.fill(0xa5, RECORD, RECORD + layout.PACKET_SIZE);
    wasm.bytes.fill(0xa5, AT - 64, AT + 4096);
    wasm.put(AT, frame);
    wasm.call('parse', RECORD, AT, length, PORT);
    return found(wasm);
  }

  function reason(...layers: build.Layer[]): number {
    return parse(packet(ethernet(), ...layers)).reason;
  }

  /** The record of the packet that the ICMP error of these layers quotes, all but its end. */
  function parseQuoted(layers: build.Layer[], available?: number): Found {
    const bytes = packet(...layers);
    wasm.bytes.fill(0xa5, QUOTE, QUOTE + layout.PACKET_SIZE);
    wasm.put(AT, bytes);
    const family = (bytes[0] ?? 0) >> 4;
    wasm.call('parseQuoted', QUOTE, AT, available ?? bytes.length, family);
    return found(wasm, QUOTE);
  }

  describe('well-formed', () => {
    test('a SYN of the recordings: everything about it', () => {
      const frame = build.fromHex(
        '02000000000102000000000208004500002c0001400040064e46c6336401c0000250' +
          '03e80050000003e8000000006002ffffa3810000020405b4',
      );
      expect(parse(frame)).toEqual({
        reason: 0,
        family: codes.FAMILY_IPV4,
        protocol: codes.PROTOCOL_TCP,
        tcpFlags: 2,
        port: PORT,
        flags: 0,
        network: 14,
        transport: 34,
        ipLength: 44,
        headerLength: 20,
        sourcePort: 1000,
        destinationPort: 80,
        source: hex(CLIENT),
        destination: hex(VIP),
      });
    });

    test('a UDP datagram of the recordings without a checksum', () => {
      const frame = build.fromHex(
        '020000000001020000000002080045000024000640004011' +
          '4e3cc6336403c000025003e80035001000000001020304050607',
      );
      expect(parse(frame)).toMatchObject({
        reason: 0,
        protocol: codes.PROTOCOL_UDP,
        tcpFlags: 0,
        ipLength: 36,
        transport: 34,
        sourcePort: 1000,
        destinationPort: 53,
      });
    });

    test('what belongs to later stages is cleared, the frame and the rest are not', () => {
      parse(packet(ethernet(), ipv4(), tcp()));
      const word = (offset: number) => wasm.view.getUint32(RECORD + offset, true);
      const { PACKET_HASH, PACKET_HASH_OTHER, PACKET_MARK, PACKET_PARTS } = layout;
      const { PACKET_CONNECTION, PACKET_SERVICE, PACKET_FRAGMENT_MAX } = layout;
      const cleared = [PACKET_HASH, PACKET_HASH_OTHER, PACKET_MARK, PACKET_PARTS];
      for (const offset of [...cleared, PACKET_CONNECTION, PACKET_SERVICE, PACKET_FRAGMENT_MAX]) {
        expect(word(offset)).toBe(0);
      }
      expect(word(layout.PACKET_FRAME)).toBe(0xa5a5a5a5);
      expect(word(layout.PACKET_START)).toBe(AT);
      expect(word(layout.PACKET_LENGTH)).toBe(54);
    });

    test('IPv6 and TCP', () => {
      expect(parse(packet(ethernet(), ipv6(), tcp({ flags: 'FA' }), payload(7)))).toEqual({
        reason: 0,
        family: codes.FAMILY_IPV6,
        protocol: codes.PROTOCOL_TCP,
        tcpFlags: 0x11,
        port: PORT,
        flags: 0,
        network: 14,
        transport: 54,
        ipLength: 67,
        headerLength: 40,
        sourcePort: 1000,
        destinationPort: 80,
        source: hex(CLIENT6),
        destination: hex(VIP6),
      });
    });

    test('padding of a short frame is not counted', () => {
      const frame = build.concatenate(packet(ethernet(), ipv4(), udp()), new Uint8Array(18));
      expect(parse(frame)).toMatchObject({ reason: 0, ipLength: 28 });
      const frame6 = build.concatenate(packet(ethernet(), ipv6(), udp()), new Uint8Array(18));
      expect(parse(frame6)).toMatchObject({ reason: 0, ipLength: 48 });
    });

    test('IPv4 options move the transport header', () => {
      const options = build.fromHex('94040000');
      const wanted = { reason: 0, transport: 38, headerLength: 24, sourcePort: 1000 };
      expect(parse(packet(ethernet(), ipv4({ options }), tcp()))).toMatchObject(wanted);
      const longest = new Uint8Array(40).fill(1);
      expect(parse(packet(ethernet(), ipv4({ options: longest }), tcp()))).toMatchObject({
        reason: 0,
        transport: 74,
        headerLength: 60,
      });
    });

    test('IPv6 extension headers move the transport header', () => {
      const frame = packet(ethernet(), ipv6(), extension(0), authentication(), udp());
      const wanted = { reason: 0, protocol: 17, transport: 86, headerLength: 72, ipLength: 80 };
      expect(parse(frame)).toMatchObject({ ...wanted, destinationPort: 53 });
    });

    test('TCP options', () => {
      const frame = packet(ethernet(), ipv4(), tcp({ options: new Uint8Array(40) }));
      expect(parse(frame)).toMatchObject({ reason: 0, transport: 34, ipLength: 80 });
    });

    test.each([
      ['SCTP with INIT', [sctp(), chunk({ type: 1 })], 132, 1, 1000, 9],
      ['SCTP with DATA', [sctp(), chunk({ type: 0 })], 132, 0, 1000, 9],
      ['SCTP without a chunk', [sctp()], 132, 255, 1000, 9],
      ['ESP', [payload(new Uint8Array(20))], 50, 0, 0, 0],
      ['AH', [authentication(), payload(20)], 51, 0, 0, 0],
      ['GRE', [gre(), ipv4(), tcp()], 47, 0, 0, 0],
      ['IPIP', [ipv4(), tcp()], 4, 0, 0, 0],
      ['GUE', [udp(), gue(), ipv4(), tcp()], 17, 0, 1000, 53],
      ['OSPF without a payload', [], 89, 0, 0, 0],
    ] as [string, build.Layer[], number, number, number, number][])(
      'IPv4 with %s',
      (_, layers, protocol, tcpFlags, sourcePort, destinationPort) => {
        const wanted = { reason: 0, protocol, tcpFlags, sourcePort, destinationPort, flags: 0 };
        const frame = packet(ethernet(), ipv4({ protocol }), ...layers);
        expect(parse(frame)).toMatchObject({ ...wanted, transport: 34 });
      },
    );

    test('IPv6 with SCTP, and with nothing', () => {
      expect(parse(packet(ethernet(), ipv6(), sctp(), chunk({ type: 7 })))).toMatchObject({
        reason: 0,
        protocol: 132,
        tcpFlags: 7,
        destinationPort: 9,
      });
      expect(parse(packet(ethernet(), ipv6()))).toMatchObject({ reason: 0, protocol: 59 });
    });

    test('the UDP length field is not looked at, as IPVS does not', () => {
      for (const length of [0, 7, 9, 65535]) {
        expect(reason(ipv4(), udp({ length }))).toBe(0);
        expect(reason(ipv6(), udp({ length }))).toBe(0);
      }
    });

    test('transport checksums are not looked at: a wrong one stays wrong', () => {
      expect(reason(ipv4(), tcp({ checksum: 1 }))).toBe(0);
      expect(reason(ipv4(), udp({ checksum: 1 }))).toBe(0);
      expect(reason(ipv6(), tcp({ checksum: 1 }))).toBe(0);
    });
  });

  describe('ICMP', () => {
    const quote = [ipv4(), tcp()];
    const quote6 = [ipv6(), tcp()];
    test.each([
      ['echo', [ipv4(), icmp({ type: 8 })], 1, 0],
      ['unreachable', [ipv4(), icmp({ type: 3 }), ...quote], 1, ICMP_ERROR],
      ['source quench', [ipv4(), icmp({ type: 4 }), ...quote], 1, ICMP_ERROR],
      ['redirect', [ipv4(), icmp({ type: 5 }), ...quote], 1, 0],
      ['time exceeded', [ipv4(), icmp({ type: 11 }), ...quote], 1, ICMP_ERROR],
      ['parameter problem', [ipv4(), icmp({ type: 12 }), ...quote], 1, 0],
      ['unreachable, one byte too few', [ipv4(), icmp({ type: 3 }), payload(19)], 1, 0],
      [
        'unreachable, a header and no more',
        [ipv4(), icmp({ type: 3 }), payload(20)],
        1,
        ICMP_ERROR,
      ],
      ['ICMPv6 echo', [ipv6(), icmpv6({ type: 128 })], 58, 0],
      ['ICMPv6 unreachable', [ipv6(), icmpv6({ type: 1 }), ...quote6], 58, ICMP_ERROR],
      ['ICMPv6 too big', [ipv6(), icmpv6({ type: 2 }), ...quote6], 58, ICMP_ERROR],
      ['ICMPv6 type 127', [ipv6(), icmpv6({ type: 127 }), ...quote6], 58, ICMP_ERROR],
      ['ICMPv6 too big, one byte too few', [ipv6(), icmpv6({ type: 2 }), payload(39)], 58, 0],
      ['ICMP in IPv6', [ipv6(), icmp({ type: 3 }), ...quote], 1, 0],
      ['ICMPv6 in IPv4', [ipv4(), icmpv6({ type: 1 }), ...quote6], 58, 0],
    ] as [string, build.Layer[], number, number][])('%s', (_, layers, protocol, flags) => {
      const wanted = { reason: 0, protocol, flags, sourcePort: 0, destinationPort: 0 };
      expect(parse(packet(ethernet(), ...layers))).toMatchObject(wanted);
    });
  });

  describe('fragments', () => {
    test('IPv4: first, middle and last', () => {
      const frame = packet(ethernet(), ipv4(), udp(), payload(40));
      const parts = build.fragmentIpv4(frame, 16).map((part) => parse(part));
      expect(parts.map((part) => part.reason)).toEqual([0, 0, 0]);
      expect(parts.map((part) => part.flags)).toEqual([FIRST | MORE, LATER | MORE, LATER]);
      expect(parts.map((part) => part.transport)).toEqual([34, 0, 0]);
      expect(parts.map((part) => part.destinationPort)).toEqual([53, 0, 0]);
      expect(parts.map((part) => part.ipLength)).toEqual([36, 36, 36]);
      expect(parts.every((part) => part.protocol === 17 && part.source === hex(CLIENT))).toBe(true);
    });

    test('IPv6: first, middle and last', () => {
      const frame = packet(ethernet(), ipv6(), tcp({ flags: 'PA' }), payload(40));
      const parts = build.fragmentIpv6(frame, 24).map((part) => parse(part));
      expect(parts.map((part) => part.reason)).toEqual([0, 0, 0]);
      expect(parts.map((part) => part.flags)).toEqual([FIRST | MORE, LATER | MORE, LATER]);
      expect(parts.map((part) => part.transport)).toEqual([62, 0, 0]);
      expect(parts.map((part) => part.headerLength)).toEqual([48, 48, 48]);
      expect(parts.map((part) => part.destinationPort)).toEqual([80, 0, 0]);
      expect(parts.map((part) => part.tcpFlags)).toEqual([0x18, 0, 0]);
      expect(parts.every((part) => part.protocol === 6)).toBe(true);
    });

    test('IPv6, a fragment header of a whole packet: not a fragment', () => {
      const frame = packet(ethernet(), ipv6(), fragment(), udp());
      expect(parse(frame)).toMatchObject({ reason: 0, flags: 0, transport: 62, ipLength: 56 });
    });

    test('a first fragment with 8 bytes of TCP: the ports, no flags', () => {
      const frame = packet(ethernet(), ipv4(), tcp({ flags: 'SA' }), payload(40));
      expect(parse(build.fragmentIpv4(frame, 8)[0] as Uint8Array)).toMatchObject({
        reason: 0,
        flags: FIRST | MORE,
        tcpFlags: 0,
        destinationPort: 80,
      });
      expect(parse(build.fragmentIpv4(frame, 16)[0] as Uint8Array).tcpFlags).toBe(0x12);
    });

    test('the smallest later fragment: one byte', () => {
      expect(
        parse(packet(ethernet(), ipv4({ protocol: 6, fragmentOffset: 8 }), payload(1))),
      ).toMatchObject({
        reason: 0,
        flags: LATER,
        transport: 0,
      });
    });

    test.each([
      [6, counters.DROP_TCP_HEADER_TOO_SHORT],
      [17, counters.DROP_UDP_HEADER_TOO_SHORT],
      [132, counters.DROP_SCTP_HEADER_TOO_SHORT],
      [1, counters.DROP_ICMP_TOO_SHORT],
      [50, counters.DROP_IPV4_LENGTH],
    ])('a first fragment with 7 bytes of protocol %i: refused', (protocol, wanted) => {
      expect(reason(ipv4({ protocol, moreFragments: true }), payload(7))).toBe(wanted);
      expect(reason(ipv4({ protocol, moreFragments: true }), payload(8))).toBe(0);
    });
  });

  describe('malformed', () => {
    test.each([
      ['ARP', [payload(28)], 0x0806, counters.DROP_NOT_IP],
      ['a VLAN tag', [payload(50)], 0x8100, counters.DROP_NOT_IP],
      ['an IPv6 ethertype over IPv4', [ipv4(), udp(), payload(12)], 0x86dd, counters.DROP_NOT_IP],
      ['an IPv4 ethertype over IPv6', [ipv6(), udp()], 0x0800, counters.DROP_IPV4_VERSION],
    ] as [string, build.Layer[], number, number][])('%s', (_, layers, type, wanted) => {
      expect(parse(packet(ethernet({ type }), ...layers)).reason).toBe(wanted);
    });

    test.each([
      ['version 5', { version: 5 }, counters.DROP_IPV4_VERSION],
      ['header length 16', { headerWords: 4 }, counters.DROP_IPV4_HEADER_TOO_SHORT],
      ['header longer than the packet', { headerWords: 15 }, counters.DROP_IPV4_HEADER_TOO_SHORT],
      ['wrong checksum', { checksum: 0x1234 }, counters.DROP_IPV4_CHECKSUM],
      ['no checksum', { checksum: 0 }, counters.DROP_IPV4_CHECKSUM],
      ['total length below the header', { totalLength: 19 }, counters.DROP_IPV4_LENGTH],
      ['total length 0', { totalLength: 0 }, counters.DROP_IPV4_LENGTH],
      ['total length beyond the frame', { totalLength: 41 }, counters.DROP_IPV4_LENGTH],
      ['total length cuts TCP', { totalLength: 39 }, counters.DROP_TCP_HEADER_TOO_SHORT],
    ])('IPv4, %s', (_, fields, wanted) => {
      expect(reason(ipv4(fields), tcp())).toBe(wanted);
    });

    test('IPv4 with options: a wrong checksum, lengths that do not fit', () => {
      const options = new Uint8Array(8).fill(1);
      expect(reason(ipv4({ options, checksum: 1 }), tcp())).toBe(counters.DROP_IPV4_CHECKSUM);
      expect(reason(ipv4({ options, totalLength: 27 }), tcp())).toBe(counters.DROP_IPV4_LENGTH);
      expect(reason(ipv4({ options, totalLength: 49 }), tcp())).toBe(counters.DROP_IPV4_LENGTH);
    });

    test.each([
      ['payload longer than the frame', { payloadLength: 21 }, counters.DROP_IPV6_LENGTH],
      ['payload length 0 over TCP', { payloadLength: 0 }, counters.DROP_TCP_HEADER_TOO_SHORT],
      ['payload length cuts TCP', { payloadLength: 19 }, counters.DROP_TCP_HEADER_TOO_SHORT],
      ['version 4', { version: 4 }, counters.DROP_NOT_IP],
    ])('IPv6, %s', (_, fields, wanted) => {
      expect(reason(ipv6(fields), tcp())).toBe(wanted);
    });

    test('IPv6, a jumbogram', () => {
      const layers = [ipv6({ payloadLength: 0 }), extension(0), tcp()];
      expect(reason(...layers)).toBe(counters.DROP_IPV6_EXTENSION_HEADERS);
    });

    test('IPv6, extension headers without end, or cut', () => {
      const wanted = counters.DROP_IPV6_EXTENSION_HEADERS;
      const nine = new Array<build.Layer>(9).fill(extension(60));
      expect(reason(ipv6(), ...nine, tcp())).toBe(wanted);
      expect(reason(ipv6({ nextHeader: 60 }), payload(7))).toBe(wanted);
      expect(reason(ipv6({ nextHeader: 44 }), payload(7))).toBe(wanted);
      expect(reason(ipv6({ nextHeader: 60 }), payload(new Uint8Array(64).fill(60)))).toBe(wanted);
    });

    test.each([
      ['data offset 16', tcp({ headerWords: 4 }), counters.DROP_TCP_HEADER_TOO_SHORT],
      ['data offset 0', tcp({ headerWords: 0 }), counters.DROP_TCP_HEADER_TOO_SHORT],
      ['options that are not there', tcp({ headerWords: 6 }), counters.DROP_TCP_HEADER_TOO_SHORT],
    ] as [string, build.Layer, number][])('TCP, %s', (_, layer, wanted) => {
      expect(reason(ipv4(), layer)).toBe(wanted);
      expect(reason(ipv6(), layer)).toBe(wanted);
    });

    test.each([
      [6, 19, counters.DROP_TCP_HEADER_TOO_SHORT],
      [17, 7, counters.DROP_UDP_HEADER_TOO_SHORT],
      [132, 11, counters.DROP_SCTP_HEADER_TOO_SHORT],
    ])('protocol %i with %i bytes', (protocol, length, wanted) => {
      expect(reason(ipv4({ protocol }), payload(length))).toBe(wanted);
      expect(reason(ipv6({ nextHeader: protocol }), payload(length))).toBe(wanted);
    });

    test('ICMP with 7 bytes', () => {
      const wanted = counters.DROP_ICMP_TOO_SHORT;
      expect(reason(ipv4({ protocol: 1 }), payload(7))).toBe(wanted);
      expect(reason(ipv6({ nextHeader: 58 }), payload(7))).toBe(wanted);
    });

    test('a refused frame: the record says no more than where it came in', () => {
      expect(parse(packet(ethernet(), ipv4({ checksum: 1 }), tcp()))).toMatchObject({
        family: 0,
        protocol: 0,
        tcpFlags: 0,
        port: PORT,
        flags: 0,
        network: 14,
        transport: 0,
        ipLength: 0,
        headerLength: 0,
        sourcePort: 0,
        destinationPort: 0,
      });
    });
  });

  describe('cut at every byte', () => {
    const options = new Uint8Array(8).fill(1);
    test.each([
      ['IPv4, TCP', [ipv4(), tcp()]],
      ['IPv4 with options, TCP with options', [ipv4({ options }), tcp({ options })]],
      ['IPv4, UDP', [ipv4(), udp(), payload(4)]],
      ['IPv4, ICMP error', [ipv4(), icmp({ type: 3 }), ipv4(), udp()]],
      ['IPv4, SCTP', [ipv4(), sctp(), chunk()]],
      ['IPv6, TCP', [ipv6(), tcp()]],
      ['IPv6 with extension headers, UDP', [ipv6(), extension(0), fragment(), udp()]],
    ] as [string, build.Layer[]][])(
      '%s: a reason for each length, none for the whole',
      (_, layers) => {
        const frame = packet(ethernet(), ...layers);
        for (let length = 0; length < frame.length; length++) {
          const { reason } = parse(frame.subarray(0, length));
          expect(reason).toBe(expectedReasonOfCut(frame, length));
        }
        expect(parse(frame).reason).toBe(0);
      },
    );
  });

  describe('quoted packets', () => {
    test('IPv4, the whole packet', () => {
      expect(parseQuoted([ipv4(), tcp({ flags: 'PA' }), payload(20)])).toMatchObject({
        reason: 0,
        family: 4,
        protocol: 6,
        tcpFlags: 0x18,
        transport: 20,
        ipLength: 60,
        headerLength: 20,
        sourcePort: 1000,
        destinationPort: 80,
        source: hex(CLIENT),
        destination: hex(VIP),
      });
    });

    test('cut down to 8 bytes of TCP: the ports are good', () => {
      const wanted = { reason: 0, tcpFlags: 0, sourcePort: 1000, destinationPort: 80 };
      expect(parseQuoted([ipv4(), tcp()], 28)).toMatchObject({ ...wanted, ipLength: 28 });
      expect(parseQuoted([ipv6(), tcp()], 48)).toMatchObject({ ...wanted, ipLength: 48 });
    });

    test('less than the ports of the transport: refused by protocol', () => {
      expect(parseQuoted([ipv4(), tcp()], 24).reason).toBe(0);
      expect(parseQuoted([ipv4(), tcp()], 23).reason).toBe(counters.DROP_TCP_HEADER_TOO_SHORT);
      expect(parseQuoted([ipv6(), udp()], 43).reason).toBe(counters.DROP_UDP_HEADER_TOO_SHORT);
      expect(parseQuoted([ipv4(), icmp()], 23).reason).toBe(counters.DROP_ICMP_TOO_SHORT);
    });

    test('the IP checksum and the lengths may be what a router left there', () => {
      const wanted = { reason: 0, destinationPort: 53, ipLength: 28 };
      expect(parseQuoted([ipv4({ checksum: 1 }), udp()])).toMatchObject(wanted);
      expect(parseQuoted([ipv4({ totalLength: 1500 }), udp()])).toMatchObject(wanted);
      expect(parseQuoted([ipv4({ totalLength: 0 }), udp()])).toMatchObject(wanted);
      expect(parseQuoted([ipv6({ payloadLength: 1400 }), udp()])).toMatchObject({
        reason: 0,
        ipLength: 48,
      });
    });

    test('options and extension headers are walked', () => {
      const options = new Uint8Array(4);
      expect(parseQuoted([ipv4({ options }), udp()])).toMatchObject({ reason: 0, transport: 24 });
      const layers = [ipv6(), extension(60), fragment(), sctp(), chunk({ type: 6 })];
      const wanted = { reason: 0, transport: 56, protocol: 132, tcpFlags: 6, destinationPort: 9 };
      expect(parseQuoted(layers)).toMatchObject(wanted);
    });

    test('a later fragment: no transport header', () => {
      const later = ipv4({ fragmentOffset: 8, protocol: 17 });
      const wanted = { reason: 0, flags: LATER, transport: 0, destinationPort: 0 };
      expect(parseQuoted([later, payload(8)])).toMatchObject(wanted);
    });

    test('an error within an error', () => {
      const layers = [ipv4(), icmp({ type: 3 }), ipv4(), udp()];
      expect(parseQuoted(layers)).toMatchObject({ reason: 0, protocol: 1, flags: ICMP_ERROR });
    });

    test.each([
      ['no header', [ipv4(), udp()], 19, counters.DROP_IPV4_HEADER_TOO_SHORT],
      ['nothing', [ipv4(), udp()], 0, counters.DROP_IPV4_HEADER_TOO_SHORT],
      [
        'half the options',
        [ipv4({ options: new Uint8Array(8) })],
        24,
        counters.DROP_IPV4_HEADER_TOO_SHORT,
      ],
      ['no IPv6 header', [ipv6(), udp()], 39, counters.DROP_IPV6_HEADER_TOO_SHORT],
      [
        'half an extension header',
        [ipv6(), extension(0)],
        47,
        counters.DROP_IPV6_EXTENSION_HEADERS,
      ],
    ] as [string, build.Layer[], number, number][])(
      '%s: refused',
      (_, layers, available, wanted) => {
        expect(parseQuoted(layers, available).reason).toBe(wanted);
      },
    );

    test('the wrong family: refused', () => {
      wasm.put(AT, packet(ipv6(), udp()));
      wasm.call('parseQuoted', QUOTE, AT, 48, 4);
      const six = found(wasm, QUOTE).reason;
      wasm.put(AT, packet(ipv4(), udp(), payload(20)));
      wasm.call('parseQuoted', QUOTE, AT, 48, 6);
      expect(six).not.toBe(0);
      expect(found(wasm, QUOTE).reason).toBe(counters.DROP_NOT_IP);
    });
  });

  describe('partial checksums', () => {
    const partial = { checksum: 'partial' } as const;
    test.each([
      ['IPv4, TCP', [ipv4(), tcp(partial), payload(33)], [ipv4(), tcp(), payload(33)]],
      ['IPv4, UDP', [ipv4(), udp(partial), payload(33)], [ipv4(), udp(), payload(33)]],
      ['IPv6, TCP', [ipv6(), tcp(partial), payload(9)], [ipv6(), tcp(), payload(9)]],
      ['IPv6, UDP', [ipv6(), udp(partial), payload(9)], [ipv6(), udp(), payload(9)]],
      ['IPv4, SCTP', [ipv4(), sctp({ checksum: 0 }), chunk()], [ipv4(), sctp(), chunk()]],
      [
        'IPv6 with options, UDP',
        [ipv6(), extension(60), udp(partial)],
        [ipv6(), extension(60), udp()],
      ],
    ] as [string, build.Layer[], build.Layer[]][])('%s: seen and completed', (_, layers, whole) => {
      const expected = packet(ethernet(), ...whole);
      expect(parse(expected).reason).toBe(0);
      expect(wasm.call('hasPartialChecksum', RECORD)).toBe(0);
      parse(packet(ethernet(), ...layers));
      expect(wasm.call('hasPartialChecksum', RECORD)).toBe(1);
      wasm.call('completePartialChecksum', RECORD);
      expect(build.toHex(wasm.take(AT, expected.length))).toBe(build.toHex(expected));
      expect(wasm.call('hasPartialChecksum', RECORD)).toBe(0);
    });

    test(`sound, wrong and absent checksums are left alone (seed ${SEED})`, () => {
      const random = new Random(SEED);
      for (let i = 0; i < 200; i++) {
        const data = payload(random.bytes(random.below(60)));
        for (const layer of [tcp(), udp(), udp({ checksum: 0 }), tcp({ checksum: 1 })]) {
          parse(packet(ethernet(), random.pick([ipv4(), ipv6()]), layer, data));
          expect(wasm.call('hasPartialChecksum', RECORD)).toBe(0);
        }
      }
    });

    test('fragments and other protocols have none', () => {
      parse(packet(ethernet(), ipv4({ moreFragments: true }), udp(partial), payload(8)));
      expect(wasm.call('hasPartialChecksum', RECORD)).toBe(0);
      parse(packet(ethernet(), ipv4(), icmp()));
      expect(wasm.call('hasPartialChecksum', RECORD)).toBe(0);
      parse(packet(ethernet(), ipv4({ fragmentOffset: 8, protocol: 6 }), payload(40)));
      expect(wasm.call('hasPartialChecksum', RECORD)).toBe(0);
    });
  });
});

/** Why a frame of which only the first `length` bytes came in is refused. */
function expectedReasonOfCut(frame: Uint8Array, length: number): number {
  if (length < 14) return counters.DROP_FRAME_TOO_SHORT;
  if (frame[12] === 0x86) {
    return length < 54 ? counters.DROP_IPV6_HEADER_TOO_SHORT : counters.DROP_IPV6_LENGTH;
  }
  const headerLength = ((frame[14] ?? 0) & 0xf) * 4;
  if (length < 14 + headerLength) return counters.DROP_IPV4_HEADER_TOO_SHORT;
  return counters.DROP_IPV4_LENGTH;
}
