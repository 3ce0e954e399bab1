// The connection table: chains of connections by a hash of protocol, address and port of the client
// (as ip_vs_conn.c), and for full-nat also of the local end, so that one lookup finds a connection
// from either direction. Readers never lock. A chain is changed under a lock in its head, and an
// entry taken out is used again only when every worker has passed a burst boundary since.
//
//   head -> node -> node      node = index << 1 | link; link 0: by the client's end,
//                                                        link 1: by the local end (full-nat)

import {
  FAMILY_IPV4,
  FORWARD_FULL_NAT,
  FORWARD_NAT,
  PROTOCOL_ANY,
} from './shared/codes.ts';
import {
  COLD_TIMER_NEXT,
  CONNECTION_CLIENT,
  CONNECTION_CLIENT_PORT,
  CONNECTION_DESTINATION,
  CONNECTION_DESTINATION_PORT,
  CONNECTION_FAMILY,
  CONNECTION_LOCAL,
  CONNECTION_LOCAL_PORT,
  CONNECTION_NEXT,
  CONNECTION_NEXT_LOCAL,
  CONNECTION_PROTOCOL,
  CONNECTION_STATE,
  CONNECTION_VIRTUAL,
  CONNECTION_VIRTUAL_PORT,
  CONTROL_EPOCH,
  CONTROL_FREE_FRESH,
  CONTROL_FREE_HEAD,
  CONTROL_FREE_LOCK,
  CONTROL_NO_CLIENT_PORT,
  CONTROL_REGION_WORKERS,
  CONTROL_WORKERS,
  PACKET_DESTINATION,
  PACKET_DESTINATION_PORT,
  PACKET_FAMILY,
  PACKET_HASH,
  PACKET_HASH_OTHER,
  PACKET_PROTOCOL,
  PACKET_SOURCE,
  PACKET_SOURCE_PORT,
  STATE_FORWARD_MASK,
  STATE_FORWARD_SHIFT,
  STATE_HASHED,
  STATE_NO_CLIENT_PORT,
  STATE_TEMPLATE,
  WIDE_CLIENT,
  WIDE_DESTINATION,
  WIDE_LOCAL,
  WIDE_VIRTUAL,
  WORKER_CONNECTION_COUNT,
  WORKER_ONLINE,
  WORKER_RETIRED_HEAD,
  WORKER_SEEN_EPOCH,
  WORKER_SIZE,
  WORKER_SPARE_COUNT,
  WORKER_SPARE_HEAD,
  WORKER_WAITING_EPOCH,
  WORKER_WAITING_HEAD,
} from './shared/layout.ts';
import { differ16, foldAddress, hashEnd } from './hash.ts';
import { chainMask, chains, cold, connectionsMax, hot, wide, worker } from './instance.ts';
import { CHAIN_LOCKED, lock, lockChain, unlock, unlockChain } from './lock.ts';
import { hashOfCallId } from './sip.ts';

/** Entries taken from the shared free list at once. */
const SPARE_BATCH: u32 = 32;

// @ts-ignore: decorator
@inline
export function chainOf(hash: u32): usize {
  return chains + (<usize>(hash & chainMask) << 2);
}

// @ts-ignore: decorator
@inline
function nextNode(entry: usize, node: u32): u32 {
  return node & 1 ? load<u32>(entry, CONNECTION_NEXT_LOCAL) : load<u32>(entry, CONNECTION_NEXT);
}

/** Hashes the source's end of a packet into its record. */
// @ts-ignore: decorator
@inline
export function hashSource(packet: usize): u32 {
  const hash = hashEnd(
    load<u8>(packet, PACKET_FAMILY),
    packet + PACKET_SOURCE,
    load<u16>(packet, PACKET_SOURCE_PORT),
    load<u8>(packet, PACKET_PROTOCOL),
  );
  store<u32>(packet, hash, PACKET_HASH);
  return hash;
}

/** Hashes the destination's end of a packet into its record. */
// @ts-ignore: decorator
@inline
export function hashDestination(packet: usize): u32 {
  const hash = hashEnd(
    load<u8>(packet, PACKET_FAMILY),
    packet + PACKET_DESTINATION,
    load<u16>(packet, PACKET_DESTINATION_PORT),
    load<u8>(packet, PACKET_PROTOCOL),
  );
  store<u32>(packet, hash, PACKET_HASH_OTHER);
  return hash;
}

/** Hashes both ends of a packet into its record. */
export function hashPacket(packet: usize): void {
  hashSource(packet);
  hashDestination(packet);
}

// @ts-ignore: decorator
@inline
function sameWide(entry: usize, packetAddress: usize): bool {
  return !differ16(entry, packetAddress);
}

/** Finds the connection whose client and virtual end are a packet's source and destination. */
function searchIn(packet: usize, hash: u32, clientPort: u32): u32 {
  const kind = load<u16>(packet, PACKET_FAMILY);
  const family = <u32>(kind & 0xff);
  const client = foldAddress(family, packet + PACKET_SOURCE);
  const virtual = foldAddress(family, packet + PACKET_DESTINATION);
  const ports = clientPort | (<u32>load<u16>(packet, PACKET_DESTINATION_PORT) << 16);
  let node = load<u32>(chainOf(hash)) & ~CHAIN_LOCKED;
  while (node) {
    const entry = hot(node >> 1);
    if (
      load<u32>(entry, CONNECTION_CLIENT) == client &&
      load<u32>(entry, CONNECTION_CLIENT_PORT) == ports &&
      load<u32>(entry, CONNECTION_VIRTUAL) == virtual &&
      load<u16>(entry, CONNECTION_FAMILY) == kind &&
      !(node & 1)
    ) {
      const address = wide(node >> 1);
      const portKnown = !(load<u32>(entry, CONNECTION_STATE) & STATE_NO_CLIENT_PORT);
      if (
        portKnown == (clientPort != 0) &&
        (family == FAMILY_IPV4 ||
          (sameWide(address + WIDE_CLIENT, packet + PACKET_SOURCE) &&
            sameWide(address + WIDE_VIRTUAL, packet + PACKET_DESTINATION)))
      ) {
        return node >> 1;
      }
    }
    node = nextNode(entry, node);
  }
  return 0;
}

/**
 * The connection of a packet from a client, or 0 (ip_vs_conn_in_get). The hash is the packet's
 * source end's.
 */
export function lookupIn(packet: usize): u32 {
  const found = searchIn(packet, load<u32>(packet, PACKET_HASH), load<u16>(packet, PACKET_SOURCE_PORT));
  if (found || !load<u32>(CONTROL_NO_CLIENT_PORT)) return found;
  const family = <u32>load<u8>(packet, PACKET_FAMILY);
  const hash = hashEnd(family, packet + PACKET_SOURCE, 0, <u32>load<u8>(packet, PACKET_PROTOCOL));
  return searchIn(packet, hash, 0);
}

/** Whether a packet's source is the end that answers for a connection. */
function answersFor(index: u32, entry: usize, packet: usize, forwarding: u32): bool {
  const family = <u32>load<u8>(packet, PACKET_FAMILY);
  const source = foldAddress(family, packet + PACKET_SOURCE);
  const sourcePort = load<u16>(packet, PACKET_SOURCE_PORT);
  if (forwarding == FORWARD_NAT || forwarding == FORWARD_FULL_NAT) {
    return (
      load<u16>(entry, CONNECTION_DESTINATION_PORT) == sourcePort &&
      load<u32>(entry, CONNECTION_DESTINATION) == source &&
      (family == FAMILY_IPV4 || sameWide(wide(index) + WIDE_DESTINATION, packet + PACKET_SOURCE))
    );
  }
  return (
    load<u16>(entry, CONNECTION_VIRTUAL_PORT) == sourcePort &&
    load<u32>(entry, CONNECTION_VIRTUAL) == source &&
    (family == FAMILY_IPV4 || sameWide(wide(index) + WIDE_VIRTUAL, packet + PACKET_SOURCE))
  );
}

/** Whether a packet's destination is the end of a connection that a node stands for. */
function reaches(node: u32, entry: usize, packet: usize, forwarding: u32): bool {
  const family = <u32>load<u8>(packet, PACKET_FAMILY);
  const target = foldAddress(family, packet + PACKET_DESTINATION);
  const targetPort = load<u16>(packet, PACKET_DESTINATION_PORT);
  if (node & 1) {
    return (
      load<u16>(entry, CONNECTION_LOCAL_PORT) == targetPort &&
      load<u32>(entry, CONNECTION_LOCAL) == target &&
      (family == FAMILY_IPV4 || sameWide(wide(node >> 1) + WIDE_LOCAL, packet + PACKET_DESTINATION))
    );
  }
  // The real server of a full-nat connection knows the local end only.
  return (
    forwarding != FORWARD_FULL_NAT &&
    load<u16>(entry, CONNECTION_CLIENT_PORT) == targetPort &&
    load<u32>(entry, CONNECTION_CLIENT) == target &&
    (family == FAMILY_IPV4 || sameWide(wide(node >> 1) + WIDE_CLIENT, packet + PACKET_DESTINATION))
  );
}

/** Whether the connection behind a node is the one that a packet answers. */
// @ts-ignore: decorator
@inline
function answersAt(node: u32, packet: usize): bool {
  const entry = hot(node >> 1);
  if (load<u16>(entry, CONNECTION_FAMILY) != load<u16>(packet, PACKET_FAMILY)) return false;
  const forwarding = (load<u32>(entry, CONNECTION_STATE) & STATE_FORWARD_MASK) >> STATE_FORWARD_SHIFT;
  return reaches(node, entry, packet, forwarding) && answersFor(node >> 1, entry, packet, forwarding);
}

/**
 * The connection of a packet from a real server, or 0 (ip_vs_conn_out_get). The hash is the packet's
 * destination end's.
 */
export function lookupOut(packet: usize): u32 {
  let node = load<u32>(chainOf(load<u32>(packet, PACKET_HASH_OTHER))) & ~CHAIN_LOCKED;
  while (node) {
    if (answersAt(node, packet)) return node >> 1;
    node = nextNode(hot(node >> 1), node);
  }
  return 0;
}

/**
 * The persistence template for a masked client, or 0 (ip_vs_ct_in_get). `client` and `virtual` are
 * addresses of 16 readable bytes; a mark's template has protocol 0 and the mark in `virtual`.
 */
export function lookupTemplate(
  family: u32,
  protocol: u32,
  client: usize,
  virtual: usize,
  virtualPort: u32,
): u32 {
  const kind = <u16>(family | (protocol << 8));
  const foldedClient = foldAddress(family, client);
  const virtualFamily: u32 = protocol == PROTOCOL_ANY ? FAMILY_IPV4 : family;
  const foldedVirtual = foldAddress(virtualFamily, virtual);
  let node = load<u32>(chainOf(hashEnd(family, client, 0, protocol))) & ~CHAIN_LOCKED;
  while (node) {
    const index = node >> 1;
    const entry = hot(index);
    if (
      load<u32>(entry, CONNECTION_CLIENT) == foldedClient &&
      load<u32>(entry, CONNECTION_VIRTUAL) == foldedVirtual &&
      load<u32>(entry, CONNECTION_CLIENT_PORT) == virtualPort << 16 &&
      load<u16>(entry, CONNECTION_FAMILY) == kind &&
      load<u32>(entry, CONNECTION_STATE) & STATE_TEMPLATE &&
      (family == FAMILY_IPV4 || sameWide(wide(index) + WIDE_CLIENT, client)) &&
      (virtualFamily == FAMILY_IPV4 || sameWide(wide(index) + WIDE_VIRTUAL, virtual))
    ) {
      return index;
    }
    node = nextNode(entry, node);
  }
  return 0;
}

/** Hash of the client's end of an entry; a template with a Call-ID goes by that instead. */
export function clientHash(index: u32): u32 {
  const callIdHash = hashOfCallId(index);
  if (callIdHash) return callIdHash;
  const entry = hot(index);
  const family = <u32>load<u8>(entry, CONNECTION_FAMILY);
  const at = family == FAMILY_IPV4 ? entry + CONNECTION_CLIENT : wide(index) + WIDE_CLIENT;
  return hashEnd(family, at, load<u16>(entry, CONNECTION_CLIENT_PORT), load<u8>(entry, CONNECTION_PROTOCOL));
}

/** Hash of the local end of an entry (full-nat). */
export function localHash(index: u32): u32 {
  const entry = hot(index);
  const family = <u32>load<u8>(entry, CONNECTION_FAMILY);
  const at = family == FAMILY_IPV4 ? entry + CONNECTION_LOCAL : wide(index) + WIDE_LOCAL;
  return hashEnd(family, at, load<u16>(entry, CONNECTION_LOCAL_PORT), load<u8>(entry, CONNECTION_PROTOCOL));
}

// @ts-ignore: decorator
@inline
function storeNext(node: u32, next: u32): void {
  if (node & 1) store<u32>(hot(node >> 1), next, CONNECTION_NEXT_LOCAL);
  else store<u32>(hot(node >> 1), next, CONNECTION_NEXT);
}

/**
 * Makes a new entry visible that nobody else can have found yet: its state is changed by a plain
 * store, while its chain is locked, so whoever ends it from then on waits until it is in the chain.
 */
export function insertNew(index: u32, hash: u32, state: u32): void {
  const entry = hot(index);
  const head = chainOf(hash);
  store<u32>(entry, lockChain(head), CONNECTION_NEXT);
  store<u32>(entry, state | STATE_HASHED, CONNECTION_STATE);
  unlockChain(head, index << 1);
}

/** Puts a node at the head of its chain, where lookups find it before any older one. */
export function insertNode(node: u32, hash: u32): void {
  const head = chainOf(hash);
  const first = lockChain(head);
  storeNext(node, first);
  unlockChain(head, node);
}

/**
 * Puts a node at the head of the chain of an answer's destination end (PACKET_HASH_OTHER), unless a
 * connection that gets such answers is there already: two workers may try for one end at once.
 */
export function insertIfAlone(node: u32, answer: usize): bool {
  const head = chainOf(load<u32>(answer, PACKET_HASH_OTHER));
  const first = lockChain(head);
  for (let other = first; other; other = nextNode(hot(other >> 1), other)) {
    if (!answersAt(other, answer)) continue;
    unlockChain(head, first);
    return false;
  }
  storeNext(node, first);
  unlockChain(head, node);
  return true;
}

/** Takes a node out of its chain. Whoever stands on it still finds its way on. */
export function removeNode(node: u32, hash: u32): void {
  const head = chainOf(hash);
  const first = lockChain(head);
  if (first == node) {
    unlockChain(head, nextNode(hot(node >> 1), node));
    return;
  }
  let previous = first;
  while (previous) {
    const next = nextNode(hot(previous >> 1), previous);
    if (next == node) {
      storeNext(previous, nextNode(hot(node >> 1), node));
      break;
    }
    previous = next;
  }
  unlockChain(head, first);
}

// ---------------------------------------------------------------------------------------------
// Free entries

/** Moves entries from the shared list, or never used ones, to this worker's own. */
function refillSpares(): void {
  lock(CONTROL_FREE_LOCK);
  let index = load<u32>(CONTROL_FREE_HEAD);
  let fresh = load<u32>(CONTROL_FREE_FRESH);
  let head = load<u32>(worker, WORKER_SPARE_HEAD);
  let taken: u32 = 0;
  while (taken < SPARE_BATCH) {
    let entry = index;
    if (entry) {
      index = load<u32>(cold(entry), COLD_TIMER_NEXT);
    } else if (fresh < connectionsMax) {
      entry = fresh++;
    } else {
      break;
    }
    store<u32>(cold(entry), head, COLD_TIMER_NEXT);
    head = entry;
    taken++;
  }
  store<u32>(CONTROL_FREE_HEAD, index);
  store<u32>(CONTROL_FREE_FRESH, fresh);
  unlock(CONTROL_FREE_LOCK);
  store<u32>(worker, head, WORKER_SPARE_HEAD);
  store<u32>(worker, load<u32>(worker, WORKER_SPARE_COUNT) + taken, WORKER_SPARE_COUNT);
}

/** Each worker counts what it makes and what it ends; only the sum means anything. */
// @ts-ignore: decorator
@inline
function changeCount(by: i32): void {
  store<i32>(worker, load<i32>(worker, WORKER_CONNECTION_COUNT) + by, WORKER_CONNECTION_COUNT);
}

/** A free entry, or 0 when the table is full. */
export function allocate(): u32 {
  if (!load<u32>(worker, WORKER_SPARE_HEAD)) refillSpares();
  const index = load<u32>(worker, WORKER_SPARE_HEAD);
  if (!index) return 0;
  store<u32>(worker, load<u32>(cold(index), COLD_TIMER_NEXT), WORKER_SPARE_HEAD);
  store<u32>(worker, load<u32>(worker, WORKER_SPARE_COUNT) - 1, WORKER_SPARE_COUNT);
  changeCount(1);
  return index;
}

/** Gives back an entry that was never in a chain: nobody else can hold it. */
export function giveBack(index: u32): void {
  store<u32>(cold(index), load<u32>(worker, WORKER_SPARE_HEAD), COLD_TIMER_NEXT);
  store<u32>(worker, index, WORKER_SPARE_HEAD);
  store<u32>(worker, load<u32>(worker, WORKER_SPARE_COUNT) + 1, WORKER_SPARE_COUNT);
  changeCount(-1);
}

/** Retires an entry that was in a chain: it is free once every worker has passed a burst boundary. */
export function retire(index: u32): void {
  store<u32>(cold(index), load<u32>(worker, WORKER_RETIRED_HEAD), COLD_TIMER_NEXT);
  store<u32>(worker, index, WORKER_RETIRED_HEAD);
  changeCount(-1);
}

/** Whether every worker that is awake has passed a burst boundary since `epoch`. */
function allHavePassed(epoch: u32): bool {
  const first: usize = load<u32>(CONTROL_REGION_WORKERS);
  const workers = load<u32>(CONTROL_WORKERS);
  for (let i: u32 = 0; i < workers; i++) {
    const other = first + <usize>i * WORKER_SIZE;
    if (
      atomic.load<u32>(other + WORKER_ONLINE) &&
      <i32>(atomic.load<u32>(other + WORKER_SEEN_EPOCH) - epoch) < 0
    ) {
      return false;
    }
  }
  return true;
}

/** Appends a list of entries to the shared free list. */
function shareFree(first: u32): void {
  let last = first;
  while (true) {
    const next = load<u32>(cold(last), COLD_TIMER_NEXT);
    if (!next) break;
    last = next;
  }
  lock(CONTROL_FREE_LOCK);
  store<u32>(cold(last), load<u32>(CONTROL_FREE_HEAD), COLD_TIMER_NEXT);
  store<u32>(CONTROL_FREE_HEAD, first);
  unlock(CONTROL_FREE_LOCK);
}

/**
 * The burst boundary: this worker holds no reference into the table now. Retired entries wait for
 * the other workers to say the same (quiescent-state reclamation), then they are free.
 */
export function passBoundary(): void {
  atomic.store<u32>(worker + WORKER_SEEN_EPOCH, atomic.load<u32>(CONTROL_EPOCH));
  const waiting = load<u32>(worker, WORKER_WAITING_HEAD);
  if (waiting) {
    if (!allHavePassed(load<u32>(worker, WORKER_WAITING_EPOCH))) return;
    shareFree(waiting);
    store<u32>(worker, 0, WORKER_WAITING_HEAD);
  }
  const retired = load<u32>(worker, WORKER_RETIRED_HEAD);
  if (!retired) return;
  store<u32>(worker, retired, WORKER_WAITING_HEAD);
  store<u32>(worker, 0, WORKER_RETIRED_HEAD);
  const epoch = atomic.add<u32>(CONTROL_EPOCH, 1) + 1;
  store<u32>(worker, epoch, WORKER_WAITING_EPOCH);
  atomic.store<u32>(worker + WORKER_SEEN_EPOCH, epoch);
}
