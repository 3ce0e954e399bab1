// Capabilities given up by every thread, and datagrams to a service manager.

import { spawnSync } from 'node:child_process';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { keepCapabilities, notifyServiceManager } from 'af-xdp-socket';
import { describe, expect, test } from 'vitest';

const entry = join(dirname(fileURLToPath(import.meta.url)), '../../../host/af-xdp-socket/index.js');

/** In a process of its own: what is given up is gone for good. */
const PROGRAM = `
  import { readdirSync, readFileSync } from 'node:fs';
  import { readFile } from 'node:fs/promises';
  import { spawnSync } from 'node:child_process';
  import { Worker } from 'node:worker_threads';
  import { keepCapabilities } from '${entry}';
  await readFile('/proc/self/status');
  const worker = new Worker('setInterval(() => 0, 1000)', { eval: true });
  await new Promise((resolve) => worker.once('online', resolve));
  const threads = keepCapabilities(['CAP_NET_RAW']);
  const late = new Worker('setInterval(() => 0, 1000)', { eval: true });
  await new Promise((resolve) => late.once('online', resolve));
  const sets = new Set();
  for (const thread of readdirSync('/proc/self/task')) {
    const status = readFileSync('/proc/self/task/' + thread + '/status', 'utf8');
    for (const name of ['CapPrm', 'CapEff', 'CapBnd']) {
      sets.add(name + ' ' + parseInt(status.match(name + ':\\\\s*(\\\\S+)')[1], 16));
    }
  }
  const child = spawnSync('grep', ['CapEff', '/proc/self/status'], { encoding: 'utf8' });
  console.log(JSON.stringify({ threads, sets: [...sets], child: child.stdout.trim() }));
  process.exit();
`;

describe('keepCapabilities', () => {
  test('all threads, new ones and children have what is kept, and no more', (context) => {
    if (process.getuid?.() !== 0) context.skip('only root has something to give up');
    const run = spawnSync(process.execPath, ['--input-type=module', '--eval', PROGRAM], {
      encoding: 'utf8',
    });
    expect(run.stderr).toBe('');
    const { threads, sets, child } = JSON.parse(run.stdout) as {
      threads: number;
      sets: string[];
      child: string;
    };
    expect(threads).toBeGreaterThan(4);
    const kept = 1 << 13;
    expect(sets.sort()).toEqual([`CapBnd ${kept}`, `CapEff ${kept}`, `CapPrm ${kept}`]);
    expect(child).toBe('CapEff:\t0000000000002000');
  });

  test('a name that is none: nothing is given up', () => {
    expect(() => keepCapabilities(['CAP_NOTHING' as 'CAP_BPF'])).toThrow(TypeError);
  });
});

describe('notifyServiceManager', () => {
  test('nobody there: the path is named', () => {
    expect(() => notifyServiceManager('/nowhere/notify', 'READY=1')).toThrow(
      expect.objectContaining({ code: 'ENOENT', message: expect.stringMatching(/\/nowhere/) }),
    );
  });

  test('a path that cannot be one', () => {
    expect(() => notifyServiceManager('', 'READY=1')).toThrow(/EINVAL/);
    expect(() => notifyServiceManager('x'.repeat(108), 'READY=1')).toThrow(RangeError);
    expect(() => notifyServiceManager(1 as unknown as string, '')).toThrow(TypeError);
  });
});
