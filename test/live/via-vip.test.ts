// Checks with `via: vip` in a running director: what is found out is whether a server takes the
// virtual address, not whether it is alive.

import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { formatEndpoint } from '../../host/config/address.ts';

import type { DirectorStatus } from '../../host/control/api.ts';
import { askDirector } from '../../host/control/client.ts';
import {
  ADDRESSES,
  type AddressPlan,
  type DIRECT_METHODS,
  FAMILIES,
  type Family,
} from '../../host/netns/addresses.ts';
import type { Child } from '../../host/netns/namespaces.ts';
import { ensureCommands, whyNoViaVip } from '../../host/netns/prerequisites.ts';
import { startDecapsulator } from '../../host/netns/topology.ts';
import { skipWhere } from '../support/skip.ts';
import { LiveBed, until, reason as whyNotLive } from './live-bed.ts';

const reason = whyNotLive ?? whyNoViaVip();

const SERVERS = [1, 2] as const;
const WAIT_MS = 60_000;
/** More than two full segments: each must fit into the tunnel. */
const LONG_BYTES = 3_000;
const TIMES = 'interval: 200ms, timeout: 1s, rise: 1, fall: 2, warmUp: 50ms';

interface Service {
  readonly name: string;
  readonly method: 'direct-route' | 'tunnel' | 'nat';
  readonly listen: 'http' | 'mapped-http' | 'echo';
  readonly tunnel?: string;
  /** The check does not look at who answers. */
  readonly isAnonymous?: boolean;
}

const LISTEN = { http: '80/tcp', 'mapped-http': '8080/tcp', echo: '7/udp' } as const;

/** Of each family; `own` probes the servers themselves. */
const SERVICES: readonly Service[] = [
  { name: 'own', method: 'nat', listen: 'http' },
  { name: 'dr-http', method: 'direct-route', listen: 'http' },
  { name: 'dr-tcp', method: 'direct-route', listen: 'mapped-http', isAnonymous: true },
  { name: 'dr-echo', method: 'direct-route', listen: 'echo' },
  { name: 'ipip-http', method: 'tunnel', listen: 'http', tunnel: '{ type: ipip }' },
  { name: 'gre-http', method: 'tunnel', listen: 'mapped-http', tunnel: '{ type: gre }' },
];
/** Linux drops UDP over IPv6 without a checksum, unless a socket says that it may come. */
const SERVICES_IPV4: readonly Service[] = [
  { name: 'gue-echo', method: 'tunnel', listen: 'echo', tunnel: '{ type: gue, port: 6080 }' },
];

function servicesOf(family: Family): readonly Service[] {
  return family === 'ipv4' ? [...SERVICES, ...SERVICES_IPV4] : SERVICES;
}

/** The answer has the server's name in it: another one must not answer in its place. */
function checkOf({ method, listen, isAnonymous }: Service, server: number): string {
  const via = method === 'nat' ? '' : ', via: vip';
  if (isAnonymous) return `{ type: tcp${via}, ${TIMES} }`;
  const what =
    listen === 'echo'
      ? `type: udp, send: 'a probe that is echoed', expect: '^web-${server} '`
      : `type: http, contains: web-${server}, headers: { X-Long: ${'x'.repeat(LONG_BYTES)} }`;
  return `{ ${what}${via}, ${TIMES} }`;
}

function serviceText(family: Family, service: Service): string {
  const { wan, lan } = ADDRESSES[family];
  const { name, method, listen, tunnel } = service;
  const [port] = LISTEN[listen].split('/');
  const address = formatEndpoint(wan.vips[method], Number(port));
  const servers = SERVERS.map((server) => {
    const own = formatEndpoint(lan.servers[server - 1]!, method === 'nat' ? 8080 : Number(port));
    return `{ address: '${own}', check: ${checkOf(service, server)} }`;
  });
  return (
    `  - { name: ${name}-${family}, listen: '${address}/${LISTEN[listen].split('/')[1]}', ` +
    `forwarding: ${method}, ${tunnel === undefined ? '' : `tunnel: ${tunnel}, `}` +
    `servers: [${servers.join(', ')}] }\n`
  );
}

/** What every service's servers are found to be, the first server first. */
function expected(
  first: (service: Service, family: Family) => 'up' | 'down',
): Record<string, string> {
  return Object.fromEntries(
    FAMILIES.flatMap((family) =>
      servicesOf(family).map((service) => [
        `${service.name}-${family}`,
        `${first(service, family)} up`,
      ]),
    ),
  );
}

const ALL_UP = expected(() => 'up');

describe.each([{ arms: 2 as const }, { arms: 1 as const }])('$arms arms', ({ arms }) => {
  let bed: LiveBed;
  const decapsulators: Child[] = [];

  beforeAll(async () => {
    if (reason !== undefined) return;
    ensureCommands(['ethtool']);
    bed = new LiveBed({ arms, queues: 1, servers: SERVERS.length });
    await bed.startServers();
    for (const server of bed.topology.servers) decapsulators.push(await startDecapsulator(server));
    // A tunnel device would complete the checksums that a virtual link leaves to its other end;
    // the program that stands in for one cannot see which are missing.
    bed.topology.director.run(['ethtool', '-K', 'lan', 'tx', 'off']);
    const services = FAMILIES.flatMap((family) =>
      servicesOf(family).map((service) => serviceText(family, service)),
    );
    const ports = bed.topology.ports.map(
      (port) => `{ name: ${port.name}, interface: ${port.name} }`,
    );
    bed.write({ ports: `[${ports.join(', ')}]`, services: services.join('') });
    await bed.start();
  });
  afterAll(() => bed?.close());

  skipWhere(() => reason);

  async function healths(): Promise<Record<string, string>> {
    const { services } = (await askDirector(bed.socket, 'status')) as DirectorStatus;
    const entries = services.map(({ name, servers }) => {
      const inOrder = [...servers].sort((a, b) => (a.key < b.key ? -1 : 1));
      return [name, inOrder.map(({ health }) => health).join(' ')];
    });
    return Object.fromEntries(entries) as Record<string, string>;
  }

  async function untilHealths(wanted: Record<string, string>): Promise<void> {
    let last: Record<string, string> = {};
    const isSo = async () => {
      last = await healths();
      return Object.entries(wanted).every(([name, health]) => last[name] === health);
    };
    await until(isSo, 'what is wanted', WAIT_MS).catch(() => expect(last).toEqual(wanted));
  }

  function changeVips(verb: 'add' | 'del', methods: readonly (typeof DIRECT_METHODS)[number][]) {
    const lines = (plan: AddressPlan) =>
      methods.map((method) => `address ${verb} ${plan.wan.vips[method]}/${plan.bits} dev lo`);
    bed.topology.servers[0]!.ip(FAMILIES.flatMap((family) => lines(ADDRESSES[family])));
  }

  test('servers as they should be: all are up', async () => {
    await untilHealths(ALL_UP);
    expect(bed.log('check-via-vip')).toEqual([]);
    expect(bed.log('probe-not-possible')).toEqual([]);
  });

  test('a virtual address is missing: that server is down there, its own is up', async () => {
    changeVips('del', ['direct-route']);
    await untilHealths(expected(({ method }) => (method === 'direct-route' ? 'down' : 'up')));
  });

  test('and the server forwards: nobody else answers in its place', async () => {
    const [server] = bed.topology.servers;
    server!.sysctl({ 'net/ipv4/ip_forward': 1, 'net/ipv6/conf/all/forwarding': 1 });
    const before = bed.log().length;
    // Long enough for many probes, each of which comes back to the director.
    await new Promise((resolve) => setTimeout(resolve, 3_000));
    const ups = bed
      .log()
      .slice(before)
      .filter(({ event }) => event === 'server-up');
    const first: unknown[] = FAMILIES.flatMap((family) => {
      const address = ADDRESSES[family].lan.servers[0]!;
      return [80, 8080, 7].map((port) => formatEndpoint(address, port));
    });
    const wrong = ups.filter(({ server, services }) => {
      return first.includes(server) && /"dr-/.test(JSON.stringify(services));
    });
    expect(wrong).toEqual([]);
    server!.sysctl({ 'net/ipv4/ip_forward': 0, 'net/ipv6/conf/all/forwarding': 0 });
  });

  test('it is back: up again', async () => {
    changeVips('add', ['direct-route']);
    await untilHealths(ALL_UP);
  });

  test('nobody unpacks the tunnel: the server is down behind tunnels only', async () => {
    decapsulators[0]!.kill('SIGKILL');
    await untilHealths(expected(({ method }) => (method === 'tunnel' ? 'down' : 'up')));
    decapsulators[0] = await startDecapsulator(bed.topology.servers[0]!);
    await untilHealths(ALL_UP);
  });

  test('the tunnel is there, the virtual address is not: down', async () => {
    changeVips('del', ['tunnel']);
    await untilHealths(expected(({ method }) => (method === 'tunnel' ? 'down' : 'up')));
    changeVips('add', ['tunnel']);
    await untilHealths(ALL_UP);
  });
});
