/** The demo, as a newcomer runs it, and as one who loses patience ends it. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';

import { afterEach, describe, expect, test } from 'vitest';

import { METHODS } from '../../host/netns/addresses.ts';
import { sourceRoot } from '../../host/netns/processes.ts';
import { whyNotHere } from '../support/net/bed.ts';

const TIME_LIMIT_MS = 60_000;
const NOBODY = 65_534;
const reason = whyNotHere();

interface Demo {
  readonly child: ChildProcess;
  output(): string;
  readonly ended: Promise<unknown[]>;
}

const started: Demo[] = [];

function startDemo(options: { uid?: number } = {}): Demo {
  const child = spawn(process.execPath, [join(sourceRoot(), 'dist/host/demo/demo.js')], {
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: TIME_LIMIT_MS,
    ...options,
  });
  let text = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (piece) => {
      text += String(piece);
    });
  }
  const demo = { child, output: () => text, ended: once(child, 'close') };
  started.push(demo);
  return demo;
}

function namespacesOf({ child }: Demo): string[] {
  if (!existsSync('/run/netns')) return [];
  return readdirSync('/run/netns').filter((name) => name.startsWith(`wvs-${child.pid}-`));
}

describe('npm run demo', () => {
  afterEach(() => {
    for (const { child } of started.splice(0)) child.kill('SIGTERM');
  });

  test('each method: all requests answered, by both servers', async (context) => {
    if (reason !== undefined) context.skip(reason);
    const demo = startDemo();
    const [status] = await demo.ended;
    expect(status, demo.output()).toBe(0);
    for (const method of METHODS) {
      const row = demo
        .output()
        .split('\n')
        .find((line) => line.trim().startsWith(`${method} `));
      const [, , requests, first, second, , , , , packets] = row!.trim().split(/\s+/);
      expect(Number(first) + Number(second)).toBe(Number(requests));
      expect(Number(first)).toBeGreaterThan(0);
      expect(Number(second)).toBeGreaterThan(0);
      expect(Number(packets)).toBeGreaterThan(Number(requests));
    }
    expect(namespacesOf(demo)).toEqual([]);
  });

  test('Ctrl-C in the middle: ends quietly, and no namespace stays', async (context) => {
    if (reason !== undefined) context.skip(reason);
    const demo = startDemo();
    while (!demo.output().includes('virtual service')) await once(demo.child.stdout!, 'data');
    expect(namespacesOf(demo)).not.toHaveLength(0);
    demo.child.kill('SIGINT');
    const [status] = await demo.ended;
    expect(status).toBe(130);
    expect(demo.output()).not.toMatch(/error/i);
    expect(namespacesOf(demo)).toEqual([]);
  });

  test('not root: says so, and replays a capture', async (context) => {
    if (process.geteuid?.() !== 0) context.skip('becoming another user needs root');
    const demo = startDemo({ uid: NOBODY });
    const [status] = await demo.ended;
    expect(demo.output()).toContain('not root');
    expect(status, demo.output()).toBe(0);
  });
});
