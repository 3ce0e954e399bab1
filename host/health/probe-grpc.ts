// gRPC health checking (grpc.health.v1.Health/Check) over HTTP/2. The two messages are so small
// that their protobuf is written by hand:
//
//   request:   field 1, bytes:  the service's name      0A LENGTH NAME
//   response:  field 1, varint: the serving status      08 STATUS
//
// Each message travels behind a byte for compression and four for its length.

import { type ClientHttp2Stream, connect as connectHttp2, constants } from 'node:http2';
import type { Socket } from 'node:net';
import { connect as connectTls, TLSSocket } from 'node:tls';
import { type Attempt, attempt } from './attempt.ts';
import { askedEndpoint, type CheckOf, type Probe, type ProbeTarget } from './probe.ts';
import { connectOptions, openSocket } from './probe-tcp.ts';
import { certificateTrouble, contextFor, TlsFiles, tlsOptions } from './tls-settings.ts';

const PATH = '/grpc.health.v1.Health/Check';
const ANSWER_BYTES_MAX = 4096;
const FRAME_HEADER_BYTES = 5;
const TAG_BYTES = 0x0a;
const TAG_VARINT = 0x08;

const SERVING_STATUS = ['UNKNOWN', 'SERVING', 'NOT_SERVING', 'SERVICE_UNKNOWN'];
const SERVING = 1;

/** The codes of gRPC that a health service answers with when something is wrong. */
const GRPC_STATUS: Readonly<Record<string, string>> = {
  '2': 'UNKNOWN',
  '4': 'DEADLINE_EXCEEDED',
  '5': 'NOT_FOUND: no such service',
  '7': 'PERMISSION_DENIED',
  '12': 'UNIMPLEMENTED: no health service there',
  '13': 'INTERNAL',
  '14': 'UNAVAILABLE',
  '16': 'UNAUTHENTICATED',
};

/** A probe with one call of the health service. */
export function grpcProbe(target: ProbeTarget, check: CheckOf<'grpc'>): Probe {
  const files = new TlsFiles(check);
  const request = encodeRequest(check.service ?? '');
  const start = (socket: Socket, running: Attempt) => call({ target, socket, running, request });
  return (signal, localPort) =>
    attempt({ timeout: check.timeout, signal }, async (running) => {
      const origin = { source: check.source, localPort };
      if (check.tls !== true) {
        const socket = openSocket(target, origin, running);
        socket.once('connect', () => start(socket, running));
        return;
      }
      const context = await contextFor(files, running);
      if (context === undefined || running.isOver) return;
      const socket = connectTls({
        ...connectOptions(target, origin),
        ...tlsOptions(check, context),
        ALPNProtocols: ['h2'],
      });
      running.onEnd(() => socket.destroy());
      socket.on('error', (error) => running.failWith(error));
      running.waitFor('the TLS handshake');
      socket.once('secureConnect', () => {
        const trouble = certificateTrouble(socket, check, Date.now());
        if (trouble !== undefined) running.fail(trouble);
        else start(socket, running);
      });
    });
}

interface Call {
  readonly target: ProbeTarget;
  readonly socket: Socket;
  readonly running: Attempt;
  readonly request: Buffer;
}

function call({ target, socket, running, request }: Call): void {
  running.waitFor('an answer');
  const scheme = socket instanceof TLSSocket ? 'https' : 'http';
  const session = connectHttp2(`${scheme}://${askedEndpoint(target)}`, {
    createConnection: () => socket,
  });
  running.onEnd(() => session.destroy());
  session.on('error', (error) => running.failWith(error));
  session.once('close', () => running.fail('connection closed before the answer'));
  const stream = session.request({
    [constants.HTTP2_HEADER_METHOD]: 'POST',
    [constants.HTTP2_HEADER_PATH]: PATH,
    [constants.HTTP2_HEADER_CONTENT_TYPE]: 'application/grpc',
    te: 'trailers',
    'user-agent': 'wvs-health-check',
  });
  running.onEnd(() => stream.destroy());
  stream.on('error', (error) => running.failWith(error));
  readAnswer(stream, running);
  stream.end(request);
}

function readAnswer(stream: ClientHttp2Stream, running: Attempt): void {
  const chunks: Buffer[] = [];
  let length = 0;
  let grpcStatus: string | undefined;
  stream.on('response', (headers) => {
    const status = headers[':status'];
    if (status !== 200) running.fail(`HTTP ${String(status)}, expected 200`);
    // An answer that is only an error has its status here, without trailers.
    grpcStatus = headers['grpc-status']?.toString() ?? grpcStatus;
  });
  stream.on('trailers', (headers) => {
    grpcStatus = headers['grpc-status']?.toString() ?? grpcStatus;
  });
  stream.on('data', (chunk: Buffer) => {
    length += chunk.length;
    chunks.push(chunk);
    if (length > ANSWER_BYTES_MAX) running.fail('the answer is too long');
  });
  stream.on('end', () => {
    if (grpcStatus !== '0') {
      const word = GRPC_STATUS[grpcStatus ?? ''] ?? `status ${grpcStatus ?? 'missing'}`;
      running.fail(`gRPC ${word}`);
      return;
    }
    const status = decodeResponse(Buffer.concat(chunks));
    const word = status === undefined ? 'no health message' : SERVING_STATUS[status];
    if (status === SERVING) running.pass('SERVING');
    else running.fail(`answered ${word ?? `status ${status}`}`);
  });
}

/** A HealthCheckRequest as it travels; the empty name asks for the server as a whole. */
export function encodeRequest(service: string): Buffer {
  const name = Buffer.from(service, 'utf8');
  const message =
    name.length === 0
      ? Buffer.alloc(0)
      : Buffer.concat([Buffer.of(TAG_BYTES), encodeVarint(name.length), name]);
  const header = Buffer.alloc(FRAME_HEADER_BYTES);
  header.writeUInt32BE(message.length, 1);
  return Buffer.concat([header, message]);
}

function encodeVarint(value: number): Buffer {
  const bytes: number[] = [];
  let rest = value;
  while (rest > 0x7f) {
    bytes.push((rest & 0x7f) | 0x80);
    rest >>>= 7;
  }
  bytes.push(rest);
  return Buffer.from(bytes);
}

/** The status in a HealthCheckResponse, or undefined when there is none that could be read. */
export function decodeResponse(bytes: Buffer): number | undefined {
  if (bytes.length < FRAME_HEADER_BYTES || bytes[0] !== 0) return undefined;
  const message = bytes.subarray(FRAME_HEADER_BYTES, FRAME_HEADER_BYTES + bytes.readUInt32BE(1));
  if (message.length !== bytes.readUInt32BE(1)) return undefined;
  // A field with the value 0 is not written: UNKNOWN.
  if (message.length === 0) return 0;
  // The statuses fit into one byte each, and the message has no other field.
  return message[0] === TAG_VARINT && message[1] < 0x80 ? message[1] : undefined;
}
