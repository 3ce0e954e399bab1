// What rtnetlink(7) says about links, addresses, routes and neighbours, and the few things asked of
// it. Only the fields that the director needs are decoded; addresses become canonical text.

import { formatIpv4, formatIpv6 } from '../config/address.ts';
import type { Family } from '../tables/hash.ts';
import {
  type Attributes,
  attributeText,
  attributeU32,
  encodePayload,
  NetlinkFormatError,
  parseAttributes,
  viewOf,
} from './netlink-message.ts';

export const RTM_NEWLINK = 16;
export const RTM_DELLINK = 17;
export const RTM_GETLINK = 18;
export const RTM_NEWADDR = 20;
export const RTM_DELADDR = 21;
export const RTM_GETADDR = 22;
export const RTM_NEWROUTE = 24;
export const RTM_DELROUTE = 25;
export const RTM_GETROUTE = 26;
export const RTM_NEWNEIGH = 28;
export const RTM_DELNEIGH = 29;
export const RTM_GETNEIGH = 30;

/** Multicast groups (RTNLGRP_*) of everything the director follows. */
export const FOLLOWED_GROUPS: readonly number[] = [
  1, // links
  3, // neighbours
  5, // IPv4 addresses
  7, // IPv4 routes
  9, // IPv6 addresses
  11, // IPv6 routes
];

const AF_INET = 2;
const AF_INET6 = 10;

export const IFF_UP = 0x1;
export const IFF_LOWER_UP = 0x10000;

/** Address flags: not the first of its network; useless because somebody else has it. */
export const IFA_F_SECONDARY = 0x1;
export const IFA_F_DADFAILED = 0x8;
export const IFA_F_DEPRECATED = 0x20;
export const IFA_F_TENTATIVE = 0x40;
/** Address scopes. */
export const SCOPE_GLOBAL = 0;

export const TABLE_MAIN = 254;
export const TABLE_LOCAL = 255;
/** Route types. */
export const ROUTE_UNICAST = 1;
export const ROUTE_LOCAL = 2;
export const ROUTE_BROADCAST = 3;
export const ROUTE_ANYCAST = 4;
export const ROUTE_MULTICAST = 5;
/** The kernel's own copy of a route for one destination. */
export const RTM_F_CLONED = 0x200;
const HOP_DEAD = 0x1;
const HOP_LINK_DOWN = 0x10;

/** Neighbour states. */
export const NUD_INCOMPLETE = 0x01;
export const NUD_REACHABLE = 0x02;
export const NUD_STALE = 0x04;
export const NUD_DELAY = 0x08;
export const NUD_PROBE = 0x10;
export const NUD_FAILED = 0x20;
export const NUD_NOARP = 0x40;
export const NUD_PERMANENT = 0x80;
const NTF_USE = 0x01;

const IFLA_ADDRESS = 1;
const IFLA_IFNAME = 3;
const IFLA_MTU = 4;
const IFLA_STATS64 = 23;
const IFA_ADDRESS = 1;
const IFA_LOCAL = 2;
const IFA_FLAGS = 8;
const RTA_DST = 1;
const RTA_OIF = 4;
const RTA_GATEWAY = 5;
const RTA_PRIORITY = 6;
const RTA_PREFSRC = 7;
const RTA_METRICS = 8;
const RTA_MULTIPATH = 9;
const RTA_TABLE = 15;
const RTA_VIA = 18;
const RTAX_MTU = 2;
const NDA_DST = 1;
const NDA_LLADDR = 2;

const LINK_HEADER_SIZE = 16;
const ADDRESS_HEADER_SIZE = 8;
const ROUTE_HEADER_SIZE = 12;
const HOP_HEADER_SIZE = 8;
const NEIGHBOUR_HEADER_SIZE = 12;
const STATS64_USED_BYTES = 32;

/** Frames and bytes an interface has carried. */
export interface LinkCounts {
  readonly receivedPackets: number;
  readonly receivedBytes: number;
  readonly transmittedPackets: number;
  readonly transmittedBytes: number;
}

/** A network interface. */
export interface LinkMessage {
  readonly ifindex: number;
  readonly name: string;
  /** Six bytes for an Ethernet device. */
  readonly mac: Uint8Array;
  readonly mtu: number;
  /** IFF_* */
  readonly flags: number;
  readonly counts: LinkCounts | undefined;
}

/** An address of an interface. */
export interface AddressMessage {
  readonly ifindex: number;
  readonly family: Family;
  readonly address: string;
  readonly prefixLength: number;
  /** IFA_F_* */
  readonly flags: number;
  readonly scope: number;
}

/** One way of a route. */
export interface RouteHop {
  readonly ifindex: number;
  readonly gateway: string | undefined;
  /** The kernel does not use it: its link is down. */
  readonly isDead: boolean;
}

/** A route. */
export interface RouteMessage {
  readonly family: Family;
  readonly prefix: string;
  readonly prefixLength: number;
  readonly table: number;
  /** ROUTE_* above. */
  readonly type: number;
  readonly tos: number;
  readonly priority: number;
  /** RTM_F_* and RTNH_F_*. */
  readonly flags: number;
  readonly hops: readonly RouteHop[];
  readonly source: string | undefined;
  /** 0: the interface's. */
  readonly mtu: number;
}

/** A neighbour. */
export interface NeighbourMessage {
  readonly ifindex: number;
  readonly family: Family;
  readonly address: string;
  readonly mac: Uint8Array | undefined;
  /** NUD_* */
  readonly state: number;
}

/**
 * Decodes RTM_NEWLINK or RTM_DELLINK.
 * @throws NetlinkFormatError
 */
export function parseLink(payload: Uint8Array): LinkMessage {
  const view = header(payload, LINK_HEADER_SIZE, 'link');
  const attributes = parseAttributes(payload, LINK_HEADER_SIZE);
  return {
    ifindex: view.getInt32(4, true),
    name: attributeText(attributes, IFLA_IFNAME) ?? '',
    mac: attributes.get(IFLA_ADDRESS)?.slice() ?? new Uint8Array(0),
    mtu: attributeU32(attributes, IFLA_MTU) ?? 0,
    flags: view.getUint32(8, true),
    counts: parseCounts(attributes.get(IFLA_STATS64)),
  };
}

function parseCounts(value: Uint8Array | undefined): LinkCounts | undefined {
  if (value === undefined || value.length < STATS64_USED_BYTES) return undefined;
  const view = viewOf(value);
  const count = (index: number) => Number(view.getBigUint64(index * 8, true));
  return {
    receivedPackets: count(0),
    transmittedPackets: count(1),
    receivedBytes: count(2),
    transmittedBytes: count(3),
  };
}

/**
 * Decodes RTM_NEWADDR or RTM_DELADDR; undefined for a family that is not ours.
 * @throws NetlinkFormatError
 */
export function parseAddressMessage(payload: Uint8Array): AddressMessage | undefined {
  const view = header(payload, ADDRESS_HEADER_SIZE, 'address');
  const family = familyOf(payload[0]);
  if (family === undefined) return undefined;
  const attributes = parseAttributes(payload, ADDRESS_HEADER_SIZE);
  // With a peer, IFA_ADDRESS is the other end's; IFA_LOCAL is always our own.
  const address = addressText(attributes.get(IFA_LOCAL) ?? attributes.get(IFA_ADDRESS), family);
  if (address === undefined) throw new NetlinkFormatError('an address message without its address');
  return {
    ifindex: view.getUint32(4, true),
    family,
    address,
    prefixLength: payload[1],
    flags: attributeU32(attributes, IFA_FLAGS) ?? payload[2],
    scope: payload[3],
  };
}

/**
 * Decodes RTM_NEWROUTE or RTM_DELROUTE; undefined for a family that is not ours.
 * @throws NetlinkFormatError
 */
export function parseRoute(payload: Uint8Array): RouteMessage | undefined {
  const view = header(payload, ROUTE_HEADER_SIZE, 'route');
  const family = familyOf(payload[0]);
  if (family === undefined) return undefined;
  const attributes = parseAttributes(payload, ROUTE_HEADER_SIZE);
  const flags = view.getUint32(8, true);
  const metrics = attributes.get(RTA_METRICS);
  const any = family === 4 ? '0.0.0.0' : '::';
  return {
    family,
    prefix: addressText(attributes.get(RTA_DST), family) ?? any,
    prefixLength: payload[1],
    table: attributeU32(attributes, RTA_TABLE) ?? payload[4],
    type: payload[7],
    tos: payload[3],
    priority: attributeU32(attributes, RTA_PRIORITY) ?? 0,
    flags,
    hops: parseHops(attributes, family, flags),
    source: addressText(attributes.get(RTA_PREFSRC), family),
    mtu: metrics === undefined ? 0 : (attributeU32(parseAttributes(metrics), RTAX_MTU) ?? 0),
  };
}

function parseHops(attributes: Attributes, family: Family, flags: number): RouteHop[] {
  const multipath = attributes.get(RTA_MULTIPATH);
  if (multipath !== undefined) return parseMultipath(multipath, family);
  const ifindex = attributeU32(attributes, RTA_OIF);
  if (ifindex === undefined) return [];
  return [{ ifindex, gateway: parseGateway(attributes, family), isDead: isDead(flags) }];
}

function parseMultipath(value: Uint8Array, family: Family): RouteHop[] {
  const hops: RouteHop[] = [];
  for (let at = 0; at < value.length; ) {
    const left = value.subarray(at);
    const view = header(left, HOP_HEADER_SIZE, 'next hop');
    const length = view.getUint16(0, true);
    if (length < HOP_HEADER_SIZE || length > left.length) {
      throw new NetlinkFormatError(`a next hop of ${length} bytes in ${left.length}`);
    }
    const attributes = parseAttributes(left.subarray(0, length), HOP_HEADER_SIZE);
    const gateway = parseGateway(attributes, family);
    hops.push({ ifindex: view.getInt32(4, true), gateway, isDead: isDead(left[2]) });
    at += (length + 3) & ~3;
  }
  return hops;
}

function isDead(flags: number): boolean {
  return (flags & (HOP_DEAD | HOP_LINK_DOWN)) !== 0;
}

/** RTA_VIA is a gateway of the other family: two bytes of address family, then the address. */
function parseGateway(attributes: Attributes, family: Family): string | undefined {
  const via = attributes.get(RTA_VIA);
  if (via === undefined) return addressText(attributes.get(RTA_GATEWAY), family);
  const viaFamily = via.length < 2 ? undefined : familyOf(viewOf(via).getUint16(0, true));
  return viaFamily === undefined ? undefined : addressText(via.subarray(2), viaFamily);
}

/**
 * Decodes RTM_NEWNEIGH or RTM_DELNEIGH; undefined for a family that is not ours (a bridge's table).
 * @throws NetlinkFormatError
 */
export function parseNeighbour(payload: Uint8Array): NeighbourMessage | undefined {
  const view = header(payload, NEIGHBOUR_HEADER_SIZE, 'neighbour');
  const family = familyOf(payload[0]);
  if (family === undefined) return undefined;
  const attributes = parseAttributes(payload, NEIGHBOUR_HEADER_SIZE);
  const address = addressText(attributes.get(NDA_DST), family);
  // Proxy entries of a whole interface have no address.
  if (address === undefined) return undefined;
  return {
    ifindex: view.getInt32(4, true),
    family,
    address,
    mac: attributes.get(NDA_LLADDR)?.slice(),
    state: view.getUint16(8, true),
  };
}

/** The payload of a dump request: links, addresses, routes or neighbours of all families. */
export function encodeDumpRequest(type: number): Uint8Array {
  // Every rtnetlink header starts with the family, and AF_UNSPEC is 0.
  const sizes = new Map([
    [RTM_GETLINK, LINK_HEADER_SIZE],
    [RTM_GETADDR, ADDRESS_HEADER_SIZE],
    [RTM_GETROUTE, ROUTE_HEADER_SIZE],
    [RTM_GETNEIGH, NEIGHBOUR_HEADER_SIZE],
  ]);
  return new Uint8Array(sizes.get(type) ?? LINK_HEADER_SIZE);
}

/**
 * The payload of an RTM_NEWNEIGH that makes the kernel use a neighbour as if it sent a packet there:
 * it resolves an unknown one, and confirms one it has not heard of for a while.
 */
export function encodeNeighbourUse(ifindex: number, address: Uint8Array): Uint8Array {
  const fixed = new Uint8Array(NEIGHBOUR_HEADER_SIZE);
  const view = viewOf(fixed);
  fixed[0] = address.length === 4 ? AF_INET : AF_INET6;
  view.setInt32(4, ifindex, true);
  fixed[10] = NTF_USE;
  return encodePayload(fixed, [[NDA_DST, address]]);
}

function header(payload: Uint8Array, size: number, what: string): DataView {
  if (payload.length < size) {
    throw new NetlinkFormatError(`${payload.length} bytes are too few for a ${what} message`);
  }
  return viewOf(payload);
}

function familyOf(addressFamily: number): Family | undefined {
  if (addressFamily === AF_INET) return 4;
  return addressFamily === AF_INET6 ? 6 : undefined;
}

function addressText(bytes: Uint8Array | undefined, family: Family): string | undefined {
  if (bytes === undefined || bytes.length < (family === 4 ? 4 : 16)) return undefined;
  const view = viewOf(bytes);
  if (family === 4) return formatIpv4(view.getUint32(0));
  return formatIpv6(Array.from({ length: 8 }, (_, index) => view.getUint16(index * 2)));
}
