// HTTP and HTTPS: a request is answered with the status and the body that are wanted. The whole
// answer is read, so that a server that stops in the middle of it fails.

import { type ClientRequest, request as httpRequest, type IncomingMessage } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { TLSSocket } from 'node:tls';
import type { StatusRange } from '../config/schema-checks.ts';
import { type Attempt, attempt } from './attempt.ts';
import { BODY_BYTES_MAX, type BodyCheck, bodyCheck } from './body-check.ts';
import { askedEndpoint, type CheckOf, type Probe, type ProbeTarget } from './probe.ts';
import { connectOptions } from './probe-tcp.ts';
import { certificateTrouble, contextFor, TlsFiles, tlsOptions } from './tls-settings.ts';

const HEADER_BYTES_MAX = 32 * 1024;
const DEFAULT_STATUS: readonly StatusRange[] = [{ first: 200, last: 299 }];
const USER_AGENT = 'wvs-health-check';
const HTTP_PORT = 80;
const HTTPS_PORT = 443;

/** A probe over HTTP. Redirects are not followed: their status is the answer. */
export function httpProbe(target: ProbeTarget, check: CheckOf<'http'>): Probe {
  const options = requestOptions(target, check, HTTP_PORT);
  const judge = answerJudge(check);
  return (signal, localPort) =>
    attempt({ timeout: check.timeout, signal }, (running) => {
      const origin = { source: check.source, localPort };
      const request = httpRequest({ ...options, ...connectOptions(target, origin) });
      judge(request, running);
      request.end();
    });
}

/** A probe over HTTPS: the same, and what the check says of the certificate. */
export function httpsProbe(target: ProbeTarget, check: CheckOf<'https'>): Probe {
  const options = requestOptions(target, check, HTTPS_PORT);
  const judge = answerJudge(check);
  const files = new TlsFiles(check);
  return (signal, localPort) =>
    attempt({ timeout: check.timeout, signal }, async (running) => {
      const context = await contextFor(files, running);
      if (context === undefined || running.isOver) return;
      const request = httpsRequest({
        ...options,
        ...connectOptions(target, { source: check.source, localPort }),
        ...tlsOptions(check, context),
      });
      judge(request, running);
      request.once('socket', (socket) => {
        socket.once('secureConnect', () => {
          if (!(socket instanceof TLSSocket)) return;
          running.waitFor('an answer');
          const trouble = certificateTrouble(socket, check, Date.now());
          if (trouble !== undefined) running.fail(trouble);
        });
      });
      request.end();
    });
}

function requestOptions(
  target: ProbeTarget,
  check: CheckOf<'http'> | CheckOf<'https'>,
  defaultPort: number,
) {
  const { port } = target;
  const isDefault = port === defaultPort;
  const authority = askedEndpoint(target);
  const host = check.host ?? (isDefault ? authority.slice(0, -`:${port}`.length) : authority);
  return {
    method: check.method ?? 'GET',
    path: check.path ?? '/',
    headers: { Host: host, 'User-Agent': USER_AGENT, Accept: '*/*', ...check.headers },
    // A connection of its own, closed afterwards: an open one proves less than a new one.
    agent: false as const,
    setHost: false,
    maxHeaderSize: HEADER_BYTES_MAX,
  };
}

type Judge = (request: ClientRequest, running: Attempt) => void;

function answerJudge(check: CheckOf<'http'> | CheckOf<'https'>): Judge {
  const ranges = check.status ?? DEFAULT_STATUS;
  const expected = ranges.map(rangeText).join(', ');
  const checkBody = bodyCheck(check);
  return (request, running) => {
    running.waitFor('a connection');
    running.onEnd(() => request.destroy());
    request.on('error', (error) => running.failWith(error));
    request.once('socket', (socket) => {
      socket.once('connect', () => running.waitFor(handshakeOrAnswer(check.type)));
    });
    request.once('response', (response) => {
      const status = response.statusCode ?? 0;
      if (!ranges.some(({ first, last }) => first <= status && status <= last)) {
        running.fail(`HTTP ${status}, expected ${expected}`);
        return;
      }
      running.waitFor('the rest of the answer');
      readBody(response, { running, checkBody, passed: `HTTP ${status}` });
    });
  };
}

function handshakeOrAnswer(type: 'http' | 'https'): string {
  return type === 'https' ? 'the TLS handshake' : 'an answer';
}

function rangeText({ first, last }: StatusRange): string {
  return first === last ? String(first) : `${first}-${last}`;
}

interface BodyReading {
  readonly running: Attempt;
  readonly checkBody: BodyCheck | undefined;
  readonly passed: string;
}

function readBody(response: IncomingMessage, { running, checkBody, passed }: BodyReading): void {
  const chunks: Buffer[] = [];
  let length = 0;
  const judge = (isWhole: boolean) => {
    const trouble = checkBody?.(Buffer.concat(chunks).subarray(0, BODY_BYTES_MAX), isWhole);
    if (trouble === undefined) running.pass(passed);
    else running.fail(trouble);
  };
  response.on('data', (chunk: Buffer) => {
    length += chunk.length;
    if (checkBody !== undefined) chunks.push(chunk);
    // A server that sends this much lives; the rest would only cost both sides.
    if (length > BODY_BYTES_MAX) judge(false);
  });
  response.on('end', () => {
    if (response.complete) judge(true);
    else running.fail('connection closed in the middle of the answer');
  });
  response.on('error', (error) => {
    if (isAborted(error)) running.fail('connection closed in the middle of the answer');
    else running.failWith(error);
  });
}

/** Node says so when the connection ends before the body does, whoever ended it and how. */
function isAborted(error: Error): boolean {
  return error.message === 'aborted';
}
