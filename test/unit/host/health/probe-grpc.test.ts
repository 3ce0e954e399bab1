import { createSecureServer, createServer, type ServerHttp2Stream } from 'node:http2';
import { afterAll, expect, test } from 'vitest';
import { decodeResponse, encodeRequest } from '../../../../host/health/probe-grpc.ts';
import { Certificates, openSslDate } from './certificates.ts';
import { closedPort, listening, probeOnce, tcpServer } from './support.ts';

const certificates = new Certificates();
afterAll(() => certificates.remove());
const certificate = certificates.issue('grpc', {
  from: openSslDate(-1),
  to: openSslDate(9),
  alt: 'IP:127.0.0.1',
});

type Serve = (stream: ServerHttp2Stream, request: Buffer) => void;

function grpcServer(serve: Serve, isSecure = false): Promise<number> {
  const { cert, key } = certificate;
  const server = isSecure ? createSecureServer({ cert, key }) : createServer();
  server.on('session', (session) => session.on('error', () => undefined));
  server.on('stream', (stream: ServerHttp2Stream) => {
    const chunks: Buffer[] = [];
    stream.on('error', () => undefined);
    stream.on('data', (chunk: Buffer) => chunks.push(chunk));
    stream.on('end', () => serve(stream, Buffer.concat(chunks)));
  });
  return listening(server);
}

function answer(hex: string, grpcStatus = '0'): Serve {
  return (stream) => {
    stream.respond(
      { ':status': 200, 'content-type': 'application/grpc' },
      { waitForTrailers: true },
    );
    stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': grpcStatus }));
    stream.end(Buffer.from(hex, 'hex'));
  };
}

test.each([
  ['SERVING', '00000000020801', '0', true, 'SERVING'],
  ['NOT_SERVING', '00000000020802', '0', false, 'answered NOT_SERVING'],
  ['UNKNOWN', '0000000000', '0', false, 'answered UNKNOWN'],
  ['SERVICE_UNKNOWN', '00000000020803', '0', false, 'answered SERVICE_UNKNOWN'],
  ['a status that is none', '00000000020809', '0', false, 'answered status 9'],
  ['no message', '', '0', false, 'answered no health message'],
  ['half a message', '000000000208', '0', false, 'answered no health message'],
  ['NOT_FOUND', '', '5', false, 'gRPC NOT_FOUND: no such service'],
  ['UNIMPLEMENTED', '', '12', false, 'gRPC UNIMPLEMENTED: no health service there'],
  ['too long', '00'.repeat(10_000), '0', false, 'the answer is too long'],
])('grpc: the answer is %s → %s %s %s', async (_, hex, status, ok, detail) => {
  const port = await grpcServer(answer(hex, status));
  await expect(probeOnce({ type: 'grpc' }, port)).resolves.toMatchObject({ ok, detail });
});

test('grpc: the call → path, content type and the service that is asked for', async () => {
  const calls: unknown[] = [];
  const server = createServer();
  server.on('stream', (stream, headers) => {
    stream.once('data', (data: Buffer) => {
      calls.push([headers[':path'], headers['content-type'], headers.te, data.toString('hex')]);
      answer('00000000020801')(stream, data);
    });
  });
  const port = await listening(server);
  await probeOnce({ type: 'grpc', service: 'shop.Cart' }, port);
  expect(calls).toEqual([
    [
      '/grpc.health.v1.Health/Check',
      'application/grpc',
      'trailers',
      `000000000b0a09${Buffer.from('shop.Cart').toString('hex')}`,
    ],
  ]);
});

test('grpc: a status without body and trailers, as errors are sent → its word', async () => {
  const port = await grpcServer((stream) => {
    stream.respond({ ':status': 200, 'grpc-status': '12' }, { endStream: true });
  });
  const result = await probeOnce({ type: 'grpc' }, port);
  expect(result.detail).toBe('gRPC UNIMPLEMENTED: no health service there');
});

test('grpc: HTTP 404 → fail', async () => {
  const port = await grpcServer((stream) =>
    stream.respond({ ':status': 404 }, { endStream: true }),
  );
  const result = await probeOnce({ type: 'grpc' }, port);
  expect(result).toMatchObject({ ok: false, detail: 'HTTP 404, expected 200' });
});

test('grpc over TLS: verified → pass; authority unknown → fail', async () => {
  const port = await grpcServer(answer('00000000020801'), true);
  const ca = certificates.authority.certificateFile;
  const check = { type: 'grpc', tls: true, verify: true, timeout: 2_000 } as const;
  await expect(probeOnce({ ...check, ca }, port)).resolves.toMatchObject({ ok: true });
  await expect(probeOnce(check, port)).resolves.toMatchObject({
    ok: false,
    detail: 'the certificate is of an authority that is not trusted',
  });
});

test.each([
  ['hangs', () => undefined, 'timeout: waited 200ms for an answer'],
  ['resets the stream', (stream: ServerHttp2Stream) => stream.close(2), 'NGHTTP2_INTERNAL_ERROR'],
  [
    'closes the connection',
    (stream: ServerHttp2Stream) => stream.session!.destroy(),
    /connection|closed|status missing/,
  ],
])('grpc: the server %s → fail', async (_, serve: Serve, detail) => {
  const port = await grpcServer(serve);
  const result = await probeOnce({ type: 'grpc', timeout: 200 }, port);
  expect(result.ok).toBe(false);
  expect(result.detail).toMatch(detail);
});

test('grpc: the server speaks HTTP/1 → fail', async () => {
  const port = await tcpServer((socket) => socket.end('HTTP/1.1 400 Bad Request\r\n\r\n'));
  await expect(probeOnce({ type: 'grpc' }, port)).resolves.toMatchObject({ ok: false });
});

test('grpc: nobody listens → refused', async () => {
  const result = await probeOnce({ type: 'grpc' }, await closedPort());
  expect(result).toMatchObject({ ok: false, detail: 'connection refused' });
});

test('grpc: messages', () => {
  expect(encodeRequest('').toString('hex')).toBe('0000000000');
  const long = encodeRequest('x'.repeat(300));
  expect(long.subarray(0, 8).toString('hex')).toBe('000000012f0aac02');
  expect(decodeResponse(Buffer.from('01000000020801', 'hex'))).toBeUndefined();
});
