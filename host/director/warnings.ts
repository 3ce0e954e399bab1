// What is odd about a configuration on this machine, as its addresses and routes are now. The file
// itself is right; `wvs check`, which must answer the same everywhere, says nothing of this.

import { ROUTE_KIND, ROUTE_VIA } from '../../assembly/shared/layout.ts';
import { addressBytes, inPrefix } from '../config/address.ts';
import type {
  Config,
  ConfigProblem,
  DestinationConfig,
  ServiceConfig,
  SourcePosition,
} from '../config/types.ts';
import type { DataPlaneMemory } from '../memory/data-plane-memory.ts';
import { findRoute } from '../tables/routes.ts';
import type { World } from '../tables/world.ts';

/** More warnings than these help nobody. */
const WARNINGS_MAX = 50;

/** What the warnings depend on. */
export interface Surroundings {
  /** As it is published. */
  readonly world: World;
  readonly memory: DataPlaneMemory;
  /** The interface of each port, by the port's index. */
  readonly interfaces: readonly string[];
}

/** Virtual addresses that the director does not have, and servers that no packet can get to. */
export function kernelWarnings(config: Config, surroundings: Surroundings): ConfigProblem[] {
  const found = new Map<string, ConfigProblem>();
  const own = new Set(surroundings.world.addresses.map(({ address }) => address));
  const isFull = () => found.size > WARNINGS_MAX;
  const add = (key: string, problem: () => Omit<ConfigProblem, 'file'>) => {
    if (found.has(key) || isFull()) return;
    found.set(key, { file: config.file, ...problem() });
  };
  for (const [index, service] of config.services.entries()) {
    if (isFull()) break;
    const { listen } = service;
    const path = `services[${index}]`;
    if (listen.kind === 'address' && !own.has(listen.address)) {
      add(`vip ${listen.address}`, () => missingAddress(service, path, surroundings));
    }
    for (const [number, server] of service.servers.entries()) {
      if (own.has(server.address)) continue;
      const why = whyUnreachable(server, surroundings);
      if (why === undefined) continue;
      const place = {
        path: `${path}.servers[${number}].address`,
        ...serverPosition(service, server),
      };
      add(`server ${server.address} ${why.code}`, () => ({ ...place, ...why }));
    }
  }
  const all = [...found.values()];
  if (all.length <= WARNINGS_MAX) return all;
  const message = `there are more warnings than these ${WARNINGS_MAX}`;
  const more = { file: config.file, ...NOWHERE, path: '', code: 'more-warnings', message };
  return [...all.slice(0, WARNINGS_MAX), more];
}

const NOWHERE: SourcePosition = { line: 1, column: 1 };

/** Where a server stands in the file. */
function serverPosition(
  { lineShift = 0, position: servicePosition }: ServiceConfig,
  { position }: DestinationConfig,
): SourcePosition {
  if (position === undefined) return servicePosition ?? NOWHERE;
  return { line: position.line + lineShift, column: position.column };
}

function missingAddress(
  { listen, position = NOWHERE }: ServiceConfig,
  path: string,
  { world, interfaces }: Surroundings,
): Omit<ConfigProblem, 'file'> {
  const { address = '', family } = listen.kind === 'address' ? listen : { family: 4 as const };
  const bytes = addressBytes(address);
  const network = world.addresses.find(
    (each) =>
      each.port !== undefined &&
      each.family === family &&
      inPrefix(bytes, addressBytes(each.address), each.prefixLength),
  );
  const device = interfaces[network?.port ?? 0] ?? 'lo';
  const message =
    `${address} is not an address of this director, so nobody sends it packets for it: ` +
    `run ip addr add ${address}/${family === 4 ? 32 : 128} dev ${device}`;
  return { ...position, path: `${path}.listen`, code: 'vip-not-local', message };
}

function whyUnreachable(
  { address, family, forwarding }: DestinationConfig,
  surroundings: Surroundings,
): Pick<ConfigProblem, 'code' | 'message'> | undefined {
  const kind = routeKind(address, surroundings);
  if (kind === NO_ROUTE) {
    const message =
      `no route of a port leads to ${address}: packets to it are dropped; ` +
      `run ip route add ${address}/${family === 4 ? 32 : 128} via GATEWAY, or dev INTERFACE`;
    return { code: 'server-unreachable', message };
  }
  if (forwarding !== 'direct-route' || kind !== ROUTE_VIA) return undefined;
  const message =
    `direct-route needs ${address} on a network of a port, but the way to it is a gateway, ` +
    'which does not know what to do with packets for the virtual address: ' +
    'take `forwarding: tunnel` or nat';
  return { code: 'direct-route-via-gateway', message };
}

const NO_ROUTE = 0;
/** The kinds of routes to addresses, for as long as there is the same world. */
const routeKinds = new WeakMap<World, Map<string, number>>();

/** ROUTE_* of the way to an address: a hundred thousand of them are asked for at each reload. */
function routeKind(address: string, { world, memory }: Surroundings): number {
  let kinds = routeKinds.get(world);
  if (kinds === undefined) {
    kinds = new Map();
    routeKinds.set(world, kinds);
  }
  const known = kinds.get(address);
  if (known !== undefined) return known;
  const route = findRoute(memory, memory.activeBank(), addressBytes(address));
  const kind = route === 0 ? NO_ROUTE : memory.u8[route + ROUTE_KIND]!;
  kinds.set(address, kind);
  return kind;
}
