/** Facts about addresses, routes and neighbours, as rtnetlink tells them. */

import { addressBytes } from '../config/address.ts';
import type { Config } from '../config/types.ts';
import type { WorldNeighbour, WorldRoute } from '../tables/world.ts';
import { ephemeralPorts, reservedPorts } from '../world/kernel-ports.ts';
import { NLM_F_CREATE, NLM_F_REPLACE } from '../world/netlink-message.ts';
import {
  type AddressMessage,
  encodeNeighbourUse,
  IFA_F_DADFAILED,
  IFA_F_TENTATIVE,
  type LinkMessage,
  parseAddressMessage,
  parseLink,
  parseNeighbour,
  parseRoute,
  RTM_GETADDR,
  RTM_GETLINK,
  RTM_GETNEIGH,
  RTM_GETROUTE,
  RTM_NEWNEIGH,
} from '../world/rtnetlink.ts';
import { RtnetlinkChannel } from '../world/rtnetlink-channel.ts';
import { buildNeighbour, buildWorld, type PortInterface } from '../world/snapshot.ts';
import type { AddressFacts, NetworkFacts, PortFacts } from './facts.ts';
import { findRoute } from './routes.ts';
import { readNumber, type System } from './system.ts';

/** How long neighbours may take to answer: the kernel asks again after one second. */
const RESOLVE_MS = 1500;
const RESOLVE_STEP_MS = 100;
const NO_INTERFACE = -1;

/** Asks the kernel; neighbours that are not known yet are asked for and waited for. */
export async function collectNetwork(
  ports: readonly PortFacts[],
  config: Config | undefined,
  system: System,
): Promise<NetworkFacts> {
  const channel = new RtnetlinkChannel();
  try {
    const interfaces = ports.map(toInterface);
    const links = await dump(channel, RTM_GETLINK, parseLink);
    const addresses = await dump(channel, RTM_GETADDR, parseAddressMessage);
    const routes = await dump(channel, RTM_GETROUTE, parseRoute);
    const world = buildWorld({ links, addresses, routes }, interfaces);
    const hops = nextHops(world.routes, config);
    return {
      world,
      neighbours: await resolve(channel, interfaces, hops),
      addresses: addressFacts(addresses, links),
      ipForward: readNumber(system, '/proc/sys/net/ipv4/ip_forward'),
      ipv6Forward: readNumber(system, '/proc/sys/net/ipv6/conf/all/forwarding'),
      ephemeralPorts: ephemeralPorts((file) => system.read(file)),
      reservedPorts: reservedPorts((file) => system.read(file)),
    };
  } finally {
    channel.close();
  }
}

/** A port without an interface keeps its place, for the numbers of the others. */
function toInterface({ name, info }: PortFacts): PortInterface {
  return { name, ifindex: info?.index ?? NO_INTERFACE, partialChecksums: false };
}

async function dump<Message>(
  channel: RtnetlinkChannel,
  type: number,
  parse: (payload: Uint8Array) => Message | undefined,
): Promise<Message[]> {
  const messages = await channel.dump(type);
  return messages.map(({ payload }) => parse(payload)).filter((message) => message !== undefined);
}

function addressFacts(
  addresses: readonly AddressMessage[],
  links: readonly LinkMessage[],
): AddressFacts[] {
  const names = new Map(links.map(({ ifindex, name }) => [ifindex, name]));
  return addresses.map(({ address, ifindex, flags }) => ({
    address,
    interface: names.get(ifindex) ?? String(ifindex),
    isDuplicate: (flags & IFA_F_DADFAILED) !== 0,
    isTentative: (flags & (IFA_F_TENTATIVE | IFA_F_DADFAILED)) === IFA_F_TENTATIVE,
  }));
}

interface Hop {
  readonly port: number;
  readonly address: string;
}

/** Where the packets to all real servers go next. */
function nextHops(routes: readonly WorldRoute[], config: Config | undefined): Hop[] {
  const hops = new Map<string, Hop>();
  for (const { servers, sorryServer } of config?.services ?? []) {
    for (const { address } of [...servers, ...(sorryServer === undefined ? [] : [sorryServer])]) {
      const route = findRoute(routes, address);
      if (route === undefined || (route.kind !== 'via' && route.kind !== 'on-link')) continue;
      const hop = { port: route.port, address: route.via ?? address };
      hops.set(`${hop.port} ${hop.address}`, hop);
    }
  }
  return [...hops.values()];
}

/** Makes the kernel look for the next hops it does not know, and waits for answers. */
async function resolve(
  channel: RtnetlinkChannel,
  ports: readonly PortInterface[],
  hops: readonly Hop[],
): Promise<WorldNeighbour[]> {
  const read = async () => {
    const messages = await dump(channel, RTM_GETNEIGH, parseNeighbour);
    return messages
      .map((message) => buildNeighbour(message, ports))
      .filter((neighbour) => neighbour !== undefined);
  };
  const deadline = performance.now() + RESOLVE_MS;
  let neighbours = await read();
  let unknown = unresolved(hops, neighbours);
  for (const { port, address } of unknown) {
    const request = encodeNeighbourUse(ports[port]!.ifindex, addressBytes(address));
    channel.send(RTM_NEWNEIGH, NLM_F_CREATE | NLM_F_REPLACE, request);
  }
  while (unknown.length > 0 && performance.now() < deadline) {
    await new Promise((done) => setTimeout(done, RESOLVE_STEP_MS));
    neighbours = await read();
    unknown = unresolved(hops, neighbours);
  }
  return neighbours;
}

function unresolved(hops: readonly Hop[], neighbours: readonly WorldNeighbour[]): Hop[] {
  const reachable = new Set(
    neighbours
      .filter(({ state }) => state === 'reachable')
      .map(({ port, address }) => `${port} ${address}`),
  );
  return hops.filter(({ port, address }) => !reachable.has(`${port} ${address}`));
}
