// What the kernel has, as the dumps say, and the world the data plane gets to see of it: a pure
// function of the snapshot and the director's ports.

import { addressBits, maskedPrefix } from '../config/address.ts';
import type { Family } from '../tables/hash.ts';
import type {
  NeighbourState,
  World,
  WorldAddress,
  WorldNeighbour,
  WorldPort,
  WorldRoute,
} from '../tables/world.ts';
import {
  type AddressMessage,
  IFA_F_DADFAILED,
  IFA_F_DEPRECATED,
  IFA_F_SECONDARY,
  IFA_F_TENTATIVE,
  IFF_LOWER_UP,
  IFF_UP,
  type LinkMessage,
  type NeighbourMessage,
  NUD_DELAY,
  NUD_FAILED,
  NUD_NOARP,
  NUD_PERMANENT,
  NUD_PROBE,
  NUD_REACHABLE,
  NUD_STALE,
  ROUTE_ANYCAST,
  ROUTE_LOCAL,
  ROUTE_UNICAST,
  type RouteHop,
  type RouteMessage,
  RTM_F_CLONED,
  SCOPE_GLOBAL,
  TABLE_LOCAL,
  TABLE_MAIN,
} from './rtnetlink.ts';

/** An interface that is a port; its place in the list is the port's number. */
export interface PortInterface {
  readonly name: string;
  readonly ifindex: number;
  /** Its frames may come with partial checksums. */
  readonly partialChecksums: boolean;
}

/** Everything but the neighbours, which are followed one by one. */
export interface KernelSnapshot {
  readonly links: readonly LinkMessage[];
  readonly addresses: readonly AddressMessage[];
  readonly routes: readonly RouteMessage[];
}

/** In these states the kernel itself would send to the address it knows. */
const NUD_USABLE = NUD_REACHABLE | NUD_STALE | NUD_DELAY | NUD_PROBE | NUD_NOARP | NUD_PERMANENT;

const MAC_BYTES = 6;

/** The world as the data plane sees it. */
export function buildWorld(snapshot: KernelSnapshot, ports: readonly PortInterface[]): World {
  const numbers = new Map(ports.map((port, index) => [port.ifindex, index]));
  return {
    ports: ports.map((port, index) => buildPort(snapshot, port, index)),
    addresses: buildAddresses(snapshot.addresses, numbers),
    routes: buildRoutes(snapshot, numbers),
  };
}

/** A port whose interface is gone stays a port that is down, so that its number stays its own. */
function buildPort(snapshot: KernelSnapshot, port: PortInterface, index: number): WorldPort {
  const link = snapshot.links.find(({ ifindex }) => ifindex === port.ifindex);
  const wanted = IFF_UP | IFF_LOWER_UP;
  const ipv4 = primaryAddress(snapshot.addresses, port.ifindex, 4);
  const ipv6 = primaryAddress(snapshot.addresses, port.ifindex, 6);
  return {
    index,
    name: port.name,
    ifindex: port.ifindex,
    mac: link?.mac.length === MAC_BYTES ? link.mac : new Uint8Array(MAC_BYTES),
    mtu: link?.mtu ?? 0,
    up: link !== undefined && (link.flags & wanted) === wanted,
    partialChecksums: port.partialChecksums,
    ...(ipv4 === undefined ? {} : { ipv4 }),
    ...(ipv6 === undefined ? {} : { ipv6 }),
  };
}

/** The kernel's own choice where nothing else decides: the first that is not limited in any way. */
function primaryAddress(
  addresses: readonly AddressMessage[],
  ifindex: number,
  family: Family,
): string | undefined {
  const own = addresses.filter((entry) => entry.ifindex === ifindex && entry.family === family);
  const limits = IFA_F_SECONDARY | IFA_F_DEPRECATED | IFA_F_TENTATIVE | IFA_F_DADFAILED;
  const isHost = (entry: AddressMessage) => entry.prefixLength === (family === 4 ? 32 : 128);
  const usable = own.filter((entry) => (entry.flags & limits) === 0);
  const global = usable.filter((entry) => entry.scope === SCOPE_GLOBAL);
  // An address of its own network comes before a single one such as a VIP.
  return (global.find((entry) => !isHost(entry)) ?? global[0] ?? usable[0] ?? own[0])?.address;
}

function buildAddresses(
  addresses: readonly AddressMessage[],
  numbers: ReadonlyMap<number, number>,
): WorldAddress[] {
  return addresses
    .filter((entry) => (entry.flags & IFA_F_DADFAILED) === 0)
    .map(({ family, address, prefixLength, ifindex }) => {
      const port = numbers.get(ifindex);
      return { family, address, prefixLength, ...(port === undefined ? {} : { port }) };
    });
}

/**
 * The routes of the tables "local" and "main", one for each prefix: the one the kernel would take,
 * which is the local table's, or else that of the lowest metric.
 */
function buildRoutes(
  { routes, addresses }: KernelSnapshot,
  numbers: ReadonlyMap<number, number>,
): WorldRoute[] {
  const chosen = new Map<string, RouteMessage>();
  for (const route of routes) {
    if (!isConsidered(route)) continue;
    const { family, prefixLength } = route;
    const network = maskedPrefix({ address: route.prefix, prefixLength });
    const key = `${family} ${Buffer.from(network).toString('hex')}/${prefixLength}`;
    const other = chosen.get(key);
    if (other === undefined || isPreferred(route, other, numbers)) chosen.set(key, route);
  }
  const sources = new Sources(addresses);
  return [...chosen.values()].map((route) => buildRoute(route, sources, numbers));
}

function isConsidered({ table, tos, flags }: RouteMessage): boolean {
  return (table === TABLE_MAIN || table === TABLE_LOCAL) && tos === 0 && !(flags & RTM_F_CLONED);
}

function isPreferred(
  route: RouteMessage,
  other: RouteMessage,
  numbers: ReadonlyMap<number, number>,
): boolean {
  if (route.table !== other.table) return route.table === TABLE_LOCAL;
  // Each interface has a route for its link-local addresses: that of a port is of use here.
  const leads = (candidate: RouteMessage) => usableHop(candidate, numbers) !== undefined;
  if (leads(route) !== leads(other)) return leads(route);
  return route.priority < other.priority;
}

function usableHop(route: RouteMessage, numbers: ReadonlyMap<number, number>) {
  return route.hops.find(({ ifindex, isDead }) => !isDead && numbers.has(ifindex));
}

function buildRoute(
  route: RouteMessage,
  sources: Sources,
  numbers: ReadonlyMap<number, number>,
): WorldRoute {
  const { family, prefix, prefixLength } = route;
  const base = { family, prefix, prefixLength };
  if (route.type === ROUTE_LOCAL || route.type === ROUTE_ANYCAST) {
    return { ...base, port: 0, kind: 'local' };
  }
  const hop = route.type === ROUTE_UNICAST ? usableHop(route, numbers) : undefined;
  // Broadcast, multicast, blackholes, and ways out of interfaces that are no ports.
  if (hop === undefined) return { ...base, port: 0, kind: 'unreachable' };
  const source = route.source ?? sources.find(route, hop);
  const common = {
    ...base,
    port: numbers.get(hop.ifindex)!,
    mtu: route.mtu,
    ...(source === undefined ? {} : { source }),
  };
  if (hop.gateway === undefined) return { ...common, kind: 'on-link' };
  return { ...common, kind: 'via', via: hop.gateway };
}

/**
 * The sources the kernel chooses where a route names none: the address of the interface whose network
 * holds the gateway or the destination. Otherwise it is the port's primary address.
 */
class Sources {
  readonly #byNetwork = new Map<string, string>();
  /** Prefix lengths of each interface's addresses. */
  readonly #lengths = new Map<number, Set<number>>();

  constructor(addresses: readonly AddressMessage[]) {
    for (const { ifindex, address, prefixLength, flags } of addresses) {
      if ((flags & IFA_F_SECONDARY) !== 0) continue;
      const lengths = this.#lengths.get(ifindex) ?? new Set();
      this.#lengths.set(ifindex, lengths.add(prefixLength));
      const key = networkKey(ifindex, address, prefixLength);
      if (!this.#byNetwork.has(key)) this.#byNetwork.set(key, address);
    }
  }

  find({ prefix, family }: RouteMessage, { ifindex, gateway }: RouteHop): string | undefined {
    // IPv6 gateways are link-local, and no sources for what is beyond them.
    if (gateway !== undefined && family === 6) return undefined;
    const near = gateway ?? prefix;
    for (const length of this.#lengths.get(ifindex) ?? []) {
      if (length > addressBits(near.includes(':') ? 6 : 4)) continue;
      const found = this.#byNetwork.get(networkKey(ifindex, near, length));
      if (found !== undefined) return found;
    }
    return undefined;
  }
}

function networkKey(ifindex: number, address: string, prefixLength: number): string {
  const network = maskedPrefix({ address, prefixLength });
  return `${ifindex} ${prefixLength} ${Buffer.from(network).toString('latin1')}`;
}

/** A neighbour as the data plane sees it, or undefined when it is on no port. */
export function buildNeighbour(
  message: NeighbourMessage,
  ports: readonly PortInterface[],
): WorldNeighbour | undefined {
  const port = ports.findIndex(({ ifindex }) => ifindex === message.ifindex);
  if (port < 0) return undefined;
  const { family, address, mac } = message;
  const state = neighbourState(message);
  if (state === 'reachable' && mac !== undefined) return { port, family, address, state, mac };
  return { port, family, address, state };
}

function neighbourState({ state, mac }: NeighbourMessage): NeighbourState {
  if ((state & NUD_FAILED) !== 0) return 'failed';
  return (state & NUD_USABLE) !== 0 && mac?.length === MAC_BYTES ? 'reachable' : 'incomplete';
}
