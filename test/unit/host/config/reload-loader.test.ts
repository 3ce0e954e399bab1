/** Loading again and again: on the spot or in a thread, the answers are the same. */

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { ReloadLoader } from '../../../../host/config/reload-loader.ts';
import type { ServiceConfig } from '../../../../host/config/types.ts';
import { bundleThread } from '../../../support/bundle-thread.ts';

const SERVICES = 1200;

let directory: string;
let source: string;
let loader: ReloadLoader;
let threads = 0;

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'wvs-loader-'));
  source = await bundleThread(new URL('../../../../host/config/reload-thread.ts', import.meta.url));
});
afterAll(() => rmSync(directory, { recursive: true }));
afterEach(() => loader.close());

function start(threadBytes: number): void {
  threads = 0;
  loader = new ReloadLoader({
    threadBytes,
    startThread: () => {
      threads++;
      return new Worker(source, { eval: true });
    },
  });
}

function write(weight: number, head = ''): string {
  const file = join(directory, 'wvs.yaml');
  const services = Array.from({ length: SERVICES }, (_, index) => {
    const own = index === 700 ? weight : 1;
    return `  - { listen: 192.0.2.80:${index + 1}/tcp, servers: [{ address: 10.0.0.1, weight: ${own} }] }\n`;
  });
  const text = `${head}version: 1\ndirector: { ports: [{ name: wan }] }\nservices:\n${services.join('')}`;
  writeFileSync(file, text);
  return file;
}

async function load(file: string): Promise<readonly ServiceConfig[]> {
  const result = await loader.load(file);
  if (!result.ok) throw new Error(JSON.stringify(result.errors));
  return result.config.services;
}

describe.each([
  ['on the spot', 1 << 30, 0],
  ['in a thread', 0, 1],
])('%s', (_, threadBytes, expectedThreads) => {
  test('a small edit: all other services are the objects they were', async () => {
    start(threadBytes);
    const first = await load(write(1));
    const second = await load(write(5));
    expect(first).toHaveLength(SERVICES);
    const changed = second.flatMap((service, index) => (service === first[index] ? [] : [index]));
    expect(changed).toEqual([700]);
    expect(second[700]?.servers[0]?.weight).toBe(5);
    expect(threads).toBe(expectedThreads);
  });

  test('a line more at the top: the same servers at other lines', async () => {
    start(threadBytes);
    const first = await load(write(1));
    const second = await load(write(1, '# one line more\n'));
    expect(second[3]?.servers).toBe(first[3]?.servers);
    expect(second[3]?.position?.line).toBe(first[3]!.position!.line + 1);
    expect(second[3]?.lineShift).toBe((first[3]?.lineShift ?? 0) + 1);
  });

  test('a broken file, and none: told as ever, and what was known still is', async () => {
    start(threadBytes);
    const first = await load(write(1));
    const file = write(1, 'verzion: 1\n');
    expect(await loader.load(file)).toMatchObject({ ok: false, errors: [{ line: 1, column: 1 }] });
    const missing = await loader.load(join(directory, 'none.yaml'));
    expect(missing).toMatchObject({ ok: false, errors: [{ code: 'file-unreadable' }] });
    const again = await load(write(1));
    expect(again[5]).toBe(first[5]);
  });

  test('two at once: one after the other, each with its own answer', async () => {
    start(threadBytes);
    const file = write(1);
    const [one, two] = await Promise.all([load(file), load(file)]);
    expect(two[9]).toBe(one[9]);
  });
});

test('the thread dies: the load fails, the next one has a new thread', async () => {
  threads = 0;
  loader = new ReloadLoader({
    threadBytes: 0,
    startThread: () => {
      threads++;
      return new Worker(threads === 1 ? 'process.exit(3)' : source, { eval: true });
    },
  });
  await expect(loader.load(write(1))).rejects.toThrow(/thread/);
  expect(await load(write(1))).toHaveLength(SERVICES);
});
