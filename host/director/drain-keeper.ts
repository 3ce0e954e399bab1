// Watches what drains: how many connections are left, what is done, and the log lines about it.

import type { DrainStatus } from '../control/api.ts';
import type { Control } from '../ipvs/control.ts';
import type { Logger } from '../log.ts';
import { type Drain, type Drains, drainsWithout, NO_DRAINS, type ServiceDrain } from './drains.ts';
import { countOpenConnections } from './open-connections.ts';
import { destinationKeyOf, serviceKeyOf } from './rules.ts';

/**
 * Closed connections are told from open ones this often; that takes a walk over the whole
 * table.
 */
const COUNT_MS = 1000;
/** A worker may still give a server one last connection before it has adopted the new tables. */
const SETTLE_MS = 200;
const PROGRESS_MS = 10_000;
/** More servers than these are summed up in one line. */
const LINES_MAX = 20;

/** What the keeper works with. */
export interface DrainOptions {
  readonly control: Control;
  readonly log: Logger;
  readonly now: () => number;
}

/** A server that has drained, or that must go. */
export interface DrainedServer {
  readonly service: string;
  readonly server: string;
  /** Connections that are cut off. */
  readonly open: number;
  readonly elapsedMs: number;
}

/** What drains, and how far it has come. */
export class DrainKeeper {
  readonly #options: DrainOptions;
  #drains: Drains = NO_DRAINS;
  /** Open connections by the id of the destination, as of the last count. */
  #open: ReadonlyMap<number, number> = new Map();
  #countedAt = Number.NEGATIVE_INFINITY;
  #toldAt = Number.NEGATIVE_INFINITY;

  constructor(options: DrainOptions) {
    this.#options = options;
  }

  get all(): Drains {
    return this.#drains;
  }

  /** Servers that drain. */
  get size(): number {
    let size = 0;
    for (const { servers } of this.#drains.values()) size += servers.size;
    return size;
  }

  /** The drains after some servers are gone. */
  without(gone: readonly DrainedServer[]): Drains {
    return drainsWithout(this.#drains, gone);
  }

  /** Takes another state over; `gone` are those of the old one that are done. */
  commit(drains: Drains, gone: readonly DrainedServer[] = []): void {
    const before = this.#drains;
    this.#drains = drains;
    this.#countedAt = Number.NEGATIVE_INFINITY;
    if (gone.length > 0) this.#logFinished(gone);
    else if (before !== drains) this.#logChanges(before);
  }

  /** How far a server has drained, or undefined when it does not. */
  status(serviceKey: string, serverKey: string): DrainStatus | undefined {
    const service = this.#drains.get(serviceKey);
    const drain = service?.servers.get(serverKey);
    if (service === undefined || drain === undefined) return undefined;
    const now = this.#options.now();
    return {
      open: this.#openOf(service, drain, now),
      elapsed: seconds(now - drain.startedAt),
      remaining: seconds(Math.max(0, drain.deadline - now)),
    };
  }

  /** The servers that can go now: nothing is left, or their time is up. */
  finished(): DrainedServer[] {
    if (this.#drains.size === 0) return [];
    const { control } = this.#options;
    // Before all workers have the tables in which they drain, new connections may still come.
    if (!control.tables.isAdopted()) return [];
    const now = this.#options.now();
    const gone: DrainedServer[] = [];
    let open = 0;
    for (const [key, service] of this.#drains) {
      for (const [server, drain] of service.servers) {
        if (now - drain.startedAt < SETTLE_MS) continue;
        const left = this.#openOf(service, drain, now);
        open += left;
        if (left > 0 && now < drain.deadline) continue;
        gone.push({ service: key, server, open: left, elapsedMs: now - drain.startedAt });
      }
    }
    this.#logProgress(now, open);
    return gone;
  }

  #openOf({ service }: ServiceDrain, { destination }: Drain, now: number): number {
    const key = serviceKeyOf(service.listen);
    const counts = this.#options.control.connectionCounts(key, destinationKeyOf(destination));
    if (counts === undefined || counts.active + counts.inactive === 0) return 0;
    this.#count(now);
    // What is established is surely open; of the others, only a look at the table tells.
    return Math.max(counts.active, this.#open.get(counts.id) ?? counts.inactive);
  }

  #count(now: number): void {
    if (now - this.#countedAt < COUNT_MS) return;
    const { control } = this.#options;
    const ids = new Set<number>();
    for (const { service, servers } of this.#drains.values()) {
      const key = serviceKeyOf(service.listen);
      for (const { destination } of servers.values()) {
        const counts = control.connectionCounts(key, destinationKeyOf(destination));
        if (counts !== undefined && counts.active + counts.inactive > 0) ids.add(counts.id);
      }
    }
    this.#countedAt = now;
    const counted = ids.size === 0 ? new Map() : countOpenConnections(control.tables.memory, ids);
    this.#open = new Map([...ids].map((id) => [id, counted.get(id) ?? 0]));
  }

  #logChanges(before: Drains): void {
    const { log } = this.#options;
    const started = differences(this.#drains, before);
    for (const { service, server, drain } of started.slice(0, LINES_MAX)) {
      const deadline = seconds(drain.deadline - drain.startedAt);
      log.info(
        { event: 'drain-started', service, server, deadline },
        `server ${server} of ${service} drains, for at most ${deadline} s`,
      );
    }
    const more = started.length - LINES_MAX;
    if (more > 0) log.info({ event: 'drain-started', more }, `${more} more servers drain`);
    const { control } = this.#options;
    for (const { service, server, drain, of } of differences(before, this.#drains)) {
      const at = destinationKeyOf(drain.destination);
      const isBack = control.hasDestination(serviceKeyOf(of.service.listen), at);
      if (!isBack) continue;
      log.info(
        { event: 'drain-cancelled', service, server },
        `server ${server} of ${service} is in the file again`,
      );
    }
    // Their first progress line comes after a while.
    if (started.length > 0) this.#toldAt = this.#options.now();
  }

  #logProgress(now: number, connections: number): void {
    if (now - this.#toldAt < PROGRESS_MS || connections === 0) return;
    this.#toldAt = now;
    const servers = this.size;
    this.#options.log.info(
      { event: 'drain-progress', servers, connections },
      `${servers} ${servers === 1 ? 'server drains' : 'servers drain'}, ` +
        `${connections} connections left`,
    );
  }

  #logFinished(gone: readonly DrainedServer[]): void {
    const { log } = this.#options;
    for (const { service, server, open, elapsedMs } of gone.slice(0, LINES_MAX)) {
      const elapsed = seconds(elapsedMs);
      const fields = { event: 'drain-finished', service, server, elapsed, connections: open };
      const text = `server ${server} of ${service}`;
      if (open === 0) log.info(fields, `${text} has drained`);
      else log.warn(fields, `${text} did not drain in time: ${open} connections are cut off`);
    }
    const more = gone.length - LINES_MAX;
    if (more > 0) log.info({ event: 'drain-finished', more }, `${more} more servers have drained`);
  }
}

interface Difference {
  readonly service: string;
  readonly server: string;
  readonly drain: Drain;
  readonly of: ServiceDrain;
}

/** What drains in `some`, but not in `others`. */
function differences(some: Drains, others: Drains): Difference[] {
  const found: Difference[] = [];
  for (const [service, of] of some) {
    const other = others.get(service);
    for (const [server, drain] of of.servers) {
      if (other?.servers.has(server) !== true) found.push({ service, server, drain, of });
    }
  }
  return found;
}

function seconds(milliseconds: number): number {
  return Math.round(milliseconds / 1000);
}
