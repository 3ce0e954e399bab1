// Random flows, and the frames of their packets. Flow k has a client of its own: the numbers
// 0..2^24-1 are spread over 16.0.0.0/8 (or 2001:db8:16::/64) by a multiplication, so that neither
// addresses nor ports say anything about k, and nothing about a flow has to be kept in memory.

import { PROTOCOL_TCP, PROTOCOL_UDP } from '../../assembly/shared/codes.ts';
import { FRAME_HEADROOM, FRAME_SIZE } from '../../assembly/shared/limits.ts';
import { addressBytes } from '../../host/config/address.ts';

/** Flows that can be told apart. */
export const FLOWS_MAX = 2 ** 24;

const SPREAD = 0x9e3779b1;
const INVERSE = inverseOf(SPREAD);
const FLOW_MASK = FLOWS_MAX - 1;
const CLIENT_NET = 16;
const CLIENT_NET_IPV6 = '2001:db8:16::';
const PORT_FIRST = 1024;
const PORTS = 60_000;

const ETHERNET_BYTES = 14;
const IPV4_BYTES = 20;
const IPV6_BYTES = 40;
const TCP_BYTES = 20;
const UDP_BYTES = 8;
const NETWORK_WORD = ETHERNET_BYTES / 2;
const TIME_TO_LIVE = 64;
const NUMBERS = { tcp: PROTOCOL_TCP, udp: PROTOCOL_UDP } as const;

/** TCP flags. */
export const TCP_SYN = 0x02;
export const TCP_ACK = 0x10;

export type Family = 4 | 6;
export type Transport = 'tcp' | 'udp';

/** Which way packets go: from clients in, or from servers out. */
export type Direction = 'in' | 'out';

/** What all frames of one bench have in common. */
export interface FrameShape {
  readonly family: Family;
  readonly protocol: Transport;
  readonly direction: Direction;
  /** Bytes of the frame, Ethernet header included. */
  readonly size: number;
  readonly tcpFlags: number;
  /** Six bytes each. */
  readonly destinationMac: Uint8Array;
  readonly sourceMac: Uint8Array;
  /** Inwards: the virtual service's end. Outwards: any server's address, for IPv6's prefix. */
  readonly address: string;
  readonly port: number;
}

/** The least frame that holds the headers. */
export function smallestFrame(family: Family, protocol: Transport): number {
  const network = family === 4 ? IPV4_BYTES : IPV6_BYTES;
  const transport = protocol === 'tcp' ? TCP_BYTES : UDP_BYTES;
  return Math.max(60, ETHERNET_BYTES + network + transport);
}

/** A flow's client address: the last four bytes as a number in network order. */
export function clientOf(flow: number): number {
  return ((CLIENT_NET << 24) | (Math.imul(flow, SPREAD) & FLOW_MASK)) >>> 0;
}

/** The flow of a client address. */
export function flowOf(client: number): number {
  return Math.imul(client & FLOW_MASK, INVERSE) & FLOW_MASK;
}

/** A flow's client port. */
export function clientPortOf(flow: number): number {
  const mixed = Math.imul(flow ^ 0x5bd1e995, 0x85ebca6b);
  return PORT_FIRST + (((mixed ^ (mixed >>> 15)) >>> 0) % PORTS);
}

/** The inverse of an odd number modulo 2^24, by Newton's iteration. */
function inverseOf(odd: number): number {
  let inverse = odd;
  for (let step = 0; step < 5; step++) {
    inverse = Math.imul(inverse, 2 - Math.imul(odd, inverse));
  }
  return inverse;
}

/** A generator of flow numbers: xorshift32, seeded, so that a run can be repeated. */
export class FlowSource {
  #state: number;

  constructor(seed: number) {
    this.#state = seed === 0 ? 1 : seed;
  }

  /** A number from 0 to limit - 1. */
  below(limit: number): number {
    let state = this.#state;
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    this.#state = state;
    return Math.floor(((state >>> 0) / 2 ** 32) * limit);
  }
}

/** One end of a packet. */
export interface End {
  /** IPv4 address as a number in network order, or the last four bytes of an IPv6 address. */
  address: number;
  port: number;
}

/**
 * Writes frames straight into UMEM chunks. All 16-bit fields of the three headers lie on even
 * addresses, so a frame is a template of u16 words with a few of them replaced.
 */
export class FrameWriter {
  readonly #u16: Uint16Array;
  readonly #template: Uint16Array;
  readonly #isIpv4: boolean;
  /** Sum over the IPv4 header's words that never change. */
  readonly #headerSum: number;
  /** Word offsets of the fields that change. */
  readonly #sourceAt: number;
  readonly #destinationAt: number;
  readonly #portsAt: number;

  /** @param buffer of the whole linear memory */
  constructor(buffer: ArrayBufferLike, shape: FrameShape) {
    this.#u16 = new Uint16Array(buffer);
    this.#isIpv4 = shape.family === 4;
    this.#template = makeTemplate(shape);
    // Of an IPv6 address the last four bytes tell ends apart.
    this.#sourceAt = NETWORK_WORD + (this.#isIpv4 ? 6 : 10);
    this.#destinationAt = NETWORK_WORD + (this.#isIpv4 ? 8 : 18);
    this.#portsAt = NETWORK_WORD + (this.#isIpv4 ? IPV4_BYTES : IPV6_BYTES) / 2;
    let sum = 0;
    for (let word = NETWORK_WORD; word < this.#portsAt; word++) sum += this.#template[word];
    this.#headerSum = sum;
  }

  /** A packet from a flow's client, in the chunk at `chunk` (byte offset into linear memory). */
  fromClient(chunk: number, flow: number): void {
    const at = this.#copy(chunk);
    const sum = this.#setAddress(at + this.#sourceAt, clientOf(flow));
    this.#u16[at + this.#portsAt] = swap(clientPortOf(flow));
    if (this.#isIpv4) this.#seal(at, sum);
  }

  /** A packet from a server to whoever it believes to be the client. */
  fromServer(chunk: number, server: End, client: End): void {
    const at = this.#copy(chunk);
    const source = this.#setAddress(at + this.#sourceAt, server.address);
    const destination = this.#setAddress(at + this.#destinationAt, client.address);
    this.#u16[at + this.#portsAt] = swap(server.port);
    this.#u16[at + this.#portsAt + 1] = swap(client.port);
    if (this.#isIpv4) this.#seal(at, source + destination);
  }

  #copy(chunk: number): number {
    const at = (chunk + FRAME_HEADROOM) >>> 1;
    const template = this.#template;
    for (let word = 0; word < template.length; word++) this.#u16[at + word] = template[word];
    return at;
  }

  #setAddress(at: number, address: number): number {
    const high = swap(address >>> 16);
    const low = swap(address & 0xffff);
    this.#u16[at] = high;
    this.#u16[at + 1] = low;
    return high + low;
  }

  /** Fills the IPv4 header's checksum; `sum` is that of the words which the template has not. */
  #seal(at: number, sum: number): void {
    let total = this.#headerSum + sum;
    total = (total & 0xffff) + (total >>> 16);
    total = (total & 0xffff) + (total >>> 16);
    this.#u16[at + NETWORK_WORD + 5] = ~total & 0xffff;
  }
}

function swap(word: number): number {
  return ((word & 0xff) << 8) | (word >>> 8);
}

/** The headers as little-endian words; fields that change are 0. */
function makeTemplate(shape: FrameShape): Uint16Array {
  const { family, protocol, direction, size } = shape;
  if (size > FRAME_SIZE - FRAME_HEADROOM || size < smallestFrame(family, protocol)) {
    throw new RangeError(`a frame of ${size} bytes cannot be made`);
  }
  const networkBytes = family === 4 ? IPV4_BYTES : IPV6_BYTES;
  const transportBytes = protocol === 'tcp' ? TCP_BYTES : UDP_BYTES;
  const bytes = new Uint8Array(ETHERNET_BYTES + networkBytes + transportBytes);
  const view = new DataView(bytes.buffer);
  bytes.set(shape.destinationMac, 0);
  bytes.set(shape.sourceMac, 6);
  view.setUint16(12, family === 4 ? 0x0800 : 0x86dd);
  if (family === 4) writeIpv4(view, shape);
  else writeIpv6(view, shape);
  const transport = ETHERNET_BYTES + networkBytes;
  if (direction === 'in') view.setUint16(transport + 2, shape.port);
  // Nothing on the way verifies the checksum, and its update costs the same whatever it is.
  if (protocol === 'tcp') {
    view.setUint8(transport + 12, 0x50);
    view.setUint8(transport + 13, shape.tcpFlags);
    view.setUint16(transport + 14, 0xffff);
    view.setUint16(transport + 16, 0x1234);
  } else {
    view.setUint16(transport + 4, size - transport);
    view.setUint16(transport + 6, 0x1234);
  }
  return new Uint16Array(bytes.buffer);
}

function writeIpv4(view: DataView, { protocol, direction, size, address }: FrameShape): void {
  const at = ETHERNET_BYTES;
  view.setUint16(at, 0x4500);
  view.setUint16(at + 2, size - ETHERNET_BYTES);
  view.setUint16(at + 6, 0x4000);
  view.setUint8(at + 8, TIME_TO_LIVE);
  view.setUint8(at + 9, NUMBERS[protocol]);
  if (direction === 'in') new Uint8Array(view.buffer).set(addressBytes(address), at + 16);
}

function writeIpv6(view: DataView, { protocol, direction, size, address }: FrameShape): void {
  const at = ETHERNET_BYTES;
  const bytes = new Uint8Array(view.buffer);
  const client = addressBytes(CLIENT_NET_IPV6);
  view.setUint16(at, 0x6000);
  view.setUint16(at + 4, size - ETHERNET_BYTES - IPV6_BYTES);
  view.setUint8(at + 6, NUMBERS[protocol]);
  view.setUint8(at + 7, TIME_TO_LIVE);
  bytes.set(direction === 'in' ? client : addressBytes(address), at + 8);
  bytes.set(direction === 'in' ? addressBytes(address) : client, at + 24);
}
