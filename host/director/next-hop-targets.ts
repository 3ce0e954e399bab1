// The neighbours that packets will surely go to: gateways, and real servers on a port's own network.
// They are resolved before the first packet, which would otherwise be the one that is lost.

import { ROUTE_KIND, ROUTE_ON_LINK, ROUTE_PORT } from '../../assembly/shared/layout.ts';
import { addressBytes } from '../config/address.ts';
import type { DataPlaneMemory } from '../memory/data-plane-memory.ts';
import { findRoute } from '../tables/routes.ts';
import type { World } from '../tables/world.ts';
import type { NeighbourKey } from '../world/neighbour-keeper.ts';

/**
 * The gateways of all routes, and those of the addresses that are on a port's network.
 * @param addresses real servers; looked up in the published routes
 */
export function nextHopTargets(
  memory: DataPlaneMemory,
  world: World,
  addresses: Iterable<string>,
): NeighbourKey[] {
  const targets = new Map<string, NeighbourKey>();
  const add = (port: number, address: Uint8Array) => {
    targets.set(`${port} ${Buffer.from(address).toString('latin1')}`, { port, address });
  };
  for (const { kind, via, port } of world.routes) {
    if (kind === 'via' && via !== undefined) add(port, addressBytes(via));
  }
  const bank = memory.activeBank();
  for (const address of addresses) {
    const bytes = addressBytes(address);
    const route = findRoute(memory, bank, bytes);
    if (route === 0 || memory.u8[route + ROUTE_KIND] !== ROUTE_ON_LINK) continue;
    add(memory.u8[route + ROUTE_PORT], bytes);
  }
  return [...targets.values()];
}
