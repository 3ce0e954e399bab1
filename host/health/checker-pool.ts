// All checkers of a director, by key, and which services use each of them.

import type { CheckConfig, DestinationConfig, ServiceConfig } from '../config/types.ts';
import { Checker, type CheckerSurroundings } from './checker.ts';
import { CheckerKeys, probeTarget } from './checker-key.ts';
import { inheritedRecord } from './checker-state.ts';
import type { CheckerUsers } from './health-events.ts';

/** A checker with those who use it. */
interface SharedChecker {
  readonly checker: Checker;
  /** Once for each use; the server of the same index is the service's. */
  readonly services: ServiceConfig[];
  readonly servers: DestinationConfig[];
}

/** The checkers of one configuration. */
export class CheckerSet {
  readonly #checkers: ReadonlyMap<string, SharedChecker>;
  /** By the key of the service, then of the server. */
  readonly #byServer: ReadonlyMap<string, ReadonlyMap<string, Checker>>;

  constructor(
    checkers: ReadonlyMap<string, SharedChecker>,
    byServer: ReadonlyMap<string, ReadonlyMap<string, Checker>>,
  ) {
    this.#checkers = checkers;
    this.#byServer = byServer;
  }

  get size(): number {
    return this.#checkers.size;
  }

  all(): Checker[] {
    return [...this.#checkers.values()].map(({ checker }) => checker);
  }

  byKey(key: string): Checker | undefined {
    return this.#checkers.get(key)?.checker;
  }

  of(serviceKey: string, serverKey: string): Checker | undefined {
    return this.#byServer.get(serviceKey)?.get(serverKey);
  }

  /** The keys of the services whose servers a checker stands for. */
  servicesOf({ key }: Checker): string[] {
    return [...new Set(this.#checkers.get(key)?.services.map((service) => service.key))];
  }

  usersOf({ key }: Checker): CheckerUsers {
    const { services = [], servers = [] } = this.#checkers.get(key) ?? {};
    return {
      servers: [...new Set(servers.map((server) => server.key))],
      services: [...new Set(services.map((service) => service.name))],
    };
  }
}

export const NO_CHECKERS = new CheckerSet(new Map(), new Map());

/** Makes the sets of checkers of one configuration after the other. */
export class CheckerPool {
  readonly #surroundings: CheckerSurroundings;
  readonly #keys = new CheckerKeys();

  constructor(surroundings: CheckerSurroundings) {
    this.#surroundings = surroundings;
  }

  /**
   * The checkers `services` need. One that is in `before` already is the same one; a server whose
   * check was edited gets a new one that starts from the state the old one had found out.
   */
  prepare(services: readonly ServiceConfig[], before: CheckerSet): CheckerSet {
    const checkers = new Map<string, SharedChecker>();
    const byServer = new Map<string, Map<string, Checker>>();
    for (const service of services) {
      const ofService = new Map<string, Checker>();
      byServer.set(service.key, ofService);
      for (const server of service.servers) {
        if (server.check === undefined) continue;
        const target = probeTarget(server, server.check);
        const key = this.#keys.key(target, server.check);
        const shared = checkers.get(key);
        if (shared === undefined) {
          const checker =
            before.byKey(key) ??
            this.#create({ key, target, check: server.check }, before.of(service.key, server.key));
          // Arrays of one: an empty one makes room for many as soon as it gets its first.
          checkers.set(key, { checker, services: [service], servers: [server] });
          ofService.set(server.key, checker);
        } else {
          shared.services.push(service);
          shared.servers.push(server);
          ofService.set(server.key, shared.checker);
        }
      }
    }
    return new CheckerSet(checkers, byServer);
  }

  #create(what: Pick<Checker, 'key' | 'target' | 'check'>, earlier: Checker | undefined): Checker {
    if (earlier === undefined) return new Checker(what, this.#surroundings);
    const keepsWeight = earlier.check.type === what.check.type;
    return new Checker(what, this.#surroundings, inheritedRecord(earlier.record, keepsWeight));
  }
}

/** Whether a check wants what cannot be done: to go to the virtual address through the server. */
export function wantsVip(check: CheckConfig | undefined): boolean {
  return check !== undefined && 'via' in check && check.via === 'vip';
}
