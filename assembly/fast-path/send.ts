// Rewrites the packets that are ready, puts them into the TX rings and counts them.

import {
  FORWARD_FULL_NAT,
  FORWARD_NAT,
  FORWARD_TUNNEL,
  PROTOCOL_TCP,
} from '../shared/codes.ts';
import {
  CONNECTION_DESTINATION_ID,
  CONNECTION_IN_PACKETS,
  CONNECTION_LAST_SEEN,
  COUNTERS_TOTAL,
  DESCRIPTOR_ADDRESS,
  DESCRIPTOR_LENGTH,
  DESTINATION_SERVICE,
  PORT_MAC,
  PORT_MTU,
  RING_DESCRIPTORS,
  RING_MASK,
  RING_PRODUCER,
  RING_RESERVED,
  RING_ROOM,
  STATS_IN_PACKETS,
  STATS_OUT_PACKETS,
  STATS_SIZE,
} from '../shared/layout.ts';
import {
  counters,
  destination,
  destinationStats,
  frames,
  now,
  port,
  serviceStats,
} from '../instance.ts';
import { reserve, transmitRing } from '../ring.ts';
import { ETHERNET_SIZE } from '../wire/ethernet.ts';
import { ETHERNET_SOURCE } from './frame.ts';
import {
  FRAME,
  HOW,
  HOW_IPV6,
  HOW_METHOD,
  HOW_OUTWARDS,
  KIND,
  LENGTH,
  NOTE_SIZE,
  OUTWARDS,
  WAY,
  WHERE,
  note,
} from './note.ts';
import { ageIpv4, ageIpv6, translate4, translate6 } from './rewrite.ts';
import { wrapIpv4, wrapIpv6 } from './wrap.ts';

const METHODS_TRANSLATING: u32 = (1 << FORWARD_NAT) | (1 << FORWARD_FULL_NAT);

/**
 * Rewrites a packet by its connection's method and its direction.
 * @returns where the frame begins now
 */
// @ts-ignore: decorator
@inline
function rewrite(frame: usize, entry: usize, how: u32, isTcp: bool, length: u32): usize {
  const method = how & HOW_METHOD;
  if (!((METHODS_TRANSLATING >> method) & 1)) {
    if (how & HOW_IPV6) ageIpv6(frame);
    else ageIpv4(frame);
    if (method != FORWARD_TUNNEL) return frame;
    return how & HOW_IPV6 ? wrapIpv6(frame, entry, length) : wrapIpv4(frame, entry, length);
  }
  const isFull = method == FORWARD_FULL_NAT;
  if (how & HOW_IPV6) {
    if (how & HOW_OUTWARDS) translate6(frame, entry, true, isFull, isTcp);
    else translate6(frame, entry, false, isFull, isTcp);
  } else if (how & HOW_OUTWARDS) {
    translate4(frame, entry, true, isFull, isTcp);
  } else {
    translate4(frame, entry, false, isFull, isTcp);
  }
  return frame;
}

/** Notes in a connection that a packet came. */
// @ts-ignore: decorator
@inline
function noteSeen(entry: usize, how: u32, tick: u32): void {
  store<u32>(entry, tick, CONNECTION_LAST_SEEN);
  if (how & HOW_OUTWARDS) return;
  store<u32>(entry, load<u32>(entry, CONNECTION_IN_PACKETS) + 1, CONNECTION_IN_PACKETS);
}

/**
 * Forwards ready packets that leave on the same port, in order.
 * @returns the first that was not forwarded: `from` when there is no room or it does not fit
 */
function sendRun(from: u32, end: u32): u32 {
  const portIndex = <u32>load<u8>(note(from), WAY + 6);
  const ring = transmitRing(portIndex);
  if (!ring) return from;
  const first = load<u32>(load<u32>(ring, RING_PRODUCER)) + load<u32>(ring, RING_RESERVED);
  const last = first + min(load<u32>(ring, RING_ROOM), end - from);
  const entries = <usize>load<u32>(ring, RING_DESCRIPTORS);
  const mask = load<u32>(ring, RING_MASK);
  const way = port(portIndex);
  const mtu = load<u32>(way, PORT_MTU);
  const mac = load<u32>(way, PORT_MAC);
  const macEnd = load<u16>(way, PORT_MAC + 4);
  const tick = now;
  let slot = first;
  let at = note(from);
  for (; slot != last; slot++, at += NOTE_SIZE) {
    const how = <u32>load<u16>(at, HOW);
    const length = <u32>load<u16>(at, LENGTH);
    if ((<u32>load<u8>(at, WAY + 6) ^ portIndex) | u32(length > mtu)) break;
    const received: usize = load<u32>(at, FRAME);
    let frame = received;
    const entry: usize = load<u32>(at, WHERE);
    const isTcp = load<u8>(at, KIND + 1) == <u8>PROTOCOL_TCP;
    if (how == FORWARD_NAT) translate4(frame, entry, false, false, isTcp);
    else frame = rewrite(frame, entry, how, isTcp, length);
    noteSeen(entry, how, tick);
    // The two bytes behind the next hop's address are written over.
    store<u64>(frame, load<u64>(at, WAY));
    store<u32>(frame, mac, ETHERNET_SOURCE);
    store<u16>(frame, macEnd, ETHERNET_SOURCE + 4);
    const descriptor = entries + (<usize>(slot & mask) << 4);
    store<u64>(descriptor, frame - frames, DESCRIPTOR_ADDRESS);
    // The options, which are 0, with it.
    store<u64>(descriptor, length + ETHERNET_SIZE + <u32>(received - frame), DESCRIPTOR_LENGTH);
  }
  reserve(ring, slot - first);
  return from + (slot - first);
}

/**
 * Forwards ready packets in order, as far as there is room.
 * @returns the first that was not forwarded
 */
export function sendReady(from: u32, end: u32): u32 {
  let done = from;
  while (done < end) {
    const next = sendRun(done, end);
    if (next == done) break;
    done = next;
  }
  return done;
}

/** Adds packets and bytes, which stand side by side. */
// @ts-ignore: decorator
@inline
function bump(at: usize, by: v128): void {
  v128.store(at, i64x2.add(v128.load(at), by));
}

/** Counts packets for their destinations, their services and in total. */
export function countSent(from: u32, end: u32): void {
  const ofDestinations = destinationStats + STATS_IN_PACKETS;
  const ofServices = serviceStats + STATS_IN_PACKETS;
  let total = i64x2.splat(0);
  let answers = i64x2.splat(0);
  let at: usize = note(from);
  for (let i = from; i < end; i++, at += NOTE_SIZE) {
    const id = load<u32>(<usize>load<u32>(at, WHERE), CONNECTION_DESTINATION_ID);
    const service = load<u32>(destination(id), DESTINATION_SERVICE);
    const one = i64x2.replace_lane(i64x2.splat(1), 1, load<u16>(at, LENGTH));
    const outwards = <usize>load<u8>(at, OUTWARDS);
    const side = outwards * (STATS_OUT_PACKETS - STATS_IN_PACKETS);
    bump(ofDestinations + <usize>id * STATS_SIZE + side, one);
    bump(ofServices + <usize>service * STATS_SIZE + side, one);
    total = i64x2.add(total, one);
    answers = i64x2.add(answers, v128.and(one, i64x2.splat(-(<i64>outwards))));
  }
  const ofAll = counters + COUNTERS_TOTAL;
  bump(ofAll + STATS_IN_PACKETS, i64x2.sub(total, answers));
  bump(ofAll + STATS_OUT_PACKETS, answers);
}
