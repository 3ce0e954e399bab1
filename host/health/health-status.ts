// What health checking knows, for `wvs status`, `wvs top` and metrics.

import type { CheckerRecord, DatedResult } from './checker-state.ts';
import { isSorryServerIn, type ServerStanding, type ServiceState } from './service-state.ts';

/** A server's health; `drained` ones are not down, but have the weight 0. */
export type ServerHealthState = 'unchecked' | 'unknown' | 'up' | 'down' | 'drained';

/** One server of a service. */
export interface ServerHealthStatus {
  /** `10.0.0.11:80`. */
  readonly key: string;
  readonly state: ServerHealthState;
  /** The weight it has while it takes connections. */
  readonly weight: number;
  /** Whether new connections may go to it: it is available, and no sorry server stands in. */
  readonly takesConnections: boolean;
  /** Since when its checker has had its state, in milliseconds since 1970. */
  readonly since: number | undefined;
  /** Of the check, in a row. */
  readonly successes: number;
  readonly failures: number;
  readonly lastResult: DatedResult | undefined;
  /** How long the last probe took. */
  readonly latencyMs: number | undefined;
  /** How much longer flap damping holds it down; 0: not at all. */
  readonly heldMs: number;
}

/** One service. */
export interface ServiceHealthStatus {
  /** `tcp 192.0.2.80:80`. */
  readonly key: string;
  readonly name: string;
  readonly quorum: 'up' | 'down';
  /** Sum of the weights of available servers. */
  readonly weight: number;
  /** undefined: the service has none. */
  readonly sorryServer: 'in' | 'out' | undefined;
  readonly servers: readonly ServerHealthStatus[];
}

/** All of it. */
export interface HealthStatus {
  readonly checkers: number;
  readonly probesInFlight: number;
  readonly probesWaiting: number;
  readonly services: readonly ServiceHealthStatus[];
}

/** A service's status; `recordOf` gives what the server's checker knows, if it has one. */
export function serviceStatus(
  state: ServiceState,
  recordOf: (serverKey: string) => CheckerRecord | undefined,
  now: number,
): ServiceHealthStatus {
  const { service, isQuorumUp, weight, servers } = state;
  const isSorryIn = isSorryServerIn(state);
  return {
    key: service.key,
    name: service.name,
    quorum: isQuorumUp ? 'up' : 'down',
    weight,
    sorryServer: service.sorryServer === undefined ? undefined : isSorryIn ? 'in' : 'out',
    servers: [...servers].map(([key, standing]) =>
      serverStatus(standing, { record: recordOf(key), isSorryIn, now }),
    ),
  };
}

interface ServerContext {
  readonly record: CheckerRecord | undefined;
  readonly isSorryIn: boolean;
  readonly now: number;
}

/** A server's status. */
export function serverStatus(
  { destination, state, isAvailable, weight }: ServerStanding,
  { record, isSorryIn, now }: ServerContext,
): ServerHealthStatus {
  return {
    key: destination.key,
    state: weight === 0 && state !== 'down' ? 'drained' : state,
    weight,
    takesConnections: isAvailable && weight > 0 && !isSorryIn,
    since: record?.since,
    successes: record?.successes ?? 0,
    failures: record?.failures ?? 0,
    lastResult: record?.lastResult,
    latencyMs: record?.lastResult?.latencyMs,
    heldMs: Math.max(0, (record?.heldUntil ?? now) - now),
  };
}
