/** The configuration of the director under test: every method in both families, in one file. */

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { formatEndpoint } from '../../../host/config/address.ts';
import {
  ADDRESSES,
  DIRECT_METHODS,
  FAMILIES,
  type Family,
  METHODS,
  type Method,
} from '../../../host/netns/addresses.ts';
import type { DirectorOptions } from '../../../host/netns/director.ts';
import type { Topology } from '../../../host/netns/topology.ts';

/** What clients ask for. */
export const SERVICE_PORTS = { http: 80, echo: 7, closed: 9 } as const;

/** Where servers listen when the director maps ports; nobody listens on `closed`. */
export const MAPPED_PORTS = { http: 8080, echo: 7007, closed: 9009 } as const;

export type ServiceKind = keyof typeof SERVICE_PORTS;

const KINDS: readonly ServiceKind[] = ['http', 'echo', 'closed'];

export function serverPort(kind: ServiceKind, method: Method): number {
  return DIRECT_METHODS.includes(method) ? SERVICE_PORTS[kind] : MAPPED_PORTS[kind];
}

export function writeConfiguration(topology: Topology): DirectorOptions {
  const { directory } = topology.set;
  const configuration = join(directory, 'wvs.yaml');
  const socket = join(directory, 'wvs.sock');
  writeFileSync(configuration, stringify(describeDirector(topology, socket)));
  return { configuration, socket };
}

function describeDirector(topology: Topology, socket: string): unknown {
  const { queues } = topology.options;
  return {
    version: 1,
    director: {
      ports: topology.ports.map((port) => ({ ...port, queues })),
      connections: 100_000,
      localAddresses: FAMILIES.map((family) => ADDRESSES[family].lan.fullNatSource),
      control: socket,
    },
    defaults: { scheduler: 'rr' },
    services: FAMILIES.flatMap((family) =>
      METHODS.flatMap((method) => KINDS.map((kind) => service(topology, [family, method, kind]))),
    ),
  };
}

function service(
  topology: Topology,
  [family, method, kind]: readonly [Family, Method, ServiceKind],
): unknown {
  const plan = ADDRESSES[family];
  const transport = kind === 'http' ? 'tcp' : 'udp';
  return {
    name: `${kind}-${method}-${family}`,
    listen: `${formatEndpoint(plan.wan.vips[method], SERVICE_PORTS[kind])}/${transport}`,
    forwarding: method,
    servers: topology.servers.map((_, index) => ({
      address: formatEndpoint(plan.lan.servers[index]!, serverPort(kind, method)),
    })),
  };
}
