// What becomes of a ready packet's headers: its addresses and ports, their checksums, one hop less.

import {
  CONNECTION_CLIENT,
  CONNECTION_CLIENT_PORT,
  CONNECTION_DELTA,
  CONNECTION_DESTINATION,
  CONNECTION_DESTINATION_PORT,
  CONNECTION_LOCAL,
  CONNECTION_LOCAL_PORT,
  CONNECTION_VIRTUAL,
  CONNECTION_VIRTUAL_PORT,
  WIDE_CLIENT,
  WIDE_LOCAL,
} from '../shared/layout.ts';
import { hotBase, wideBase } from '../instance.ts';
import { checksumFold, checksumFold64, oppositeDelta } from '../wire/checksum.ts';
import { TCP_CHECKSUM } from '../wire/tcp.ts';
import { UDP_CHECKSUM } from '../wire/udp.ts';
import {
  IPV4_DESTINATION,
  IPV4_SOURCE,
  IPV4_TRANSPORT,
  IPV4_TTL,
  IPV6_DESTINATION,
  IPV6_HOP_LIMIT,
  IPV6_SOURCE,
  IPV6_TRANSPORT,
} from './frame.ts';

/**
 * One hop less and nothing else: as ip_decrease_ttl, whose form of zero is another than below.
 * @returns how many hops remain
 */
// @ts-ignore: decorator
@inline
export function ageIpv4(frame: usize): u32 {
  // Time to live, protocol and checksum: one less below, one more above, and around the end.
  const word = load<u32>(frame, IPV4_TTL);
  const aged = word + 0xffff + (u32(word >= 0xfffe0000) << 16);
  store<u32>(frame, aged, IPV4_TTL);
  return aged & 0xff;
}

/** The same over IPv6. */
// @ts-ignore: decorator
@inline
export function ageIpv6(frame: usize): u32 {
  const less = <u32>load<u8>(frame, IPV6_HOP_LIMIT) - 1;
  store<u8>(frame, <u8>less, IPV6_HOP_LIMIT);
  return less;
}

/** Writes an address. @returns what it changes in the header's sum */
// @ts-ignore: decorator
@inline
function replaceAddress(at: usize, address: u32): u64 {
  const change = <u64>(load<u32>(at) ^ 0xffffffff) + <u64>address;
  store<u32>(at, address);
  return change;
}

/**
 * Translates a packet's IPv4 header and ages it, in one update of its checksum, which never becomes
 * 0xffff, as with Linux.
 */
// @ts-ignore: decorator
@inline
function translateIpv4(frame: usize, entry: usize, outwards: bool, isFull: bool): void {
  // Time to live, protocol and checksum.
  const word = load<u32>(frame, IPV4_TTL);
  let sum: u64 = <u64>((word >> 16) ^ 0xffff) + 0xfffe;
  const source = frame + IPV4_SOURCE;
  const target = frame + IPV4_DESTINATION;
  if (outwards) {
    sum += replaceAddress(source, load<u32>(entry, CONNECTION_VIRTUAL));
    if (isFull) sum += replaceAddress(target, load<u32>(entry, CONNECTION_CLIENT));
  } else {
    sum += replaceAddress(target, load<u32>(entry, CONNECTION_DESTINATION));
    if (isFull) sum += replaceAddress(source, load<u32>(entry, CONNECTION_LOCAL));
  }
  store<u32>(frame, ((word - 1) & 0xffff) | (~checksumFold64(sum) << 16), IPV4_TTL);
}

// @ts-ignore: decorator
@inline
function copy16(to: usize, from: usize): void {
  v128.store(to, v128.load(from));
}

// @ts-ignore: decorator
@inline
function translateIpv6(
  frame: usize,
  entry: usize,
  newAddress: usize,
  outwards: bool,
  isFull: bool,
): void {
  ageIpv6(frame);
  const wide = wideBase + (entry - hotBase);
  if (outwards) {
    copy16(frame + IPV6_SOURCE, newAddress);
    if (isFull) copy16(frame + IPV6_DESTINATION, wide + WIDE_CLIENT);
  } else {
    copy16(frame + IPV6_DESTINATION, newAddress);
    if (isFull) copy16(frame + IPV6_SOURCE, wide + WIDE_LOCAL);
  }
}

/** Writes ports and the transport checksum. */
// @ts-ignore: decorator
@inline
function translateTransport(
  transport: usize,
  entry: usize,
  outwards: bool,
  isFull: bool,
  isTcp: bool,
): void {
  let delta: u32;
  if (outwards) {
    store<u16>(transport, load<u16>(entry, CONNECTION_VIRTUAL_PORT));
    if (isFull) store<u16>(transport, load<u16>(entry, CONNECTION_CLIENT_PORT), 2);
    delta = oppositeDelta(load<u16>(entry, CONNECTION_DELTA));
  } else {
    store<u16>(transport, load<u16>(entry, CONNECTION_DESTINATION_PORT), 2);
    if (isFull) store<u16>(transport, load<u16>(entry, CONNECTION_LOCAL_PORT));
    delta = load<u16>(entry, CONNECTION_DELTA);
  }
  const field = transport + select<usize>(TCP_CHECKSUM, UDP_CHECKSUM, isTcp);
  const changed = checksumFold((<u32>load<u16>(field) ^ 0xffff) + delta) ^ 0xffff;
  // UDP's zero would say that there is none.
  store<u16>(field, <u16>select<u32>(changed, 0xffff, u32(isTcp) | u32(changed != 0)));
}

/** Translates a packet; direction and method are constants where this is called. */
// @ts-ignore: decorator
@inline
export function translate4(
  frame: usize,
  entry: usize,
  outwards: bool,
  isFull: bool,
  isTcp: bool,
): void {
  translateTransport(frame + IPV4_TRANSPORT, entry, outwards, isFull, isTcp);
  translateIpv4(frame, entry, outwards, isFull);
}

/** The same over IPv6. @param newAddress where the address is that it gets */
// @ts-ignore: decorator
@inline
export function translate6(
  frame: usize,
  entry: usize,
  newAddress: usize,
  outwards: bool,
  isFull: bool,
  isTcp: bool,
): void {
  translateTransport(frame + IPV6_TRANSPORT, entry, outwards, isFull, isTcp);
  translateIpv6(frame, entry, newAddress, outwards, isFull);
}
