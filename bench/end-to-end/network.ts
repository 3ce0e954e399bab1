// The network of the benches end to end: every balancer has a namespace of its own between the same
// two ends, so that all of them can be up at once and take turns.
//
//            c1 ── wan │ balancer 1 │ lan ── s1
//   client   c2 ── wan │ balancer 2 │ lan ── s2   server
//            c3 ────────── (direct) ──────── s3
//
// The generator of packets plays both ends and holds them in one namespace; HTTP needs two. Balancer N
// has 10.N.1.0/24 towards the client and 10.N.2.0/24 towards the servers.

import { type Namespace, NamespaceSet, removeLeftovers } from '../../host/netns/namespaces.ts';

/** Where one balancer stands. */
export interface Site {
  readonly name: string;
  /** Absent on the direct wire. */
  readonly director: Namespace | undefined;
  /** The client's and the servers' end. */
  readonly interfaces: readonly [client: string, server: string];
  /** MAC addresses of those ends. */
  readonly macs: readonly [client: string, server: string];
  /** MAC addresses at the other end of the same wires. */
  readonly gateways: readonly [client: string, server: string];
  readonly virtualAddress: string;
  /** On the direct wire the virtual address itself. */
  readonly servers: readonly string[];
}

export interface Network {
  readonly set: NamespaceSet;
  readonly client: Namespace;
  readonly server: Namespace;
  readonly sites: readonly Site[];
  close(): Promise<void>;
}

export interface NetworkOptions {
  readonly names: readonly string[];
  /** Whose wire goes straight from the client to the servers. */
  readonly direct: string;
  /** For the generator: one namespace is both ends, and no address is ever resolved. */
  readonly isForGenerator: boolean;
}

/** The generator's clients; clientOf() in generator.c. */
const GENERATED_CLIENTS = '16.0.0.0/8';
const SERVERS = [11, 12] as const;
const PORTS_OF_CLIENTS = '1024\t65535';
/** A day; the kernel takes half of it to one and a half, at random. */
const REACHABLE_MS = 86_400_000;
const QUEUES = 'numrxqueues 1 numtxqueues 1';

/** @throws CommandError when the network cannot be made */
export function createNetwork(options: NetworkOptions): Network {
  removeLeftovers();
  const set = new NamespaceSet();
  try {
    const client = createEnd(set, 'client');
    const server = options.isForGenerator ? client : createEnd(set, 'server');
    const sites = options.names.map((name, index) => {
      const place = { name, number: index + 1, client, server };
      return name === options.direct
        ? layDirectWire(place)
        : createSite(set, place, options.isForGenerator);
    });
    return { set, client, server, sites, close: () => set.close() };
  } catch (error) {
    set.closeNow();
    throw error;
  }
}

interface Place {
  readonly name: string;
  readonly number: number;
  readonly client: Namespace;
  readonly server: Namespace;
}

function createEnd(set: NamespaceSet, role: string): Namespace {
  const end = set.create(role);
  quieten(end);
  // A connection for every request needs all the ports there are.
  end.run(['sh', '-c', `echo '${PORTS_OF_CLIENTS}' >/proc/sys/net/ipv4/ip_local_port_range`]);
  end.sysctl({ 'net/ipv4/tcp_tw_reuse': 1, 'net/core/somaxconn': 4096 });
  return end;
}

/** Without IPv6 no end talks by itself. */
function quieten(namespace: Namespace): void {
  namespace.sysctl({
    'net/ipv6/conf/all/disable_ipv6': 1,
    'net/ipv6/conf/default/disable_ipv6': 1,
  });
}

function macOf(number: number, end: number): string {
  return `02:00:00:00:${number.toString(16).padStart(2, '0')}:0${end}`;
}

function layDirectWire({ name, number, client, server }: Place): Site {
  const [left, right] = [`c${number}`, `s${number}`] as const;
  const macs = [macOf(number, 1), macOf(number, 4)] as const;
  const address = `10.${number}.1.80`;
  client.ip([
    `link add name ${left} address ${macs[0]} ${QUEUES} type veth ` +
      `peer name ${right} address ${macs[1]} netns ${server.name} ${QUEUES}`,
    `address add 10.${number}.1.2/24 dev ${left}`,
    `link set ${left} up`,
  ]);
  server.ip([`address add ${address}/24 dev ${right}`, `link set ${right} up`]);
  return {
    name,
    director: undefined,
    interfaces: [left, right],
    macs,
    gateways: [macs[1], macs[0]],
    virtualAddress: address,
    servers: [address],
  };
}

function createSite(set: NamespaceSet, place: Place, isForGenerator: boolean): Site {
  const { name, number } = place;
  const director = set.create(`site-${number}`);
  quieten(director);
  const site: Site = {
    name,
    director,
    interfaces: [`c${number}`, `s${number}`],
    macs: [macOf(number, 1), macOf(number, 4)],
    gateways: [macOf(number, 2), macOf(number, 3)],
    virtualAddress: `10.${number}.1.80`,
    servers: SERVERS.map((host) => `10.${number}.2.${host}`),
  };
  plug(director, 'wan', site.gateways[0], place.client, [site.interfaces[0], site.macs[0]]);
  plug(director, 'lan', site.gateways[1], place.server, [site.interfaces[1], site.macs[1]]);
  director.ip([
    `address add 10.${number}.1.1/24 dev wan`,
    `address add ${site.virtualAddress}/32 dev wan`,
    `address add 10.${number}.2.1/24 dev lan`,
  ]);
  director.sysctl({ 'net/ipv4/ip_forward': 1, 'net/core/somaxconn': 4096 });
  director.run(['sh', '-c', `echo '${PORTS_OF_CLIENTS}' >/proc/sys/net/ipv4/ip_local_port_range`]);
  if (isForGenerator) tellNeighbours(director, site, number);
  else addAddresses(place, site);
  return site;
}

function plug(
  director: Namespace,
  port: string,
  mac: string,
  end: Namespace,
  [device, deviceMac]: readonly [string, string],
): void {
  director.ip([
    `link add name ${port} address ${mac} ${QUEUES} type veth ` +
      `peer name ${device} address ${deviceMac} netns ${end.name} ${QUEUES}`,
    `link set ${port} up`,
  ]);
  end.ip([`link set ${device} up`]);
}

/** The generator answers no ARP: its neighbours know it once and for as long as a run takes. */
function tellNeighbours(director: Namespace, site: Site, number: number): void {
  const [client, server] = site.macs;
  director.sysctl({
    'net/ipv4/neigh/wan/base_reachable_time_ms': REACHABLE_MS,
    'net/ipv4/neigh/lan/base_reachable_time_ms': REACHABLE_MS,
  });
  director.ip([
    `neighbour add 10.${number}.1.2 lladdr ${client} dev wan nud reachable`,
    `route add ${GENERATED_CLIENTS} via 10.${number}.1.2 dev wan`,
    ...site.servers.map((address) => {
      return `neighbour add ${address} lladdr ${server} dev lan nud reachable`;
    }),
  ]);
}

function addAddresses({ client, server, number }: Place, site: Site): void {
  client.ip([`address add 10.${number}.1.2/24 dev ${site.interfaces[0]}`]);
  server.ip([
    ...site.servers.map((address) => `address add ${address}/24 dev ${site.interfaces[1]}`),
    `route add 10.${number}.1.0/24 via 10.${number}.2.1`,
  ]);
}
