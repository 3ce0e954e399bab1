// The network around a replayed director: what its kernel would know of links, addresses,
// neighbours and routes. world-from-ip.ts fills it; the data plane gets a copy of it as a World,
// and the simulated host answers from it.

import type { World, WorldAddress, WorldNeighbour, WorldRoute } from '../tables/world.ts';
import { addressText, macText, sameBytes, sharesPrefix } from './wire.ts';

export type RouteKind = 'on-link' | 'via' | 'local' | 'unreachable';

/** A network interface. Ports are those that were added; lo is there from the start. */
export interface Link {
  readonly index: number;
  readonly name: string;
  readonly isPort: boolean;
  mac: Uint8Array;
  mtu: number;
  isUp: boolean;
}

/** An address of the director, in network order. */
export interface LocalAddress {
  readonly address: Uint8Array;
  readonly prefixLength: number;
  readonly link: Link;
}

/** A neighbour whose MAC address was given. */
export interface Neighbour {
  readonly address: Uint8Array;
  readonly link: Link;
  readonly mac: Uint8Array;
}

/** A route of one table. */
export interface Route {
  readonly table: number;
  readonly prefix: Uint8Array;
  readonly prefixLength: number;
  readonly kind: RouteKind;
  readonly link: Link;
  readonly gateway?: Uint8Array;
  readonly source?: Uint8Array;
  readonly mtu?: number;
}

/** `ip rule add fwmark MARK lookup TABLE`. */
export interface Rule {
  readonly mark: number;
  readonly table: number;
}

export const TABLE_MAIN = 254;
const TABLE_LOCAL = 255;
const LOOPBACK_MTU = 65536;
const HOST_MTU = 1500;
const NO_MAC = new Uint8Array(6);

/** Where a packet goes next. */
export interface Way {
  readonly link: Link;
  readonly nextHop: Uint8Array;
  readonly mtu: number;
}

export class Network {
  readonly #links: Link[] = [];
  readonly #addresses: LocalAddress[] = [];
  readonly #neighbours: Neighbour[] = [];
  readonly #routes: Route[] = [];
  readonly #rules: Rule[] = [];

  constructor() {
    const loopback = this.addLink('lo', NO_MAC, false);
    loopback.mtu = LOOPBACK_MTU;
    loopback.isUp = true;
    this.addAddress({
      address: Uint8Array.of(127, 0, 0, 1),
      prefixLength: 8,
      link: loopback,
    });
    const v6 = new Uint8Array(16);
    v6[15] = 1;
    this.addAddress({ address: v6, prefixLength: 128, link: loopback });
  }

  addLink(name: string, mac: Uint8Array, isPort = true): Link {
    // Index 1 is lo's, as in the kernel.
    const index = this.#links.length + 1;
    const link: Link = { index, name, isPort, mac, mtu: HOST_MTU, isUp: false };
    this.#links.push(link);
    return link;
  }

  link(name: string): Link | undefined {
    return this.#links.find((link) => link.name === name);
  }

  /** The ports in the data plane's order: a port's position here is its number there. */
  ports(): readonly Link[] {
    return this.#links.filter((link) => link.isPort);
  }

  /** @returns false when the link has the address already */
  addAddress(added: LocalAddress): boolean {
    const isThere = this.#addresses.some(
      ({ address, link }) => link === added.link && sameBytes(address, added.address),
    );
    if (!isThere) this.#addresses.push(added);
    return !isThere;
  }

  /** @returns false when the link has no such address */
  deleteAddress(address: Uint8Array, link: Link): boolean {
    return removeFirst(this.#addresses, (entry) => {
      return entry.link === link && sameBytes(entry.address, address);
    });
  }

  /** Adds a neighbour or gives it another MAC address. */
  setNeighbour(neighbour: Neighbour): void {
    this.deleteNeighbour(neighbour.address, neighbour.link);
    this.#neighbours.push(neighbour);
  }

  /** @returns false when there is none */
  deleteNeighbour(address: Uint8Array, link: Link): boolean {
    return removeFirst(this.#neighbours, (entry) => {
      return entry.link === link && sameBytes(entry.address, address);
    });
  }

  neighbour(address: Uint8Array, link: Link): Neighbour | undefined {
    return this.#neighbours.find(
      (entry) => entry.link === link && sameBytes(entry.address, address),
    );
  }

  /** The first address of a family that a MAC address was given for. */
  addressOfMac(mac: string, family: 4 | 6): string | undefined {
    const bytes = family === 4 ? 4 : 16;
    const found = this.#neighbours.find(
      (entry) => entry.address.length === bytes && macText(entry.mac) === mac,
    );
    return found && addressText(found.address);
  }

  /** @returns false when there is such a route already */
  addRoute(route: Route): boolean {
    if (this.#routes.some((other) => sameRoute(other, route))) return false;
    this.#routes.push(route);
    return true;
  }

  /** @returns false when there is no such route */
  deleteRoute(route: Route): boolean {
    return removeFirst(this.#routes, (other) => sameRoute(other, route));
  }

  addRule(rule: Rule): void {
    this.#rules.push(rule);
  }

  /** @returns false when there is no such rule */
  deleteRule(rule: Rule): boolean {
    return removeFirst(this.#rules, ({ mark, table }) => {
      return mark === rule.mark && table === rule.table;
    });
  }

  /** Whether an address is one of the director's own, whatever a packet's mark says. */
  isOwn(address: Uint8Array): boolean {
    return this.#addresses.some((entry) => sameBytes(entry.address, address));
  }

  /** Whether a packet with this mark is delivered locally: its address is, or its mark's table says. */
  isLocal(address: Uint8Array, mark: number): boolean {
    return this.isOwn(address) || this.#lookup(address, mark)?.kind === 'local';
  }

  /** Where the kernel sends a packet, or undefined when it cannot. */
  way(address: Uint8Array, mark = 0): Way | undefined {
    const route = this.#lookup(address, mark);
    if (route === undefined || route.kind === 'unreachable' || route.kind === 'local') {
      return undefined;
    }
    const { link } = route;
    return { link, nextHop: route.gateway ?? address, mtu: route.mtu ?? link.mtu };
  }

  /** The source address the kernel takes for a packet of its own on a link. */
  sourceOn(link: Link, family: 4 | 6): Uint8Array | undefined {
    const bytes = family === 4 ? 4 : 16;
    return this.#addresses.find((entry) => entry.link === link && entry.address.length === bytes)
      ?.address;
  }

  #lookup(address: Uint8Array, mark: number): Route | undefined {
    const tables = this.#rules.filter((rule) => rule.mark === mark).map((rule) => rule.table);
    for (const table of [...tables, TABLE_MAIN]) {
      const found = longestMatch(this.#table(table), address);
      if (found !== undefined) return found;
    }
    return undefined;
  }

  #table(table: number): readonly Route[] {
    const routes = this.#routes.filter((route) => route.table === table);
    return table === TABLE_MAIN ? [...routes, ...this.#connected()] : routes;
  }

  /** The routes that addresses with a prefix bring along. */
  #connected(): Route[] {
    return this.#addresses
      .filter(({ address, prefixLength, link }) => {
        return link.isPort && link.isUp && prefixLength < address.length * 8;
      })
      .map(({ address, prefixLength, link }) => ({
        table: TABLE_MAIN,
        prefix: address,
        prefixLength,
        kind: 'on-link' as const,
        link,
        source: address,
      }));
  }

  /** What the data plane gets to know. Rules by mark are not part of it: marked packets are ours. */
  world(): World {
    const ports = this.ports();
    const number = (link: Link) => ports.indexOf(link);
    return {
      ports: ports.map((link) => this.#worldPort(link, number(link))),
      addresses: this.#addresses.map(({ address, prefixLength, link }): WorldAddress => {
        const family = address.length === 4 ? 4 : 6;
        const port = link.isPort ? { port: number(link) } : {};
        return { family, address: addressText(address), prefixLength, ...port };
      }),
      routes: this.#distinctRoutes().map((route): WorldRoute => {
        const { prefix, prefixLength, kind, link, gateway, source, mtu } = route;
        return {
          family: prefix.length === 4 ? 4 : 6,
          prefix: addressText(prefix),
          prefixLength,
          port: number(link),
          kind,
          ...(gateway && { via: addressText(gateway) }),
          ...(source && { source: addressText(source) }),
          ...(mtu !== undefined && { mtu }),
        };
      }),
    };
  }

  /** The main table, of several routes to one prefix only the one that was there first. */
  #distinctRoutes(): readonly Route[] {
    const distinct: Route[] = [];
    for (const route of this.#table(TABLE_MAIN)) {
      if (!route.link.isPort) continue;
      if (!distinct.some((other) => samePrefix(other, route))) distinct.push(route);
    }
    return distinct;
  }

  #worldPort(link: Link, index: number): World['ports'][number] {
    const ipv4 = this.sourceOn(link, 4);
    const ipv6 = this.sourceOn(link, 6);
    return {
      index,
      name: link.name,
      ifindex: link.index,
      mac: link.mac,
      mtu: link.mtu,
      up: link.isUp,
      ...(ipv4 && { ipv4: addressText(ipv4) }),
      ...(ipv6 && { ipv6: addressText(ipv6) }),
    };
  }

  /** The neighbours as the data plane's next hops are filled from. */
  worldNeighbours(): readonly WorldNeighbour[] {
    const ports = this.ports();
    return this.#neighbours.map(({ address, link, mac }) => ({
      port: ports.indexOf(link),
      family: address.length === 4 ? 4 : 6,
      address: addressText(address),
      mac,
      state: 'reachable',
    }));
  }
}

function longestMatch(routes: readonly Route[], address: Uint8Array): Route | undefined {
  let best: Route | undefined;
  for (const route of routes) {
    if (!sharesPrefix(route.prefix, address, route.prefixLength)) continue;
    if (best === undefined || route.prefixLength > best.prefixLength) best = route;
  }
  return best;
}

function samePrefix(one: Route, other: Route): boolean {
  return (
    one.prefixLength === other.prefixLength &&
    sharesPrefix(one.prefix, other.prefix, one.prefixLength)
  );
}

function sameRoute(one: Route, other: Route): boolean {
  return one.table === other.table && samePrefix(one, other);
}

function removeFirst<T>(list: T[], isIt: (entry: T) => boolean): boolean {
  const at = list.findIndex(isIt);
  if (at >= 0) list.splice(at, 1);
  return at >= 0;
}

/** A routing table by number or by one of the names every system has. */
export function tableNumber(text: string): number | undefined {
  if (text === 'main') return TABLE_MAIN;
  if (text === 'local') return TABLE_LOCAL;
  return /^\d+$/.test(text) ? Number(text) : undefined;
}
