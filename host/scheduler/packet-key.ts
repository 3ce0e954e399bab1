// What the hash schedulers read of a packet. Addresses are folded to one u32 in host order: an IPv4
// address itself, an IPv6 address as the XOR of its four words.

import { PROTOCOL_SCTP, PROTOCOL_TCP, PROTOCOL_UDP } from '../../assembly/shared/codes.ts';
import {
  PACKET_DESTINATION,
  PACKET_DESTINATION_PORT,
  PACKET_FAMILY,
  PACKET_FLAGS,
  PACKET_ICMP_ERROR,
  PACKET_PROTOCOL,
  PACKET_SOURCE,
  PACKET_SOURCE_PORT,
} from '../../assembly/shared/layout.ts';
import type { DataPlaneMemory } from '../memory/data-plane-memory.ts';

/** Address of the client. */
export function clientKey(memory: DataPlaneMemory, packet: number): number {
  const field = isQuoted(memory, packet) ? PACKET_DESTINATION : PACKET_SOURCE;
  return foldAddress(memory, packet, field);
}

/** Port of the client, host order; 0 for protocols without ports. */
export function clientPort(memory: DataPlaneMemory, packet: number): number {
  const { u8 } = memory;
  const protocol = u8[packet + PACKET_PROTOCOL];
  if (protocol !== PROTOCOL_TCP && protocol !== PROTOCOL_UDP && protocol !== PROTOCOL_SCTP)
    return 0;
  const field = isQuoted(memory, packet) ? PACKET_DESTINATION_PORT : PACKET_SOURCE_PORT;
  return (u8[packet + field] << 8) | u8[packet + field + 1];
}

/** Address in the packet's destination field, whichever way the packet goes. */
export function destinationKey(memory: DataPlaneMemory, packet: number): number {
  return foldAddress(memory, packet, PACKET_DESTINATION);
}

/** An ICMP error's record shows the packet it quotes, and that one was sent to the client. */
function isQuoted(memory: DataPlaneMemory, packet: number): boolean {
  return (memory.u16[(packet + PACKET_FLAGS) >>> 1] & PACKET_ICMP_ERROR) !== 0;
}

function foldAddress(memory: DataPlaneMemory, packet: number, field: number): number {
  const { u32 } = memory;
  const index = (packet + field) >>> 2;
  let word = u32[index];
  if (memory.u8[packet + PACKET_FAMILY] === 6) {
    word ^= u32[index + 1] ^ u32[index + 2] ^ u32[index + 3];
  }
  // Network order to host order.
  const swapped = ((word & 0xff00ff) << 8) | ((word >>> 8) & 0xff00ff);
  return ((swapped << 16) | (swapped >>> 16)) >>> 0;
}
