import { readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { describeChange, diffServices } from '../../../../host/config/diff.ts';
import type { Config } from '../../../../host/config/types.ts';
import { HealthManager } from '../../../../host/health/manager.ts';
import { Notifier } from '../../../../host/health/notifier.ts';
import { VipWays } from '../../../../host/health/vip-ways.ts';
import { configWith } from '../config/support.ts';
import { Bed } from './bed.ts';
import { FAIL, PASS, resources, tcpServer, WALL_START } from './support.ts';

const WEB = `
    services:
      - name: web
        listen: 192.0.2.80:80/tcp
        forwarding: nat
        check: { type: tcp, interval: 1s, timeout: 500ms, rise: 2, fall: 3, jitter: 0s }
        sorryServer: 10.0.0.99:80
        notify:
          serverUp: [up]
          serverDown: [down]
          quorumUp: [quorum-up]
          quorumDown: [quorum-down]
        servers:
          - { address: '10.0.0.1:80', weight: 3 }
          - { address: '10.0.0.2:80' }
`;

const KEY = 'tcp 192.0.2.80:80';

test('a server dies → down after fall probes, out of the tables; it lives → back', async () => {
  const bed = new Bed();
  const manager = bed.manager(configWith(WEB));
  manager.start();
  expect(bed.events()).toEqual(['quorum-up web']);
  await bed.clock.advance(1_500);
  expect(bed.events()).toEqual(['server-up 10.0.0.1:80', 'server-up 10.0.0.2:80']);
  expect(bed.applied).toEqual([]);
  bed.sick.add('10.0.0.1');
  await bed.clock.advance(2_400);
  expect(bed.servers('web')).toBe('10.0.0.1:80=3 10.0.0.2:80=1');
  await bed.clock.advance(200);
  expect(bed.servers('web')).toBe('10.0.0.2:80=1');
  expect(bed.lines[0]).toMatchObject({
    level: 'warn',
    event: 'server-down',
    server: '10.0.0.1:80',
    target: '10.0.0.1:80',
    check: 'tcp',
    previous: 'up',
    reason: 'broken',
    failures: 3,
    latencyMs: 2,
    services: ['web'],
    msg: 'server 10.0.0.1:80 is down: broken',
  });
  bed.sick.clear();
  await bed.clock.advance(2_000);
  expect(bed.servers('web')).toBe('10.0.0.2:80=1 10.0.0.1:80=3');
  expect(bed.notifications.map(({ event, serverKey }) => `${event} ${serverKey ?? ''}`)).toEqual([
    'quorum-up ',
    'server-down 10.0.0.1:80',
    'server-up 10.0.0.1:80',
  ]);
  await manager.stop();
});

test('all die at once → one publication, the sorry server in; one lives → out', async () => {
  const bed = new Bed();
  const manager = bed.manager(configWith(WEB));
  manager.start();
  await bed.clock.advance(500);
  bed.sick.add('10.0.0.1').add('10.0.0.2');
  bed.events();
  await bed.clock.advance(4_000);
  const of = 'of web (tcp 192.0.2.80:80)';
  expect(bed.applied).toEqual([
    [`- server 10.0.0.1:80 ${of}`, `- server 10.0.0.2:80 ${of}`, `+ server 10.0.0.99:80 ${of}`],
  ]);
  expect(bed.events()).toEqual([
    'server-down 10.0.0.1:80',
    'server-down 10.0.0.2:80',
    'sorry-server-in 10.0.0.99:80',
    'quorum-down web',
  ]);
  expect(manager.status().services[0]).toMatchObject({ quorum: 'down', sorryServer: 'in' });
  bed.sick.delete('10.0.0.2');
  await bed.clock.advance(2_000);
  expect(bed.servers('web')).toBe('10.0.0.2:80=1');
  expect(manager.status().services[0]).toMatchObject({ quorum: 'up', sorryServer: 'out' });
  await manager.stop();
});

const SHARED = (check: string) => `
    services:
      - { name: a, listen: '192.0.2.80:80/tcp', forwarding: nat, check: ${check},
          servers: [{ address: '10.0.0.1:80' }, { address: '10.0.0.2:80' }] }
      - { name: b, listen: '192.0.2.81:80/tcp', forwarding: nat, check: ${check},
          servers: [{ address: '10.0.0.1:80' }] }
`;

test('a server of two services with the same check → one checker, both act, one line', async () => {
  const bed = new Bed();
  const manager = bed.manager(configWith(SHARED('{ type: tcp, interval: 1s, jitter: 0s }')));
  manager.start();
  expect(manager.status().checkers).toBe(2);
  await bed.clock.advance(500);
  expect(bed.probed).toEqual(['10.0.0.1:80', '10.0.0.2:80']);
  bed.sick.add('10.0.0.1');
  bed.events();
  await bed.clock.advance(4_000);
  expect([bed.servers('a'), bed.servers('b')]).toEqual(['10.0.0.2:80=1', '']);
  expect(bed.applied).toHaveLength(1);
  expect(bed.lines[0]).toMatchObject({ event: 'server-down', services: ['a', 'b'] });
  expect(bed.events()).toEqual(['server-down 10.0.0.1:80', 'quorum-down b']);
  await manager.stop();
});

test('reload: what did not change keeps its health, what comes is probed', async () => {
  const bed = new Bed();
  const manager = bed.manager(configWith(WEB));
  manager.start();
  bed.sick.add('10.0.0.1');
  await bed.clock.advance(5_000);
  const since = manager.server(KEY, '10.0.0.1:80')!.since;
  const up = manager.server(KEY, '10.0.0.2:80')!;
  expect(since).toBe(WALL_START + 2_000);
  bed.events();
  bed.notifications.length = 0;
  bed.applied.length = 0;
  const edited = WEB.replace("'10.0.0.1:80', weight: 3", "'10.0.0.1:80', weight: 9");
  manager.reload(configWith(`${edited}          - { address: '10.0.0.3:80' }\n`));
  // The down one stays out, whatever its new weight; the new one counts as up.
  expect(bed.servers('web')).toBe('10.0.0.2:80=1 10.0.0.3:80=1');
  expect(bed.applied).toEqual([['+ server 10.0.0.3:80 of web (tcp 192.0.2.80:80)']]);
  expect(manager.server(KEY, '10.0.0.1:80')).toMatchObject({ state: 'down', since, weight: 9 });
  expect(manager.server(KEY, '10.0.0.2:80')).toMatchObject({ state: 'up', since: up.since });
  expect(manager.server(KEY, '10.0.0.3:80')).toMatchObject({ state: 'unknown' });
  manager.reload(configWith(WEB.replace("          - { address: '10.0.0.2:80' }\n", '')));
  expect(bed.servers('web')).toBe('10.0.0.99:80=1');
  expect(bed.events()).toEqual(['sorry-server-in 10.0.0.99:80', 'quorum-down web']);
  expect(bed.notifications.map(({ event, reason }) => `${event} ${reason}`)).toEqual([
    'server-down reload',
    'server-down reload',
    'quorum-down undefined',
  ]);
  bed.probed.length = 0;
  await bed.clock.advance(1_000);
  expect(new Set(bed.probed)).toEqual(new Set(['10.0.0.1:80']));
  await manager.stop();
});

test('reload: another interval for the check → the state stays, nothing flaps', async () => {
  const bed = new Bed();
  const manager = bed.manager(configWith(WEB));
  manager.start();
  bed.sick.add('10.0.0.1');
  await bed.clock.advance(5_000);
  bed.events();
  bed.applied.length = 0;
  manager.reload(configWith(WEB.replace('interval: 1s', 'interval: 3s')));
  await bed.clock.advance(10_000);
  expect(bed.applied).toEqual([]);
  expect(bed.events()).toEqual([]);
  expect(manager.server(KEY, '10.0.0.1:80')).toMatchObject({ state: 'down' });
  await manager.stop();
});

test('reload that the tables refuse → nothing changed, probes go on', async () => {
  const bed = new Bed();
  const manager = bed.manager(configWith(WEB));
  manager.start();
  await bed.clock.advance(1_000);
  const before = manager.effective();
  bed.refuse = () => true;
  expect(() => manager.reload(configWith(SHARED('{ type: tcp }')))).toThrow('the tables are full');
  expect(manager.effective()).toEqual(before);
  bed.probed.length = 0;
  await bed.clock.advance(1_000);
  expect(new Set(bed.probed)).toEqual(new Set(['10.0.0.1:80', '10.0.0.2:80']));
  await manager.stop();
});

test('prepare and commit: a result in between is not lost', async () => {
  const bed = new Bed();
  const manager = bed.manager(configWith(WEB));
  manager.start();
  await bed.clock.advance(500);
  const prepared = manager.prepare(configWith(WEB.replace('weight: 3', 'weight: 4')));
  expect(prepared.effective.services[0]!.servers.map(({ weight }) => weight)).toEqual([4, 1]);
  expect(manager.effective().services[0]!.servers.map(({ weight }) => weight)).toEqual([3, 1]);
  bed.sick.add('10.0.0.2');
  await bed.clock.advance(4_000);
  prepared.commit();
  await bed.clock.advance(100);
  expect(manager.effective().services[0]!.servers.map(({ key }) => key)).toEqual(['10.0.0.1:80']);
  await manager.stop();
});

test('an apply that fails → tried again, and no other service waits for it', async () => {
  const bed = new Bed();
  const manager = bed.manager(configWith(SHARED('{ type: tcp, interval: 1s, jitter: 0s }')));
  manager.start();
  await bed.clock.advance(500);
  bed.refuse = (changes) =>
    changes.some((change) => 'service' in change && change.service.name === 'b');
  bed.sick.add('10.0.0.1');
  bed.events();
  await bed.clock.advance(3_100);
  expect([bed.servers('a'), bed.servers('b')]).toEqual(['10.0.0.2:80=1', '10.0.0.1:80=1']);
  expect(bed.events()).toContain('health-not-applied');
  bed.refuse = () => false;
  await bed.clock.advance(1_100);
  expect(bed.servers('b')).toBe('');
  await manager.stop();
});

test('drain: weight 0 and drained, through reloads; undrain: back', async () => {
  const bed = new Bed();
  const manager = bed.manager(configWith(WEB));
  manager.start();
  await bed.clock.advance(500);
  expect(manager.drain(KEY, '10.0.0.7:80')).toBe(false);
  expect(manager.drain(KEY, '10.0.0.1:80')).toBe(true);
  await bed.clock.advance(10);
  expect(bed.servers('web')).toBe('10.0.0.1:80=0 10.0.0.2:80=1');
  expect(manager.server(KEY, '10.0.0.1:80')).toMatchObject({
    state: 'drained',
    takesConnections: false,
  });
  manager.reload(configWith(WEB));
  expect(bed.servers('web')).toBe('10.0.0.1:80=0 10.0.0.2:80=1');
  expect(manager.undrain(KEY, '10.0.0.1:80')).toBe(true);
  await bed.clock.advance(10);
  expect(bed.servers('web')).toBe('10.0.0.1:80=3 10.0.0.2:80=1');
  expect(bed.events()).toContain('server-drained 10.0.0.1:80');
  await manager.stop();
});

test('a check that names weights → they are applied, and logged', async () => {
  const bed = new Bed();
  bed.results.set('10.0.0.1:80', { ...PASS, weight: 50 });
  const manager = bed.manager(configWith(WEB));
  manager.start();
  await bed.clock.advance(500);
  expect(bed.servers('web')).toBe('10.0.0.1:80=50 10.0.0.2:80=1');
  expect(bed.lines.find(({ event }) => event === 'server-weight')).toMatchObject({
    service: 'web',
    server: '10.0.0.1:80',
    before: 3,
    after: 50,
  });
  await manager.stop();
});

test('probes that fail for a reason of ours → servers stay, one line says so', async () => {
  const bed = new Bed();
  bed.results.set('10.0.0.1:80', { ...FAIL, isOurs: true, detail: 'no file descriptors' });
  const manager = bed.manager(configWith(WEB));
  manager.start();
  await bed.clock.advance(20_000);
  expect(bed.applied).toEqual([]);
  const events = bed.events();
  expect(events.filter((line) => line === 'probe-not-possible 10.0.0.1:80')).toHaveLength(1);
  await manager.stop();
});

test('flapping → said once for each hold', async () => {
  const bed = new Bed();
  const damping = 'damping: { changes: 2, within: 60s, hold: 30s }';
  const check = `{ type: tcp, interval: 1s, jitter: 0s, rise: 1, fall: 1, ${damping} }`;
  const manager = bed.manager(configWith(SHARED(check)));
  manager.start();
  await bed.clock.advance(500);
  bed.sick.add('10.0.0.1');
  await bed.clock.advance(1_000);
  bed.sick.clear();
  await bed.clock.advance(10_000);
  expect(bed.servers('b')).toBe('');
  expect(bed.events().filter((line) => line.startsWith('server-flapping'))).toHaveLength(1);
  expect(manager.server('tcp 192.0.2.81:80', '10.0.0.1:80')!.heldMs).toBeGreaterThan(15_000);
  await bed.clock.advance(30_000);
  expect(bed.servers('b')).toBe('10.0.0.1:80=1');
  await manager.stop();
});

test('status: everything of every server', async () => {
  const bed = new Bed();
  const text = `${WEB}          - { address: '10.0.0.3:80', check: { type: none } }\n`;
  const manager = bed.manager(configWith(text));
  manager.start();
  await bed.clock.advance(1_500);
  const [service] = manager.status().services;
  expect(service).toMatchObject({ key: KEY, name: 'web', quorum: 'up', weight: 5 });
  expect(service!.servers).toMatchObject([
    {
      key: '10.0.0.1:80',
      state: 'up',
      weight: 3,
      takesConnections: true,
      since: WALL_START,
      successes: 2,
      failures: 0,
      latencyMs: 1,
      lastResult: { ok: true, detail: 'fine', at: WALL_START + 1_000 },
      heldMs: 0,
    },
    { key: '10.0.0.2:80', state: 'up' },
    { key: '10.0.0.3:80', state: 'unchecked', since: undefined, lastResult: undefined },
  ]);
  expect(manager.server(KEY, '10.0.0.9:80')).toBeUndefined();
  expect(manager.server('tcp 1.2.3.4:5', '10.0.0.1:80')).toBeUndefined();
  await manager.stop();
});

test.each([
  [false, []],
  [true, ['server-down stop', 'server-down stop', 'quorum-down undefined']],
])('stop, omega %s → notifies %j; nothing goes on', async (omega, expected) => {
  const bed = new Bed();
  const manager = bed.manager(
    configWith(WEB.replace('name: web', `name: web\n        omega: ${omega}`)),
  );
  manager.start();
  await bed.clock.advance(500);
  bed.notifications.length = 0;
  await manager.stop();
  expect(bed.notifications.map(({ event, reason }) => `${event} ${reason}`)).toEqual(expected);
  expect(bed.clock.timers).toBe(0);
});

test('alpha → services start empty, as effective() says', async () => {
  const bed = new Bed();
  const config = configWith(WEB.replace('type: tcp', 'type: tcp, alpha: true'));
  const manager = bed.manager(config);
  expect(bed.servers('web')).toBe('10.0.0.99:80=1');
  bed.sick.add('10.0.0.1');
  manager.start();
  await bed.clock.advance(500);
  expect(bed.servers('web')).toBe('10.0.0.2:80=1');
  expect(bed.events()).toEqual([
    'sorry-server-in 10.0.0.99:80',
    'quorum-down web',
    'server-down 10.0.0.1:80',
    'server-up 10.0.0.2:80',
    'sorry-server-out 10.0.0.99:80',
    'quorum-up web',
  ]);
  await manager.stop();
});

describe('via: vip', () => {
  const text = WEB.replace('forwarding: nat', 'forwarding: direct-route');
  const config = configWith(text.replace('type: tcp', 'type: tcp, via: vip'));
  const waysThat = (refusal: string | undefined) => {
    const open = () => ({ sent: 1, close: () => undefined });
    return new VipWays({ whyNot: () => refusal, open }, [40_001]);
  };

  const said = (bed: Bed) => bed.lines.filter(({ event }) => event === 'check-via-vip');

  test('not possible → an error in the log, at the start and at every reload', async () => {
    const bed = new Bed();
    const manager = bed.manager(config, { vipWays: waysThat('tcx needs Linux 6.6') });
    manager.start();
    const line = { event: 'check-via-vip', services: ['web'], reason: 'tcx needs Linux 6.6' };
    expect(said(bed)).toMatchObject([line]);
    manager.reload({ ...config });
    expect(said(bed)).toMatchObject([line, line]);
    await manager.stop();
  });

  test('possible, or no check wants it → nothing is said', async () => {
    for (const [wanted, refusal] of [
      [config, undefined],
      [configWith(WEB), 'tcx needs Linux 6.6'],
    ] as const) {
      const bed = new Bed();
      const manager = bed.manager(wanted, { vipWays: waysThat(refusal) });
      manager.start();
      expect(said(bed)).toEqual([]);
      await manager.stop();
    }
  });
});

test('10,000 services of 10 servers → a reload of the same changes nothing', async () => {
  const bed = new Bed();
  const config = configWith(WEB);
  const [web] = config.services;
  const make = () => {
    const services = Array.from({ length: 10_000 }, (_, index) => {
      const listen = { ...web!.listen, port: index + 1 };
      const checks = [{ ...web!.servers[0]!.checks[0]! }];
      const servers = Array.from({ length: 10 }, (__, server) => {
        const address = `10.${index % 100}.${server}.1`;
        return { ...web!.servers[0]!, address, key: `${address}:80`, checks };
      });
      const name = `s${index}`;
      return { ...web!, key: `tcp 192.0.2.80:${index + 1}`, name, listen, servers } as typeof web;
    });
    return { ...config, services } as Config;
  };
  const manager = bed.manager(make());
  expect(manager.status().checkers).toBe(1_000);
  const next = make();
  const prepared = manager.prepare(next);
  const changes = diffServices(manager.effective().services, prepared.effective.services);
  expect(changes).toEqual([]);
  prepared.commit();
});

const waitFor = { timeout: 5_000, interval: 10 };

test('real probes: a server that is closed goes out; stop leaves nothing', async () => {
  const bed = new Bed();
  const port = await tcpServer((socket) => socket.resume());
  const open = resources().length;
  const config = configWith(`
    services:
      - name: web
        listen: 192.0.2.80:80/tcp
        forwarding: nat
        check: { type: tcp, interval: 100ms, timeout: 100ms, fall: 2 }
        servers: [{ address: '127.0.0.1:${port}' }, { address: '127.0.0.1:1' }]
  `);
  const applied: string[] = [];
  const manager = HealthManager.create({
    config,
    log: bed.log,
    target: { apply: (changes) => applied.push(...changes.map((one) => describeChange(one))) },
  });
  manager.start();
  await expect.poll(() => applied, waitFor).toHaveLength(1);
  expect(applied[0]).toContain('- server 127.0.0.1:1 of web');
  expect(manager.server(KEY, `127.0.0.1:${port}`)).toMatchObject({ state: 'up' });
  await manager.stop();
  await expect.poll(() => resources().length, waitFor).toBeLessThanOrEqual(open);
});

test('notify commands: in order, told what happened; failures are logged', async () => {
  const bed = new Bed();
  const file = join(tmpdir(), `wvs-notify-${process.pid}`);
  onTestFinished(() => rmSync(file, { force: true }));
  const notifier = new Notifier(bed.log);
  const script = `sleep 0.0$1; echo "$WVS_EVENT $WVS_SERVICE $WVS_SERVER $WVS_REASON" >> ${file}`;
  const common = { serviceKey: KEY, serviceName: 'web', serverKey: '10.0.0.1:80', reason: 'x y' };
  for (const [event, delay] of [
    ['server-down', '5'],
    ['server-up', '1'],
  ] as const) {
    notifier.notify({ event, command: ['/bin/sh', '-c', script, 'sh', delay], ...common });
  }
  notifier.notify({ event: 'quorum-up', command: ['/nonexistent'], ...common });
  notifier.notify({ event: 'quorum-down', command: ['/bin/sh', '-c', 'exit 3'], ...common });
  await notifier.finish(5_000);
  expect(readFileSync(file, 'utf8')).toBe(
    'server-down web 10.0.0.1:80 x y\nserver-up web 10.0.0.1:80 x y\n',
  );
  expect(bed.lines).toMatchObject([
    { event: 'notify-failed', service: KEY, notifies: 'quorum-up' },
    { event: 'notify-failed', service: KEY, notifies: 'quorum-down', reason: 'exit code 3' },
  ]);
});

test('notify commands that hang → killed at the deadline', async () => {
  const bed = new Bed();
  const notifier = new Notifier(bed.log);
  const command = ['/bin/sh', '-c', 'sleep 60 & wait'];
  notifier.notify({ event: 'quorum-up', command, serviceKey: KEY, serviceName: 'web' });
  const startedAt = performance.now();
  await notifier.finish(100);
  // The command itself would take a minute.
  expect(performance.now() - startedAt).toBeLessThan(20_000);
  await expect.poll(() => bed.lines[0]?.reason, waitFor).toBe('SIGKILL');
});
