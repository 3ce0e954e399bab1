// What one service adds to what the steering program has to take from the kernel: pure. It takes only
// what is surely the data plane's; all else stays with the kernel's own stack.

import type { SteeredEndpoint, SteeredProtocol, SteeringTables } from 'af-xdp-socket';
import {
  FORWARD_FULL_NAT,
  FORWARD_NAT,
  FORWARD_TUNNEL,
  TUNNEL_GUE,
} from '../../assembly/shared/codes.ts';
import type { DestinationWay, ServiceWays } from '../ipvs/control.ts';
import type { ServiceKey } from '../ipvs/types.ts';

/** An endpoint of the director, which gives all addresses as canonical text. */
export type TextEndpoint = SteeredEndpoint & { readonly address: string };
export interface SteeredTunnel {
  readonly address: string;
  readonly guePort?: number;
}
export type SteeredMark = NonNullable<SteeringTables['marks']>[number];

/** A service's part. The same server, or tunnel, can be part of several services. */
export interface SteeredParts {
  readonly services: readonly TextEndpoint[];
  readonly realServers: readonly TextEndpoint[];
  readonly tunnels: readonly SteeredTunnel[];
  /** What is taken besides the service itself. */
  readonly marks: readonly SteeredMark[];
  /** The mark that the service is for, as markWord() spells it. */
  readonly mark: string | undefined;
  readonly usesFullNat: boolean;
}

/** Protocols that have ports. */
export const WITH_PORTS: readonly SteeredProtocol[] = ['tcp', 'udp', 'sctp'];
/** An FTP service's data connections: from the server's port 20, or to any port it names. */
const FTP_PORT = 21;
const FTP_DATA_PORTS: readonly (readonly [number, number])[] = [
  [20, 20],
  [1024, 65535],
];

/** The part of a service with these destinations. */
export function steeredParts({ service: { key }, destinations }: ServiceWays): SteeredParts {
  const realServers: TextEndpoint[] = [];
  const tunnels: SteeredTunnel[] = [];
  for (const destination of destinations) {
    const { forwarding } = destination;
    if (forwarding === FORWARD_TUNNEL) tunnels.push(tunnelTo(destination));
    if (forwarding !== FORWARD_NAT && forwarding !== FORWARD_FULL_NAT) continue;
    addEndpoints(realServers, key, destination);
  }
  const usesFullNat = destinations.some(({ forwarding }) => forwarding === FORWARD_FULL_NAT);
  const isMark = 'mark' in key;
  return {
    services: isMark ? [] : [{ address: key.address, protocol: key.protocol, port: key.port }],
    realServers,
    tunnels,
    marks: isFtp(key) ? [ftpDataConnections(key)] : [],
    mark: isMark ? markWord(key) : undefined,
    usesFullNat,
  };
}

/** A mark's name among those of both families. */
export function markWord({ family, mark }: { family: 4 | 6; mark: number }): string {
  return `${family} ${mark}`;
}

/** The replies' source. A destination's port 0 stands for whatever port the client asked for. */
function addEndpoints(
  realServers: TextEndpoint[],
  service: ServiceKey,
  { key: { address, port } }: DestinationWay,
): void {
  if ('mark' in service) {
    if (port === 0) realServers.push({ address, protocol: 'any', port: 0 });
    else for (const protocol of WITH_PORTS) realServers.push({ address, protocol, port });
    return;
  }
  // A service for every port keeps the client's port, whatever the destination's says, and an FTP
  // server sends data from the ports that it has named.
  const isAnyPort = service.port === 0 || isFtp(service);
  realServers.push({ address, protocol: service.protocol, port: isAnyPort ? 0 : port });
}

function isFtp(key: ServiceKey): key is Extract<ServiceKey, { readonly address: string }> {
  return !('mark' in key) && key.protocol === 'tcp' && key.port === FTP_PORT;
}

/** What the data plane takes besides the control connection (ip_vs_service_find has the same rule). */
function ftpDataConnections({ address, family }: { address: string; family: 4 | 6 }): SteeredMark {
  const destination = `${address}/${family === 4 ? 32 : 128}`;
  return { destination, protocol: 'tcp', ports: FTP_DATA_PORTS };
}

function tunnelTo({ key: { address }, tunnelType, tunnelPort }: DestinationWay): SteeredTunnel {
  return tunnelType === TUNNEL_GUE ? { address, guePort: tunnelPort } : { address };
}
