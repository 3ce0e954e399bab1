// Hash functions. hashAddress and its relatives are computed by the host too (host/tables/hash.ts),
// for the tables that the host writes and the data plane reads.

import { FAMILY_IPV4 } from './shared/codes.ts';
import { hashSeed } from './instance.ts';

/** 2^32 divided by the golden ratio, made odd. */
export const GOLDEN: u32 = 0x9e3779b1;

// @ts-ignore: decorator
@inline
export function mix(hash: u32, word: u32): u32 {
  const product = (hash ^ word) * GOLDEN;
  return product ^ (product >> 15);
}

/** Hash of an address at `at`, 4 or 16 bytes in network order. */
// @ts-ignore: decorator
@inline
export function hashAddress(family: u32, at: usize): u32 {
  const first = mix(0, load<u32>(at));
  if (family == FAMILY_IPV4) return first;
  return mix(mix(mix(first, load<u32>(at, 4)), load<u32>(at, 8)), load<u32>(at, 12));
}

/** The 32-bit stand-in of an address in a connection's hot half: itself, or an IPv6 address folded. */
// @ts-ignore: decorator
@inline
export function foldAddress(family: u32, at: usize): u32 {
  const first = load<u32>(at);
  if (family == FAMILY_IPV4) return first;
  return first ^ load<u32>(at, 4) ^ load<u32>(at, 8) ^ load<u32>(at, 12);
}

/**
 * Hash of one end of a connection: address, port (network order) and protocol. Seeded, so that
 * nobody outside can aim at one chain; an IPv6 address goes in whole for the same reason.
 */
// @ts-ignore: decorator
@inline
export function hashEnd(family: u32, at: usize, portBe: u32, protocol: u32): u32 {
  let hash = mix(hashSeed, load<u32>(at));
  if (family != FAMILY_IPV4) {
    hash = mix(mix(mix(hash, load<u32>(at, 4)), load<u32>(at, 8)), load<u32>(at, 12));
  }
  return mix(hash, portBe | (protocol << 16));
}

/** Not 0 unless the 16 bytes at `a` and at `b` are the same. */
// @ts-ignore: decorator
@inline
export function differ16(a: usize, b: usize): u64 {
  return (load<u64>(a) ^ load<u64>(b)) | (load<u64>(a, 8) ^ load<u64>(b, 8));
}

/** Whether the addresses at `a` and `b` (4 or 16 bytes) are equal. */
// @ts-ignore: decorator
@inline
export function sameAddress(family: u32, a: usize, b: usize): bool {
  if (family == FAMILY_IPV4) return load<u32>(a) == load<u32>(b);
  return !differ16(a, b);
}

// @ts-ignore: decorator
@inline
export function copyAddress(family: u32, to: usize, from: usize): void {
  if (family == FAMILY_IPV4) {
    store<u32>(to, load<u32>(from));
  } else {
    v128.store(to, v128.load(from));
  }
}
