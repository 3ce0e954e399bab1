/**
 * What has to change to get from one configuration to another. What is equal is not mentioned,
 * and whoever carries the changes out leaves it alone: that is how connections, health and
 * counters survive a reload.
 *
 * The order is one in which the changes can be made one after the other: the director first,
 * then what goes (so that limits hold), what is edited, and what comes.
 */

import { isDeepStrictEqual } from 'node:util';
import type {
  Config,
  DestinationConfig,
  DirectorConfig,
  MarkRule,
  ServiceConfig,
} from './types.ts';

/** One difference between two configurations. */
export type Change =
  | {
      readonly kind: 'director-changed';
      readonly key: keyof DirectorConfig;
      /** The running director cannot take this over; it has to be started again. */
      readonly needsRestart: boolean;
      readonly before: DirectorConfig;
      readonly after: DirectorConfig;
    }
  | {
      readonly kind: 'marks-changed';
      readonly before: readonly MarkRule[];
      readonly after: readonly MarkRule[];
    }
  | { readonly kind: 'service-removed'; readonly service: ServiceConfig }
  | {
      readonly kind: 'service-edited';
      readonly fields: readonly string[];
      readonly before: ServiceConfig;
      readonly after: ServiceConfig;
    }
  | {
      readonly kind: 'destination-removed' | 'destination-added';
      readonly service: ServiceConfig;
      readonly destination: DestinationConfig;
    }
  | {
      readonly kind: 'destination-edited';
      readonly service: ServiceConfig;
      readonly fields: readonly string[];
      readonly before: DestinationConfig;
      readonly after: DestinationConfig;
    }
  /** Those that stay are listed in another order. */
  | { readonly kind: 'destinations-moved'; readonly service: ServiceConfig }
  /** The service comes with its servers: there is no `destination-added` for each. */
  | { readonly kind: 'service-added'; readonly service: ServiceConfig };

/** These are given to the kernel, or sized into memory, when the director starts. */
const RESTART_KEYS: ReadonlySet<keyof DirectorConfig> = new Set([
  'ports',
  'workers',
  'connections',
  'control',
  'busyPoll',
  'hz',
  'world',
]);

/** The changes from `before` to `after`, in the order in which they can be made. */
export function diffConfigs(before: Config, after: Config, known?: KnownChanges): Change[] {
  return [
    ...diffDirectors(before.director, after.director),
    ...diffMarks(before.marks, after.marks),
    ...diffServices(before.services, after.services, known),
  ];
}

/** Differences found before, by the later version of the service: to compare them again is slow. */
export type KnownChanges = Map<
  ServiceConfig,
  { readonly before: ServiceConfig; readonly changes: readonly Change[] }
>;

function diffDirectors(before: DirectorConfig, after: DirectorConfig): Change[] {
  // How long services drain is written down with each of them.
  return changedFields(before, after, ['drainTimeout']).map((key) => ({
    kind: 'director-changed',
    key,
    needsRestart: RESTART_KEYS.has(key),
    before,
    after,
  }));
}

function diffMarks(before: readonly MarkRule[], after: readonly MarkRule[]): Change[] {
  // The last rule that fits decides, so their order is part of what they mean.
  const isEqual =
    before.length === after.length &&
    before.every((rule, index) => changedFields(rule, after[index]!, ['position']).length === 0);
  return isEqual ? [] : [{ kind: 'marks-changed', before, after }];
}

/**
 * The changes from one list of services to another.
 * @param known is asked before services are compared, and told what was found
 */
export function diffServices(
  before: readonly ServiceConfig[],
  after: readonly ServiceConfig[],
  known?: KnownChanges,
): Change[] {
  const old = new Map(before.map((service) => [service.key, service]));
  const kept = new Set(after.map((service) => service.key));
  const removed = before.filter((service) => !kept.has(service.key));
  const edits = after.flatMap((service) => {
    const earlier = old.get(service.key);
    if (earlier === undefined || earlier === service) return [];
    const found = known?.get(service);
    if (found?.before === earlier) return found.changes;
    const changes = diffService(earlier, service);
    known?.set(service, { before: earlier, changes });
    return changes;
  });
  const added = after.filter((service) => !old.has(service.key));
  return [
    ...removed.map((service): Change => ({ kind: 'service-removed', service })),
    ...edits,
    ...added.map((service): Change => ({ kind: 'service-added', service })),
  ];
}

/** Compared in their own way, or not at all. */
const SERVICE_PARTS = ['position', 'lineShift', 'servers', 'sorryServer'] as const;

function diffService(before: ServiceConfig, after: ServiceConfig): Change[] {
  const changes: Change[] = [];
  const fields = changedFields(before, after, SERVICE_PARTS);
  const sorryFields = changedSorryServer(before.sorryServer, after.sorryServer);
  if (fields.length + sorryFields.length > 0) {
    const all = [...fields, ...sorryFields];
    changes.push({ kind: 'service-edited', fields: all, before, after });
  }
  if (before.servers === after.servers) return changes;
  if (!hasSameKeys(before.servers, after.servers))
    return [...changes, ...diffServers(before, after)];
  for (let index = 0; index < after.servers.length; index++) {
    addEdit(changes, after, [before.servers[index]!, after.servers[index]!]);
  }
  return changes;
}

/** Whether the same servers are listed in the same order, which is so for nearly every service. */
export function hasSameKeys(
  before: readonly DestinationConfig[],
  after: readonly DestinationConfig[],
): boolean {
  return (
    before.length === after.length && after.every(({ key }, index) => key === before[index]!.key)
  );
}

function diffServers(before: ServiceConfig, after: ServiceConfig): Change[] {
  const changes: Change[] = [];
  const old = new Map(before.servers.map((server) => [server.key, server]));
  const kept = new Set(after.servers.map((server) => server.key));
  for (const destination of before.servers) {
    if (kept.has(destination.key)) continue;
    changes.push({ kind: 'destination-removed', service: after, destination });
  }
  for (const destination of after.servers) {
    const earlier = old.get(destination.key);
    if (earlier !== undefined) addEdit(changes, after, [earlier, destination]);
    else changes.push({ kind: 'destination-added', service: after, destination });
  }
  const stayed = before.servers.filter(({ key }) => kept.has(key));
  const staying = after.servers.filter(({ key }) => old.has(key));
  if (stayed.some(({ key }, index) => key !== staying[index]?.key)) {
    changes.push({ kind: 'destinations-moved', service: after });
  }
  return changes;
}

function addEdit(
  changes: Change[],
  service: ServiceConfig,
  [before, after]: readonly [DestinationConfig, DestinationConfig],
): void {
  if (before === after) return;
  const fields = changedFields(before, after, ['position']);
  if (fields.length === 0) return;
  changes.push({ kind: 'destination-edited', service, fields, before, after });
}

function changedSorryServer(
  before: DestinationConfig | undefined,
  after: DestinationConfig | undefined,
): string[] {
  if (before === undefined || after === undefined) return before === after ? [] : ['sorryServer'];
  return changedFields(before, after, ['position']).length === 0 ? [] : ['sorryServer'];
}

/** The keys whose values differ, those in `ignored` aside: places in a file are no change. */
function changedFields<Value extends object>(
  before: Value,
  after: Value,
  ignored: readonly (keyof Value)[],
): (keyof Value & string)[] {
  // Runs for each of a hundred thousand servers: nothing is allocated unless there is a change.
  const changed: (keyof Value & string)[] = [];
  for (const key in after) {
    if (!ignored.includes(key) && !isSame(before[key], after[key])) changed.push(key);
  }
  for (const key in before) {
    if (!(key in after) && before[key] !== undefined && !ignored.includes(key)) changed.push(key);
  }
  return changed;
}

function isSame(before: unknown, after: unknown): boolean {
  if (before === after) return true;
  if (Array.isArray(before) && Array.isArray(after)) {
    return (
      before.length === after.length && before.every((one, index) => isSame(one, after[index]))
    );
  }
  if (typeof before !== 'object' || typeof after !== 'object') return false;
  return isDeepStrictEqual(before, after);
}

/** One line about a change, as `wvs plan` and `wvs reload` print it. */
export function describeChange(change: Change): string {
  switch (change.kind) {
    case 'director-changed':
      return `~ director.${change.key}${change.needsRestart ? ' (needs a restart)' : ''}`;
    case 'marks-changed':
      return `~ marks: ${change.before.length} rules -> ${change.after.length} rules`;
    case 'service-removed':
      return `- service ${nameOf(change.service)}, ${servers(change.service)}`;
    case 'service-added':
      return `+ service ${nameOf(change.service)}, ${servers(change.service)}`;
    case 'service-edited':
      return `~ service ${nameOf(change.after)}: ${fieldsOf(change)}`;
    case 'destination-removed':
      return `- server ${change.destination.key} of ${nameOf(change.service)}`;
    case 'destination-added':
      return `+ server ${change.destination.key} of ${nameOf(change.service)}`;
    case 'destinations-moved':
      return `~ service ${nameOf(change.service)}: servers in another order`;
    case 'destination-edited':
      return `~ server ${change.after.key} of ${nameOf(change.service)}: ${fieldsOf(change)}`;
  }
}

function nameOf(service: ServiceConfig): string {
  return service.name === service.key ? service.key : `${service.name} (${service.key})`;
}

function servers({ servers: { length } }: ServiceConfig): string {
  return length === 1 ? '1 server' : `${length} servers`;
}

function fieldsOf(change: Change & { kind: 'service-edited' | 'destination-edited' }): string {
  return change.fields
    .map((field) => {
      const before: unknown = Reflect.get(change.before, field);
      const after: unknown = Reflect.get(change.after, field);
      const isShort = !isObject(before) && !isObject(after);
      return isShort ? `${field} ${String(before)} -> ${String(after)}` : field;
    })
    .join(', ');
}

function isObject(value: unknown): boolean {
  return typeof value === 'object' && value !== null;
}
