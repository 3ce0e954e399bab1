// The GRE header (RFC 2784) as IPVS's tunnels use it: no key, no sequence number, and a checksum
// when asked for.
//
//    0               2               4               6               8
//   |C| 0 | version | protocol type | checksum      | 0             | inner packet ...

import { checksumNeverZero, transportChecksum } from './checksum.ts';

// ---- offsets
const FLAGS: u32 = 0;
const TYPE: u32 = 2;
export const GRE_CHECKSUM: u32 = 4;
const RESERVED: u32 = 6;

// ---- size
export const GRE_SIZE: u32 = TYPE + 2;
export const GRE_SIZE_WITH_CHECKSUM: u32 = RESERVED + 2;

/** Bits of the flags, as loaded: checksum, key and sequence number present; the version. */
export const GRE_FLAG_CHECKSUM_BE: u32 = 0x0080;
export const GRE_FLAG_KEY_BE: u32 = 0x0020;
export const GRE_FLAG_SEQUENCE_BE: u32 = 0x0010;
export const GRE_FLAG_ROUTING_BE: u32 = 0x0040;
export const GRE_VERSION_BE: u32 = 0x0700;

// ---- check

/** Proves that the header, with the optional words its flags name, is inside `available` bytes. */
// @ts-ignore: decorator
@inline
export function greIsWhole(at: usize, available: u32): bool {
  return available >= GRE_SIZE && available >= greHeaderLength(at);
}

// ---- getters

// @ts-ignore: decorator
@inline
export function greFlagsBe(at: usize): u32 {
  return load<u16>(at, FLAGS);
}

/** The Ethernet type of what is inside, as loaded. */
// @ts-ignore: decorator
@inline
export function greTypeBe(at: usize): u32 {
  return load<u16>(at, TYPE);
}

/** In bytes, by the flags: 4 and 4 for each of checksum, key and sequence number. */
// @ts-ignore: decorator
@inline
export function greHeaderLength(at: usize): u32 {
  const flagsBe = greFlagsBe(at);
  return (
    GRE_SIZE +
    (u32((flagsBe & GRE_FLAG_CHECKSUM_BE) != 0) << 2) +
    (u32((flagsBe & GRE_FLAG_KEY_BE) != 0) << 2) +
    (u32((flagsBe & GRE_FLAG_SEQUENCE_BE) != 0) << 2)
  );
}

/** Over header and inner packet. Never 0: the kernel's tunnels leave it to the device's rule. */
// @ts-ignore: decorator
@inline
export function greComputeChecksumBe(at: usize, length: u32): u32 {
  return checksumNeverZero(transportChecksum(at, length, GRE_CHECKSUM, 0));
}

// ---- setters

/** Without a checksum: 4 bytes. */
// @ts-ignore: decorator
@inline
export function buildGre(at: usize, typeBe: u32): void {
  store<u32>(at, typeBe << 16, FLAGS);
}

/** With a checksum: 8 bytes. `length` is the header's and the inner packet's, which is in place. */
// @ts-ignore: decorator
@inline
export function buildGreFillingChecksum(at: usize, typeBe: u32, length: u32): void {
  store<u32>(at, GRE_FLAG_CHECKSUM_BE | (typeBe << 16), FLAGS);
  store<u32>(at, 0, GRE_CHECKSUM);
  store<u16>(at, <u16>greComputeChecksumBe(at, length), GRE_CHECKSUM);
}
