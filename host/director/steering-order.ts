// When the steering program is told of changes. A worker sends a connection to a new server the
// moment it has the new tables, and the answer may be there a millisecond later: servers are
// steered before the workers know them. Services come after, and all that goes, goes last.

import { isDeepStrictEqual } from 'node:util';
import type { SteeringChanges } from 'af-xdp-socket';
import type { ServiceWays } from '../ipvs/control.ts';
import type { ServiceKey } from '../ipvs/types.ts';
import { SteeredServices } from './steered-services.ts';
import { type SteeringSurroundings, shortTables, steeredPool } from './steering-tables.ts';

/** What the order works with. */
export interface SteeringOrderOptions {
  /** A service as it is now, undefined when it is gone. */
  readonly waysOf: (key: ServiceKey) => ServiceWays | undefined;
  readonly surroundings: () => SteeringSurroundings;
  /** Puts changes in force; false when it could not, and then nothing of them is. */
  readonly publish: (changes: SteeringChanges) => boolean;
}

type ShortTables = ReturnType<typeof shortTables>;

const NOTHING: ShortTables = { marks: [], localAddresses: [], fullNat: [] };

/** Publishes what is steered, in the right order around the workers' tables. */
export class SteeringOrder {
  readonly #options: SteeringOrderOptions;
  readonly #services: SteeredServices;
  /** What is in force, once anything is. */
  #short = NOTHING;
  #isInForce = false;

  constructor(options: SteeringOrderOptions) {
    this.#options = options;
    this.#services = new SteeredServices(options.waysOf);
  }

  /** A service came, went, or has other servers, or other ways to them. */
  note(service: ServiceKey): void {
    this.#services.note(service);
  }

  /** To be called before the workers get the tables that all that was noted belongs to. */
  before(): void {
    if (!this.#isInForce) return;
    this.#services.update();
    const { realServers, tunnels, use } = this.#services;
    const next = steeredPool(this.#options.surroundings().pool, use.usesFullNat);
    const fullNat = withMissing(this.#short.fullNat, next);
    const added = { realServers: realServers.added, tunnels: tunnels.added };
    const isLonger = fullNat.length > this.#short.fullNat.length;
    if (added.realServers.length === 0 && added.tunnels.length === 0 && !isLonger) return;
    if (!this.#options.publish(isLonger ? { added, fullNat } : { added })) return;
    if (isLonger) this.#short = { ...this.#short, fullNat };
    realServers.settleAdded();
    tunnels.settleAdded();
  }

  /** To be called when the workers have them. */
  after(): void {
    this.#services.update();
    const { services, realServers, tunnels, use } = this.#services;
    const short = shortTables(this.#options.surroundings(), use);
    const lists = { services, realServers, tunnels };
    const changes: SteeringChanges = {
      ...changedTables(this.#short, short),
      ...notEmpty('removed', listsOf(lists, 'removed')),
      ...notEmpty('added', listsOf(lists, 'added')),
    };
    if (this.#isInForce && Object.keys(changes).length === 0) return;
    if (!this.#options.publish(changes)) return;
    this.#isInForce = true;
    this.#short = short;
    for (const list of Object.values(lists)) {
      list.settleAdded();
      list.settleRemoved();
    }
  }
}

type Lists = Pick<SteeredServices, 'services' | 'realServers' | 'tunnels'>;
type ListChanges = NonNullable<SteeringChanges['added']>;

/** What has come to, or gone from, lists where anything has. */
function listsOf(lists: Lists, direction: 'added' | 'removed'): ListChanges {
  const entries = Object.entries(lists).map(([name, list]) => [name, list[direction]] as const);
  return Object.fromEntries(entries.filter(([, items]) => items.length > 0));
}

function notEmpty(name: 'added' | 'removed', lists: ListChanges): SteeringChanges {
  return Object.keys(lists).length === 0 ? {} : { [name]: lists };
}

function changedTables(now: ShortTables, next: ShortTables): Partial<ShortTables> {
  const names = ['marks', 'localAddresses', 'fullNat'] as const;
  const changed = names.filter((name) => !isDeepStrictEqual(now[name], next[name]));
  return Object.fromEntries(changed.map((name) => [name, next[name]]));
}

/** The first list, and what only the second has. */
function withMissing<Item>(first: readonly Item[], second: readonly Item[]): Item[] {
  const words = new Set(first.map((item) => JSON.stringify(item)));
  return [...first, ...second.filter((item) => !words.has(JSON.stringify(item)))];
}
