// The TCP header (RFC 9293). Ports are in network order as loaded.
//
//    0               2               4                       8
//   | source port   | dest. port    | sequence              | acknowledgement       |
//    12      13      14              16              18
//   |off|   | flags | window        | checksum      | urgent        | options ...

import { swap16, swap32 } from './byte-order.ts';
import {
  checksumAdjust32,
  checksumApplyDelta,
  checksumDelta,
  transportChecksum,
} from './checksum.ts';

// ---- offsets
const SOURCE_PORT: u32 = 0;
const DESTINATION_PORT: u32 = 2;
const SEQUENCE: u32 = 4;
const ACKNOWLEDGEMENT: u32 = 8;
const DATA_OFFSET: u32 = 12;
const FLAGS: u32 = 13;
const WINDOW: u32 = 14;
export const TCP_CHECKSUM: u32 = 16;
const URGENT: u32 = 18;

// ---- size
/** Of the header without options. */
export const TCP_SIZE: u32 = URGENT + 2;

/** Bits of the flags. */
export const TCP_FIN: u32 = 1;
export const TCP_SYN: u32 = 2;
export const TCP_RST: u32 = 4;
export const TCP_PSH: u32 = 8;
export const TCP_ACK: u32 = 16;
export const TCP_URG: u32 = 32;

// ---- check

/** Proves that the header and its options are inside `available` bytes. */
// @ts-ignore: decorator
@inline
export function tcpIsWhole(at: usize, available: u32): bool {
  if (available < TCP_SIZE) return false;
  const headerLength = tcpHeaderLength(at);
  return headerLength >= TCP_SIZE && headerLength <= available;
}

// ---- getters

// @ts-ignore: decorator
@inline
export function tcpSourcePortBe(at: usize): u32 {
  return load<u16>(at, SOURCE_PORT);
}

// @ts-ignore: decorator
@inline
export function tcpDestinationPortBe(at: usize): u32 {
  return load<u16>(at, DESTINATION_PORT);
}

// @ts-ignore: decorator
@inline
export function tcpSequence(at: usize): u32 {
  return swap32(load<u32>(at, SEQUENCE));
}

// @ts-ignore: decorator
@inline
export function tcpAcknowledgement(at: usize): u32 {
  return swap32(load<u32>(at, ACKNOWLEDGEMENT));
}

/** In bytes, options included. */
// @ts-ignore: decorator
@inline
export function tcpHeaderLength(at: usize): u32 {
  return (<u32>load<u8>(at, DATA_OFFSET) >> 4) << 2;
}

// @ts-ignore: decorator
@inline
export function tcpFlags(at: usize): u32 {
  return load<u8>(at, FLAGS);
}

// @ts-ignore: decorator
@inline
export function tcpWindow(at: usize): u32 {
  return swap16(load<u16>(at, WINDOW));
}

// @ts-ignore: decorator
@inline
export function tcpChecksumBe(at: usize): u32 {
  return load<u16>(at, TCP_CHECKSUM);
}

/** The checksum this segment ought to have, whatever its field holds. Never 0xffff. */
// @ts-ignore: decorator
@inline
export function tcpComputeChecksumBe(at: usize, length: u32, pseudoHeaderSum: u32): u32 {
  return transportChecksum(at, length, TCP_CHECKSUM, pseudoHeaderSum);
}

// ---- setters for building

// @ts-ignore: decorator
@inline
export function setTcpSourcePortBe(at: usize, portBe: u32): void {
  store<u16>(at, <u16>portBe, SOURCE_PORT);
}

// @ts-ignore: decorator
@inline
export function setTcpDestinationPortBe(at: usize, portBe: u32): void {
  store<u16>(at, <u16>portBe, DESTINATION_PORT);
}

// @ts-ignore: decorator
@inline
export function setTcpSequence(at: usize, sequence: u32): void {
  store<u32>(at, swap32(sequence), SEQUENCE);
}

// @ts-ignore: decorator
@inline
export function setTcpAcknowledgement(at: usize, acknowledgement: u32): void {
  store<u32>(at, swap32(acknowledgement), ACKNOWLEDGEMENT);
}

/** In bytes, a multiple of 4. */
// @ts-ignore: decorator
@inline
export function setTcpHeaderLength(at: usize, headerLength: u32): void {
  store<u8>(at, <u8>(headerLength << 2), DATA_OFFSET);
}

// @ts-ignore: decorator
@inline
export function setTcpFlags(at: usize, flags: u32): void {
  store<u8>(at, <u8>flags, FLAGS);
}

// @ts-ignore: decorator
@inline
export function setTcpWindow(at: usize, window: u32): void {
  store<u16>(at, <u16>swap16(window), WINDOW);
}

// @ts-ignore: decorator
@inline
export function setTcpUrgent(at: usize, urgent: u32): void {
  store<u16>(at, <u16>swap16(urgent), URGENT);
}

// @ts-ignore: decorator
@inline
export function setTcpChecksumBe(at: usize, checksumBe: u32): void {
  store<u16>(at, <u16>checksumBe, TCP_CHECKSUM);
}

/** Last step of building, and after a change of the payload. */
// @ts-ignore: decorator
@inline
export function fillTcpChecksum(at: usize, length: u32, pseudoHeaderSum: u32): void {
  setTcpChecksumBe(at, tcpComputeChecksumBe(at, length, pseudoHeaderSum));
}

// ---- setters for rewriting

/**
 * For addresses and ports that change together: they are written by plain setters, and this
 * brings the checksum after them.
 */
// @ts-ignore: decorator
@inline
export function updateTcpChecksum(at: usize, delta: u32): void {
  setTcpChecksumBe(at, checksumApplyDelta(tcpChecksumBe(at), delta));
}

// @ts-ignore: decorator
@inline
export function setTcpSourcePortUpdatingChecksum(at: usize, portBe: u32): void {
  updateTcpChecksum(at, checksumDelta(0, 0, tcpSourcePortBe(at), portBe));
  setTcpSourcePortBe(at, portBe);
}

// @ts-ignore: decorator
@inline
export function setTcpDestinationPortUpdatingChecksum(at: usize, portBe: u32): void {
  updateTcpChecksum(at, checksumDelta(0, 0, tcpDestinationPortBe(at), portBe));
  setTcpDestinationPortBe(at, portBe);
}

// @ts-ignore: decorator
@inline
export function setTcpSequenceUpdatingChecksum(at: usize, sequence: u32): void {
  const newBe = swap32(sequence);
  setTcpChecksumBe(at, checksumAdjust32(tcpChecksumBe(at), load<u32>(at, SEQUENCE), newBe));
  store<u32>(at, newBe, SEQUENCE);
}

// @ts-ignore: decorator
@inline
export function setTcpAcknowledgementUpdatingChecksum(at: usize, acknowledgement: u32): void {
  const newBe = swap32(acknowledgement);
  const oldBe = load<u32>(at, ACKNOWLEDGEMENT);
  setTcpChecksumBe(at, checksumAdjust32(tcpChecksumBe(at), oldBe, newBe));
  store<u32>(at, newBe, ACKNOWLEDGEMENT);
}
