// Cutting an IPv4 packet that is longer than a link's MTU (RFC 791 3.2), as the host's own output
// does it. IPv6 packets are never cut on the way.

import { concatenate, internetChecksum, readIpHeader, writeU16 } from './wire.ts';

const MORE_FRAGMENTS = 0x2000;

/** The packet itself, or its pieces, none longer than `mtu`. */
export function splitPacket(packet: Uint8Array, mtu: number): readonly Uint8Array[] {
  const header = readIpHeader(packet);
  if (header === undefined || header.family === 6 || packet.length <= mtu) return [packet];
  const head = packet.subarray(0, header.transport);
  const step = Math.floor((mtu - head.length) / 8) * 8;
  const pieces: Uint8Array[] = [];
  for (let at = head.length; at < packet.length; at += step) {
    const data = packet.subarray(at, at + step);
    const isLast = at + step >= packet.length;
    const piece = concatenate(head, data);
    const offset = (header.fragmentOffset + at - head.length) / 8;
    writeU16(piece, 2, piece.length);
    writeU16(piece, 6, offset | (isLast && !header.moreFragments ? 0 : MORE_FRAGMENTS));
    writeU16(piece, 10, 0);
    writeU16(piece, 10, internetChecksum(piece.subarray(0, head.length)));
    pieces.push(piece);
  }
  return pieces;
}
