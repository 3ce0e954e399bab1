// What a reload does, before it is done: the changes of the file in words, the changes of the
// tables, the servers that lose their place with their connections, and what ipvsadm has done to
// the file's services, which the file takes back.

import { type Change, describeChange, diffServices, type KnownChanges } from '../config/diff.ts';
import type { DestinationConfig, SchedulerName, ServiceConfig } from '../config/types.ts';
import type { AffectedServer, ChangeReport } from '../control/api.ts';
import { changesTables } from '../health/table-changes.ts';
import type { Control } from '../ipvs/control.ts';
import type { DestinationOptions, ServiceOptions } from '../ipvs/types.ts';
import type { PlacedDestination, Services } from './placed.ts';
import {
  destinationKeyOf,
  destinationOptionsOf,
  FORWARDING_METHODS,
  serviceKeyOf,
  serviceOptionsOf,
} from './rules.ts';

/** What has to be done to the tables to get from one set of services to another. */
export function placedChanges(before: Services, after: Services, known?: KnownChanges): Change[] {
  const changes = diffServices([...before.values()], [...after.values()], known);
  return changes.filter((change) => changesTables(change) || isAboutDraining(change));
}

function isAboutDraining(change: Change): boolean {
  return change.kind === 'destination-edited' && change.fields.includes('isDraining');
}

/** Servers that start to drain or go, and have connections. */
export function affectedServers(changes: readonly Change[], control: Control): AffectedServer[] {
  return changes.flatMap((change) => {
    switch (change.kind) {
      case 'service-removed':
        return change.service.servers.flatMap((server) =>
          affected(change.service, server, { control, fate: 'end' }),
        );
      case 'destination-removed':
        return affected(change.service, change.destination, { control, fate: 'end' });
      case 'destination-edited': {
        const before: PlacedDestination = change.before;
        const after: PlacedDestination = change.after;
        if (after.isDraining !== true || before.isDraining === true) return [];
        return affected(change.service, after, { control, fate: 'drain' });
      }
      default:
        return [];
    }
  });
}

function affected(
  service: ServiceConfig,
  server: DestinationConfig,
  { control, fate }: { readonly control: Control; readonly fate: AffectedServer['fate'] },
): AffectedServer[] {
  const counts = control.connectionCounts(serviceKeyOf(service.listen), destinationKeyOf(server));
  if (counts === undefined || counts.active + counts.inactive === 0) return [];
  const { active, inactive } = counts;
  return [{ service: service.key, server: server.key, active, inactive, fate }];
}

/** The changes of the file as lines, each with the connections of the servers it takes away. */
export function reportChanges(
  changes: readonly Change[],
  servers: readonly AffectedServer[],
): ChangeReport[] {
  const byServer = new Map<string, number>();
  for (const { service, server, active, inactive } of servers) {
    const count = active + inactive;
    byServer.set(`${service} ${server}`, count);
    byServer.set(service, (byServer.get(service) ?? 0) + count);
  }
  return changes.map((change) => {
    const report = { kind: change.kind, text: describeChange(change) };
    const connections = byServer.get(wordOf(change) ?? '');
    return connections === undefined ? report : { ...report, connections };
  });
}

function wordOf(change: Change): string | undefined {
  if (change.kind === 'service-removed') return change.service.key;
  if (change.kind !== 'destination-removed') return undefined;
  return `${change.service.key} ${change.destination.key}`;
}

/**
 * What has to be done so that services are as the file wants them after somebody else has changed
 * them; what was added to them stays.
 */
export function repairs(services: Iterable<ServiceConfig>, control: Control): Change[] {
  return [...services].flatMap((service) => repairsOf(service, control));
}

function repairsOf(service: ServiceConfig, control: Control): Change[] {
  const key = serviceKeyOf(service.listen);
  const entry = control.service(key);
  if (entry === undefined) return [{ kind: 'service-added', service }];
  const actual = new Map(
    control.destinations(key).map((each) => [`${each.key.address} ${each.key.port}`, each]),
  );
  const changes = repairServiceItself(service, entry);
  for (const server of service.servers) {
    if ((server as PlacedDestination).isDraining === true) continue;
    const options = actual.get(`${server.address} ${server.port}`);
    if (options === undefined) {
      changes.push({ kind: 'destination-added', service, destination: server });
    } else changes.push(...repairServer(service, server, options));
  }
  return changes;
}

function repairServiceItself(service: ServiceConfig, actual: ServiceOptions): Change[] {
  const wanted = serviceOptionsOf(service);
  const names = ['scheduler', 'flags', 'persistenceSeconds', 'engine'] as const;
  const changed = names.filter((name) => wanted[name] !== actual[name]);
  if (changed.length === 0) return [];
  const scheduler = actual.scheduler as SchedulerName;
  const before = { ...service, scheduler };
  const fields = changed.map((name) => (name === 'scheduler' ? name : 'persistence'));
  return [{ kind: 'service-edited', fields: [...new Set(fields)], before, after: service }];
}

function repairServer(
  service: ServiceConfig,
  server: PlacedDestination,
  actual: DestinationOptions,
): Change[] {
  const wanted = destinationOptionsOf(server);
  const names = Object.keys(wanted) as (keyof DestinationOptions)[];
  if (names.every((name) => wanted[name] === actual[name])) return [];
  const { weight, upperThreshold, lowerThreshold } = actual;
  const forwarding = FORWARDING_METHODS.get(actual.forwarding) ?? server.forwarding;
  const before = { ...server, weight, upperThreshold, lowerThreshold, forwarding };
  const own = ['weight', 'upperThreshold', 'lowerThreshold', 'forwarding'] as const;
  const fields = own.filter((field) => before[field] !== server[field]);
  const all = fields.length === 0 ? ['tunnel'] : fields;
  return [{ kind: 'destination-edited', service, fields: all, before, after: server }];
}
