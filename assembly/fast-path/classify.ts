// What parse() would find out, for packets that are plain; all others are left to it. First comes
// what a connection is looked up by, and later whether the packet is plain at all.

import { FAMILY_IPV4, FAMILY_IPV6, PROTOCOL_TCP, PROTOCOL_UDP } from '../shared/codes.ts';
import {
  DESCRIPTOR_ADDRESS,
  DESCRIPTOR_LENGTH,
  PORT_FLAGS,
  PORT_MAC,
  PORT_PARTIAL_CHECKSUMS,
  RING_CONSUMER,
  RING_DESCRIPTORS,
  RING_MASK,
} from '../shared/layout.ts';
import { frames } from '../instance.ts';
import { pseudoHeaderSumIpv4, pseudoHeaderSumIpv6 } from '../wire/checksum.ts';
import { ETHERNET_SIZE } from '../wire/ethernet.ts';
import { IPV4_SIZE } from '../wire/ipv4.ts';
import { IPV6_SIZE } from '../wire/ipv6.ts';
import { TCP_CHECKSUM, TCP_SIZE } from '../wire/tcp.ts';
import { UDP_CHECKSUM, UDP_SIZE } from '../wire/udp.ts';
import {
  ETHERNET_TYPE,
  IPV4,
  IPV4_DESTINATION,
  IPV4_FRAGMENT,
  IPV4_LENGTH,
  IPV4_PROTOCOL,
  IPV4_SOURCE,
  IPV4_TRANSPORT,
  IPV4_TTL,
  IPV6,
  IPV6_DESTINATION,
  IPV6_HOP_LIMIT,
  IPV6_NEXT_HEADER,
  IPV6_SOURCE,
  IPV6_TRANSPORT,
  TCP_FLAGS,
} from './frame.ts';
import {
  ENDS,
  FRAME,
  FRAME_LENGTH,
  HOW,
  KIND,
  LENGTH,
  NOTE_SIZE,
  PORTS,
  SEEMS,
  WHOLE_ENDS_SIZE,
  note,
  wholeEnds,
} from './note.ts';

/**
 * FIN, SYN, RST and ACK, in the word that begins with the header's length: nothing but ACK alone
 * leaves an established connection as it is.
 */
const TCP_EVENTS: u32 = 0x1700;
const TCP_ACK: u32 = 0x1000;
/**
 * A 64-bit number is a multiple of 65535 when its product with the inverse of 65535 modulo 2^64 is
 * at most 2^64 / 65535. So much for "the sum is 0xffff" without folding it.
 */
const INVERSE_65535: u64 = 0xfffefffefffeffff;
const MULTIPLES_65535: u64 = 0x0001000100010001;

/**
 * Notes of each frame what a connection is looked up by, unless it can be seen already that it is
 * not plain. Whether it is, verify() finds out while the entries are fetched.
 * @returns whether an IPv6 packet is among them
 */
export function readEnds(ring: usize, packets: u32, way: usize): bool {
  const mac = load<u64>(way, PORT_MAC);
  const base = frames;
  const entries = <usize>load<u32>(ring, RING_DESCRIPTORS);
  const mask = load<u32>(ring, RING_MASK);
  let slot = load<u32>(load<u32>(ring, RING_CONSUMER));
  let hasIpv6 = false;
  let at: usize = note(0);
  let ends: usize = wholeEnds(0);
  const end = at + packets * NOTE_SIZE;
  for (; at != end; at += NOTE_SIZE, ends += WHOLE_ENDS_SIZE) {
    const descriptor = entries + (<usize>(slot++ & mask) << 4);
    const frame = base + <usize>load<u64>(descriptor, DESCRIPTOR_ADDRESS);
    const length = load<u32>(descriptor, DESCRIPTOR_LENGTH);
    store<u32>(at, <u32>frame, FRAME);
    store<u16>(at, <u16>length, FRAME_LENGTH);
    store<u32>(at, 0, KIND);
    // With it OUTER and SEEMS.
    store<u32>(at, 0, HOW);
    if (length < ETHERNET_SIZE + IPV6_SIZE) continue;
    if ((load<u64>(frame) ^ mac) << 16) continue;
    const type = load<u32>(frame, ETHERNET_TYPE);
    if ((type & 0xffffff) == 0x450008) {
      store<u16>(at, <u16>(FAMILY_IPV4 | (<u32>load<u8>(frame, IPV4_PROTOCOL) << 8)), SEEMS);
      store<u32>(at, load<u32>(frame, IPV4_TRANSPORT), PORTS);
      store<u64>(at, load<u64>(frame, IPV4_SOURCE), ENDS);
    } else if ((type & 0xf0ffff) == 0x60dd86) {
      store<u16>(at, <u16>(FAMILY_IPV6 | (<u32>load<u8>(frame, IPV6_NEXT_HEADER) << 8)), SEEMS);
      store<u32>(at, load<u32>(frame, IPV6_TRANSPORT), PORTS);
      store<u32>(at, folded6(frame + IPV6_SOURCE), ENDS);
      store<u32>(at, folded6(frame + IPV6_DESTINATION), ENDS + 4);
      v128.store(ends, v128.load(frame + IPV6_SOURCE));
      v128.store(ends, v128.load(frame + IPV6_DESTINATION), 16);
      hasIpv6 = true;
    }
  }
  return hasIpv6;
}

/** As foldAddress() does it, in fewer steps. */
// @ts-ignore: decorator
@inline
function folded6(at: usize): u32 {
  const halves = load<u64>(at) ^ load<u64>(at, 8);
  return <u32>halves ^ <u32>(halves >> 32);
}

/** Notes the kind of the packets that are plain. */
export function verify(packets: u32, way: usize): void {
  let at: usize = note(0);
  const end = at + packets * NOTE_SIZE;
  for (; at != end; at += NOTE_SIZE) {
    const kind = <u32>load<u16>(at, SEEMS);
    const frame: usize = load<u32>(at, FRAME);
    const room = <u32>load<u16>(at, FRAME_LENGTH) - ETHERNET_SIZE;
    if ((kind & 0xff) == FAMILY_IPV4) verifyIpv4(at, frame, room, kind);
    else if (kind) verifyIpv6(at, frame, room, kind);
  }
  if (load<u32>(way, PORT_FLAGS) & PORT_PARTIAL_CHECKSUMS) leavePartial(packets);
}

// @ts-ignore: decorator
@inline
function verifyIpv4(at: usize, frame: usize, room: u32, kind: u32): void {
  const first = load<u64>(frame, IPV4);
  const second = load<u64>(frame, IPV4_TTL);
  // RFC 1071 lets any width be summed; and the sum of a header that begins with 0x45 is not 0.
  const sum: u64 =
    (first & 0xffffffff) +
    (first >> 32) +
    (second & 0xffffffff) +
    (second >> 32) +
    <u64>load<u32>(frame, IPV4_DESTINATION);
  if (sum * INVERSE_65535 > MULTIPLES_65535) return;
  if (<u32>load<u16>(frame, IPV4_FRAGMENT) & 0xff3f) return;
  const length = (<u32>load<u8>(frame, IPV4_LENGTH) << 8) | load<u8>(frame, IPV4_LENGTH + 1);
  if (length > room || (second & 0xff) <= 1) return;
  verifyTransport(at, frame + IPV4_TRANSPORT, length, IPV4_SIZE, kind);
}

// @ts-ignore: decorator
@inline
function verifyIpv6(at: usize, frame: usize, room: u32, kind: u32): void {
  const length = <u32>bswap<u16>(load<u16>(frame, IPV6 + 4)) + IPV6_SIZE;
  if (length > room || load<u8>(frame, IPV6_HOP_LIMIT) <= 1) return;
  verifyTransport(at, frame + IPV6_TRANSPORT, length, IPV6_SIZE, kind);
}

/**
 * Notes the kind of a packet when its transport header is whole and nothing in it changes a
 * connection's state. A client's port of 0 means "not known" in the table; a datagram without a
 * checksum would get one where it is translated.
 * @param length of the IP packet
 * @param skipped bytes of its header
 */
// @ts-ignore: decorator
@inline
function verifyTransport(
  at: usize,
  transport: usize,
  length: u32,
  skipped: u32,
  kind: u32,
): void {
  if (!load<u16>(transport)) return;
  if (kind >> 8 == PROTOCOL_TCP) {
    const word = <u32>load<u16>(transport, TCP_FLAGS - 1);
    const header = (word & 0xf0) >> 2;
    if (header < TCP_SIZE || header + skipped > length) return;
    if ((word & TCP_EVENTS) != TCP_ACK) return;
  } else {
    if (kind >> 8 != PROTOCOL_UDP || length < UDP_SIZE + skipped) return;
    if (!load<u16>(transport, UDP_CHECKSUM)) return;
  }
  store<u16>(at, <u16>length, LENGTH);
  store<u16>(at, <u16>kind, KIND);
}

/**
 * Leaves packets to the pipeline whose checksum may have been left to a device: the cheap half of
 * isPartialChecksum(). The dear half, a sum over the whole packet, is the pipeline's.
 */
function leavePartial(packets: u32): void {
  let at: usize = note(0);
  for (let i: u32 = 0; i < packets; i++, at += NOTE_SIZE) {
    if (load<u16>(at, KIND) && holdsPseudoHeaderSum(at)) store<u32>(at, 0, KIND);
  }
}

function holdsPseudoHeaderSum(at: usize): bool {
  const frame: usize = load<u32>(at, FRAME);
  const protocol = <u32>load<u8>(at, KIND + 1);
  const length = <u32>load<u16>(at, LENGTH);
  const field = protocol == PROTOCOL_TCP ? TCP_CHECKSUM : UDP_CHECKSUM;
  if (load<u8>(at, KIND) == <u8>FAMILY_IPV4) {
    const source = load<u32>(at, ENDS);
    const sum = pseudoHeaderSumIpv4(source, load<u32>(at, ENDS + 4), protocol, length - IPV4_SIZE);
    return sum == <u32>load<u16>(frame + IPV4_TRANSPORT + field);
  }
  const source = frame + IPV6_SOURCE;
  const sum = pseudoHeaderSumIpv6(source, frame + IPV6_DESTINATION, protocol, length - IPV6_SIZE);
  return sum == <u32>load<u16>(frame + IPV6_TRANSPORT + field);
}
