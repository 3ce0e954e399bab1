// What the steering program has to take from the kernel, derived from what is configured now: pure.

import type { SteeredProtocol, SteeringTables } from 'af-xdp-socket';
import { PROTOCOL_SCTP, PROTOCOL_TCP, PROTOCOL_UDP } from '../../assembly/shared/codes.ts';
import type { ServiceWays } from '../ipvs/control.ts';
import type { LocalPool, MarkRule, PortRange, WorldAddress } from '../tables/world.ts';
import { CountedItems, endpointKind, tunnelKind } from './counted-items.ts';
import { markWord, type SteeredMark, steeredParts, WITH_PORTS } from './steered-parts.ts';

/** What steering depends on besides the services. */
export interface SteeringSurroundings {
  readonly marks: readonly MarkRule[];
  readonly pool: LocalPool;
  /** The director's own addresses. */
  readonly addresses: readonly WorldAddress[];
}

/** What steering depends on. */
export interface SteeringInput extends SteeringSurroundings {
  readonly services: readonly ServiceWays[];
}

/** What the services say about the lists that do not grow with them. */
export interface SteeringUse {
  /** Marks that a service is for, as markWord() spells them. */
  readonly marksInUse: { has(word: string): boolean };
  /** What services take besides themselves. */
  readonly marks: Iterable<SteeredMark>;
  readonly usesFullNat: boolean;
}

const PROTOCOL_NAMES: ReadonlyMap<number, SteeredProtocol> = new Map([
  [PROTOCOL_TCP, 'tcp'],
  [PROTOCOL_UDP, 'udp'],
  [PROTOCOL_SCTP, 'sctp'],
]);

/** The tables for the steering program. */
export function steeringTables({ services, ...surroundings }: SteeringInput): SteeringTables {
  const parts = services.map(steeredParts);
  const realServers = new CountedItems(endpointKind);
  const tunnels = new CountedItems(tunnelKind);
  for (const part of parts) {
    for (const endpoint of part.realServers) realServers.add(endpoint);
    for (const tunnel of part.tunnels) tunnels.add(tunnel);
  }
  return {
    services: parts.flatMap((part) => part.services),
    realServers: realServers.added,
    tunnels: tunnels.added,
    ...shortTables(surroundings, {
      marksInUse: new Set(parts.map(({ mark }) => mark)) as ReadonlySet<string>,
      marks: parts.flatMap(({ marks }) => marks),
      usesFullNat: parts.some(({ usesFullNat }) => usesFullNat),
    }),
  };
}

/** The lists that do not grow with the services. */
export function shortTables(
  { marks, pool, addresses }: SteeringSurroundings,
  use: SteeringUse,
): Required<Pick<SteeringTables, 'marks' | 'localAddresses' | 'fullNat'>> {
  const inUse = marks.filter((rule) => use.marksInUse.has(markWord(rule)));
  return {
    marks: [...inUse.flatMap(steeredMarks), ...use.marks],
    localAddresses: [...new Set(addresses.map(({ address }) => address))],
    fullNat: steeredPool(pool, use.usesFullNat),
  };
}

function steeredMarks({ family, protocol, destination, ports }: MarkRule): SteeredMark[] {
  const anywhere = family === 4 ? '0.0.0.0/0' : '::/0';
  const prefix =
    destination === undefined ? anywhere : `${destination.address}/${destination.prefixLength}`;
  const name = PROTOCOL_NAMES.get(protocol);
  if (ports.length === 0) return [{ destination: prefix, protocol: name ?? 'any' }];
  const protocols = name === undefined ? WITH_PORTS : [name];
  return protocols.map((each) => ({ destination: prefix, protocol: each, ports }));
}

/** Without a server that is reached by full-nat, only what connections may still be sent from. */
export function steeredPool(
  { addresses, services = new Map(), retired = [], portRanges }: LocalPool,
  isUsed: boolean,
) {
  const ports = portRanges.filter((range: PortRange) => range[0] <= range[1]);
  const used = isUsed ? [...addresses, ...[...services.values()].flat()] : [];
  const steered = new Set([...used, ...retired].map(({ address }) => address));
  return Array.from(steered, (address) => ({ address, ports }));
}
