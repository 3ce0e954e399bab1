// What `wvs top` shows, from two statuses: pure. The director's own rates are averages over some
// seconds; what it only counts (packets of a worker, drops) is compared with the status before.

import {
  type DirectorStatus,
  isUp,
  type LoadStatus,
  type PortStatus,
  type ServerStatus,
  type ServiceStatus,
  type WorkerStatus,
} from '../control/api.ts';
import { DROP_PREFIX } from '../stats/counter-names.ts';

/** A status and when it came. */
export interface Sample {
  readonly atMs: number;
  readonly status: DirectorStatus;
}

/** Columns that services and servers can be sorted by. */
export const SORT_KEYS = ['name', 'connections', 'active', 'packets', 'bits'] as const;
export type SortKey = (typeof SORT_KEYS)[number];

/** How to order what is shown. */
export interface Order {
  readonly by: SortKey;
  /** Names go from A to Z, numbers from large to small; or the other way round. */
  readonly isReversed: boolean;
}

export interface WorkerRow {
  readonly id: number;
  readonly state: WorkerStatus['state'];
  readonly busy: number;
  readonly packetsPerBurst: number;
  readonly restarts: number;
  /** Per second; undefined before there are two statuses. */
  readonly received: number | undefined;
  readonly transmitted: number | undefined;
  readonly dropped: number | undefined;
}

export interface DropRow {
  readonly reason: string;
  readonly perSecond: number | undefined;
  readonly total: number;
}

/** Per second, of a service or a server. */
export interface RateRow {
  readonly connections: number;
  readonly packetsIn: number;
  readonly packetsOut: number;
  readonly bitsIn: number;
  readonly bitsOut: number;
}

export interface ServerRow extends RateRow {
  readonly name: string;
  readonly health: string;
  readonly isDown: boolean;
  readonly forwarding: string;
  readonly weight: number;
  readonly active: number;
  readonly inactive: number;
}

export interface ServiceRow extends RateRow {
  readonly name: string;
  readonly scheduler: string;
  readonly serversUp: number;
  readonly active: number;
  readonly inactive: number;
  readonly servers: readonly ServerRow[];
}

/** One frame's content. */
export interface TopModel {
  readonly version: string;
  readonly uptime: number;
  readonly connections: { readonly used: number; readonly capacity: number };
  readonly workers: readonly WorkerRow[];
  readonly ports: readonly PortStatus[];
  /** Those that happen now first. */
  readonly drops: readonly DropRow[];
  readonly services: readonly ServiceRow[];
}

/** Makes a frame's content; `before` is the sample before, if there was one. */
export function createModel(now: Sample, before: Sample | undefined, order: Order): TopModel {
  const { status } = now;
  // A director that was started again counts from 0.
  const earlier = before?.status.pid === status.pid ? before : undefined;
  return {
    version: status.version,
    uptime: status.uptime,
    connections: status.connections,
    workers: status.workers.map((worker) => workerRow(worker, now, earlier)),
    ports: status.ports,
    drops: dropRows(now, earlier),
    services: sorted(
      status.services.map((service) => serviceRow(service, order)),
      order,
    ),
  };
}

/** Change per second of something counted; undefined without a sample before. */
function rate(
  now: Sample,
  before: Sample | undefined,
  count: (status: DirectorStatus) => number,
): number | undefined {
  if (before === undefined || now.atMs <= before.atMs) return undefined;
  const change = count(now.status) - count(before.status);
  return Math.max(0, (change * 1000) / (now.atMs - before.atMs));
}

function workerRow(worker: WorkerStatus, now: Sample, before: Sample | undefined): WorkerRow {
  const { id, state, busy, packetsPerBurst, restarts } = worker;
  const of = (count: (worker: WorkerStatus) => number) => {
    return rate(now, before, ({ workers }) => {
      const found = workers.find((candidate) => candidate.id === id);
      return found === undefined ? 0 : count(found);
    });
  };
  return {
    id,
    state,
    busy,
    packetsPerBurst,
    restarts,
    received: of(({ received }) => received),
    transmitted: of(({ transmitted }) => transmitted),
    dropped: of(({ dropped }) => dropped),
  };
}

function dropRows(now: Sample, before: Sample | undefined): DropRow[] {
  const rows = Object.entries(now.status.counters)
    .filter(([name, total]) => name.startsWith(DROP_PREFIX) && total > 0)
    .map(([name, total]) => ({
      reason: name.slice(DROP_PREFIX.length),
      total,
      perSecond: rate(now, before, ({ counters }) => counters[name] ?? 0),
    }));
  return rows.sort((a, b) => (b.perSecond ?? 0) - (a.perSecond ?? 0) || b.total - a.total);
}

function rates({ connectionsPerSecond, incoming, outgoing }: LoadStatus): RateRow {
  return {
    connections: connectionsPerSecond,
    packetsIn: incoming.packetsPerSecond,
    packetsOut: outgoing.packetsPerSecond,
    bitsIn: incoming.bytesPerSecond * 8,
    bitsOut: outgoing.bytesPerSecond * 8,
  };
}

function serviceRow(service: ServiceStatus, order: Order): ServiceRow {
  const servers = sorted(service.servers.map(serverRow), order);
  const sum = (pick: (server: ServerRow) => number) => {
    return servers.reduce((total, server) => total + pick(server), 0);
  };
  return {
    name: service.name === service.key ? service.key : `${service.name} ${service.key}`,
    scheduler: service.scheduler,
    serversUp: servers.filter(({ isDown }) => !isDown).length,
    active: sum(({ active }) => active),
    inactive: sum(({ inactive }) => inactive),
    servers,
    ...rates(service.load),
  };
}

function serverRow(server: ServerStatus): ServerRow {
  const { key, health, forwarding, weight, activeConnections, inactiveConnections, load } = server;
  return {
    name: key,
    health,
    isDown: !isUp(server),
    forwarding,
    weight,
    active: activeConnections,
    inactive: inactiveConnections,
    ...rates(load),
  };
}

type Sortable = RateRow & { readonly name: string; readonly active: number };

const VALUES: Readonly<Record<Exclude<SortKey, 'name'>, (row: Sortable) => number>> = {
  connections: ({ connections }) => connections,
  active: ({ active }) => active,
  packets: ({ packetsIn, packetsOut }) => packetsIn + packetsOut,
  bits: ({ bitsIn, bitsOut }) => bitsIn + bitsOut,
};

function sorted<Row extends Sortable>(rows: readonly Row[], { by, isReversed }: Order): Row[] {
  const byName = (a: Row, b: Row) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0);
  const compare = (a: Row, b: Row) => {
    const direction = isReversed ? -1 : 1;
    const difference = by === 'name' ? byName(a, b) : VALUES[by](b) - VALUES[by](a);
    // Idle ones must not dance: equal ones stand by name.
    return difference * direction || byName(a, b);
  };
  return rows.toSorted(compare);
}
