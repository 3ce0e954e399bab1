// How the addresses of the full-nat pool lie in a bank: the director's IPv4 ones, its IPv6 ones, then
// those of each service. So a connection's candidates are one run of records.

import type { LocalPool, PoolAddress } from './world.ts';

/** Consecutive records: the first one's index, and how many. */
export interface PoolRun {
  readonly first: number;
  readonly count: number;
}

/** The pool in the order of its records. */
export interface PoolRuns {
  readonly records: readonly PoolAddress[];
  readonly ipv4: PoolRun;
  readonly ipv6: PoolRun;
  /** By service id; a service that is not here uses the director's. */
  readonly services: ReadonlyMap<number, PoolRun>;
}

/** The run of a service without addresses of its own. */
export const NO_RUN: PoolRun = { first: 0, count: 0 };

/** Lays a pool out. */
export function layOutPool({ addresses, services = new Map() }: LocalPool): PoolRuns {
  const records: PoolAddress[] = [];
  const append = (added: readonly PoolAddress[]): PoolRun => {
    const first = records.length;
    records.push(...added);
    return { first, count: added.length };
  };
  return {
    records,
    ipv4: append(addresses.filter(({ family }) => family === 4)),
    ipv6: append(addresses.filter(({ family }) => family === 6)),
    services: new Map(Array.from(services, ([id, own]) => [id, append(own)])),
  };
}

/** Ids of the services whose run is another one in the second lay-out. */
export function movedServices(before: PoolRuns, after: PoolRuns): number[] {
  const ids = new Set([...before.services.keys(), ...after.services.keys()]);
  return [...ids].filter((id) => {
    const { first, count } = before.services.get(id) ?? NO_RUN;
    const then = after.services.get(id) ?? NO_RUN;
    return first !== then.first || count !== then.count;
  });
}
