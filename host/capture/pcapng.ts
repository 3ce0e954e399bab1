// Captures as pcapng, which Wireshark opens: one interface for each port, nanoseconds, and a comment
// on each packet. Written block by block, so that a reader at the other end of a pipe keeps up.
//
// Format: draft-ietf-opsawg-pcapng; block and option numbers are its.

const SECTION = 0x0a0d0d0a;
const INTERFACE = 1;
const ENHANCED_PACKET = 6;
const BYTE_ORDER = 0x1a2b3c4d;
const LINK_ETHERNET = 1;
const OPTION_END = 0;
const OPTION_COMMENT = 1;
const OPTION_APPLICATION = 4;
const OPTION_INTERFACE_NAME = 2;
const OPTION_INTERFACE_RESOLUTION = 9;
const OPTION_PACKET_FLAGS = 2;
const FLAG_INBOUND = 1;
const FLAG_OUTBOUND = 2;
/** Powers of ten below the second. */
const NANOSECONDS = 9;
/** An option's length has 16 bits. */
const OPTION_BYTES_MAX = 65_535;

/** One frame with what is said about it. */
export interface AnnotatedFrame {
  /** Index into the interfaces of the section. */
  readonly interface: number;
  /** Nanoseconds since 1970. */
  readonly time: bigint;
  readonly frame: Uint8Array;
  readonly originalLength: number;
  readonly isOutbound: boolean;
  readonly comment: string;
}

/** What a file begins with. */
export function pcapngHeader(interfaces: readonly string[], application: string): Uint8Array {
  const section = new Uint8Array(16);
  const view = new DataView(section.buffer);
  view.setUint32(0, BYTE_ORDER, true);
  view.setUint16(4, 1, true);
  // The section's length is not known beforehand.
  view.setBigInt64(8, -1n, true);
  const blocks = interfaces.map((name) => {
    const body = new Uint8Array(8);
    new DataView(body.buffer).setUint16(0, LINK_ETHERNET, true);
    const options = [
      option(OPTION_INTERFACE_NAME, Buffer.from(name)),
      option(OPTION_INTERFACE_RESOLUTION, Uint8Array.of(NANOSECONDS)),
    ];
    return block(INTERFACE, body, options);
  });
  const head = block(SECTION, section, [option(OPTION_APPLICATION, Buffer.from(application))]);
  return Buffer.concat([head, ...blocks]);
}

/** One packet. */
export function pcapngPacket(packet: AnnotatedFrame): Uint8Array {
  const { frame, originalLength, time, isOutbound, comment } = packet;
  const body = new Uint8Array(20 + padded(frame.length));
  const view = new DataView(body.buffer);
  view.setUint32(0, packet.interface, true);
  view.setUint32(4, Number(time >> 32n), true);
  view.setUint32(8, Number(time & 0xffffffffn), true);
  view.setUint32(12, frame.length, true);
  view.setUint32(16, originalLength, true);
  body.set(frame, 20);
  const flags = new Uint8Array(4);
  flags[0] = isOutbound ? FLAG_OUTBOUND : FLAG_INBOUND;
  return block(ENHANCED_PACKET, body, [
    option(OPTION_COMMENT, Buffer.from(comment)),
    option(OPTION_PACKET_FLAGS, flags),
  ]);
}

function padded(length: number): number {
  return (length + 3) & ~3;
}

function option(code: number, value: Uint8Array): Uint8Array {
  const kept = value.subarray(0, OPTION_BYTES_MAX);
  const bytes = new Uint8Array(4 + padded(kept.length));
  const view = new DataView(bytes.buffer);
  view.setUint16(0, code, true);
  view.setUint16(2, kept.length, true);
  bytes.set(kept, 4);
  return bytes;
}

/** Its length stands at both ends. */
function block(type: number, body: Uint8Array, options: readonly Uint8Array[]): Uint8Array {
  const parts = [body, ...options, option(OPTION_END, new Uint8Array(0))];
  const length = 12 + parts.reduce((sum, part) => sum + part.length, 0);
  const bytes = Buffer.alloc(length);
  bytes.writeUInt32LE(type, 0);
  bytes.writeUInt32LE(length, 4);
  let at = 8;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  bytes.writeUInt32LE(length, at);
  return bytes;
}
