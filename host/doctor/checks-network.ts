/** Checks of what surrounds the director: virtual addresses, routes, neighbours, tunnels, ports. */

import { addressBits } from '../config/address.ts';
import type { Config, DestinationConfig, ServiceConfig, TunnelConfig } from '../config/types.ts';
import type { Family } from '../tables/hash.ts';
import type { WorldRoute } from '../tables/world.ts';
import type { Facts, NetworkFacts, PortFacts } from './facts.ts';
import { type Check, type Finding, fail, machineCheck, ok, type Verdict, warn } from './finding.ts';
import { findRoute } from './routes.ts';

/** Of one check no more lines than these are printed; ten thousand alike help nobody. */
const FINDINGS_MAX = 20;
/** What a full-size Ethernet packet of a client takes. */
const CLIENT_MTU = 1500;

/** The checks of this file, in the order in which they are printed. */
export const NETWORK_CHECKS: readonly Check[] = [
  machineCheck('ip-forward', judgeForwarding),
  (facts) => each('virtual-address', facts, virtualAddresses(facts), judgeVirtualAddress),
  (facts) => each('route', facts, servers(facts), judgeRoute),
  (facts) => each('neighbour', facts, servers(facts), judgeNeighbour),
  (facts) => each('tunnel-mtu', facts, tunnels(facts), judgeTunnel),
  machineCheck('full-nat-addresses', judgeFullNatAddresses),
  machineCheck('full-nat-ports', judgeFullNatPorts),
];

/** Something a configuration names, and how it is called in a finding. */
interface Named<Value> {
  readonly subject: string;
  readonly value: Value;
}

/** What there is to judge with, once there is a configuration and a network. */
interface Scene {
  readonly config: Config;
  readonly network: NetworkFacts;
  readonly ports: readonly PortFacts[];
}

/** Judges all of a kind: one line for those that are well, one for each of the others. */
function each<Value>(
  check: string,
  facts: Facts,
  all: readonly Named<Value>[],
  judge: (value: Value, scene: Scene) => Verdict,
): Finding[] {
  const { network, configuration, ports } = facts;
  const config = configuration?.config;
  if (network === undefined || config === undefined) return [];
  const found = all.flatMap(({ subject, value }) => {
    const verdict = judge(value, { network, config, ports });
    return verdict === undefined ? [] : [{ check, subject, ...verdict }];
  });
  const well = found.filter(({ level }) => level === 'ok');
  const others = found.filter(({ level }) => level !== 'ok');
  const shown: Finding[] = others.slice(0, FINDINGS_MAX);
  if (others.length > FINDINGS_MAX) {
    const rest = others.length - FINDINGS_MAX;
    const level = others.some((finding) => finding.level === 'fail') ? 'fail' : 'warn';
    shown.push({ check, level, saw: `${rest} more like these` });
  }
  if (well.length > 3) shown.unshift({ check, ...ok(`${well.length} are as they should be`) });
  else shown.unshift(...well);
  return shown;
}

function configOf(facts: Facts): Config | undefined {
  return facts.configuration?.config;
}

function servicesOf(facts: Facts): readonly ServiceConfig[] {
  return configOf(facts)?.services ?? [];
}

function judgeForwarding({ network }: Facts): Verdict {
  if (network?.ipForward === undefined) return undefined;
  const { ipForward, ipv6Forward } = network;
  return ok(
    `ip_forward is ${ipForward}, IPv6 forwarding ${ipv6Forward ?? 'absent'}: services do not need ` +
      "them, real servers' own connections through this machine do",
  );
}

function virtualAddresses(facts: Facts): Named<VirtualAddress>[] {
  const found = new Map<string, Named<VirtualAddress>>();
  for (const { listen, name } of servicesOf(facts)) {
    if (listen.kind !== 'address' || found.has(listen.address)) continue;
    const { address, family } = listen;
    found.set(address, { subject: `service ${name}`, value: { address, family } });
  }
  return [...found.values()];
}

interface VirtualAddress {
  readonly address: string;
  readonly family: Family;
}

function judgeVirtualAddress(vip: VirtualAddress, { network, ports }: Scene): Verdict {
  const { address, family } = vip;
  const owner = network.addresses.find((entry) => entry.address === address);
  const device = bestPort(vip, network, ports)?.interface ?? ports[0]?.interface ?? 'DEVICE';
  const noDad = family === 6 ? ' nodad' : '';
  const add = `ip address add ${address}/${addressBits(family)} dev ${device}${noDad}`;
  if (owner === undefined) {
    return fail(`${address} is not an address of this machine, so nobody answers for it`, add);
  }
  const saw = `${address} is on ${owner.interface}`;
  const remove = `ip address del ${address}/${addressBits(family)} dev ${owner.interface}`;
  if (owner.isDuplicate) return fail(`${saw}, but another machine has it too`, remove);
  if (owner.isTentative) return warn(`${saw}, still being probed`, `${remove}; ${add}`);
  return judgeAnswering(vip, { owner: owner.interface, saw, remove, add, ports });
}

/** Whether the machine answers ARP or neighbour discovery for a virtual address it has. */
function judgeAnswering(
  { family }: VirtualAddress,
  {
    owner,
    saw,
    remove,
    add,
    ports,
  }: {
    readonly owner: string;
    readonly saw: string;
    readonly remove: string;
    readonly add: string;
    readonly ports: readonly PortFacts[];
  },
): Verdict {
  if (ports.some((port) => port.interface === owner)) return ok(saw);
  if (family === 6) {
    const why = 'neighbour discovery is answered only on the interface that has the address';
    return warn(`${saw}, which is no port: ${why}`, `${remove}; ${add}`);
  }
  const silent = ports.filter(({ arpIgnore = 0 }) => arpIgnore > 0);
  if (silent.length === 0) return ok(`${saw}, ARP is answered on the ports`);
  const names = silent.map((port) => port.interface).join(', ');
  return fail(
    `${saw}, and arp_ignore keeps ${names} from answering ARP for it`,
    `${remove}; ${add}`,
  );
}

/** The port that has an address of the same network, for the line that adds a virtual address. */
function bestPort(
  { address }: VirtualAddress,
  { world }: NetworkFacts,
  ports: readonly PortFacts[],
): PortFacts | undefined {
  const route = findRoute(world.routes, address);
  return route === undefined || route.kind === 'unreachable' ? undefined : ports[route.port];
}

function servers(facts: Facts): Named<DestinationConfig>[] {
  const found = new Map<string, Named<DestinationConfig>>();
  for (const service of servicesOf(facts)) {
    const sorry = service.sorryServer === undefined ? [] : [service.sorryServer];
    for (const value of [...service.servers, ...sorry]) {
      if (!found.has(value.address)) {
        found.set(value.address, { subject: `server ${value.address}`, value });
      }
    }
  }
  return [...found.values()];
}

function judgeRoute({ address }: DestinationConfig, { network, ports }: Scene): Verdict {
  const route = findRoute(network.world.routes, address);
  if (route === undefined || route.kind === 'unreachable') {
    const device = ports.at(-1)?.interface ?? 'DEVICE';
    const line = `ip route add ${address} via GATEWAY dev ${device}`;
    return fail(`no route leads to ${address} by a port of the director`, line);
  }
  if (route.kind === 'local') return ok(`${address} is this machine itself`);
  const port = ports[route.port]!.interface;
  if (route.kind === 'via') return ok(`${address} by ${route.via} on ${port}`);
  return ok(`${address} is on the network of ${port}`);
}

function judgeNeighbour({ address, forwarding }: DestinationConfig, scene: Scene): Verdict {
  const { network, ports } = scene;
  const route = findRoute(network.world.routes, address);
  if (route === undefined || (route.kind !== 'via' && route.kind !== 'on-link')) return undefined;
  const port = ports[route.port]!;
  if (route.kind === 'via' && forwarding === 'direct-route') {
    const saw = `${address} is behind the router ${route.via}, which sends packets back`;
    return fail(saw, 'servers[].forwarding: tunnel');
  }
  const near = route.via ?? address;
  const neighbour = network.neighbours.find((entry) => {
    return entry.address === near && entry.port === route.port;
  });
  if (neighbour?.state === 'reachable') return ok(`${near} answers on ${port.interface}`);
  const look = near.includes(':')
    ? `ping -6 -c 3 -I ${port.interface} ${near}`
    : `arping -c 3 -I ${port.interface} ${near}`;
  return fail(
    `${near} does not answer on ${port.interface}`,
    `${look}   (is it up, on this wire?)`,
  );
}

/** Tunnels by what surrounds a packet in them, not once for each server. */
function tunnels(facts: Facts): Named<DestinationConfig>[] {
  const found = new Map<string, Named<DestinationConfig>>();
  for (const { value } of servers(facts)) {
    if (value.tunnel === undefined) continue;
    const route = findRoute(facts.network?.world.routes ?? [], value.address);
    const key = `${value.tunnel.type} ${value.tunnel.checksum} ${value.family} ${routeMtu(route)}`;
    const key2 = `${key} ${route?.port}`;
    if (found.has(key2)) continue;
    found.set(key2, { subject: `server ${value.address}`, value });
  }
  return [...found.values()];
}

function routeMtu(route: WorldRoute | undefined): number {
  return route?.mtu ?? 0;
}

function judgeTunnel({ address, family, tunnel }: DestinationConfig, scene: Scene): Verdict {
  const route = findRoute(scene.network.world.routes, address);
  if (route === undefined || tunnel === undefined) return undefined;
  const port = scene.ports[route.port];
  if (port?.info === undefined) return undefined;
  const mtu = routeMtu(route) || port.info.mtu;
  const overhead = tunnelOverhead(tunnel, family);
  const room = mtu - overhead;
  const saw = `${tunnel.type} adds ${overhead} bytes: packets of up to ${room} fit MTU ${mtu}`;
  if (room >= CLIENT_MTU) return ok(saw);
  return warn(
    `${saw}; larger ones are answered with "fragmentation needed"`,
    `ip link set ${port.interface} mtu ${CLIENT_MTU + overhead}   (on every machine of the wire, ` +
      `or on the real servers: ip route change default ... advmss ${room - 40})`,
  );
}

/** Bytes in front of a tunnelled packet. */
export function tunnelOverhead({ type, checksum }: TunnelConfig, family: Family): number {
  const outer = family === 4 ? 20 : 40;
  if (type === 'ipip') return outer;
  // GUE: UDP, its own header, and with remote checksum offload eight bytes of private option.
  if (type === 'gue') return outer + 8 + 4 + (checksum === 'remcsum' ? 8 : 0);
  return outer + 4 + (checksum === 'csum' ? 4 : 0);
}

function usesFullNat(facts: Facts): boolean {
  return servicesOf(facts).some((service) => {
    return service.servers.some(({ forwarding }) => forwarding === 'full-nat');
  });
}

function judgeFullNatAddresses(facts: Facts): Verdict {
  const { network } = facts;
  const config = configOf(facts);
  if (network === undefined || config === undefined || !usesFullNat(facts)) return undefined;
  const addresses = config.director.localAddresses;
  if (addresses.length === 0) {
    return fail('full-nat has no source addresses', 'director.localAddresses: [ADDRESS]');
  }
  const own = new Set(network.addresses.map(({ address }) => address));
  const missing = addresses.filter(({ address }) => !own.has(address));
  const all = addresses.map(({ address }) => address).join(', ');
  if (missing.length === 0) return ok(`full-nat sources ${all}`);
  const device = facts.ports.at(-1)?.interface ?? 'DEVICE';
  const lines = missing.map(({ address, family }) => {
    return `ip address add ${address}/${addressBits(family)} dev ${device}`;
  });
  const names = missing.map(({ address }) => address).join(', ');
  return fail(`${names} of full-nat's sources are not on this machine`, lines.join('; '));
}

function judgeFullNatPorts(facts: Facts): Verdict {
  const { network } = facts;
  const config = configOf(facts);
  if (network === undefined || config === undefined || !usesFullNat(facts)) return undefined;
  const { first, last } = config.director.localPorts;
  const [low, high] = network.ephemeralPorts;
  const usable =
    Math.max(0, Math.min(last, low - 1) - first + 1) +
    Math.max(0, last - Math.max(first, high + 1) + 1);
  const saw = `ports ${first} to ${last} for full-nat, ${low} to ${high} for the kernel's own`;
  const each = config.director.localAddresses.length;
  if (usable > 0) {
    return ok(`${saw}: ${usable} remain, so ${usable * each} connections to each real server port`);
  }
  const isReserved = network.reservedPorts.some(([from, to]) => from <= first && to >= last);
  if (isReserved) return ok(`${saw}, which reserves them for full-nat`);
  return warn(
    `${saw}: the kernel may use one for a connection of its own and never see the answers`,
    `sysctl -w net.ipv4.ip_local_reserved_ports=${first}-${last}`,
  );
}
