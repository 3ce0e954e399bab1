// A tunnel's outer header in front of a ready packet, which is one hop older then: plain IP in IP
// of one family. What is written is forward/tunnel.ts's.

import { PROTOCOL_IPIP, PROTOCOL_IPV6 } from '../shared/codes.ts';
import {
  CONNECTION_DESTINATION,
  CONNECTION_DESTINATION_ID,
  WIDE_DESTINATION,
} from '../shared/layout.ts';
import { fragmentField4, knownSource, writeOuter4, writeOuter6 } from '../forward/tunnel.ts';
import { hotBase, wideBase } from '../instance.ts';
import { ETHERNET_TYPE_IPV4_BE, ETHERNET_TYPE_IPV6_BE } from '../wire/ethernet.ts';
import { IPV4_SIZE, ipv4TypeOfService } from '../wire/ipv4.ts';
import { IPV6_SIZE, ipv6TrafficClass } from '../wire/ipv6.ts';
import { ETHERNET_TYPE, IPV4, IPV4_TTL, IPV6, IPV6_HOP_LIMIT } from './frame.ts';

/** Around IPv4. @param length of the packet inside */
// @ts-ignore: decorator
@inline
export function wrapIpv4(frame: usize, entry: usize, length: u32): usize {
  const outside = frame - IPV4_SIZE;
  store<u16>(outside, <u16>ETHERNET_TYPE_IPV4_BE, ETHERNET_TYPE);
  writeOuter4(
    outside + IPV4,
    ipv4TypeOfService(frame + IPV4),
    fragmentField4(frame + IPV4),
    load<u8>(frame, IPV4_TTL),
    PROTOCOL_IPIP,
    length + IPV4_SIZE,
    load<u32>(knownSource(load<u32>(entry, CONNECTION_DESTINATION_ID))),
    load<u32>(entry, CONNECTION_DESTINATION),
  );
  return outside;
}

/** Around IPv6. @returns where the frame begins now */
// @ts-ignore: decorator
@inline
export function wrapIpv6(frame: usize, entry: usize, length: u32): usize {
  const outside = frame - IPV6_SIZE;
  store<u16>(outside, <u16>ETHERNET_TYPE_IPV6_BE, ETHERNET_TYPE);
  writeOuter6(
    outside + IPV6,
    ipv6TrafficClass(frame + IPV6),
    load<u8>(frame, IPV6_HOP_LIMIT),
    PROTOCOL_IPV6,
    length,
    knownSource(load<u32>(entry, CONNECTION_DESTINATION_ID)),
    wideBase + (entry - hotBase) + WIDE_DESTINATION,
  );
  return outside;
}
