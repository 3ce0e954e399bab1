// The Internet checksum: RFC 1071 (the sum), RFC 1624 (the update of a sum whose data changed).
//
// All sums are made of little-endian loads of the big-endian wire, and RFC 1071 2(B) says why
// that is right: the sum comes out with its bytes swapped, which is how a store puts them back.
// So no value here is in host order: sums, deltas and checksums are all "as loaded".
//
// In ones' complement arithmetic zero has two forms, 0x0000 and 0xffff, and the bytes on the wire
// show which one was met. Linux adds in 32 or 64 bits and never subtracts; a sum with one nonzero
// term therefore comes out as 0xffff, never as 0, and its complement as 0x0000, never as 0xffff.
// A delta here is kept in 1..0xffff for the same reason: adding it gives Linux's form of zero.

/** A checksum of zero is sent like this where zero means "none" (UDP), and by devices. */
export const CHECKSUM_ZERO_SENT: u32 = 0xffff;
/** What the sum over data and its checksum folds to when both are sound. */
export const CHECKSUM_SOUND: u32 = 0xffff;

// ---- folding

/** Folds a 32-bit sum to 16 bits: 0 only for 0. */
// @ts-ignore: decorator
@inline
export function checksumFold(sum: u32): u32 {
  // Added to itself with the halves exchanged, a sum has the result in its upper half.
  return (sum + rotl(sum, 16)) >> 16;
}

/** Folds a 64-bit sum to 16 bits: 0 only for 0. */
// @ts-ignore: decorator
@inline
export function checksumFold64(sum: u64): u32 {
  return checksumFold(<u32>((sum + rotl(sum, 32)) >> 32));
}

/** The checksum field of data with this sum. */
// @ts-ignore: decorator
@inline
export function checksumFinish(sum: u32): u32 {
  return ~checksumFold(sum) & 0xffff;
}

/** For fields in which 0 means "no checksum". */
// @ts-ignore: decorator
@inline
export function checksumNeverZero(checksumBe: u32): u32 {
  return select<u32>(checksumBe, CHECKSUM_ZERO_SENT, checksumBe != 0);
}

// ---- sums

/**
 * The folded sum (16 bits) over `length` bytes at `at`; an odd last byte counts as if a zero
 * followed. No byte outside is read. `length` is below 2^19, so that no lane overflows.
 */
export function checksumSum(at: usize, length: u32): u32 {
  let lanes = i32x4.splat(0);
  while (length >= 32) {
    const low = i32x4.extadd_pairwise_i16x8_u(v128.load(at));
    const high = i32x4.extadd_pairwise_i16x8_u(v128.load(at, 16));
    lanes = i32x4.add(lanes, i32x4.add(low, high));
    at += 32;
    length -= 32;
  }
  const halves = i64x2.add(v128.and(lanes, i64x2.splat(0xffffffff)), i64x2.shr_u(lanes, 32));
  let sum: u64 = <u64>i64x2.extract_lane(halves, 0) + <u64>i64x2.extract_lane(halves, 1);
  while (length >= 4) {
    sum += load<u32>(at);
    at += 4;
    length -= 4;
  }
  if (length >= 2) {
    sum += load<u16>(at);
    at += 2;
    length -= 2;
  }
  if (length != 0) {
    sum += load<u8>(at);
  }
  return checksumFold64(sum);
}

/** The same as checksumSum, one byte at a time: the reference it is tested against. */
export function checksumSumReference(at: usize, length: u32): u32 {
  let sum: u32 = 0;
  for (let i: u32 = 0; i < length; i++) {
    const byte: u32 = load<u8>(at + i);
    sum += (i & 1) != 0 ? byte << 8 : byte;
    sum = (sum & 0xffff) + (sum >> 16);
  }
  return sum;
}

/** The folded sum of the 16 bytes of an IPv6 address. */
// @ts-ignore: decorator
@inline
export function checksumSumAddressIpv6(at: usize): u64 {
  const first = load<u64>(at);
  const last = load<u64>(at, 8);
  return (first & 0xffffffff) + (first >> 32) + (last & 0xffffffff) + (last >> 32);
}

// ---- pseudo-headers: RFC 9293 3.1, RFC 768, RFC 8200 8.1

/** Folded (16 bits) and not 0: the protocol is in it. `length` is the transport's, host order. */
// @ts-ignore: decorator
@inline
export function pseudoHeaderSumIpv4(
  sourceBe: u32,
  destinationBe: u32,
  protocol: u32,
  length: u32,
): u32 {
  return checksumFold64(<u64>sourceBe + <u64>destinationBe + <u64>((length + protocol) << 8));
}

/** The same for IPv6; the addresses are given by where they stand. */
// @ts-ignore: decorator
@inline
export function pseudoHeaderSumIpv6(
  sourceAt: usize,
  destinationAt: usize,
  protocol: u32,
  length: u32,
): u32 {
  return checksumFold64(
    checksumSumAddressIpv6(sourceAt) +
      checksumSumAddressIpv6(destinationAt) +
      <u64>((length + protocol) << 8),
  );
}

/**
 * The checksum of a transport packet, whatever its field holds now: the field is taken out of the
 * sum instead of being cleared first. `pseudoHeaderSum` is 0 for a protocol without one.
 */
export function transportChecksum(
  at: usize,
  length: u32,
  fieldOffset: u32,
  pseudoHeaderSum: u32,
): u32 {
  const without: u32 = ~(<u32>load<u16>(at + fieldOffset)) & 0xffff;
  return checksumFinish(checksumSum(at, length) + without + pseudoHeaderSum);
}

// ---- updates

/** RFC 1624 (3) for one 16-bit field, as Linux's csum_replace2: also its forms of zero. */
// @ts-ignore: decorator
@inline
export function checksumAdjust16(checksumBe: u32, oldBe: u32, newBe: u32): u32 {
  const without: u32 = (~checksumBe & 0xffff) + (~oldBe & 0xffff);
  const sum: u32 = (without & 0xffff) + (without >> 16) + newBe;
  return ~((sum & 0xffff) + (sum >> 16)) & 0xffff;
}

/** The same for one 32-bit field, as Linux's csum_replace4: its result is never 0xffff. */
// @ts-ignore: decorator
@inline
export function checksumAdjust32(checksumBe: u32, oldBe: u32, newBe: u32): u32 {
  const sum: u64 = <u64>~checksumBe + <u64>~oldBe + <u64>newBe;
  return ~checksumFold64(sum) & 0xffff;
}

/** Brings a sum of changes into the form of a delta, 1..0xffff. */
// @ts-ignore: decorator
@inline
function toDelta(sum: u64): u32 {
  return checksumNeverZero(checksumFold64(sum));
}

/** What changes in a checksum when an IPv4 address and a port are replaced. 1..0xffff. */
// @ts-ignore: decorator
@inline
export function checksumDelta(
  oldAddressBe: u32,
  newAddressBe: u32,
  oldPortBe: u32,
  newPortBe: u32,
): u32 {
  return toDelta(
    <u64>~oldAddressBe + <u64>newAddressBe + <u64>(~oldPortBe & 0xffff) + <u64>newPortBe,
  );
}

/** The same for IPv6 addresses, given by where they stand. 1..0xffff. */
export function checksumDeltaIpv6(
  oldAddressAt: usize,
  newAddressAt: usize,
  oldPortBe: u32,
  newPortBe: u32,
): u32 {
  const old: u32 = checksumFold64(checksumSumAddressIpv6(oldAddressAt));
  return toDelta(
    <u64>(~old & 0xffff) +
      checksumSumAddressIpv6(newAddressAt) +
      <u64>(~oldPortBe & 0xffff) +
      <u64>newPortBe,
  );
}

/** The delta of two changes together, as full-nat makes them. 1..0xffff. */
// @ts-ignore: decorator
@inline
export function checksumDeltaSum(first: u32, second: u32): u32 {
  return checksumFold(first + second);
}

/** The delta of the change back. 1..0xffff. */
// @ts-ignore: decorator
@inline
export function checksumDeltaInverse(delta: u32): u32 {
  return checksumNeverZero(~delta & 0xffff);
}

/**
 * A checksum after a change with this delta: what Linux's IPVS gets from csum_fold over
 * ip_vs_check_diff4 (or 16) and ip_vs_check_diff2. Never 0xffff.
 */
// @ts-ignore: decorator
@inline
export function checksumApplyDelta(checksumBe: u32, delta: u32): u32 {
  const sum: u32 = (~checksumBe & 0xffff) + delta;
  return ~((sum & 0xffff) + (sum >> 16)) & 0xffff;
}

// ---- partial checksums

/**
 * Whether a packet's checksum was left to a device that never saw it: its field holds the folded
 * sum of the pseudo-header alone, not complemented, as a virtual link hands packets over. A sound
 * checksum has this value once in 65536 packets; the full sum tells them apart. What cannot be
 * told apart is a damaged packet whose field happens to hold this value.
 */
// @ts-ignore: decorator
@inline
export function isPartialChecksum(
  at: usize,
  length: u32,
  fieldOffset: u32,
  pseudoHeaderSum: u32,
): bool {
  if (<u32>load<u16>(at + fieldOffset) != pseudoHeaderSum) return false;
  return checksumFold(checksumSum(at, length) + pseudoHeaderSum) != CHECKSUM_SOUND;
}

/**
 * Does the device's work on a packet for which isPartialChecksum holds: the field already counts
 * as the pseudo-header. Zero is stored as 0xffff, for every protocol, as Linux does here.
 */
export function completeChecksum(at: usize, length: u32, fieldOffset: u32): void {
  const complete = checksumNeverZero(checksumFinish(checksumSum(at, length)));
  store<u16>(at + fieldOffset, <u16>complete);
}

/** What takes an adjustment of a checksum back: 0xffff, which is zero too, stays as it is. */
// @ts-ignore: decorator
@inline
export function oppositeDelta(delta: u32): u32 {
  return select<u32>(delta ^ 0xffff, 0xffff, delta ^ 0xffff);
}
