// Reloads of a running director: a storm of them under load, servers that drain, a file that is
// watched, and what ipvsadm has changed meanwhile.

import { readFileSync, renameSync, symlinkSync, writeFileSync } from 'node:fs';
import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import type { DirectorStatus, ReloadResult, ServerStatus } from '../../host/control/api.ts';
import { askDirector } from '../../host/control/client.ts';
import { runClient } from '../../host/netns/client-operations.ts';
import { Random, seedFromEnvironment } from '../support/random.ts';
import { skipWhere } from '../support/skip.ts';
import { LAN, LiveBed, MEMORY_PROBE, natService, reason, until, VIP } from './live-bed.ts';

const [WEB_1, WEB_2] = LAN.servers as readonly [string, string];
const SERVER_1 = `${WEB_1}:8080`;
const SERVER_2 = `${WEB_2}:8080`;
const BOTH = natService(80, [SERVER_1, SERVER_2]);
const MIB = 1024 * 1024;
const SEED = seedFromEnvironment(20_261_120);
const WARM_UP_SECONDS = 3;
const WARM_UP_RELOADS = 300;
const STORM_SECONDS = 15;
const STORM_RELOADS = 1000;
const RELOADS_UNDER_LOAD_MIN = 50;
/** Code that is compiled later than in the warm-up; one plan kept by each reload is far more. */
const LIVE_GROWTH_MAX = 5 * MIB;
/** The workers' heaps breathe. */
const OTHERS_GROWTH_MAX = 24 * MIB;

describe('reloads of a running director', () => {
  let bed: LiveBed;

  beforeAll(async () => {
    if (reason !== undefined) return;
    bed = new LiveBed({ arms: 2, queues: 2, servers: 2 });
    await bed.startServers();
    write(BOTH);
    await bed.start(MEMORY_PROBE);
  });
  afterAll(() => bed?.close());

  skipWhere(() => reason);

  /** The storm alone makes more connections than the other tests of this folder have. */
  function write(services: string, director = ''): string {
    const all = `  timeouts: { tcpfin: 2s }\n${director}`;
    return bed.write({ services, director: all, connections: 200_000 });
  }

  const url = `http://${VIP}:80`;
  const status = () => askDirector(bed.socket, 'status') as Promise<DirectorStatus>;
  const reload = () => askDirector(bed.socket, 'reload', {}) as Promise<ReloadResult>;

  async function serverOf(port: number, key: string): Promise<ServerStatus | undefined> {
    const { services } = await status();
    const service = services.find((each) => each.key === `tcp ${VIP}:${port}`);
    return service?.servers.find((server) => server.key === key);
  }

  async function takeOver(services: string, director = ''): Promise<ReloadResult> {
    write(services, director);
    return await reload();
  }

  test(`a storm of reloads under load: no request fails, memory does not grow (seed ${SEED})`, async () => {
    const random = new Random(SEED);
    // What is made once is made, and code is compiled.
    await storm(random, { seconds: WARM_UP_SECONDS, reloads: WARM_UP_RELOADS });
    const before = await bed.memory();
    const { report, underLoad, reloads } = await storm(random, {
      seconds: STORM_SECONDS,
      reloads: STORM_RELOADS,
    });
    const after = await bed.memory();
    const live = after.live - before.live;
    const others = after.others - before.others;
    process.stderr.write(
      `${underLoad} reloads beside ${report.answered} requests, longest ` +
        `${report.latency.max.toFixed(0)} ms; after ${reloads} reloads ${toKib(live)} KiB more ` +
        `live, ${toKib(others)} KiB more of others\n`,
    );
    expect(report.failed).toEqual({});
    // A packet lost would have been sent again.
    expect(repeatedHandshakes()).toBe(0);
    expect(report.answered).toBeGreaterThan(1000);
    expect(underLoad).toBeGreaterThan(RELOADS_UNDER_LOAD_MIN);
    expect(live).toBeLessThan(LIVE_GROWTH_MAX);
    expect(others).toBeLessThan(OTHERS_GROWTH_MAX);
    expect(bed.log('publish-failed')).toEqual([]);
  });

  /** Reloads while requests come, and then as many more as are wanted: a slow machine does few. */
  async function storm(random: Random, wanted: { seconds: number; reloads: number }) {
    const load = { url, connections: 4, requests: 10, seconds: wanted.seconds };
    let isOver = false;
    const client = runClient(bed.topology.client, ['http', load], { timeout: 60_000 });
    const loaded = client.finally(() => {
      isOver = true;
    });
    let underLoad = 0;
    for (; !isOver; underLoad++) await takeOver(randomServices(random));
    let reloads = underLoad;
    for (; reloads < wanted.reloads; reloads++) await takeOver(randomServices(random));
    return { report: await loaded, underLoad, reloads };
  }

  function repeatedHandshakes(): number {
    const { client, servers } = bed.topology;
    const counters = [client, ...servers].map((each) =>
      each.run(['nstat', '-az', 'TcpExtTCPSynRetrans']),
    );
    return counters
      .map((text) => Number(/TCPSynRetrans\s+(\d+)/.exec(text)?.[1]))
      .reduce((sum, count) => sum + count);
  }

  /** The service under load with web-1 always and web-2 now and then, and services that come and go. */
  function randomServices(random: Random): string {
    const weight = 1 + random.below(5);
    const second =
      random.below(2) === 0 ? '' : `, { address: '${SERVER_2}', weight: ${1 + random.below(5)} }`;
    const main =
      `  - { name: web-80, listen: '${VIP}:80/tcp', scheduler: wrr, forwarding: nat, ` +
      `servers: [{ address: '${SERVER_1}', weight: ${weight} }${second}] }\n`;
    const others = Array.from({ length: random.below(6) }, () => 8000 + random.below(20));
    return main + [...new Set(others)].map((port) => natService(port, [SERVER_1])).join('');
  }

  test('rules of marks that change: what they mark is taken, and no more what they marked', async () => {
    const marked = (port: number) =>
      `  - { name: marked, listen: 'mark 7', scheduler: rr, forwarding: nat, ` +
      `servers: [{ address: '${SERVER_1}' }] }\n` +
      `marks: [{ mark: 7, destination: ${VIP}, protocol: tcp, ports: [${port}] }]\n`;
    for (const port of [8085, 8086]) {
      const { changes } = await takeOver(BOTH + marked(port));
      expect(changes.map(({ kind }) => kind)).toContain('marks-changed');
      expect(await bed.http(`http://${VIP}:${port}/`)).toEqual({ 'web-1': 8 });
    }
    await expect(bed.http(`http://${VIP}:8085/`)).rejects.toThrow(/ECONNREFUSED/);
    await takeOver(BOTH);
    await expect(bed.http(`http://${VIP}:8086/`)).rejects.toThrow(/ECONNREFUSED/);
  });

  test('a server taken out drains: its transfer ends well, then it is gone', async () => {
    await takeOver(BOTH);
    const transfers = { url, direction: 'download', bytes: 3_000_000, rate: 1_000_000 } as const;
    const logged = bed.log('drain-finished').length;
    let started: () => void = () => undefined;
    const underWay = new Promise<void>((resolve) => {
      started = resolve;
    });
    const running = runClient(bed.topology.client, ['transfers', { ...transfers, count: 4 }], {
      onEvent: started,
    });
    await underWay;
    write(natService(80, [SERVER_1]));
    const plan = bed.wvs('plan', '--config', bed.file).stdout;
    expect(plan).toContain(`- server ${SERVER_2} of web-80`);
    expect(plan).toMatch(new RegExp(`${SERVER_2} .* may go on until they end: [12] active`));
    const { affected } = await reload();
    expect(affected).toMatchObject([{ server: SERVER_2, fate: 'drain', active: 2 }]);
    const draining = await serverOf(80, SERVER_2);
    expect(draining).toMatchObject({ weight: 0, health: 'drained' });
    expect(draining?.drain?.open).toBeGreaterThanOrEqual(2);
    expect(bed.wvs('status').stdout).toMatch(/drains \(\d+ open, \d/);
    // No new connection goes there meanwhile.
    expect(await bed.http(url)).toEqual({ 'web-1': 8 });
    const reports = await running;
    for (const report of reports) expect(report).toMatchObject({ intact: true });
    await until(async () => (await serverOf(80, SERVER_2)) === undefined, 'the end of the drain');
    expect(bed.log('drain-finished').slice(logged).at(-1)).toMatchObject({
      server: SERVER_2,
      connections: 0,
    });
  });

  test('put back while it drains: as if nothing had been', async () => {
    await takeOver(BOTH);
    await holdingConnection(async () => {
      await takeOver(natService(80, [SERVER_1]));
      expect((await serverOf(80, SERVER_2))?.drain).toBeDefined();
      await takeOver(BOTH);
      expect(await serverOf(80, SERVER_2)).toMatchObject({ weight: 1, health: 'unchecked' });
    });
    expect(bed.log('drain-cancelled').at(-1)).toMatchObject({ server: SERVER_2 });
  });

  test('the deadline: what is left is cut off', async () => {
    await takeOver(BOTH);
    const [, cut] = await holdingConnection(async () => {
      await takeOver(natService(80, [SERVER_1]), '  drain: { timeout: 1s }');
      await until(async () => (await serverOf(80, SERVER_2)) === undefined, 'the deadline');
    });
    expect(cut).toBe(true);
    expect(bed.log('drain-finished').at(-1)).toMatchObject({ level: 'warn', connections: 1 });
  });

  test('drain: off: removed at once, as ipvsadm does it', async () => {
    await takeOver(BOTH);
    await holdingConnection(async () => {
      const { affected } = await takeOver(natService(80, [SERVER_1]), '  drain: off');
      expect(affected).toMatchObject([{ server: SERVER_2, fate: 'end' }]);
      // One of this test; the one that was cut off before may be back with its server.
      expect(affected?.[0]?.active).toBeGreaterThanOrEqual(1);
      expect(await serverOf(80, SERVER_2)).toBeUndefined();
    });
  });

  /** Two slow transfers, one by each server, for as long as `body` takes. @returns who was cut off */
  async function holdingConnection(body: () => Promise<void>): Promise<boolean[]> {
    const slow = {
      url,
      direction: 'download',
      bytes: 2_500_000,
      rate: 1_000_000,
      count: 2,
    } as const;
    let started: () => void = () => undefined;
    const underWay = new Promise<void>((resolve) => {
      started = resolve;
    });
    const running = runClient(bed.topology.client, ['transfers', slow], {
      onEvent: started,
      timeout: 4_500,
    }).catch(() => undefined);
    await underWay;
    await body();
    const reports = await running;
    if (reports === undefined) return [false, true];
    const sorted = reports.toSorted((a, b) => (a.server < b.server ? -1 : 1));
    return sorted.map((report) => !report.intact);
  }

  test('a service taken out drains with all its servers', async () => {
    await takeOver(BOTH);
    await holdingConnection(async () => {
      await takeOver(natService(81, [SERVER_1]));
      const { services } = await status();
      const gone = services.find(({ key }) => key === `tcp ${VIP}:80`);
      expect(gone).toMatchObject({ isDraining: true, source: 'file', servers: [{}, {}] });
    });
    await until(async () => (await status()).services.length === 1, 'the end of the service');
    await takeOver(BOTH);
  });

  test("ipvsadm's servers and weights: the file takes back only what is its own", async () => {
    bed.wvs('ipvsadm', '-e', '-t', `${VIP}:80`, '-r', SERVER_1, '-m', '-w', '0');
    bed.wvs('ipvsadm', '-d', '-t', `${VIP}:80`, '-r', SERVER_2);
    bed.wvs('ipvsadm', '-a', '-t', `${VIP}:80`, '-r', `${WEB_2}:80`, '-m');
    expect(await serverOf(80, `${WEB_2}:80`)).toMatchObject({ source: 'ipvsadm' });
    const { changes } = await reload();
    expect(changes.map(({ text }) => text).sort()).toEqual([
      `+ server ${SERVER_2} of web-80 (tcp ${VIP}:80)`,
      `~ server ${SERVER_1} of web-80 (tcp ${VIP}:80): weight 0 -> 1`,
    ]);
    expect(await serverOf(80, SERVER_1)).toMatchObject({ weight: 1 });
    expect(await serverOf(80, `${WEB_2}:80`)).toMatchObject({ source: 'ipvsadm' });
    bed.wvs('ipvsadm', '-d', '-t', `${VIP}:80`, '-r', `${WEB_2}:80`);
  });

  describe('a watched file', () => {
    const watched = (services: string) => {
      const text = readFileSync(write(services, '  watch: true'), 'utf8');
      return text;
    };
    const has = (port: number) => async () =>
      (await status()).services.some(({ key, isDraining }) => {
        return key === `tcp ${VIP}:${port}` && isDraining !== true;
      });

    test('written in place, in two halves with a pause between them', async () => {
      watched(BOTH);
      await reload();
      const text = watched(BOTH + natService(82, [SERVER_1]));
      const half = text.slice(0, text.indexOf('listen'));
      writeFileSync(bed.file, half);
      await new Promise((resolve) => setTimeout(resolve, 600));
      expect(await has(80)()).toBe(true);
      writeFileSync(bed.file, text);
      await until(has(82), 'the new service');
    });

    test('another file renamed into its place, as editors do', async () => {
      const text = readFileSync(bed.file, 'utf8');
      writeFileSync(`${bed.file}.new`, text + natService(83, [SERVER_1]));
      renameSync(`${bed.file}.new`, bed.file);
      await until(has(83), 'the new service');
    });

    test('a broken file: told once with its place, nothing changes', async () => {
      const before = bed.log('reload-refused').length;
      const problems = bed.log('config-problem').length;
      const text = readFileSync(bed.file, 'utf8');
      writeFileSync(bed.file, text.replace('scheduler: rr', 'scheduler: rrr'));
      await until(() => bed.log('reload-refused').length > before, 'the refusal');
      await new Promise((resolve) => setTimeout(resolve, 2500));
      expect(bed.log('reload-refused')).toHaveLength(before + 1);
      const [problem] = bed.log('config-problem').slice(problems);
      expect(problem).toMatchObject({ line: expect.any(Number), column: expect.any(Number) });
      expect(problem?.msg).toContain('did you mean "rr"?');
      expect(await has(83)()).toBe(true);
      writeFileSync(bed.file, text);
    });

    test('a keepalived.conf: a file that it includes, and one more that matches', async () => {
      const folder = join(bed.topology.set.directory, 'keepalived');
      await mkdir(join(folder, 'conf.d'), { recursive: true });
      const file = join(folder, 'keepalived.conf');
      const director = [
        'ports: [{ name: wan, interface: wan }, { name: lan, interface: lan }]',
        `connections: 200000`,
        `control: ${bed.socket}`,
        'watch: true',
      ];
      const own = director.map((line) => `#wvs   ${line}\n`).join('');
      writeFileSync(file, `#wvs director:\n${own}include conf.d/*.conf\n`);
      const include = (name: string, port: number) =>
        writeFileSync(
          join(folder, 'conf.d', name),
          `virtual_server ${VIP} ${port} {\n  protocol TCP\n  real_server ${WEB_1} 8080 {\n  }\n}\n`,
        );
      include('a.conf', 90);
      await askDirector(bed.socket, 'reload', { config: file });
      expect(await has(90)()).toBe(true);
      include('a.conf', 91);
      await until(has(91), 'the service of the edited file');
      include('b.conf', 92);
      await until(has(92), 'the service of the new file');
      await rm(join(folder, 'conf.d', 'a.conf'));
      await until(async () => !(await has(91)()), 'the end of the service of the old file');
    });

    test('a Kubernetes ConfigMap: the link two steps away is what changes', async () => {
      const volume = join(bed.topology.set.directory, 'volume');
      const version = async (name: string, services: string) => {
        await mkdir(join(volume, name), { recursive: true });
        writeFileSync(join(volume, name, 'wvs.yaml'), watched(services));
        symlinkSync(name, join(volume, '..data_tmp'));
        renameSync(join(volume, '..data_tmp'), join(volume, '..data'));
      };
      await version('..2026_11_20', BOTH);
      symlinkSync('..data/wvs.yaml', join(volume, 'wvs.yaml'));
      const file = join(volume, 'wvs.yaml');
      await askDirector(bed.socket, 'reload', { config: file });
      await version('..2026_11_21', BOTH + natService(84, [SERVER_1]));
      await until(has(84), 'the new version');
      await rm(join(volume, '..2026_11_20'), { recursive: true });
      expect((await status()).config.file).toBe(file);
    });
  });
});

function toKib(bytes: number): number {
  return Math.round(bytes / 1024);
}
