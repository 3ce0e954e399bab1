// Health checks in a running director: a server killed under load, sorry server and quorum, and
// health that outlives a reload.

import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import type { DirectorStatus, ServiceStatus } from '../../host/control/api.ts';
import { askDirector } from '../../host/control/client.ts';
import { runClient } from '../../host/netns/client-operations.ts';
import type { Child } from '../../host/netns/namespaces.ts';
import { startServer } from '../support/net/bed.ts';
import { skipWhere } from '../support/skip.ts';
import { LAN, LiveBed, reason, until, VIP } from './live-bed.ts';

const [SERVER_1, SERVER_2, SORRY] = LAN.servers.map((address) => `${address}:8080`) as [
  string,
  string,
  string,
];
const INTERVAL_MS = 200;
const FALL = 2;
const CHECK =
  `check: { type: http, path: /, interval: ${INTERVAL_MS}ms, timeout: 150ms, ` +
  `rise: 2, fall: ${FALL}, jitter: 20ms, warmUp: 50ms }`;
/** Between a request and the note of its failure, where two cores do everything of this test at once. */
const SLACK_MS = 400;

describe('health checks of a running director', () => {
  let bed: LiveBed;
  const children: Child[] = [];

  beforeAll(async () => {
    if (reason !== undefined) return;
    bed = new LiveBed({ arms: 2, queues: 2, servers: 3 });
    const { servers } = bed.topology;
    const started = servers.map((server, index) => startServer(server, index));
    children.push(...(await Promise.all(started)));
    bed.write({ services: service(), connections: 200_000 });
    await bed.start();
  });
  afterAll(() => bed?.close());

  skipWhere(() => reason);

  function service(rest = ''): string {
    const servers = [SERVER_1, SERVER_2].map((address) => `{ address: '${address}' }`);
    return (
      `  - { name: web, listen: '${VIP}:80/tcp', scheduler: rr, forwarding: nat, ${CHECK}, ` +
      `sorryServer: '${SORRY}', servers: [${servers.join(', ')}]${rest} }\n`
    );
  }

  const url = `http://${VIP}:80`;

  async function web(): Promise<ServiceStatus> {
    const { services } = (await askDirector(bed.socket, 'status')) as DirectorStatus;
    return services.find(({ name }) => name === 'web')!;
  }

  async function healths(): Promise<Record<string, string>> {
    const { servers } = await web();
    return Object.fromEntries(servers.map(({ key, health }) => [key, health]));
  }

  async function untilHealths(wanted: Record<string, string>): Promise<void> {
    await until(async () => {
      const now = await healths();
      return Object.entries(wanted).every(([key, health]) => now[key] === health);
    }, JSON.stringify(wanted));
  }

  async function restart(index: number): Promise<void> {
    children[index] = await startServer(bed.topology.servers[index]!, index);
  }

  test('after the first probes: both servers are up, the quorum is there', async () => {
    await untilHealths({ [SERVER_1]: 'up', [SERVER_2]: 'up' });
    expect(await web()).toMatchObject({ quorum: 'up', sorryServer: 'out' });
    expect(await bed.http(url)).toEqual({ 'web-1': 4, 'web-2': 4 });
  });

  test('a server killed under load: no new connection fails after fall x interval', async () => {
    const load = { url, connections: 4, requests: 1, seconds: 4 };
    const loaded = runClient(bed.topology.client, ['http', load]);
    await new Promise((resolve) => setTimeout(resolve, 1500));
    children[1]!.kill('SIGKILL');
    const killedAt = Date.now();
    const report = await loaded;
    const last = Math.max(killedAt, ...report.failedAt);
    const down = bed.log('server-down').at(-1)!;
    const downAt = Date.parse(String(down.time));
    process.stderr.write(
      `switch-over: of ${report.answered} requests, each on a connection of its own, ` +
        `${report.failedAt.length} failed, the last ${last - killedAt} ms after the kill; down after ` +
        `${downAt - killedAt} ms (fall x interval: ${FALL * INTERVAL_MS} ms)\n`,
    );
    expect(report.answered).toBeGreaterThan(500);
    expect(report.failedAt.every((at) => at >= killedAt - SLACK_MS)).toBe(true);
    expect(last).toBeLessThan(downAt + SLACK_MS);
    expect(await bed.http(url)).toEqual({ 'web-1': 8 });
    const { servers } = await web();
    const dead = servers.find(({ key }) => key === SERVER_2);
    expect(dead).toMatchObject({ health: 'down', weight: 0, reason: expect.any(String) });
    expect(down).toMatchObject({ server: SERVER_2, level: 'warn' });
  });

  test('a reload keeps what is known: the server that is down stays down', async () => {
    bed.write({ services: service(', quorum: 1, hysteresis: 0') + other(), connections: 200_000 });
    expect(bed.wvs('reload').code).toBe(0);
    expect(await healths()).toMatchObject({ [SERVER_1]: 'up', [SERVER_2]: 'down' });
    expect(await bed.http(url)).toEqual({ 'web-1': 8 });
  });

  function other(): string {
    return `  - { listen: '${VIP}:81/tcp', forwarding: nat, servers: [{ address: '${SERVER_1}' }] }\n`;
  }

  test('the last server goes: the sorry server comes, and goes when one is back', async () => {
    children[0]!.kill('SIGKILL');
    await until(async () => (await web()).sorryServer === 'in', 'the sorry server');
    expect(await bed.http(url)).toEqual({ 'web-3': 8 });
    expect(bed.wvs('status').stdout).toMatch(/no quorum, sorry server in/);
    await restart(1);
    await untilHealths({ [SERVER_2]: 'up' });
    expect(await web()).toMatchObject({ quorum: 'up', sorryServer: 'out' });
    expect(await bed.http(url)).toEqual({ 'web-2': 8 });
    await restart(0);
    await untilHealths({ [SERVER_1]: 'up' });
    expect(await bed.http(url)).toEqual({ 'web-1': 4, 'web-2': 4 });
  });

  test('no check: nothing is probed, whoever is there or not', async () => {
    const unchecked = service().replace(`${CHECK}, `, '');
    bed.write({ services: unchecked, connections: 200_000 });
    expect(bed.wvs('reload').code).toBe(0);
    expect(await healths()).toEqual({ [SERVER_1]: 'unchecked', [SERVER_2]: 'unchecked' });
    bed.write({
      services: unchecked.replace(/servers: .*\]/, 'servers: []'),
      connections: 200_000,
    });
    expect(bed.wvs('reload').code).toBe(0);
    // Without any server the quorum cannot be there.
    expect(await bed.http(url)).toEqual({ 'web-3': 8 });
  });
});
