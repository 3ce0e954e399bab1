/** Whatever ends a process that made namespaces, nothing of it stays on the machine. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

import { afterEach, describe, expect, test } from 'vitest';

import { sourceRoot } from '../../host/netns/processes.ts';
import { whyNotHere } from '../support/net/bed.ts';

const GONE_TIMEOUT_MS = 5_000;
const POLL_MS = 50;

const reason = whyNotHere();
const started: ChildProcess[] = [];

/** A process that makes a topology with processes in it, and then does what is asked. */
const PROGRAM = `
  import { createTopology, startDecapsulator } from './dist/host/netns/topology.js';
  const topology = createTopology({ arms: 2, queues: 2, servers: 1 });
  await startDecapsulator(topology.servers[0]);
  topology.client.spawn(['sleep', '60']);
  console.log('made');
  process.stdin.on('data', (text) => {
    if (String(text) === 'throw') throw new Error('on purpose');
    topology.close();
  });
`;

function start(): ChildProcess {
  const child = spawn(process.execPath, ['--input-type=module', '--eval', PROGRAM], {
    cwd: sourceRoot(),
    stdio: ['pipe', 'pipe', 'ignore'],
  });
  started.push(child);
  return child;
}

async function waitUntilMade(child: ChildProcess): Promise<void> {
  await once(createInterface({ input: child.stdout! }), 'line');
}

/** Namespaces, directories and processes with the mark of the process. */
function remains(pid: number): string[] {
  const mark = `wvs-${pid}-`;
  const named = ['/run/netns', tmpdir()].flatMap((directory) =>
    existsSync(directory) ? readdirSync(directory) : [],
  );
  const processes = readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name) && name !== String(pid))
    .map((name) => commandLine(name));
  return [...named, ...processes].filter((text) => text.includes(mark));
}

function commandLine(pid: string): string {
  try {
    return readFileSync(join('/proc', pid, 'cmdline'), 'utf8').replaceAll('\0', ' ');
  } catch {
    return '';
  }
}

async function expectNothingRemains(pid: number): Promise<void> {
  const deadline = Date.now() + GONE_TIMEOUT_MS;
  while (remains(pid).length > 0 && Date.now() < deadline) {
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
  expect(remains(pid)).toEqual([]);
}

describe('nothing stays behind', () => {
  afterEach(() => {
    for (const child of started.splice(0)) child.kill('SIGKILL');
  });

  for (const [title, end, code] of [
    ['after an ordinary end', (child: ChildProcess) => child.stdin!.end('close'), 0],
    ['after an exception', (child: ChildProcess) => child.stdin!.end('throw'), 1],
    ['after SIGINT', (child: ChildProcess) => child.kill('SIGINT'), 130],
    ['after SIGTERM', (child: ChildProcess) => child.kill('SIGTERM'), 143],
    ['after SIGKILL', (child: ChildProcess) => child.kill('SIGKILL'), null],
  ] as const) {
    test(title, async (context) => {
      if (reason !== undefined) context.skip(reason);
      const child = start();
      await waitUntilMade(child);
      expect(remains(child.pid!)).not.toHaveLength(0);
      end(child);
      const [status] = await once(child, 'exit');
      expect(status).toBe(code);
      await expectNothingRemains(child.pid!);
    });
  }
});
