// The four rings of a link, in linear memory, as the kernel lays them out (linux/if_xdp.h). The
// verbs are libxdp's: a consumer peeks and releases, a producer reserves and submits. The same
// rings serve every driver: AF_XDP has the kernel at the other end, pcap and memory ports the host.

import {
  DESCRIPTOR_ADDRESS,
  DESCRIPTOR_LENGTH,
  DESCRIPTOR_OPTIONS,
  DESCRIPTOR_SIZE,
  LINK_COMPLETION,
  LINK_FILL,
  LINK_FILL_OUTSTANDING,
  LINK_RECEIVE,
  LINK_SIZE,
  LINK_TRANSMIT,
  RING_CONSUMER,
  RING_DESCRIPTORS,
  RING_FLAGS,
  RING_MASK,
  RING_NEED_WAKEUP,
  RING_PRODUCER,
  RING_RESERVED,
  RING_ROOM,
  WORKER_EXCEPTION_LINK,
  WORKER_FREE_FRAMES,
  WORKER_FREE_FRAME_COUNT,
  WORKER_LINKS,
  WORKER_LINK_COUNT,
  WORKER_PORT_LINKS,
  WORKER_WAKE_RECEIVE,
  WORKER_WAKE_TRANSMIT,
} from './shared/layout.ts';
import { COUNTER_TRANSMITTED } from './shared/counters.ts';
import { FRAME_SIZE } from './shared/limits.ts';
import { countMany } from './counters.ts';
import { frames, worker } from './instance.ts';

/** In place of a link's number: there is none. */
export const NO_LINK: u32 = 255;

// @ts-ignore: decorator
@inline
export function link(number: u32): usize {
  return worker + WORKER_LINKS + <usize>number * LINK_SIZE;
}

/** Entries a consumer may take. */
// @ts-ignore: decorator
@inline
export function ringAvailable(ring: usize): u32 {
  return atomic.load<u32>(load<u32>(ring, RING_PRODUCER)) - load<u32>(load<u32>(ring, RING_CONSUMER));
}

/** Entries a producer may still reserve. */
// @ts-ignore: decorator
@inline
export function ringFree(ring: usize): u32 {
  const used =
    load<u32>(load<u32>(ring, RING_PRODUCER)) - atomic.load<u32>(load<u32>(ring, RING_CONSUMER));
  return load<u32>(ring, RING_MASK) + 1 - used - load<u32>(ring, RING_RESERVED);
}

/** The n-th descriptor a consumer has not released yet. */
// @ts-ignore: decorator
@inline
export function receivedDescriptor(ring: usize, n: u32): usize {
  const slot = (load<u32>(load<u32>(ring, RING_CONSUMER)) + n) & load<u32>(ring, RING_MASK);
  return <usize>load<u32>(ring, RING_DESCRIPTORS) + <usize>slot * DESCRIPTOR_SIZE;
}

/** Gives `count` entries back to the producer. */
// @ts-ignore: decorator
@inline
export function ringRelease(ring: usize, count: u32): void {
  const at = load<u32>(ring, RING_CONSUMER);
  atomic.store<u32>(at, load<u32>(at) + count);
}

/** The slot that a producer writes next, before the ring's mask. */
// @ts-ignore: decorator
@inline
export function reservedSlot(ring: usize): u32 {
  return load<u32>(load<u32>(ring, RING_PRODUCER)) + load<u32>(ring, RING_RESERVED);
}

/** Puts a frame into a TX ring; it is sent when the turn submits. @returns false: the ring is full */
export function reserveTransmit(linkAt: usize, at: usize, length: u32, options: u32): bool {
  const ring = linkAt + LINK_TRANSMIT;
  let room = load<u32>(ring, RING_ROOM);
  if (!room) {
    room = ringFree(ring);
    if (!room) return false;
  }
  store<u32>(ring, room - 1, RING_ROOM);
  const slot = reservedSlot(ring) & load<u32>(ring, RING_MASK);
  const descriptor = <usize>load<u32>(ring, RING_DESCRIPTORS) + <usize>slot * DESCRIPTOR_SIZE;
  store<u64>(descriptor, at - frames, DESCRIPTOR_ADDRESS);
  store<u32>(descriptor, length, DESCRIPTOR_LENGTH);
  store<u32>(descriptor, options, DESCRIPTOR_OPTIONS);
  store<u32>(ring, load<u32>(ring, RING_RESERVED) + 1, RING_RESERVED);
  return true;
}

/** TX ring of a port's link, with as much room noted as there is; 0 when this worker has none. */
export function transmitRing(portIndex: u32): usize {
  const number = <u32>load<u8>(worker + WORKER_PORT_LINKS + portIndex);
  if (number == NO_LINK) return 0;
  const ring = link(number) + LINK_TRANSMIT;
  if (!load<u32>(ring, RING_ROOM)) store<u32>(ring, ringFree(ring), RING_ROOM);
  return ring;
}

/** Notes that so many descriptors more were written into a TX ring. */
export function reserve(ring: usize, count: u32): void {
  store<u32>(ring, load<u32>(ring, RING_ROOM) - count, RING_ROOM);
  store<u32>(ring, load<u32>(ring, RING_RESERVED) + count, RING_RESERVED);
}

/** Submits what was reserved in this turn, on every link, and notes who must be woken. */
export function submitTransmit(): void {
  const links = load<u32>(worker, WORKER_LINK_COUNT);
  const exception = <u32>load<u8>(worker, WORKER_EXCEPTION_LINK);
  let wake: u32 = 0;
  for (let i: u32 = 0; i < links; i++) {
    const ring = link(i) + LINK_TRANSMIT;
    const reserved = load<u32>(ring, RING_RESERVED);
    const producer = load<u32>(ring, RING_PRODUCER);
    if (reserved) {
      atomic.store<u32>(producer, load<u32>(producer) + reserved);
      store<u32>(ring, 0, RING_RESERVED);
      if (i != exception) countMany(COUNTER_TRANSMITTED, reserved);
    }
    // A copy-mode socket sends a limited number at each wake-up: what is left asks again.
    const waiting = load<u32>(producer) != atomic.load<u32>(load<u32>(ring, RING_CONSUMER));
    if (waiting && atomic.load<u32>(load<u32>(ring, RING_FLAGS)) & RING_NEED_WAKEUP) wake |= 1 << i;
  }
  store<u32>(worker, wake, WORKER_WAKE_TRANSMIT);
}

// ---------------------------------------------------------------------------------------------
// Frames

/** Takes a frame off the worker's stack of free ones. @returns its chunk, or 0 */
export function takeFrame(): usize {
  const depth = load<u32>(worker, WORKER_FREE_FRAME_COUNT);
  if (!depth) return 0;
  store<u32>(worker, depth - 1, WORKER_FREE_FRAME_COUNT);
  return load<u32>(<usize>load<u32>(worker, WORKER_FREE_FRAMES) + ((<usize>depth - 1) << 2));
}

/** Gives a frame back, by any address inside its chunk. */
export function freeFrame(at: usize): void {
  const depth = load<u32>(worker, WORKER_FREE_FRAME_COUNT);
  store<u32>(<usize>load<u32>(worker, WORKER_FREE_FRAMES) + (<usize>depth << 2), <u32>chunkOf(at));
  store<u32>(worker, depth + 1, WORKER_FREE_FRAME_COUNT);
}

/** Start of the chunk that an address lies in. */
// @ts-ignore: decorator
@inline
export function chunkOf(at: usize): usize {
  return frames + ((at - frames) & ~(<usize>FRAME_SIZE - 1));
}

/** Takes back what has been sent. */
export function recycleCompletions(linkAt: usize): void {
  const ring = linkAt + LINK_COMPLETION;
  const available = ringAvailable(ring);
  if (!available) return;
  const consumer = load<u32>(load<u32>(ring, RING_CONSUMER));
  const mask = load<u32>(ring, RING_MASK);
  const entries = <usize>load<u32>(ring, RING_DESCRIPTORS);
  // As freeFrame() does it, for many at once.
  const depth = load<u32>(worker, WORKER_FREE_FRAME_COUNT);
  const base = <u32>frames;
  let to: usize = <usize>load<u32>(worker, WORKER_FREE_FRAMES) + (<usize>depth << 2);
  for (let i: u32 = 0; i < available; i++, to += 4) {
    const address = load<u32>(entries + (<usize>((consumer + i) & mask) << 3));
    store<u32>(to, base + (address & ~(FRAME_SIZE - 1)));
  }
  store<u32>(worker, depth + available, WORKER_FREE_FRAME_COUNT);
  ringRelease(ring, available);
}

/** Hands free frames to a link's fill ring, up to the ring's size. */
export function refill(linkAt: usize): void {
  const ring = linkAt + LINK_FILL;
  const free = ringFree(ring);
  const have = load<u32>(worker, WORKER_FREE_FRAME_COUNT);
  // Some stay for packets that the director makes itself.
  const kept: u32 = 64;
  const spare = have > kept ? have - kept : 0;
  const amount = free < spare ? free : spare;
  if (!amount) return;
  const at = load<u32>(ring, RING_PRODUCER);
  const producer = load<u32>(at);
  const mask = load<u32>(ring, RING_MASK);
  const entries = <usize>load<u32>(ring, RING_DESCRIPTORS);
  // As takeFrame() does it, for many at once.
  const base = <u32>frames;
  let from: usize = <usize>load<u32>(worker, WORKER_FREE_FRAMES) + (<usize>have << 2);
  for (let i: u32 = 0; i < amount; i++) {
    from -= 4;
    store<u64>(entries + (<usize>((producer + i) & mask) << 3), <u64>(load<u32>(from) - base));
  }
  store<u32>(worker, have - amount, WORKER_FREE_FRAME_COUNT);
  atomic.store<u32>(at, producer + amount);
  store<u32>(linkAt, load<u32>(linkAt, LINK_FILL_OUTSTANDING) + amount, LINK_FILL_OUTSTANDING);
}

/** Notes which links' fill rings want the kernel to be woken. */
export function noteReceiveWakeups(): void {
  const links = load<u32>(worker, WORKER_LINK_COUNT);
  let wake: u32 = 0;
  for (let i: u32 = 0; i < links; i++) {
    if (atomic.load<u32>(load<u32>(link(i) + LINK_FILL, RING_FLAGS)) & RING_NEED_WAKEUP) wake |= 1 << i;
  }
  store<u32>(worker, wake, WORKER_WAKE_RECEIVE);
}

/** The RX ring of a link. */
// @ts-ignore: decorator
@inline
export function receiveRing(linkAt: usize): usize {
  return linkAt + LINK_RECEIVE;
}
