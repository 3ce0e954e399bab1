// A set of endpoints of the steering program. There can be a hundred thousand of them, and all are
// gone through again with each change: no word is put together to tell them apart.

import type { SteeredEndpoint, SteeredProtocol } from 'af-xdp-socket';

/** The director gives all addresses as canonical text. */
type ByAddress = Map<SteeredEndpoint['address'], SteeredEndpoint>;

/** Endpoints, each of them once. */
export class EndpointSet {
  readonly #byProtocol = new Map<SteeredProtocol, Map<number, ByAddress>>();

  constructor(endpoints: Iterable<SteeredEndpoint> = []) {
    for (const endpoint of endpoints) this.add(endpoint);
  }

  add(endpoint: SteeredEndpoint): void {
    const { protocol, port, address } = endpoint;
    const byPort = getOrMake(this.#byProtocol, protocol);
    getOrMake(byPort, port).set(address, endpoint);
  }

  has({ protocol, port, address }: SteeredEndpoint): boolean {
    return this.#byProtocol.get(protocol)?.get(port)?.has(address) === true;
  }

  /** All of them, those of one protocol and port together. */
  toArray(): SteeredEndpoint[] {
    const all: SteeredEndpoint[] = [];
    for (const byPort of this.#byProtocol.values()) {
      for (const byAddress of byPort.values()) {
        for (const endpoint of byAddress.values()) all.push(endpoint);
      }
    }
    return all;
  }
}

function getOrMake<Key, InnerKey, Value>(
  maps: Map<Key, Map<InnerKey, Value>>,
  key: Key,
): Map<InnerKey, Value> {
  const known = maps.get(key);
  if (known !== undefined) return known;
  const made = new Map<InnerKey, Value>();
  maps.set(key, made);
  return made;
}
