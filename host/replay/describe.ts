// One line of text for a frame, with every wrong checksum marked: the `is` of a recording's output
// frames, and what makes a difference between two recordings readable.

import {
  PROTOCOL_GRE,
  PROTOCOL_ICMP,
  PROTOCOL_ICMPV6,
  PROTOCOL_IPIP,
  PROTOCOL_IPV6,
  PROTOCOL_SCTP,
  PROTOCOL_TCP,
  PROTOCOL_UDP,
} from '../../assembly/shared/codes.ts';
import { formatEndpoint } from '../config/address.ts';
import {
  addressText,
  crc32c,
  type IpHeader,
  internetChecksum,
  isIpFrame,
  pseudoHeader,
  readIpHeader,
  readU16,
  readU32,
  toHex,
} from './wire.ts';

/** The UDP port of GUE in the recordings. */
export const GUE_PORT = 6080;
const TCP_FLAGS = 'FSRPAU';
const CHUNK_NAMES: Readonly<Record<number, string>> = {
  0: 'DATA',
  1: 'INIT',
  2: 'INIT-ACK',
  4: 'HEARTBEAT',
  6: 'ABORT',
  7: 'SHUTDOWN',
  8: 'SHUTDOWN-ACK',
  9: 'ERROR',
  10: 'COOKIE-ECHO',
  11: 'COOKIE-ACK',
  14: 'SHUTDOWN-COMPLETE',
};
const ICMP_ERRORS: readonly number[] = [3, 5, 11, 12];
const ICMPV6_ERRORS: readonly number[] = [1, 2, 3, 4];

/** A packet being described: `isQuoted` says that it may be cut, so checksums mean nothing. */
interface Subject {
  readonly packet: Uint8Array;
  readonly header: IpHeader;
  readonly body: Uint8Array;
  readonly notes: string[];
  readonly isWhole: boolean;
  readonly isQuoted: boolean;
}

/** Describes an Ethernet frame. */
export function describeFrame(frame: Uint8Array): string {
  if (isIpFrame(frame)) return describePacket(frame.subarray(14));
  return `ethertype=${toHex(frame.subarray(12, 14))} ${toHex(frame.subarray(14))}`;
}

/** Describes an IP packet; one that is quoted by an error or carried in a fragment may be cut. */
export function describePacket(packet: Uint8Array, isQuoted = false): string {
  const header = readIpHeader(packet);
  if (header === undefined) return `not IP ${toHex(packet)}`;
  const subject: Subject = {
    packet,
    header,
    body: packet.subarray(header.transport, header.length),
    notes: headerNotes(packet, header),
    isWhole: !(header.fragmentOffset > 0 || header.moreFragments || isQuoted),
    isQuoted,
  };
  return describeTransport(subject) ?? describeCarried(subject);
}

function headerNotes(packet: Uint8Array, header: IpHeader): string[] {
  const notes = [`ttl=${header.hopLimit}`, `iplen=${header.length}`];
  if (header.family === 4) {
    notes.push(`id=${header.identification}`);
    if (header.dontFragment) notes.push('df');
    if (header.trafficClass !== 0) notes.push(`tos=0x${header.trafficClass.toString(16)}`);
    if (internetChecksum(packet.subarray(0, header.transport)) !== 0) notes.push('BAD-IP-CSUM');
  }
  if (header.fragmentOffset > 0 || header.moreFragments) {
    notes.push(`frag=${header.fragmentOffset}${header.moreFragments ? '+' : ''}`);
  }
  return notes;
}

function describeTransport(subject: Subject): string | undefined {
  const { header, body } = subject;
  if (header.fragmentOffset > 0) return undefined;
  switch (header.protocol) {
    case PROTOCOL_TCP:
      return body.length >= 8 ? describeTcp(subject) : undefined;
    case PROTOCOL_UDP:
      return body.length >= 8 ? describeUdp(subject) : undefined;
    case PROTOCOL_SCTP:
      return body.length >= 13 ? describeSctp(subject) : undefined;
    case PROTOCOL_ICMP:
    case PROTOCOL_ICMPV6:
      return body.length >= 8 ? describeIcmp(subject) : undefined;
    default:
      return undefined;
  }
}

function say(subject: Subject, what: string): string {
  return `${what} ${subject.notes.join(' ')}`;
}

function ends({ header, body }: Subject): string {
  const source = formatEndpoint(addressText(header.source), readU16(body, 0));
  return `${source} > ${formatEndpoint(addressText(header.destination), readU16(body, 2))}`;
}

/** Whether a TCP, UDP or ICMPv6 checksum is right. */
function sumsUp({ header, body }: Subject): boolean {
  const { source, destination, protocol } = header;
  return internetChecksum(pseudoHeader(source, destination, protocol, body.length), body) === 0;
}

function describeTcp(subject: Subject): string {
  const { body } = subject;
  if (subject.isWhole && !sumsUp(subject)) subject.notes.push('BAD-CSUM');
  const sequence = readU32(body, 4);
  if (body.length < 20) return say(subject, `tcp ${ends(subject)} seq=${sequence}`);
  const bits = body[13];
  const flags = [...TCP_FLAGS].filter((_, bit) => (bits >> bit) & 1).join('') || '-';
  const length = body.length - (body[12] >>> 4) * 4;
  const numbers = `seq=${sequence} ack=${readU32(body, 8)} len=${length}`;
  return say(subject, `tcp ${ends(subject)} ${flags} ${numbers}`);
}

function describeUdp(subject: Subject): string {
  const { body, header, packet } = subject;
  const hasChecksum = readU16(body, 6) !== 0;
  if (subject.isWhole && hasChecksum && !sumsUp(subject)) subject.notes.push('BAD-CSUM');
  const text = say(subject, `udp ${ends(subject)} len=${body.length - 8}`);
  const carried = carriedPacket(packet);
  if (carried === undefined) return text;
  const gue = toHex(body.subarray(8, body.length - carried.length));
  const inner = describePacket(carried, subject.isQuoted || header.moreFragments);
  return `${text} gue=${gue} carrying [${inner}]`;
}

function describeSctp(subject: Subject): string {
  const { body } = subject;
  const name = CHUNK_NAMES[body[12]] ?? String(body[12]);
  if (subject.isWhole) {
    const zeroed = new Uint8Array(body);
    zeroed.fill(0, 8, 12);
    const crc = crc32c(zeroed);
    const wire = (body[8] | (body[9] << 8) | (body[10] << 16) | (body[11] << 24)) >>> 0;
    if (crc !== wire) subject.notes.push('BAD-CSUM');
  }
  return say(subject, `sctp ${ends(subject)} ${name}`);
}

function describeIcmp(subject: Subject): string {
  const { header, body } = subject;
  const isVersion4 = header.protocol === PROTOCOL_ICMP;
  if (subject.isWhole) {
    const isRight = isVersion4 ? internetChecksum(body) === 0 : sumsUp(subject);
    if (!isRight) subject.notes.push('BAD-CSUM');
  }
  const between = `${addressText(header.source)} > ${addressText(header.destination)}`;
  const fields = `type=${body[0]} code=${body[1]} rest=${toHex(body.subarray(4, 8))}`;
  const text = say(subject, `${isVersion4 ? 'icmp' : 'icmp6'} ${between} ${fields}`);
  const isError = (isVersion4 ? ICMP_ERRORS : ICMPV6_ERRORS).includes(body[0]);
  if (!isError || body.length < 28) return text;
  return `${text} about [${describePacket(body.subarray(8), true)}]`;
}

function describeCarried(subject: Subject): string {
  const { packet, header, body } = subject;
  const between = `${addressText(header.source)} > ${addressText(header.destination)}`;
  const text = say(subject, `proto=${header.protocol} ${between}`);
  const carried = carriedPacket(packet);
  if (carried === undefined) {
    return say(subject, `proto=${header.protocol} ${between} len=${body.length}`);
  }
  const isGre = header.protocol === PROTOCOL_GRE;
  const gre = isGre ? ` gre=${toHex(body.subarray(0, body.length - carried.length))}` : '';
  const inner = describePacket(carried, subject.isQuoted || header.moreFragments);
  return `${text}${gre} carrying [${inner}]`;
}

/** The packet inside an IPIP, 6in4, GRE or GUE tunnel packet, when it has a whole IP header. */
export function carriedPacket(packet: Uint8Array): Uint8Array | undefined {
  const header = readIpHeader(packet);
  const carried = header && tunnelPayload(packet, header);
  if (carried === undefined || carried.length === 0) return undefined;
  return carried.length >= (carried[0] >>> 4 === 4 ? 20 : 40) ? carried : undefined;
}

function tunnelPayload(packet: Uint8Array, header: IpHeader): Uint8Array | undefined {
  const at = header.transport;
  if (header.fragmentOffset > 0 || packet.length < at + 12) return undefined;
  switch (header.protocol) {
    case PROTOCOL_IPIP:
    case PROTOCOL_IPV6:
      return packet.subarray(at);
    case PROTOCOL_GRE: {
      const flags = readU16(packet, at);
      const options = [0x8000, 0x2000, 0x1000].filter((flag) => flags & flag).length;
      return packet.subarray(at + 4 + 4 * options);
    }
    case PROTOCOL_UDP:
      if (readU16(packet, at + 2) !== GUE_PORT) return undefined;
      return packet.subarray(at + 12 + (packet[at + 8] & 31) * 4);
    default:
      return undefined;
  }
}

/** Source and destination port of a TCP, UDP or SCTP packet; zeros where there are none. */
export function packetPorts(packet: Uint8Array): readonly [number, number] {
  const header = readIpHeader(packet);
  const hasPorts =
    header !== undefined &&
    (header.protocol === PROTOCOL_TCP ||
      header.protocol === PROTOCOL_UDP ||
      header.protocol === PROTOCOL_SCTP) &&
    header.fragmentOffset === 0 &&
    packet.length >= header.transport + 4;
  if (!hasPorts) return [0, 0];
  return [readU16(packet, header.transport), readU16(packet, header.transport + 2)];
}
