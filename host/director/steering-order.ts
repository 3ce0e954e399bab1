// When the steering program is told of changes. A worker sends a connection to a new server the
// moment it has the new tables, and the answer may be there a millisecond later: servers are
// steered before the workers know them. Services come after, and all that goes, goes last.

import { isDeepStrictEqual } from 'node:util';
import type { SteeringTables } from 'af-xdp-socket';
import { EndpointSet } from './endpoint-set.ts';

/** Publishes what is steered, in the right order around the workers' tables. */
export class SteeringOrder {
  readonly #publish: (tables: SteeringTables) => boolean;
  #published: SteeringTables | undefined;

  /** @param publish makes tables those in force; false when it could not */
  constructor(publish: (tables: SteeringTables) => boolean) {
    this.#publish = publish;
  }

  /** To be called before the workers get the tables that `next` belongs to. */
  before(next: SteeringTables): void {
    const now = this.#published;
    if (now === undefined) return;
    const servers = new EndpointSet(now.realServers);
    const realServers = joined(now.realServers, next.realServers, (each) => servers.has(each));
    const tunnels = joined(now.tunnels, next.tunnels, isAmong(now.tunnels, tunnelWord));
    const pool = isAmong(now.fullNat, (each) => JSON.stringify(each));
    const fullNat = joined(now.fullNat, next.fullNat, pool);
    const isNew = [realServers, tunnels, fullNat].some((list) => list.isLonger);
    if (!isNew) return;
    this.#put({
      ...now,
      realServers: realServers.list,
      tunnels: tunnels.list,
      fullNat: fullNat.list,
    });
  }

  /** To be called when the workers have them. */
  after(next: SteeringTables): void {
    if (isDeepStrictEqual(this.#published, next)) return;
    this.#put(next);
  }

  #put(tables: SteeringTables): void {
    if (this.#publish(tables)) this.#published = tables;
  }
}

function tunnelWord({ address, guePort }: NonNullable<SteeringTables['tunnels']>[number]): string {
  return `${address} ${guePort ?? ''}`;
}

function isAmong<Item>(
  list: readonly Item[] = [],
  wordOf: (item: Item) => string,
): (item: Item) => boolean {
  const words = new Set(list.map(wordOf));
  return (item) => words.has(wordOf(item));
}

/** Both lists; the second's own come last. */
function joined<Item>(
  first: readonly Item[] = [],
  second: readonly Item[] = [],
  isInFirst: (item: Item) => boolean,
): { readonly list: readonly Item[]; readonly isLonger: boolean } {
  const added = second.filter((item) => !isInFirst(item));
  return { list: [...first, ...added], isLonger: added.length > 0 };
}
