/**
 * Reloads one after the other: wherever a director has come from, in the end its tables are those of
 * one that was started with the last file; and what a file leaves alone is left alone.
 *
 * The folders of `sequences/` have numbered files. Each file but the first says in comments what a
 * reload from the one before it reports: `# expect: LINE`, and `# keeps: SERVICE -> SERVER` names
 * destinations that must be the same ones afterwards.
 */

import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { SERVICE_STATE_SIZE } from '../../assembly/shared/layout.ts';
import { parseConfig } from '../../host/config/parse.ts';
import { RememberingParser } from '../../host/config/reload-parser.ts';
import type { Config } from '../../host/config/types.ts';
import { Random, seedFromEnvironment } from '../support/random.ts';
import { type ReloadBench, reloadBench } from './bench.ts';
import { publishedIds, publishedWords } from './published.ts';
import { randomConfig } from './random-config.ts';

const SEED = seedFromEnvironment(4_2026);
const SEQUENCES = 40;
const EDITS = 8;
const FOLDER = new URL('./sequences/', import.meta.url);

function configOf(text: string): Config {
  const result = parseConfig(text, 'wvs.yaml');
  if (!result.ok) throw new Error(`${JSON.stringify(result.errors)}\n${text}`);
  return result.config;
}

/** A director that was started with the file. */
function fresh(text: string): ReloadBench {
  return reloadBench(configOf(text));
}

describe('numbered files', () => {
  test.each(readdirSync(FOLDER))('%s', async (name) => {
    const files = readdirSync(new URL(`${name}/`, FOLDER)).sort();
    const texts = files.map((file) => readFileSync(new URL(`${name}/${file}`, FOLDER), 'utf8'));
    const [first, ...others] = texts as [string, ...string[]];
    const bench = fresh(first);
    for (const [index, text] of others.entries()) {
      const before = publishedIds(bench.memory);
      const result = { ok: true, config: configOf(text), warnings: [] } as const;
      const planned = await bench.plan(result);
      const { changes } = await bench.reload(result);
      const where = `${name}/${files[index + 1]}`;
      expect(changes, where).toEqual(planned.changes);
      expect(
        changes.map((change) => change.text),
        where,
      ).toEqual(comments(text, 'expect'));
      bench.drain();
      const after = publishedIds(bench.memory);
      for (const kept of comments(text, 'keeps')) {
        expect(before.get(kept), `${where}: ${kept}`).toBeDefined();
        expect(after.get(kept), `${where}: ${kept}`).toBe(before.get(kept));
      }
      expect(publishedWords(bench.memory), where).toEqual(publishedWords(fresh(text).memory));
    }
  });
});

function comments(text: string, word: string): string[] {
  return [...text.matchAll(new RegExp(`^# ${word}: (.*)$`, 'gm'))].map(([, line]) => line!);
}

describe(`random edits (seed ${SEED})`, () => {
  test('end in the tables of a start with the last file', async () => {
    const random = new Random(SEED);
    for (let sequence = 0; sequence < SEQUENCES; sequence++) {
      const parser = new RememberingParser();
      let text = randomConfig(random);
      const bench = fresh(text);
      for (let edit = 0; edit < EDITS; edit++) {
        text = randomConfig(random);
        const result = parser.parse(text, 'wvs.yaml');
        if (!result.ok) throw new Error(JSON.stringify(result.errors));
        await bench.reload(result);
        // Some drains end between two reloads, others go on.
        bench.pass(random.below(70_000));
        bench.control.tick((sequence * EDITS + edit + 1) * 1000);
      }
      bench.drain();
      expect(publishedWords(bench.memory), text).toEqual(publishedWords(fresh(text).memory));
    }
  });

  test('with connections: drains hold what is left, and then it is the same', async () => {
    const random = new Random(SEED + 1);
    for (let sequence = 0; sequence < SEQUENCES; sequence++) {
      let text = randomConfig(random);
      const bench = fresh(text);
      for (let edit = 0; edit < EDITS; edit++) {
        for (const [name, id] of publishedIds(bench.memory)) {
          if (name.includes('->')) bench.connect(id, random.below(3));
        }
        text = randomConfig(random);
        await bench.reload({ ok: true, config: configOf(text), warnings: [] });
        bench.pass(random.below(40_000));
      }
      bench.drain();
      expect(publishedWords(bench.memory), text).toEqual(publishedWords(fresh(text).memory));
      expect(bench.running.drains.size).toBe(0);
    }
  });

  test('what is the same in both files stays: ids, and the state of schedulers', async () => {
    const random = new Random(SEED + 2);
    let kept = 0;
    for (let sequence = 0; sequence < SEQUENCES * 4; sequence++) {
      const config = configOf(randomConfig(random));
      const other = configOf(randomConfig(random));
      const bench = reloadBench(config);
      // The other file's services, and those of the first that it does not have, as they were.
      const keys = new Set(config.services.map(({ key }) => key));
      const services = [
        ...config.services.filter(() => random.below(2) === 0),
        ...other.services.filter(({ key }) => !keys.has(key)),
      ];
      const before = publishedIds(bench.memory);
      const states = new Map(
        [...before]
          .filter(([name]) => !name.includes('->'))
          .map(([name, id]) => [name, stateOf(bench, id)]),
      );
      const next = { ...config, services: structuredClone(services) };
      await bench.reload({ ok: true, config: next, warnings: [] });
      bench.drain();
      const after = publishedIds(bench.memory);
      for (const [name, id] of after) {
        if (!before.has(name)) continue;
        expect(id, name).toBe(before.get(name));
        if (states.has(name)) expect(stateOf(bench, id)).toEqual(states.get(name));
        kept++;
      }
    }
    expect(kept).toBeGreaterThan(SEQUENCES);
  });
});

/** A service's running state, with a mark that an edit of the service would wipe away. */
function stateOf({ memory }: ReloadBench, id: number): number[] {
  const at = memory.serviceState(id);
  return Array.from(memory.u8.subarray(at, at + SERVICE_STATE_SIZE));
}

describe('a broken file in between', () => {
  test('changes nothing, and the next right one is compared with the last right one', async () => {
    const random = new Random(SEED + 3);
    const text = randomConfig(random);
    const bench = fresh(text);
    const before = publishedWords(bench.memory);
    const generation = bench.memory.generation();
    const broken = parseConfig(text.replace('version: 1', 'version: 2'), 'wvs.yaml');
    await expect(bench.reload(broken)).rejects.toMatchObject({ code: 'config-invalid' });
    expect(publishedWords(bench.memory)).toEqual(before);
    expect(bench.memory.generation()).toBe(generation);
    const again = { ok: true, config: configOf(text), warnings: [] } as const;
    expect((await bench.reload(again)).changes).toEqual([]);
    expect(bench.memory.generation()).toBe(generation);
  });
});
