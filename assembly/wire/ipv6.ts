// The IPv6 header and its extension headers (RFC 8200). Addresses are in network order as loaded.
//
//    0                       4               6       7       8
//   |v6| class | flow label | payload length| next  | hops  | source (16) | destination (16) |

import { PROTOCOL_AH } from '../shared/codes.ts';
import { EXTENSION_HEADERS_MAX } from '../shared/limits.ts';
import { ahLength } from './ah.ts';
import { swap16, swap32 } from './byte-order.ts';

// ---- offsets
const VERSION_CLASS_FLOW: u32 = 0;
const PAYLOAD_LENGTH: u32 = 4;
const NEXT_HEADER: u32 = 6;
const HOP_LIMIT: u32 = 7;
const SOURCE: u32 = 8;
const DESTINATION: u32 = 24;
/** In an extension header; its length is in units of 8 bytes, the first not counted. */
const EXTENSION_NEXT: u32 = 0;
const EXTENSION_LENGTH: u32 = 1;
/** In the fragment header: 13 bits of offset, 2 reserved, 1 for "more"; then the identification. */
const FRAGMENT_FIELD: u32 = 2;
const FRAGMENT_IDENTIFICATION: u32 = 4;

// ---- size
export const IPV6_SIZE: u32 = DESTINATION + 16;
export const IPV6_FRAGMENT_SIZE: u32 = FRAGMENT_IDENTIFICATION + 4;
const EXTENSION_SIZE: u32 = 8;

/** Extension headers, as values of a next-header field. AH is one too. */
export const IPV6_HOP_BY_HOP: u32 = 0;
export const IPV6_ROUTING: u32 = 43;
export const IPV6_FRAGMENT: u32 = 44;
const IPV6_DESTINATION_OPTIONS: u32 = 60;

/** Bits of the fragment field, as loaded. */
export const IPV6_MORE_FRAGMENTS_BE: u32 = 0x0100;
export const IPV6_FRAGMENT_OFFSET_BE: u32 = 0xf8ff;

/** What walkIpv6 answers when the headers are cut short or too many. */
export const IPV6_WALK_MALFORMED: u64 = 0;

// ---- check

/** Proves that the fixed header is inside `available` bytes. */
// @ts-ignore: decorator
@inline
export function ipv6IsWhole(available: u32): bool {
  return available >= IPV6_SIZE;
}

/** Whether another header follows this one before the upper layer's, as Linux's ipv6_ext_hdr. */
// @ts-ignore: decorator
@inline
export function ipv6IsExtension(nextHeader: u32): bool {
  return (
    nextHeader == IPV6_HOP_BY_HOP ||
    nextHeader == IPV6_ROUTING ||
    nextHeader == IPV6_FRAGMENT ||
    nextHeader == PROTOCOL_AH ||
    nextHeader == IPV6_DESTINATION_OPTIONS
  );
}

/**
 * Walks the extension headers of the packet at `at`, whose bytes end at `length` (from `at` on).
 * The walk ends at the upper layer's header, or behind the fragment header of a later fragment,
 * where nothing is a header any more. AH is walked over, as IPVS does. At most
 * EXTENSION_HEADERS_MAX headers are taken.
 *
 * The answer is IPV6_WALK_MALFORMED or three numbers in one word, to be read by the three
 * functions below:
 *
 *    bits  0-7   the upper protocol
 *    bits 16-31  offset of its header from `at`
 *    bits 32-47  offset of the fragment header from `at`, 0 for none
 */
export function walkIpv6(at: usize, length: u32): u64 {
  let nextHeader = ipv6NextHeader(at);
  let offset: u32 = IPV6_SIZE;
  let fragmentOffset: u32 = 0;
  for (let i: u32 = 0; i <= EXTENSION_HEADERS_MAX; i++) {
    if (!ipv6IsExtension(nextHeader)) {
      if (offset > length) return IPV6_WALK_MALFORMED;
      return <u64>nextHeader | ((<u64>offset) << 16) | ((<u64>fragmentOffset) << 32);
    }
    if (offset + EXTENSION_SIZE > length) return IPV6_WALK_MALFORMED;
    const header = at + offset;
    if (nextHeader == IPV6_FRAGMENT) {
      fragmentOffset = offset;
      offset += IPV6_FRAGMENT_SIZE;
      if (ipv6FragmentOffset(header) != 0) {
        const upper: u64 = load<u8>(header, EXTENSION_NEXT);
        return upper | ((<u64>offset) << 16) | ((<u64>fragmentOffset) << 32);
      }
    } else if (nextHeader == PROTOCOL_AH) {
      offset += ahLength(header);
    } else {
      offset += ((<u32>load<u8>(header, EXTENSION_LENGTH)) << 3) + EXTENSION_SIZE;
    }
    nextHeader = load<u8>(header, EXTENSION_NEXT);
  }
  return IPV6_WALK_MALFORMED;
}

/**
 * Where the packet at `at`, of which `length` bytes are sound, may be cut: behind the headers that
 * every router reads (RFC 8200, 4.5; Linux's ip6_find_1stfragopt), from `at` on.
 */
export function ipv6FragmentableOffset(at: usize, length: u32): u32 {
  let nextHeader = ipv6NextHeader(at);
  let offset: u32 = IPV6_SIZE;
  let isRouted = false;
  while (offset + EXTENSION_SIZE <= length) {
    if (nextHeader == IPV6_ROUTING) isRouted = true;
    else if (nextHeader == IPV6_DESTINATION_OPTIONS && isRouted) break;
    else if (nextHeader != IPV6_DESTINATION_OPTIONS && nextHeader != IPV6_HOP_BY_HOP) break;
    const header = at + offset;
    nextHeader = load<u8>(header, EXTENSION_NEXT);
    offset += ((<u32>load<u8>(header, EXTENSION_LENGTH)) << 3) + EXTENSION_SIZE;
  }
  return offset;
}

/** Where the number of the header at offset `end` stands: in the header right before it. */
function nextHeaderField(at: usize, end: u32): usize {
  let field = at + NEXT_HEADER;
  let offset: u32 = IPV6_SIZE;
  while (offset < end) {
    const header = at + offset;
    const isAh = load<u8>(field) == <u8>PROTOCOL_AH;
    offset += isAh ? ahLength(header) : ((<u32>load<u8>(header, EXTENSION_LENGTH)) << 3) + EXTENSION_SIZE;
    field = header + EXTENSION_NEXT;
  }
  return field;
}

/** The number of the header at offset `end`, behind whole extension headers. */
export function ipv6NextHeaderAt(at: usize, end: u32): u32 {
  return load<u8>(nextHeaderField(at, end));
}

export function setIpv6NextHeaderAt(at: usize, end: u32, nextHeader: u32): void {
  store<u8>(nextHeaderField(at, end), <u8>nextHeader);
}

// @ts-ignore: decorator
@inline
export function walkUpperProtocol(walk: u64): u32 {
  return <u32>walk & 0xff;
}

// @ts-ignore: decorator
@inline
export function walkUpperOffset(walk: u64): u32 {
  return (<u32>walk >> 16) & 0xffff;
}

// @ts-ignore: decorator
@inline
export function walkFragmentOffset(walk: u64): u32 {
  return <u32>(walk >> 32) & 0xffff;
}

// ---- getters

// @ts-ignore: decorator
@inline
export function ipv6Version(at: usize): u32 {
  return <u32>load<u8>(at, VERSION_CLASS_FLOW) >> 4;
}

// @ts-ignore: decorator
@inline
export function ipv6TrafficClass(at: usize): u32 {
  return (swap32(load<u32>(at, VERSION_CLASS_FLOW)) >> 20) & 0xff;
}

// @ts-ignore: decorator
@inline
export function ipv6FlowLabel(at: usize): u32 {
  return swap32(load<u32>(at, VERSION_CLASS_FLOW)) & 0xfffff;
}

/** Bytes behind the fixed header. */
// @ts-ignore: decorator
@inline
export function ipv6PayloadLength(at: usize): u32 {
  return swap16(load<u16>(at, PAYLOAD_LENGTH));
}

// @ts-ignore: decorator
@inline
export function ipv6NextHeader(at: usize): u32 {
  return load<u8>(at, NEXT_HEADER);
}

// @ts-ignore: decorator
@inline
export function ipv6HopLimit(at: usize): u32 {
  return load<u8>(at, HOP_LIMIT);
}

/** Where the 16 bytes stand. */
// @ts-ignore: decorator
@inline
export function ipv6SourceAt(at: usize): usize {
  return at + SOURCE;
}

/** Where the 16 bytes stand. */
// @ts-ignore: decorator
@inline
export function ipv6DestinationAt(at: usize): usize {
  return at + DESTINATION;
}

/** `at` is the fragment header's. In bytes. */
// @ts-ignore: decorator
@inline
export function ipv6FragmentOffset(at: usize): u32 {
  return swap16(<u32>load<u16>(at, FRAGMENT_FIELD) & IPV6_FRAGMENT_OFFSET_BE);
}

/** `at` is the fragment header's. */
// @ts-ignore: decorator
@inline
export function ipv6MoreFragments(at: usize): bool {
  return (<u32>load<u16>(at, FRAGMENT_FIELD) & IPV6_MORE_FRAGMENTS_BE) != 0;
}

/** `at` is the fragment header's. */
// @ts-ignore: decorator
@inline
export function ipv6FragmentIdentificationBe(at: usize): u32 {
  return load<u32>(at, FRAGMENT_IDENTIFICATION);
}

/** `at` is an extension header's. */
// @ts-ignore: decorator
@inline
export function ipv6ExtensionNext(at: usize): u32 {
  return load<u8>(at, EXTENSION_NEXT);
}

// ---- setters: the header has no checksum; the transport's covers the addresses

/** Version 6, the traffic class (8 bits) and the flow label (20 bits). */
// @ts-ignore: decorator
@inline
export function setIpv6VersionClassFlow(at: usize, trafficClass: u32, flowLabel: u32): void {
  const word: u32 = (6 << 28) | (trafficClass << 20) | flowLabel;
  store<u32>(at, swap32(word), VERSION_CLASS_FLOW);
}

// @ts-ignore: decorator
@inline
export function setIpv6PayloadLength(at: usize, payloadLength: u32): void {
  store<u16>(at, <u16>swap16(payloadLength), PAYLOAD_LENGTH);
}

// @ts-ignore: decorator
@inline
export function setIpv6NextHeader(at: usize, nextHeader: u32): void {
  store<u8>(at, <u8>nextHeader, NEXT_HEADER);
}

// @ts-ignore: decorator
@inline
export function setIpv6HopLimit(at: usize, hopLimit: u32): void {
  store<u8>(at, <u8>hopLimit, HOP_LIMIT);
}

/** The caller has seen a hop limit above 0. */
// @ts-ignore: decorator
@inline
export function ipv6DecrementHopLimit(at: usize): void {
  setIpv6HopLimit(at, ipv6HopLimit(at) - 1);
}

/** Copies the 16 bytes at `addressAt`. */
// @ts-ignore: decorator
@inline
export function setIpv6Source(at: usize, addressAt: usize): void {
  v128.store(at, v128.load(addressAt), SOURCE);
}

/** Copies the 16 bytes at `addressAt`. */
// @ts-ignore: decorator
@inline
export function setIpv6Destination(at: usize, addressAt: usize): void {
  v128.store(at, v128.load(addressAt), DESTINATION);
}

/** `at` is the extension header's. */
// @ts-ignore: decorator
@inline
export function setIpv6ExtensionNext(at: usize, nextHeader: u32): void {
  store<u8>(at, <u8>nextHeader, EXTENSION_NEXT);
}

/** Writes a whole fragment header at `at`; the offset is in bytes, a multiple of 8. */
// @ts-ignore: decorator
@inline
export function setIpv6Fragment(
  at: usize,
  nextHeader: u32,
  offset: u32,
  more: bool,
  identificationBe: u32,
): void {
  store<u16>(at, <u16>nextHeader, EXTENSION_NEXT);
  store<u16>(at, <u16>swap16(offset | u32(more)), FRAGMENT_FIELD);
  store<u32>(at, identificationBe, FRAGMENT_IDENTIFICATION);
}
