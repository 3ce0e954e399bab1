/** A health manager whose clock, probes and tables are a test's own. */

import { type Change, describeChange, diffServices } from '../../../../host/config/diff.ts';
import type { Config } from '../../../../host/config/types.ts';
import { HealthManager, type HealthOptions } from '../../../../host/health/manager.ts';
import type { Notification } from '../../../../host/health/notifier.ts';
import type { Probe, ProbeResult } from '../../../../host/health/probe.ts';
import { createLogger } from '../../../../host/log.ts';
import { FAIL, FakeClock, PASS } from './support.ts';

/** A manager on a fake clock. Servers are well unless `sick` has their address. */
export class Bed {
  readonly clock = new FakeClock();
  readonly sick = new Set<string>();
  readonly results = new Map<string, ProbeResult>();
  readonly probed: string[] = [];
  /** The changes of each apply(), as lines. */
  readonly applied: string[][] = [];
  readonly lines: Record<string, unknown>[] = [];
  readonly notifications: Notification[] = [];
  /** What is in the tables: servers by service, `10.0.0.1:80=1`. */
  readonly table = new Map<string, Map<string, number>>();
  refuse: (changes: readonly Change[]) => boolean = () => false;
  readonly log = createLogger({
    level: 'info',
    destination: { write: (line) => this.lines.push(JSON.parse(line)) },
  });

  manager(config: Config, options: Pick<HealthOptions, 'vipWays'> = {}): HealthManager {
    const manager = HealthManager.create({
      config,
      target: { apply: (changes) => this.#apply(changes) },
      log: this.log,
      clock: this.clock,
      chance: () => 0,
      createProbe: ({ address, port }) => this.#probe(`${address}:${port}`),
      notify: (notification) => this.notifications.push(notification),
      ...options,
    });
    this.#replay(diffServices([], manager.effective().services));
    return manager;
  }

  servers(service: string): string {
    const servers = this.table.get(service);
    return [...(servers ?? [])].map(([key, weight]) => `${key}=${weight}`).join(' ');
  }

  /** The lines of the log since the last call, as `EVENT server-or-service`. */
  events(): string[] {
    const all = this.lines.splice(0);
    return all.map(({ event, server, service }) => `${event} ${server ?? service ?? ''}`.trim());
  }

  #probe(endpoint: string): Probe {
    return async () => {
      this.probed.push(endpoint);
      const isSick = this.sick.has(endpoint.split(':')[0]!);
      return this.results.get(endpoint) ?? (isSick ? FAIL : PASS);
    };
  }

  #apply(changes: readonly Change[]): void {
    if (this.refuse(changes)) throw new Error('the tables are full');
    this.applied.push(changes.map((change) => describeChange(change)));
    this.#replay(changes);
  }

  #replay(changes: readonly Change[]): void {
    for (const change of changes) {
      switch (change.kind) {
        case 'service-added':
          this.table.set(
            change.service.name,
            new Map(change.service.servers.map(({ key, weight }) => [key, weight])),
          );
          break;
        case 'service-removed':
          this.table.delete(change.service.name);
          break;
        case 'destination-removed':
          this.table.get(change.service.name)!.delete(change.destination.key);
          break;
        case 'destination-added':
          this.table
            .get(change.service.name)!
            .set(change.destination.key, change.destination.weight);
          break;
        case 'destination-edited':
          this.table.get(change.service.name)!.set(change.after.key, change.after.weight);
      }
    }
  }
}
