// When the steering program is told of changes. A worker sends a connection to a new server the
// moment it has the new tables, and the answer may be there a millisecond later: servers are
// steered before the workers know them. Services come after, and all that goes, goes last.

import { isDeepStrictEqual } from 'node:util';
import type { SteeringTables } from 'af-xdp-socket';

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
    const realServers = joined(now.realServers, next.realServers, endpointWord);
    const tunnels = joined(now.tunnels, next.tunnels, tunnelWord);
    const fullNat = joined(now.fullNat, next.fullNat, (each) => JSON.stringify(each));
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

function endpointWord({
  address,
  protocol,
  port,
}: NonNullable<SteeringTables['realServers']>[number]): string {
  return `${protocol} ${address} ${port}`;
}

function tunnelWord({ address, guePort }: NonNullable<SteeringTables['tunnels']>[number]): string {
  return `${address} ${guePort ?? ''}`;
}

/** Both lists; the second's own come last. */
function joined<Item>(
  first: readonly Item[] = [],
  second: readonly Item[] = [],
  wordOf: (item: Item) => string,
): { readonly list: readonly Item[]; readonly isLonger: boolean } {
  const known = new Set(first.map(wordOf));
  const added = second.filter((item) => !known.has(wordOf(item)));
  return { list: [...first, ...added], isLonger: added.length > 0 };
}
