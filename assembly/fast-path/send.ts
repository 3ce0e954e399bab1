// Puts rewritten packets into the TX rings and counts them.

import {
  CONNECTION_DESTINATION_ID,
  COUNTERS_TOTAL,
  DESCRIPTOR_ADDRESS,
  DESCRIPTOR_LENGTH,
  DESCRIPTOR_SIZE,
  DESTINATION_SERVICE,
  PORT_MAC,
  RING_DESCRIPTORS,
  RING_MASK,
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
  port,
  serviceStats,
} from '../instance.ts';
import { reserve, reservedSlot, transmitRing } from '../ring.ts';
import { ETHERNET_SIZE } from '../wire/ethernet.ts';
import { ETHERNET_SOURCE } from './frame.ts';
import { FRAME, LENGTH, NOTE_SIZE, OUTER, OUTWARDS, WAY, WHERE, note } from './note.ts';
import { rewriteRuns } from './run.ts';

/** Puts rewritten packets into a port's TX ring, addressed to their next hops. */
function putRun(first: usize, end: usize, ring: usize, portIndex: u32): void {
  const entries = <usize>load<u32>(ring, RING_DESCRIPTORS);
  const mask = load<u32>(ring, RING_MASK) * DESCRIPTOR_SIZE;
  const mac = load<u32>(port(portIndex), PORT_MAC);
  const macEnd = load<u16>(port(portIndex), PORT_MAC + 4);
  const base = frames;
  let slot = reservedSlot(ring) * DESCRIPTOR_SIZE;
  for (let at = first; at != end; at += NOTE_SIZE, slot += DESCRIPTOR_SIZE) {
    const outer = <u32>load<u8>(at, OUTER);
    const frame = <usize>load<u32>(at, FRAME) - outer;
    // The two bytes behind the next hop's address are written over.
    store<u64>(frame, load<u64>(at, WAY));
    store<u32>(frame, mac, ETHERNET_SOURCE);
    store<u16>(frame, macEnd, ETHERNET_SOURCE + 4);
    const descriptor = entries + (slot & mask);
    store<u64>(descriptor, frame - base, DESCRIPTOR_ADDRESS);
    // The options, which are 0, with it.
    store<u64>(descriptor, <u32>load<u16>(at, LENGTH) + ETHERNET_SIZE + outer, DESCRIPTOR_LENGTH);
  }
}

/**
 * Forwards ready packets that leave on the same port, in order.
 * @returns the first that was not forwarded: `from` when there is no room or it does not fit
 */
function sendRun(from: u32, end: u32): u32 {
  const first = note(from);
  const portIndex = <u32>load<u8>(first, WAY + 6);
  const ring = transmitRing(portIndex);
  if (!ring) return from;
  const room = min(load<u32>(ring, RING_ROOM), end - from);
  const last = rewriteRuns(first, first + room * NOTE_SIZE, portIndex);
  putRun(first, last, ring, portIndex);
  const packets = <u32>(last - first) / NOTE_SIZE;
  reserve(ring, packets);
  return from + packets;
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
