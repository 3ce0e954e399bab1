// What Linux's own stack answers to a packet that is delivered to it, on a machine where nothing
// listens: resets, echo replies, "port unreachable". A pure function of the packet.
//
// Sources: RFC 9293 3.5.2 for resets, RFC 1122 3.2.2 and RFC 4443 for errors; what is Linux's own
// choice (identification 0 with DF in a reset, 0xc0 in an error's type of service, how much an
// error quotes) is as the recordings show it.

import {
  PROTOCOL_GRE,
  PROTOCOL_ICMP,
  PROTOCOL_ICMPV6,
  PROTOCOL_IPIP,
  PROTOCOL_IPV6,
  PROTOCOL_TCP,
  PROTOCOL_UDP,
} from '../../assembly/shared/codes.ts';
import {
  buildPacket,
  completeChecksum,
  concatenate,
  type IpHeader,
  internetChecksum,
  pseudoHeader,
  readU16,
  readU32,
  writeU16,
  writeU32,
} from './wire.ts';

const TCP_FIN = 1;
const TCP_SYN = 2;
const TCP_RST = 4;
const TCP_ACK = 16;
const TCP_HEADER = 20;
const UDP_HEADER = 8;
const ICMP_HEADER = 8;
const ECN_MASK = 3;
/** Bits of the type of service that an error takes over, and the precedence it gets. */
const ERROR_TOS_MASK = 0x1e;
const ERROR_PRECEDENCE = 0xc0;
/** Longest ICMP error (RFC 1812 4.3.2.3) and ICMPv6 error (RFC 4443 2.4). */
const ICMP_ERROR_MAX = 576;
const ICMPV6_ERROR_MAX = 1280;

/** An ICMP message about a packet, as type and code of its family. */
export interface IcmpError {
  readonly type: number;
  readonly code: number;
  /** The four bytes behind the checksum: an MTU or a pointer. */
  readonly rest?: number;
}

/** What the errors mean, in both families. */
export const PORT_UNREACHABLE = { 4: { type: 3, code: 3 }, 6: { type: 1, code: 4 } } as const;
export const NET_UNREACHABLE = { 4: { type: 3, code: 0 }, 6: { type: 1, code: 0 } } as const;
export const HOST_UNREACHABLE = { 4: { type: 3, code: 1 }, 6: { type: 1, code: 3 } } as const;
export const TIME_EXCEEDED = { 4: { type: 11, code: 0 }, 6: { type: 3, code: 0 } } as const;
const PROTOCOL_UNREACHABLE: IcmpError = { type: 3, code: 2 };

/** A packet for the stack: whole, its header read. */
export interface Delivered {
  readonly packet: Uint8Array;
  readonly header: IpHeader;
  /** Identification for a packet that needs one. */
  readonly identification: number;
}

/**
 * The packet that the stack sends in answer.
 * @returns undefined when it stays silent
 */
export function answerOf(delivered: Delivered): Uint8Array | undefined {
  const { packet, header } = delivered;
  const segment = packet.subarray(header.transport, Math.min(header.length, packet.length));
  switch (header.protocol) {
    case PROTOCOL_TCP:
      return resetOf(header, segment);
    case PROTOCOL_UDP:
      return isGoodUdp(header, segment)
        ? errorAbout(delivered, PORT_UNREACHABLE[header.family])
        : undefined;
    case PROTOCOL_ICMP:
    case PROTOCOL_ICMPV6:
      return echoReplyTo(delivered, segment);
    case PROTOCOL_IPIP:
    case PROTOCOL_IPV6:
    case PROTOCOL_GRE:
      // The tunnel drivers are there, but no tunnel is.
      return errorAbout(delivered, PORT_UNREACHABLE[header.family]);
    default:
      return unknownProtocol(delivered);
  }
}

function unknownProtocol(delivered: Delivered): Uint8Array | undefined {
  if (delivered.header.family === 4) return errorAbout(delivered, PROTOCOL_UNREACHABLE);
  // "Unrecognized next header", with a pointer to where it is named.
  return errorAbout(delivered, { type: 4, code: 1, rest: 6 });
}

function sumsUp({ source, destination, protocol }: IpHeader, segment: Uint8Array): boolean {
  const pseudo = pseudoHeader(source, destination, protocol, segment.length);
  return internetChecksum(pseudo, segment) === 0;
}

/** The reset for a segment that belongs to no connection. */
function resetOf(header: IpHeader, segment: Uint8Array): Uint8Array | undefined {
  if (segment.length < TCP_HEADER) return undefined;
  const headerLength = (segment[12] >>> 4) * 4;
  if (headerLength < TCP_HEADER || headerLength > segment.length) return undefined;
  const flags = segment[13];
  if (flags & TCP_RST || !sumsUp(header, segment)) return undefined;
  const reset = new Uint8Array(TCP_HEADER);
  reset.set(segment.subarray(2, 4), 0);
  reset.set(segment.subarray(0, 2), 2);
  reset[12] = (TCP_HEADER / 4) << 4;
  if (flags & TCP_ACK) {
    reset.set(segment.subarray(8, 12), 4);
    reset[13] = TCP_RST;
  } else {
    const controls = (flags & TCP_SYN ? 1 : 0) + (flags & TCP_FIN ? 1 : 0);
    const length = segment.length - headerLength + controls;
    writeU32(reset, 8, (readU32(segment, 4) + length) % 2 ** 32);
    reset[13] = TCP_RST | TCP_ACK;
  }
  const fields = {
    source: header.destination,
    destination: header.source,
    protocol: PROTOCOL_TCP,
    trafficClass: header.trafficClass & ~ECN_MASK,
    identification: 0,
    dontFragment: true,
  };
  completeChecksum(reset, 16, fields);
  return buildPacket(fields, reset);
}

function isGoodUdp(header: IpHeader, segment: Uint8Array): boolean {
  if (segment.length < UDP_HEADER) return false;
  const length = readU16(segment, 4);
  if (length < UDP_HEADER || length > segment.length) return false;
  // Only IPv4 lets the checksum out (RFC 768, RFC 8200 8.1).
  if (readU16(segment, 6) === 0) return header.family === 4;
  return sumsUp(header, segment.subarray(0, length));
}

function echoReplyTo(delivered: Delivered, segment: Uint8Array): Uint8Array | undefined {
  const { header, identification } = delivered;
  if (segment.length < ICMP_HEADER) return undefined;
  const isVersion4 = header.family === 4;
  if (isVersion4 !== (header.protocol === PROTOCOL_ICMP)) return undefined;
  const isGood = isVersion4 ? internetChecksum(segment) === 0 : sumsUp(header, segment);
  if (!isGood || segment[0] !== (isVersion4 ? 8 : 128) || segment[1] !== 0) return undefined;
  const reply = new Uint8Array(segment);
  reply[0] = isVersion4 ? 0 : 129;
  const fields = {
    source: header.destination,
    destination: header.source,
    protocol: header.protocol,
    trafficClass: header.trafficClass,
    identification,
    dontFragment: false,
  };
  writeU16(reply, 2, 0);
  if (isVersion4) writeU16(reply, 2, internetChecksum(reply));
  else completeChecksum(reply, 2, fields);
  return buildPacket(fields, reply);
}

/**
 * Builds an ICMP error about a packet.
 * @param source where it comes from; the address the packet was sent to unless given
 * @returns undefined when there must not be one: about another error, or a later fragment
 */
export function errorAbout(
  { packet, header, identification }: Delivered,
  error: IcmpError,
  source: Uint8Array = header.destination,
): Uint8Array | undefined {
  if (header.fragmentOffset > 0 || isIcmpError(packet, header)) return undefined;
  const isVersion4 = header.family === 4;
  const headers = (isVersion4 ? 20 : 40) + ICMP_HEADER;
  const room = (isVersion4 ? ICMP_ERROR_MAX : ICMPV6_ERROR_MAX) - headers;
  const length = Math.min(header.length, packet.length);
  const quoted = packet.subarray(0, Math.min(length, room));
  const head = new Uint8Array(ICMP_HEADER);
  head[0] = error.type;
  head[1] = error.code;
  writeU32(head, 4, error.rest ?? 0);
  const message = concatenate(head, quoted);
  const fields = {
    source,
    destination: header.source,
    protocol: isVersion4 ? PROTOCOL_ICMP : PROTOCOL_ICMPV6,
    trafficClass: isVersion4 ? (header.trafficClass & ERROR_TOS_MASK) | ERROR_PRECEDENCE : 0,
    identification,
    dontFragment: false,
  };
  if (isVersion4) writeU16(message, 2, internetChecksum(message));
  else completeChecksum(message, 2, fields);
  return buildPacket(fields, message);
}

/** Whether a packet is itself an ICMP error, or ICMP of a kind nobody knows. */
function isIcmpError(packet: Uint8Array, header: IpHeader): boolean {
  if (header.protocol !== (header.family === 4 ? PROTOCOL_ICMP : PROTOCOL_ICMPV6)) return false;
  if (packet.length <= header.transport) return true;
  const type = packet[header.transport];
  if (header.family === 6) return type < 128;
  return [3, 4, 5, 11, 12].includes(type) || type > 18;
}
