/**
 * Takes out of a draft what a configuration of WVS must not have: rules of the schema and between
 * keys that are known where configurations are validated, and only there.
 */

import type { ConfigDraft, ServiceDraft } from './model.ts';

/** What was taken out, for a report. */
export type Removal =
  | 'mark'
  | 'service'
  | 'server'
  | 'check'
  | 'sorryServer'
  | keyof Pick<ServiceDraft, 'persistence' | 'notify' | 'hysteresis' | 'quorum' | 'name'>
  | 'onePacket'
  | 'schedulerFlags'
  /** What servers have that say nothing of it themselves. */
  | 'forwarding';

/** One thing to take out. */
interface Target {
  readonly kind: Removal | 'engine';
  readonly mark?: number;
  readonly service?: number;
  readonly server?: number;
  /** Which one of several checks. */
  readonly check?: number;
}

/** Which part of a draft a problem at `path` is about; undefined: one that cannot be taken out. */
export function targetOf(path: string): Target | undefined {
  const mark = /^marks\[(\d+)\]/.exec(path);
  if (mark !== null) return { kind: 'mark', mark: Number(mark[1]) };
  const match = /^services\[(\d+)\](?:\.(.*))?$/.exec(path);
  if (match === null) return undefined;
  const service = Number(match[1]);
  const rest = match[2] ?? '';
  const check = /^(?:servers\[(\d+)\]\.)?check(?:\[(\d+)\])?(?![\w])/.exec(rest);
  if (check !== null) {
    const [, ofServer, number] = check;
    return {
      kind: 'check',
      service,
      ...(ofServer !== undefined && { server: Number(ofServer) }),
      ...(number !== undefined && { check: Number(number) }),
    };
  }
  const server = /^servers\[(\d+)\]/.exec(rest);
  if (server !== null) return { kind: 'server', service, server: Number(server[1]) };
  return { kind: kindOf(rest), service };
}

function kindOf(key: string): Target['kind'] {
  if (key === 'persistence.engine') return 'engine';
  const name = /^\w*/.exec(key)![0];
  const known = REMOVABLE.find((candidate) => candidate === name);
  return known ?? 'service';
}

const REMOVABLE = [
  'forwarding',
  'sorryServer',
  'notify',
  'hysteresis',
  'quorum',
  'onePacket',
  'schedulerFlags',
] as const;

/** Takes the targets out; those of a list from its end, so that their numbers stay right. */
export function removeTargets(draft: ConfigDraft, targets: readonly Target[]): void {
  const byCheck = targets.toSorted((a, b) => (b.check ?? 0) - (a.check ?? 0));
  for (const target of byCheck) removeFromService(draft, target);
  const servers = targets.filter(({ kind }) => kind === 'server');
  for (const [index, service] of draft.services.entries()) {
    const gone = new Set(servers.filter((one) => one.service === index).map((one) => one.server));
    const isCommonGone = targets.some((one) => one.kind === 'forwarding' && one.service === index);
    const common = service.servers[0]?.forwarding.method;
    for (const [number, { forwarding }] of service.servers.entries()) {
      if (isCommonGone && forwarding.method === common) gone.add(number);
    }
    if (gone.size > 0) service.servers = service.servers.filter((_, number) => !gone.has(number));
  }
  const services = targets.filter(({ kind }) => kind === 'service').map(({ service }) => service);
  removeIndexes(draft.services, new Set(services));
  const marks = targets.filter(({ kind }) => kind === 'mark').map(({ mark }) => mark);
  removeIndexes(draft.marks, new Set(marks));
}

function removeIndexes(list: unknown[], indexes: ReadonlySet<number | undefined>): void {
  for (let index = list.length - 1; index >= 0; index--) {
    if (indexes.has(index)) list.splice(index, 1);
  }
}

function removeFromService(draft: ConfigDraft, target: Target): void {
  const { kind, service: index, server, check } = target;
  const service = index === undefined ? undefined : draft.services[index];
  if (service === undefined) return;
  switch (kind) {
    case 'check':
      for (const [number, one] of service.servers.entries()) {
        if (server !== undefined && server !== number) continue;
        one.checks = one.checks.filter((_, place) => check !== undefined && place !== check);
      }
      return;
    case 'sorryServer':
      service.sorryServer = undefined;
      return;
    case 'notify':
      service.notify = undefined;
      return;
    case 'engine':
      if (service.persistence !== undefined) service.persistence.engine = undefined;
      return;
    case 'hysteresis':
      service.hysteresis = 0;
      return;
    case 'quorum':
      service.quorum = 1;
      return;
    case 'onePacket':
      service.onePacket = false;
      return;
    case 'schedulerFlags':
      service.schedulerFlags = [];
      return;
    default:
      return;
  }
}
