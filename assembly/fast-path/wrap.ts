// A tunnel's outer header in front of a ready packet: plain IP in IP of one family. What is written
// is forward/tunnel.ts's.

import { PROTOCOL_IPIP, PROTOCOL_IPV6 } from '../shared/codes.ts';
import { CONNECTION_DESTINATION } from '../shared/layout.ts';
import {
  outerStart4,
  outerStart6,
  writeOuter4,
  writeOuter6,
  writePlainOuter4,
} from '../forward/tunnel.ts';
import { ETHERNET_TYPE_IPV4_BE, ETHERNET_TYPE_IPV6_BE } from '../wire/ethernet.ts';
import { IPV4_SIZE } from '../wire/ipv4.ts';
import { IPV6_SIZE } from '../wire/ipv6.ts';
import { ETHERNET_TYPE, IPV4, IPV4_FRAGMENT, IPV6 } from './frame.ts';
import { LENGTH, NEW_ADDRESS, OUTER } from './note.ts';
import { ageIpv4, ageIpv6 } from './rewrite.ts';

/**
 * Around IPv4.
 * @param at the packet's note
 * @param source where the outer source address stands
 * @param fragmentMask by fragmentMask4()
 */
// @ts-ignore: decorator
@inline
export function wrapIpv4(
  at: usize,
  frame: usize,
  entry: usize,
  source: usize,
  fragmentMask: u32,
): void {
  const outside = frame - IPV4_SIZE;
  const hops = ageIpv4(frame);
  store<u8>(at, <u8>IPV4_SIZE, OUTER);
  store<u16>(outside, <u16>ETHERNET_TYPE_IPV4_BE, ETHERNET_TYPE);
  writeOuter4(
    outside + IPV4,
    outerStart4(frame + IPV4),
    <u32>load<u16>(frame, IPV4_FRAGMENT) & fragmentMask,
    hops,
    PROTOCOL_IPIP,
    <u32>load<u16>(at, LENGTH) + IPV4_SIZE,
    load<u32>(source),
    load<u32>(entry, CONNECTION_DESTINATION),
  );
}

/**
 * Around IPv4, by what is known of the destination.
 * @param state of the destination
 * @param start by plainStart4()
 */
// @ts-ignore: decorator
@inline
export function wrapPlainIpv4(at: usize, frame: usize, state: usize, start: u64): void {
  const outside = frame - IPV4_SIZE;
  const hops = ageIpv4(frame);
  store<u8>(at, <u8>IPV4_SIZE, OUTER);
  store<u16>(outside, <u16>ETHERNET_TYPE_IPV4_BE, ETHERNET_TYPE);
  writePlainOuter4(outside + IPV4, state, start, hops);
}

/** Around IPv6. */
// @ts-ignore: decorator
@inline
export function wrapIpv6(at: usize, frame: usize, source: usize): void {
  const outside = frame - IPV6_SIZE;
  const hops = ageIpv6(frame);
  store<u8>(at, <u8>IPV6_SIZE, OUTER);
  store<u16>(outside, <u16>ETHERNET_TYPE_IPV6_BE, ETHERNET_TYPE);
  writeOuter6(
    outside + IPV6,
    outerStart6(frame + IPV6),
    hops,
    PROTOCOL_IPV6,
    load<u16>(at, LENGTH),
    source,
    load<u32>(at, NEW_ADDRESS),
  );
}
