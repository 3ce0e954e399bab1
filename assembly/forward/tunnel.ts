// Tunnels: an outer header in front of the packet, in the headroom of its own frame: IPIP, GRE and
// GUE over IPv4 or IPv6, carrying IPv4 or IPv6 (ip_vs_tunnel_xmit, ip_vs_tunnel_xmit_v6).
//
//   | Ethernet | outer IP | UDP + GUE, or GRE, or nothing | the client's packet, one hop older |

import {
  FAMILY_IPV4,
  FAMILY_IPV6,
  PROTOCOL_GRE,
  PROTOCOL_IPIP,
  PROTOCOL_IPV6,
  PROTOCOL_UDP,
  TUNNEL_CHECKSUM,
  TUNNEL_GRE,
  TUNNEL_GUE,
  TUNNEL_IPIP,
  TUNNEL_NO_CHECKSUM,
} from '../shared/codes.ts';
import { DROP_PACKET_TOO_BIG } from '../shared/counters.ts';
import {
  CONNECTION_DESTINATION_ID,
  DESTINATION_STATE_OUTER_ENDS,
  DESTINATION_STATE_OUTER_SUM,
  DESTINATION_STATE_PATH_MTU,
  DESTINATION_STATE_PATH_MTU_EXPIRES,
  DESTINATION_STATE_SOURCE,
  DESTINATION_STATE_TUNNEL_ROOM,
  DESTINATION_TUNNEL_FLAGS,
  DESTINATION_TUNNEL_PORT,
  DESTINATION_TUNNEL_TYPE,
  PACKET_FAMILY,
  PACKET_FRAGMENT_MAX,
  PACKET_HASH,
  PACKET_IP_LENGTH,
  PACKET_NETWORK,
  PORT_MTU,
  SYSCTL_PMTU_DISC,
  TUNNEL_ROOM_BITS,
} from '../shared/layout.ts';
import { destinationAddress, destinationFamily, fitsMtu } from '../hops.ts';
import { nextIdentification } from '../icmp-error.ts';
import { bank, destination, destinationState, hot, now, port, tablesGeneration } from '../instance.ts';
import { hopMtu, hopPort, sourceFor } from '../route.ts';
import { drop } from '../transmit.ts';
import { checksumFold, checksumFold64, pseudoHeaderSumIpv4, pseudoHeaderSumIpv6 } from '../wire/checksum.ts';
import { ETHERNET_TYPE_IPV4_BE, ETHERNET_TYPE_IPV6_BE } from '../wire/ethernet.ts';
import { GRE_SIZE, GRE_SIZE_WITH_CHECKSUM, buildGre, buildGreFillingChecksum } from '../wire/gre.ts';
import { GUE_SIZE, buildGue } from '../wire/gue.ts';
import {
  IPV4_DONT_FRAGMENT_BE,
  IPV4_PLAIN,
  IPV4_SIZE,
  ipv4FragmentFieldBe,
  ipv4TimeToLive,
  ipv4TypeOfService,
  setIpv4DestinationBe,
  setIpv4SourceBe,
} from '../wire/ipv4.ts';
import {
  ipv6DestinationAt,
  IPV6_SIZE,
  ipv6SourceAt,
  ipv6HopLimit,
  ipv6TrafficClass,
  setIpv6Destination,
  setIpv6Source,
} from '../wire/ipv6.ts';
import {
  UDP_SIZE,
  fillUdpChecksum,
  setUdpChecksumBe,
  setUdpDestinationPortBe,
  setUdpLength,
  setUdpSourcePortBe,
} from '../wire/udp.ts';

/** Least MTU a tunnel may leave to the packet inside. */
const TUNNEL_MTU_MIN_IPV4: u32 = 68;
const TUNNEL_MTU_MIN_IPV6: u32 = 1280;
/** GUE's source ports: the kernel's default ip_local_port_range, which udp_flow_src_port uses. */
const FLOW_PORT_FIRST: u32 = 32768;
const FLOW_PORTS: u32 = 60999 - 32768;

/** Bytes between the outer IP header and the client's packet. */
export function shimLength(config: usize): u32 {
  const type = <u32>load<u8>(config, DESTINATION_TUNNEL_TYPE);
  if (type == TUNNEL_GUE) return UDP_SIZE + GUE_SIZE;
  if (type == TUNNEL_GRE) return greLength(config);
  return 0;
}

function greLength(config: usize): u32 {
  const sums = (<u32>load<u8>(config, DESTINATION_TUNNEL_FLAGS) & TUNNEL_CHECKSUM) != 0;
  return sums ? GRE_SIZE_WITH_CHECKSUM : GRE_SIZE;
}

/** MTU of the way to a tunnel's end: the port's, or a smaller one that an error has told us. */
export function wayMtu(destinationId: u32, hop: u32): u32 {
  const mtu = hopMtu(hop);
  const state = destinationState(destinationId);
  const learned = learnedMtu(state);
  return learned && learned < mtu ? learned : mtu;
}

/** The path MTU that an error has told us, while it lasts, or 0. */
function learnedMtu(state: usize): u32 {
  const left = <i32>(load<u32>(state, DESTINATION_STATE_PATH_MTU_EXPIRES) - now);
  return left > 0 ? load<u32>(state, DESTINATION_STATE_PATH_MTU) : 0;
}

/** Notes a path MTU, which lasts until a tick. Packets of the destination are asked about it then. */
export function learnMtu(state: usize, mtu: u32, until: u32): void {
  store<u32>(state, until, DESTINATION_STATE_PATH_MTU_EXPIRES);
  store<u32>(state, mtu, DESTINATION_STATE_PATH_MTU);
  atomic.store<u64>(state + DESTINATION_STATE_TUNNEL_ROOM, 0);
}

/**
 * ECN of the outer header: the inner one's, but "congestion experienced" (3) stays inside and
 * becomes "capable" (2) outside (RFC 3168 9.1.1).
 */
// @ts-ignore: decorator
@inline
function outerTypeOfService(inner: u32): u32 {
  return inner - ((inner >> 1) & inner & 1);
}

/** Writes UDP and GUE at `at`, `length` bytes with what they carry; the checksum comes last. */
function buildGueTunnel(at: usize, config: usize, inner: u32, length: u32, hash: u32): void {
  buildGue(at + UDP_SIZE, inner);
  const flow = FLOW_PORT_FIRST + <u32>((<u64>hash * FLOW_PORTS) >> 32);
  setUdpSourcePortBe(at, <u32>bswap<u16>(<u16>flow));
  setUdpDestinationPortBe(at, load<u16>(config, DESTINATION_TUNNEL_PORT));
  setUdpLength(at, length);
  setUdpChecksumBe(at, 0);
}

/** Writes what stands between the headers; returns the outer header's protocol. */
function buildShim(packet: usize, config: usize, at: usize, inner: u32, length: u32): u32 {
  const type = <u32>load<u8>(config, DESTINATION_TUNNEL_TYPE);
  if (type == TUNNEL_GUE) {
    buildGueTunnel(at, config, inner, length, load<u32>(packet, PACKET_HASH));
    return PROTOCOL_UDP;
  }
  if (type == TUNNEL_GRE) {
    const carried = inner == PROTOCOL_IPIP ? ETHERNET_TYPE_IPV4_BE : ETHERNET_TYPE_IPV6_BE;
    if (greLength(config) == GRE_SIZE) buildGre(at, carried);
    else buildGreFillingChecksum(at, carried, length);
    return PROTOCOL_GRE;
  }
  return inner;
}

/** Where the outer source address stands: looked up once for each set of tables. */
function outerSource(destinationId: u32, family: u32, target: usize, portIndex: u32): usize {
  const state = destinationState(destinationId);
  const known = load<u64>(state, DESTINATION_STATE_SOURCE);
  const generation = tablesGeneration();
  if (<u32>known && <u32>(known >> 32) == generation) return <u32>known;
  const found = sourceFor(family, target, portIndex);
  if (family == FAMILY_IPV4) noteOuter4(state, load<u32>(found), load<u32>(target));
  const source = (<u64>generation << 32) | <u64>(<u32>found);
  atomic.store<u64>(state + DESTINATION_STATE_SOURCE, source);
  const room = roomBase(generation) + <u64>plainRoom(destinationId, family, portIndex);
  atomic.store<u64>(state + DESTINATION_STATE_TUNNEL_ROOM, room);
  return found;
}

/** Notes what writePlainOuter4() writes to a destination. */
function noteOuter4(state: usize, sourceBe: u32, targetBe: u32): void {
  const fixed = IPV4_DONT_FRAGMENT_BE + (PROTOCOL_IPIP << 8);
  const sum = <u64>sourceBe + <u64>targetBe + <u64>fixed;
  store<u32>(state, checksumFold64(sum), DESTINATION_STATE_OUTER_SUM);
  store<u64>(state, <u64>sourceBe | (<u64>targetBe << 32), DESTINATION_STATE_OUTER_ENDS);
}

/** The longest packet that fits into a tunnel of plain IP in IP out of a port; 0: not plain. */
function plainRoom(destinationId: u32, family: u32, portIndex: u32): u32 {
  const type = <u32>load<u8>(destination(destinationId), DESTINATION_TUNNEL_TYPE);
  const outer: u32 = family == FAMILY_IPV4 ? IPV4_SIZE : IPV6_SIZE;
  const least = outer + (family == FAMILY_IPV4 ? TUNNEL_MTU_MIN_IPV4 : TUNNEL_MTU_MIN_IPV6);
  const mtu = load<u32>(port(portIndex), PORT_MTU);
  if (type != TUNNEL_IPIP || mtu < least || learnedMtu(destinationState(destinationId))) return 0;
  return mtu - outer;
}

/** What a room of 0 is noted as. @param generation of the tables, by tablesGeneration() */
// @ts-ignore: decorator
@inline
export function roomBase(generation: u32): u64 {
  return <u64>generation << TUNNEL_ROOM_BITS;
}

/**
 * The first two bytes of an outer IPv4 header, as loaded, by those of an IPv4 header without options
 * inside.
 */
// @ts-ignore: decorator
@inline
export function outerStart4(inner: usize): u32 {
  const start = <u32>load<u16>(inner);
  return start - ((start >> 1) & start & 0x100);
}

/** The first four bytes of an outer IPv6 header, as loaded, by those of one inside. */
// @ts-ignore: decorator
@inline
export function outerStart6(inner: usize): u32 {
  // Version and traffic class: the flow label is 0 outside.
  const start = load<u32>(inner) & 0xf0ff;
  return start - ((start >> 1) & start & 0x1000);
}

/**
 * Writes an outer IPv4 header.
 * @param start its first two bytes as loaded
 */
// @ts-ignore: decorator
@inline
export function writeOuter4(
  at: usize,
  start: u32,
  fragmentField: u32,
  hops: u32,
  protocol: u32,
  total: u32,
  sourceBe: u32,
  targetBe: u32,
): void {
  // The header's words as they are stored: the checksum is their sum, and no byte is read back.
  const lengths = start | (total << 24) | ((total << 8) & 0xff0000);
  const identification = (fragmentField ? 0 : nextIdentification()) | (fragmentField << 16);
  const rest = hops | (protocol << 8);
  const sum =
    <u64>lengths + <u64>identification + <u64>rest + <u64>sourceBe + <u64>targetBe;
  store<u64>(at, <u64>lengths | (<u64>identification << 32));
  store<u32>(at, rest | (~checksumFold64(sum) << 16), 8);
  setIpv4SourceBe(at, sourceBe);
  setIpv4DestinationBe(at, targetBe);
}

/** "Don't fragment" and no identification: the upper half of a plain outer header's first 8 bytes. */
const PLAIN_FRAGMENT: u32 = IPV4_DONT_FRAGMENT_BE << 16;
/** What such a header has of the first 8 bytes of the one inside: all but the identification. */
const PLAIN_KEPT: u64 = (<u64>PLAIN_FRAGMENT << 32) | 0xffffffff;

/**
 * The first 8 bytes, as loaded, of a plain outer IPv4 header around an IPv4 header without options: it
 * is not to be fragmented, and its length's lower byte does not overflow.
 * @param first 8 bytes of the header inside, as loaded
 */
// @ts-ignore: decorator
@inline
export function plainStart4(first: u64): u64 {
  return (first & PLAIN_KEPT) + (<u64>IPV4_SIZE << 24);
}

/** Whether an outer header that begins so is not plain, or congestion was noted inside (ECN). */
// @ts-ignore: decorator
@inline
export function isUnusualStart4(start: u64): u32 {
  return (<u32>(start >> 32) ^ PLAIN_FRAGMENT) | u32((<u32>start & 0x300) == 0x300);
}

/**
 * Writes a plain outer IPv4 header, by what is known of the destination.
 * @param start by plainStart4()
 */
// @ts-ignore: decorator
@inline
export function writePlainOuter4(at: usize, state: usize, start: u64, hops: u32): void {
  const lengths = <u32>start;
  const sum = checksumFold(
    (lengths & 0xffff) + (lengths >> 16) + hops + load<u32>(state, DESTINATION_STATE_OUTER_SUM),
  );
  store<u64>(at, start);
  store<u32>(at, hops | (PROTOCOL_IPIP << 8) | (~sum << 16), 8);
  store<u64>(at, load<u64>(state, DESTINATION_STATE_OUTER_ENDS), 12);
}

/**
 * What an outer header's fragment field around IPv4 has of the packet's own, network order: "don't
 * fragment".
 */
export function fragmentMask4(): u32 {
  return load<u32>(bank, SYSCTL_PMTU_DISC) ? IPV4_DONT_FRAGMENT_BE : 0;
}

/**
 * Writes an outer IPv6 header.
 * @param start its first four bytes as loaded
 */
// @ts-ignore: decorator
@inline
export function writeOuter6(
  at: usize,
  start: u32,
  hops: u32,
  protocol: u32,
  payload: u32,
  source: usize,
  target: usize,
): void {
  const rest = (payload >> 8) | ((payload & 0xff) << 8) | (protocol << 16) | (hops << 24);
  store<u64>(at, <u64>start | (<u64>rest << 32));
  setIpv6Source(at, source);
  setIpv6Destination(at, target);
}

function innerTypeOfService(inner: usize, isIpv4: bool): u32 {
  return isIpv4 ? ipv4TypeOfService(inner) : ipv6TrafficClass(inner);
}

/** Writes the outer IPv4 header of a packet whose own begins at `inner`. */
function buildOuter4(
  at: usize,
  index: u32,
  portIndex: u32,
  protocol: u32,
  total: u32,
  inner: usize,
): void {
  const isIpv4 = load<u8>(inner) >> 4 == 4;
  const target = destinationAddress(index);
  const id = load<u32>(hot(index), CONNECTION_DESTINATION_ID);
  writeOuter4(
    at,
    IPV4_PLAIN | (outerTypeOfService(innerTypeOfService(inner, isIpv4)) << 8),
    isIpv4 ? ipv4FragmentFieldBe(inner) & fragmentMask4() : 0,
    isIpv4 ? ipv4TimeToLive(inner) : ipv6HopLimit(inner),
    protocol,
    total,
    load<u32>(outerSource(id, FAMILY_IPV4, target, portIndex)),
    load<u32>(target),
  );
}

/** The same with an outer IPv6 header. */
function buildOuter6(
  at: usize,
  index: u32,
  portIndex: u32,
  protocol: u32,
  total: u32,
  inner: usize,
): void {
  const isIpv4 = load<u8>(inner) >> 4 == 4;
  const target = destinationAddress(index);
  const id = load<u32>(hot(index), CONNECTION_DESTINATION_ID);
  writeOuter6(
    at,
    bswap<u32>((6 << 28) | (outerTypeOfService(innerTypeOfService(inner, isIpv4)) << 20)),
    isIpv4 ? ipv4TimeToLive(inner) : ipv6HopLimit(inner),
    protocol,
    total - IPV6_SIZE,
    outerSource(id, FAMILY_IPV6, target, portIndex),
    target,
  );
}

/**
 * Not 0 unless a destination's tunnel leaves nothing to decide about a packet of so many bytes: plain
 * IP in IP, from a source that is known, over a way whose MTU is the port's.
 * @param state of the destination
 * @param base by roomBase()
 */
// @ts-ignore: decorator
@inline
export function isUnusualTunnel(state: usize, length: u32, base: u64): u32 {
  // What was noted for another generation is off by more than the longest packet.
  const rest = load<u64>(state, DESTINATION_STATE_TUNNEL_ROOM) - base - <u64>length;
  return u32(rest > 0xffff);
}

/** Where the outer source address stands, once the above says that it is known. */
// @ts-ignore: decorator
@inline
export function knownSource(state: usize): usize {
  return load<u32>(state, DESTINATION_STATE_SOURCE);
}

/** GUE with a checksum: over the pseudo-header of the outer addresses, once these are written. */
function fillGueChecksum(config: usize, outer: usize, at: usize, family: u32, length: u32): void {
  if (load<u8>(config, DESTINATION_TUNNEL_TYPE) != <u8>TUNNEL_GUE) return;
  if (load<u8>(config, DESTINATION_TUNNEL_FLAGS) == <u8>TUNNEL_NO_CHECKSUM) return;
  const pseudo =
    family == FAMILY_IPV4
      ? pseudoHeaderSumIpv4(load<u32>(outer, 12), load<u32>(outer, 16), PROTOCOL_UDP, length)
      : pseudoHeaderSumIpv6(ipv6SourceAt(outer), ipv6DestinationAt(outer), PROTOCOL_UDP, length);
  fillUdpChecksum(at, length, pseudo);
}

/**
 * Puts the tunnel's headers in front of a packet whose time to live is decremented already.
 * @returns the outer header's family, or 0 when the packet was dropped (too big)
 */
export function encapsulate(packet: usize, index: u32, hop: u32): u32 {
  const entry = hot(index);
  const destinationId = load<u32>(entry, CONNECTION_DESTINATION_ID);
  const config = destination(destinationId);
  const family = destinationFamily(entry);
  const outerLength: u32 = family == FAMILY_IPV4 ? IPV4_SIZE : IPV6_SIZE;
  const shim = shimLength(config);
  const mtu = <i32>wayMtu(destinationId, hop) - <i32>(outerLength + shim);
  const least = family == FAMILY_IPV4 ? TUNNEL_MTU_MIN_IPV4 : TUNNEL_MTU_MIN_IPV6;
  if (mtu < <i32>least) {
    drop(packet, DROP_PACKET_TOO_BIG);
    return 0;
  }
  const isIpv4 = load<u8>(packet, PACKET_FAMILY) == <u8>FAMILY_IPV4;
  const mayCut = isIpv4 && !load<u32>(bank, SYSCTL_PMTU_DISC);
  if (!mayCut && !fitsMtu(packet, mtu)) return 0;

  const inner = <usize>load<u32>(packet, PACKET_NETWORK);
  const length = load<u32>(packet, PACKET_IP_LENGTH);
  const shimAt = inner - shim;
  const outer = shimAt - outerLength;
  const carried = isIpv4 ? PROTOCOL_IPIP : PROTOCOL_IPV6;
  const protocol = buildShim(packet, config, shimAt, carried, length + shim);
  const total = outerLength + shim + length;
  if (family == FAMILY_IPV4) buildOuter4(outer, index, hopPort(hop), protocol, total, inner);
  else buildOuter6(outer, index, hopPort(hop), protocol, total, inner);
  fillGueChecksum(config, outer, shimAt, family, length + shim);
  // The size of the largest fragment is remembered in IPv4's part of the kernel's packet only.
  if (!isIpv4 || family != FAMILY_IPV4) store<u32>(packet, 0, PACKET_FRAGMENT_MAX);
  store<u32>(packet, <u32>outer, PACKET_NETWORK);
  store<u32>(packet, total, PACKET_IP_LENGTH);
  return family;
}
