// Items of what is steered, which several services can have in common: how often each is there, and
// what has come and gone since the steering program was told. There can be a hundred thousand of
// them: no word is put together to tell them apart.

import type { SteeredProtocol } from 'af-xdp-socket';
import type { SteeredTunnel, TextEndpoint } from './steered-parts.ts';

const PROTOCOLS: readonly SteeredProtocol[] = ['tcp', 'udp', 'sctp', 'ah', 'esp', 'any'];

/** What tells endpoints of an address from each other. */
export function endpointKind({ protocol, port }: TextEndpoint): number {
  return port * PROTOCOLS.length + PROTOCOLS.indexOf(protocol);
}

/** What tells tunnels to an address from each other. */
export function tunnelKind({ guePort = 0 }: SteeredTunnel): number {
  return guePort;
}

/** Counted items. */
export class CountedItems<Item extends { readonly address: string }> {
  readonly #counts: ItemMap<Item, number>;
  readonly #added: ItemMap<Item, Item>;
  readonly #removed: ItemMap<Item, Item>;

  /** @param kindOf tells items of one address from each other */
  constructor(kindOf: (item: Item) => number) {
    this.#counts = new ItemMap(kindOf);
    this.#added = new ItemMap(kindOf);
    this.#removed = new ItemMap(kindOf);
  }

  add(item: Item): void {
    const count = this.#counts.get(item) ?? 0;
    this.#counts.set(item, count + 1);
    if (count === 0 && !this.#removed.delete(item)) this.#added.set(item, item);
  }

  /** Takes back one add(). */
  remove(item: Item): void {
    const count = this.#counts.get(item) ?? 0;
    if (count > 1) {
      this.#counts.set(item, count - 1);
      return;
    }
    this.#counts.delete(item);
    if (!this.#added.delete(item)) this.#removed.set(item, item);
  }

  /** Items that are there, and were not when they were last settled. */
  get added(): Item[] {
    return this.#added.values();
  }

  /** Items that are not there, and were when they were last settled. */
  get removed(): Item[] {
    return this.#removed.values();
  }

  /** What has come is known now. */
  settleAdded(): void {
    this.#added.clear();
  }

  /** What has gone is known now. */
  settleRemoved(): void {
    this.#removed.clear();
  }
}

/** Values by item. */
class ItemMap<Item extends { readonly address: string }, Value> {
  readonly #byKind = new Map<number, Map<string, Value>>();
  readonly #kindOf: (item: Item) => number;

  constructor(kindOf: (item: Item) => number) {
    this.#kindOf = kindOf;
  }

  get(item: Item): Value | undefined {
    return this.#byKind.get(this.#kindOf(item))?.get(item.address);
  }

  set(item: Item, value: Value): void {
    const kind = this.#kindOf(item);
    const byAddress = this.#byKind.get(kind);
    if (byAddress === undefined) this.#byKind.set(kind, new Map([[item.address, value]]));
    else byAddress.set(item.address, value);
  }

  /** @returns whether it was there */
  delete(item: Item): boolean {
    const kind = this.#kindOf(item);
    const byAddress = this.#byKind.get(kind);
    if (byAddress?.delete(item.address) !== true) return false;
    if (byAddress.size === 0) this.#byKind.delete(kind);
    return true;
  }

  values(): Value[] {
    const all: Value[] = [];
    for (const byAddress of this.#byKind.values()) {
      for (const value of byAddress.values()) all.push(value);
    }
    return all;
  }

  clear(): void {
    this.#byKind.clear();
  }
}
