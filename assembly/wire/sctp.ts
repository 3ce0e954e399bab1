// The SCTP common header and chunk headers (RFC 9260). Ports are in network order as loaded. The
// checksum is CRC32c over the whole packet with the field as zero; the CRC is little-endian on the
// wire, so a plain store is right.
//
//    0               2               4                       8                       12
//   | source port   | dest. port    | verification tag      | checksum              | chunks ...
//
//   chunk:  | type  | flags | length (2, without padding) | value ..., padded to 4 bytes |

import { swap16 } from './byte-order.ts';
import { CRC32C_ROW, CRC32C_TABLE } from './crc32c-table.ts';

// ---- offsets
const SOURCE_PORT: u32 = 0;
const DESTINATION_PORT: u32 = 2;
const VERIFICATION_TAG: u32 = 4;
const CHECKSUM: u32 = 8;
const CHUNK_TYPE: u32 = 0;
const CHUNK_LENGTH: u32 = 2;

// ---- size
export const SCTP_SIZE: u32 = CHECKSUM + 4;
export const SCTP_CHUNK_SIZE: u32 = CHUNK_LENGTH + 2;

/** Chunk types. */
export const SCTP_DATA: u32 = 0;
export const SCTP_INIT: u32 = 1;
export const SCTP_INIT_ACK: u32 = 2;
export const SCTP_SACK: u32 = 3;
export const SCTP_HEARTBEAT: u32 = 4;
export const SCTP_HEARTBEAT_ACK: u32 = 5;
export const SCTP_ABORT: u32 = 6;
export const SCTP_SHUTDOWN: u32 = 7;
export const SCTP_SHUTDOWN_ACK: u32 = 8;
export const SCTP_ERROR: u32 = 9;
export const SCTP_COOKIE_ECHO: u32 = 10;
export const SCTP_COOKIE_ACK: u32 = 11;
export const SCTP_SHUTDOWN_COMPLETE: u32 = 14;
/** Stands for "this packet has no chunk"; RFC 9260 assigns the number to nothing. */
export const SCTP_CHUNK_NONE: u32 = 255;

// ---- check

/** Proves that the common header is inside `available` bytes; chunks are another matter. */
// @ts-ignore: decorator
@inline
export function sctpIsWhole(available: u32): bool {
  return available >= SCTP_SIZE;
}

// ---- getters

// @ts-ignore: decorator
@inline
export function sctpSourcePortBe(at: usize): u32 {
  return load<u16>(at, SOURCE_PORT);
}

// @ts-ignore: decorator
@inline
export function sctpDestinationPortBe(at: usize): u32 {
  return load<u16>(at, DESTINATION_PORT);
}

// @ts-ignore: decorator
@inline
export function sctpVerificationTagBe(at: usize): u32 {
  return load<u32>(at, VERIFICATION_TAG);
}

/** As loaded, which is also its value. */
// @ts-ignore: decorator
@inline
export function sctpChecksum(at: usize): u32 {
  return load<u32>(at, CHECKSUM);
}

/** `length` is the SCTP packet's. SCTP_CHUNK_NONE when there is no room for a chunk. */
// @ts-ignore: decorator
@inline
export function sctpFirstChunkType(at: usize, length: u32): u32 {
  if (length < SCTP_SIZE + SCTP_CHUNK_SIZE) return SCTP_CHUNK_NONE;
  return load<u8>(at, SCTP_SIZE + CHUNK_TYPE);
}

/**
 * The chunk type that moves a connection's state: the first one's, or ABORT when it directly
 * follows a COOKIE ECHO or COOKIE ACK, as IPVS sees it. SCTP_CHUNK_NONE when there is no chunk.
 */
export function sctpEventChunkType(at: usize, length: u32): u32 {
  const first = sctpFirstChunkType(at, length);
  if (first != SCTP_COOKIE_ECHO && first != SCTP_COOKIE_ACK) return first;
  const chunkLength = swap16(load<u16>(at, SCTP_SIZE + CHUNK_LENGTH));
  if (chunkLength < SCTP_CHUNK_SIZE) return first;
  const next: u32 = SCTP_SIZE + ((chunkLength + 3) & ~3);
  if (next + SCTP_CHUNK_SIZE > length) return first;
  return <u32>load<u8>(at + next, CHUNK_TYPE) == SCTP_ABORT ? SCTP_ABORT : first;
}

/** The checksum this packet ought to have, whatever its field holds. `length` is at least 12. */
export function sctpComputeChecksum(at: usize, length: u32): u32 {
  let crc = crc32c(~0, at, CHECKSUM);
  crc = crc32cZeroWord(crc);
  return ~crc32c(crc, at + SCTP_SIZE, length - SCTP_SIZE);
}

/** Feeds `length` bytes into a running CRC32c (initially all ones, complemented at the end). */
export function crc32c(crc: u32, at: usize, length: u32): u32 {
  while (length >= 8) {
    const low = load<u32>(at) ^ crc;
    const high = load<u32>(at, 4);
    crc =
      row(7, low) ^
      row(6, low >> 8) ^
      row(5, low >> 16) ^
      row(4, low >> 24) ^
      row(3, high) ^
      row(2, high >> 8) ^
      row(1, high >> 16) ^
      row(0, high >> 24);
    at += 8;
    length -= 8;
  }
  while (length != 0) {
    crc = (crc >> 8) ^ row(0, crc ^ load<u8>(at));
    at++;
    length--;
  }
  return crc;
}

/** Feeds four zero bytes: the checksum field as the RFC wants it counted. */
// @ts-ignore: decorator
@inline
function crc32cZeroWord(crc: u32): u32 {
  return row(3, crc) ^ row(2, crc >> 8) ^ row(1, crc >> 16) ^ row(0, crc >> 24);
}

// @ts-ignore: decorator
@inline
function row(index: u32, byte: u32): u32 {
  return load<u32>(CRC32C_TABLE + index * CRC32C_ROW + ((byte & 0xff) << 2));
}

// ---- setters for building

// @ts-ignore: decorator
@inline
export function setSctpSourcePortBe(at: usize, portBe: u32): void {
  store<u16>(at, <u16>portBe, SOURCE_PORT);
}

// @ts-ignore: decorator
@inline
export function setSctpDestinationPortBe(at: usize, portBe: u32): void {
  store<u16>(at, <u16>portBe, DESTINATION_PORT);
}

// @ts-ignore: decorator
@inline
export function setSctpVerificationTagBe(at: usize, tagBe: u32): void {
  store<u32>(at, tagBe, VERIFICATION_TAG);
}

/** A CRC has no cheap update: after every change of the packet. */
// @ts-ignore: decorator
@inline
export function fillSctpChecksum(at: usize, length: u32): void {
  store<u32>(at, sctpComputeChecksum(at, length), CHECKSUM);
}

// ---- setters for rewriting
// The kernel leaves the checksum alone when the port stays as it is, and so do these: a packet
// that came in damaged leaves damaged.

// @ts-ignore: decorator
@inline
export function setSctpSourcePortUpdatingChecksum(at: usize, portBe: u32, length: u32): void {
  if (sctpSourcePortBe(at) == portBe) return;
  setSctpSourcePortBe(at, portBe);
  fillSctpChecksum(at, length);
}

// @ts-ignore: decorator
@inline
export function setSctpDestinationPortUpdatingChecksum(at: usize, portBe: u32, length: u32): void {
  if (sctpDestinationPortBe(at) == portBe) return;
  setSctpDestinationPortBe(at, portBe);
  fillSctpChecksum(at, length);
}
