// Full NAT: the real server sees a local address and port instead of the client's, so its answers
// come back to this director wherever it stands. The local end is taken from the service's own pool
// or else from the director's; (local address, port, destination, port, protocol) is unique among
// connections.

import { FAMILY_IPV4 } from '../shared/codes.ts';
import {
  BANK_DIRECTOR_POOL,
  BANK_LOCAL_PORTS,
  COLD_POOL_TICKET,
  CONNECTION_CLIENT,
  CONNECTION_CLIENT_PORT,
  CONNECTION_DELTA,
  CONNECTION_DESTINATION,
  CONNECTION_DESTINATION_ID,
  CONNECTION_DESTINATION_PORT,
  CONNECTION_FAMILY,
  CONNECTION_LOCAL,
  CONNECTION_LOCAL_PORT,
  CONNECTION_PROTOCOL,
  CONNECTION_STATE,
  CONNECTION_VIRTUAL,
  CONNECTION_VIRTUAL_PORT,
  CONTROL_POOL_FREED,
  DESTINATION_STATE_POOL_CURSOR,
  DESTINATION_STATE_POOL_MISSES,
  PACKET_DESTINATION,
  PACKET_DESTINATION_PORT,
  PACKET_FAMILY,
  PACKET_HASH_OTHER,
  PACKET_NETWORK,
  PACKET_PROTOCOL,
  PACKET_SOURCE,
  PACKET_SOURCE_PORT,
  PACKET_TRANSPORT,
  POOL_ADDRESS,
  POOL_SIZE,
  SERVICE_POOL_COUNT,
  SERVICE_POOL_FIRST,
  STATE_ONE_PACKET,
  WIDE_CLIENT,
  WIDE_DESTINATION,
  WIDE_LOCAL,
  WIDE_VIRTUAL,
  WORKER_SCRATCH,
} from '../shared/layout.ts';
import { LOCAL_END_TRIES_MAX } from '../shared/limits.ts';
import { computeDelta, discardConnection, hashLocalEnd } from '../connection.ts';
import { lookupOut } from '../connection-table.ts';
import { GOLDEN, copyAddress, foldAddress, hashEnd, mix } from '../hash.ts';
import {
  bank,
  cold,
  destinationState,
  hot,
  localPool,
  service,
  tablesGeneration,
  wide,
  worker,
} from '../instance.ts';
import { oppositeDelta } from '../wire/checksum.ts';
import { setIpv4DestinationUpdatingChecksum, setIpv4SourceUpdatingChecksum } from '../wire/ipv4.ts';
import { setIpv6Destination, setIpv6Source } from '../wire/ipv6.ts';
import { hasPorts, updateTransport } from './nat.ts';

/** A packet record for asking whether a local end is taken. */
const PROBE: u32 = WORKER_SCRATCH + 7680;

/** Ports of one pool address: two ranges of host-order bounds, inclusive; an empty one has last < first. */
function portsOfRange(range: u32): u32 {
  const at = bank + BANK_LOCAL_PORTS + (range << 3);
  const first = load<u32>(at);
  const last = load<u32>(at, 4);
  return last >= first && last != 0 ? last - first + 1 : 0;
}

/** The n-th port of the pool, in network order. */
function poolPort(n: u32): u32 {
  const below = portsOfRange(0);
  const first =
    n < below ? load<u32>(bank, BANK_LOCAL_PORTS) : load<u32>(bank, BANK_LOCAL_PORTS + 8) - below;
  return <u32>bswap<u16>(<u16>(first + n));
}

/**
 * Where in a pool of so many ends a destination begins. Destinations use the same ends, whose answers
 * differ in where they come from, but begin far from each other: ends in use by several stand in one
 * chain.
 */
function firstEnd(destinationId: u32, ends: u32): u32 {
  return <u32>((<u64>((destinationId - 1) * GOLDEN) * <u64>ends) >> 32);
}

/** The run of the pool that a service's connections are sent from: first record and count. */
function poolRun(serviceId: u32, family: u32): usize {
  const own = service(serviceId);
  if (load<u32>(own, SERVICE_POOL_COUNT)) return own + SERVICE_POOL_FIRST;
  return bank + BANK_DIRECTOR_POOL + (family == FAMILY_IPV4 ? 0 : 8);
}

/** Whether an answer to this local end would already find a connection. */
function isTaken(probe: usize, address: usize, portBe: u32): bool {
  const family = <u32>load<u8>(probe, PACKET_FAMILY);
  copyAddress(family, probe + PACKET_DESTINATION, address);
  store<u16>(probe, <u16>portBe, PACKET_DESTINATION_PORT);
  store<u32>(probe, hashEnd(family, address, portBe, load<u8>(probe, PACKET_PROTOCOL)), PACKET_HASH_OTHER);
  return lookupOut(probe) != 0;
}

/** An answer's record: from the destination of a new connection, to where is still open. */
function prepareProbe(index: u32): usize {
  const probe = worker + PROBE;
  const entry = hot(index);
  const family = <u32>load<u8>(entry, CONNECTION_FAMILY);
  store<u8>(probe, <u8>family, PACKET_FAMILY);
  store<u8>(probe, load<u8>(entry, CONNECTION_PROTOCOL), PACKET_PROTOCOL);
  store<u16>(probe, load<u16>(entry, CONNECTION_DESTINATION_PORT), PACKET_SOURCE_PORT);
  const source = family == FAMILY_IPV4 ? entry + CONNECTION_DESTINATION : wide(index) + WIDE_DESTINATION;
  copyAddress(family, probe + PACKET_SOURCE, source);
  return probe;
}

/** Stands for all on which it depends which ends are taken. */
function poolKey(probe: usize): u32 {
  const freed = atomic.load<u32>(CONTROL_POOL_FREED);
  const generation = tablesGeneration();
  const kind = <u32>load<u8>(probe, PACKET_PROTOCOL) | (<u32>load<u16>(probe, PACKET_SOURCE_PORT) << 16);
  return mix(mix(mix(0, freed), generation), kind);
}

/** Ends that were found taken, one behind the other, since the last one was let go. */
// @ts-ignore: decorator
@inline
function knownMisses(noted: u64, key: u32): u32 {
  return <u32>(noted >> 32) == key ? <u32>noted : 0;
}

/** Notes ends found taken, unless another worker has noted something meanwhile: they are tried again then. */
function noteMisses(at: usize, noted: u64, key: u32, misses: u32): void {
  atomic.cmpxchg<u64>(at, noted, ((<u64>key) << 32) | <u64>misses);
}

/**
 * Gives a new connection its local end. The search goes on from where the destination's last one
 * ended, so a port is used again as late as possible. It tries so many ends for one packet, and the
 * next packet's goes on behind them; once all were found taken, none is tried until one is let go.
 * @returns false when no free end was found; the connection is given back then
 */
export function bindLocalEnd(index: u32, serviceId: u32, destinationId: u32): bool {
  const run = poolRun(serviceId, load<u8>(hot(index), CONNECTION_FAMILY));
  const ends = load<u32>(run, 4) * (portsOfRange(0) + portsOfRange(1));
  const missesAt = destinationState(destinationId) + DESTINATION_STATE_POOL_MISSES;
  const probe = prepareProbe(index);
  const key = poolKey(probe);
  const noted = atomic.load<u64>(missesAt);
  const misses = knownMisses(noted, key);
  const tries = misses < ends ? min(ends - misses, LOCAL_END_TRIES_MAX) : 0;
  if (takeFreeEnd(index, run, ends, destinationId, probe, tries)) {
    if (<u32>noted) noteMisses(missesAt, noted, key, 0);
    return true;
  }
  if (tries) noteMisses(missesAt, noted, key, misses + tries);
  discardConnection(index);
  return false;
}

/** Tries so many ends of a run of the pool. @returns whether one was free and is the connection's now */
function takeFreeEnd(
  index: u32,
  run: usize,
  ends: u32,
  destinationId: u32,
  probe: usize,
  tries: u32,
): bool {
  const entry = hot(index);
  const family = <u32>load<u8>(entry, CONNECTION_FAMILY);
  const records = localPool + <usize>load<u32>(run) * POOL_SIZE;
  const addresses = load<u32>(run, 4);
  const cursorAt = destinationState(destinationId) + DESTINATION_STATE_POOL_CURSOR;
  const start = firstEnd(destinationId, ends);
  for (; tries; tries--) {
    const ticket = atomic.add<u32>(cursorAt, 1);
    const n = (ticket + start) % ends;
    const address = records + <usize>(n % addresses) * POOL_SIZE + POOL_ADDRESS;
    const portBe = poolPort(n / addresses);
    if (isTaken(probe, address, portBe)) continue;
    store<u32>(entry, foldAddress(family, address), CONNECTION_LOCAL);
    store<u16>(entry, <u16>portBe, CONNECTION_LOCAL_PORT);
    if (family != FAMILY_IPV4) v128.store(wide(index) + WIDE_LOCAL, v128.load(address));
    computeDelta(index);
    store<u32>(cold(index), ticket, COLD_POOL_TICKET);
    // A one-packet connection is in no chain, and nothing keeps its end from the next one.
    if (load<u32>(entry, CONNECTION_STATE) & STATE_ONE_PACKET) return true;
    if (hashLocalEnd(index, probe)) return true;
  }
  return false;
}

/**
 * A connection has let go of its local end, which is in no chain any more. When a search for its
 * destination has found nothing and had to leave ends out, the next one begins with this end.
 */
export function noteFreeEnd(index: u32): void {
  atomic.add<u32>(CONTROL_POOL_FREED, 1);
  const id = load<u32>(hot(index), CONNECTION_DESTINATION_ID);
  const at = destinationState(id) + DESTINATION_STATE_POOL_MISSES;
  const noted = atomic.load<u64>(at);
  if (<u32>noted < LOCAL_END_TRIES_MAX || atomic.cmpxchg<u64>(at, noted, 0) != noted) return;
  const ticket = load<u32>(cold(index), COLD_POOL_TICKET);
  atomic.store<u32>(destinationState(id) + DESTINATION_STATE_POOL_CURSOR, ticket);
}

/** Client to server: from the local end to the destination. */
export function rewriteFromLocal(packet: usize, index: u32): void {
  const entry = hot(index);
  const network: usize = load<u32>(packet, PACKET_NETWORK);
  const transport: usize = load<u32>(packet, PACKET_TRANSPORT);
  if (load<u8>(packet, PACKET_FAMILY) == <u8>FAMILY_IPV4) {
    setIpv4SourceUpdatingChecksum(network, load<u32>(entry, CONNECTION_LOCAL));
    setIpv4DestinationUpdatingChecksum(network, load<u32>(entry, CONNECTION_DESTINATION));
  } else {
    setIpv6Source(network, wide(index) + WIDE_LOCAL);
    setIpv6Destination(network, wide(index) + WIDE_DESTINATION);
  }
  if (transport && hasPorts(load<u8>(packet, PACKET_PROTOCOL))) {
    store<u16>(transport, load<u16>(entry, CONNECTION_LOCAL_PORT));
    store<u16>(transport + 2, load<u16>(entry, CONNECTION_DESTINATION_PORT));
    updateTransport(packet, transport, load<u16>(entry, CONNECTION_DELTA));
  }
}

/** Server to client: from the virtual end to the client. */
export function rewriteToClient(packet: usize, index: u32): void {
  const entry = hot(index);
  const network: usize = load<u32>(packet, PACKET_NETWORK);
  const transport: usize = load<u32>(packet, PACKET_TRANSPORT);
  if (load<u8>(packet, PACKET_FAMILY) == <u8>FAMILY_IPV4) {
    setIpv4SourceUpdatingChecksum(network, load<u32>(entry, CONNECTION_VIRTUAL));
    setIpv4DestinationUpdatingChecksum(network, load<u32>(entry, CONNECTION_CLIENT));
  } else {
    setIpv6Source(network, wide(index) + WIDE_VIRTUAL);
    setIpv6Destination(network, wide(index) + WIDE_CLIENT);
  }
  if (transport && hasPorts(load<u8>(packet, PACKET_PROTOCOL))) {
    store<u16>(transport, load<u16>(entry, CONNECTION_VIRTUAL_PORT));
    store<u16>(transport + 2, load<u16>(entry, CONNECTION_CLIENT_PORT));
    updateTransport(packet, transport, oppositeDelta(load<u16>(entry, CONNECTION_DELTA)));
  }
}
