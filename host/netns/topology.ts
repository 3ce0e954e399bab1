/**
 * The network the demo and the end-to-end tests run in.
 *
 * Two-armed:                                 One-armed:
 *
 *   client   director    web-1    web-2        client   director   web-1    web-2
 *      |     wan   lan     |        |             |       lan        |        |
 *   ---+------+-   -+------+--------+---       ---+--------+---------+--------+---
 *      bridge wan   bridge lan                             bridge lan
 *          |            |
 *          +-- switch --+   (routes)
 *
 * The wires are bridges in a namespace of their own (`switch`), because the director's ports must
 * be plain interfaces. Servers reach the clients through the director (nat), as a neighbour
 * (full-nat), or, when they answer as the virtual address themselves (direct-route, tunnel),
 * without it: through the switch acting as a router, or directly when there is only one segment.
 * Both families always.
 */
import { join } from 'node:path';

import { ADDRESSES, type AddressPlan, DIRECT_METHODS, FAMILIES, METHODS } from './addresses.ts';
import {
  type Child,
  type Namespace,
  NamespaceSet,
  removeLeftovers,
  runCommand,
} from './namespaces.ts';
import { ensureCommands } from './prerequisites.ts';
import { sourceRoot, waitForLine } from './processes.ts';

export interface TopologyOptions {
  readonly arms: 1 | 2;
  /** Receive and transmit queues of the director's ports. */
  readonly queues: number;
  readonly servers: number;
}

export interface DirectorPort {
  readonly name: string;
  readonly interface: string;
}

export interface Topology {
  readonly set: NamespaceSet;
  readonly client: Namespace;
  readonly director: Namespace;
  readonly switch: Namespace;
  readonly servers: readonly Namespace[];
  readonly ports: readonly DirectorPort[];
  readonly options: TopologyOptions;
  close(): Promise<void>;
}

/** The routing table of a server for what it sends as a virtual address. */
const DIRECT_TABLE = 100;
const TUNNEL_DEVICE = 'tunnel0';

export function createTopology(options: TopologyOptions): Topology {
  ensureCommands(['ip']);
  removeLeftovers();
  const set = new NamespaceSet();
  try {
    return build(set, options);
  } catch (error) {
    set.closeNow();
    throw error;
  }
}

function build(set: NamespaceSet, options: TopologyOptions): Topology {
  const wires = set.create('switch');
  const director = set.create('director');
  const client = set.create('client');
  const servers: Namespace[] = [];
  for (let i = 0; i < options.servers; i += 1) servers.push(set.create(`web-${i + 1}`));

  const clientWire = options.arms === 2 ? 'wan' : 'lan';
  setUpSwitch(wires, options);
  plug(client, 'eth0', wires, { bridge: clientWire, queues: 1 });
  const ports = [...new Set([clientWire, 'lan'])].map((name) => ({ name, interface: name }));
  for (const port of ports) {
    plug(director, port.interface, wires, { bridge: port.name, queues: options.queues });
  }
  for (const server of servers) plug(server, 'eth0', wires, { bridge: 'lan', queues: 1 });

  setUpDirector(director, clientWire);
  setUpClient(client);
  servers.forEach((server, index) => {
    setUpServer(server, index, options);
  });
  return {
    set,
    client,
    director,
    switch: wires,
    servers,
    ports,
    options,
    close: () => set.close(),
  };
}

/** The name of the switch's end of a wire; interface names end at 15 characters. */
export function switchPort(namespace: Namespace, device: string): string {
  return `${namespace.role}-${device}`.slice(-15);
}

function setUpSwitch(wires: Namespace, options: TopologyOptions): void {
  const bridges = options.arms === 2 ? ['wan', 'lan'] : ['lan'];
  const lines = bridges.flatMap((bridge) => [
    // Neighbour discovery is multicast, which must not wait for a querier to appear.
    `link add name ${bridge} type bridge forward_delay 0 mcast_snooping 0`,
    `link set ${bridge} up`,
  ]);
  wires.ip(lines);
  if (options.arms === 1) return;
  wires.sysctl({ 'net/ipv4/ip_forward': 1, 'net/ipv6/conf/all/forwarding': 1 });
  wires.ip(
    eachFamily((plan) => [
      `address add ${plan.wan.router}/${plan.prefixLength} dev wan`,
      `address add ${plan.lan.router}/${plan.prefixLength} dev lan`,
    ]),
  );
}

/** Lays a wire between an interface and a bridge. XDP wants both ends to have the same queues. */
function plug(
  namespace: Namespace,
  device: string,
  wires: Namespace,
  wire: { readonly bridge: string; readonly queues: number },
): void {
  const queues = `numrxqueues ${wire.queues} numtxqueues ${wire.queues}`;
  const peer = switchPort(namespace, device);
  wires.ip([
    `link add name ${peer} ${queues} type veth ` +
      `peer name ${device} netns ${namespace.name} ${queues}`,
    `link set ${peer} master ${wire.bridge} up`,
  ]);
  namespace.ip([`link set ${device} up`]);
}

function setUpDirector(director: Namespace, clientWire: string): void {
  // The servers' ordinary traffic, such as their own connections, goes through the kernel.
  director.sysctl({ 'net/ipv4/ip_forward': 1, 'net/ipv6/conf/all/forwarding': 1 });
  director.ip(
    eachFamily((plan) => [
      `address add ${plan.wan.director}/${plan.prefixLength} dev ${clientWire}`,
      `address add ${plan.lan.director}/${plan.prefixLength} dev lan`,
      `address add ${plan.lan.fullNatSource}/${plan.bits} dev lan`,
      ...METHODS.map((method) => {
        return `address add ${plan.wan.vips[method]}/${plan.bits} dev ${clientWire}`;
      }),
    ]),
  );
}

function setUpClient(client: Namespace): void {
  client.ip(
    eachFamily((plan) =>
      plan.wan.clients.map((address) => {
        return `address add ${address}/${plan.prefixLength} dev eth0`;
      }),
    ),
  );
}

function setUpServer(server: Namespace, index: number, options: TopologyOptions): void {
  server.sysctl({
    // The virtual address on lo must not be announced on the wire, where it is the director's.
    'net/ipv4/conf/all/arp_ignore': 1,
    'net/ipv4/conf/all/arp_announce': 2,
    // The kernel answers one refused datagram a second unless told otherwise.
    'net/ipv4/icmp_ratelimit': 0,
    'net/ipv6/icmp/ratelimit': 0,
  });
  server.ip([`tuntap add name ${TUNNEL_DEVICE} mode tun`, `link set ${TUNNEL_DEVICE} up`]);
  server.ip(
    eachFamily((plan) => [
      `address add ${plan.lan.servers[index]}/${plan.prefixLength} dev eth0`,
      `route add default via ${plan.lan.director}`,
      // Away from the director: over the router, or straight across the only wire.
      options.arms === 2
        ? `route add ${plan.wan.prefix} via ${plan.lan.router} table ${DIRECT_TABLE}`
        : `route add ${plan.wan.prefix} dev eth0 table ${DIRECT_TABLE}`,
    ]),
  );
  for (const family of FAMILIES) {
    const { wan, bits } = ADDRESSES[family];
    const vips = DIRECT_METHODS.map((method) => wan.vips[method]);
    server.ip(
      vips.flatMap((vip) => [
        `address add ${vip}/${bits} dev lo`,
        `rule add from ${vip} table ${DIRECT_TABLE}`,
      ]),
      family,
    );
  }
}

/** Starts the program that stands in for a tunnel device; the device was made with the server. */
export async function startDecapsulator(server: Namespace): Promise<Child> {
  const directory = join(sourceRoot(), 'host/netns');
  const program = join(directory, 'build/decapsulator');
  ensureCommands(['make', 'cc']);
  runCommand(['make', '-s', '-C', directory]);
  const child = server.spawn([program, TUNNEL_DEVICE]);
  await waitForLine(child, /^ready$/, { what: `the decapsulator of ${server.role}` });
  return child;
}

function eachFamily(lines: (plan: AddressPlan) => readonly string[]): string[] {
  return FAMILIES.flatMap((family) => lines(ADDRESSES[family]));
}
