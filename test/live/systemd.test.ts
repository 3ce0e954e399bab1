// The shipped unit under a real systemd: started, reloaded, watched, and stopped by it.

import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { skipWhere } from '../support/skip.ts';
import { SystemdMachine, whyNoSystemd } from '../support/systemd/machine.ts';
import { LAN, LiveBed, natService, reason as networkReason, until, VIP } from './live-bed.ts';

let reason = networkReason ?? whyNoSystemd();
const CONTROL = '/run/wvs/wvs.sock';
const FILE = '/etc/wvs/wvs.yaml';
const SLOW_MS = 60_000;
/** What a director that hangs is given, in place of the unit's ten seconds. */
const WATCHDOG = 'WatchdogSec=4';
/** In place of the unit's LimitMEMLOCK, which a container's systemd may not be allowed to raise. */
const LOCK = 'AmbientCapabilities=CAP_IPC_LOCK\nCapabilityBoundingSet=CAP_IPC_LOCK';
const DROP_IN = `[Service]\n${WATCHDOG}\n${LOCK}\nStandardError=append:/run/wvs.log`;
/** CAP_NET_ADMIN, CAP_NET_RAW, CAP_BPF. */
const KEPT = (1n << 12n) | (1n << 13n) | (1n << 39n);

describe('the unit', () => {
  let bed: LiveBed;
  let machine: SystemdMachine;

  beforeAll(async () => {
    if (reason !== undefined) return;
    bed = new LiveBed({ arms: 2, queues: 1, servers: 1 });
    await bed.startServers();
    machine = new SystemdMachine(bed.topology.director, bed.topology.set.directory);
    try {
      await until(() => machine.isRunning(), 'systemd', SLOW_MS);
    } catch {
      // Whether systemd comes up in namespaces is the container's affair, not the director's.
      reason = 'systemd does not come up in namespaces of this machine';
      return;
    }
    machine.run('mkdir', '-p', '/etc/systemd/system/wvs.service.d');
    machine.write('/etc/systemd/system/wvs.service.d/test.conf', DROP_IN);
    configure(natService(80, [LAN.servers[0]!]));
    machine.run('systemctl', 'daemon-reload');
  });
  afterAll(() => bed?.close());

  skipWhere(() => reason);

  function configure(services: string): void {
    bed.write({ services, control: CONTROL });
    machine.write(FILE, readFileSync(bed.file, 'utf8'));
  }

  const log = () => machine.run('cat', '/run/wvs.log').stdout;
  const isServed = async () => (await bed.http(`http://${VIP}/`))['web-1'] === 8;

  test('started: systemd goes on when packets flow', async () => {
    const { code, stderr } = machine.run('systemctl', 'start', 'wvs');
    expect(code, `${stderr}${log()}`).toBe(0);
    expect(machine.property('StatusText')).toMatch(/^process \d+, packets flow$/);
    expect(await isServed()).toBe(true);
  });

  test('it runs as nobody in particular, with the capabilities that it needs', () => {
    const status = machine.run('cat', `/proc/${machine.property('MainPID')}/status`).stdout;
    expect(Number(/^Uid:\s*(\d+)/m.exec(status)![1])).toBeGreaterThan(0);
    expect(BigInt(`0x${/^CapEff:\s*(\S+)/m.exec(status)![1]}`)).toBe(KEPT);
    // Filtered system calls, and no way back to other rights.
    expect(status).toMatch(/^Seccomp:\s*2$/m);
    expect(status).toMatch(/^NoNewPrivs:\s*1$/m);
    expect(machine.run('stat', '-c', '%a %U', CONTROL).stdout).toBe('600 wvs\n');
  });

  test('reloaded: the file is taken over; a wrong one fails, and says where', () => {
    configure(natService(80, [LAN.servers[0]!]) + natService(81, [LAN.servers[0]!]));
    expect(machine.run('systemctl', 'reload', 'wvs')).toMatchObject({ code: 0 });
    expect(machine.run('wvs', 'ipvsadm', '-Ln').stdout).toContain(`TCP  ${VIP}:81 rr`);
    configure(natService(80, [LAN.servers[0]!]).replace('scheduler: rr', 'scheduler: robin'));
    expect(machine.run('systemctl', 'reload', 'wvs').code).toBe(1);
    expect(log()).toContain('services[0].scheduler: expected one of rr, wrr');
    expect(machine.run('wvs', 'ipvsadm', '-Ln').stdout).toContain(`TCP  ${VIP}:81 rr`);
    configure(natService(80, [LAN.servers[0]!]));
  });

  test('killed, and standing still: started again both times', async () => {
    for (const [times, signal] of ['KILL', 'STOP'].entries()) {
      machine.run('kill', `-${signal}`, machine.property('MainPID'));
      const isBack = () =>
        machine.property('NRestarts') === `${times + 1}` &&
        machine.property('ActiveState') === 'active';
      await until(isBack, `a restart after SIG${signal}`, SLOW_MS);
      expect(await isServed()).toBe(true);
    }
  });

  test('stopped: without a complaint, and nothing stays', () => {
    expect(machine.run('systemctl', 'stop', 'wvs').code).toBe(0);
    expect([machine.property('Result'), machine.property('ActiveState')]).toEqual([
      'success',
      'inactive',
    ]);
    expect(bed.attached()).toBe('');
    expect(machine.run('ls', '/run/wvs').code).not.toBe(0);
  });
});
