// Where a packet goes next: the director's own addresses, the routes (longest prefix wins), and the
// neighbours. The host copies all of them from the kernel; the data plane only reads.

import { FAMILY_IPV4, FAMILY_IPV6 } from './shared/codes.ts';
import {
  BANK_PREFIXES_IPV4,
  BANK_PREFIXES_IPV6,
  CONTROL_PROVOKE,
  CONTROL_PROVOKE_HEAD,
  CONTROL_PROVOKE_SLOTS,
  LOCAL_ADDRESS,
  LOCAL_FAMILY,
  LOCAL_FLAGS,
  LOCAL_POOL,
  LOCAL_SIZE,
  LOCAL_VIRTUAL,
  NEXT_HOP_ADDRESS,
  NEXT_HOP_FAMILY,
  NEXT_HOP_PORT,
  NEXT_HOP_REACHABLE,
  NEXT_HOP_SIZE,
  NEXT_HOP_STATE,
  PORT_IPV4,
  PORT_IPV6,
  PORT_MTU,
  PROVOKE_ADDRESS,
  PROVOKE_FAMILY,
  PROVOKE_PORT,
  PROVOKE_SIZE,
  PROVOKE_TURN,
  ROUTE_ADDRESS,
  ROUTE_FAMILY,
  ROUTE_GATEWAY,
  ROUTE_KIND,
  ROUTE_LOCAL,
  ROUTE_ON_LINK,
  ROUTE_PORT,
  ROUTE_PREFIX,
  ROUTE_SIZE,
  ROUTE_SOURCE,
  ROUTE_UNREACHABLE,
  ROUTE_VIA,
  WORKER_SCRATCH,
} from './shared/layout.ts';
import { LOCAL_SLOTS, NEXT_HOPS_MAX, ROUTE_SLOTS } from './shared/limits.ts';
import { hashAddress, mix, sameAddress } from './hash.ts';
import { bank, localFilter, locals, nextHop, nextHops, port, routeFilter, routes, worker } from './instance.ts';

/** Scratch for a masked address, at the end of the worker's scratch space. */
const MASKED: u32 = WORKER_SCRATCH + 8192 - 64;

/** Whether an address may be the director's, by its hash: what the filter denies is surely none. */
// @ts-ignore: decorator
@inline
export function mayBeOwn(filter: usize, hash: u32): bool {
  return ((load<u32>(filter + ((<usize>hash >> 21) << 2)) >> ((hash >> 16) & 31)) & 1) != 0;
}

/** LOCAL_* flags of an own address, or -1 when the address is not the director's. */
export function localFlags(family: u32, address: usize): i32 {
  const hash = hashAddress(family, address);
  if (!mayBeOwn(localFilter, hash)) return -1;
  let slot = hash & (LOCAL_SLOTS - 1);
  while (true) {
    const at = locals + <usize>slot * LOCAL_SIZE;
    const found = <u32>load<u8>(at, LOCAL_FAMILY);
    if (found == 0) return -1;
    if (found == family && sameAddress(family, at + LOCAL_ADDRESS, address)) {
      return load<u8>(at, LOCAL_FLAGS);
    }
    slot = (slot + 1) & (LOCAL_SLOTS - 1);
  }
}

/**
 * Whether a packet's connection is searched from the client's side first. What is sent to an address
 * that is the full-nat pool's alone is an answer, to any other own one a request: an address that is
 * a service's and the pool's may get both.
 * @param flags of the address it is sent to, by localFlags()
 */
// @ts-ignore: decorator
@inline
export function isRequest(flags: i32): bool {
  return flags >= 0 && (flags & (LOCAL_POOL | LOCAL_VIRTUAL)) != LOCAL_POOL;
}

/** Whether some route may have a prefix, by its hash. Nearly all prefixes that are asked for have none. */
// @ts-ignore: decorator
@inline
function mayExist(hash: u32): bool {
  const word = load<u32>(routeFilter + ((<usize>hash >> 22) << 2));
  return ((word >> ((hash >> 17) & 31)) & 1) != 0;
}

/** The record of one IPv4 prefix, its address in network order, or 0. */
// @ts-ignore: decorator
@inline
function findPrefix4(address: u32, length: u32): usize {
  // As hashAddress() has it.
  const hash = mix(mix(0, address), length);
  if (!mayExist(hash)) return 0;
  let slot = hash & (ROUTE_SLOTS - 1);
  while (true) {
    const at = routes + <usize>slot * ROUTE_SIZE;
    // Family and prefix length stand side by side.
    const kind = <u32>load<u16>(at, ROUTE_FAMILY);
    if (kind == (FAMILY_IPV4 | (length << 8)) && load<u32>(at, ROUTE_ADDRESS) == address) return at;
    if (!kind) return 0;
    slot = (slot + 1) & (ROUTE_SLOTS - 1);
  }
}

/** The record of one IPv6 prefix, or 0. */
function findPrefix6(address: usize, length: u32): usize {
  const hash = mix(hashAddress(FAMILY_IPV6, address), length);
  if (!mayExist(hash)) return 0;
  let slot = hash & (ROUTE_SLOTS - 1);
  while (true) {
    const at = routes + <usize>slot * ROUTE_SIZE;
    const found = <u32>load<u8>(at, ROUTE_FAMILY);
    if (found == 0) return 0;
    if (
      found == FAMILY_IPV6 &&
      <u32>load<u8>(at, ROUTE_PREFIX) == length &&
      sameAddress(FAMILY_IPV6, at + ROUTE_ADDRESS, address)
    ) {
      return at;
    }
    slot = (slot + 1) & (ROUTE_SLOTS - 1);
  }
}

/** Copies an IPv6 address with all but its first `length` bits zeroed. */
export function maskAddress6(to: usize, from: usize, length: u32): void {
  for (let i: u32 = 0; i < 16; i++) {
    const bits = <i32>length - <i32>(i << 3);
    const mask = bits >= 8 ? 0xff : bits <= 0 ? 0 : (0xff00 >> bits) & 0xff;
    store<u8>(to + i, load<u8>(from + i) & mask);
  }
}

/** The prefix lengths in use are bits; the longest is the highest. */
function findRoute4(address: usize): usize {
  let lengths = load<u64>(bank, BANK_PREFIXES_IPV4);
  const host = bswap<u32>(load<u32>(address));
  while (lengths) {
    const length = 63 - <u32>clz<u64>(lengths);
    lengths ^= (<u64>1) << length;
    const mask = <u32>(0xffffffff00000000 >> (<u64>length));
    const at = findPrefix4(bswap<u32>(host & mask), length);
    if (at) return at;
  }
  return 0;
}

function findRoute6(address: usize): usize {
  const masked = worker + MASKED;
  for (let word: i32 = 4; word >= 0; word--) {
    let lengths = load<u32>(bank + BANK_PREFIXES_IPV6 + (<usize>word << 2));
    while (lengths) {
      const bit = 31 - clz<u32>(lengths);
      lengths ^= 1 << bit;
      const length = (<u32>word << 5) + bit;
      maskAddress6(masked, address, length);
      const at = findPrefix6(masked, length);
      if (at) return at;
    }
  }
  return 0;
}

/** The route record for an address, longest prefix first, or 0. */
export function findRoute(family: u32, address: usize): usize {
  return family == FAMILY_IPV4 ? findRoute4(address) : findRoute6(address);
}

/**
 * Where the director's own source address for packets to an address stands: what the route prefers,
 * or else the primary address of the port the packet leaves on.
 */
export function sourceFor(family: u32, address: usize, portIndex: u32): usize {
  const route = findRoute(family, address);
  const preferred = route + ROUTE_SOURCE;
  if (route && (family == FAMILY_IPV4 ? load<u32>(preferred) != 0 : !isUnspecified6(preferred))) {
    return preferred;
  }
  return port(portIndex) + (family == FAMILY_IPV4 ? PORT_IPV4 : PORT_IPV6);
}

// @ts-ignore: decorator
@inline
function isUnspecified6(at: usize): bool {
  return (load<u64>(at) | load<u64>(at, 8)) == 0;
}

/** Index of a neighbour known on a port, 0 when it is not known. */
function findNeighbour(portIndex: u32, family: u32, address: usize): u32 {
  let slot = mix(hashAddress(family, address), portIndex) & (NEXT_HOPS_MAX - 1);
  while (true) {
    // Index 0 means "none", so the host never uses that slot.
    if (slot != 0) {
      const at = nextHops + <usize>slot * NEXT_HOP_SIZE;
      const found = <u32>load<u8>(at, NEXT_HOP_FAMILY);
      if (found == 0) return 0;
      if (
        found == family &&
        <u32>load<u8>(at, NEXT_HOP_PORT) == portIndex &&
        sameAddress(family, at + NEXT_HOP_ADDRESS, address)
      ) {
        return slot;
      }
    }
    slot = (slot + 1) & (NEXT_HOPS_MAX - 1);
  }
}

/**
 * Asks the host to resolve a neighbour. The slots are a lossy ring: the newest requests win, and a
 * request that was lost comes again with the connection's next packet.
 */
function provoke(portIndex: u32, family: u32, address: usize): void {
  const ticket = atomic.add<u32>(CONTROL_PROVOKE_HEAD, 1);
  const slot = CONTROL_PROVOKE + (ticket & (CONTROL_PROVOKE_SLOTS - 1)) * PROVOKE_SIZE;
  store<u32>(slot, portIndex, PROVOKE_PORT);
  store<u32>(slot, family, PROVOKE_FAMILY);
  v128.store(slot + PROVOKE_ADDRESS, v128.load(address));
  atomic.store<u32>(slot + PROVOKE_TURN, ticket + 1);
}

/** The greatest index of a next hop. */
export const HOP_MAX: u32 = 0xffff;
/** No route leads there; the director itself is meant; the neighbour is not known yet. */
export const HOP_NONE: u32 = 0x10000;
export const HOP_LOCAL: u32 = 0x10001;
export const HOP_UNRESOLVED: u32 = 0x10002;

/** 127.0.0.0/8 and ::1. */
export function isLoopback(family: u32, address: usize): bool {
  if (family == FAMILY_IPV4) return load<u8>(address) == 127;
  return load<u64>(address) == 0 && load<u64>(address, 8) == 0x0100000000000000;
}

/**
 * The next hop towards an address: its index, or one of the HOP_* above. `address` is 4 or 16
 * bytes in network order, in memory with 16 readable bytes.
 */
export function resolve(family: u32, address: usize): u32 {
  if (localFlags(family, address) >= 0 || isLoopback(family, address)) return HOP_LOCAL;
  const route = findRoute(family, address);
  if (!route) return HOP_NONE;
  const kind = <u32>load<u8>(route, ROUTE_KIND);
  if (kind == ROUTE_LOCAL) return HOP_LOCAL;
  if (kind == ROUTE_UNREACHABLE) return HOP_NONE;
  if (kind == ROUTE_VIA) {
    const gateway = load<u32>(route, ROUTE_GATEWAY);
    return gateway ? gateway : HOP_UNRESOLVED;
  }
  assert(kind == ROUTE_ON_LINK);
  const portIndex = <u32>load<u8>(route, ROUTE_PORT);
  const hop = findNeighbour(portIndex, family, address);
  if (hop) return hop;
  provoke(portIndex, family, address);
  return HOP_UNRESOLVED;
}

/** Whether a next hop's MAC address is known; asks for it when it is not. */
// @ts-ignore: decorator
@inline
export function reachable(hop: u32): bool {
  return load<u8>(nextHop(hop), NEXT_HOP_STATE) == <u8>NEXT_HOP_REACHABLE;
}

export function provokeHop(hop: u32): void {
  const at = nextHop(hop);
  provoke(load<u8>(at, NEXT_HOP_PORT), load<u8>(at, NEXT_HOP_FAMILY), at + NEXT_HOP_ADDRESS);
}

/** Port and MTU behind a next hop. */
// @ts-ignore: decorator
@inline
export function hopPort(hop: u32): u32 {
  return <u32>load<u8>(nextHop(hop), NEXT_HOP_PORT);
}

// @ts-ignore: decorator
@inline
export function hopMtu(hop: u32): u32 {
  return load<u32>(port(hopPort(hop)), PORT_MTU);
}
