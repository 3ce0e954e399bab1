// The director as its systemd unit runs it: no root, few capabilities, a service manager to notify.

import { chmodSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import { directorProgram } from '../../host/netns/director.ts';
import { type Child, runCommand } from '../../host/netns/namespaces.ts';
import { sourceRoot, waitForExit, waitForLine } from '../../host/netns/processes.ts';
import { skipWhere } from '../support/skip.ts';
import { LAN, LiveBed, natService, reason, until, VIP } from './live-bed.ts';

/** CAP_NET_ADMIN, CAP_NET_RAW, CAP_BPF. */
const KEPT = (1n << 12n) | (1n << 13n) | (1n << 39n);
/** CAP_IPC_LOCK instead of the unit's LimitMEMLOCK, which a container may not raise. */
const CAPABILITIES = '-all,+net_admin,+net_raw,+bpf,+perfmon,+ipc_lock';
const NOBODY = '65534';

describe('the director as a service', () => {
  let bed: LiveBed;
  let messages: readonly string[];
  let child: Child;
  let log: readonly string[];

  beforeAll(async () => {
    if (reason !== undefined) return;
    bed = new LiveBed({ arms: 2, queues: 2, servers: 1 });
    await bed.startServers();
    const { directory } = bed.topology.set;
    chmodSync(directory, 0o777);
    const receiver = join(directory, 'notify-receiver');
    const source = join(sourceRoot(), 'test/support/notify-receiver.c');
    runCommand(['cc', '-o', receiver, source]);
    const socket = join(directory, 'notify');
    const manager = bed.topology.director.spawn([receiver, socket]);
    messages = await waitForLine(manager, /^listening$/, { what: 'the service manager' });
    bed.write({ services: natService(80, [LAN.servers[0]!]) });
    const command = [
      ...['setpriv', '--reuid', NOBODY, '--regid', NOBODY, '--clear-groups', '--no-new-privs'],
      ...['--inh-caps', CAPABILITIES, '--ambient-caps', CAPABILITIES],
      ...['--bounding-set', CAPABILITIES],
      ...[process.execPath, directorProgram(), 'run', '--config', bed.file],
    ];
    const env = { NOTIFY_SOCKET: socket, WATCHDOG_USEC: '400000' };
    child = bed.topology.director.spawn(command, { env });
    log = await waitForLine(child, /"event":"ready"/, { what: 'the director', timeout: 20_000 });
  });
  afterAll(() => bed?.close());

  skipWhere(() => reason);

  test('the manager hears that it is ready, and that it lives', async () => {
    await until(() => messages.includes('WATCHDOG=1'), 'a ping');
    expect(messages[1]).toMatch(/^READY=1\|STATUS=process \d+/);
  });

  test('packets flow', async () => {
    expect(await bed.http(`http://${VIP}/`)).toEqual({ 'web-1': 8 });
  });

  test('every thread has given up what is not needed any more', () => {
    const threads = readdirSync(`/proc/${child.pid}/task`);
    expect(threads.length).toBeGreaterThan(4);
    for (const thread of threads) {
      const status = readFileSync(`/proc/${child.pid}/task/${thread}/status`, 'utf8');
      for (const set of ['CapPrm', 'CapEff', 'CapInh', 'CapAmb']) {
        const bits = new RegExp(`^${set}:\\s*([0-9a-f]+)$`, 'm').exec(status)![1];
        expect(BigInt(`0x${bits}`), `${set} of ${thread}`).toBe(KEPT);
      }
      expect(/^Uid:\s*(\d+)/m.exec(status)![1]).toBe(NOBODY);
    }
  });

  test('a reload without root: the manager hears both ends of it', async () => {
    bed.write({ services: natService(80, [LAN.servers[0]!]) + natService(81, [LAN.servers[0]!]) });
    child.kill('SIGHUP');
    await until(() => messages.some((line) => line.startsWith('RELOADING=1|')), 'the notice');
    const at = messages.findIndex((line) => line.startsWith('RELOADING=1|'));
    await until(() => messages.slice(at).some((line) => line.startsWith('READY=1|')), 'the end');
    expect(bed.wvs('status').stdout).toMatch(/web-81/);
  });

  test('a stop is announced, and is clean', async () => {
    child.kill('SIGTERM');
    const code = await waitForExit(child, { what: 'the director', timeout: 10_000 });
    expect([code, log.at(-1)]).toEqual([0, expect.stringMatching(/"event":"stopped"/)]);
    expect(messages.at(-1)).toBe('STOPPING=1');
    expect(bed.attached()).toBe('');
  });
});

describe('the director as root', () => {
  let bed: LiveBed;

  beforeAll(() => {
    if (reason === undefined) bed = new LiveBed({ arms: 2, queues: 1, servers: 1 });
  });
  afterAll(() => bed?.close());

  skipWhere(() => reason);

  test('root keeps three capabilities, and hands no more to a child', async () => {
    bed.write({ services: natService(80, [LAN.servers[0]!]) });
    const { child, stop } = await bed.start();
    const status = readFileSync(`/proc/${child.pid}/status`, 'utf8');
    for (const set of ['CapPrm', 'CapEff', 'CapBnd']) {
      expect(BigInt(`0x${new RegExp(`^${set}:\\s*(\\S+)`, 'm').exec(status)![1]}`)).toBe(KEPT);
    }
    // Attaching, sockets and tables still work: all of it is taken down and the queue is free.
    expect(await stop()).toBe(0);
    expect(bed.attached()).toBe('');
  });
});
