// The world around the director, as the kernel (or a recording's header) describes it: ports,
// addresses, routes, neighbours, and what the configuration adds: mark rules and the full-nat pool.
// Addresses are canonical text (host/config/address.ts).

import type { Family } from './hash.ts';

/** A network interface that the director forwards on. */
export interface WorldPort {
  /** Number of the port in the data plane, from 0, below PORTS_MAX. */
  readonly index: number;
  readonly name: string;
  readonly ifindex: number;
  /** Six bytes. */
  readonly mac: Uint8Array;
  readonly mtu: number;
  readonly up: boolean;
  /** Frames may come with partial checksums, as those of virtual interfaces do. */
  readonly partialChecksums?: boolean;
  /** Primary addresses, the sources of the director's own ICMP errors. */
  readonly ipv4?: string;
  readonly ipv6?: string;
}

/** An address of the director. */
export interface WorldAddress {
  readonly family: Family;
  readonly address: string;
  /** Port index, or undefined for an interface that is no port (lo). */
  readonly port?: number;
  readonly prefixLength: number;
}

/** What a route does; the ROUTE_* codes of assembly/shared/layout.ts by name. */
export type RouteKind = 'on-link' | 'via' | 'unreachable' | 'local';

/** A route; two of the same prefix must not be given. */
export interface WorldRoute {
  readonly family: Family;
  /** Network address; host bits are ignored. */
  readonly prefix: string;
  readonly prefixLength: number;
  readonly port: number;
  readonly kind: RouteKind;
  /** Gateway, of the same family, for "via". */
  readonly via?: string;
  /** Preferred source address. */
  readonly source?: string;
  /** 0 or undefined: the port's. */
  readonly mtu?: number;
}

/** What is known of a neighbour. */
export type NeighbourState = 'incomplete' | 'reachable' | 'failed';

/** A neighbour on a port. */
export interface WorldNeighbour {
  readonly port: number;
  readonly family: Family;
  readonly address: string;
  /** Six bytes; ignored unless the neighbour is reachable. */
  readonly mac?: Uint8Array;
  readonly state: NeighbourState;
}

/** Ports, addresses and routes: what a bank holds a copy of. Neighbours live outside the banks. */
export interface World {
  readonly ports: readonly WorldPort[];
  readonly addresses: readonly WorldAddress[];
  readonly routes: readonly WorldRoute[];
}

/** A rule that gives packets a firewall mark, as `iptables -t mangle -A PREROUTING -j MARK`. */
export interface MarkRule {
  readonly family: Family;
  readonly mark: number;
  /** IANA number, 0 for any. */
  readonly protocol: number;
  /** Destination and source prefixes; undefined matches every address. */
  readonly destination?: { readonly address: string; readonly prefixLength: number };
  readonly source?: { readonly address: string; readonly prefixLength: number };
  /** Destination ports, first and last inclusive; empty matches every port. */
  readonly ports: readonly (readonly [first: number, last: number])[];
}

/** An address that full-nat connections are sent from. */
export interface PoolAddress {
  readonly family: Family;
  readonly address: string;
}

/** Where full-nat takes source addresses and ports from. */
export interface LocalPool {
  /** For all services that have none of their own. */
  readonly addresses: readonly PoolAddress[];
  /** Services, by id, with addresses of their own: all of the service's family. */
  readonly services?: ReadonlyMap<number, readonly PoolAddress[]>;
  /** Taken out: no new connection is sent from them, but those there are still have answers. */
  readonly retired?: readonly PoolAddress[];
  /** Two ranges of source ports, inclusive; first > last makes a range empty. */
  readonly portRanges: readonly [PortRange, PortRange];
}

export type PortRange = readonly [first: number, last: number];

/** Linux's ephemeral ports are 32768 to 60999: full-nat keeps out of the director's own way. */
export const DEFAULT_LOCAL_POOL: LocalPool = {
  addresses: [],
  portRanges: [
    [1024, 32767],
    [61000, 65535],
  ],
};
