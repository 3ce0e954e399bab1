import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { FORWARD_NAT } from '../../../../assembly/shared/codes.ts';
import { DESTINATION_STATE_ACTIVE } from '../../../../assembly/shared/layout.ts';
import { loadConfig } from '../../../../host/config/load.ts';
import { ControlError } from '../../../../host/control/handlers.ts';
import { RunningConfig } from '../../../../host/director/reload.ts';
import { serviceText } from '../../../../host/director/status.ts';
import { Control } from '../../../../host/ipvs/control.ts';
import { createLogger } from '../../../../host/log.ts';
import { DataPlaneMemory } from '../../../../host/memory/data-plane-memory.ts';
import { schedulerByName } from '../../../../host/scheduler/registry.ts';
import { PublishedTables } from '../../../../host/tables/publish.ts';

const HEAD = 'version: 1\ndirector:\n  drain: off\n  ports: [{ name: wan, interface: eth0 }]\n';
const WEB = { family: 4, protocol: 'tcp', address: '192.0.2.80', port: 80 } as const;

let directory: string;
let control: Control;
let running: RunningConfig;
let memory: DataPlaneMemory;

/** Writes the running file anew. */
function write(text: string): string {
  const file = join(directory, 'wvs.yaml');
  writeFileSync(file, text.startsWith('version') ? text : HEAD + text);
  return file;
}

function service(listen: string, servers: readonly string[], rest = ''): string {
  const list = servers.map((address) => `{ address: '${address}', forwarding: nat }`).join(', ');
  return `  - { listen: '${listen}', servers: [${list}]${rest} }\n`;
}

async function start(text: string, services = 8): Promise<void> {
  const result = await loadConfig(write(text));
  if (!result.ok) throw new Error(JSON.stringify(result.errors));
  memory = DataPlaneMemory.create({ connections: 64, services, destinations: 16 });
  control = new Control({ tables: new PublishedTables(memory), schedulerByName });
  const context = { control, ephemeralPorts: [32768, 60999] as const };
  running = new RunningConfig(result.config, { context, log: createLogger({ level: 'silent' }) });
  running.applyAll();
}

/** What the control core has, as lines. */
function state(): string[] {
  return control
    .services()
    .flatMap(({ key, scheduler }) => [
      `${serviceText(key)} ${scheduler}`,
      ...control
        .destinations(key)
        .map((entry) => `  ${entry.key.address}:${entry.key.port} ${entry.weight}`),
    ])
    .sort();
}

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'wvs-reload-'));
});
afterEach(() => rmSync(directory, { recursive: true }));

const TWO = `services:\n${service('192.0.2.80:80/tcp', ['10.0.0.11:80', '10.0.0.12:80'])}`;

describe('a reload', () => {
  test('of the same file: nothing changes', async () => {
    await start(TWO);
    const generation = memory.generation();
    expect((await running.reload()).changes).toEqual([]);
    expect(memory.generation()).toBe(generation);
  });

  test('a server less, a service more: published once', async () => {
    await start(TWO);
    const generation = memory.generation();
    write(
      `services:\n${service('192.0.2.80:80/tcp', ['10.0.0.11:80'])}` +
        service('192.0.2.80:443/tcp', ['10.0.0.11:443'], ', scheduler: wrr'),
    );
    const { changes } = await running.reload();
    expect(changes.map(({ kind }) => kind)).toEqual(['destination-removed', 'service-added']);
    expect(state()).toEqual([
      '  10.0.0.11:443 1',
      '  10.0.0.11:80 1',
      'tcp 192.0.2.80:443 wrr',
      'tcp 192.0.2.80:80 wlc',
    ]);
    expect(memory.generation()).toBe(generation + 1);
  });

  test('what ipvsadm added stays', async () => {
    await start(TWO);
    const own = { ...WEB, port: 8080 };
    const options = { scheduler: 'rr', flags: 0, persistenceSeconds: 0, engine: '' };
    control.addService(own, { ...options, persistenceMask: '' });
    write('services: []\n');
    await running.reload();
    expect(state()).toEqual(['tcp 192.0.2.80:8080 rr']);
  });

  test('what ipvsadm removed and the file edits comes back', async () => {
    await start(TWO);
    control.deleteService(WEB);
    write(`services:\n${service('192.0.2.80:80/tcp', ['10.0.0.13:80'])}`);
    await running.reload();
    expect(state()).toEqual(['  10.0.0.13:80 1', 'tcp 192.0.2.80:80 wlc']);
  });

  test('timeouts, sysctls and the full-nat pool follow', async () => {
    await start('');
    write(
      `${HEAD}  timeouts: { tcp: 60s }\n  sysctl: { expire_nodest_conn: 1 }\n` +
        '  localAddresses: [10.0.0.2]\n',
    );
    const { changes } = await running.reload();
    expect(changes).toHaveLength(3);
    expect(control.timeouts().tcp).toBe(60);
    expect(control.sysctl('expire_nodest_conn')).toBe('1');
  });
});

describe('a reload that cannot be', () => {
  test('a wrong file: every problem is told, nothing changes', async () => {
    await start(TWO);
    const before = state();
    write('services:\n  - { listen: nowhere }\n  - { listen: there }\n');
    const error = await running.reload().catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(ControlError);
    expect((error as ControlError).code).toBe('config-invalid');
    expect((error as ControlError).problems).toHaveLength(2);
    expect(state()).toEqual(before);
  });

  test('a change that needs a restart: refused by name, the rest is not done either', async () => {
    await start(TWO);
    const before = state();
    write(`${HEAD}  connections: 5000\nservices: []\n`);
    await expect(running.reload()).rejects.toThrow(/director.connections \(needs a restart\)/);
    expect(state()).toEqual(before);
  });

  test('more services than there is room for: undone', async () => {
    await start(TWO, 2);
    const before = state();
    const listens = [81, 82, 83].map((port) => service(`192.0.2.80:${port}/tcp`, []));
    write(`services:\n${listens.join('')}`);
    await expect(running.reload()).rejects.toMatchObject({ code: 'not-applied' });
    expect(state()).toEqual(before);
    // And the running configuration is still the old one.
    write(TWO);
    expect((await running.plan()).changes).toEqual([]);
  });
});

describe('a plan', () => {
  test('says what would change and which connections that concerns, and changes nothing', async () => {
    await start(TWO);
    const before = state();
    const [entry] = control.destinations(WEB).filter(({ key }) => key.address === '10.0.0.12');
    expect(entry?.forwarding).toBe(FORWARD_NAT);
    const active = (memory.destinationState(entry!.id) + DESTINATION_STATE_ACTIVE) >>> 2;
    memory.u32[active] = 3;
    write(`services:\n${service('192.0.2.80:80/tcp', ['10.0.0.11:80'])}`);
    expect((await running.plan()).changes).toEqual([
      {
        kind: 'destination-removed',
        text: expect.stringContaining('10.0.0.12:80'),
        connections: 3,
      },
    ]);
    expect(state()).toEqual(before);
  });
});
