// The hash functions of the published tables, the host's side of assembly/hash.ts. Both sides must
// stay equal bit for bit: the host places records where the data plane then looks for them.
//
//   mix(h, w)     h = (h ^ w) * 0x9E3779B1 mod 2^32; h ^ (h >>> 15)
//   hashAddress   mix over the address's words from h = 0 (IPv4: one word; IPv6: four)
//   serviceHash   mix(hashAddress, protocol | portBe << 16)
//   markHash      mix(mix(0, mark), 0xffff0000 | family)
//   nextHopHash   mix(hashAddress, port index)
//   localHash     hashAddress
//   routeHash     mix(hashAddress(masked prefix), prefix length)
//
// Words are little-endian loads of the bytes in network order, and portBe likewise.

export const GOLDEN = 0x9e3779b1;

/** Address families as the version field of the IP header has them. */
export type Family = 4 | 6;

/** One step of every hash below; takes and gives u32. */
export function mix(hash: number, word: number): number {
  const product = Math.imul(hash ^ word, GOLDEN);
  return (product ^ (product >>> 15)) >>> 0;
}

/** The little-endian u32 at `offset` of bytes in network order. */
export function wordAt(bytes: Uint8Array, offset: number): number {
  const low = bytes[offset] | (bytes[offset + 1] << 8);
  return (low | (bytes[offset + 2] << 16) | (bytes[offset + 3] << 24)) >>> 0;
}

/** Hash of an address of 4 or 16 bytes, in network order, at `offset` of `bytes`. */
export function hashAddress(family: Family, bytes: Uint8Array, offset = 0): number {
  let hash = mix(0, wordAt(bytes, offset));
  if (family === 4) return hash;
  hash = mix(hash, wordAt(bytes, offset + 4));
  hash = mix(hash, wordAt(bytes, offset + 8));
  return mix(hash, wordAt(bytes, offset + 12));
}

/** A port in host order as the data plane loads it from network order, or the other way round. */
export function swapPort(port: number): number {
  return ((port & 0xff) << 8) | (port >>> 8);
}

/** Hash of a service by protocol (IANA number), address and port (as loaded, see swapPort). */
export function serviceHash(
  family: Family,
  protocol: number,
  portBe: number,
  address: Uint8Array,
  offset = 0,
): number {
  return mix(hashAddress(family, address, offset), (protocol | (portBe << 16)) >>> 0);
}

/** Hash of a service by firewall mark. */
export function markHash(family: Family, mark: number): number {
  return mix(mix(0, mark), (0xffff0000 | family) >>> 0);
}

/** Hash of a neighbour on a port. */
export function nextHopHash(family: Family, port: number, address: Uint8Array, offset = 0): number {
  return mix(hashAddress(family, address, offset), port);
}

/** Hash of one of the director's own addresses. */
export function localHash(family: Family, address: Uint8Array, offset = 0): number {
  return hashAddress(family, address, offset);
}

/** Hash of a route by its prefix, host bits zeroed, and length. */
export function routeHash(
  family: Family,
  prefixLength: number,
  prefix: Uint8Array,
  offset = 0,
): number {
  return mix(hashAddress(family, prefix, offset), prefixLength);
}
