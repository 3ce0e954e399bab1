// Packets that are longer than the way allows, or that came in fragments, are cut here as the kernel
// does on output (ip_do_fragment, ip6_fragment): at the places where they were cut before if these
// still fit, otherwise as large as the MTU, or the largest fragment seen, allows.

import { FAMILY_IPV4, FAMILY_IPV6, VERDICT_DROP } from './shared/codes.ts';
import { COUNTER_FRAGMENTS_MADE, DROP_NO_FREE_FRAME, DROP_PACKET_TOO_BIG } from './shared/counters.ts';
import {
  PACKET_FRAGMENT_MAX,
  PACKET_IP_LENGTH,
  PACKET_NETWORK,
  PACKET_PARTS,
  PACKET_REASON,
  PACKET_START,
  PACKET_VERDICT,
  WORKER_GEOMETRY,
} from './shared/layout.ts';
import { FRAME_HEADROOM, FRAME_SIZE } from './shared/limits.ts';
import { count } from './counters.ts';
import { nextIdentification } from './icmp-error.ts';
import { worker } from './instance.ts';
import { freeFrame, takeFrame } from './ring.ts';
import { HOP_LOCAL, hopMtu } from './route.ts';
import { sendFrame } from './transmit.ts';
import { ETHERNET_SIZE } from './wire/ethernet.ts';
import {
  IPV4_DONT_FRAGMENT_BE,
  IPV4_MORE_FRAGMENTS_BE,
  fillIpv4Checksum,
  ipv4FragmentFieldBe,
  ipv4HeaderLength,
  setIpv4FragmentFieldBe,
  setIpv4TotalLength,
} from './wire/ipv4.ts';
import {
  IPV6_FRAGMENT,
  IPV6_FRAGMENT_SIZE,
  IPV6_SIZE,
  ipv6FragmentableOffset,
  ipv6NextHeaderAt,
  setIpv6Fragment,
  setIpv6NextHeaderAt,
  setIpv6PayloadLength,
} from './wire/ipv6.ts';

/** Every way takes packets of these lengths (RFC 791, 3.2; RFC 8200, 5). */
const IPV4_MTU_MIN: u32 = 68;
const IPV6_MTU_MIN: u32 = 1280;
/** No piece is longer than a frame has room for, whatever the port would take. */
const PIECE_MAX: u32 = FRAME_SIZE - FRAME_HEADROOM - <u32>ETHERNET_SIZE;
/** What is cut for the director's own stack is cut so as to fit a frame. */
const DATAGRAM_PIECE_MAX: u32 = 1500;

/** Payload bytes of the n-th fragment it came in, 0 when there was none. */
function cameAs(n: u32): u32 {
  const geometry = worker + WORKER_GEOMETRY;
  return n < load<u32>(geometry) ? load<u16>(geometry + 4 + (<usize>n << 1)) : 0;
}

/**
 * Whether the old places still serve: `extra` bytes were put in front of the first part, and every
 * part must fit `room` and be a multiple of 8, but for the last.
 */
function keepsGeometry(room: u32, extra: u32): bool {
  const parts = load<u32>(worker + WORKER_GEOMETRY);
  for (let i: u32 = 0; i < parts; i++) {
    const length = cameAs(i) + (i == 0 ? extra : 0);
    if (length > room || (length & 7 && i + 1 < parts)) return false;
  }
  return true;
}

/** Cuts a packet and sends the pieces. Its own frame is free afterwards. */
export function cutAndSend(packet: usize, family: u32, hop: u32): void {
  const network = <usize>load<u32>(packet, PACKET_NETWORK);
  const total = load<u32>(packet, PACKET_IP_LENGTH);
  const inPieces = load<u32>(packet, PACKET_PARTS) != 0;
  const largest = load<u32>(packet, PACKET_FRAGMENT_MAX);
  let mtu = hop == HOP_LOCAL ? DATAGRAM_PIECE_MAX : hopMtu(hop);
  if (mtu > PIECE_MAX) mtu = PIECE_MAX;
  if (mtu < IPV4_MTU_MIN) mtu = IPV4_MTU_MIN;
  if (largest != 0 && largest < mtu) mtu = largest;
  if (family != FAMILY_IPV4 && mtu < IPV6_MTU_MIN) mtu = IPV6_MTU_MIN;
  const reason = family == FAMILY_IPV4
    ? cut4(network, total, mtu, inPieces, hop)
    : cut6(network, total, mtu, inPieces, hop);
  if (reason) {
    count(reason);
    store<u8>(packet, <u8>reason, PACKET_REASON);
    store<u8>(packet, <u8>VERDICT_DROP, PACKET_VERDICT);
  }
  if (!inPieces) freeFrame(load<u32>(packet, PACKET_START));
}

/** Length of the next piece: the old one, or as much as fits in multiples of 8. */
function nextPiece(n: u32, left: u32, room: u32, keep: bool, extra: u32): u32 {
  if (keep) return cameAs(n) + (n == 0 ? extra : 0);
  return left <= room ? left : room & ~7;
}

/** @returns 0, or why not all of the pieces were sent */
function cut4(network: usize, total: u32, mtu: u32, inPieces: bool, hop: u32): u32 {
  const headerLength = ipv4HeaderLength(network);
  const payload = total - headerLength;
  const room = mtu - headerLength;
  const came = cameInPieces(payload, inPieces);
  const keep = inPieces && keepsGeometry(room, payload - came);
  const df = ipv4FragmentFieldBe(network) & IPV4_DONT_FRAGMENT_BE;
  let offset: u32 = 0;
  let n: u32 = 0;
  while (offset < payload) {
    const length = nextPiece(n++, payload - offset, room, keep, payload - came);
    const frame = takeFrame();
    if (!frame) return DROP_NO_FREE_FRAME;
    const at = frame + FRAME_HEADROOM + ETHERNET_SIZE;
    memory.copy(at, network, headerLength);
    memory.copy(at + headerLength, network + headerLength + offset, length);
    const isLast = offset + length == payload;
    const more = isLast ? 0 : IPV4_MORE_FRAGMENTS_BE;
    setIpv4FragmentFieldBe(at, <u32>bswap<u16>(<u16>(offset >> 3)) | more | df);
    setIpv4TotalLength(at, headerLength + length);
    fillIpv4Checksum(at, headerLength);
    sendFrame(at, headerLength + length, FAMILY_IPV4, hop);
    count(COUNTER_FRAGMENTS_MADE);
    offset += length;
  }
  return 0;
}

/** Payload bytes that came in fragments: less than there are when a header was put in front. */
function cameInPieces(payload: u32, inPieces: bool): u32 {
  if (!inPieces) return payload;
  let sum: u32 = 0;
  for (let i: u32 = 0; i < load<u32>(worker + WORKER_GEOMETRY); i++) sum += cameAs(i);
  return sum;
}

function cut6(network: usize, total: u32, mtu: u32, inPieces: bool, hop: u32): u32 {
  const front = ipv6FragmentableOffset(network, total);
  if (front + IPV6_FRAGMENT_SIZE + 8 > mtu) return DROP_PACKET_TOO_BIG;
  const payload = total - front;
  const room = mtu - front - IPV6_FRAGMENT_SIZE;
  const came = cameInPieces(payload, inPieces);
  const keep = inPieces && keepsGeometry(room, payload - came);
  const upper = ipv6NextHeaderAt(network, front);
  const identification = (nextIdentification() << 16) | nextIdentification();
  let offset: u32 = 0;
  let n: u32 = 0;
  while (offset < payload) {
    const length = nextPiece(n++, payload - offset, room, keep, payload - came);
    const frame = takeFrame();
    if (!frame) return DROP_NO_FREE_FRAME;
    const at = frame + FRAME_HEADROOM + ETHERNET_SIZE;
    memory.copy(at, network, front);
    setIpv6NextHeaderAt(at, front, IPV6_FRAGMENT);
    setIpv6PayloadLength(at, front - IPV6_SIZE + IPV6_FRAGMENT_SIZE + length);
    setIpv6Fragment(at + front, upper, offset, offset + length < payload, identification);
    memory.copy(at + front + IPV6_FRAGMENT_SIZE, network + front + offset, length);
    sendFrame(at, front + IPV6_FRAGMENT_SIZE + length, FAMILY_IPV6, hop);
    count(COUNTER_FRAGMENTS_MADE);
    offset += length;
  }
  return 0;
}
