import { expect, test } from 'vitest';
import { attempt } from '../../../../host/health/attempt.ts';
import { describeError, isOurFault } from '../../../../host/health/describe-error.ts';
import { createProbe } from '../../../../host/health/probes.ts';
import {
  checkOf,
  closedPort,
  type ProbeSettings,
  probeOnce,
  resources,
  targetOf,
  tcpServer,
} from './support.ts';

const limits = () => ({ timeout: 50, signal: new AbortController().signal });

test('attempt: the first result counts, and everything is cleaned up once', async () => {
  const cleaned: string[] = [];
  const result = await attempt(limits(), (running) => {
    running.onEnd(() => cleaned.push('a'));
    running.onEnd(() => {
      throw new Error('closed already');
    });
    running.onEnd(() => cleaned.push('b'));
    running.pass('first', { weight: 7 });
    running.fail('second');
    running.onEnd(() => cleaned.push('late'));
    expect(running.isOver).toBe(true);
  });
  expect(result).toMatchObject({ ok: true, detail: 'first', weight: 7 });
  expect(cleaned).toEqual(['a', 'b', 'late']);
});

test('attempt: what is thrown or rejected → fail', async () => {
  const thrown = await attempt(limits(), () => {
    throw new Error('no good');
  });
  expect(thrown).toMatchObject({ ok: false, detail: 'no good' });
  const rejected = await attempt(limits(), () => Promise.reject(new Error('nor this')));
  expect(rejected).toMatchObject({ ok: false, detail: 'nor this' });
});

test('attempt: silence → timeout, or a pass if it was asked for', async () => {
  const timeout = await attempt(limits(), (running) => running.waitFor('Godot'));
  expect(timeout).toMatchObject({ ok: false, detail: 'timeout: waited 50ms for Godot' });
  const silence = await attempt(limits(), (running) => running.passAtTimeout('quiet'));
  expect(silence).toMatchObject({ ok: true, detail: 'quiet' });
});

test('attempt: an abort before or during the try → ends at once, blames no server', async () => {
  const early = AbortSignal.abort();
  let hasStarted = false;
  const never = await attempt({ timeout: 50, signal: early }, () => {
    hasStarted = true;
  });
  expect(never).toMatchObject({ ok: false, isOurs: true, detail: 'stopped' });
  expect(hasStarted).toBe(false);
  const abort = new AbortController();
  const cleaned: string[] = [];
  const running = attempt({ timeout: 10_000, signal: abort.signal }, (one) => {
    one.onEnd(() => cleaned.push('socket'));
  });
  abort.abort();
  expect(await running).toMatchObject({ ok: false, isOurs: true });
  expect(cleaned).toEqual(['socket']);
});

test.each([
  ['ECONNREFUSED', 'connection refused', false],
  ['EHOSTUNREACH', 'host unreachable', false],
  ['ENETUNREACH', 'network unreachable', false],
  ['EMFILE', 'the director has no file descriptors left', true],
  ['EADDRNOTAVAIL', 'the source address is not on this machine, or has no ports left', true],
])('errors: %s → %s, ours: %s', (code, sentence, isOurs) => {
  const error = Object.assign(new Error(`connect ${code}`), { code });
  expect(describeError(error)).toBe(sentence);
  expect(isOurFault(error)).toBe(isOurs);
});

const KINDS: readonly ProbeSettings[] = [
  { type: 'tcp' },
  { type: 'http' },
  { type: 'https' },
  { type: 'udp', requireReply: true },
  { type: 'dns' },
  { type: 'smtp' },
  { type: 'grpc' },
  { type: 'grpc', tls: true },
  { type: 'command', command: ['sleep', '60'] },
];

test.each(KINDS)('%j: timeouts, aborts and refusals leave nothing behind', async (settings) => {
  // It reads, or else its side of a connection would never see that the other one is gone.
  const hung = await tcpServer((socket) => socket.resume());
  const closed = await closedPort();
  const before = resources().length;
  for (let i = 0; i < 5; i++) {
    await probeOnce({ ...settings, timeout: 30 }, hung);
    await probeOnce({ ...settings, timeout: 30 }, closed);
    const abort = new AbortController();
    const probe = createProbe(targetOf(hung), checkOf({ ...settings, timeout: 10_000 }));
    const running = probe(abort.signal);
    setTimeout(() => abort.abort(), 10);
    await running;
  }
  // Handles are closed in the next turns of the loop; the server's side of them goes with them.
  await expect.poll(() => resources().length, { timeout: 2_000 }).toBeLessThanOrEqual(before);
});
