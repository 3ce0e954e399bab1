// What the control interface is given, checked and brought into one spelling.

import { PROTOCOL_SCTP, PROTOCOL_TCP, PROTOCOL_UDP } from '../../assembly/shared/codes.ts';
import { addressBytes } from '../config/address.ts';
import { formatAddress, formatMask, parseFamilyAddress } from '../tables/address-text.ts';
import { wordAt } from '../tables/hash.ts';
import { type LocalAddresses, sameBytes } from '../tables/local-addresses.ts';
import type { World } from '../tables/world.ts';
import {
  type DestinationKey,
  type Family,
  IpvsError,
  type ServiceKey,
  type ServiceProtocol,
} from './types.ts';

const PROTOCOLS: Readonly<Record<ServiceProtocol, number>> = {
  tcp: PROTOCOL_TCP,
  udp: PROTOCOL_UDP,
  sctp: PROTOCOL_SCTP,
};

const U32_MAX = 2 ** 32 - 1;

/** A service's key with its address in canonical spelling, and what the tables need of it. */
export interface ResolvedService {
  readonly key: ServiceKey;
  readonly family: Family;
  /** IANA number; a mark counts as TCP, as in the kernel. */
  readonly protocol: number;
  readonly mark: number;
  readonly port: number;
  readonly address: Uint8Array;
}

/** A destination's key with its address in canonical spelling. */
export interface ResolvedDestination {
  readonly key: DestinationKey;
  readonly address: Uint8Array;
}

/** Keys do not change, and the same one often comes with each of a service's destinations. */
const resolved = new WeakMap<ServiceKey, ResolvedService>();

/**
 * Checks a service's key.
 * @throws IpvsError EINVAL, EAFNOSUPPORT
 */
export function resolveService(key: ServiceKey): ResolvedService {
  const known = resolved.get(key);
  if (known !== undefined) return known;
  const service = resolveNewService(key);
  resolved.set(key, service);
  return service;
}

function resolveNewService(key: ServiceKey): ResolvedService {
  const family = checkFamily(key.family);
  if ('mark' in key) {
    if (!Number.isInteger(key.mark) || key.mark < 1 || key.mark > U32_MAX) {
      throw new IpvsError('EINVAL', `${key.mark} is no firewall mark`);
    }
    const address = new Uint8Array(family === 4 ? 4 : 16);
    return { key, family, protocol: PROTOCOL_TCP, mark: key.mark, port: 0, address };
  }
  const protocol = PROTOCOLS[key.protocol];
  if (protocol === undefined) throw new IpvsError('EINVAL', `no protocol ${key.protocol}`);
  const address = resolveAddress(family, key.address);
  const port = checkPort(key.port);
  const canonical = formatAddress(address, 0, family === 4 ? 4 : 16);
  return { key: { ...key, address: canonical }, family, protocol, mark: 0, port, address };
}

/**
 * Checks a destination's key.
 * @throws IpvsError EINVAL, EAFNOSUPPORT
 */
export function resolveDestination(key: DestinationKey): ResolvedDestination {
  const family = checkFamily(key.family);
  const address = resolveAddress(family, key.address);
  const canonical = formatAddress(address, 0, family === 4 ? 4 : 16);
  return { key: { family, address: canonical, port: checkPort(key.port) }, address };
}

/** A persistence mask as asked for, and as it is published. */
export interface ResolvedMask {
  readonly text: string;
  /** IPv4: the bytes as a little-endian u32. IPv6: the prefix length. */
  readonly word: number;
}

/**
 * Checks a persistence mask; "" is the mask that tells all clients apart.
 * @throws IpvsError EINVAL
 */
export function resolveMask(family: Family, text: string): ResolvedMask {
  if (family === 6) {
    const length = text === '' ? 128 : Number(text);
    if (/^\d*$/.test(text) && length >= 1 && length <= 128) {
      return { text: String(length), word: length };
    }
    throw new IpvsError('EINVAL', `${text} is no prefix length from 1 to 128`);
  }
  const bytes = parseFamilyAddress(4, text === '' ? '255.255.255.255' : text);
  if (bytes === undefined) throw new IpvsError('EINVAL', `${text} is no IPv4 netmask`);
  return { text: formatMask(bytes), word: wordAt(bytes, 0) };
}

/**
 * Whether packets can be sent to an address as a destination: a unicast address or one of the
 * director's own (ip_vs_new_dest()).
 */
export function isUsableDestination(
  address: Uint8Array,
  locals: LocalAddresses,
  world: World,
): boolean {
  if (locals.isConfigured(address)) return true;
  return address.length === 4 ? isUnicastIpv4(address, world) : isUnicastIpv6(address);
}

function isUnicastIpv4(address: Uint8Array, world: World): boolean {
  const isMulticast = address[0] >= 224 && address[0] <= 239;
  const isLimitedBroadcast = address.every((byte) => byte === 255);
  if (address[0] === 0 || isMulticast || isLimitedBroadcast) return false;
  return !broadcastsOf(world).some((broadcast) => sameBytes(address, 0, broadcast));
}

/** A world's broadcast addresses: asked for with each new destination. */
const broadcasts = new WeakMap<World, readonly Uint8Array[]>();

function broadcastsOf(world: World): readonly Uint8Array[] {
  const known = broadcasts.get(world);
  if (known !== undefined) return known;
  const found = world.addresses
    .filter(({ family, prefixLength }) => family === 4 && prefixLength < 31)
    .map(({ address, prefixLength }) => broadcastOf(addressBytes(address), prefixLength));
  broadcasts.set(world, found);
  return found;
}

function broadcastOf(own: Uint8Array, prefixLength: number): Uint8Array {
  return own.map((byte, index) => {
    const bits = Math.min(8, Math.max(0, prefixLength - index * 8));
    return byte | (0xff >>> bits);
  });
}

/** Not unspecified, multicast, IPv4-mapped or link-local (ipv6_addr_type()). */
function isUnicastIpv6(address: Uint8Array): boolean {
  if (address[0] === 0xff) return false;
  if (address[0] === 0xfe && (address[1] & 0xc0) === 0x80) return false;
  const isMapped =
    address.subarray(0, 10).every((byte) => byte === 0) &&
    address[10] === 0xff &&
    address[11] === 0xff;
  return !isMapped && address.some((byte) => byte !== 0);
}

function checkFamily(family: number): Family {
  if (family === 4 || family === 6) return family;
  throw new IpvsError('EAFNOSUPPORT', `no address family ${family}`);
}

function checkPort(port: number): number {
  if (Number.isInteger(port) && port >= 0 && port <= 65535) return port;
  throw new IpvsError('EINVAL', `${port} is no port`);
}

function resolveAddress(family: Family, text: string): Uint8Array {
  const bytes = parseFamilyAddress(family, text);
  if (bytes !== undefined) return bytes;
  throw new IpvsError('EINVAL', `${text} is no IPv${family} address`);
}
