// Whether a packet's source is a destination of some NAT service (ip_vs_has_real_service). Asked only
// for packets that belong to no connection while nat_icmp_send is on, so a walk will do.

import { FORWARD_NAT } from './shared/codes.ts';
import {
  CONTROL_DESTINATIONS,
  DESTINATION_ADDRESS,
  DESTINATION_FAMILY,
  DESTINATION_FORWARDING,
  DESTINATION_PORT,
  DESTINATION_PROTOCOL,
  DESTINATION_SERVICE,
  PACKET_FAMILY,
  PACKET_PROTOCOL,
  PACKET_SOURCE,
  PACKET_SOURCE_PORT,
} from './shared/layout.ts';
import { sameAddress } from './hash.ts';
import { destination } from './instance.ts';

/** Id of the NAT destination that a packet comes from, or 0. */
export function realServerOf(packet: usize): u32 {
  const family = <u32>load<u8>(packet, PACKET_FAMILY);
  const destinations = load<u32>(CONTROL_DESTINATIONS);
  for (let id: u32 = 1; id < destinations; id++) {
    const at = destination(id);
    if (
      <u32>load<u8>(at, DESTINATION_FAMILY) == family &&
      load<u32>(at, DESTINATION_SERVICE) != 0 &&
      load<u8>(at, DESTINATION_FORWARDING) == <u8>FORWARD_NAT &&
      load<u8>(at, DESTINATION_PROTOCOL) == load<u8>(packet, PACKET_PROTOCOL) &&
      load<u16>(at, DESTINATION_PORT) == load<u16>(packet, PACKET_SOURCE_PORT) &&
      sameAddress(family, at + DESTINATION_ADDRESS, packet + PACKET_SOURCE)
    ) {
      return id;
    }
  }
  return 0;
}

export function isRealServer(packet: usize): bool {
  return realServerOf(packet) != 0;
}
