// ICMP errors that the director itself makes, as the kernel's icmp_send and icmp6_send would: who
// they come from, how much they quote, and when none is sent.

import { FAMILY_IPV4, FAMILY_IPV6, PROTOCOL_ICMP, PROTOCOL_ICMPV6 } from './shared/codes.ts';
import { COUNTER_ICMP_SENT, DROP_NO_FREE_FRAME } from './shared/counters.ts';
import {
  PACKET_DESTINATION,
  PACKET_FAMILY,
  PACKET_FRAGMENT_LATER,
  PACKET_FLAGS,
  PACKET_ICMP_ERROR,
  PACKET_IP_LENGTH,
  PACKET_NETWORK,
  PACKET_SOURCE,
  PACKET_TO_LOCAL,
  PORT_IPV4,
  PORT_IPV6,
  WORKER_IDENTIFICATION,
} from './shared/layout.ts';
import { FRAME_HEADROOM } from './shared/limits.ts';
import { count } from './counters.ts';
import { port, worker } from './instance.ts';
import { noteOwnError } from './own-output.ts';
import { takeFrame } from './ring.ts';
import { HOP_MAX, hopMtu, hopPort, localFlags, provokeHop, reachable, resolve } from './route.ts';
import { sendFrame } from './transmit.ts';
import { pseudoHeaderSumIpv6 } from './wire/checksum.ts';
import { ETHERNET_SIZE } from './wire/ethernet.ts';
import { ICMP_SIZE, buildIcmp, fillIcmpChecksum } from './wire/icmp.ts';
import {
  IPV4_SIZE,
  fillIpv4Checksum,
  ipv4TypeOfService,
  setIpv4DestinationBe,
  setIpv4FragmentFieldBe,
  setIpv4HeaderLength,
  setIpv4IdentificationBe,
  setIpv4Protocol,
  setIpv4SourceBe,
  setIpv4TimeToLive,
  setIpv4TotalLength,
  setIpv4TypeOfService,
} from './wire/ipv4.ts';
import {
  ipv6DestinationAt,
  IPV6_SIZE,
  ipv6SourceAt,
  setIpv6Destination,
  setIpv6HopLimit,
  setIpv6NextHeader,
  setIpv6PayloadLength,
  setIpv6Source,
  setIpv6VersionClassFlow,
} from './wire/ipv6.ts';

/** Time to live of packets the director makes. */
export const OWN_TIME_TO_LIVE: u32 = 64;
/** An error packet is no longer than this (RFC 1812 4.3.2.3). */
const ICMP_PACKET_MAX: u32 = 576;
/** No way takes less (RFC 791, 3.2). */
const IPV4_MTU_MIN: u32 = 68;
/** IPv6: no longer than the minimum MTU (RFC 4443 2.4). */
const ICMPV6_PACKET_MAX: u32 = 1280;
/** Precedence "internetwork control", and the bits of the TOS that are kept beside it. */
const TOS_INTERNETWORK_CONTROL: u32 = 0xc0;
const TOS_KEPT: u32 = 0x1e;

/** The identification of the next packet that the director makes itself. */
// @ts-ignore: decorator
@inline
export function nextIdentification(): u32 {
  const at = worker + WORKER_IDENTIFICATION;
  const value = load<u32>(at) + 1;
  store<u32>(at, value);
  return value & 0xffff;
}

/** Writes the IPv4 header of a packet of our own. Addresses are given by where they stand. */
export function buildIpv4(
  at: usize,
  source: usize,
  target: usize,
  protocol: u32,
  length: u32,
  typeOfService: u32,
): void {
  setIpv4HeaderLength(at, IPV4_SIZE);
  setIpv4TypeOfService(at, typeOfService);
  setIpv4TotalLength(at, length);
  setIpv4IdentificationBe(at, nextIdentification());
  setIpv4FragmentFieldBe(at, 0);
  setIpv4TimeToLive(at, OWN_TIME_TO_LIVE);
  setIpv4Protocol(at, protocol);
  setIpv4SourceBe(at, load<u32>(source));
  setIpv4DestinationBe(at, load<u32>(target));
  fillIpv4Checksum(at, IPV4_SIZE);
}

/** The same for IPv6; `length` is the payload's. */
export function buildIpv6(at: usize, source: usize, target: usize, protocol: u32, length: u32): void {
  setIpv6VersionClassFlow(at, 0, 0);
  setIpv6PayloadLength(at, length);
  setIpv6NextHeader(at, protocol);
  setIpv6HopLimit(at, OWN_TIME_TO_LIVE);
  setIpv6Source(at, source);
  setIpv6Destination(at, target);
}

/** An error goes out from the address that was meant if that is ours, else from the port's own. */
function errorSource(family: u32, meant: usize, hop: u32): usize {
  if (localFlags(family, meant) >= 0) return meant;
  const way = port(hopPort(hop));
  return family == FAMILY_IPV4 ? way + PORT_IPV4 : way + PORT_IPV6;
}

/**
 * Sends an ICMP or ICMPv6 error about a packet to its source. The packet is quoted as it stands at
 * PACKET_NETWORK, and stays the caller's to drop. About later fragments and ICMP errors none is sent.
 * @param rest the second word of the message: an MTU, or 0
 */
export function sendError(packet: usize, type: u32, code: u32, rest: u32): void {
  if (load<u16>(packet, PACKET_FLAGS) & <u16>(PACKET_FRAGMENT_LATER | PACKET_ICMP_ERROR)) return;
  const family = <u32>load<u8>(packet, PACKET_FAMILY);
  // The kernel sends no ICMP from an address that is only made local by a mark's route.
  if (
    family == FAMILY_IPV4 &&
    load<u16>(packet, PACKET_FLAGS) & <u16>PACKET_TO_LOCAL &&
    localFlags(family, packet + PACKET_DESTINATION) < 0
  ) {
    return;
  }
  const quoted = load<u32>(packet, PACKET_NETWORK);
  sendErrorAbout(family, packet + PACKET_SOURCE, quoted, load<u32>(packet, PACKET_IP_LENGTH), type, code, rest);
}

/** The same about `length` bytes of a packet at `quoted`, to an address of 16 readable bytes. */
export function sendErrorAbout(
  family: u32,
  receiver: usize,
  quoted: usize,
  length: u32,
  type: u32,
  code: u32,
  rest: u32,
): void {
  const hop = resolve(family, receiver);
  if (hop > HOP_MAX) return;
  if (!reachable(hop)) {
    provokeHop(hop);
    return;
  }
  const frame = takeFrame();
  if (!frame) {
    count(DROP_NO_FREE_FRAME);
    return;
  }
  const network = frame + FRAME_HEADROOM + ETHERNET_SIZE;
  const meant = family == FAMILY_IPV4 ? quoted + 16 : ipv6DestinationAt(quoted);
  const source = errorSource(family, meant, hop);
  const total =
    family == FAMILY_IPV4
      ? buildError4(network, source, receiver, quoted, length, type, code, rest, hopMtu(hop))
      : buildError6(network, source, receiver, quoted, length, type, code, rest);
  noteOwnError(family, quoted, length, total);
  if (sendFrame(network, total, family, hop)) count(COUNTER_ICMP_SENT);
}

function buildError4(
  at: usize,
  source: usize,
  receiver: usize,
  quoted: usize,
  length: u32,
  type: u32,
  code: u32,
  rest: u32,
  mtu: u32,
): u32 {
  const limit = mtu < IPV4_MTU_MIN ? IPV4_MTU_MIN : mtu < ICMP_PACKET_MAX ? mtu : ICMP_PACKET_MAX;
  const room = limit - IPV4_SIZE - ICMP_SIZE;
  const bytes = length < room ? length : room;
  const message = at + IPV4_SIZE;
  buildIcmp(message, type, code, rest);
  memory.copy(message + ICMP_SIZE, quoted, bytes);
  fillIcmpChecksum(message, ICMP_SIZE + bytes, 0);
  const typeOfService = (ipv4TypeOfService(quoted) & TOS_KEPT) | TOS_INTERNETWORK_CONTROL;
  const total = IPV4_SIZE + ICMP_SIZE + bytes;
  buildIpv4(at, source, receiver, PROTOCOL_ICMP, total, typeOfService);
  return total;
}

function buildError6(
  at: usize,
  source: usize,
  receiver: usize,
  quoted: usize,
  length: u32,
  type: u32,
  code: u32,
  rest: u32,
): u32 {
  const room = ICMPV6_PACKET_MAX - IPV6_SIZE - ICMP_SIZE;
  const bytes = length < room ? length : room;
  const message = at + IPV6_SIZE;
  buildIpv6(at, source, receiver, PROTOCOL_ICMPV6, ICMP_SIZE + bytes);
  buildIcmp(message, type, code, rest);
  memory.copy(message + ICMP_SIZE, quoted, bytes);
  const pseudo = pseudoHeaderSumIpv6(
    ipv6SourceAt(at),
    ipv6DestinationAt(at),
    PROTOCOL_ICMPV6,
    ICMP_SIZE + bytes,
  );
  fillIcmpChecksum(message, ICMP_SIZE + bytes, pseudo);
  return IPV6_SIZE + ICMP_SIZE + bytes;
}

const ICMP_UNREACHABLE: u32 = 3;
const ICMPV6_UNREACHABLE: u32 = 1;

/** "Port unreachable": no destination can serve the packet (ip_vs_leave). */
export function sendPortUnreachable(packet: usize): void {
  if (load<u8>(packet, PACKET_FAMILY) == <u8>FAMILY_IPV6) sendError(packet, ICMPV6_UNREACHABLE, 4, 0);
  else sendError(packet, ICMP_UNREACHABLE, 3, 0);
}

/** "Host unreachable": no route leads to the chosen server (dst_link_failure). */
export function sendHostUnreachable(packet: usize): void {
  if (load<u8>(packet, PACKET_FAMILY) == <u8>FAMILY_IPV6) sendError(packet, ICMPV6_UNREACHABLE, 3, 0);
  else sendError(packet, ICMP_UNREACHABLE, 1, 0);
}

/** "Time exceeded": a packet came with a time to live of 1. */
export function sendTimeExceeded(packet: usize): void {
  if (load<u8>(packet, PACKET_FAMILY) == <u8>FAMILY_IPV6) sendError(packet, 3, 0, 0);
  else sendError(packet, 11, 0, 0);
}

/** "Fragmentation needed" or "packet too big". */
export function sendTooBig(packet: usize, mtu: u32): void {
  if (load<u8>(packet, PACKET_FAMILY) == <u8>FAMILY_IPV6) sendError(packet, 2, 0, mtu);
  else sendError(packet, ICMP_UNREACHABLE, 4, mtu);
}
