// The balancers that are measured beside each other: all of them as they come, with the same service
// and the same two servers.

import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { type Director, startDirector } from '../../host/netns/director.ts';
import { runCommand } from '../../host/netns/namespaces.ts';
import { waitForLine } from '../../host/netns/processes.ts';
import type { Network, Site } from './network.ts';
import {
  benchProgram,
  HTTP_PORT,
  HTTP_SERVER_PORT,
  isInstalled,
  moveToOtherProcessors,
  onProcessors,
  SERVER_PORT,
  SERVICE_PORT,
  siteWords,
} from './programs.ts';

/** What is balanced: the generator's datagrams, or HTTP. */
export type Kind = 'packets' | 'http';

/** A balancer at work. */
export interface Running {
  /** Processes whose time counts. */
  readonly pids: readonly number[];
}

/** A kind of balancer. */
export interface Peer {
  readonly name: string;
  /** Why it cannot take part here, or undefined. */
  missing(kind: Kind): string | undefined;
  start(network: Network, site: Site, kind: Kind): Promise<Running>;
}

export const DIRECT = 'direct';
export const WVS = 'wvs';

function portsOf(kind: Kind): { protocol: string; port: number; serverPort: number } {
  return kind === 'http'
    ? { protocol: 'tcp', port: HTTP_PORT, serverPort: HTTP_SERVER_PORT }
    : { protocol: 'udp', port: SERVICE_PORT, serverPort: SERVER_PORT };
}

const direct: Peer = {
  name: DIRECT,
  missing: () => undefined,
  start: async () => ({ pids: [] }),
};

const forwarder: Peer = {
  name: 'plain C',
  missing: (kind) => (kind === 'http' ? 'measured by packets only' : undefined),
  async start(_network, site) {
    // Its ends are the director's own, and its gateways the machines there.
    const words = siteWords({ ...site, interfaces: ['wan', 'lan'], gateways: site.macs });
    const program = benchProgram('forwarder', 'forwarder');
    const port = `server-port=${SERVER_PORT}`;
    const child = namespaceOf(site).spawn([...onProcessors('others'), program, ...words, port]);
    await waitForLine(child, /^ready$/, { what: 'the forwarder' });
    return { pids: [child.pid ?? 0] };
  },
};

const nftables: Peer = {
  name: 'nftables',
  missing: () => (isInstalled('nft') ? undefined : 'nft is not installed'),
  async start(_network, site, kind) {
    const { protocol, port, serverPort } = portsOf(kind);
    const servers = site.servers.map((address, index) => `${index} : ${address} . ${serverPort}`);
    const rules = `table ip bench {
      chain incoming {
        type nat hook prerouting priority dstnat;
        ip daddr ${site.virtualAddress} ${protocol} dport ${port} \\
          dnat ip to numgen inc mod ${servers.length} map { ${servers.join(', ')} }
      }
    }`;
    namespaceOf(site).run(['nft', '-f', '-'], { input: rules.replace(/\\\n\s+/g, '') });
    return { pids: [] };
  },
};

const haproxy: Peer = {
  name: 'haproxy',
  missing(kind) {
    if (kind === 'packets') return 'it ends connections, and forwards no datagrams';
    return isInstalled('haproxy') ? undefined : 'haproxy is not installed';
  },
  async start(network, site, kind) {
    const { port, serverPort } = portsOf(kind);
    const servers = site.servers.map((address, index) => {
      return `  server web-${index + 1} ${address}:${serverPort}`;
    });
    const configuration = [
      'global',
      '  maxconn 4000',
      'defaults',
      '  mode tcp',
      '  timeout connect 5s',
      '  timeout client 60s',
      '  timeout server 60s',
      'listen web',
      `  bind ${site.virtualAddress}:${port}`,
      '  balance roundrobin',
      ...servers,
      '',
    ].join('\n');
    const file = writeFile(network, 'haproxy.cfg', configuration);
    const child = namespaceOf(site).spawn(['haproxy', '-db', '-f', file]);
    return { pids: [child.pid ?? 0] };
  },
};

/** The module is a package of its own on Debian; NGINX_STREAM_MODULE says where else it is. */
function streamModule(): string | undefined {
  const places = [
    process.env.NGINX_STREAM_MODULE,
    '/usr/lib/nginx/modules/ngx_stream_module.so',
    '/usr/lib64/nginx/modules/ngx_stream_module.so',
  ];
  return places.find((place) => place !== undefined && existsSync(place));
}

const nginx: Peer = {
  name: 'nginx',
  missing(kind) {
    if (kind === 'packets') return 'it ends connections; its UDP sends from its own address';
    if (!isInstalled('nginx')) return 'nginx is not installed';
    if (streamModule() !== undefined) return undefined;
    return 'nginx is installed without its stream module (Debian: libnginx-mod-stream)';
  },
  async start(network, site, kind) {
    const { port, serverPort } = portsOf(kind);
    const servers = site.servers.map((address) => `    server ${address}:${serverPort};`);
    const configuration = [
      `load_module ${streamModule()};`,
      'daemon off;',
      'worker_processes auto;',
      'worker_rlimit_nofile 8192;',
      `pid ${join(network.set.directory, 'nginx.pid')};`,
      'error_log stderr crit;',
      'events { worker_connections 2048; }',
      'stream {',
      '  upstream web {',
      ...servers,
      '  }',
      `  server { listen ${site.virtualAddress}:${port} backlog=4096; proxy_pass web; }`,
      '}',
      '',
    ].join('\n');
    const file = writeFile(network, 'nginx.conf', configuration);
    const child = namespaceOf(site).spawn(['nginx', '-e', 'stderr', '-c', file]);
    return { pids: [child.pid ?? 0] };
  },
};

const wvs: Peer = {
  name: WVS,
  missing: () => undefined,
  async start(network, site, kind) {
    const director = await startWvs(network, site, describeDirector(network, site, kind));
    return { pids: [director.child.pid ?? 0] };
  },
};

/** Ours last: the order is that of the tables. */
export const PEERS: readonly Peer[] = [direct, forwarder, nftables, haproxy, nginx, wvs];

/** Its configuration, as a value. */
export function describeDirector(network: Network, site: Site, kind: Kind) {
  const { protocol, port, serverPort } = portsOf(kind);
  return {
    version: 1,
    director: {
      ports: [
        { name: 'wan', interface: 'wan', queues: 1 },
        { name: 'lan', interface: 'lan', queues: 1 },
      ],
      connections: 1_000_000,
      control: controlSocket(network),
    },
    services: [
      {
        name: 'bench',
        listen: `${site.virtualAddress}:${port}/${protocol}`,
        forwarding: 'nat',
        scheduler: 'rr',
        servers: site.servers.map((address) => ({
          address: `${address}:${serverPort}`,
          weight: 1,
        })),
      },
    ],
  };
}

export function controlSocket(network: Network): string {
  return join(network.set.directory, 'wvs.sock');
}

/** Where the configuration is that the director was started with. */
export function configurationFile(network: Network): string {
  return join(network.set.directory, 'wvs.yaml');
}

/** Starts the director as an operator would: `node dist/host/main.js run --config FILE`. */
export async function startWvs(
  network: Network,
  site: Site,
  configuration: object,
): Promise<Director> {
  const file = configurationFile(network);
  writeFileSync(file, stringify(configuration));
  const options = { configuration: file, socket: controlSocket(network) };
  return await startDirector(namespaceOf(site), options);
}

/** Leaves the first processor to the generator. */
export function giveWay({ pids }: Running): void {
  for (const pid of pids) moveToOtherProcessors(pid);
}

function namespaceOf({ director, name }: Site) {
  if (director === undefined) throw new Error(`${name} has no namespace of its own`);
  return director;
}

function writeFile(network: Network, name: string, text: string): string {
  const file = join(network.set.directory, name);
  writeFileSync(file, text);
  // The servers' own users read it too.
  runCommand(['chmod', 'a+rx', network.set.directory]);
  return file;
}
