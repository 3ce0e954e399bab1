/**
 * Reads captures, and verifies every checksum in them: what a network card, which knows nothing
 * about partial checksums, would accept.
 */
import { readFileSync } from 'node:fs';

export interface Ip {
  readonly version: 4 | 6;
  readonly source: string;
  readonly destination: string;
  readonly protocol: number;
  readonly ttl: number;
  readonly dontFragment: boolean;
  /** Of the whole IP packet. */
  readonly length: number;
  /** Source and destination port, of TCP and UDP. */
  readonly ports?: readonly [number, number];
  /** Type and code, of ICMP. */
  readonly icmp?: readonly [number, number];
  /** The MTU a too-big names. */
  readonly mtu?: number;
  /** Why a checksum or a length is wrong. */
  readonly defect?: string;
  /** The packet inside a tunnel's. */
  readonly inner?: Ip;
}

export interface Frame {
  readonly sourceMac: string;
  readonly destinationMac: string;
  readonly etherType: number;
  readonly ip?: Ip;
}

const PCAP_MAGIC = 0xa1b2c3d4;
const PCAP_HEADER_SIZE = 24;
const RECORD_HEADER_SIZE = 16;
const ETHERNET_SIZE = 14;
const IPV4 = 0x0800;
const IPV6 = 0x86dd;
export const PROTOCOL = { icmp: 1, ipv4: 4, tcp: 6, udp: 17, ipv6: 41, icmpv6: 58 } as const;

export function readCapture(path: string): Frame[] {
  const file = readFileSync(path);
  if (file.readUInt32LE(0) !== PCAP_MAGIC) throw new Error(`${path} is no capture of this machine`);
  const frames: Frame[] = [];
  let offset = PCAP_HEADER_SIZE;
  while (offset + RECORD_HEADER_SIZE <= file.length) {
    const length = file.readUInt32LE(offset + 8);
    offset += RECORD_HEADER_SIZE;
    if (offset + length > file.length) break;
    frames.push(readFrame(file.subarray(offset, offset + length)));
    offset += length;
  }
  return frames;
}

export function readFrame(frame: Buffer): Frame {
  const etherType = frame.readUInt16BE(12);
  const packet = frame.subarray(ETHERNET_SIZE);
  return {
    destinationMac: macAddress(frame.subarray(0, 6)),
    sourceMac: macAddress(frame.subarray(6, 12)),
    etherType,
    ...(etherType === IPV4 || etherType === IPV6 ? { ip: readIp(packet) } : {}),
  };
}

function readIp(packet: Buffer): Ip {
  return packet[0]! >> 4 === 4 ? readIpv4(packet) : readIpv6(packet);
}

function readIpv4(packet: Buffer): Ip {
  const headerSize = (packet[0]! & 15) * 4;
  const length = packet.readUInt16BE(2);
  const header = packet.subarray(0, headerSize);
  const payload = packet.subarray(headerSize, length);
  const protocol = packet[9]!;
  const isFragment = (packet.readUInt16BE(6) & 0x3fff) !== 0;
  const base = {
    version: 4,
    source: [...packet.subarray(12, 16)].join('.'),
    destination: [...packet.subarray(16, 20)].join('.'),
    protocol,
    ttl: packet[8]!,
    dontFragment: (packet[6]! & 0x40) !== 0,
    length,
  } as const;
  if (sum(header) !== 0xffff) return { ...base, defect: 'wrong checksum of the IPv4 header' };
  if (length > packet.length) return { ...base, defect: 'longer than its frame' };
  if (isFragment) return base;
  const pseudo = Buffer.alloc(12);
  packet.copy(pseudo, 0, 12, 20);
  pseudo[9] = protocol;
  pseudo.writeUInt16BE(payload.length, 10);
  return { ...base, ...readPayload(protocol, payload, pseudo) };
}

function readIpv6(packet: Buffer): Ip {
  const payloadLength = packet.readUInt16BE(4);
  const payload = packet.subarray(40, 40 + payloadLength);
  const protocol = packet[6]!;
  const base = {
    version: 6,
    source: ipv6Address(packet.subarray(8, 24)),
    destination: ipv6Address(packet.subarray(24, 40)),
    protocol,
    ttl: packet[7]!,
    dontFragment: true,
    length: 40 + payloadLength,
  } as const;
  if (base.length > packet.length) return { ...base, defect: 'longer than its frame' };
  const pseudo = Buffer.alloc(40);
  packet.copy(pseudo, 0, 8, 40);
  pseudo.writeUInt32BE(payload.length, 32);
  pseudo[39] = protocol;
  return { ...base, ...readPayload(protocol, payload, pseudo) };
}

function readPayload(protocol: number, payload: Buffer, pseudo: Buffer): Partial<Ip> {
  if (protocol === PROTOCOL.ipv4 || protocol === PROTOCOL.ipv6) return { inner: readIp(payload) };
  if (protocol === PROTOCOL.tcp || protocol === PROTOCOL.udp) {
    const ports = [payload.readUInt16BE(0), payload.readUInt16BE(2)] as const;
    // IPv4 allows a datagram without a checksum.
    const isBare = protocol === PROTOCOL.udp && payload.readUInt16BE(6) === 0;
    const isRight = isBare ? pseudo.length === 12 : sum(pseudo, payload) === 0xffff;
    const name = protocol === PROTOCOL.tcp ? 'TCP' : 'UDP';
    return { ports, ...(isRight ? {} : { defect: `wrong checksum of ${name}` }) };
  }
  if (protocol === PROTOCOL.icmp || protocol === PROTOCOL.icmpv6) {
    const isRight = protocol === PROTOCOL.icmp ? sum(payload) : sum(pseudo, payload);
    const icmp = [payload[0]!, payload[1]!] as const;
    const isTooBig = protocol === PROTOCOL.icmp ? icmp.join() === '3,4' : icmp[0] === 2;
    return {
      icmp,
      ...(isTooBig ? { mtu: payload.readUInt16BE(6) } : {}),
      ...(isRight === 0xffff ? {} : { defect: 'wrong checksum of ICMP' }),
    };
  }
  return {};
}

/** The sum of RFC 1071, which is 0xffff over data that contains its right checksum. */
function sum(...parts: readonly Buffer[]): number {
  let total = 0;
  for (const part of parts) {
    for (let i = 0; i + 1 < part.length; i += 2) total += part.readUInt16BE(i);
    if (part.length % 2 === 1) total += part[part.length - 1]! << 8;
  }
  while (total > 0xffff) total = (total & 0xffff) + Math.floor(total / 0x10000);
  return total;
}

function macAddress(bytes: Buffer): string {
  return [...bytes].map((byte) => byte.toString(16).padStart(2, '0')).join(':');
}

/** Written as RFC 5952 wants it, so that addresses can be compared as text. */
function ipv6Address(bytes: Buffer): string {
  const words = Array.from({ length: 8 }, (_, i) => bytes.readUInt16BE(2 * i).toString(16));
  return new URL(`http://[${words.join(':')}]/`).hostname.slice(1, -1);
}
