// The GUE header (Generic UDP Encapsulation, draft-ietf-intarea-gue-09) as IPVS's tunnels use it,
// behind a UDP header. With remote checksum offload (draft-herbert-remotecsumoffload) a private
// flags word and its one field follow: they tell the receiver to complete a checksum inside.
//
//    0       1       2               4                       8               10              12
//   |v|C|len| proto | flags         | private flags         | start         | field at      |
//
// "start" and "field at" count from the first byte of the inner packet.

import { swap16 } from './byte-order.ts';

// ---- offsets
const VERSION_AND_LENGTH: u32 = 0;
const PROTOCOL: u32 = 1;
const FLAGS: u32 = 2;
const PRIVATE_FLAGS: u32 = 4;
const REMOTE_START: u32 = 8;
const REMOTE_FIELD: u32 = 10;

// ---- size
export const GUE_SIZE: u32 = FLAGS + 2;
export const GUE_SIZE_WITH_REMOTE_CHECKSUM: u32 = REMOTE_FIELD + 2;

/** Bit of the flags, as loaded: private flags follow. */
export const GUE_FLAG_PRIVATE_BE: u32 = 0x0100;
/** Bit of the private flags, as loaded: remote checksum offload. */
export const GUE_PRIVATE_REMOTE_CHECKSUM_BE: u32 = 0x00000080;
/** Bits of the first byte. */
const VERSION_MASK: u32 = 0xc0;
const CONTROL: u32 = 0x20;
const LENGTH_MASK: u32 = 0x1f;

// ---- check

/** Proves that the header and its optional words are inside `available` bytes. */
// @ts-ignore: decorator
@inline
export function gueIsWhole(at: usize, available: u32): bool {
  return available >= GUE_SIZE && available >= gueHeaderLength(at);
}

// ---- getters

/** 0, or 1 for an IP packet that stands in the place of the header. */
// @ts-ignore: decorator
@inline
export function gueVersion(at: usize): u32 {
  return (<u32>load<u8>(at, VERSION_AND_LENGTH) & VERSION_MASK) >> 6;
}

// @ts-ignore: decorator
@inline
export function gueIsControl(at: usize): bool {
  return (<u32>load<u8>(at, VERSION_AND_LENGTH) & CONTROL) != 0;
}

/** In bytes, the optional words included. */
// @ts-ignore: decorator
@inline
export function gueHeaderLength(at: usize): u32 {
  return GUE_SIZE + ((<u32>load<u8>(at, VERSION_AND_LENGTH) & LENGTH_MASK) << 2);
}

// @ts-ignore: decorator
@inline
export function gueProtocol(at: usize): u32 {
  return load<u8>(at, PROTOCOL);
}

// @ts-ignore: decorator
@inline
export function gueFlagsBe(at: usize): u32 {
  return load<u16>(at, FLAGS);
}

// ---- setters

/** Without options: 4 bytes. */
// @ts-ignore: decorator
@inline
export function buildGue(at: usize, protocol: u32): void {
  store<u32>(at, protocol << 8, VERSION_AND_LENGTH);
}

/**
 * With remote checksum offload: 12 bytes. `start` is where the inner transport header begins and
 * `field` where its checksum is, both counted from the inner packet's first byte; the checksum
 * itself stays partial.
 */
// @ts-ignore: decorator
@inline
export function buildGueRemoteChecksum(at: usize, protocol: u32, start: u32, field: u32): void {
  const words: u32 = (GUE_SIZE_WITH_REMOTE_CHECKSUM - GUE_SIZE) >> 2;
  store<u32>(at, words | (protocol << 8) | (GUE_FLAG_PRIVATE_BE << 16), VERSION_AND_LENGTH);
  store<u32>(at, GUE_PRIVATE_REMOTE_CHECKSUM_BE, PRIVATE_FLAGS);
  store<u16>(at, <u16>swap16(start), REMOTE_START);
  store<u16>(at, <u16>swap16(field), REMOTE_FIELD);
}
