// The ICMP header (RFC 792) and the ICMPv6 header (RFC 4443): the same eight bytes. What the rest
// word means depends on the type; an error's quoted packet follows it.
//
//    0       1       2               4                       8
//   | type  | code  | checksum      | rest                  | quoted packet ...
//
// ICMPv6's checksum covers the IPv6 pseudo-header, ICMP's does not.

import { swap16, swap32 } from './byte-order.ts';
import { CHECKSUM_SOUND, checksumFold, checksumSum, transportChecksum } from './checksum.ts';

// ---- offsets
const TYPE: u32 = 0;
const CODE: u32 = 1;
export const ICMP_CHECKSUM: u32 = 2;
const REST: u32 = 4;
/** ICMP "fragmentation needed": the MTU is the rest word's second half. */
const NEXT_HOP_MTU: u32 = 6;

// ---- size
export const ICMP_SIZE: u32 = REST + 4;

/** ICMP types and codes. */
export const ICMP_ECHO_REPLY: u32 = 0;
export const ICMP_UNREACHABLE: u32 = 3;
export const ICMP_SOURCE_QUENCH: u32 = 4;
export const ICMP_REDIRECT: u32 = 5;
export const ICMP_ECHO: u32 = 8;
export const ICMP_TIME_EXCEEDED: u32 = 11;
export const ICMP_PARAMETER_PROBLEM: u32 = 12;
export const ICMP_CODE_NETWORK_UNREACHABLE: u32 = 0;
export const ICMP_CODE_HOST_UNREACHABLE: u32 = 1;
export const ICMP_CODE_PORT_UNREACHABLE: u32 = 3;
export const ICMP_CODE_FRAGMENTATION_NEEDED: u32 = 4;

/** ICMPv6 types and codes. */
export const ICMPV6_UNREACHABLE: u32 = 1;
export const ICMPV6_PACKET_TOO_BIG: u32 = 2;
export const ICMPV6_TIME_EXCEEDED: u32 = 3;
export const ICMPV6_PARAMETER_PROBLEM: u32 = 4;
/** Types from here on are no errors. */
export const ICMPV6_INFORMATIONAL: u32 = 128;
export const ICMPV6_ECHO: u32 = 128;
export const ICMPV6_ECHO_REPLY: u32 = 129;
export const ICMPV6_CODE_NO_ROUTE: u32 = 0;
export const ICMPV6_CODE_ADDRESS_UNREACHABLE: u32 = 3;
export const ICMPV6_CODE_PORT_UNREACHABLE: u32 = 4;

// ---- check

/** Proves that the header is inside `available` bytes. */
// @ts-ignore: decorator
@inline
export function icmpIsWhole(available: u32): bool {
  return available >= ICMP_SIZE;
}

/** Whether IPVS looks for a connection behind an ICMP message of this type. */
// @ts-ignore: decorator
@inline
export function icmpTypeIsError(type: u32): bool {
  return type == ICMP_UNREACHABLE || type == ICMP_SOURCE_QUENCH || type == ICMP_TIME_EXCEEDED;
}

// @ts-ignore: decorator
@inline
export function icmpv6TypeIsError(type: u32): bool {
  return type < ICMPV6_INFORMATIONAL;
}

/** `length` is the whole message's; `pseudoHeaderSum` is 0 for ICMP, IPv6's for ICMPv6. */
// @ts-ignore: decorator
@inline
export function icmpChecksumIsSound(at: usize, length: u32, pseudoHeaderSum: u32): bool {
  return checksumFold(checksumSum(at, length) + pseudoHeaderSum) == CHECKSUM_SOUND;
}

// ---- getters

// @ts-ignore: decorator
@inline
export function icmpType(at: usize): u32 {
  return load<u8>(at, TYPE);
}

// @ts-ignore: decorator
@inline
export function icmpCode(at: usize): u32 {
  return load<u8>(at, CODE);
}

// @ts-ignore: decorator
@inline
export function icmpChecksumBe(at: usize): u32 {
  return load<u16>(at, ICMP_CHECKSUM);
}

/** The rest word in host order: the MTU of ICMPv6 "packet too big" among others. */
// @ts-ignore: decorator
@inline
export function icmpRest(at: usize): u32 {
  return swap32(load<u32>(at, REST));
}

/** The MTU in ICMP "fragmentation needed". */
// @ts-ignore: decorator
@inline
export function icmpNextHopMtu(at: usize): u32 {
  return swap16(load<u16>(at, NEXT_HOP_MTU));
}

/** The checksum this message ought to have, whatever its field holds. Never 0xffff. */
// @ts-ignore: decorator
@inline
export function icmpComputeChecksumBe(at: usize, length: u32, pseudoHeaderSum: u32): u32 {
  return transportChecksum(at, length, ICMP_CHECKSUM, pseudoHeaderSum);
}

// ---- setters

/** Writes the eight bytes; the checksum is filled when the quoted packet is in place. */
// @ts-ignore: decorator
@inline
export function buildIcmp(at: usize, type: u32, code: u32, rest: u32): void {
  store<u32>(at, type | (code << 8), TYPE);
  store<u32>(at, swap32(rest), REST);
}

// @ts-ignore: decorator
@inline
export function setIcmpType(at: usize, type: u32): void {
  store<u8>(at, <u8>type, TYPE);
}

// @ts-ignore: decorator
@inline
export function setIcmpRest(at: usize, rest: u32): void {
  store<u32>(at, swap32(rest), REST);
}

// @ts-ignore: decorator
@inline
export function setIcmpChecksumBe(at: usize, checksumBe: u32): void {
  store<u16>(at, <u16>checksumBe, ICMP_CHECKSUM);
}

/** `length` is the whole message's; `pseudoHeaderSum` is 0 for ICMP, IPv6's for ICMPv6. */
// @ts-ignore: decorator
@inline
export function fillIcmpChecksum(at: usize, length: u32, pseudoHeaderSum: u32): void {
  setIcmpChecksumBe(at, icmpComputeChecksumBe(at, length, pseudoHeaderSum));
}
