// Servers that were taken out of the file and still have connections: what drains, since when,
// until when. The state is a value: a reload makes another one, and keeps it when it can be
// carried out.
//
//   in the file  -- taken out -->  draining  -- no connection left, or the deadline -->  gone
//        ^                            |
//        +------- put back in --------+

import { hasSameKeys } from '../config/diff.ts';
import type { DestinationConfig, ServiceConfig } from '../config/types.ts';
import type { Services } from './placed.ts';

/** One server of one service that drains. */
export interface Drain {
  readonly destination: DestinationConfig;
  /** Milliseconds, by a clock that never goes back. */
  readonly startedAt: number;
  readonly deadline: number;
}

/** What drains of a service. */
export interface ServiceDrain {
  /** As it was last in the file. */
  readonly service: ServiceConfig;
  /** The service itself is out of the file and goes with its last server. */
  readonly isRemoved: boolean;
  readonly servers: ReadonlyMap<string, Drain>;
}

/** All that drains, by the service's key. */
export type Drains = ReadonlyMap<string, ServiceDrain>;

export const NO_DRAINS: Drains = new Map();

/** What a reload starts from and leads to. */
export interface DrainInput {
  readonly drains: Drains;
  /** What is in the tables now, by key; that which drains included. */
  readonly placed: Services;
  /** The services of the new file. */
  readonly wanted: Services;
  /** The new file's `director.drain`; 0: nothing of a service that goes drains. */
  readonly drainTimeout: number;
  readonly now: number;
}

/** What drains after a reload. */
export function drainsAfter(input: DrainInput): Map<string, ServiceDrain> {
  const after = new Map<string, ServiceDrain>();
  for (const [key, placed] of input.placed) {
    const wanted = input.wanted.get(key);
    // Nothing can be missing from a service that is the same, or has the same servers.
    if (wanted === placed) continue;
    if (wanted !== undefined && hasSameKeys(placed.servers, wanted.servers)) continue;
    const drain = serviceDrain(placed, wanted, input);
    if (drain.servers.size > 0) after.set(key, drain);
  }
  return after;
}

function serviceDrain(
  placed: ServiceConfig,
  wanted: ServiceConfig | undefined,
  { drains, drainTimeout, now }: DrainInput,
): ServiceDrain {
  const before = drains.get(placed.key);
  const kept = new Set(wanted?.servers.map((server) => server.key));
  if (wanted?.sorryServer !== undefined) kept.add(wanted.sorryServer.key);
  const timeout = wanted?.drainTimeout ?? (drainTimeout === 0 ? 0 : placed.drainTimeout);
  const servers = new Map<string, Drain>();
  for (const destination of timeout === 0 ? [] : placed.servers) {
    if (kept.has(destination.key)) continue;
    const drain = before?.servers.get(destination.key);
    const isNew = { destination, startedAt: now, deadline: now + timeout };
    servers.set(destination.key, drain ?? isNew);
  }
  return { service: wanted ?? before?.service ?? placed, isRemoved: wanted === undefined, servers };
}

/** The same without some servers; a service without any is left out. */
export function drainsWithout(
  drains: Drains,
  gone: readonly { readonly service: string; readonly server: string }[],
): Map<string, ServiceDrain> {
  const left = new Map<string, Map<string, Drain>>();
  for (const { service, server } of gone) {
    const drain = drains.get(service);
    if (drain === undefined) continue;
    const servers = left.get(service) ?? new Map(drain.servers);
    servers.delete(server);
    left.set(service, servers);
  }
  const after = new Map(drains);
  for (const [service, servers] of left) {
    if (servers.size === 0) after.delete(service);
    else after.set(service, { ...drains.get(service)!, servers });
  }
  return after;
}
