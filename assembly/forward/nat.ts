// NAT: a client's packet gets the destination's address and port, an answer the virtual ones
// (ip_vs_nat_xmit, handle_response). Checksums change by a delta that the connection holds ready.

import { FAMILY_IPV4, PROTOCOL_SCTP, PROTOCOL_TCP, PROTOCOL_UDP } from '../shared/codes.ts';
import {
  CONNECTION_DELTA,
  CONNECTION_DESTINATION,
  CONNECTION_DESTINATION_PORT,
  CONNECTION_VIRTUAL,
  CONNECTION_VIRTUAL_PORT,
  PACKET_FAMILY,
  PACKET_NETWORK,
  PACKET_PROTOCOL,
  PACKET_TRANSPORT,
  WIDE_DESTINATION,
  WIDE_VIRTUAL,
} from '../shared/layout.ts';
import { hot, wide } from '../instance.ts';
import { transportLength } from '../parse.ts';
import { oppositeDelta, pseudoHeaderSumIpv4, pseudoHeaderSumIpv6 } from '../wire/checksum.ts';
import {
  ipv4DestinationBe,
  ipv4SourceBe,
  setIpv4DestinationUpdatingChecksum,
  setIpv4SourceUpdatingChecksum,
} from '../wire/ipv4.ts';
import { ipv6DestinationAt, ipv6SourceAt, setIpv6Destination, setIpv6Source } from '../wire/ipv6.ts';
import { fillSctpChecksum } from '../wire/sctp.ts';
import { updateTcpChecksum } from '../wire/tcp.ts';
import { fillUdpChecksum, updateUdpChecksum } from '../wire/udp.ts';

/** Source and destination port stand first in TCP, UDP and SCTP alike. */
const SOURCE_PORT: usize = 0;
const DESTINATION_PORT: usize = 2;

/**
 * Brings the transport checksum in step with rewritten addresses and ports, all of them in place by
 * now. A UDP packet that came without a checksum gets one, as IPVS does it; SCTP's covers no
 * address, but all of its own bytes.
 */
// @ts-ignore: decorator
@inline
export function updateTransport(packet: usize, transport: usize, delta: u32): void {
  const protocol = <u32>load<u8>(packet, PACKET_PROTOCOL);
  if (protocol == PROTOCOL_TCP) updateTcpChecksum(transport, delta);
  else if (protocol == PROTOCOL_UDP) updateUdp(packet, transport, delta);
  else if (protocol == PROTOCOL_SCTP) fillSctpChecksum(transport, transportLength(packet));
}

// @ts-ignore: decorator
@inline
function updateUdp(packet: usize, transport: usize, delta: u32): void {
  if (updateUdpChecksum(transport, delta)) return;
  fillUdpChecksum(transport, transportLength(packet), pseudoSumOnWire(packet));
}

/** The pseudo-header's sum by the addresses that the IP header holds now. */
function pseudoSumOnWire(packet: usize): u32 {
  const network: usize = load<u32>(packet, PACKET_NETWORK);
  const length = transportLength(packet);
  if (load<u8>(packet, PACKET_FAMILY) == <u8>FAMILY_IPV4) {
    return pseudoHeaderSumIpv4(ipv4SourceBe(network), ipv4DestinationBe(network), PROTOCOL_UDP, length);
  }
  return pseudoHeaderSumIpv6(ipv6SourceAt(network), ipv6DestinationAt(network), PROTOCOL_UDP, length);
}

/** Whether a protocol's header begins with two ports. */
// @ts-ignore: decorator
@inline
export function hasPorts(protocol: u32): bool {
  return protocol == PROTOCOL_TCP || protocol == PROTOCOL_UDP || protocol == PROTOCOL_SCTP;
}

/** Client to server. */
export function rewriteToDestination(packet: usize, index: u32): void {
  const entry = hot(index);
  const network: usize = load<u32>(packet, PACKET_NETWORK);
  const transport: usize = load<u32>(packet, PACKET_TRANSPORT);
  if (load<u8>(packet, PACKET_FAMILY) == <u8>FAMILY_IPV4) {
    setIpv4DestinationUpdatingChecksum(network, load<u32>(entry, CONNECTION_DESTINATION));
  } else {
    setIpv6Destination(network, wide(index) + WIDE_DESTINATION);
  }
  if (transport && hasPorts(load<u8>(packet, PACKET_PROTOCOL))) {
    store<u16>(transport + DESTINATION_PORT, load<u16>(entry, CONNECTION_DESTINATION_PORT));
    updateTransport(packet, transport, load<u16>(entry, CONNECTION_DELTA));
  }
}

/** Server to client. */
export function rewriteFromVirtual(packet: usize, index: u32): void {
  const entry = hot(index);
  const network: usize = load<u32>(packet, PACKET_NETWORK);
  const transport: usize = load<u32>(packet, PACKET_TRANSPORT);
  if (load<u8>(packet, PACKET_FAMILY) == <u8>FAMILY_IPV4) {
    setIpv4SourceUpdatingChecksum(network, load<u32>(entry, CONNECTION_VIRTUAL));
  } else {
    setIpv6Source(network, wide(index) + WIDE_VIRTUAL);
  }
  if (transport && hasPorts(load<u8>(packet, PACKET_PROTOCOL))) {
    store<u16>(transport + SOURCE_PORT, load<u16>(entry, CONNECTION_VIRTUAL_PORT));
    updateTransport(packet, transport, oppositeDelta(load<u16>(entry, CONNECTION_DELTA)));
  }
}
