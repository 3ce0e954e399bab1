/** A topology with everything running in it: real servers, decapsulators and the director. */

import { formatEndpoint } from '../../../host/config/address.ts';

import {
  ADDRESSES,
  DIRECT_METHODS,
  FAMILIES,
  type Family,
  type Method,
} from '../../../host/netns/addresses.ts';
import type { DirectorOptions } from '../../../host/netns/director.ts';
import { type Director, startDirector } from '../../../host/netns/director.ts';
import type { Child, Namespace } from '../../../host/netns/namespaces.ts';
import { ensureCommands, whyNoAfXdp, whyNoNamespaces } from '../../../host/netns/prerequisites.ts';
import { builtProgram, waitForLine } from '../../../host/netns/processes.ts';
import type { ServerOptions } from '../../../host/netns/server.ts';
import {
  createTopology,
  startDecapsulator,
  type Topology,
  type TopologyOptions,
} from '../../../host/netns/topology.ts';
import { MAPPED_PORTS, SERVICE_PORTS, writeConfiguration } from './configuration.ts';

/** Where the director's own TCP service listens, on every address of the director's. */
export const OWN_SERVICE_PORT = 22;

export interface Bed {
  readonly topology: Topology;
  readonly options: DirectorOptions;
  director: Director;
  readonly servers: Child[];
}

/** Why these tests cannot run here; a reason printed once, and given with every skipped test. */
export function whyNotHere(): string | undefined {
  const reason = whyNoNamespaces() ?? whyNoAfXdp();
  if (reason !== undefined) return reason;
  try {
    ensureCommands(['ip', 'ping', 'tcpdump', 'make', 'cc']);
    return undefined;
  } catch (error) {
    return (error as Error).message;
  }
}

export async function createBed(options: TopologyOptions): Promise<Bed> {
  const topology = createTopology(options);
  try {
    const servers = await Promise.all(
      topology.servers.map(async (server, index) => {
        await startDecapsulator(server);
        return await startServer(server, index);
      }),
    );
    await startProgram(topology.director, { name: 'director', greeting: [OWN_SERVICE_PORT] });
    const directorOptions = writeConfiguration(topology);
    const director = await startDirector(topology.director, directorOptions);
    return { topology, options: directorOptions, director, servers };
  } catch (error) {
    await topology.close();
    throw error;
  }
}

export async function startServer(server: Namespace, index: number): Promise<Child> {
  const udp = FAMILIES.flatMap((family) => {
    const { lan, wan } = ADDRESSES[family];
    return [
      { address: lan.servers[index]!, port: MAPPED_PORTS.echo },
      ...DIRECT_METHODS.map((method) => ({
        address: wan.vips[method],
        port: SERVICE_PORTS.echo,
      })),
    ];
  });
  const http = [SERVICE_PORTS.http, MAPPED_PORTS.http];
  return await startProgram(server, { name: server.role, http, udp });
}

async function startProgram(namespace: Namespace, options: ServerOptions): Promise<Child> {
  const program = builtProgram('server.js');
  const child = namespace.spawn([process.execPath, program, JSON.stringify(options)]);
  await waitForLine(child, /^ready$/, { what: `the server program of ${options.name}` });
  return child;
}

export function httpUrl(family: Family, method: Method): string {
  return `http://${formatEndpoint(ADDRESSES[family].wan.vips[method], SERVICE_PORTS.http)}`;
}

export function macAddress(namespace: Namespace, device: string): string {
  const links = JSON.parse(namespace.run(['ip', '-json', 'link', 'show', device])) as unknown;
  return (links as { address: string }[])[0]!.address;
}
