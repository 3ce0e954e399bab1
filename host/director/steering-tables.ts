// What the steering program has to take from the kernel, derived from what is configured now: pure.
// It takes only what is surely the data plane's; all else stays with the kernel's own stack.

import type { SteeredEndpoint, SteeredProtocol, SteeringTables } from 'af-xdp-socket';
import {
  FORWARD_FULL_NAT,
  FORWARD_NAT,
  FORWARD_TUNNEL,
  PROTOCOL_SCTP,
  PROTOCOL_TCP,
  PROTOCOL_UDP,
  TUNNEL_GUE,
} from '../../assembly/shared/codes.ts';
import type { DestinationWay, ServiceWays } from '../ipvs/control.ts';
import type { ServiceKey } from '../ipvs/types.ts';
import type { LocalPool, MarkRule, PortRange, WorldAddress } from '../tables/world.ts';
import { EndpointSet } from './endpoint-set.ts';

/** What steering depends on. */
export interface SteeringInput {
  readonly services: readonly ServiceWays[];
  readonly marks: readonly MarkRule[];
  readonly pool: LocalPool;
  /** The director's own addresses. */
  readonly addresses: readonly WorldAddress[];
}

const PROTOCOL_NAMES: ReadonlyMap<number, SteeredProtocol> = new Map([
  [PROTOCOL_TCP, 'tcp'],
  [PROTOCOL_UDP, 'udp'],
  [PROTOCOL_SCTP, 'sctp'],
]);
const WITH_PORTS: readonly SteeredProtocol[] = ['tcp', 'udp', 'sctp'];
/** An FTP service's data connections: from the server's port 20, or to any port it names. */
const FTP_PORT = 21;
const FTP_DATA_PORTS: readonly (readonly [number, number])[] = [
  [20, 20],
  [1024, 65535],
];

/** The tables for the steering program. */
export function steeringTables(input: SteeringInput): SteeringTables {
  const services: SteeredEndpoint[] = [];
  const realServers = new EndpointSet();
  const tunnels = new Map<string, { address: string; guePort?: number }>();
  const marksInUse = new Set<string>();
  const ftpData: SteeredMark[] = [];
  let usesFullNat = false;
  for (const { service, destinations } of input.services) {
    const { key } = service;
    if ('mark' in key) marksInUse.add(`${key.family} ${key.mark}`);
    else services.push({ address: key.address, protocol: key.protocol, port: key.port });
    if (isFtp(key)) ftpData.push(ftpDataConnections(key));
    for (const destination of destinations) {
      const { forwarding } = destination;
      usesFullNat ||= forwarding === FORWARD_FULL_NAT;
      if (forwarding === FORWARD_TUNNEL) addTunnel(tunnels, destination);
      if (forwarding !== FORWARD_NAT && forwarding !== FORWARD_FULL_NAT) continue;
      for (const endpoint of realServerEndpoints(service, destination)) {
        realServers.add(endpoint);
      }
    }
  }
  return {
    services,
    marks: [
      ...input.marks
        .filter(({ family, mark }) => marksInUse.has(`${family} ${mark}`))
        .flatMap(steeredMarks),
      ...ftpData,
    ],
    realServers: realServers.toArray(),
    localAddresses: [...new Set(input.addresses.map(({ address }) => address))],
    fullNat: steeredPool(input.pool, usesFullNat),
    tunnels: [...tunnels.values()],
  };
}

/** The replies' source. A destination's port 0 stands for whatever port the client asked for. */
function realServerEndpoints(
  { key: service }: { readonly key: ServiceKey },
  { key: { address, port } }: DestinationWay,
): SteeredEndpoint[] {
  if ('mark' in service) {
    if (port === 0) return [{ address, protocol: 'any', port: 0 }];
    return WITH_PORTS.map((protocol) => ({ address, protocol, port }));
  }
  // A service for every port keeps the client's port, whatever the destination's says, and an FTP
  // server sends data from the ports that it has named.
  const isAnyPort = service.port === 0 || isFtp(service);
  return [{ address, protocol: service.protocol, port: isAnyPort ? 0 : port }];
}

function isFtp(key: ServiceKey): key is Extract<ServiceKey, { readonly address: string }> {
  return !('mark' in key) && key.protocol === 'tcp' && key.port === FTP_PORT;
}

/** What the data plane takes besides the control connection (ip_vs_service_find has the same rule). */
function ftpDataConnections({ address, family }: { address: string; family: 4 | 6 }): SteeredMark {
  const destination = `${address}/${family === 4 ? 32 : 128}`;
  return { destination, protocol: 'tcp', ports: FTP_DATA_PORTS };
}

function addTunnel(
  tunnels: Map<string, { address: string; guePort?: number }>,
  { key: { address }, tunnelType, tunnelPort }: DestinationWay,
): void {
  const tunnel = tunnelType === TUNNEL_GUE ? { address, guePort: tunnelPort } : { address };
  tunnels.set(`${address} ${tunnel.guePort ?? ''}`, tunnel);
}

type SteeredMark = NonNullable<SteeringTables['marks']>[number];

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
function steeredPool(
  { addresses, services = new Map(), retired = [], portRanges }: LocalPool,
  isUsed: boolean,
) {
  const ports = portRanges.filter((range: PortRange) => range[0] <= range[1]);
  const used = isUsed ? [...addresses, ...[...services.values()].flat()] : [];
  const steered = new Set([...used, ...retired].map(({ address }) => address));
  return Array.from(steered, (address) => ({ address, ports }));
}
