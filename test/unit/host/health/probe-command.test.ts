import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { icmpProbe } from '../../../../host/health/probe-icmp.ts';
import { checkOf, probeOnce, targetOf } from './support.ts';

function directory(): string {
  const path = mkdtempSync(join(tmpdir(), 'wvs-probe-'));
  onTestFinished(() => rmSync(path, { recursive: true }));
  return path;
}

function shell(script: string): string[] {
  return ['/bin/sh', '-c', script];
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
  } catch {
    return false;
  }
  // A zombie is nobody's process any more; whoever adopted it reaps it in time.
  return !readFileSync(`/proc/${pid}/stat`, 'latin1').includes(') Z ');
}

async function isGone(pid: number): Promise<boolean> {
  for (let i = 0; i < 100; i++) {
    try {
      if (!isAlive(pid)) return true;
    } catch {
      return true;
    }
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  return false;
}

// exit code, weightFromExitCode → ok, weight
test.each([
  [0, false, true, undefined],
  [1, false, false, undefined],
  [2, false, false, undefined],
  [255, false, false, undefined],
  [0, true, true, undefined],
  [1, true, false, undefined],
  [2, true, true, 0],
  [12, true, true, 10],
  [255, true, true, 253],
])('command: exit code %i, weightFromExitCode %s → %s, weight %s', async (...row) => {
  const [code, weightFromExitCode, ok, weight] = row;
  const command = shell(`exit ${code}`);
  const result = await probeOnce({ type: 'command', command, weightFromExitCode }, 80);
  expect(result.ok).toBe(ok);
  expect(result.weight).toBe(weight);
  expect(result.detail).toBe(`exit code ${code}`);
});

test('command: what it prints is in the detail, the first line of it', async () => {
  const command = shell('echo disk full; echo more; exit 1');
  const result = await probeOnce({ type: 'command', command }, 80);
  expect(result.detail).toBe('exit code 1: disk full');
});

test('command: it knows the server; it has no stdin', async () => {
  const command = shell('cat; echo "$WVS_SERVER_ADDRESS $WVS_SERVER_PORT"');
  const result = await probeOnce({ type: 'command', command }, 8080, '::1');
  expect(result.detail).toBe('exit code 0: ::1 8080');
});

test('command: killed by a signal → fail', async () => {
  const result = await probeOnce({ type: 'command', command: shell('kill -9 $$') }, 80);
  expect(result).toMatchObject({ ok: false, detail: 'killed by SIGKILL' });
});

test('command: not there → fail, with its name', async () => {
  const result = await probeOnce({ type: 'command', command: ['/nonexistent/check'] }, 80);
  expect(result).toMatchObject({ ok: false, detail: 'cannot run /nonexistent/check: ENOENT' });
  expect(result.isOurs).toBeUndefined();
});

test('command: too slow → timeout, and its whole group is killed', async () => {
  const file = join(directory(), 'pids');
  const command = shell(`sleep 60 & echo $! $$ > ${file}; wait`);
  const result = await probeOnce({ type: 'command', command, timeout: 300 }, 80);
  expect(result).toMatchObject({ ok: false, detail: 'timeout: waited 300ms for /bin/sh to end' });
  const pids = readFileSync(file, 'utf8').trim().split(' ').map(Number);
  expect(pids).toHaveLength(2);
  for (const pid of pids) expect(await isGone(pid), `process ${pid}`).toBe(true);
});

test('command: children left behind → killed, and not waited for', async () => {
  const file = join(directory(), 'pid');
  const command = shell(`sleep 60 & echo $! > ${file}; exit 0`);
  const result = await probeOnce({ type: 'command', command }, 80);
  expect(result).toMatchObject({ ok: true, detail: 'exit code 0' });
  expect(await isGone(Number(readFileSync(file, 'utf8')))).toBe(true);
});

test('command: endless output → neither memory nor time', async () => {
  const result = await probeOnce({ type: 'command', command: ['yes'], timeout: 200 }, 80);
  expect(result.detail).toBe('timeout: waited 200ms for yes to end');
});

test.each([
  ['5', {}, true, 5],
  ['0\n', {}, true, 0],
  [' 7 \n', { factor: 10 }, true, 70],
  ['99999999', {}, true, 65_535],
  ['-1', {}, false, undefined],
  ['five', {}, false, undefined],
  ['', {}, false, undefined],
  ['5 6', {}, false, undefined],
  ['1'.repeat(1000), {}, true, 65_535],
])('file: %j with %j → %s, weight %s', async (text, rules, ok, weight) => {
  const path = join(directory(), 'weight');
  writeFileSync(path, text);
  const result = await probeOnce({ type: 'file', path, ...rules }, 0);
  expect(result.ok).toBe(ok);
  expect(result.weight).toBe(weight);
});

test.each([
  ['addition', '5', {}, true, 5],
  ['addition', '-7', {}, true, -7],
  ['addition', '5', { factor: -3 }, true, -15],
  ['addition', 'five', {}, true, 0],
  ['addition', undefined, {}, true, 0],
  ['failure', '0', {}, true, undefined],
  ['failure', '-1', {}, false, undefined],
  ['failure', '', {}, true, undefined],
  ['failure', undefined, {}, true, undefined],
  ['success', '0', {}, false, undefined],
  ['success', '3', {}, true, undefined],
  ['success', undefined, {}, false, undefined],
  ['weight', '5', { factor: -1 }, false, undefined],
] as const)('file that means %s: %j with %j → %s, weight %s more', async (...row) => {
  const [means, text, rules, ok, weightChange] = row;
  const path = join(directory(), 'number');
  if (text !== undefined) writeFileSync(path, text);
  const result = await probeOnce({ type: 'file', path, means, ...rules }, 0);
  expect(result.ok).toBe(ok);
  expect(result.weightChange).toBe(weightChange);
  expect(result.weight).toBeUndefined();
});

test('file: not there, a directory, a pipe without a writer → fail, at once', async () => {
  const folder = directory();
  const pipe = join(folder, 'pipe');
  await probeOnce({ type: 'command', command: ['mkfifo', pipe] }, 0);
  expect(existsSync(pipe)).toBe(true);
  for (const [path, detail] of [
    [join(folder, 'nothing'), 'no such file'],
    [folder, 'not a regular file'],
    [pipe, 'not a regular file'],
  ] as const) {
    const result = await probeOnce({ type: 'file', path }, 0);
    expect(result).toMatchObject({ ok: false, detail: `${path}: ${detail}` });
  }
});

/** A ping that ends as told; what the real one says was recorded. */
function pingProbe(script: string, timeout = 500) {
  const path = join(directory(), 'ping');
  writeFileSync(path, `#!/bin/sh\n${script}\n`, { mode: 0o755 });
  const check = checkOf({ type: 'icmp', timeout });
  if (check.type !== 'icmp') throw new Error('not icmp');
  return icmpProbe(targetOf(0), check, path)(new AbortController().signal);
}

test.each([
  ['echo "64 bytes from 127.0.0.1: icmp_seq=1 ttl=64 time=0.02 ms"; exit 0', 'echo reply'],
  ['exit 1', 'no echo reply'],
  [
    'echo "From 10.0.0.1 icmp_seq=1 Destination Host Unreachable"; exit 1',
    'destination host unreachable',
  ],
  ['echo "ping: socket: Operation not permitted" >&2; exit 2', 'socket: Operation not permitted'],
])('icmp: ping does %j → %s', async (script, detail) => {
  const result = await pingProbe(script);
  expect(result.detail).toContain(detail);
  expect(result.ok).toBe(script.endsWith('exit 0'));
  expect(result.isOurs).toBe(script.endsWith('exit 2') ? true : undefined);
});

test('icmp: ping takes too long → timeout', async () => {
  const result = await pingProbe('sleep 60', 200);
  expect(result.detail).toBe('timeout: waited 200ms for an echo reply');
});

const hasPing = existsSync('/usr/bin/ping') || existsSync('/bin/ping');

test.skipIf(!hasPing).each(['127.0.0.1', '::1'])('icmp: %s → an echo reply', async (address) => {
  const result = await probeOnce({ type: 'icmp', timeout: 2_000 }, 0, address);
  expect(result, result.detail).toMatchObject({ ok: true, detail: 'echo reply' });
});

test('icmp: no ping here → our trouble, not the server’s', async () => {
  const check = checkOf({ type: 'icmp' });
  if (check.type !== 'icmp') throw new Error('not icmp');
  const probe = icmpProbe(targetOf(0), check, '/nonexistent/ping');
  await expect(probe(new AbortController().signal)).resolves.toMatchObject({
    ok: false,
    isOurs: true,
    detail: 'cannot run /nonexistent/ping: ENOENT',
  });
});
