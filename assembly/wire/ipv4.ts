// The IPv4 header (RFC 791). Addresses are in network order as loaded.
//
//    0       1       2               4               6
//   |v4|len | tos   | total length  | identification| flags, offset |
//    8       9       10              12                      16
//   | ttl   | proto | checksum      | source                | destination         | options ...

import { swap16 } from './byte-order.ts';
import {
  CHECKSUM_SOUND,
  checksumAdjust16,
  checksumApplyDelta,
  checksumDelta,
  checksumFinish,
  checksumFold64,
  checksumSum,
} from './checksum.ts';

// ---- offsets
const VERSION_AND_LENGTH: u32 = 0;
const TYPE_OF_SERVICE: u32 = 1;
const TOTAL_LENGTH: u32 = 2;
const IDENTIFICATION: u32 = 4;
const FRAGMENT: u32 = 6;
const TIME_TO_LIVE: u32 = 8;
const PROTOCOL: u32 = 9;
const CHECKSUM: u32 = 10;
const SOURCE: u32 = 12;
const DESTINATION: u32 = 16;

// ---- size
/** Of the header without options. */
export const IPV4_SIZE: u32 = DESTINATION + 4;
export const IPV4_SIZE_MAX: u32 = 60;

/** First byte of a header without options. */
export const IPV4_PLAIN: u32 = 0x45;
/** Bits of the fragment field, as loaded: don't fragment, more fragments, the offset. */
export const IPV4_DONT_FRAGMENT_BE: u32 = 0x0040;
export const IPV4_MORE_FRAGMENTS_BE: u32 = 0x0020;
export const IPV4_FRAGMENT_OFFSET_BE: u32 = 0xff1f;
/** Not zero in these bits: a fragment. */
export const IPV4_FRAGMENTED_BE: u32 = IPV4_MORE_FRAGMENTS_BE | IPV4_FRAGMENT_OFFSET_BE;

// ---- check

/**
 * Proves that the fixed part and the options are inside `available` bytes; setting the header
 * length makes the proof void.
 */
// @ts-ignore: decorator
@inline
export function ipv4IsWhole(at: usize, available: u32): bool {
  if (available < IPV4_SIZE) return false;
  const headerLength = ipv4HeaderLength(at);
  return headerLength >= IPV4_SIZE && headerLength <= available;
}

/** Verifies the checksum of a header without options: straight, without a loop. */
// @ts-ignore: decorator
@inline
export function ipv4PlainChecksumIsSound(at: usize): bool {
  const first = load<u64>(at, VERSION_AND_LENGTH);
  const second = load<u64>(at, TIME_TO_LIVE);
  const sum: u64 =
    (first & 0xffffffff) +
    (first >> 32) +
    (second & 0xffffffff) +
    (second >> 32) +
    <u64>load<u32>(at, DESTINATION);
  return checksumFold64(sum) == CHECKSUM_SOUND;
}

/** Verifies the checksum of a header of any length, options included. */
// @ts-ignore: decorator
@inline
export function ipv4ChecksumIsSound(at: usize, headerLength: u32): bool {
  return checksumSum(at, headerLength) == CHECKSUM_SOUND;
}

// ---- getters

// @ts-ignore: decorator
@inline
export function ipv4VersionAndLength(at: usize): u32 {
  return load<u8>(at, VERSION_AND_LENGTH);
}

// @ts-ignore: decorator
@inline
export function ipv4Version(at: usize): u32 {
  return <u32>load<u8>(at, VERSION_AND_LENGTH) >> 4;
}

/** In bytes, options included. */
// @ts-ignore: decorator
@inline
export function ipv4HeaderLength(at: usize): u32 {
  return (<u32>load<u8>(at, VERSION_AND_LENGTH) & 0xf) << 2;
}

// @ts-ignore: decorator
@inline
export function ipv4TypeOfService(at: usize): u32 {
  return load<u8>(at, TYPE_OF_SERVICE);
}

/** Bytes of the packet, header included. */
// @ts-ignore: decorator
@inline
export function ipv4TotalLength(at: usize): u32 {
  return swap16(load<u16>(at, TOTAL_LENGTH));
}

// @ts-ignore: decorator
@inline
export function ipv4IdentificationBe(at: usize): u32 {
  return load<u16>(at, IDENTIFICATION);
}

/** Flags and offset together. */
// @ts-ignore: decorator
@inline
export function ipv4FragmentFieldBe(at: usize): u32 {
  return load<u16>(at, FRAGMENT);
}

// @ts-ignore: decorator
@inline
export function ipv4DontFragment(at: usize): bool {
  return (ipv4FragmentFieldBe(at) & IPV4_DONT_FRAGMENT_BE) != 0;
}

// @ts-ignore: decorator
@inline
export function ipv4MoreFragments(at: usize): bool {
  return (ipv4FragmentFieldBe(at) & IPV4_MORE_FRAGMENTS_BE) != 0;
}

/** In bytes. */
// @ts-ignore: decorator
@inline
export function ipv4FragmentOffset(at: usize): u32 {
  return swap16(ipv4FragmentFieldBe(at) & IPV4_FRAGMENT_OFFSET_BE) << 3;
}

// @ts-ignore: decorator
@inline
export function ipv4IsFragment(at: usize): bool {
  return (ipv4FragmentFieldBe(at) & IPV4_FRAGMENTED_BE) != 0;
}

// @ts-ignore: decorator
@inline
export function ipv4TimeToLive(at: usize): u32 {
  return load<u8>(at, TIME_TO_LIVE);
}

// @ts-ignore: decorator
@inline
export function ipv4Protocol(at: usize): u32 {
  return load<u8>(at, PROTOCOL);
}

// @ts-ignore: decorator
@inline
export function ipv4ChecksumBe(at: usize): u32 {
  return load<u16>(at, CHECKSUM);
}

// @ts-ignore: decorator
@inline
export function ipv4SourceBe(at: usize): u32 {
  return load<u32>(at, SOURCE);
}

// @ts-ignore: decorator
@inline
export function ipv4DestinationBe(at: usize): u32 {
  return load<u32>(at, DESTINATION);
}

/** The checksum this header ought to have, whatever its field holds. Never 0xffff. */
// @ts-ignore: decorator
@inline
export function ipv4ComputeChecksumBe(at: usize, headerLength: u32): u32 {
  return checksumFinish(checksumSum(at, headerLength) + (~ipv4ChecksumBe(at) & 0xffff));
}

// ---- setters for building

/** Version 4 and the header's length in bytes. */
// @ts-ignore: decorator
@inline
export function setIpv4HeaderLength(at: usize, headerLength: u32): void {
  store<u8>(at, <u8>(0x40 | (headerLength >> 2)), VERSION_AND_LENGTH);
}

// @ts-ignore: decorator
@inline
export function setIpv4TypeOfService(at: usize, typeOfService: u32): void {
  store<u8>(at, <u8>typeOfService, TYPE_OF_SERVICE);
}

// @ts-ignore: decorator
@inline
export function setIpv4TotalLength(at: usize, totalLength: u32): void {
  store<u16>(at, <u16>swap16(totalLength), TOTAL_LENGTH);
}

// @ts-ignore: decorator
@inline
export function setIpv4IdentificationBe(at: usize, identificationBe: u32): void {
  store<u16>(at, <u16>identificationBe, IDENTIFICATION);
}

// @ts-ignore: decorator
@inline
export function setIpv4FragmentFieldBe(at: usize, fieldBe: u32): void {
  store<u16>(at, <u16>fieldBe, FRAGMENT);
}

/** Offset in bytes, a multiple of 8. */
// @ts-ignore: decorator
@inline
export function setIpv4Fragment(at: usize, offset: u32, more: bool): void {
  const fieldBe = swap16(offset >> 3) | (more ? IPV4_MORE_FRAGMENTS_BE : 0);
  store<u16>(at, <u16>fieldBe, FRAGMENT);
}

// @ts-ignore: decorator
@inline
export function setIpv4TimeToLive(at: usize, timeToLive: u32): void {
  store<u8>(at, <u8>timeToLive, TIME_TO_LIVE);
}

// @ts-ignore: decorator
@inline
export function setIpv4Protocol(at: usize, protocol: u32): void {
  store<u8>(at, <u8>protocol, PROTOCOL);
}

// @ts-ignore: decorator
@inline
export function setIpv4ChecksumBe(at: usize, checksumBe: u32): void {
  store<u16>(at, <u16>checksumBe, CHECKSUM);
}

// @ts-ignore: decorator
@inline
export function setIpv4SourceBe(at: usize, addressBe: u32): void {
  store<u32>(at, addressBe, SOURCE);
}

// @ts-ignore: decorator
@inline
export function setIpv4DestinationBe(at: usize, addressBe: u32): void {
  store<u32>(at, addressBe, DESTINATION);
}

/** Last step of building: everything else is in place. */
// @ts-ignore: decorator
@inline
export function fillIpv4Checksum(at: usize, headerLength: u32): void {
  setIpv4ChecksumBe(at, ipv4ComputeChecksumBe(at, headerLength));
}

// ---- setters for rewriting

/**
 * One hop less; the caller has seen a time to live above 0. The field shares its word with the
 * protocol and is the upper byte on the wire: one less there is one more in the checksum, and the
 * carry past 0xffff comes back in, by Linux's rule (ip_decrease_ttl).
 */
// @ts-ignore: decorator
@inline
export function ipv4DecrementTimeToLiveUpdatingChecksum(at: usize): void {
  const checksum: u32 = ipv4ChecksumBe(at) + 1;
  setIpv4ChecksumBe(at, checksum + u32(checksum >= 0xffff));
  setIpv4TimeToLive(at, ipv4TimeToLive(at) - 1);
}

// @ts-ignore: decorator
@inline
export function setIpv4SourceUpdatingChecksum(at: usize, addressBe: u32): void {
  const delta = checksumDelta(ipv4SourceBe(at), addressBe, 0, 0);
  setIpv4ChecksumBe(at, checksumApplyDelta(ipv4ChecksumBe(at), delta));
  setIpv4SourceBe(at, addressBe);
}

// @ts-ignore: decorator
@inline
export function setIpv4DestinationUpdatingChecksum(at: usize, addressBe: u32): void {
  const delta = checksumDelta(ipv4DestinationBe(at), addressBe, 0, 0);
  setIpv4ChecksumBe(at, checksumApplyDelta(ipv4ChecksumBe(at), delta));
  setIpv4DestinationBe(at, addressBe);
}

// @ts-ignore: decorator
@inline
export function setIpv4TotalLengthUpdatingChecksum(at: usize, totalLength: u32): void {
  const oldBe: u32 = load<u16>(at, TOTAL_LENGTH);
  const newBe = swap16(totalLength);
  setIpv4ChecksumBe(at, checksumAdjust16(ipv4ChecksumBe(at), oldBe, newBe));
  store<u16>(at, <u16>newBe, TOTAL_LENGTH);
}

// @ts-ignore: decorator
@inline
export function setIpv4TypeOfServiceUpdatingChecksum(at: usize, typeOfService: u32): void {
  const oldBe: u32 = load<u16>(at, VERSION_AND_LENGTH);
  setIpv4TypeOfService(at, typeOfService);
  const newBe: u32 = load<u16>(at, VERSION_AND_LENGTH);
  setIpv4ChecksumBe(at, checksumAdjust16(ipv4ChecksumBe(at), oldBe, newBe));
}
