// A copy of packets for `wvs capture`: each as it came, and every frame that left because of it,
// with what was decided. Off, this costs one branch for a burst and one for a frame that is sent.
//
// Each worker has a ring of slots that only it fills and only the host empties (CAPTURE_* in
// layout.ts). The records of one packet are filled while it is handled, and published together at
// its end, when it is known whose packet it was; a packet that is not wanted leaves no trace.
// What is published gets a number that counts for all workers. That is before the worker submits
// what it sends, so that an answer, whoever takes it, has a higher number than its question.

import {
  CAPTURE_CONNECTION,
  CAPTURE_DATA,
  CAPTURE_DATA_MAX,
  CAPTURE_DESTINATION,
  CAPTURE_DIRECTION,
  CAPTURE_HEAD,
  CAPTURE_IN,
  CAPTURE_KIND,
  CAPTURE_KIND_CAME,
  CAPTURE_KIND_SENT,
  CAPTURE_LENGTH,
  CAPTURE_LOST,
  CAPTURE_MILLISECONDS,
  CAPTURE_ORIGINAL_LENGTH,
  CAPTURE_OUT,
  CAPTURE_PACKET,
  CAPTURE_PORT,
  CAPTURE_REASON,
  CAPTURE_REGION_SIZE,
  CAPTURE_SERVICE,
  CAPTURE_SLOTS,
  CAPTURE_SLOTS_AT,
  CAPTURE_SLOT_SIZE,
  CAPTURE_TAIL,
  CAPTURE_VERDICT,
  CONNECTION_CLIENT,
  CONNECTION_CLIENT_PORT,
  CONNECTION_DESTINATION_ID,
  CONTROL_CAPTURE,
  CONTROL_CAPTURE_DIRECTIONS,
  CONTROL_CAPTURE_PACKETS,
  CONTROL_CAPTURE_SERVICE,
  CONTROL_CAPTURE_SNAP_LENGTH,
  CONTROL_REGION_CAPTURE,
  DESTINATION_SERVICE,
  PACKET_CONNECTION,
  PACKET_FAMILY,
  PACKET_FLAGS,
  PACKET_LENGTH,
  PACKET_PORT,
  PACKET_REASON,
  PACKET_SERVICE,
  PACKET_SOURCE,
  PACKET_SOURCE_PORT,
  PACKET_START,
  PACKET_TO_LOCAL,
  PACKET_VERDICT,
  WORKER_MILLISECONDS,
} from './shared/layout.ts';
import { VERDICT_DROP } from './shared/codes.ts';
import { foldAddress } from './hash.ts';
import { destination, hot, worker, workerId } from './instance.ts';

/** Whether anybody captures: read once per turn. */
export let capturing: bool = false;

/** This worker's ring. */
let ring: usize = 0;
/** Slots filled for the packet at hand and not yet published, from the ring's head on. */
let filled: u32 = 0;
/** Some record of the packet at hand found no slot. */
let isTorn: bool = false;

/** Notices that a capture began or ended. Called between two bursts. */
export function adoptCapture(): void {
  capturing = atomic.load<u32>(CONTROL_CAPTURE) != 0;
  if (!capturing) return;
  ring = <usize>load<u32>(CONTROL_REGION_CAPTURE) + <usize>workerId * CAPTURE_REGION_SIZE;
}

/** The place of the n-th record that is not yet published. */
// @ts-ignore: decorator
@inline
function slot(n: u32): usize {
  const index = (load<u32>(ring, CAPTURE_HEAD) + n) % CAPTURE_SLOTS;
  return ring + CAPTURE_SLOTS_AT + <usize>index * CAPTURE_SLOT_SIZE;
}

/** Copies a frame into the next slot, if there is one. */
function add(kind: u32, frame: usize, length: u32, portIndex: u32): void {
  const waiting = load<u32>(ring, CAPTURE_HEAD) - atomic.load<u32>(ring, CAPTURE_TAIL);
  if (waiting + filled >= CAPTURE_SLOTS) {
    isTorn = true;
    return;
  }
  const at = slot(filled);
  const wanted = load<u32>(CONTROL_CAPTURE_SNAP_LENGTH);
  const most = wanted < CAPTURE_DATA_MAX ? wanted : CAPTURE_DATA_MAX;
  const kept = length < most ? length : most;
  store<u32>(at, kept, CAPTURE_LENGTH);
  store<u32>(at, length, CAPTURE_ORIGINAL_LENGTH);
  store<u32>(at, load<u32>(worker, WORKER_MILLISECONDS), CAPTURE_MILLISECONDS);
  store<u8>(at, <u8>kind, CAPTURE_KIND);
  store<u8>(at, <u8>portIndex, CAPTURE_PORT);
  memory.copy(at + CAPTURE_DATA, frame, kept);
  filled++;
}

/** A packet is about to be handled: it is copied before anything changes it. */
export function beginCapture(packet: usize): void {
  resumeCapture();
  const frame: usize = load<u32>(packet, PACKET_START);
  add(CAPTURE_KIND_CAME, frame, load<u32>(packet, PACKET_LENGTH), load<u8>(packet, PACKET_PORT));
}

/** A packet that came earlier is taken up again, so that what leaves because of it is its own. */
export function resumeCapture(): void {
  filled = 0;
  isTorn = false;
}

/** A frame was put into a transmit ring. */
export function noteSent(frame: usize, length: u32, portIndex: u32): void {
  add(CAPTURE_KIND_SENT, frame, length, portIndex);
}

/** The packet was handled: its records are published when it is one of those that are wanted. */
export function endCapture(packet: usize): void {
  const index = load<u32>(packet, PACKET_CONNECTION);
  const destinationId = index ? load<u32>(hot(index), CONNECTION_DESTINATION_ID) : 0;
  const serviceId = destinationId
    ? load<u32>(destination(destinationId), DESTINATION_SERVICE)
    : load<u32>(packet, PACKET_SERVICE);
  const direction = directionOf(packet, index);
  const wanted = load<u32>(CONTROL_CAPTURE_SERVICE);
  if (wanted && wanted != serviceId) return;
  if (!(load<u32>(CONTROL_CAPTURE_DIRECTIONS) & direction)) return;
  if (isTorn) {
    store<u32>(ring, load<u32>(ring, CAPTURE_LOST) + 1, CAPTURE_LOST);
    return;
  }
  const verdict = load<u8>(packet, PACKET_VERDICT);
  const reason = verdict == <u8>VERDICT_DROP ? load<u8>(packet, PACKET_REASON) : 0;
  const number = atomic.add<u32>(CONTROL_CAPTURE_PACKETS, 1);
  for (let n: u32 = 0; n < filled; n++) {
    const at = slot(n);
    store<u32>(at, number, CAPTURE_PACKET);
    store<u8>(at, verdict, CAPTURE_VERDICT);
    store<u8>(at, reason, CAPTURE_REASON);
    store<u32>(at, serviceId, CAPTURE_SERVICE);
    store<u32>(at, destinationId, CAPTURE_DESTINATION);
    store<u32>(at, index, CAPTURE_CONNECTION);
    store<u32>(at, direction, CAPTURE_DIRECTION);
  }
  atomic.store<u32>(ring, load<u32>(ring, CAPTURE_HEAD) + filled, CAPTURE_HEAD);
}

/** From the connection's client or to it; without a connection, by whom it is addressed to. */
function directionOf(packet: usize, index: u32): u32 {
  if (!index) {
    return load<u16>(packet, PACKET_FLAGS) & <u16>PACKET_TO_LOCAL ? CAPTURE_IN : CAPTURE_OUT;
  }
  const entry = hot(index);
  const family = <u32>load<u8>(packet, PACKET_FAMILY);
  const isClient =
    load<u32>(entry, CONNECTION_CLIENT) == foldAddress(family, packet + PACKET_SOURCE) &&
    load<u16>(entry, CONNECTION_CLIENT_PORT) == load<u16>(packet, PACKET_SOURCE_PORT);
  return isClient ? CAPTURE_IN : CAPTURE_OUT;
}
