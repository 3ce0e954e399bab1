/** The bench, as a newcomer runs it first. What it measures is not looked at: only that it does. */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import type { Report } from '../../bench/result.ts';
import { sourceRoot } from '../../host/netns/processes.ts';
import { whyNotHere } from '../support/net/bed.ts';

/** On a machine that has little to do it takes a third of this at most. */
const TIME_LIMIT_MS = 180_000;
const IN_MEMORY = [
  'hit-path',
  'methods',
  'axes',
  'stages',
  'new-connections',
  'workers',
  'schedulers',
  'table-insert',
  'publish',
  'ecmp',
];
const ON_VETH = [
  'steering',
  'packets',
  'packet-latency',
  'packet-processor-time',
  'http',
  'changes-lost',
];

let directory: string;

beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'wvs-bench-'));
});
afterAll(() => rmSync(directory, { recursive: true }));

function runBench(...words: string[]) {
  const program = join(sourceRoot(), 'dist/bench/main.js');
  const result = spawnSync(process.execPath, [program, ...words], {
    encoding: 'utf8',
    timeout: TIME_LIMIT_MS,
    killSignal: 'SIGINT',
  });
  return { ...result, text: result.stdout + result.stderr };
}

describe('npm run bench', () => {
  test('--quick: every bench has results, every absent peer a name, plots are drawn', {
    timeout: TIME_LIMIT_MS,
  }, () => {
    const out = join(directory, 'latest.json');
    const { status, text } = runBench('--quick', '--out', out);
    expect(status, text).toBe(0);
    const report = JSON.parse(readFileSync(out, 'utf8')) as Report;
    const names = new Set(report.results.map(({ name }) => name));
    expect([...names]).toEqual(expect.arrayContaining(IN_MEMORY));
    for (const { value, spread } of report.results) {
      expect([value, ...spread].every(Number.isFinite)).toBe(true);
    }
    expect(existsSync(join(directory, 'hit-path.svg'))).toBe(true);
    if (whyNotHere() === undefined) {
      expect([...names]).toEqual(expect.arrayContaining(ON_VETH));
      expect(existsSync(join(directory, 'packets.svg'))).toBe(true);
    } else {
      expect(report.missing.map(({ what }) => what)).toContain('everything');
    }
    for (const { name, what, why } of report.missing) {
      expect(text).toMatch(new RegExp(`^${name} +${what} +`, 'm'));
      expect(text).toContain(why);
    }
  });

  test('one bench by name, compared with an earlier run', { timeout: TIME_LIMIT_MS }, () => {
    const out = join(directory, 'one.json');
    expect(runBench('ecmp', '--quick', '--out', out).status).toBe(0);
    const { status, text } = runBench('ecmp', '--quick', '--out', out, '--compare', out);
    expect(status, text).toBe(0);
    expect(text).toMatch(/numbers compared with .*: 0 moved/);
  });

  test('--help, and words it does not know', () => {
    expect(runBench('--help').stdout).toContain('--compare');
    expect(runBench('fastest').status).toBe(2);
    expect(runBench('--slow').status).toBe(2);
  });
});
