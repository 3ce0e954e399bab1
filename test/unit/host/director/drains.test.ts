/** Servers taken out of the file, over a control core whose counters the test sets. */

import { describe, expect, test } from 'vitest';
import { parseConfig } from '../../../../host/config/parse.ts';
import type { Config } from '../../../../host/config/types.ts';
import { type ReloadBench, reloadBench } from '../../../reload/bench.ts';
import { publishedIds, publishedWords } from '../../../reload/published.ts';

const KEY = 'tcp 192.0.2.80:80';
const WEB = { family: 4, protocol: 'tcp', address: '192.0.2.80', port: 80 } as const;
const NAME = '6 192.0.2.80 80';

function config(
  servers: readonly number[],
  { drain = '{ timeout: 60s }', scheduler = 'rr' } = {},
): Config {
  const list = servers
    .map((number) => `{ address: 10.0.0.${number}, weight: ${number} }`)
    .join(', ');
  const result = parseConfig(
    `version: 1\ndirector: { ports: [{ name: wan }], drain: ${drain} }\nservices:\n` +
      `  - { name: web, listen: 192.0.2.80:80/tcp, scheduler: ${scheduler}, servers: [${list}] }\n`,
    'wvs.yaml',
  );
  if (!result.ok) throw new Error(JSON.stringify(result.errors));
  return result.config;
}

function reload(bench: ReloadBench, next: Config) {
  return bench.reload({ ok: true, config: next, warnings: [] });
}

/** Weights by the last byte of the address, as ipvsadm lists them. */
function weights({ control }: ReloadBench): Record<string, number> {
  const entries = control
    .destinations(WEB)
    .map(({ key, weight }) => [key.address.slice(7), weight]);
  return Object.fromEntries(entries);
}

function idOf({ memory }: ReloadBench, server: number): number {
  return publishedIds(memory).get(`${NAME} -> 10.0.0.${server} 80`)!;
}

describe('a server taken out', () => {
  test('with connections: weight 0, none of those a scheduler sees, gone after the last one', async () => {
    const bench = reloadBench(config([1, 2]));
    const id = idOf(bench, 2);
    bench.connect(id, 3);
    const { affected, changes } = await reload(bench, config([1]));
    expect(affected).toEqual([
      { service: KEY, server: '10.0.0.2:80', active: 3, inactive: 0, fate: 'drain' },
    ]);
    expect(changes).toMatchObject([{ kind: 'destination-removed', connections: 3 }]);
    expect(weights(bench)).toEqual({ 1: 1, 2: 0 });
    expect(idOf(bench, 2)).toBeUndefined();
    bench.pass(5_000);
    expect(bench.running.drains.status(KEY, '10.0.0.2:80')).toEqual({
      open: 3,
      elapsed: 5,
      remaining: 55,
    });
    bench.connect(id, 0);
    bench.pass(1_000);
    expect(weights(bench)).toEqual({ 1: 1 });
  });

  test('without connections: gone as soon as every worker knows', async () => {
    const bench = reloadBench(config([1, 2]));
    await reload(bench, config([1]));
    bench.pass(100);
    expect(weights(bench)).toEqual({ 1: 1, 2: 0 });
    bench.pass(200);
    expect(weights(bench)).toEqual({ 1: 1 });
  });

  test('the deadline comes first: gone with what it has', async () => {
    const bench = reloadBench(config([1, 2]));
    bench.connect(idOf(bench, 2), 3);
    await reload(bench, config([1]));
    bench.pass(59_000);
    expect(weights(bench)).toEqual({ 1: 1, 2: 0 });
    bench.pass(2_000);
    expect(weights(bench)).toEqual({ 1: 1 });
  });

  test('put back: the same one with its connections and its weight', async () => {
    const bench = reloadBench(config([1, 2]));
    const id = idOf(bench, 2);
    bench.connect(id, 3);
    await reload(bench, config([1]));
    await reload(bench, config([1, 2]));
    expect(weights(bench)).toEqual({ 1: 1, 2: 2 });
    expect(idOf(bench, 2)).toBe(id);
    bench.pass(100_000);
    expect(weights(bench)).toEqual({ 1: 1, 2: 2 });
  });

  test.each(['sh', 'dh', 'mh'])(
    '%s: no client is sent to a server that drains',
    async (scheduler) => {
      const bench = reloadBench(config([1, 2], { scheduler }));
      bench.connect(idOf(bench, 2), 1);
      await reload(bench, config([1], { scheduler }));
      const words = publishedWords(bench.memory)[NAME]!;
      expect(words).toContain('10.0.0.1 80');
      expect(words).not.toContain('nobody');
      expect(words.filter((word) => word.startsWith('10.0.0.2'))).toEqual([]);
    },
  );

  test('drain: off: removed at once, and the report says what that costs', async () => {
    const bench = reloadBench(config([1, 2], { drain: 'off' }));
    bench.connect(idOf(bench, 2), 3);
    const { affected } = await reload(bench, config([1], { drain: 'off' }));
    expect(affected).toMatchObject([{ server: '10.0.0.2:80', fate: 'end' }]);
    expect(weights(bench)).toEqual({ 1: 1 });
  });

  test('weight by ipvsadm while it drains: it takes connections again until the next reload', async () => {
    const bench = reloadBench(config([1, 2]));
    bench.connect(idOf(bench, 2), 3);
    await reload(bench, config([1]));
    const key = { family: 4, address: '10.0.0.2', port: 80 } as const;
    const [entry] = bench.control
      .destinations(WEB)
      .filter((each) => each.key.address === key.address);
    bench.control.editDestination(WEB, key, { ...entry!, weight: 7 });
    expect(idOf(bench, 2)).toBeDefined();
  });
});

describe('a service taken out', () => {
  const none = () => ({ ...config([1]), services: [] });

  test('stays with servers that take nothing until the last of them has drained', async () => {
    const bench = reloadBench(config([1, 2]));
    const [first, second] = [idOf(bench, 1), idOf(bench, 2)];
    bench.connect(first, 1);
    bench.connect(second, 1);
    await reload(bench, none());
    expect(publishedWords(bench.memory)[NAME]?.filter((word) => word.includes('weight'))).toEqual(
      [],
    );
    bench.connect(first, 0);
    bench.pass(2_000);
    expect(weights(bench)).toEqual({ 2: 0 });
    bench.connect(second, 0);
    bench.pass(2_000);
    expect(bench.control.services()).toEqual([]);
  });

  test('put back with one of its servers: the other one goes on draining', async () => {
    const bench = reloadBench(config([1, 2]));
    const [first, second] = [idOf(bench, 1), idOf(bench, 2)];
    bench.connect(first, 1);
    bench.connect(second, 1);
    await reload(bench, none());
    await reload(bench, config([1]));
    expect(weights(bench)).toEqual({ 1: 1, 2: 0 });
    expect(idOf(bench, 1)).toBe(first);
    bench.drain();
    expect(weights(bench)).toEqual({ 1: 1 });
  });
});

describe('what ipvsadm did to services of the file', () => {
  test('a reload of the same file takes it back, and leaves what was added', async () => {
    const bench = reloadBench(config([1, 2]));
    const { control } = bench;
    const at = (server: number) => ({ family: 4, address: `10.0.0.${server}`, port: 80 }) as const;
    const [entry] = control.destinations(WEB);
    control.deleteDestination(WEB, at(1));
    control.editDestination(WEB, at(2), { ...entry!, weight: 0 });
    control.addDestination(WEB, at(9), { ...entry!, weight: 9 });
    const { changes } = await reload(bench, config([1, 2]));
    expect(changes.map(({ text }) => text)).toEqual([
      `+ server 10.0.0.1:80 of web (${KEY})`,
      `~ server 10.0.0.2:80 of web (${KEY}): weight 0 -> 2`,
    ]);
    expect(weights(bench)).toEqual({ 1: 1, 2: 2, 9: 9 });
    expect((await reload(bench, config([1, 2]))).changes).toEqual([]);
  });

  test('the whole service deleted: comes back with all its servers', async () => {
    const bench = reloadBench(config([1, 2]));
    bench.control.deleteService(WEB);
    const { changes } = await reload(bench, config([1, 2]));
    expect(changes.map(({ text }) => text)).toEqual([`+ service web (${KEY}), 2 servers`]);
    expect(weights(bench)).toEqual({ 1: 1, 2: 2 });
  });
});
