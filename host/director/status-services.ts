// Services and servers as `wvs status` shows them: what the control core has, joined with what
// the file, health checking and draining know of the same ones.

import { destinationKey } from '../config/keys.ts';
import type { ServiceConfig } from '../config/types.ts';
import type { ServerStatus, ServiceStatus } from '../control/api.ts';
import type { ServerHealthStatus, ServiceHealthStatus } from '../health/health-status.ts';
import type { Control } from '../ipvs/control.ts';
import type { DestinationEntry, ServiceEntry } from '../ipvs/types.ts';
import type { RunningConfig } from './reload.ts';
import { loadOf, serverStatus, serviceText } from './status.ts';

/** What is known of services beside what the control core has. */
export type StatusSources = Pick<RunningConfig, 'config' | 'placed' | 'health' | 'drains'>;

/**
 * All services with their servers, those that are down and have no place in the tables
 * included.
 */
export function serviceStatuses(control: Control, sources: StatusSources): ServiceStatus[] {
  const health = new Map(sources.health.status().services.map((each) => [each.key, each]));
  const configured = new Map(sources.config.services.map((each) => [each.key, each]));
  return control.services().map((service) => {
    const key = serviceText(service.key);
    return serviceStatus(service, control.destinations(service.key), {
      key,
      configured: configured.get(key) ?? sources.placed.get(key),
      isDraining: sources.drains.all.get(key)?.isRemoved === true,
      health: health.get(key),
      drainOf: (server) => sources.drains.status(key, server),
    });
  });
}

interface Known {
  readonly key: string;
  /** As the file has it, or had it when it is draining. */
  readonly configured: ServiceConfig | undefined;
  readonly isDraining: boolean;
  readonly health: ServiceHealthStatus | undefined;
  readonly drainOf: (serverKey: string) => ServerStatus['drain'];
}

function serviceStatus(
  service: ServiceEntry,
  destinations: readonly DestinationEntry[],
  known: Known,
): ServiceStatus {
  const { key, configured, health, isDraining } = known;
  const states = new Map(health?.servers.map((server) => [server.key, server]));
  const present = destinations.map((entry) => presentServer(entry, states, known));
  const keys = new Set(present.map((server) => server.key));
  return {
    key,
    name: configured?.name ?? key,
    source: configured === undefined ? 'ipvsadm' : 'file',
    ...(isDraining && { isDraining }),
    ...(health && { quorum: health.quorum }),
    ...(health?.sorryServer && { sorryServer: health.sorryServer }),
    scheduler: service.scheduler,
    load: loadOf(service.statistics),
    servers: [...present, ...absentServers(configured, keys, states)],
  };
}

function presentServer(
  entry: DestinationEntry,
  states: ReadonlyMap<string, ServerHealthStatus>,
  { configured, drainOf }: Known,
): ServerStatus {
  const key = destinationKey(entry.key.address, entry.key.port);
  const state = states.get(key);
  const drain = drainOf(key);
  const isOfFile =
    configured === undefined ||
    state !== undefined ||
    drain !== undefined ||
    configured.sorryServer?.key === key ||
    configured.servers.some((server) => server.key === key);
  return {
    ...serverStatus(entry),
    ...(state && healthOf(state)),
    ...(!isOfFile && { source: 'ipvsadm' as const }),
    ...(drain && { health: 'drained' as const, drain }),
  };
}

/** Servers of the file that have no place in the tables, because they are down. */
function absentServers(
  configured: ServiceConfig | undefined,
  present: ReadonlySet<string>,
  states: ReadonlyMap<string, ServerHealthStatus>,
): ServerStatus[] {
  const none = { packets: 0, bytes: 0, packetsPerSecond: 0, bytesPerSecond: 0 };
  const load = { connections: 0, connectionsPerSecond: 0, incoming: none, outgoing: none };
  return (configured?.servers ?? []).flatMap((server): ServerStatus[] => {
    const state = states.get(server.key);
    if (state === undefined || present.has(server.key)) return [];
    return [
      {
        key: server.key,
        forwarding: server.forwarding,
        weight: 0,
        ...healthOf(state),
        activeConnections: 0,
        inactiveConnections: 0,
        load,
      },
    ];
  });
}

function healthOf(status: ServerHealthStatus): Pick<ServerStatus, 'health' | 'reason' | 'checks'> {
  const { state, lastResult, checks } = status;
  if (checks !== undefined) return { health: state, ...severalChecks(checks) };
  return { health: state, ...reasonOf({ state, lastResult }) };
}

/** The reasons of all checks that fail, each with its type. */
function severalChecks(
  checks: NonNullable<ServerHealthStatus['checks']>,
): Pick<ServerStatus, 'reason' | 'checks'> {
  const all = checks.map((check) => ({
    type: check.type,
    state: check.state,
    ...reasonOf(check),
  }));
  const failing = all.filter(({ reason }) => reason !== undefined);
  const reason = failing.map((check) => `${check.type}: ${check.reason}`).join('; ');
  return { ...(reason !== '' && { reason }), checks: all };
}

/** What there is to say of a server or a check that is down, or may be soon. */
function reasonOf({
  state,
  lastResult,
}: Pick<ServerHealthStatus, 'state' | 'lastResult'>): Pick<ServerStatus, 'reason'> {
  const isNews = state === 'down' || (state === 'unknown' && lastResult?.ok === false);
  return isNews && lastResult !== undefined ? { reason: lastResult.detail } : {};
}
