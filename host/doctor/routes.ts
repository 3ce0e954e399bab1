/** Which route a packet takes: the longest prefix, as the kernel and the data plane choose. */

import { addressBytes } from '../config/address.ts';
import type { WorldRoute } from '../tables/world.ts';

/** The route to an address, or undefined when there is none. */
export function findRoute(routes: readonly WorldRoute[], address: string): WorldRoute | undefined {
  const target = addressBytes(address);
  let best: WorldRoute | undefined;
  for (const route of routes) {
    if (best !== undefined && route.prefixLength <= best.prefixLength) continue;
    if (matches(addressBytes(route.prefix), route.prefixLength, target)) best = route;
  }
  return best;
}

function matches(prefix: Uint8Array, length: number, target: Uint8Array): boolean {
  if (prefix.length !== target.length) return false;
  const whole = length >>> 3;
  for (let index = 0; index < whole; index++) {
    if (prefix[index] !== target[index]) return false;
  }
  const rest = length & 7;
  return rest === 0 || (prefix[whole] ^ target[whole]) >>> (8 - rest) === 0;
}
