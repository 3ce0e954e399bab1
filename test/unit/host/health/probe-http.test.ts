import { createHash } from 'node:crypto';
import { createServer, type RequestListener } from 'node:http';
import { expect, test } from 'vitest';
import { BODY_BYTES_MAX } from '../../../../host/health/body-check.ts';
import { closedPort, listening, probeOnce, tcpServer } from './support.ts';

function httpServer(listener: RequestListener, address?: string): Promise<number> {
  return listening(createServer(listener), address);
}

const STATUS_200 = [{ first: 200, last: 200 }];

test.each(['127.0.0.1', '::1'])('http: %s answers 200 → pass', async (address) => {
  const port = await httpServer((_, response) => response.end('hello'), address);
  const result = await probeOnce({ type: 'http' }, port, address);
  expect(result).toMatchObject({ ok: true, detail: 'HTTP 200' });
});

test('http: the request → method, path, host and headers as configured', async () => {
  const requests: string[] = [];
  const port = await httpServer((request, response) => {
    const { method, url, headers } = request;
    requests.push(`${method} ${url} ${headers.host} ${headers['x-check']} ${headers.connection}`);
    response.end();
  });
  const headers = { 'X-Check': 'yes' };
  const host = 'www.example.org';
  await probeOnce({ type: 'http', method: 'HEAD', path: '/health?x=1', host, headers }, port);
  await probeOnce({ type: 'http' }, port);
  expect(requests).toEqual([
    'HEAD /health?x=1 www.example.org yes close',
    `GET / 127.0.0.1:${port} undefined close`,
  ]);
});

test.each([
  [200, [{ first: 200, last: 299 }], true, 'HTTP 200'],
  [204, undefined, true, 'HTTP 204'],
  [301, undefined, false, 'HTTP 301, expected 200-299'],
  [500, undefined, false, 'HTTP 500, expected 200-299'],
  [299, [{ first: 200, last: 299 }], true, 'HTTP 299'],
  [300, [{ first: 200, last: 299 }], false, 'HTTP 300, expected 200-299'],
  [
    404,
    [
      { first: 200, last: 200 },
      { first: 404, last: 404 },
    ],
    true,
    'HTTP 404',
  ],
  [
    403,
    [
      { first: 200, last: 200 },
      { first: 404, last: 404 },
    ],
    false,
    'HTTP 403, expected 200, 404',
  ],
])('http: status %i, wanted %j → %s', async (code, status, ok, detail) => {
  const port = await httpServer((_, response) => response.writeHead(code).end());
  const result = await probeOnce({ type: 'http', ...(status && { status }) }, port);
  expect(result).toMatchObject({ ok, detail });
});

const MD5 = createHash('md5').update('all is well').digest('hex');
const SHA256 = createHash('sha256').update('all is well').digest('hex');

test.each([
  [{ body: 'is (well|fine)$' }, true, 'HTTP 200'],
  [{ body: '^well' }, false, 'the body does not match'],
  [{ contains: 'is we' }, true, 'HTTP 200'],
  [{ contains: 'is.we' }, false, 'the body lacks the text'],
  [{ bodyNot: 'broken' }, true, 'HTTP 200'],
  [{ bodyNot: 'well' }, false, 'the body matches what it must not'],
  [{ digest: MD5.toUpperCase() }, true, 'HTTP 200'],
  [{ digest: SHA256 }, true, 'HTTP 200'],
  [{ digest: '0'.repeat(32) }, false, `the body's md5 digest is ${MD5}`],
  [{ digest: '0'.repeat(64) }, false, `the body's sha256 digest is ${SHA256}`],
])('http: body "all is well", wanted %j → %s', async (rules, ok, detail) => {
  const port = await httpServer((_, response) => response.end('all is well'));
  const result = await probeOnce({ type: 'http', ...rules }, port);
  expect(result).toMatchObject({ ok, detail });
});

test('http: nobody listens → connection refused', async () => {
  const result = await probeOnce({ type: 'http' }, await closedPort());
  expect(result).toMatchObject({ ok: false, detail: 'connection refused' });
});

const ANSWER = 'HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n';

test.each([
  ['hangs before the answer', () => undefined, 'timeout: waited 300ms for an answer'],
  [
    'hangs in the middle of the body',
    (send: Send) => send(`${ANSWER}some`),
    'timeout: waited 300ms for the rest of the answer',
  ],
  [
    'closes in the middle of the body',
    (send: Send) => send(`${ANSWER}some`, 'end'),
    'connection closed in the middle of the answer',
  ],
  ['resets before the answer', (send: Send) => send('', 'reset'), 'connection reset'],
  [
    'closes before the answer',
    (send: Send) => send('', 'end'),
    'connection closed before the answer',
  ],
  ['speaks no HTTP', (send: Send) => send('SSH-2.0-OpenSSH\r\n'), 'the answer is no HTTP'],
  [
    'sends headers without end',
    (send: Send) => send(`HTTP/1.1 200 OK\r\nX: ${'x'.repeat(100_000)}`),
    'the headers of the answer are too long',
  ],
])('http: the server %s → fail', async (_, serve, detail) => {
  const port = await tcpServer((socket) => {
    socket.once('data', () => {
      serve((text, then) => {
        if (text !== '') socket.write(text);
        if (then === 'end') socket.end();
        if (then === 'reset') socket.resetAndDestroy();
      });
    });
  });
  const result = await probeOnce({ type: 'http', timeout: 300 }, port);
  expect(result.ok).toBe(false);
  expect(result.detail).toContain(detail);
});

type Send = (text: string, then?: 'end' | 'reset') => void;

test('http: a reset in the middle of the body → fail', async () => {
  const port = await httpServer((_, response) => {
    response.writeHead(200, { 'Content-Length': 1000 });
    response.write('some', () => setTimeout(() => response.socket!.resetAndDestroy(), 20));
  });
  const result = await probeOnce({ type: 'http' }, port);
  expect(result.ok).toBe(false);
  expect(result.detail).toMatch(/connection (reset|closed in the middle)/);
});

test('http: a slow drip → timeout after the whole of it, not after a pause', async () => {
  const port = await httpServer((_, response) => {
    response.writeHead(200, { 'Content-Length': 1000 });
    const timer = setInterval(() => response.write('x'), 20);
    response.once('close', () => clearInterval(timer));
  });
  const result = await probeOnce({ type: 'http', timeout: 300 }, port);
  expect(result.detail).toBe('timeout: waited 300ms for the rest of the answer');
  // The whole of it would take 20 seconds.
  expect(result.latencyMs).toBeLessThan(10_000);
});

test.each([
  [{}, true, 'HTTP 200'],
  [{ contains: 'start' }, true, 'HTTP 200'],
  [{ contains: 'end' }, false, `the body lacks the text in its first ${BODY_BYTES_MAX} bytes`],
  [{ body: 'end' }, false, `the body does not match in its first ${BODY_BYTES_MAX} bytes`],
  [{ digest: '0'.repeat(32) }, false, `the body is longer than ${BODY_BYTES_MAX} bytes`],
])(
  'http: an answer without end, wanted %j → %s, and it is not read on',
  async (rules, ok, detail) => {
    let sent = 0;
    const port = await httpServer((_, response) => {
      response.write('start');
      const chunk = Buffer.alloc(65_536, 'x');
      const push = () => {
        if (response.destroyed) return;
        sent += chunk.length;
        response.write(chunk, push);
      };
      push();
    });
    const result = await probeOnce(
      { type: 'http', status: STATUS_200, timeout: 5_000, ...rules },
      port,
    );
    expect(result).toMatchObject({ ok, detail });
    expect(sent).toBeLessThan(64 * BODY_BYTES_MAX);
  },
);

test('http: a redirect is not followed', async () => {
  let requests = 0;
  const port = await httpServer((_, response) => {
    requests++;
    response.writeHead(302, { Location: '/' }).end();
  });
  const result = await probeOnce({ type: 'http' }, port);
  expect(result).toMatchObject({ ok: false, detail: 'HTTP 302, expected 200-299' });
  expect(requests).toBe(1);
});
