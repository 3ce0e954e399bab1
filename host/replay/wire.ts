// Frames as the replay host reads and builds them. This is the slow and plain twin of the data
// plane's wire files: bytes in network order, lengths checked at every step, nothing in place.

import { formatIpv4, formatIpv6 } from '../config/address.ts';

export const ETHERTYPE_IPV4 = 0x0800;
export const ETHERTYPE_ARP = 0x0806;
export const ETHERTYPE_IPV6 = 0x86dd;
export const ETHERNET_HEADER = 14;
const IPV4_HEADER = 20;
const IPV6_HEADER = 40;
const IPV6_FRAGMENT = 44;
const IPV6_FRAGMENT_HEADER = 8;

/** What an IP header says. Offsets count from the start of the IP packet. */
export interface IpHeader {
  readonly family: 4 | 6;
  /** Network order, 4 or 16 bytes. */
  readonly source: Uint8Array;
  readonly destination: Uint8Array;
  /** The transport's IANA number, behind an IPv6 fragment header. */
  readonly protocol: number;
  /** Where the transport's header starts. */
  readonly transport: number;
  /** The packet's bytes by its own account; the frame may hold fewer or, padded, more. */
  readonly length: number;
  readonly hopLimit: number;
  /** Type of service or traffic class. */
  readonly trafficClass: number;
  /** Offset of this fragment in bytes; 0 for a whole packet and for a first fragment. */
  readonly fragmentOffset: number;
  readonly moreFragments: boolean;
  readonly dontFragment: boolean;
  /** IPv4 identification, or that of an IPv6 fragment header (0 without one). */
  readonly identification: number;
}

/** Reads a big-endian u16; `at` must lie in `bytes`. */
export function readU16(bytes: Uint8Array, at: number): number {
  return (bytes[at] << 8) | bytes[at + 1];
}

/** Reads a big-endian u32; `at` must lie in `bytes`. */
export function readU32(bytes: Uint8Array, at: number): number {
  return readU16(bytes, at) * 65536 + readU16(bytes, at + 2);
}

/** Writes a big-endian u16. */
export function writeU16(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value >>> 8;
  bytes[at + 1] = value;
}

/** Writes a big-endian u32. */
export function writeU32(bytes: Uint8Array, at: number, value: number): void {
  writeU16(bytes, at, value >>> 16);
  writeU16(bytes, at + 2, value & 0xffff);
}

/** Puts byte strings one after the other. */
export function concatenate(...parts: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((length, part) => length + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

export function sameBytes(one: Uint8Array, other: Uint8Array): boolean {
  return one.length === other.length && one.every((byte, at) => byte === other[at]);
}

/** Lower-case hexadecimal, two digits a byte. */
export function toHex(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('hex');
}

/**
 * Reads hexadecimal digits.
 * @returns undefined when the text is not an even number of them
 */
export function fromHex(text: string): Uint8Array | undefined {
  if (text.length % 2 !== 0 || !/^[0-9a-f]*$/i.test(text)) return undefined;
  return new Uint8Array(Buffer.from(text, 'hex'));
}

/** Canonical text of an address of 4 or 16 bytes. */
export function addressText(address: Uint8Array): string {
  if (address.length === 4) return formatIpv4(readU32(address, 0));
  return formatIpv6(Array.from({ length: 8 }, (_, group) => readU16(address, group * 2)));
}

/** `02:00:00:00:00:01` as 6 bytes, or undefined when it is no MAC address. */
export function parseMac(text: string): Uint8Array | undefined {
  if (!/^[0-9a-f]{1,2}(:[0-9a-f]{1,2}){5}$/i.test(text)) return undefined;
  return Uint8Array.from(text.split(':'), (digits) => Number.parseInt(digits, 16));
}

/** Six bytes as `02:00:00:00:00:01`. */
export function macText(mac: Uint8Array): string {
  return Array.from(mac, (byte) => byte.toString(16).padStart(2, '0')).join(':');
}

/**
 * The sum of RFC 1071 over the parts, complemented. Every part but the last must have an even
 * length. Over data that holds its own checksum the result is 0 when that is right.
 */
export function internetChecksum(...parts: readonly Uint8Array[]): number {
  let sum = 0;
  for (const part of parts) {
    const even = part.length & ~1;
    for (let at = 0; at < even; at += 2) sum += readU16(part, at);
    if (even < part.length) sum += part[even] << 8;
  }
  while (sum > 0xffff) sum = (sum & 0xffff) + Math.floor(sum / 65536);
  return ~sum & 0xffff;
}

/** The pseudo header of RFC 793 or RFC 8200, by the length of the addresses. */
export function pseudoHeader(
  source: Uint8Array,
  destination: Uint8Array,
  protocol: number,
  length: number,
): Uint8Array {
  const tail = new Uint8Array(source.length === 4 ? 4 : 8);
  if (source.length === 4) {
    tail[1] = protocol;
    writeU16(tail, 2, length);
  } else {
    writeU32(tail, 0, length);
    tail[7] = protocol;
  }
  return concatenate(source, destination, tail);
}

const CRC32C_TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  let crc = byte;
  for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? 0x82f63b78 : 0);
  return crc;
});

/** CRC32c (RFC 9260 appendix A), as a number whose little-endian bytes go on the wire. */
export function crc32c(bytes: Uint8Array): number {
  let crc = 0xffffffff;
  for (const byte of bytes) crc = CRC32C_TABLE[(crc ^ byte) & 0xff] ^ (crc >>> 8);
  return ~crc >>> 0;
}

/**
 * Reads the header of an IP packet.
 * @returns undefined when the bytes are too few for one, or of no known version
 */
export function readIpHeader(packet: Uint8Array): IpHeader | undefined {
  if (packet.length === 0) return undefined;
  const version = packet[0] >>> 4;
  if (version === 4) return readIpv4Header(packet);
  return version === 6 ? readIpv6Header(packet) : undefined;
}

function readIpv4Header(packet: Uint8Array): IpHeader | undefined {
  if (packet.length < IPV4_HEADER) return undefined;
  const flags = readU16(packet, 6);
  return {
    family: 4,
    source: packet.slice(12, 16),
    destination: packet.slice(16, 20),
    protocol: packet[9],
    transport: (packet[0] & 15) * 4,
    length: readU16(packet, 2),
    hopLimit: packet[8],
    trafficClass: packet[1],
    fragmentOffset: (flags & 0x1fff) * 8,
    moreFragments: (flags & 0x2000) !== 0,
    dontFragment: (flags & 0x4000) !== 0,
    identification: readU16(packet, 4),
  };
}

function readIpv6Header(packet: Uint8Array): IpHeader | undefined {
  if (packet.length < IPV6_HEADER) return undefined;
  const isFragment =
    packet[6] === IPV6_FRAGMENT && packet.length >= IPV6_HEADER + IPV6_FRAGMENT_HEADER;
  const offset = isFragment ? readU16(packet, 42) : 0;
  return {
    family: 6,
    source: packet.slice(8, 24),
    destination: packet.slice(24, 40),
    protocol: isFragment ? packet[40] : packet[6],
    transport: isFragment ? IPV6_HEADER + IPV6_FRAGMENT_HEADER : IPV6_HEADER,
    length: IPV6_HEADER + readU16(packet, 4),
    hopLimit: packet[7],
    trafficClass: (readU16(packet, 0) >>> 4) & 0xff,
    fragmentOffset: offset & 0xfff8,
    moreFragments: (offset & 1) !== 0,
    dontFragment: false,
    identification: isFragment ? readU32(packet, 44) : 0,
  };
}

/** The frame's type, or 0 when it is too short for an Ethernet header. */
export function etherType(frame: Uint8Array): number {
  return frame.length < ETHERNET_HEADER ? 0 : readU16(frame, 12);
}

/** Whether a frame claims to carry IPv4 or IPv6. */
export function isIpFrame(frame: Uint8Array): boolean {
  const type = etherType(frame);
  return type === ETHERTYPE_IPV4 || type === ETHERTYPE_IPV6;
}

/** The bytes behind the Ethernet header. */
export function framePayload(frame: Uint8Array): Uint8Array {
  return frame.subarray(ETHERNET_HEADER);
}

/** Puts an Ethernet header in front. */
export function buildFrame(
  destination: Uint8Array,
  source: Uint8Array,
  type: number,
  payload: Uint8Array,
): Uint8Array {
  return concatenate(destination, source, Uint8Array.of(type >>> 8, type & 255), payload);
}

/** What differs between the IP packets that the director's own stack sends. */
export interface PacketFields {
  readonly source: Uint8Array;
  readonly destination: Uint8Array;
  readonly protocol: number;
  readonly trafficClass: number;
  readonly identification: number;
  readonly dontFragment: boolean;
  /** undefined: 64, which Linux starts with. */
  readonly hopLimit?: number;
}

const HOP_LIMIT = 64;

/** Builds a packet of the director's own. */
export function buildPacket(fields: PacketFields, payload: Uint8Array): Uint8Array {
  return fields.source.length === 4 ? buildIpv4(fields, payload) : buildIpv6(fields, payload);
}

function buildIpv4(fields: PacketFields, payload: Uint8Array): Uint8Array {
  const header = new Uint8Array(IPV4_HEADER);
  header[0] = 0x45;
  header[1] = fields.trafficClass;
  writeU16(header, 2, IPV4_HEADER + payload.length);
  writeU16(header, 4, fields.identification);
  writeU16(header, 6, fields.dontFragment ? 0x4000 : 0);
  header[8] = fields.hopLimit ?? HOP_LIMIT;
  header[9] = fields.protocol;
  header.set(fields.source, 12);
  header.set(fields.destination, 16);
  writeU16(header, 10, internetChecksum(header));
  return concatenate(header, payload);
}

function buildIpv6(fields: PacketFields, payload: Uint8Array): Uint8Array {
  const header = new Uint8Array(IPV6_HEADER);
  header[0] = 0x60 | (fields.trafficClass >>> 4);
  header[1] = (fields.trafficClass & 15) << 4;
  writeU16(header, 4, payload.length);
  header[6] = fields.protocol;
  header[7] = fields.hopLimit ?? HOP_LIMIT;
  header.set(fields.source, 8);
  header.set(fields.destination, 24);
  return concatenate(header, payload);
}

/** Writes the checksum of a TCP, UDP or ICMPv6 segment at `at`; the field must be zero. */
export function completeChecksum(
  segment: Uint8Array,
  at: number,
  fields: Pick<PacketFields, 'source' | 'destination' | 'protocol'>,
): void {
  const { source, destination, protocol } = fields;
  const pseudo = pseudoHeader(source, destination, protocol, segment.length);
  writeU16(segment, at, internetChecksum(pseudo, segment));
}

/** Whether two addresses share their first `length` bits. */
export function sharesPrefix(one: Uint8Array, other: Uint8Array, length: number): boolean {
  if (one.length !== other.length) return false;
  const whole = length >>> 3;
  for (let at = 0; at < whole; at++) if (one[at] !== other[at]) return false;
  const rest = length & 7;
  return rest === 0 || (one[whole] ^ other[whole]) >>> (8 - rest) === 0;
}
