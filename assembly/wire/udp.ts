// The UDP header (RFC 768). Ports are in network order as loaded. A checksum of 0 means "none";
// one that computes to 0 is sent as 0xffff.
//
//    0               2               4               6
//   | source port   | dest. port    | length        | checksum      | payload ...

import { swap16 } from './byte-order.ts';
import {
  checksumApplyDelta,
  checksumDelta,
  checksumNeverZero,
  transportChecksum,
} from './checksum.ts';

// ---- offsets
const SOURCE_PORT: u32 = 0;
const DESTINATION_PORT: u32 = 2;
const LENGTH: u32 = 4;
export const UDP_CHECKSUM: u32 = 6;

// ---- size
export const UDP_SIZE: u32 = UDP_CHECKSUM + 2;

// ---- check

/** Proves that the header is inside `available` bytes; says nothing about the length field. */
// @ts-ignore: decorator
@inline
export function udpIsWhole(available: u32): bool {
  return available >= UDP_SIZE;
}

// ---- getters

// @ts-ignore: decorator
@inline
export function udpSourcePortBe(at: usize): u32 {
  return load<u16>(at, SOURCE_PORT);
}

// @ts-ignore: decorator
@inline
export function udpDestinationPortBe(at: usize): u32 {
  return load<u16>(at, DESTINATION_PORT);
}

/** Header and payload, in bytes, as the sender says. */
// @ts-ignore: decorator
@inline
export function udpLength(at: usize): u32 {
  return swap16(load<u16>(at, LENGTH));
}

// @ts-ignore: decorator
@inline
export function udpChecksumBe(at: usize): u32 {
  return load<u16>(at, UDP_CHECKSUM);
}

/** The checksum this datagram ought to have, whatever its field holds. Never 0. */
// @ts-ignore: decorator
@inline
export function udpComputeChecksumBe(at: usize, length: u32, pseudoHeaderSum: u32): u32 {
  return checksumNeverZero(transportChecksum(at, length, UDP_CHECKSUM, pseudoHeaderSum));
}

// ---- setters for building

// @ts-ignore: decorator
@inline
export function setUdpSourcePortBe(at: usize, portBe: u32): void {
  store<u16>(at, <u16>portBe, SOURCE_PORT);
}

// @ts-ignore: decorator
@inline
export function setUdpDestinationPortBe(at: usize, portBe: u32): void {
  store<u16>(at, <u16>portBe, DESTINATION_PORT);
}

// @ts-ignore: decorator
@inline
export function setUdpLength(at: usize, length: u32): void {
  store<u16>(at, <u16>swap16(length), LENGTH);
}

// @ts-ignore: decorator
@inline
export function setUdpChecksumBe(at: usize, checksumBe: u32): void {
  store<u16>(at, <u16>checksumBe, UDP_CHECKSUM);
}

/** Last step of building, and after a change of the payload. */
// @ts-ignore: decorator
@inline
export function fillUdpChecksum(at: usize, length: u32, pseudoHeaderSum: u32): void {
  setUdpChecksumBe(at, udpComputeChecksumBe(at, length, pseudoHeaderSum));
}

// ---- setters for rewriting

/**
 * For addresses and ports that change together: they are written by plain setters, and this
 * brings the checksum after them. False when the datagram has no checksum to bring: IPVS gives
 * such a one a checksum when it translates it, so its caller then calls fillUdpChecksum.
 */
// @ts-ignore: decorator
@inline
export function updateUdpChecksum(at: usize, delta: u32): bool {
  const oldBe = udpChecksumBe(at);
  if (oldBe == 0) return false;
  setUdpChecksumBe(at, checksumNeverZero(checksumApplyDelta(oldBe, delta)));
  return true;
}

/** A datagram without a checksum stays without one. */
// @ts-ignore: decorator
@inline
export function setUdpSourcePortUpdatingChecksum(at: usize, portBe: u32): void {
  updateUdpChecksum(at, checksumDelta(0, 0, udpSourcePortBe(at), portBe));
  setUdpSourcePortBe(at, portBe);
}

/** A datagram without a checksum stays without one. */
// @ts-ignore: decorator
@inline
export function setUdpDestinationPortUpdatingChecksum(at: usize, portBe: u32): void {
  updateUdpChecksum(at, checksumDelta(0, 0, udpDestinationPortBe(at), portBe));
  setUdpDestinationPortBe(at, portBe);
}
