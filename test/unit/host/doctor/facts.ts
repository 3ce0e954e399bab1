// A machine, a port, a network and a configuration in which nothing is wrong, for tests to spoil.

import type { InterfaceInfo } from 'af-xdp-socket';
import { parseConfig } from '../../../../host/config/parse.ts';
import type { Config } from '../../../../host/config/types.ts';
import type {
  Facts,
  MachineFacts,
  NetworkFacts,
  PortFacts,
} from '../../../../host/doctor/facts.ts';
import type { Finding } from '../../../../host/doctor/finding.ts';

export const MACHINE: MachineFacts = {
  kernel: '6.1.0-18-amd64',
  node: 'v20.20.2',
  isLittleEndian: true,
  cpus: 4,
  capabilities: (1n << 12n) | (1n << 13n) | (1n << 14n) | (1n << 38n) | (1n << 39n),
  lockableBytes: 8 * 2 ** 20,
  availableBytes: 2 ** 33,
  addon: {},
  hasAfXdp: true,
  steering: {},
  probePaths: {},
  bpfJit: 1,
  hugePages: 'advise',
  kernelServices: 0,
};

export const INFO: InterfaceInfo = {
  name: 'eth1',
  index: 3,
  mac: '02:00:00:00:00:01',
  mtu: 1500,
  flags: 1,
  up: true,
  rxQueues: 2,
  txQueues: 2,
  combinedQueues: 2,
  kind: null,
  xdp: null,
};

export const PORT: PortFacts = {
  name: 'lan',
  interface: 'eth1',
  info: INFO,
  driver: 'ice',
  xdp: { native: true, redirect: true, transmit: true, zeroCopy: true },
  offloads: new Set(['rx-gro']),
  rpFilter: 0,
  arpIgnore: 0,
  wanted: { queues: undefined, mode: 'auto' },
};

export const NETWORK: NetworkFacts = {
  world: {
    ports: [],
    addresses: [],
    routes: [
      { family: 4, prefix: '10.0.0.0', prefixLength: 24, port: 0, kind: 'on-link' },
      { family: 4, prefix: '0.0.0.0', prefixLength: 0, port: 0, kind: 'via', via: '10.0.0.254' },
      { family: 6, prefix: '2001:db8::', prefixLength: 64, port: 0, kind: 'on-link' },
    ],
  },
  neighbours: ['10.0.0.11', '10.0.0.254'].map((address) => {
    return { port: 0, family: 4, address, state: 'reachable' };
  }),
  addresses: [
    { address: '192.0.2.80', interface: 'eth1', isDuplicate: false, isTentative: false },
    { address: '10.0.0.1', interface: 'eth1', isDuplicate: false, isTentative: false },
  ],
  ipForward: 0,
  ipv6Forward: 0,
  ephemeralPorts: [32_768, 60_999],
  reservedPorts: [],
};

/** A service with one server; `server` and `service` are YAML in flow style. */
export function config(server = "address: '10.0.0.11:80'", service = '', director = ''): Config {
  const listen = service.includes('listen') ? '' : "listen: '192.0.2.80:80/tcp', ";
  const text = [
    'version: 1',
    'director:',
    '  ports: [{ name: lan, interface: eth1 }]',
    director,
    'services:',
    `  - { name: web, ${listen}${service} servers: [{ ${server} }] }`,
  ].join('\n');
  const result = parseConfig(text, 'test.yaml');
  if (!result.ok) throw new Error(JSON.stringify(result.errors));
  return result.config;
}

/** All of it together, with something of it replaced. */
export function facts(
  spoilt: {
    readonly machine?: Partial<MachineFacts>;
    readonly port?: Partial<PortFacts>;
    readonly info?: Partial<InterfaceInfo>;
    readonly network?: Partial<NetworkFacts>;
    readonly config?: Config;
    readonly rest?: Partial<Facts>;
  } = {},
): Facts {
  const info = { ...INFO, ...spoilt.info };
  return {
    machine: { ...MACHINE, ...spoilt.machine },
    configuration: { file: 'test.yaml', config: spoilt.config ?? config(), errors: 0 },
    ports: [{ ...PORT, info, ...spoilt.port }],
    network: { ...NETWORK, ...spoilt.network },
    plan: { workers: 2, memoryBytes: 2 ** 29, pinnedBytes: 2 ** 25 },
    director: { socket: '/run/wvs/wvs.sock', pid: undefined, isAnswered: false },
    ...spoilt.rest,
  };
}

/** The findings of one check, without what is the same in all of them. */
export function of(check: string, findings: readonly Finding[]): Finding[] {
  return findings.filter((finding) => finding.check === check);
}
