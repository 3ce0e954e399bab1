// The Ethernet header (IEEE 802.3, Ethernet II framing). VLAN tags are not part of it: a port's
// tag is taken off before its queue.
//
//    0                   6                  12        14
//   | destination       | source            | type    |
//
// A MAC address is carried as a u64 that holds its six bytes as loaded; the two upper bytes are
// ignored, so that a next hop's first word serves as one.

// ---- offsets
const DESTINATION: u32 = 0;
const SOURCE: u32 = 6;
const TYPE: u32 = 12;

// ---- size
export const ETHERNET_SIZE: u32 = TYPE + 2;

/** Values of the type field, as loaded. */
export const ETHERNET_TYPE_IPV4_BE: u32 = 0x0008;
export const ETHERNET_TYPE_IPV6_BE: u32 = 0xdd86;
export const ETHERNET_TYPE_ARP_BE: u32 = 0x0608;

const MAC_MASK: u64 = 0xffffffffffff;

// ---- check

/** Proves that every function of this file stays inside `available` bytes. */
// @ts-ignore: decorator
@inline
export function ethernetIsWhole(available: u32): bool {
  return available >= ETHERNET_SIZE;
}

// ---- getters

// @ts-ignore: decorator
@inline
export function ethernetTypeBe(at: usize): u32 {
  return load<u16>(at, TYPE);
}

// @ts-ignore: decorator
@inline
export function ethernetDestination(at: usize): u64 {
  return loadMac(at + DESTINATION);
}

// @ts-ignore: decorator
@inline
export function ethernetSource(at: usize): u64 {
  return loadMac(at + SOURCE);
}

/** Multicast or broadcast. */
// @ts-ignore: decorator
@inline
export function ethernetDestinationIsGroup(at: usize): bool {
  return (load<u8>(at, DESTINATION) & 1) != 0;
}

/** A MAC address that stands alone, as in a port's record. Reads six bytes. */
// @ts-ignore: decorator
@inline
export function loadMac(at: usize): u64 {
  return <u64>load<u32>(at) | ((<u64>load<u16>(at, 4)) << 32);
}

// ---- setters

// @ts-ignore: decorator
@inline
export function setEthernetTypeBe(at: usize, typeBe: u32): void {
  store<u16>(at, <u16>typeBe, TYPE);
}

/** Both addresses in two stores: 6 + 2 bytes, then the other 4. */
// @ts-ignore: decorator
@inline
export function setEthernetAddresses(at: usize, destination: u64, source: u64): void {
  store<u64>(at, (destination & MAC_MASK) | (source << 48), DESTINATION);
  store<u32>(at, <u32>((source & MAC_MASK) >> 16), DESTINATION + 8);
}

/** Sends a frame back where it came from. */
// @ts-ignore: decorator
@inline
export function swapEthernetAddresses(at: usize): void {
  setEthernetAddresses(at, ethernetSource(at), ethernetDestination(at));
}
