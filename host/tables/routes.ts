// The routing table of a bank: one record per prefix, found by hash of prefix and length; which
// lengths are in use is said by bit masks in the bank's header. Longest prefix wins.

import {
  BANK_PREFIXES_IPV4,
  BANK_PREFIXES_IPV6,
  ROUTE_ADDRESS,
  ROUTE_FAMILY,
  ROUTE_FILTER_BYTES,
  ROUTE_GATEWAY,
  ROUTE_KIND,
  ROUTE_LOCAL,
  ROUTE_MTU,
  ROUTE_ON_LINK,
  ROUTE_PORT,
  ROUTE_PREFIX,
  ROUTE_SIZE,
  ROUTE_SOURCE,
  ROUTE_UNREACHABLE,
  ROUTE_VIA,
} from '../../assembly/shared/layout.ts';
import { ROUTE_SLOTS } from '../../assembly/shared/limits.ts';
import { addressBytes, maskedPrefix } from '../config/address.ts';
import type { DataPlaneMemory } from '../memory/data-plane-memory.ts';
import { type Family, routeHash } from './hash.ts';
import { sameBytes } from './local-addresses.ts';
import { RecordTable } from './record-table.ts';
import type { RouteKind, WorldRoute } from './world.ts';

/** Routes that fit: a table that is at most half full keeps its searches short. */
export const ROUTES_MAX = ROUTE_SLOTS >>> 1;

const KIND_CODES: Readonly<Record<RouteKind, number>> = {
  'on-link': ROUTE_ON_LINK,
  via: ROUTE_VIA,
  unreachable: ROUTE_UNREACHABLE,
  local: ROUTE_LOCAL,
};

/** Bytes of both prefix masks in the header: a u64, then five words. */
const PREFIX_MASK_BYTES = BANK_PREFIXES_IPV6 + 5 * 4 - BANK_PREFIXES_IPV4;

/** The filter goes by the hash's upper bits, as many as it has. */
const FILTER_SHIFT = 32 - Math.log2(ROUTE_FILTER_BYTES * 8);

/**
 * Replaces a bank's routes.
 * @param gateway gives the next-hop index of a route's gateway
 */
export function encodeRoutes(
  memory: DataPlaneMemory,
  bank: number,
  routes: readonly WorldRoute[],
  gateway: (route: WorldRoute) => number,
): void {
  const { u8, u32 } = memory;
  routeTable(memory, bank).clear();
  const filter = bank + memory.map.bank.routes + ROUTE_SLOTS * ROUTE_SIZE;
  u8.fill(0, filter, filter + ROUTE_FILTER_BYTES);
  const masks = bank + BANK_PREFIXES_IPV4;
  u8.fill(0, masks, masks + PREFIX_MASK_BYTES);
  for (const route of routes) {
    const prefix = maskedPrefix({ address: route.prefix, prefixLength: route.prefixLength });
    const at = probeRoute(memory, bank, prefix, route.prefixLength);
    u8.fill(0, at, at + ROUTE_SIZE);
    const bit = routeHash(route.family, route.prefixLength, prefix) >>> FILTER_SHIFT;
    u32[(filter >>> 2) + (bit >>> 5)] |= 1 << (bit & 31);
    u8[at + ROUTE_FAMILY] = route.family;
    u8[at + ROUTE_PREFIX] = route.prefixLength;
    u8[at + ROUTE_PORT] = route.port;
    u8[at + ROUTE_KIND] = KIND_CODES[route.kind];
    u32[(at + ROUTE_MTU) >>> 2] = route.mtu ?? 0;
    u32[(at + ROUTE_GATEWAY) >>> 2] = route.kind === 'via' ? gateway(route) : 0;
    u8.set(prefix, at + ROUTE_ADDRESS);
    if (route.source !== undefined) u8.set(addressBytes(route.source), at + ROUTE_SOURCE);
    const words = bank + (route.family === 4 ? BANK_PREFIXES_IPV4 : BANK_PREFIXES_IPV6);
    u32[(words >>> 2) + (route.prefixLength >>> 5)] |= 1 << (route.prefixLength & 31);
  }
}

/** Byte offset of the record with the longest prefix that holds an address, or 0. */
export function findRoute(memory: DataPlaneMemory, bank: number, address: Uint8Array): number {
  const family = address.length === 4 ? 4 : 6;
  const words = (bank + (family === 4 ? BANK_PREFIXES_IPV4 : BANK_PREFIXES_IPV6)) >>> 2;
  const prefix = address.slice();
  for (let length = address.length * 8; length >= 0; length--) {
    if (length < address.length * 8) prefix[length >>> 3] &= 0xff00 >>> (length & 7);
    if (((memory.u32[words + (length >>> 5)] >>> (length & 31)) & 1) === 0) continue;
    const at = probeRoute(memory, bank, prefix, length);
    if (memory.u8[at + ROUTE_FAMILY] !== 0) return at;
  }
  return 0;
}

function probeRoute(
  memory: DataPlaneMemory,
  bank: number,
  prefix: Uint8Array,
  length: number,
): number {
  const { u8 } = memory;
  const family = prefix.length === 4 ? 4 : 6;
  return routeTable(memory, bank).probe(routeHash(family, length, prefix), (at) => {
    return (
      u8[at + ROUTE_FAMILY] === family &&
      u8[at + ROUTE_PREFIX] === length &&
      sameBytes(u8, at + ROUTE_ADDRESS, prefix)
    );
  });
}

function routeTable(memory: DataPlaneMemory, bank: number): RecordTable {
  const { u8 } = memory;
  return new RecordTable(u8, bank + memory.map.bank.routes, {
    size: ROUTE_SIZE,
    slots: ROUTE_SLOTS,
    isUsed: (at) => u8[at + ROUTE_FAMILY] !== 0,
    hash: (at) => {
      const family = u8[at + ROUTE_FAMILY] as Family;
      return routeHash(family, u8[at + ROUTE_PREFIX], u8, at + ROUTE_ADDRESS);
    },
  });
}
