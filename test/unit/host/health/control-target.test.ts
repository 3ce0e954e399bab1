// Health checking on top of the real control core, plugged in as a director does it.

import { expect, test } from 'vitest';
import { diffConfigs } from '../../../../host/config/diff.ts';
import type { Config } from '../../../../host/config/types.ts';
import { applyChanges, applyConfig } from '../../../../host/director/apply.ts';
import { HealthManager } from '../../../../host/health/manager.ts';
import { changesTables } from '../../../../host/health/table-changes.ts';
import { createLogger } from '../../../../host/log.ts';
import { configWith } from '../config/support.ts';
import { Fixture, WEB } from '../ipvs/control-fixture.ts';
import { FAIL, FakeClock, PASS } from './support.ts';

const TEXT = `
    services:
      - name: web
        listen: 192.0.2.80:80/tcp
        forwarding: nat
        scheduler: wrr
        check: { type: tcp, interval: 1s, timeout: 500ms, rise: 2, fall: 3, jitter: 0s }
        sorryServer: 10.0.0.99:80
        servers:
          - { address: '10.0.0.1:80', weight: 3 }
          - { address: '10.0.0.2:80' }
          - { address: '10.0.0.3:80', weight: 2 }
`;

function director(config: Config) {
  const fixture = new Fixture();
  const { control } = fixture;
  const clock = new FakeClock();
  const sick = new Set<string>();
  const context = { control, ephemeralPorts: [32768, 60999] as const };
  const health = HealthManager.create({
    config,
    log: createLogger({ level: 'silent' }),
    target: { apply: (changes) => applyChanges(changes, context) },
    clock,
    chance: () => 0,
    createProbe: (target) => async () => (sick.has(target.address) ? FAIL : PASS),
  });
  applyConfig(health.effective(), context);
  health.start();
  const reload = (next: Config) => {
    const prepared = health.prepare(next);
    const changes = diffConfigs(health.effective(), prepared.effective).filter(changesTables);
    applyChanges(changes, context);
    prepared.commit();
    return changes.length;
  };
  const servers = () =>
    control
      .destinations(WEB)
      .map(({ key, weight }) => `${key.address.split('.')[3]}:${weight}`)
      .sort()
      .join(' ');
  const ids = () => control.destinations(WEB).map(({ id }) => id);
  return { fixture, health, clock, sick, reload, servers, ids };
}

test('servers die and live → destinations of the control core go and come', async () => {
  const bed = director(configWith(TEXT));
  expect(bed.servers()).toBe('1:3 2:1 3:2');
  bed.sick.add('10.0.0.2');
  await bed.clock.advance(3_000);
  expect(bed.servers()).toBe('1:3 3:2');
  bed.sick.add('10.0.0.1').add('10.0.0.3');
  await bed.clock.advance(4_000);
  expect(bed.servers()).toBe('99:1');
  bed.sick.clear();
  await bed.clock.advance(4_000);
  expect(bed.servers()).toBe('1:3 2:1 3:2');
  await bed.health.stop();
});

test('reload: only what differs is touched; a dead server is not revived by an edit', async () => {
  const bed = director(configWith(TEXT));
  bed.sick.add('10.0.0.2');
  await bed.clock.advance(3_500);
  const [before, generation] = [bed.ids(), bed.fixture.memory.generation()];
  const sameTables = TEXT.replace('fall: 3', 'fall: 4').replace('name: web', 'name: www');
  expect(bed.reload(configWith(sameTables))).toBe(0);
  expect(bed.fixture.memory.generation()).toBe(generation);
  expect(bed.reload(configWith(TEXT.replace("2:80' }", "2:80', weight: 7 }")))).toBe(0);
  expect(bed.servers()).toBe('1:3 3:2');
  expect(bed.ids()).toEqual(before);
  expect(bed.reload(configWith(TEXT.replace('weight: 3', 'weight: 4')))).toBe(1);
  expect(bed.servers()).toBe('1:4 3:2');
  expect(bed.ids()).toEqual(before);
  bed.sick.clear();
  await bed.clock.advance(10_000);
  expect(bed.servers()).toBe('1:4 2:1 3:2');
  await bed.health.stop();
});
