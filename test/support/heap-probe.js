// Imported into a program by `node --expose-gc --import`: on SIGUSR2 it collects all garbage and
// says as a line of its log what memory is left.

import { readFileSync } from 'node:fs';
import { isMainThread } from 'node:worker_threads';

/** Freed pages are given back by another thread. */
const SETTLE_MS = 300;

let samples = 0;

if (isMainThread) process.on('SIGUSR2', () => void report());

async function report() {
  // What the first collection finalizes is freed by the second one.
  globalThis.gc();
  await new Promise((resolve) => setTimeout(resolve, SETTLE_MS));
  globalThis.gc();
  await new Promise((resolve) => setTimeout(resolve, SETTLE_MS));
  const { heapUsed, heapTotal, external } = process.memoryUsage();
  const status = readFileSync('/proc/self/status', 'utf8');
  const anonymous = Number(/^RssAnon:\s*(\d+) kB$/m.exec(status)?.[1]) * 1024;
  samples++;
  const line = {
    event: 'memory',
    sample: samples,
    live: heapUsed + external,
    others: anonymous - heapTotal,
  };
  process.stdout.write(`${JSON.stringify(line)}\n`);
}
