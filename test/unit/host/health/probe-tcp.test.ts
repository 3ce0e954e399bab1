import { expect, test } from 'vitest';
import { closedPort, probeOnce, tcpServer } from './support.ts';

test.each(['127.0.0.1', '::1'])('tcp: %s listens → pass', async (address) => {
  const port = await tcpServer(() => undefined, address);
  const result = await probeOnce({ type: 'tcp' }, port, address);
  expect(result).toMatchObject({ ok: true, detail: 'connected' });
  expect(result.latencyMs).toBeGreaterThan(0);
});

test('tcp: nobody listens → connection refused', async () => {
  const result = await probeOnce({ type: 'tcp' }, await closedPort());
  expect(result).toMatchObject({ ok: false, detail: 'connection refused' });
  expect(result.isOurs).toBeUndefined();
});

test('tcp: no answer to the SYN → timeout, in time', async () => {
  // TEST-NET-1 (RFC 5737) is nowhere; a network that refuses it at once is as good a failure.
  const started = performance.now();
  const result = await probeOnce({ type: 'tcp', timeout: 200 }, 80, '192.0.2.1');
  expect(result.ok).toBe(false);
  // The kernel itself would try for two minutes.
  expect(performance.now() - started).toBeLessThan(10_000);
});

test('tcp: bound to a source address → the server sees it', async () => {
  const seen: (string | undefined)[] = [];
  const port = await tcpServer((socket) => seen.push(socket.remoteAddress));
  const source = { family: 4, address: '127.0.0.9' } as const;
  await expect(probeOnce({ type: 'tcp', source }, port)).resolves.toMatchObject({ ok: true });
  expect(seen).toEqual(['127.0.0.9']);
});

test('tcp: a source address that is not ours → our trouble, not the server’s', async () => {
  const port = await tcpServer(() => undefined);
  const source = { family: 4, address: '192.0.2.99' } as const;
  const result = await probeOnce({ type: 'tcp', source }, port);
  expect(result).toMatchObject({ ok: false, isOurs: true });
  expect(result.detail).toContain('source address');
});
