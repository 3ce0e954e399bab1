// All checkers of a director, by key, and which services use each of them.

import type { DestinationConfig, ServiceConfig } from '../config/types.ts';
import { Checker, type CheckerSurroundings } from './checker.ts';
import { CheckerKeys, probeTarget } from './checker-key.ts';
import { inheritedRecord } from './checker-state.ts';
import { decidingChecker } from './server-health.ts';

/** A checker with those who use it. */
interface SharedChecker {
  readonly checker: Checker;
  /** Once for each use; the server of the same index is the service's. */
  readonly services: ServiceConfig[];
  readonly servers: DestinationConfig[];
}

/** By the key of the service, then of the server. */
type CheckersByServer = ReadonlyMap<string, ReadonlyMap<string, readonly Checker[]>>;

/** A server of a service, with all its checkers. */
export interface CheckerUse {
  readonly service: ServiceConfig;
  readonly server: DestinationConfig;
  readonly checkers: readonly Checker[];
}

const NONE: readonly Checker[] = [];

/** The checkers of one configuration. */
export class CheckerSet {
  readonly #checkers: ReadonlyMap<string, SharedChecker>;
  readonly #byServer: CheckersByServer;

  constructor(checkers: ReadonlyMap<string, SharedChecker>, byServer: CheckersByServer) {
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

  /** Those of a server's checks, in the order of the configuration. */
  of(serviceKey: string, serverKey: string): readonly Checker[] {
    return this.#byServer.get(serviceKey)?.get(serverKey) ?? NONE;
  }

  /** The keys of the services whose servers a checker stands for. */
  servicesOf({ key }: Checker): string[] {
    return [...new Set(this.#checkers.get(key)?.services.map((service) => service.key))];
  }

  /** All uses of a checker. */
  usesOf({ key }: Checker): CheckerUse[] {
    const { services = [], servers = [] } = this.#checkers.get(key) ?? {};
    return services.map((service, index) => {
      const server = servers[index]!;
      return { service, server, checkers: this.of(service.key, server.key) };
    });
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
    const byServer = new Map<string, Map<string, readonly Checker[]>>();
    for (const service of services) {
      const ofService = new Map<string, readonly Checker[]>();
      byServer.set(service.key, ofService);
      for (const server of service.servers) {
        if (server.checks.length === 0) continue;
        const earlier = before.of(service.key, server.key);
        const wanted = this.#wanted(service, server);
        const own = wanted.map((want) => {
          const known = checkers.get(want.key)?.checker ?? before.byKey(want.key);
          const checker = known ?? this.#create(want, earlierOf(want, wanted, earlier));
          share(checkers, checker, { service, server });
          return checker;
        });
        ofService.set(server.key, own);
      }
    }
    return new CheckerSet(checkers, byServer);
  }

  #wanted(service: ServiceConfig, server: DestinationConfig): CheckerIdentity[] {
    const wanted = server.checks.map((check) => {
      const target = probeTarget(service, server, check);
      return { key: this.#keys.key(target, check), target, check };
    });
    if (wanted.length === 1) return wanted;
    // A check that is listed twice is one.
    return wanted.filter(({ key }, index) => wanted.findIndex((one) => one.key === key) === index);
  }

  #create(what: CheckerIdentity, earlier: Checker | undefined): Checker {
    if (earlier === undefined) return new Checker(what, this.#surroundings);
    const keepsWeight = earlier.check.type === what.check.type;
    return new Checker(what, this.#surroundings, inheritedRecord(earlier.record, keepsWeight));
  }
}

type CheckerIdentity = Pick<Checker, 'key' | 'target' | 'check'>;

function share(
  checkers: Map<string, SharedChecker>,
  checker: Checker,
  { service, server }: Pick<CheckerUse, 'service' | 'server'>,
): void {
  const shared = checkers.get(checker.key);
  if (shared === undefined) {
    // Arrays of one: an empty one makes room for many as soon as it gets its first.
    checkers.set(checker.key, { checker, services: [service], servers: [server] });
  } else {
    shared.services.push(service);
    shared.servers.push(server);
  }
}

/**
 * Which checker of a server knows what a new one starts from: of those that go, one of the same
 * type, or else the one that decided about the server.
 */
function earlierOf(
  { check }: CheckerIdentity,
  wanted: readonly CheckerIdentity[],
  earlier: readonly Checker[],
): Checker | undefined {
  const gone = earlier.filter(({ key }) => wanted.every((one) => one.key !== key));
  return gone.find((one) => one.check.type === check.type) ?? decidingChecker(gone);
}
