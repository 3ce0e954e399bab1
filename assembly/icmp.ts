// ICMP errors about connections, in both directions and from inside our tunnels (ip_vs_in_icmp,
// ip_vs_out_icmp and their IPv6 twins). The quoted packet names the connection: it went the other
// way, so its ends are exchanged for the lookup.

import {
  FAMILY_IPV4,
  FORWARD_FULL_NAT,
  FORWARD_TUNNEL,
  PROTOCOL_AH,
  PROTOCOL_ESP,
  PROTOCOL_GRE,
  PROTOCOL_ICMPV6,
  PROTOCOL_IPIP,
  PROTOCOL_UDP,
  TUNNEL_GRE,
  TUNNEL_GUE,
  TUNNEL_IPIP,
} from './shared/codes.ts';
import {
  COUNTER_ICMP_RELAYED,
  DROP_ICMP_CHECKSUM,
  DROP_ICMP_NOT_RELATED,
  DROP_NO_DESTINATION,
} from './shared/counters.ts';
import {
  CONNECTION_CLIENT,
  CONNECTION_CLIENT_PORT,
  CONNECTION_DESTINATION,
  CONNECTION_DESTINATION_ID,
  CONNECTION_DESTINATION_PORT,
  CONNECTION_IN_PACKETS,
  CONNECTION_LOCAL,
  CONNECTION_LOCAL_PORT,
  CONNECTION_STATE,
  CONNECTION_VIRTUAL,
  CONNECTION_VIRTUAL_PORT,
  DESTINATION_SERVICE,
  DESTINATION_TUNNEL_TYPE,
  PACKET_DESTINATION,
  PACKET_DESTINATION_PORT,
  PACKET_FAMILY,
  PACKET_FLAGS,
  PACKET_FRAGMENT_FIRST,
  PACKET_FRAGMENT_LATER,
  PACKET_ICMP_ERROR,
  PACKET_IP_LENGTH,
  PACKET_MARK,
  PACKET_NETWORK,
  PACKET_PROTOCOL,
  PACKET_REASON,
  PACKET_SERVICE,
  PACKET_SOURCE,
  PACKET_SOURCE_PORT,
  PACKET_TO_LOCAL,
  PACKET_TRANSPORT,
  STATE_ONE_PACKET,
  SYSCTL_SCHEDULE_ICMP,
  WIDE_CLIENT,
  WIDE_DESTINATION,
  WIDE_LOCAL,
  WIDE_VIRTUAL,
  WORKER_SCRATCH,
} from './shared/layout.ts';
import { TICKS_PER_SECOND } from './shared/limits.ts';
import { answersPass, finishOnePacket, forwardingOf } from './connection.ts';
import { hashPacket, lookupIn, lookupOut } from './connection-table.ts';
import { count, countIn, countOut } from './counters.ts';
import { forwardIn, forwardRouted } from './forward.ts';
import { hasPorts } from './forward/nat.ts';
import { learnMtu, shimLength, wayMtu } from './forward/tunnel.ts';
import {
  decrementTimeToLive,
  dropUnroutable,
  hopIn,
  hopOut,
  lastsAnotherHop,
} from './hops.ts';
import { sendErrorAbout } from './icmp-error.ts';
import { bank, destination, destinationState, hot, now, wide, worker } from './instance.ts';
import { parseQuoted, pseudoHeaderSum, transportLength } from './parse.ts';
import { HOP_LOCAL, HOP_MAX, hopMtu } from './route.ts';
import { SCHEDULE_PASS, tryToSchedule } from './schedule.ts';
import { drop, pass, transmit } from './transmit.ts';
import { checksumNeverZero, pseudoHeaderSumIpv6 } from './wire/checksum.ts';
import { ETHERNET_TYPE_IPV4_BE } from './wire/ethernet.ts';
import { GRE_FLAG_CHECKSUM_BE, greFlagsBe, greHeaderLength, greTypeBe } from './wire/gre.ts';
import { GUE_SIZE, gueHeaderLength, gueIsControl, gueProtocol, gueVersion } from './wire/gue.ts';
import {
  ICMP_CODE_FRAGMENTATION_NEEDED,
  ICMP_SIZE,
  ICMP_SOURCE_QUENCH,
  ICMP_TIME_EXCEEDED,
  ICMP_UNREACHABLE,
  fillIcmpChecksum,
  icmpChecksumBe,
  icmpChecksumIsSound,
  icmpCode,
  icmpNextHopMtu,
  icmpRest,
  icmpType,
  setIcmpChecksumBe,
} from './wire/icmp.ts';
import {
  IPV4_SIZE,
  fillIpv4Checksum,
  ipv4DestinationBe,
  ipv4DontFragment,
  ipv4FragmentOffset,
  ipv4HeaderLength,
  ipv4Protocol,
  ipv4Version,
  setIpv4DestinationBe,
  setIpv4SourceBe,
} from './wire/ipv4.ts';
import {
  ipv6DestinationAt,
  ipv6SourceAt,
  setIpv6Destination,
  setIpv6Source,
} from './wire/ipv6.ts';
import { UDP_SIZE } from './wire/udp.ts';

/** Record of the quoted packet, behind the burst's records. */
const QUOTED: u32 = WORKER_SCRATCH + 7168;
/** Least path MTU that is learned (net.ipv4.route.min_pmtu), and how long it is remembered. */
const PATH_MTU_MIN: u32 = 552;
const PATH_MTU_SECONDS: u32 = 600;
/** The MTU handed on leaves room for the tunnel's headers, unless nothing sensible would be left. */
const TUNNELLED_MTU_MIN: u32 = 68;

/** Protocols that IPVS knows. */
function isKnown(protocol: u32): bool {
  return hasPorts(protocol) || protocol == PROTOCOL_AH || protocol == PROTOCOL_ESP;
}

/** Whether an ICMP message is an error that IPVS follows. */
function isFollowed(packet: usize, message: usize): bool {
  if (load<u8>(packet, PACKET_FAMILY) != <u8>FAMILY_IPV4) return icmpType(message) < 128;
  const type = icmpType(message);
  return type == ICMP_UNREACHABLE || type == ICMP_SOURCE_QUENCH || type == ICMP_TIME_EXCEEDED;
}

function exchange64(a: usize, b: usize): void {
  const kept = load<u64>(a);
  store<u64>(a, load<u64>(b));
  store<u64>(b, kept);
}

/** Exchanges the ends of a record: the quoted packet, seen as its answer. */
export function invert(packet: usize): void {
  exchange64(packet + PACKET_SOURCE, packet + PACKET_DESTINATION);
  exchange64(packet + PACKET_SOURCE + 8, packet + PACKET_DESTINATION + 8);
  const port = load<u16>(packet, PACKET_SOURCE_PORT);
  store<u16>(packet, load<u16>(packet, PACKET_DESTINATION_PORT), PACKET_SOURCE_PORT);
  store<u16>(packet, port, PACKET_DESTINATION_PORT);
}

/** Parses what an error quotes. @returns its record, or 0 when nothing can be learned from it */
function quotedOf(packet: usize, at: usize, available: u32): usize {
  const quoted = worker + QUOTED;
  parseQuoted(quoted, at, available, load<u8>(packet, PACKET_FAMILY));
  if (load<u32>(quoted, PACKET_REASON) & 0xff) return 0;
  if (!isKnown(load<u8>(quoted, PACKET_PROTOCOL))) return 0;
  return quoted;
}

/**
 * Handles an ICMP packet. `toLocal`: it is addressed to the director (or marked as if it were).
 * What is not an error about one of our connections is the stack's, or is routed on.
 */
export function handleIcmp(packet: usize, toLocal: bool): void {
  const message = <usize>load<u32>(packet, PACKET_TRANSPORT);
  if (!message || !isFollowed(packet, message)) {
    leave(packet, toLocal);
    return;
  }
  const isIpv4 = load<u8>(packet, PACKET_FAMILY) == <u8>FAMILY_IPV4;
  if (!isIpv4 && load<u16>(packet, PACKET_FLAGS) & <u16>(PACKET_FRAGMENT_FIRST | PACKET_FRAGMENT_LATER)) {
    drop(packet, DROP_ICMP_NOT_RELATED);
    return;
  }
  if (transportLength(packet) <= ICMP_SIZE) {
    leave(packet, toLocal);
    return;
  }
  const at = message + ICMP_SIZE;
  const available = transportLength(packet) - ICMP_SIZE;
  const quoted = quotedOf(packet, at, available);
  if (quoted) {
    invert(quoted);
    hashPacket(quoted);
    const answered = lookupOut(quoted);
    if (answered) {
      relayToClient(packet, message, answered);
      return;
    }
  }
  if (isIpv4 && toLocal && handleTunnelError(packet, message, at, available)) return;
  // The record of the quoted packet was used by the tunnel's try: it is read again.
  const again = quotedOf(packet, at, available);
  if (!again || (!isIpv4 && load<u16>(again, PACKET_FLAGS) & <u16>PACKET_FRAGMENT_LATER)) {
    leave(packet, toLocal);
    return;
  }
  relayOrSchedule(packet, again, message, toLocal);
}

/** Not ours: to the stack, or routed on like any other packet. */
function leave(packet: usize, toLocal: bool): void {
  if (toLocal) pass(packet);
  else forwardRouted(packet);
}

/** The client's side of an error: to the connection's destination, if there is a connection. */
function relayOrSchedule(packet: usize, quoted: usize, message: usize, toLocal: bool): void {
  invert(quoted);
  hashPacket(quoted);
  let index = lookupIn(quoted);
  if (!index) {
    if (!load<u32>(bank, SYSCTL_SCHEDULE_ICMP)) {
      leave(packet, toLocal);
      return;
    }
    const flags = load<u16>(quoted, PACKET_FLAGS) | <u16>PACKET_ICMP_ERROR;
    store<u16>(quoted, flags, PACKET_FLAGS);
    store<u32>(quoted, load<u32>(packet, PACKET_MARK), PACKET_MARK);
    index = tryToSchedule(quoted);
    if (index == SCHEDULE_PASS) {
      leave(packet, toLocal);
      return;
    }
    if (index > SCHEDULE_PASS) {
      drop(packet, DROP_NO_DESTINATION);
      return;
    }
  }
  if (load<u8>(packet, PACKET_FAMILY) == <u8>FAMILY_IPV4 && !checksumIsSound(packet, message)) {
    drop(packet, DROP_ICMP_CHECKSUM);
  } else {
    relayToServer(packet, message, index);
  }
  // Such a one is in no chain: it is the one just made.
  if (load<u32>(hot(index), CONNECTION_STATE) & STATE_ONE_PACKET) finishOnePacket(index);
}

function checksumIsSound(packet: usize, message: usize): bool {
  const isIpv4 = load<u8>(packet, PACKET_FAMILY) == <u8>FAMILY_IPV4;
  return icmpChecksumIsSound(message, transportLength(packet), isIpv4 ? 0 : pseudoHeaderSum(packet));
}

/** Notes whose error a packet is, for who captures a service's packets. */
function noteService(packet: usize, index: u32): void {
  const destinationId = load<u32>(hot(index), CONNECTION_DESTINATION_ID);
  if (!destinationId) return;
  store<u32>(packet, load<u32>(destination(destinationId), DESTINATION_SERVICE), PACKET_SERVICE);
}

/** An error from the client's side, towards the real server (ip_vs_icmp_xmit). */
function relayToServer(packet: usize, message: usize, index: u32): void {
  const entry = hot(index);
  const method = forwardingOf(load<u32>(entry, CONNECTION_STATE));
  noteService(packet, index);
  countIn(load<u32>(entry, CONNECTION_DESTINATION_ID), load<u32>(packet, PACKET_IP_LENGTH));
  count(COUNTER_ICMP_RELAYED);
  if (!answersPass(method)) {
    store<u32>(entry, load<u32>(entry, CONNECTION_IN_PACKETS) + 1, CONNECTION_IN_PACKETS);
    forwardIn(packet, index);
    return;
  }
  const hop = hopIn(index);
  if (hop > HOP_MAX && hop != HOP_LOCAL) {
    dropUnroutable(packet, hop);
    return;
  }
  if (hop != HOP_LOCAL) {
    if (!lastsAnotherHop(packet)) return;
    decrementTimeToLive(packet);
  }
  const isIpv4 = load<u8>(packet, PACKET_FAMILY) == <u8>FAMILY_IPV4;
  const server = isIpv4 ? entry + CONNECTION_DESTINATION : wide(index) + WIDE_DESTINATION;
  const local = isIpv4 ? entry + CONNECTION_LOCAL : wide(index) + WIDE_LOCAL;
  const isFull = method == FORWARD_FULL_NAT;
  rewriteError(
    packet,
    message,
    isFull ? local : 0,
    server,
    server,
    load<u16>(entry, CONNECTION_DESTINATION_PORT),
    isFull ? local : 0,
    load<u16>(entry, CONNECTION_LOCAL_PORT),
  );
  if (hop == HOP_LOCAL) pass(packet);
  else transmit(packet, load<u8>(packet, PACKET_FAMILY), hop);
}

/** An error from the real server's side, towards the client (handle_response_icmp). */
function relayToClient(packet: usize, message: usize, index: u32): void {
  const entry = hot(index);
  const method = forwardingOf(load<u32>(entry, CONNECTION_STATE));
  const destinationId = load<u32>(entry, CONNECTION_DESTINATION_ID);
  noteService(packet, index);
  // It came to an own address when it is full-nat's, but it is the client's.
  const flags = load<u16>(packet, PACKET_FLAGS) & ~(<u16>PACKET_TO_LOCAL);
  store<u16>(packet, flags, PACKET_FLAGS);
  count(COUNTER_ICMP_RELAYED);
  if (!answersPass(method)) {
    countOut(destinationId, load<u32>(packet, PACKET_IP_LENGTH));
    forwardRouted(packet);
    return;
  }
  if (!checksumIsSound(packet, message)) {
    drop(packet, DROP_ICMP_CHECKSUM);
    return;
  }
  const hop = hopOut(index);
  if (hop > HOP_MAX) {
    dropUnroutable(packet, hop);
    return;
  }
  if (!lastsAnotherHop(packet)) return;
  decrementTimeToLive(packet);
  const isIpv4 = load<u8>(packet, PACKET_FAMILY) == <u8>FAMILY_IPV4;
  const virtual = isIpv4 ? entry + CONNECTION_VIRTUAL : wide(index) + WIDE_VIRTUAL;
  const client = isIpv4 ? entry + CONNECTION_CLIENT : wide(index) + WIDE_CLIENT;
  const isFull = method == FORWARD_FULL_NAT;
  rewriteError(
    packet,
    message,
    virtual,
    isFull ? client : 0,
    isFull ? client : 0,
    load<u16>(entry, CONNECTION_CLIENT_PORT),
    virtual,
    load<u16>(entry, CONNECTION_VIRTUAL_PORT),
  );
  countOut(destinationId, load<u32>(packet, PACKET_IP_LENGTH));
  transmit(packet, load<u8>(packet, PACKET_FAMILY), hop);
}

/**
 * Rewrites an error and the packet it quotes (ip_vs_nat_icmp): addresses where one is given, ports
 * where the quoted protocol has them, all checksums but the quoted packet's own transport one.
 */
function rewriteError(
  packet: usize,
  message: usize,
  source: usize,
  target: usize,
  quotedSource: usize,
  quotedSourcePort: u32,
  quotedTarget: usize,
  quotedTargetPort: u32,
): void {
  const network: usize = load<u32>(packet, PACKET_NETWORK);
  const inner = message + ICMP_SIZE;
  const quoted = worker + QUOTED;
  const transport = <usize>load<u32>(quoted, PACKET_TRANSPORT);
  const ports = transport != 0 && hasPorts(load<u8>(quoted, PACKET_PROTOCOL));
  let pseudo: u32 = 0;
  const length = transportLength(packet);
  if (load<u8>(packet, PACKET_FAMILY) == <u8>FAMILY_IPV4) {
    if (source) setIpv4SourceBe(network, load<u32>(source));
    if (target) setIpv4DestinationBe(network, load<u32>(target));
    fillIpv4Checksum(network, ipv4HeaderLength(network));
    if (quotedSource) setIpv4SourceBe(inner, load<u32>(quotedSource));
    if (quotedTarget) setIpv4DestinationBe(inner, load<u32>(quotedTarget));
    fillIpv4Checksum(inner, ipv4HeaderLength(inner));
  } else {
    if (source) setIpv6Source(network, source);
    if (target) setIpv6Destination(network, target);
    if (quotedSource) setIpv6Source(inner, quotedSource);
    if (quotedTarget) setIpv6Destination(inner, quotedTarget);
    pseudo = pseudoHeaderSumIpv6(ipv6SourceAt(network), ipv6DestinationAt(network), PROTOCOL_ICMPV6, length);
  }
  if (ports && quotedSource) store<u16>(transport, <u16>quotedSourcePort);
  if (ports && quotedTarget) store<u16>(transport + 2, <u16>quotedTargetPort);
  fillIcmpChecksum(message, length, pseudo);
  // The kernel leaves ICMPv6's to the last moment, where its rule for UDP holds: never zero.
  if (pseudo) setIcmpChecksumBe(message, checksumNeverZero(icmpChecksumBe(message)));
}

/** The type of tunnel that a quoted outer header belongs to, and where the client's packet begins. */
function tunnelInner(outer: usize, available: u32): u32 {
  if (available < IPV4_SIZE + IPV4_SIZE) return 0;
  const headerLength = ipv4HeaderLength(outer);
  const protocol = ipv4Protocol(outer);
  if (ipv4FragmentOffset(outer) != 0) return 0;
  if (protocol == PROTOCOL_IPIP) return headerLength | (TUNNEL_IPIP << 16);
  if (protocol == PROTOCOL_UDP) {
    if (available < headerLength + UDP_SIZE + GUE_SIZE) return 0;
    const gue = outer + headerLength + UDP_SIZE;
    if (gueVersion(gue) != 0 || gueIsControl(gue) || gueProtocol(gue) != PROTOCOL_IPIP) return 0;
    return (headerLength + UDP_SIZE + gueHeaderLength(gue)) | (TUNNEL_GUE << 16);
  }
  if (protocol == PROTOCOL_GRE) {
    if (available < headerLength + 4) return 0;
    const gre = outer + headerLength;
    if (greFlagsBe(gre) & ~GRE_FLAG_CHECKSUM_BE || greTypeBe(gre) != ETHERNET_TYPE_IPV4_BE) return 0;
    return (headerLength + greHeaderLength(gre)) | (TUNNEL_GRE << 16);
  }
  return 0;
}

/**
 * An error about a tunnel packet of ours becomes one about the packet inside, for the client.
 * @returns whether it was one; the packet is dealt with then
 */
function handleTunnelError(packet: usize, message: usize, outer: usize, available: u32): bool {
  const found = tunnelInner(outer, available);
  if (!found) return false;
  const offset = found & 0xffff;
  if (available < offset + IPV4_SIZE || ipv4Version(outer + offset) != 4) return false;
  const inner = outer + offset;
  const quoted = quotedOf(packet, inner, available - offset);
  if (!quoted) return false;
  hashPacket(quoted);
  const index = lookupIn(quoted);
  if (!index) return false;
  const entry = hot(index);
  const destinationId = load<u32>(entry, CONNECTION_DESTINATION_ID);
  const config = destination(destinationId);
  if (
    forwardingOf(load<u32>(entry, CONNECTION_STATE)) != FORWARD_TUNNEL ||
    <u32>load<u8>(config, DESTINATION_TUNNEL_TYPE) != found >> 16 ||
    load<u32>(entry, CONNECTION_DESTINATION) != ipv4DestinationBe(outer)
  ) {
    return false;
  }
  if (!checksumIsSound(packet, message)) {
    drop(packet, DROP_ICMP_CHECKSUM);
    return true;
  }
  relayTunnelError(packet, message, index, inner, available - offset);
  return true;
}

function relayTunnelError(
  packet: usize,
  message: usize,
  index: u32,
  inner: usize,
  available: u32,
): void {
  const type = icmpType(message);
  const code = icmpCode(message);
  const destinationId = load<u32>(hot(index), CONNECTION_DESTINATION_ID);
  let rest = icmpRest(message);
  noteService(packet, index);
  if (type == ICMP_UNREACHABLE && code == ICMP_CODE_FRAGMENTATION_NEEDED) {
    // The route still has its old MTU when the client is told; the new one counts from here on.
    const hop = hopIn(index);
    const mtu = hop > HOP_MAX ? icmpNextHopMtu(message) : wayMtu(destinationId, hop);
    learnPathMtu(destinationId, icmpNextHopMtu(message), hop);
    if (!ipv4DontFragment(inner)) {
      drop(packet, DROP_ICMP_NOT_RELATED);
      return;
    }
    const overhead = IPV4_SIZE + shimLength(destination(destinationId));
    rest = mtu > TUNNELLED_MTU_MIN + overhead ? mtu - overhead : mtu;
  }
  const quoted = worker + QUOTED;
  sendErrorAbout(FAMILY_IPV4, quoted + PACKET_SOURCE, inner, available, type, code, rest);
  countOut(destinationId, available);
  drop(packet, COUNTER_ICMP_RELAYED);
}

/** Remembers a path MTU smaller than the port's (ipv4_update_pmtu). */
function learnPathMtu(destinationId: u32, mtu: u32, hop: u32): void {
  const least = mtu < PATH_MTU_MIN ? PATH_MTU_MIN : mtu;
  if (hop <= HOP_MAX && least >= hopMtu(hop)) return;
  const state = destinationState(destinationId);
  learnMtu(state, least, now + PATH_MTU_SECONDS * TICKS_PER_SECOND);
}
