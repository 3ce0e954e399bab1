// Fragments that come in (ip_defrag, nf_defrag_ipv6). They wait in their own frames until the
// datagram is whole; then it is put together in the worker's datagram space, goes through the steps
// like any other packet, and is cut again at the same places on output (fragment-output.ts).

import { FAMILY_IPV4, VERDICT_HOLD } from './shared/codes.ts';
import {
  COUNTER_HELD,
  DROP_FRAGMENT_OVERLAP,
  DROP_FRAGMENT_TABLE_FULL,
  DROP_FRAGMENT_TIMEOUT,
} from './shared/counters.ts';
import {
  PACKET_DESTINATION,
  PACKET_FAMILY,
  PACKET_FRAGMENT_MAX,
  PACKET_HEADER_LENGTH,
  PACKET_IP_LENGTH,
  PACKET_NETWORK,
  PACKET_PARTS,
  PACKET_PORT,
  PACKET_PROTOCOL,
  PACKET_SOURCE,
  PACKET_VERDICT,
  PART_HEADER_LENGTH,
  PART_LENGTH,
  PART_NETWORK,
  PART_OFFSET,
  PART_SIZE,
  QUEUE_DESTINATION,
  QUEUE_EXPIRES,
  QUEUE_FAMILY,
  QUEUE_HELD,
  QUEUE_IDENTIFICATION,
  QUEUE_LARGEST,
  QUEUE_LARGEST_DF,
  QUEUE_PARTS,
  QUEUE_PORT,
  QUEUE_PROTOCOL,
  QUEUE_SIZE,
  QUEUE_SOURCE,
  QUEUE_STATE,
  QUEUE_TOTAL,
  WORKER_DATAGRAM,
  WORKER_DATAGRAM_HEADROOM,
  WORKER_FRAGMENTS,
  WORKER_GEOMETRY,
} from './shared/layout.ts';
import { FRAGMENT_PARTS_MAX, FRAGMENT_QUEUES_MAX, TICKS_PER_SECOND } from './shared/limits.ts';
import { count } from './counters.ts';
import { copyAddress, sameAddress } from './hash.ts';
import { now, worker } from './instance.ts';
import { parse } from './parse.ts';
import { freeFrame } from './ring.ts';
import { drop } from './transmit.ts';
import { ETHERNET_SIZE } from './wire/ethernet.ts';
import {
  IPV4_DONT_FRAGMENT_BE,
  fillIpv4Checksum,
  ipv4DontFragment,
  ipv4FragmentOffset,
  ipv4IdentificationBe,
  ipv4MoreFragments,
  setIpv4FragmentFieldBe,
  setIpv4TotalLength,
} from './wire/ipv4.ts';
import {
  IPV6_FRAGMENT_SIZE,
  IPV6_SIZE,
  ipv6ExtensionNext,
  ipv6FragmentIdentificationBe,
  ipv6FragmentOffset,
  ipv6MoreFragments,
  setIpv6NextHeaderAt,
  setIpv6PayloadLength,
  walkFragmentOffset,
  walkIpv6,
} from './wire/ipv6.ts';

/** How long a datagram may take to become whole (net.ipv4.ipfrag_time, nf_conntrack_frag6_timeout). */
const WHOLE_WITHIN_SECONDS: u32 = 30;
/** The largest datagram: what the 16-bit length of IP can say. */
const DATAGRAM_MAX: u32 = 65535;

// @ts-ignore: decorator
@inline
function queueAt(n: u32): usize {
  return worker + WORKER_FRAGMENTS + <usize>n * QUEUE_SIZE;
}

// @ts-ignore: decorator
@inline
function part(queue: usize, n: u32): usize {
  return queue + QUEUE_PARTS + <usize>n * PART_SIZE;
}

/** IPv6: where the fragment header stands. A first fragment may have more headers behind it. */
function fragmentHeader6(packet: usize): usize {
  const network = <usize>load<u32>(packet, PACKET_NETWORK);
  return network + walkFragmentOffset(walkIpv6(network, load<u32>(packet, PACKET_IP_LENGTH)));
}

/** Bytes of a fragment in front of its part of the datagram, the fragment header included. */
function partHeaderLength(packet: usize): u32 {
  if (load<u8>(packet, PACKET_FAMILY) == <u8>FAMILY_IPV4) return load<u32>(packet, PACKET_HEADER_LENGTH);
  return <u32>(fragmentHeader6(packet) - load<u32>(packet, PACKET_NETWORK)) + IPV6_FRAGMENT_SIZE;
}

function identificationOf(packet: usize): u32 {
  if (load<u8>(packet, PACKET_FAMILY) == <u8>FAMILY_IPV4) {
    return ipv4IdentificationBe(load<u32>(packet, PACKET_NETWORK));
  }
  return ipv6FragmentIdentificationBe(fragmentHeader6(packet));
}

function offsetOf(packet: usize): u32 {
  if (load<u8>(packet, PACKET_FAMILY) == <u8>FAMILY_IPV4) {
    return ipv4FragmentOffset(load<u32>(packet, PACKET_NETWORK));
  }
  return ipv6FragmentOffset(fragmentHeader6(packet));
}

function moreFollow(packet: usize): bool {
  if (load<u8>(packet, PACKET_FAMILY) == <u8>FAMILY_IPV4) {
    return ipv4MoreFragments(load<u32>(packet, PACKET_NETWORK));
  }
  return ipv6MoreFragments(fragmentHeader6(packet));
}

function isQueueOf(queue: usize, packet: usize, identification: u32): bool {
  const family = <u32>load<u8>(packet, PACKET_FAMILY);
  return (
    load<u32>(queue, QUEUE_STATE) != 0 &&
    load<u32>(queue, QUEUE_IDENTIFICATION) == identification &&
    <u32>load<u8>(queue, QUEUE_FAMILY) == family &&
    (family != FAMILY_IPV4 || load<u8>(queue, QUEUE_PROTOCOL) == load<u8>(packet, PACKET_PROTOCOL)) &&
    sameAddress(family, queue + QUEUE_SOURCE, packet + PACKET_SOURCE) &&
    sameAddress(family, queue + QUEUE_DESTINATION, packet + PACKET_DESTINATION)
  );
}

/** The queue of a fragment's datagram, a new one if need be, or 0 when all are taken. */
function queueOf(packet: usize): usize {
  const identification = identificationOf(packet);
  let free: usize = 0;
  for (let i: u32 = 0; i < FRAGMENT_QUEUES_MAX; i++) {
    const queue = queueAt(i);
    if (isQueueOf(queue, packet, identification)) return queue;
    if (!free && !load<u32>(queue, QUEUE_STATE)) free = queue;
  }
  if (!free) return 0;
  const family = <u32>load<u8>(packet, PACKET_FAMILY);
  memory.fill(free, 0, QUEUE_PARTS);
  store<u32>(free, 1, QUEUE_STATE);
  store<u8>(free, <u8>family, QUEUE_FAMILY);
  store<u8>(free, load<u8>(packet, PACKET_PROTOCOL), QUEUE_PROTOCOL);
  store<u8>(free, load<u8>(packet, PACKET_PORT), QUEUE_PORT);
  store<u32>(free, identification, QUEUE_IDENTIFICATION);
  store<u32>(free, now + WHOLE_WITHIN_SECONDS * TICKS_PER_SECOND, QUEUE_EXPIRES);
  copyAddress(family, free + QUEUE_SOURCE, packet + PACKET_SOURCE);
  copyAddress(family, free + QUEUE_DESTINATION, packet + PACKET_DESTINATION);
  return free;
}

/** Gives all frames of a queue back, and the queue. */
function dissolve(queue: usize): void {
  const parts = load<u32>(queue, QUEUE_STATE) - 1;
  for (let i: u32 = 0; i < parts; i++) freeFrame(load<u32>(part(queue, i), PART_NETWORK));
  store<u32>(queue, 0, QUEUE_STATE);
}

/** Where a fragment belongs among the parts, or -1 when one of them has it already, -2 when it overlaps. */
function placeOf(queue: usize, offset: u32, length: u32): i32 {
  const parts = load<u32>(queue, QUEUE_STATE) - 1;
  let at: u32 = 0;
  while (at < parts && <u32>load<u16>(part(queue, at), PART_OFFSET) < offset) at++;
  if (at < parts) {
    const next = part(queue, at);
    const nextOffset = <u32>load<u16>(next, PART_OFFSET);
    if (nextOffset == offset && <u32>load<u16>(next, PART_LENGTH) >= length) return -1;
    if (offset + length > nextOffset) return -2;
  }
  if (at > 0) {
    const before = part(queue, at - 1);
    const end = <u32>load<u16>(before, PART_OFFSET) + <u32>load<u16>(before, PART_LENGTH);
    if (end >= offset + length) return -1;
    if (end > offset) return -2;
  }
  return <i32>at;
}

function insertPart(
  queue: usize,
  at: u32,
  packet: usize,
  offset: u32,
  length: u32,
  headerLength: u32,
): void {
  const parts = load<u32>(queue, QUEUE_STATE) - 1;
  const here = part(queue, at);
  memory.copy(here + PART_SIZE, here, <usize>(parts - at) * PART_SIZE);
  store<u16>(here, <u16>offset, PART_OFFSET);
  store<u16>(here, <u16>length, PART_LENGTH);
  store<u32>(here, load<u32>(packet, PACKET_NETWORK), PART_NETWORK);
  store<u32>(here, headerLength, PART_HEADER_LENGTH);
  store<u32>(queue, parts + 2, QUEUE_STATE);
  store<u32>(queue, load<u32>(queue, QUEUE_HELD) + length, QUEUE_HELD);
}

/** Notes the sizes that decide how the datagram is cut again. */
function noteSizes(queue: usize, packet: usize): void {
  const bytes = load<u32>(packet, PACKET_IP_LENGTH);
  if (bytes > load<u32>(queue, QUEUE_LARGEST)) store<u32>(queue, bytes, QUEUE_LARGEST);
  if (load<u8>(packet, PACKET_FAMILY) != <u8>FAMILY_IPV4) return;
  if (!ipv4DontFragment(load<u32>(packet, PACKET_NETWORK))) return;
  if (bytes > load<u32>(queue, QUEUE_LARGEST_DF)) store<u32>(queue, bytes, QUEUE_LARGEST_DF);
}

/** A fragment contradicts the others: the datagram can never be whole, so all of it goes. */
function refuse(packet: usize, queue: usize): bool {
  dissolve(queue);
  drop(packet, DROP_FRAGMENT_OVERLAP);
  return false;
}

/**
 * Takes a fragment in.
 * @returns whether the packet record now stands for the whole datagram; if not, the fragment is kept
 *   or dropped
 */
export function gather(packet: usize): bool {
  const queue = queueOf(packet);
  if (!queue || load<u32>(queue, QUEUE_STATE) > FRAGMENT_PARTS_MAX) {
    drop(packet, DROP_FRAGMENT_TABLE_FULL);
    return false;
  }
  const offset = offsetOf(packet);
  const headerLength = partHeaderLength(packet);
  const length = load<u32>(packet, PACKET_IP_LENGTH) - headerLength;
  const more = moreFollow(packet);
  const end = offset + length;
  const total = load<u32>(queue, QUEUE_TOTAL);
  if (!length || end > DATAGRAM_MAX || (more && length & 7)) return refuse(packet, queue);
  if (total != 0 && (end > total || (!more && end != total))) return refuse(packet, queue);
  const place = placeOf(queue, offset, length);
  if (place == -1) {
    drop(packet, DROP_FRAGMENT_OVERLAP);
    return false;
  }
  if (place < 0) return refuse(packet, queue);
  if (!more) store<u32>(queue, end, QUEUE_TOTAL);
  insertPart(queue, place, packet, offset, length, headerLength);
  noteSizes(queue, packet);
  store<u8>(packet, <u8>VERDICT_HOLD, PACKET_VERDICT);
  count(COUNTER_HELD);
  if (load<u32>(queue, QUEUE_HELD) != load<u32>(queue, QUEUE_TOTAL)) return false;
  return assemble(packet, queue);
}

/** Copies the parts behind the first one's header, and makes the record that of the whole. */
function assemble(packet: usize, queue: usize): bool {
  const parts = load<u32>(queue, QUEUE_STATE) - 1;
  const first = part(queue, 0);
  const headerLength = load<u32>(first, PART_HEADER_LENGTH);
  const frame = worker + WORKER_DATAGRAM + WORKER_DATAGRAM_HEADROOM;
  const network = frame + ETHERNET_SIZE;
  const isIpv4 = load<u8>(queue, QUEUE_FAMILY) == <u8>FAMILY_IPV4;
  // IPv6: the fragment header is left out of the whole.
  const kept = isIpv4 ? headerLength : headerLength - IPV6_FRAGMENT_SIZE;
  const source = <usize>load<u32>(first, PART_NETWORK);
  memory.copy(frame, source - ETHERNET_SIZE, kept + ETHERNET_SIZE);
  const total = load<u32>(queue, QUEUE_TOTAL);
  if (kept + total > DATAGRAM_MAX) return refuseWhole(packet, queue);
  const geometry = worker + WORKER_GEOMETRY;
  store<u32>(geometry, parts);
  for (let i: u32 = 0; i < parts; i++) {
    const from = part(queue, i);
    const length = <u32>load<u16>(from, PART_LENGTH);
    const payload = <usize>load<u32>(from, PART_NETWORK) + load<u32>(from, PART_HEADER_LENGTH);
    memory.copy(network + kept + <u32>load<u16>(from, PART_OFFSET), payload, length);
    store<u16>(geometry + 4 + (<usize>i << 1), <u16>length);
  }
  const largest = load<u32>(queue, QUEUE_LARGEST);
  if (isIpv4) {
    const isDf = load<u32>(queue, QUEUE_LARGEST_DF) == largest;
    setIpv4FragmentFieldBe(network, isDf ? IPV4_DONT_FRAGMENT_BE : 0);
    setIpv4TotalLength(network, kept + total);
    fillIpv4Checksum(network, kept);
  } else {
    joinIpv6(network, source, kept, total);
  }
  const portIndex = load<u8>(queue, QUEUE_PORT);
  dissolve(queue);
  parse(packet, frame, kept + total + ETHERNET_SIZE, portIndex);
  store<u32>(packet, 1, PACKET_PARTS);
  store<u32>(packet, largest, PACKET_FRAGMENT_MAX);
  return true;
}

function refuseWhole(packet: usize, queue: usize): bool {
  dissolve(queue);
  store<u32>(packet, 1, PACKET_PARTS);
  drop(packet, DROP_FRAGMENT_OVERLAP);
  return false;
}

/** Takes the fragment header out of the chain of headers of a datagram put together. */
function joinIpv6(network: usize, source: usize, kept: u32, total: u32): void {
  setIpv6NextHeaderAt(network, kept, ipv6ExtensionNext(source + kept));
  setIpv6PayloadLength(network, kept - IPV6_SIZE + total);
}

/** Gives up datagrams that did not become whole in time. */
export function expireFragments(): void {
  for (let i: u32 = 0; i < FRAGMENT_QUEUES_MAX; i++) {
    const queue = queueAt(i);
    if (!load<u32>(queue, QUEUE_STATE)) continue;
    if (<i32>(load<u32>(queue, QUEUE_EXPIRES) - now) > 0) continue;
    count(DROP_FRAGMENT_TIMEOUT);
    dissolve(queue);
  }
}
