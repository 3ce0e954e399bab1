// Byte order. A load is little-endian and the wire is big-endian: what a load leaves in network
// order ends in "Be" here, and these turn it into a number and back. Both are their own inverse.

// @ts-ignore: decorator
@inline
export function swap16(value: u32): u32 {
  return ((value & 0xff) << 8) | ((value >> 8) & 0xff);
}

// @ts-ignore: decorator
@inline
export function swap32(value: u32): u32 {
  return bswap<u32>(value);
}
