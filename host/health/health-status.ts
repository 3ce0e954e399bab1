// What health checking knows, for `wvs status`, `wvs top` and metrics.

import type { CheckConfig } from '../config/types.ts';
import type { CheckerState, DatedResult } from './checker-state.ts';
import { type CheckerFinding, decidingChecker } from './server-health.ts';
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
  /** Since when the check that decides has had its state, in milliseconds since 1970. */
  readonly since: number | undefined;
  /** Of that check, in a row. */
  readonly successes: number;
  readonly failures: number;
  readonly lastResult: DatedResult | undefined;
  /** How long the last probe took. */
  readonly latencyMs: number | undefined;
  /** How much longer flap damping holds it down; 0: not at all. */
  readonly heldMs: number;
  /** Of a server with more than one check, all of them. */
  readonly checks: readonly CheckStatus[] | undefined;
}

/** One check of a server that has several. */
export interface CheckStatus {
  readonly type: CheckConfig['type'];
  readonly state: CheckerState;
  readonly since: number;
  readonly lastResult: DatedResult | undefined;
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

/** A service's status; `checkersOf` gives those of a server. */
export function serviceStatus(
  state: ServiceState,
  checkersOf: (serverKey: string) => readonly CheckerFinding[],
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
      serverStatus(standing, { checkers: checkersOf(key), isSorryIn, now }),
    ),
  };
}

interface ServerContext {
  readonly checkers: readonly CheckerFinding[];
  readonly isSorryIn: boolean;
  readonly now: number;
}

/** A server's status. */
export function serverStatus(
  { destination, state, isAvailable, weight }: ServerStanding,
  { checkers, isSorryIn, now }: ServerContext,
): ServerHealthStatus {
  const record = decidingChecker(checkers)?.record;
  const heldUntil = checkers.map((checker) => checker.record.heldUntil ?? now);
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
    heldMs: Math.max(0, ...heldUntil.map((until) => until - now)),
    checks: checkers.length > 1 ? checkers.map(checkStatus) : undefined,
  };
}

function checkStatus({ check, record }: CheckerFinding): CheckStatus {
  const { state, since, lastResult } = record;
  return { type: check.type, state, since, lastResult };
}
