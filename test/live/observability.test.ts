// What an operator sees of a running director: status, top, metrics, explain, /proc texts, the
// control socket's own description. Against real traffic, in network namespaces.

import { spawnSync } from 'node:child_process';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { DirectorStatus, ExplainResult } from '../../host/control/api.ts';
import { openApiDocument } from '../../host/control/openapi.ts';
import { directorStatus, explainResult } from '../../host/control/schemas.ts';
import { METHODS, type Method } from '../../host/netns/addresses.ts';
import { directorProgram } from '../../host/netns/director.ts';
import { startDecapsulator } from '../../host/netns/topology.ts';
import { LAN, LiveBed, reason, until, WAN } from './live-bed.ts';

const METRICS = '127.0.0.1:9464';
const OTHER_METRICS = '127.0.0.1:9465';
const CLIENT = WAN.clients[0]!;

function services(): string {
  return METHODS.map((method) => {
    const port = method === 'nat' || method === 'full-nat' ? 8080 : 80;
    const list = LAN.servers.slice(0, 2).map((address) => `{ address: '${address}:${port}' }`);
    return (
      `  - { name: ${method}, listen: '${WAN.vips[method]}:80/tcp', scheduler: rr, ` +
      `forwarding: ${method}, servers: [${list.join(', ')}] }\n`
    );
  }).join('');
}

function director(metrics: string): string {
  return `  localAddresses: ['${LAN.fullNatSource}']\n  metrics: '${metrics}'`;
}

describe.skipIf(reason !== undefined)(
  `a running director, seen${reason ? `: ${reason}` : ''}`,
  () => {
    let bed: LiveBed;

    beforeAll(async () => {
      bed = new LiveBed({ arms: 2, queues: 2, servers: 2 });
      await bed.startServers();
      await Promise.all(bed.topology.servers.map((server) => startDecapsulator(server)));
      bed.write({ director: director(METRICS), services: services() });
      await bed.start();
    });
    afterAll(() => bed?.close());

    /** Status and text of a GET inside the director's namespace; status 0 when nobody answers. */
    function get(path: string, at = METRICS): { status: number; text: string } {
      const script =
        `fetch('http://${at}${path}').then(async (answer) => console.log(` +
        `JSON.stringify({ status: answer.status, text: await answer.text() })), ` +
        `() => console.log('{"status":0,"text":""}'))`;
      return JSON.parse(bed.topology.director.run([process.execPath, '-e', script])) as never;
    }

    function value(name: string, labels = ''): number {
      const line = get('/metrics')
        .text.split('\n')
        .find((candidate) => candidate.startsWith(`${name}${labels} `));
      return Number(line?.split(' ').at(-1));
    }

    function explain(client: string, virtual: string, ...options: string[]): ExplainResult {
      const { stdout, stderr } = bed.wvs('explain', ...options, '--json', 'tcp', client, virtual);
      expect(stderr).toBe('');
      return explainResult.parse(JSON.parse(stdout)) as ExplainResult;
    }

    const url = (method: Method) => `http://${WAN.vips[method]}:80`;

    test.each(METHODS)('explain: a new connection by %s goes where it said', async (method) => {
      const virtual = `${WAN.vips[method]}:80`;
      const before = explain(`${CLIENT}:1`, virtual);
      // Asking again moves nothing.
      expect(explain(`${CLIENT}:1`, virtual)).toEqual(before);
      expect(before.outcome).toBe('forward');
      expect(before.service).toBe(`tcp ${virtual}`);
      expect(before.steps.map(({ step }) => step)).toEqual([
        'steering',
        'local address',
        'connection',
        'service',
        'scheduler',
        'forwarding',
        'next hop',
        'mtu',
      ]);
      const answered = await bed.http(url(method), 1);
      const index = LAN.servers.findIndex((address) => before.server?.startsWith(`${address}:`));
      expect(Object.keys(answered)).toEqual([`web-${index + 1}`]);
      const forwarding = before.steps.find(({ step }) => step === 'forwarding');
      expect(forwarding?.facts.method).toBe(method);
    });

    test('explain: a connection that is there, by its own numbers', async () => {
      await bed.http(url('nat'), 1);
      const line = bed
        .wvs('ipvsadm', '-Lnc')
        .stdout.split('\n')
        .find((candidate) => candidate.includes(`${WAN.vips.nat}:80`));
      const [, , , client = '', virtual = '', server] = line!.split(/\s+/);
      const there = explain(client, virtual);
      expect(there.steps.map(({ step }) => step)).toContain('connection');
      expect(there).toMatchObject({ outcome: 'forward', server });
      // Its answers find it, too.
      expect(explain(server!, client)).toMatchObject({ outcome: 'answer', server });
      const first = explain(client, virtual, '--first');
      expect(first.outcome).toBe('forward');
    });

    test('explain: what is not for a service is left to the kernel, and says why', () => {
      expect(explain(`${CLIENT}:1`, `${WAN.director}:22`)).toMatchObject({
        outcome: 'kernel',
        verdict:
          "the kernel keeps it: no service listens there, and the address is the director's own",
      });
      expect(explain(`${CLIENT}:1`, '203.0.113.1:80').outcome).toBe('kernel');
    });

    test('explain: wrong questions', () => {
      for (const [client, virtual] of [
        ['nowhere', '192.0.2.1:80'],
        [`${CLIENT}:1`, '192.0.2.1'],
        [`${CLIENT}:1`, '[2001:db8::1]:80'],
        [`${CLIENT}:70000`, '192.0.2.1:80'],
      ]) {
        const { code, stdout, stderr } = bed.wvs('explain', 'tcp', client!, virtual!);
        expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
        expect(stderr).toMatch(/^wvs: .*\n$/);
      }
    });

    test('metrics: what happened is counted', async () => {
      expect(get('/healthz').status).toBe(200);
      expect(get('/readyz').status).toBe(200);
      const label = '{service="nat"}';
      const before = value('wvs_service_connections_total', label);
      await bed.http(url('nat'), 10);
      await until(
        () => value('wvs_service_connections_total', label) >= before + 10,
        'the connections in the metrics',
        8_000,
      );
      expect(value('wvs_ready')).toBe(1);
      expect(value('wvs_worker_up', '{worker="1"}')).toBe(1);
      expect(value('wvs_port_up', '{port="lan"}')).toBe(1);
      expect(
        value('wvs_steering_packets_total', '{outcome="steered-virtual-service"}'),
      ).toBeGreaterThan(10);
      expect(value('wvs_server_up', `{service="nat",server="${LAN.servers[0]}:8080"}`)).toBe(1);
    });

    test('metrics: workers of an idle director sleep', async () => {
      const SECONDS = 3;
      // Some turns before it sleeps, 20 ms long: on a slow machine it is fewer a second, never more.
      const TURNS_A_SECOND_MAX = 500;
      const turns = () => [0, 1].map((id) => value('wvs_worker_turns_total', `{worker="${id}"}`));
      const before = turns();
      await new Promise((resolve) => setTimeout(resolve, SECONDS * 1000));
      for (const [id, after] of turns().entries()) {
        expect(after).toBeGreaterThan(before[id]!);
        expect(after - before[id]!).toBeLessThan(TURNS_A_SECOND_MAX * SECONDS);
      }
    });

    test('metrics: a reload moves the listener', () => {
      bed.write({ director: director(OTHER_METRICS), services: services() });
      expect(bed.wvs('reload').code).toBe(0);
      expect(get('/readyz').status).toBe(0);
      expect(get('/readyz', OTHER_METRICS).status).toBe(200);
      bed.write({ director: director(METRICS), services: services() });
      expect(bed.wvs('reload').code).toBe(0);
      // Two that were asked for; the director may have seen the file change by itself, too.
      expect(value('wvs_config_reloads_total', '{result="taken"}')).toBeGreaterThanOrEqual(2);
    });

    test('proc: the texts of /proc/net', () => {
      const hex = WAN.vips.nat
        .split('.')
        .map((byte) => Number(byte).toString(16).padStart(2, '0'))
        .join('')
        .toUpperCase();
      expect(bed.wvs('proc', 'ip_vs').stdout).toContain(`TCP  ${hex}:0050 rr`);
      expect(bed.wvs('proc', 'ip_vs_conn').stdout).toMatch(/^Pro FromIP {3}FPrt ToIP/);
      expect(bed.wvs('proc', 'ip_vs_conn_sync').stdout).toContain('Origin');
      expect(bed.wvs('proc', 'ip_vs_stats').stdout).toContain('Total Incoming Outgoing');
      expect(bed.wvs('proc', 'ip_vs_stats_percpu').stdout).toMatch(/\n {2}1 +/);
    });

    test('status: for people, and as JSON that the OpenAPI document describes', () => {
      const { stdout } = bed.wvs('status');
      for (const heading of ['WORKER', 'PORT', 'SERVICE', 'STEERING', 'COUNTER']) {
        expect(stdout).toMatch(new RegExp(`^${heading} `, 'm'));
      }
      const status = JSON.parse(bed.wvs('status', '--json').stdout) as DirectorStatus;
      expect(directorStatus.parse(status)).toEqual(status);
    });

    test('the control socket gives its own description', () => {
      const script =
        `require('node:http').get({ socketPath: '${bed.socket}', path: '/v1/openapi.json' }, ` +
        `(answer) => answer.pipe(process.stdout))`;
      const { stdout } = spawnSync(process.execPath, ['-e', script], { encoding: 'utf8' });
      expect(JSON.parse(stdout)).toEqual(openApiDocument());
    });

    test('top --once: one plain frame', () => {
      const { code, stdout } = bed.wvs('top', '--once');
      expect(code).toBe(0);
      expect(stdout).toContain('SERVICE / SERVER');
      expect(stdout).not.toContain('\x1b');
    });

    const noTmux = spawnSync('tmux', ['-V']).error !== undefined;
    test.skipIf(noTmux)(
      `top in a real terminal${noTmux ? ': tmux is not installed' : ''}`,
      async () => {
        const name = `wvs-test-${process.pid}`;
        const tmux = (...parameters: string[]): string => {
          const run = spawnSync('tmux', ['-L', name, ...parameters], { encoding: 'utf8' });
          return run.stdout;
        };
        const shown = () => tmux('capture-pane', '-p', '-t', name);
        const shows = (text: string) =>
          until(() => shown().includes(text), `"${text}" on the screen`);
        const top = `'${process.execPath}' '${directorProgram()}' top --socket '${bed.socket}'`;
        // What the shell says afterwards tells whether the terminal is as it was.
        const after =
          "echo ended=$?; stty -a | grep -qw -- '-echo' && echo muted; echo done; sleep 60";
        const size = ['-x', '80', '-y', '24'];
        tmux('new-session', '-d', '-s', name, ...size, `${top} --interval 0.25; ${after}`);
        try {
          await shows('SERVICE / SERVER');
          const first = shown().split('\n');
          expect(first[0]).toMatch(/^wvs \S+ {2}up .* connections$/);
          expect(Math.max(...first.map((line) => line.length))).toBeLessThanOrEqual(80);
          expect(first.join('\n')).toContain(`full-nat tcp`);
          tmux('send-keys', '-t', name, 'n');
          await shows('sorted by name ');
          tmux('send-keys', '-t', name, 'n');
          await shows('sorted by name, reversed');
          tmux('resize-window', '-t', name, '-x', '50', '-y', '16');
          await until(
            () =>
              shown()
                .split('\n')
                .filter((line) => line !== '').length <= 16,
            'the resize',
          );
          await shows('SERVICE / SERVER');
          tmux('send-keys', '-t', name, '?');
          await shows('quit');
          tmux('send-keys', '-t', name, '?');
          tmux('send-keys', '-t', name, 'q');
          await shows('done');
          expect(shown()).toContain('ended=0');
          expect(shown()).not.toContain('muted');
          expect(shown()).not.toContain('SERVICE');
        } finally {
          tmux('kill-server');
        }
      },
    );
  },
);
