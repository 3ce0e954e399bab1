// A director in operation: reloads, ipvsadm, and a network that changes under it.

import { writeFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import type { DirectorStatus } from '../../host/control/api.ts';
import { skipWhere } from '../support/skip.ts';
import { LAN, LiveBed, natService, reason, until, VIP } from './live-bed.ts';

const [WEB_1, WEB_2] = LAN.servers as readonly [string, string];
/** An address behind web-1, to which no route leads at first. */
const BEHIND = '10.30.0.11';

describe('a running director', () => {
  let bed: LiveBed;
  const both = natService(80, [`${WEB_1}:8080`, `${WEB_2}:8080`]);

  beforeAll(async () => {
    if (reason !== undefined) return;
    bed = new LiveBed({ arms: 2, queues: 2, servers: 2 });
    await bed.startServers();
    bed.topology.servers[0]!.ip([`address add ${BEHIND}/32 dev lo`]);
    bed.write({ services: both });
    await bed.start();
  });
  afterAll(() => bed?.close());

  skipWhere(() => reason);

  const url = (port: number) => `http://${VIP}:${port}`;
  const status = () => bed.director!.status() as DirectorStatus;

  test('before the first request: the real servers are known as neighbours', async () => {
    for (const server of [WEB_1, WEB_2]) await until(() => isNeighbour(server), server);
  });

  function isNeighbour(address: string): boolean {
    const known = bed.topology.director.run(['ip', 'neigh', 'show', address]);
    return /REACHABLE|STALE|DELAY/.test(known);
  }

  test('status: workers, ports, services with their source', async () => {
    const { workers, ports, services, config } = status();
    expect(workers.map(({ state, restarts }) => [state, restarts])).toEqual([
      ['running', 0],
      ['running', 0],
    ]);
    expect(ports).toMatchObject([
      { name: 'wan', link: 'up', mode: 'native, copy', queues: 2 },
      { name: 'lan', link: 'up', mode: 'native, copy', queues: 2 },
    ]);
    expect(services).toMatchObject([{ name: 'web-80', source: 'file', servers: [{}, {}] }]);
    expect(config.file).toBe(bed.file);
  });

  test('plan and reload: a server less, a service more', async () => {
    const next = natService(80, [`${WEB_1}:8080`]) + natService(81, [`${WEB_2}:8080`]);
    bed.write({ services: next });
    const plan = bed.wvs('plan', '--config', bed.file);
    expect(plan.code).toBe(0);
    expect(plan.stdout).toContain('2 things would change');
    expect(await bed.http(url(80))).toHaveProperty('web-2');
    expect(bed.wvs('reload').stdout).toContain('2 things changed');
    expect(await bed.http(url(80))).toEqual({ 'web-1': 8 });
    expect(await bed.http(url(81))).toEqual({ 'web-2': 8 });
  });

  test('SIGHUP: the same file, changed', async () => {
    bed.write({ services: both });
    bed.director!.child.kill('SIGHUP');
    await until(() => status().services.length === 1, 'the reload');
    expect(await bed.http(url(80))).toEqual({ 'web-1': 4, 'web-2': 4 });
  });

  test('SIGHUP with a wrong file: told in the log, nothing changes', async () => {
    writeFileSync(bed.file, 'version: 1\nservices: nothing\n');
    bed.director!.child.kill('SIGHUP');
    await bed.logged('reload-refused');
    expect(bed.log('config-problem').length).toBeGreaterThan(0);
    expect(await bed.http(url(80))).toEqual({ 'web-1': 4, 'web-2': 4 });
    bed.write({ services: both });
  });

  test('ipvsadm: a service beside those of the file, which a reload leaves alone', async () => {
    expect(bed.wvs('ipvsadm', '-A', '-t', `${VIP}:90`, '-s', 'rr')).toMatchObject({ code: 0 });
    const add = ['ipvsadm', '-a', '-t', `${VIP}:90`, '-r', `${WEB_2}:8080`, '-m'];
    expect(bed.wvs(...add)).toMatchObject({ code: 0, stderr: '' });
    expect(await bed.http(url(90))).toEqual({ 'web-2': 8 });
    expect(bed.wvs('reload').stdout).toContain('nothing changed');
    expect(status().services).toHaveLength(2);
    expect(status().services.find(({ source }) => source === 'ipvsadm')?.key).toBe(`tcp ${VIP}:90`);
    const added = bed.log('destination-added').filter(({ origin }) => origin === 'ipvsadm');
    expect(added).toMatchObject([{ service: `tcp ${VIP}:90`, server: `${WEB_2}:8080` }]);
    expect(bed.wvs('ipvsadm', '-D', '-t', `${VIP}:90`).code).toBe(0);
    expect(bed.wvs('ipvsadm', '-Ln').stdout).not.toContain(`${VIP}:90`);
  });

  test('a reload that needs a restart: refused, the director goes on', async () => {
    bed.write({ director: '  workers: 1', services: both });
    const { code, stderr } = bed.wvs('reload');
    expect(code).toBe(1);
    expect(stderr).toContain('director.workers (needs a restart)');
    bed.write({ services: both });
    expect(await bed.http(url(80))).toEqual({ 'web-1': 4, 'web-2': 4 });
  });

  test('a route that comes: the server behind it is reached', async () => {
    bed.wvs('ipvsadm', '-A', '-t', `${VIP}:91`, '-s', 'rr');
    bed.wvs('ipvsadm', '-a', '-t', `${VIP}:91`, '-r', `${BEHIND}:8080`, '-m');
    await expect(bed.http(url(91), 1)).rejects.toThrow();
    bed.topology.director.ip([`route add 10.30.0.0/24 via ${WEB_1}`]);
    await until(() => answers(91), 'an answer by the new route');
    bed.topology.director.ip(['route del 10.30.0.0/24']);
    await until(async () => !(await answers(91)), 'the end of the route');
    bed.wvs('ipvsadm', '-D', '-t', `${VIP}:91`);
  });

  async function answers(port: number): Promise<boolean> {
    try {
      await bed.http(url(port), 1);
      return true;
    } catch {
      return false;
    }
  }

  test("a server's MAC address changes: its packets go to the new one", async () => {
    const [web] = bed.topology.servers;
    web!.ip(['link set eth0 address 02:00:00:00:77:01']);
    // As after any exchange of a card, the machine makes itself heard.
    await until(() => {
      web!.run(['ping', '-n', '-c', '1', '-W', '1', LAN.director]);
      return bed.topology.director.run(['ip', 'neigh']).includes('02:00:00:00:77:01');
    }, 'the new address in the kernel');
    expect(await bed.http(url(80))).toEqual({ 'web-1': 4, 'web-2': 4 });
  });

  test('a neighbour is forgotten: asked for again before a packet needs it', async () => {
    bed.topology.director.ip([`neigh del ${WEB_1} dev lan`]);
    await until(() => isNeighbour(WEB_1), 'the neighbour');
    expect(await bed.http(url(80))).toEqual({ 'web-1': 4, 'web-2': 4 });
  });

  test('a port goes down and comes up: told, and packets flow again', async () => {
    bed.topology.director.ip(['link set lan down']);
    expect(await bed.logged('port-down')).toMatchObject({ port: 'lan', level: 'warn' });
    expect(status().ports[1]?.link).toBe('down');
    bed.topology.director.ip(['link set lan up']);
    expect(await bed.logged('port-up')).toMatchObject({ port: 'lan' });
    await until(() => answers(80), 'an answer after the port came up', 10_000);
  });

  test('SIGTERM under load: exit 0, nothing attached, the socket gone', async () => {
    const load = bed.http(url(80), 50).catch(() => undefined);
    expect(await bed.director!.stop()).toBe(0);
    expect(bed.attached()).toBe('');
    expect(bed.wvs('status')).toMatchObject({ code: 1 });
    await load;
  });

  test('kill -9: nothing stays attached, and the next one starts', async () => {
    await bed.start();
    bed.director!.child.kill('SIGKILL');
    await until(() => bed.attached() === '', 'the end of the XDP program');
    await bed.start();
    expect(await bed.http(url(80))).toEqual({ 'web-1': 4, 'web-2': 4 });
    expect(await bed.director!.stop()).toBe(0);
  });

  test('generic mode, one worker for all queues', async () => {
    bed.write({
      director: '  workers: 1',
      ports: '[{ name: wan, interface: wan, xdp: generic }, { name: lan, xdp: generic }]',
      services: both,
    });
    await bed.start();
    expect(status().ports.map(({ mode }) => mode)).toEqual(['generic, copy', 'generic, copy']);
    expect(status().workers).toHaveLength(1);
    expect(await bed.http(url(80), 20)).toEqual({ 'web-1': 20, 'web-2': 20 });
    expect(await bed.director!.stop()).toBe(0);
  });
});
