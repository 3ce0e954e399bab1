/**
 * The same tests for every topology: real clients and servers around a real director.
 *
 * One topology and one director serve all tests of a file, so the tests of a method find the
 * traces of those before them, as in operation.
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import {
  ADDRESSES,
  DIRECT_METHODS,
  FAMILIES,
  type Family,
  METHODS,
  type Method,
} from '../../../host/netns/addresses.ts';
import { LARGE_BODY_BYTES } from '../../../host/netns/body.ts';
import type { TransferReport } from '../../../host/netns/client-http.ts';
import { runClient } from '../../../host/netns/client-operations.ts';
import { startDirector } from '../../../host/netns/director.ts';
import { waitForExit } from '../../../host/netns/processes.ts';
import type { TopologyOptions } from '../../../host/netns/topology.ts';
import { skipWhere } from '../skip.ts';
import {
  type Bed,
  createBed,
  httpUrl,
  macAddress,
  OWN_SERVICE_PORT,
  startServer,
  whyNotHere,
} from './bed.ts';
import { capture } from './capture.ts';
import { SERVICE_PORTS, serverPort } from './configuration.ts';
import { type Frame, type Ip, PROTOCOL } from './frames.ts';

const SERVERS = 2;
const CONNECTIONS = 200;
const REQUESTS_PER_CONNECTION = 5;
const UDP_CLIENTS = 2000;
const MTU = 1500;
/** In front of the transport's payload: an IP header, and that of UDP. */
const UDP_HEADERS: Readonly<Record<Family, number>> = { ipv4: 28, ipv6: 48 };
const OUTER_HEADER: Readonly<Record<Family, number>> = { ipv4: 20, ipv6: 40 };
const FIRST_TTL = 64;

export interface SuiteOptions extends Pick<TopologyOptions, 'arms' | 'queues'> {
  readonly title: string;
}

/** Of one method in one family. */
interface Subject {
  readonly bed: () => Bed;
  readonly family: Family;
  readonly method: Method;
}

export function describeForwarding(options: SuiteOptions): void {
  const reason = whyNotHere();
  if (reason !== undefined) process.stderr.write(`SKIPPED ${options.title}: ${reason}\n`);
  let bed: Bed | undefined;

  function currentBed(): Bed {
    if (bed === undefined) throw new Error('the topology could not be set up');
    return bed;
  }

  describe(options.title, () => {
    skipWhere(() => reason);
    beforeAll(async () => {
      if (reason !== undefined) return;
      bed = await createBed({ arms: options.arms, queues: options.queues, servers: SERVERS });
    });
    afterAll(() => bed?.topology.close());

    describeKernelTraffic(currentBed);
    for (const family of FAMILIES) {
      for (const method of METHODS) {
        const subject = { bed: currentBed, family, method };
        describe(`${method} over ${family}`, () => describeMethod(subject));
      }
    }
    describeOperation(currentBed);
  });
}

function describeMethod(subject: Subject): void {
  // First, while the client does not yet know a smaller path MTU of the tunnel.
  test('the frames on both sides are right', () => expectRightFrames(subject));
  test(`${CONNECTIONS} HTTP connections at once: all answered, evenly spread`, async () => {
    await expectHttpAnswered(subject);
  });
  test('100 MB down: the hash matches', () => expectTransferIntact(subject, 'download'));
  test('100 MB up: the hash matches', () => expectTransferIntact(subject, 'upload'));
  test(`${UDP_CLIENTS} UDP clients: each gets its own answer`, () => expectEchoes(subject, {}));
  test('datagrams as long as the MTU allows pass', () => {
    const { family, method } = subject;
    const tunnelHeader = method === 'tunnel' ? OUTER_HEADER[family] : 0;
    const payloadBytes = MTU - UDP_HEADERS[family] - tunnelHeader;
    return expectEchoes(subject, { clients: 20, payloadBytes });
  });
  test('a closed port: the client is told by ICMP', async () => {
    const { bed, family, method } = subject;
    const target = { address: ADDRESSES[family].wan.vips[method], port: SERVICE_PORTS.closed };
    const report = await runClient(bed().topology.client, ['refusal', target]);
    expect(report.outcome).toBe('ECONNREFUSED');
  });
  test('a server dies in the middle: the others are unharmed', () => expectOthersUnharmed(subject));
}

async function expectHttpAnswered({ bed, family, method }: Subject): Promise<void> {
  const load = {
    url: httpUrl(family, method),
    connections: CONNECTIONS,
    requests: REQUESTS_PER_CONNECTION,
    localAddresses: ADDRESSES[family].wan.clients,
  };
  const report = await runClient(bed().topology.client, ['http', load]);
  expect(report.failed).toEqual({});
  expect(report.answered).toBe(CONNECTIONS * REQUESTS_PER_CONNECTION);
  const shares = Object.values(report.connections);
  expect(shares).toHaveLength(SERVERS);
  // Workers take turns independently of each other, so each may be one off.
  for (const share of shares) {
    expect(Math.abs(share - CONNECTIONS / SERVERS)).toBeLessThanOrEqual(SERVERS);
  }
}

async function expectTransferIntact(
  { bed, family, method }: Subject,
  direction: 'download' | 'upload',
): Promise<void> {
  const transfers = {
    url: httpUrl(family, method),
    direction,
    bytes: LARGE_BODY_BYTES,
    count: 1,
  };
  const [report] = await runClient(bed().topology.client, ['transfers', transfers]);
  expect(report).toMatchObject({ bytes: LARGE_BODY_BYTES, intact: true });
  expect(report?.error).toBeUndefined();
}

async function expectEchoes(
  { bed, family, method }: Subject,
  { clients = UDP_CLIENTS, payloadBytes = 64 },
): Promise<void> {
  const { vips, clients: localAddresses } = ADDRESSES[family].wan;
  const load = {
    address: vips[method],
    port: SERVICE_PORTS.echo,
    clients,
    localAddresses,
    payloadBytes,
  };
  const report = await runClient(bed().topology.client, ['datagrams', load]);
  expect(report).toMatchObject({ answered: clients, wrong: 0, errors: {} });
  expect(Object.keys(report.servers)).toHaveLength(SERVERS);
}

async function expectOthersUnharmed({ bed, family, method }: Subject): Promise<void> {
  const { topology, servers } = bed();
  const [, victim] = topology.servers;
  const transfers = {
    url: httpUrl(family, method),
    direction: 'download',
    bytes: 2_000_000,
    rate: 2_000_000,
    count: 8,
  } as const;
  const reports: readonly TransferReport[] = await runClient(
    topology.client,
    ['transfers', transfers],
    { onEvent: () => servers[1]!.kill('SIGKILL') },
  );
  await waitForExit(servers[1]!, { what: 'the killed server', timeout: 5_000 });
  servers[1] = await startServer(victim!, 1);

  const harmed = reports.filter((report) => report.server === victim!.role);
  const others = reports.filter((report) => report.server !== victim!.role);
  expect(reports).toHaveLength(transfers.count);
  expect(harmed).not.toHaveLength(0);
  expect(others).not.toHaveLength(0);
  // The server's kernel resets its connections, and that must reach the clients too.
  for (const report of harmed) expect(report.error).toBeDefined();
  for (const report of others) expect(report).toMatchObject({ intact: true });
}

/** What one frame that left the director must look like, on the servers' side. */
async function expectRightFrames(subject: Subject): Promise<void> {
  const { bed, family, method } = subject;
  const { topology } = bed();
  const lastPort = topology.ports.at(-1)!;
  const wires = topology.ports.map((port) => ({
    namespace: topology.director,
    interface: port.interface,
  }));
  const upload = {
    url: httpUrl(family, method),
    direction: 'upload',
    bytes: 500_000,
    count: 2,
  } as const;
  const captured = await capture(topology, wires, async () => {
    const reports = await runClient(topology.client, ['transfers', upload]);
    for (const report of reports) expect(report).toMatchObject({ intact: true });
    await expectEchoes(subject, { clients: 20 });
  });

  const macs = topology.ports.map((port) => macAddress(topology.director, port.interface));
  // Frames from others still carry what their stacks left to the hardware.
  const sent = captured.flat().filter((frame) => macs.includes(frame.sourceMac));
  expect(complaints(sent, defectOf)).toEqual([]);

  const toServers = sent.filter((frame) => isToServer(frame, subject));
  expect(new Set(toServers.map((frame) => frame.destinationMac))).toEqual(
    new Set(topology.servers.map((server) => macAddress(server, 'eth0'))),
  );
  const source = macAddress(topology.director, lastPort.interface);
  const wrong = complaints(toServers, ({ sourceMac, ip }) => {
    return sourceMac === source ? misforwarded(ip!, subject) : `sent from ${sourceMac}`;
  });
  expect(wrong).toEqual([]);
  expectRightAnswers(sent, subject);
  expectFullFrames({ sent, toServers }, subject);
}

function isToServer(frame: Frame, { family, method }: Subject): boolean {
  const { lan, wan } = ADDRESSES[family];
  const { ip } = frame;
  if (ip === undefined || (ip.inner ?? ip).ports === undefined) return false;
  const target = method === 'direct-route' ? [wan.vips[method]] : lan.servers;
  // Other services' connections may still be closing.
  if (method === 'tunnel') return ip.inner?.destination === wan.vips[method];
  return target.includes(ip.destination) && isFromService(ip, method);
}

function isFromService({ ports }: Ip, method: Method): boolean {
  return [serverPort('http', method), serverPort('echo', method)].includes(ports![1]);
}

/**
 * What is wrong with frames, each complaint once. To expect() something of every frame by itself
 * would take a millisecond for each of thousands.
 */
function complaints<Item>(
  items: readonly Item[],
  complaintOf: (item: Item) => string | undefined,
): string[] {
  return [...new Set(items.map(complaintOf).filter((complaint) => complaint !== undefined))];
}

function misforwarded(ip: Ip, { family, method }: Subject): string | undefined {
  const { wan, lan } = ADDRESSES[family];
  const packet = method === 'tunnel' ? ip.inner! : ip;
  const sources = method === 'full-nat' ? [lan.fullNatSource] : wan.clients;
  if (!sources.includes(packet.source)) return `source ${packet.source}`;
  if (packet.ttl !== FIRST_TTL - 1) return `TTL ${packet.ttl}`;
  if (method !== 'tunnel') return undefined;
  const protocol = family === 'ipv4' ? PROTOCOL.ipv4 : PROTOCOL.ipv6;
  if (ip.protocol !== protocol) return `outer protocol ${ip.protocol}`;
  if (!lan.servers.includes(ip.destination)) return `outer destination ${ip.destination}`;
  // The kernel chooses, and in IPv6 it may prefer the address added last.
  const isOwn = [lan.director, lan.fullNatSource].includes(ip.source);
  return isOwn ? undefined : `outer source ${ip.source}`;
}

/** Answers pass the director only where it has to translate them. */
function expectRightAnswers(sent: readonly Frame[], { family, method }: Subject): void {
  const { wan } = ADDRESSES[family];
  const answers = sent.filter(({ ip }) => {
    return ip?.ports !== undefined && wan.clients.includes(ip.destination);
  });
  if (DIRECT_METHODS.includes(method)) {
    expect(answers).toHaveLength(0);
    return;
  }
  expect(answers.length).toBeGreaterThan(0);
  const ports: readonly number[] = [SERVICE_PORTS.http, SERVICE_PORTS.echo];
  const wrong = complaints(answers, ({ ip }) => {
    if (ip!.source !== wan.vips[method]) return `source ${ip!.source}`;
    if (!ports.includes(ip!.ports![0])) return `source port ${ip!.ports![0]}`;
    return ip!.ttl === FIRST_TTL - 1 ? undefined : `TTL ${ip!.ttl}`;
  });
  expect(wrong).toEqual([]);
}

function expectFullFrames(
  { sent, toServers }: { sent: readonly Frame[]; toServers: readonly Frame[] },
  { family, method }: Subject,
): void {
  const longest = Math.max(...toServers.map(({ ip }) => ip!.length));
  expect(longest).toBe(MTU);
  const tcp = toServers.filter(({ ip }) => (ip!.inner ?? ip!).protocol === PROTOCOL.tcp);
  expect(tcp.filter(({ ip }) => !(ip!.inner ?? ip!).dontFragment)).toEqual([]);
  if (method !== 'tunnel') return;
  const tooBig = sent.flatMap(({ ip }) => (ip?.mtu === undefined ? [] : [ip.mtu]));
  expect(new Set(tooBig)).toEqual(new Set([MTU - OUTER_HEADER[family]]));
}

function defectOf({ ip }: Frame): string | undefined {
  return ip?.defect ?? ip?.inner?.defect;
}

function describeKernelTraffic(bed: () => Bed): void {
  test('ping, neighbour discovery and a TCP service of the director work under load', async () => {
    const { topology } = bed();
    for (const family of FAMILIES) {
      const { wan } = ADDRESSES[family];
      const load = { url: httpUrl(family, 'nat'), connections: 50, requests: 20 };
      topology.client.run(['ip', 'neigh', 'flush', 'dev', 'eth0']);
      const loaded = runClient(topology.client, ['http', load]);
      for (const address of [wan.director, wan.vips.nat]) {
        const target = { address, port: OWN_SERVICE_PORT };
        const report = await runClient(topology.client, ['greeting', target]);
        expect(report).toEqual({ greeting: 'SSH-2.0-director', echo: 'hello' });
      }
      const ping = ['ping', '-n', '-q', '-c', '20', '-i', '0.02', '-W', '2', wan.vips.nat];
      expect(topology.client.run(ping)).toContain('20 received');
      expect((await loaded).failed).toEqual({});
      const neighbour = topology.client.run(['ip', 'neigh', 'show', wan.vips.nat]);
      expect(neighbour).toContain(macAddress(topology.director, topology.ports[0]!.interface));
    }
  });
}

function describeOperation(bed: () => Bed): void {
  test('stopped and started again: nothing stays attached, and all methods answer', async () => {
    const current = bed();
    const { director } = current.topology;
    expect(await current.director.stop()).toBe(0);
    expect(director.run(['ip', '-details', 'link', 'show'])).not.toMatch(/xdp/);
    current.director = await startDirector(director, current.options);
    for (const family of FAMILIES) {
      for (const method of METHODS) await expectHttpAnswered({ bed, family, method });
    }
  });
}
