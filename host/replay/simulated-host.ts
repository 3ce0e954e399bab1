// The kernel beside the data plane. In a replay it stands in for the director's own stack: it gets
// the frames that the data plane passes, answers what Linux would answer, and forwards what is
// neither for a virtual service nor for the director. Nothing listens on it.
//
//   frame → for our MAC? → ARP: answer, learn
//                        → IP for us: put together, answer (local-stack.ts)
//                        → IP for others: hop limit, route, MTU, next hop
//
// As in the recordings: reverse path filter, redirects and ICMP rate limits are off.

import { PROTOCOL_ICMPV6 } from '../../assembly/shared/codes.ts';
import { wheelExpiry } from '../ipvs/timers.ts';
import {
  answerOf,
  type Delivered,
  errorAbout,
  HOST_UNREACHABLE,
  type IcmpError,
  NET_UNREACHABLE,
  TIME_EXCEEDED,
} from './local-stack.ts';
import type { Link, Network, Way } from './network.ts';
import { Reassembly } from './reassembly.ts';
import { splitPacket } from './split-packet.ts';
import {
  buildFrame,
  buildPacket,
  completeChecksum,
  concatenate,
  ETHERTYPE_ARP,
  ETHERTYPE_IPV4,
  ETHERTYPE_IPV6,
  etherType,
  framePayload,
  type IpHeader,
  internetChecksum,
  readIpHeader,
  readU16,
  sameBytes,
  toHex,
  writeU16,
} from './wire.ts';

/** A frame that leaves by a port. */
export interface PortFrame {
  readonly port: string;
  readonly frame: Uint8Array;
}

/** What the host must be told. */
export interface SimulatedHostOptions {
  readonly network: Network;
  /** The firewall mark of an IP packet, 0 for none. */
  markOf(packet: Uint8Array): number;
  /** A neighbour answered: what the host knows, the data plane should know too. */
  neighbourChanged(): void;
  /** Sends a frame of the host's own by way of the data plane, as IPVS sees what the host sends. */
  sendOwn(frame: Uint8Array): void;
}

/** Linux asks for a neighbour three times, a second apart, and gives up a second later. */
const PROBES = 3;
const RETRANSMIT_TICKS = 100;
/** Packets that wait for one neighbour. */
const QUEUE_MAX = 101;
/** Identifications of the host's own packets, far from the small ones that clients count. */
const FIRST_IDENTIFICATION = 0xa000;
const BROADCAST_MAC = Uint8Array.of(255, 255, 255, 255, 255, 255);
const ARP_REQUEST = 1;
const ARP_REPLY = 2;
const ARP_LENGTH = 28;
const NEIGHBOUR_SOLICITATION = 135;
const NEIGHBOUR_ADVERTISEMENT = 136;
const NEIGHBOUR_HOP_LIMIT = 255;

/** A neighbour that is being asked for. */
interface Resolution {
  readonly link: Link;
  readonly address: Uint8Array;
  readonly waiting: Uint8Array[];
  probes: number;
  due: number;
}

export class SimulatedHost {
  readonly #network: Network;
  readonly #options: SimulatedHostOptions;
  readonly #reassembly = new Reassembly();
  readonly #resolutions = new Map<string, Resolution>();
  #sent: PortFrame[] = [];
  #identification = FIRST_IDENTIFICATION;
  #tick = 0;

  constructor(options: SimulatedHostOptions) {
    this.#network = options.network;
    this.#options = options;
  }

  /** Takes the frames sent since it was last asked. */
  take(): readonly PortFrame[] {
    const sent = this.#sent;
    this.#sent = [];
    return sent;
  }

  /** The tick at which something is due next, or undefined. */
  nextDue(): number | undefined {
    const dues = [...this.#resolutions.values()].map((resolution) => resolution.due);
    return dues.length === 0 ? undefined : Math.min(...dues);
  }

  /** Moves the clock, asking again for neighbours and giving up on them. */
  advance(tick: number): void {
    this.#tick = tick;
    for (const [key, resolution] of [...this.#resolutions]) {
      if (resolution.due > tick) continue;
      if (resolution.probes < PROBES) {
        this.#probe(resolution);
        continue;
      }
      this.#resolutions.delete(key);
      for (const packet of resolution.waiting) this.#error(packet, HOST_UNREACHABLE);
    }
  }

  /** Handles a frame that came in by a port and was passed by the data plane. */
  receive(port: string, frame: Uint8Array): void {
    const link = this.#network.link(port);
    if (link === undefined) throw new RangeError(`no port ${port}`);
    const to = frame.subarray(0, 6);
    const isGroup = (to[0] & 1) !== 0;
    if (!isGroup && !sameBytes(to, link.mac)) return;
    switch (etherType(frame)) {
      case ETHERTYPE_ARP:
        this.#receiveArp(link, framePayload(frame));
        break;
      case ETHERTYPE_IPV4:
      case ETHERTYPE_IPV6:
        this.#receivePacket(link, framePayload(frame), isGroup);
        break;
      default:
        break;
    }
  }

  /** Asks for a neighbour that the data plane needs. */
  provoke(port: string, address: Uint8Array): void {
    const link = this.#network.link(port);
    if (link !== undefined) this.#resolution(link, address);
  }

  #receiveArp(link: Link, arp: Uint8Array): void {
    if (arp.length < ARP_LENGTH || readU16(arp, 2) !== ETHERTYPE_IPV4) return;
    const mac = new Uint8Array(arp.subarray(8, 14));
    const sender = new Uint8Array(arp.subarray(14, 18));
    const target = new Uint8Array(arp.subarray(24, 28));
    this.#learn(link, sender, mac);
    if (readU16(arp, 6) !== ARP_REQUEST || !this.#network.isOwn(target)) return;
    const reply = arpMessage(
      ARP_REPLY,
      { mac: link.mac, address: target },
      { mac, address: sender },
    );
    this.#transmit(link, mac, ETHERTYPE_ARP, reply);
  }

  /** Takes a neighbour's MAC address when it was asked for, or when it is known and has changed. */
  #learn(link: Link, address: Uint8Array, mac: Uint8Array): void {
    const key = neighbourKey(link, address);
    const resolution = this.#resolutions.get(key);
    const known = this.#network.neighbour(address, link);
    if (resolution === undefined && (known === undefined || sameBytes(known.mac, mac))) return;
    this.#network.setNeighbour({ address, link, mac });
    this.#resolutions.delete(key);
    this.#options.neighbourChanged();
    for (const packet of resolution?.waiting ?? []) this.#deliver(link, mac, packet);
  }

  #receivePacket(link: Link, bytes: Uint8Array, isGroup: boolean): void {
    const header = readIpHeader(bytes);
    if (header === undefined || !isSound(bytes, header)) return;
    const packet = bytes.subarray(0, header.length);
    if (isGroup || this.#isMartian(header)) {
      if (header.family === 6) this.#receiveNeighbourMessage(link, packet, header);
      return;
    }
    const mark = this.#options.markOf(packet);
    if (this.#network.isLocal(header.destination, mark)) this.#receiveLocal(link, packet);
    else this.#forward(packet, header, mark);
  }

  /** A source that nobody else can have, or a destination that is never forwarded. */
  #isMartian({ family, source, destination }: IpHeader): boolean {
    if (this.#network.isOwn(source)) return true;
    if (family === 6) return source[0] === 0xff || destination[0] === 0xff;
    const never = (first: number) => first === 0 || first === 127 || first >= 224;
    return never(source[0]) || never(destination[0]);
  }

  #receiveLocal(link: Link, packet: Uint8Array): void {
    const whole = this.#reassembly.add(packet);
    const header = whole && readIpHeader(whole);
    if (whole === undefined || header === undefined) return;
    if (header.family === 6 && this.#receiveNeighbourMessage(link, whole, header)) return;
    const answer = answerOf({ packet: whole, header, identification: this.#nextIdentification() });
    if (answer !== undefined) this.#send(answer);
  }

  #forward(packet: Uint8Array, header: IpHeader, mark: number): void {
    if (header.hopLimit <= 1) {
      this.#error(packet, TIME_EXCEEDED);
      return;
    }
    const way = this.#network.way(header.destination, mark);
    if (way === undefined) {
      this.#error(packet, NET_UNREACHABLE);
      return;
    }
    const mayCut = header.family === 4 && !header.dontFragment;
    if (header.length > way.mtu && !mayCut) {
      this.#error(packet, tooBig(header.family, way.mtu));
      return;
    }
    this.#output(way, withLessHops(packet, header));
  }

  /** Sends a packet of the host's own, unless the kernel would find no source or route for it. */
  #send(packet: Uint8Array): void {
    const header = readIpHeader(packet);
    // A packet may be delivered here for its mark alone; nothing leaves from an address not ours.
    if (header === undefined || !this.#network.isOwn(header.source)) return;
    const way = this.#network.way(header.destination);
    if (way === undefined) return;
    const neighbour = this.#network.neighbour(way.nextHop, way.link);
    if (neighbour === undefined || !way.link.isUp) {
      this.#output(way, packet);
      return;
    }
    const type = header.family === 4 ? ETHERTYPE_IPV4 : ETHERTYPE_IPV6;
    for (const piece of splitPacket(packet, way.mtu)) {
      this.#options.sendOwn(buildFrame(neighbour.mac, way.link.mac, type, piece));
    }
  }

  /** Sends an error about a packet that was on its way through. */
  #error(packet: Uint8Array, kinds: IcmpError | Readonly<Record<4 | 6, IcmpError>>): void {
    const header = readIpHeader(packet);
    if (header === undefined) return;
    const error = 'type' in kinds ? kinds : kinds[header.family];
    const way = this.#network.way(header.source);
    const source = way && this.#network.sourceOn(way.link, header.family);
    if (source === undefined) return;
    const about: Delivered = { packet, header, identification: this.#nextIdentification() };
    const message = errorAbout(about, error, source);
    if (message !== undefined) this.#send(message);
  }

  #output(way: Way, packet: Uint8Array): void {
    for (const piece of splitPacket(packet, way.mtu)) {
      const neighbour = this.#network.neighbour(way.nextHop, way.link);
      if (neighbour !== undefined) {
        this.#deliver(way.link, neighbour.mac, piece);
        continue;
      }
      const { waiting } = this.#resolution(way.link, way.nextHop);
      waiting.push(piece);
      if (waiting.length > QUEUE_MAX) waiting.shift();
    }
  }

  #resolution(link: Link, address: Uint8Array): Resolution {
    const key = neighbourKey(link, address);
    const known = this.#resolutions.get(key);
    if (known !== undefined) return known;
    const resolution: Resolution = { link, address, waiting: [], probes: 0, due: 0 };
    this.#resolutions.set(key, resolution);
    this.#probe(resolution);
    return resolution;
  }

  #probe(resolution: Resolution): void {
    const { link, address } = resolution;
    resolution.probes++;
    resolution.due = wheelExpiry(this.#tick, RETRANSMIT_TICKS);
    const source = this.#network.sourceOn(link, 4);
    // IPv6 asks from a link-local address only, and the recordings' links have none.
    if (address.length !== 4 || source === undefined) return;
    const nobody = new Uint8Array(6);
    const from = { mac: link.mac, address: source };
    const request = arpMessage(ARP_REQUEST, from, { mac: nobody, address });
    this.#transmit(link, BROADCAST_MAC, ETHERTYPE_ARP, request);
  }

  /** @returns whether it was a message of neighbour discovery */
  #receiveNeighbourMessage(link: Link, packet: Uint8Array, header: IpHeader): boolean {
    const message = packet.subarray(header.transport, header.length);
    if (header.protocol !== PROTOCOL_ICMPV6 || message.length < 24) return false;
    const target = new Uint8Array(message.subarray(8, 24));
    const mac = linkLayerOption(message);
    if (message[0] === NEIGHBOUR_ADVERTISEMENT) {
      if (mac !== undefined) this.#learn(link, target, mac);
      return true;
    }
    if (message[0] !== NEIGHBOUR_SOLICITATION) return false;
    if (mac === undefined || !this.#network.isOwn(target)) return true;
    this.#learn(link, header.source, mac);
    this.#transmit(link, mac, ETHERTYPE_IPV6, advertisement(target, header.source, link.mac));
    return true;
  }

  #deliver(link: Link, mac: Uint8Array, packet: Uint8Array): void {
    const type = packet[0] >>> 4 === 4 ? ETHERTYPE_IPV4 : ETHERTYPE_IPV6;
    this.#transmit(link, mac, type, packet);
  }

  #transmit(link: Link, mac: Uint8Array, type: number, payload: Uint8Array): void {
    if (!link.isUp) return;
    this.#sent.push({ port: link.name, frame: buildFrame(mac, link.mac, type, payload) });
  }

  #nextIdentification(): number {
    this.#identification = (this.#identification + 1) & 0xffff;
    return this.#identification;
  }
}

function neighbourKey(link: Link, address: Uint8Array): string {
  return `${link.name} ${toHex(address)}`;
}

/** Lengths and the IPv4 header's checksum, as the kernel's input path checks them. */
function isSound(packet: Uint8Array, header: IpHeader): boolean {
  if (header.length > packet.length || header.transport > header.length) return false;
  if (header.family === 6) return true;
  return header.transport >= 20 && internetChecksum(packet.subarray(0, header.transport)) === 0;
}

function tooBig(family: 4 | 6, mtu: number): IcmpError {
  return family === 4 ? { type: 3, code: 4, rest: mtu } : { type: 2, code: 0, rest: mtu };
}

function withLessHops(packet: Uint8Array, header: IpHeader): Uint8Array {
  const copy = new Uint8Array(packet);
  if (header.family === 6) {
    copy[7] = header.hopLimit - 1;
    return copy;
  }
  copy[8] = header.hopLimit - 1;
  writeU16(copy, 10, 0);
  writeU16(copy, 10, internetChecksum(copy.subarray(0, header.transport)));
  return copy;
}

interface ArpParty {
  readonly mac: Uint8Array;
  readonly address: Uint8Array;
}

/** An ARP message for IPv4 over Ethernet (RFC 826). */
function arpMessage(operation: number, sender: ArpParty, target: ArpParty): Uint8Array {
  const head = Uint8Array.of(0, 1, 8, 0, 6, 4, 0, operation);
  return concatenate(head, sender.mac, sender.address, target.mac, target.address);
}

/** The MAC address in a neighbour message's first option (RFC 4861 4.6.1). */
function linkLayerOption(message: Uint8Array): Uint8Array | undefined {
  const isThere = message.length >= 32 && (message[24] === 1 || message[24] === 2);
  return isThere && message[25] === 1 ? new Uint8Array(message.subarray(26, 32)) : undefined;
}

/** A solicited neighbour advertisement of a router (RFC 4861 4.4). */
function advertisement(target: Uint8Array, to: Uint8Array, mac: Uint8Array): Uint8Array {
  const head = Uint8Array.of(NEIGHBOUR_ADVERTISEMENT, 0, 0, 0, 0xe0, 0, 0, 0);
  const message = concatenate(head, target, Uint8Array.of(2, 1), mac);
  const fields = {
    source: target,
    destination: to,
    protocol: PROTOCOL_ICMPV6,
    trafficClass: 0,
    identification: 0,
    dontFragment: false,
    hopLimit: NEIGHBOUR_HOP_LIMIT,
  };
  completeChecksum(message, 2, fields);
  return buildPacket(fields, message);
}
