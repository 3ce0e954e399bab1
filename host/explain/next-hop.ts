// The way of a packet to an address: route, gateway or neighbour, MAC address, port, MTU. The
// twin, in reading, of resolve() in assembly/route.ts: nobody is asked for a neighbour that is not
// known.

import {
  NEXT_HOP_ADDRESS,
  NEXT_HOP_FAILED,
  NEXT_HOP_FAMILY,
  NEXT_HOP_MAC,
  NEXT_HOP_PORT,
  NEXT_HOP_REACHABLE,
  NEXT_HOP_STATE,
  ROUTE_ADDRESS,
  ROUTE_GATEWAY,
  ROUTE_KIND,
  ROUTE_LOCAL,
  ROUTE_ON_LINK,
  ROUTE_PORT,
  ROUTE_PREFIX,
  ROUTE_SOURCE,
  ROUTE_UNREACHABLE,
} from '../../assembly/shared/layout.ts';
import { formatAddress } from '../tables/address-text.ts';
import type { NextHops } from '../tables/next-hops.ts';
import { findRoute } from '../tables/routes.ts';
import type { World } from '../tables/world.ts';
import type { Published } from './published.ts';

/** Where an address is reached. */
export type Way =
  /** No route, or one that says unreachable. */
  | { readonly kind: 'none'; readonly route: string }
  /** The director itself. */
  | { readonly kind: 'local' }
  | {
      readonly kind: 'neighbour';
      readonly route: string;
      /** The gateway, or the address itself when it is on the port's network. */
      readonly neighbour: string;
      readonly isGateway: boolean;
      readonly state: 'reachable' | 'incomplete' | 'failed' | 'unknown';
      /** Set when reachable. */
      readonly mac: string | undefined;
      readonly port: string;
      readonly mtu: number;
      readonly isUp: boolean;
      /** The director's own address towards there, the source of tunnels. */
      readonly source: string | undefined;
    };

/** Resolves the way to an address of 4 or 16 bytes. */
export class Ways {
  readonly #published: Published;
  readonly #nextHops: NextHops;
  readonly #world: World;

  constructor(published: Published, nextHops: NextHops, world: World) {
    this.#published = published;
    this.#nextHops = nextHops;
    this.#world = world;
  }

  to(address: Uint8Array): Way {
    if (this.#published.local(address) !== undefined || isLoopback(address)) {
      return { kind: 'local' };
    }
    const { memory, bank } = this.#published;
    const { u8, u32 } = memory;
    const at = findRoute(memory, bank, address);
    if (at === 0) return { kind: 'none', route: 'no route' };
    const bytes = address.length === 4 ? 4 : 16;
    const route = `${formatAddress(u8, at + ROUTE_ADDRESS, bytes)}/${u8[at + ROUTE_PREFIX]}`;
    const kind = u8[at + ROUTE_KIND];
    if (kind === ROUTE_LOCAL) return { kind: 'local' };
    if (kind === ROUTE_UNREACHABLE) return { kind: 'none', route: `unreachable ${route}` };
    const port = u8[at + ROUTE_PORT];
    const preferred = u8.slice(at + ROUTE_SOURCE, at + ROUTE_SOURCE + bytes);
    if (kind === ROUTE_ON_LINK) {
      const index = this.#nextHops.find(port, address);
      return this.#neighbour(route, index, { address, port, preferred });
    }
    const gateway = u32[(at + ROUTE_GATEWAY) >>> 2];
    return this.#neighbour(route, gateway, { address: undefined, port, preferred });
  }

  #neighbour(
    route: string,
    index: number,
    wanted: {
      readonly address: Uint8Array | undefined;
      readonly port: number;
      readonly preferred: Uint8Array;
    },
  ): Way {
    const { u8 } = this.#published.memory;
    const at = this.#published.memory.nextHop(index);
    const portIndex = index === 0 ? wanted.port : u8[at + NEXT_HOP_PORT];
    const port = this.#world.ports.find((candidate) => candidate.index === portIndex);
    const state = index === 0 ? 'unknown' : stateName(u8[at + NEXT_HOP_STATE]);
    const isReachable = state === 'reachable';
    const { preferred } = wanted;
    const primary = preferred.length === 4 ? port?.ipv4 : port?.ipv6;
    return {
      kind: 'neighbour',
      route,
      neighbour: index === 0 ? textOf(wanted.address) : this.#addressAt(at),
      isGateway: wanted.address === undefined,
      state,
      mac: isReachable ? macText(u8.slice(at + NEXT_HOP_MAC, at + NEXT_HOP_MAC + 6)) : undefined,
      port: port?.name ?? `${portIndex}`,
      mtu: port?.mtu ?? 0,
      isUp: port?.up === true,
      source: preferred.some((byte) => byte !== 0) ? textOf(preferred) : primary,
    };
  }

  #addressAt(at: number): string {
    const { u8 } = this.#published.memory;
    return formatAddress(u8, at + NEXT_HOP_ADDRESS, u8[at + NEXT_HOP_FAMILY] === 4 ? 4 : 16);
  }
}

function textOf(address: Uint8Array | undefined): string {
  if (address === undefined) return 'the gateway';
  return formatAddress(address, 0, address.length === 4 ? 4 : 16);
}

function stateName(state: number): 'reachable' | 'incomplete' | 'failed' {
  if (state === NEXT_HOP_REACHABLE) return 'reachable';
  return state === NEXT_HOP_FAILED ? 'failed' : 'incomplete';
}

/** 127.0.0.0/8 and ::1. */
export function isLoopback(address: Uint8Array): boolean {
  if (address.length === 4) return address[0] === 127;
  return address.every((byte, index) => byte === (index === 15 ? 1 : 0));
}

function macText(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join(':');
}
