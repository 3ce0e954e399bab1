// What every forwarding method does before it rewrites anything: the next hop, the time to live, the
// MTU (ip_vs_xmit.c, __ip_vs_get_out_rt: in this order, so that a time to live of 1 wins over a
// packet that is too big).

import { FAMILY_IPV4, FAMILY_IPV6 } from './shared/codes.ts';
import { DROP_NEIGHBOUR_UNRESOLVED, DROP_NO_ROUTE, DROP_PACKET_TOO_BIG, DROP_TTL_EXCEEDED } from './shared/counters.ts';
import {
  CONNECTION_CLIENT,
  CONNECTION_DESTINATION,
  CONNECTION_DESTINATION_ID,
  CONNECTION_FAMILY,
  CONNECTION_HOP_IN,
  CONNECTION_HOP_OUT,
  CONNECTION_ROUTE_GENERATION,
  CONNECTION_STATE,
  DESTINATION_ADDRESS,
  DESTINATION_STATE_NEXT_HOP,
  PACKET_FAMILY,
  PACKET_FLAGS,
  PACKET_FRAGMENT_MAX,
  PACKET_ICMP_ERROR,
  PACKET_IP_LENGTH,
  PACKET_NETWORK,
  STATE_DESTINATION_OTHER,
  WIDE_CLIENT,
  WIDE_DESTINATION,
} from './shared/layout.ts';
import { sameAddress } from './hash.ts';
import { destination, destinationState, hot, routeGeneration, wide } from './instance.ts';
import { sendHostUnreachable, sendTimeExceeded, sendTooBig } from './icmp-error.ts';
import { HOP_MAX, HOP_UNRESOLVED, resolve } from './route.ts';
import { drop } from './transmit.ts';
import { ipv4DecrementTimeToLiveUpdatingChecksum, ipv4DontFragment, ipv4TimeToLive } from './wire/ipv4.ts';
import { ipv6DecrementHopLimit, ipv6HopLimit } from './wire/ipv6.ts';

/** Family of the destination's address, which a tunnel may change. */
// @ts-ignore: decorator
@inline
export function destinationFamily(entry: usize): u32 {
  const family = <u32>load<u8>(entry, CONNECTION_FAMILY);
  const other = (load<u32>(entry, CONNECTION_STATE) & STATE_DESTINATION_OTHER) != 0;
  return other ? FAMILY_IPV4 + FAMILY_IPV6 - family : family;
}

/** Where the destination's address stands, 16 readable bytes. */
// @ts-ignore: decorator
@inline
export function destinationAddress(index: u32): usize {
  const entry = hot(index);
  return destinationFamily(entry) == FAMILY_IPV4
    ? entry + CONNECTION_DESTINATION
    : wide(index) + WIDE_DESTINATION;
}

/** Where the client's address stands, 16 readable bytes. */
// @ts-ignore: decorator
@inline
function clientAddress(index: u32): usize {
  const entry = hot(index);
  return load<u8>(entry, CONNECTION_FAMILY) == <u8>FAMILY_IPV4
    ? entry + CONNECTION_CLIENT
    : wide(index) + WIDE_CLIENT;
}

/**
 * The way to a connection's destination. It is the same for all connections of a destination, so that
 * keeps it, with the route generation in the upper half; but an FTP server may have named another
 * address for its data.
 */
function resolveDestination(index: u32): u32 {
  const family = destinationFamily(hot(index));
  const address = destinationAddress(index);
  const id = load<u32>(hot(index), CONNECTION_DESTINATION_ID);
  if (!id || !sameAddress(family, address, destination(id) + DESTINATION_ADDRESS)) {
    return resolve(family, address);
  }
  const at = destinationState(id) + DESTINATION_STATE_NEXT_HOP;
  const kept = load<u32>(at);
  if (kept && kept >> 16 == routeGeneration) return kept & 0xffff;
  const hop = resolve(family, address);
  if (hop <= HOP_MAX) store<u32>(at, hop | (routeGeneration << 16));
  return hop;
}

function resolveClient(index: u32): u32 {
  return resolve(<u32>load<u8>(hot(index), CONNECTION_FAMILY), clientAddress(index));
}

/** Looks both directions' next hops up anew: the routes have changed, or a neighbour was unknown. */
function refreshHops(index: u32): void {
  const entry = hot(index);
  const inHop = resolveDestination(index);
  const outHop = resolveClient(index);
  store<u16>(entry, <u16>(inHop <= HOP_MAX ? inHop : 0), CONNECTION_HOP_IN);
  store<u16>(entry, <u16>(outHop <= HOP_MAX ? outHop : 0), CONNECTION_HOP_OUT);
  store<u16>(entry, <u16>routeGeneration, CONNECTION_ROUTE_GENERATION);
}

/** What a connection holds at one of its CONNECTION_HOP_* fields, 0 when that is of older routes. */
// @ts-ignore: decorator
@inline
function keptHop(entry: usize, field: usize): u32 {
  const isNewest = <u32>load<u16>(entry, CONNECTION_ROUTE_GENERATION) == routeGeneration;
  return isNewest ? <u32>load<u16>(entry + field) : 0;
}

/** Next hop towards the destination: an index, or HOP_NONE, HOP_LOCAL, HOP_UNRESOLVED. */
// @ts-ignore: decorator
@inline
export function hopIn(index: u32): u32 {
  const kept = keptHop(hot(index), CONNECTION_HOP_IN);
  return kept ? kept : findHopIn(index);
}

function findHopIn(index: u32): u32 {
  refreshHops(index);
  const found = <u32>load<u16>(hot(index), CONNECTION_HOP_IN);
  return found ? found : resolveDestination(index);
}

/** Next hop towards the client. */
// @ts-ignore: decorator
@inline
export function hopOut(index: u32): u32 {
  const kept = keptHop(hot(index), CONNECTION_HOP_OUT);
  return kept ? kept : findHopOut(index);
}

function findHopOut(index: u32): u32 {
  refreshHops(index);
  const found = <u32>load<u16>(hot(index), CONNECTION_HOP_OUT);
  return found ? found : resolveClient(index);
}

/** Drops a packet that has nowhere to go, and tells its source when that is for want of a route. */
export function dropUnroutable(packet: usize, hop: u32): void {
  if (hop == HOP_UNRESOLVED) {
    drop(packet, DROP_NEIGHBOUR_UNRESOLVED);
    return;
  }
  sendHostUnreachable(packet);
  drop(packet, DROP_NO_ROUTE);
}

/** Whether a packet may go one hop further. If not, it is dropped and its source told. */
export function lastsAnotherHop(packet: usize): bool {
  const at = load<u32>(packet, PACKET_NETWORK);
  const isIpv4 = load<u8>(packet, PACKET_FAMILY) == <u8>FAMILY_IPV4;
  if ((isIpv4 ? ipv4TimeToLive(at) : ipv6HopLimit(at)) > 1) return true;
  sendTimeExceeded(packet);
  drop(packet, DROP_TTL_EXCEEDED);
  return false;
}

/** Takes one off the time to live, which is above 1. */
export function decrementTimeToLive(packet: usize): void {
  const at = load<u32>(packet, PACKET_NETWORK);
  if (load<u8>(packet, PACKET_FAMILY) == <u8>FAMILY_IPV4) ipv4DecrementTimeToLiveUpdatingChecksum(at);
  else ipv6DecrementHopLimit(at);
}

/**
 * Checks a packet against an MTU. IPv4 without DF is cut later; IPv6 never is, unless it came in
 * fragments that fit. @returns false: the packet is dropped and its source told
 */
export function fitsMtu(packet: usize, mtu: u32): bool {
  const length = load<u32>(packet, PACKET_IP_LENGTH);
  if (length <= mtu) return true;
  const isError = (load<u16>(packet, PACKET_FLAGS) & <u16>PACKET_ICMP_ERROR) != 0;
  if (load<u8>(packet, PACKET_FAMILY) == <u8>FAMILY_IPV4) {
    if (isError || !ipv4DontFragment(load<u32>(packet, PACKET_NETWORK))) return true;
  } else {
    const largest = load<u32>(packet, PACKET_FRAGMENT_MAX);
    if (largest != 0 && largest <= mtu) return true;
  }
  if (!isError) sendTooBig(packet, mtu);
  drop(packet, DROP_PACKET_TOO_BIG);
  return false;
}
