import { describe, expect, test } from 'vitest';
import { configWith } from '../config/support.ts';
import { Bed } from './bed.ts';
import { FAIL, PASS } from './support.ts';

const KEY = 'tcp 192.0.2.80:80';
const TIMES = 'interval: 1s, timeout: 500ms, jitter: 0s';

/** Server .1 with a check of port 80 and one of port 81, server .2 with that of port 80 only. */
function web(first = `{ type: tcp, ${TIMES} }`, second = `{ type: tcp, port: 81, ${TIMES} }`) {
  return configWith(`
    services:
      - name: web
        listen: 192.0.2.80:80/tcp
        forwarding: nat
        check: { type: tcp, ${TIMES} }
        notify: { serverUp: [up], serverDown: [down] }
        servers:
          - { address: '10.0.0.1:80', weight: 5, check: [${first}, ${second}] }
          - { address: '10.0.0.2:80' }
  `);
}

async function running(config = web()) {
  const bed = new Bed();
  const manager = bed.manager(config);
  manager.start();
  await bed.clock.advance(1_500);
  return { bed, manager };
}

test('both succeed → up; one fails → down; it succeeds again → up', async () => {
  const { bed, manager } = await running();
  expect(manager.server(KEY, '10.0.0.1:80')).toMatchObject({ state: 'up' });
  expect(manager.status().checkers).toBe(3);
  bed.events();
  bed.results.set('10.0.0.1:81', { ...FAIL, detail: 'HTTP 503' });
  await bed.clock.advance(3_000);
  expect(bed.servers('web')).toBe('10.0.0.2:80=1');
  expect(bed.lines[0]).toMatchObject({
    event: 'server-down',
    server: '10.0.0.1:80',
    target: '10.0.0.1:81',
    previous: 'up',
    reason: 'HTTP 503',
  });
  bed.results.delete('10.0.0.1:81');
  await bed.clock.advance(2_000);
  expect(bed.servers('web')).toBe('10.0.0.2:80=1 10.0.0.1:80=5');
  expect(bed.events()).toEqual(['server-down 10.0.0.1:80', 'server-up 10.0.0.1:80']);
  expect(bed.notifications.map(({ event, reason }) => `${event} ${reason}`)).toEqual([
    'server-down HTTP 503',
    'server-up fine',
  ]);
  await manager.stop();
});

test('both fail, one recovers → still down, and only the server is told', async () => {
  const { bed, manager } = await running();
  bed.events();
  bed.results.set('10.0.0.1:80', FAIL);
  await bed.clock.advance(3_000);
  bed.results.set('10.0.0.1:81', { ...FAIL, detail: 'HTTP 503' });
  await bed.clock.advance(3_000);
  expect(manager.server(KEY, '10.0.0.1:80')).toMatchObject({
    state: 'down',
    lastResult: { detail: 'broken' },
    checks: [
      { type: 'tcp', state: 'down', lastResult: { detail: 'broken' } },
      { type: 'tcp', state: 'down', lastResult: { detail: 'HTTP 503' } },
    ],
  });
  bed.results.delete('10.0.0.1:80');
  await bed.clock.advance(3_000);
  expect(bed.servers('web')).toBe('10.0.0.2:80=1');
  expect(manager.server(KEY, '10.0.0.1:80')).toMatchObject({
    state: 'down',
    lastResult: { detail: 'HTTP 503' },
  });
  bed.results.delete('10.0.0.1:81');
  await bed.clock.advance(3_000);
  expect(bed.servers('web')).toBe('10.0.0.2:80=1 10.0.0.1:80=5');
  expect(bed.events()).toEqual([
    'server-down 10.0.0.1:80',
    'check-down 10.0.0.1:80',
    'check-up 10.0.0.1:80',
    'server-up 10.0.0.1:80',
  ]);
  expect(bed.notifications.map(({ event }) => event)).toEqual(['server-down', 'server-up']);
  await manager.stop();
});

test('each check has its own rise and fall', async () => {
  const config = web(
    `{ type: tcp, ${TIMES}, fall: 1 }`,
    `{ type: tcp, port: 81, ${TIMES}, fall: 5 }`,
  );
  const { bed, manager } = await running(config);
  bed.results.set('10.0.0.1:81', FAIL);
  await bed.clock.advance(4_000);
  expect(manager.server(KEY, '10.0.0.1:80')).toMatchObject({ state: 'up' });
  bed.results.delete('10.0.0.1:81');
  await bed.clock.advance(1_000);
  bed.results.set('10.0.0.1:80', FAIL);
  await bed.clock.advance(1_000);
  expect(manager.server(KEY, '10.0.0.1:80')).toMatchObject({ state: 'down' });
  await manager.stop();
});

test('one in alpha mode → the server is out until that one succeeds', async () => {
  const slow = `{ type: tcp, port: 81, ${TIMES}, alpha: true, fall: 3, warmUp: 0s }`;
  const bed = new Bed();
  bed.results.set('10.0.0.1:81', FAIL);
  const manager = bed.manager(web(undefined, slow));
  expect(bed.servers('web')).toBe('10.0.0.2:80=1');
  manager.start();
  await bed.clock.advance(1_500);
  expect(manager.server(KEY, '10.0.0.1:80')).toMatchObject({ state: 'down' });
  bed.results.delete('10.0.0.1:81');
  await bed.clock.advance(2_500);
  expect(bed.servers('web')).toBe('10.0.0.2:80=1 10.0.0.1:80=5');
  await manager.stop();
});

test('weights of several checks → each adds its difference to the configured one', async () => {
  const { bed, manager } = await running();
  bed.results.set('10.0.0.1:80', { ...PASS, weight: 9 });
  await bed.clock.advance(1_000);
  expect(bed.servers('web')).toBe('10.0.0.1:80=9 10.0.0.2:80=1');
  bed.results.set('10.0.0.1:81', { ...PASS, weightChange: -3 });
  await bed.clock.advance(1_000);
  expect(bed.servers('web')).toBe('10.0.0.1:80=6 10.0.0.2:80=1');
  bed.results.delete('10.0.0.1:80');
  await bed.clock.advance(1_000);
  expect(bed.servers('web')).toBe('10.0.0.1:80=2 10.0.0.2:80=1');
  await manager.stop();
});

test('a check that two services have, one of them beside another → one checker', async () => {
  const bed = new Bed();
  const manager = bed.manager(
    configWith(`
    services:
      - { name: a, listen: '192.0.2.80:80/tcp', forwarding: nat, check: { type: tcp, ${TIMES} },
          servers: [{ address: '10.0.0.1:80' }] }
      - { name: b, listen: '192.0.2.81:80/tcp', forwarding: nat,
          check: [{ type: tcp, ${TIMES} }, { type: tcp, port: 81, ${TIMES} }],
          servers: [{ address: '10.0.0.1:80' }] }
  `),
  );
  manager.start();
  expect(manager.status().checkers).toBe(2);
  await bed.clock.advance(1_500);
  bed.results.set('10.0.0.1:81', FAIL);
  await bed.clock.advance(3_000);
  expect([bed.servers('a'), bed.servers('b')]).toEqual(['10.0.0.1:80=1', '']);
  bed.lines.length = 0;
  bed.results.set('10.0.0.1:80', FAIL);
  await bed.clock.advance(3_000);
  expect([bed.servers('a'), bed.servers('b')]).toEqual(['', '']);
  const told = bed.lines.filter(({ event }) => String(event).endsWith('-down'));
  expect(told).toMatchObject([
    { event: 'server-down', services: ['a'] },
    { event: 'check-down', services: ['b'], msg: 'check tcp of 10.0.0.1:80 fails: broken' },
    { event: 'quorum-down' },
  ]);
  await manager.stop();
});

test('the same check twice → one checker, and the status of a server with one check', async () => {
  const { manager } = await running(web(undefined, `{ type: tcp, ${TIMES} }`));
  expect(manager.status().checkers).toBe(2);
  expect(manager.server(KEY, '10.0.0.1:80')).toMatchObject({ state: 'up', checks: undefined });
  await manager.stop();
});

test('a server with commands and inhibition of its own → in place of those of the service', async () => {
  const config = configWith(`
    services:
      - name: web
        listen: 192.0.2.80:80/tcp
        forwarding: nat
        check: { type: tcp, ${TIMES}, fall: 1 }
        notify: { serverUp: [up], serverDown: [down] }
        servers:
          - { address: '10.0.0.1:80', inhibitOnFailure: true, notify: { serverDown: [own] } }
          - { address: '10.0.0.2:80' }
  `);
  const { bed, manager } = await running(config);
  bed.sick.add('10.0.0.1').add('10.0.0.2');
  await bed.clock.advance(1_000);
  expect(bed.servers('web')).toBe('10.0.0.1:80=0');
  bed.sick.clear();
  await bed.clock.advance(2_000);
  expect(bed.servers('web')).toBe('10.0.0.1:80=1 10.0.0.2:80=1');
  const commands = bed.notifications.map(({ serverKey, command }) => `${serverKey} ${command[0]}`);
  expect(commands.sort()).toEqual([
    '10.0.0.1:80 own',
    '10.0.0.1:80 up',
    '10.0.0.2:80 down',
    '10.0.0.2:80 up',
  ]);
  await manager.stop();
});

describe('reload', () => {
  test('a check comes beside a good one → the server stays up, the new one is unknown', async () => {
    const { bed, manager } = await running(web(undefined, `{ type: tcp, ${TIMES} }`));
    bed.applied.length = 0;
    manager.reload(web());
    expect(bed.applied).toEqual([]);
    expect(manager.server(KEY, '10.0.0.1:80')).toMatchObject({
      state: 'unknown',
      takesConnections: true,
      checks: [{ state: 'up' }, { state: 'unknown' }],
    });
    await manager.stop();
  });

  test('the check that fails is taken away → up; the good one is → still down', async () => {
    const { bed, manager } = await running();
    bed.results.set('10.0.0.1:81', FAIL);
    await bed.clock.advance(3_000);
    const good = `{ type: tcp, ${TIMES} }`;
    const bad = `{ type: tcp, port: 81, ${TIMES} }`;
    manager.reload(web(bad, bad));
    expect(bed.servers('web')).toBe('10.0.0.2:80=1');
    manager.reload(web(good, bad));
    expect(bed.servers('web')).toBe('10.0.0.2:80=1');
    manager.reload(web(good, good));
    expect(bed.servers('web')).toContain('10.0.0.1:80=5');
    await manager.stop();
  });

  test('one of the checks is edited → it starts from what the one of its type knew', async () => {
    const { bed, manager } = await running();
    bed.results.set('10.0.0.1:81', FAIL);
    await bed.clock.advance(3_000);
    bed.applied.length = 0;
    manager.reload(web(undefined, `{ type: tcp, port: 81, ${TIMES}, rise: 4 }`));
    expect(bed.applied).toEqual([]);
    expect(manager.server(KEY, '10.0.0.1:80')).toMatchObject({
      state: 'down',
      checks: [{ state: 'up' }, { state: 'down' }],
    });
    await manager.stop();
  });
});
