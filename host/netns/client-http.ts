/** What the client does over HTTP: many connections at once, and transfers with a hash. */
import { once } from 'node:events';
import type { RequestOptions } from 'node:http';
import { Agent, request as httpRequest, type IncomingMessage } from 'node:http';
import { pipeline } from 'node:stream/promises';

import { bodySha256, createBody, type Digest, digest } from './body.ts';

const REQUEST_TIMEOUT_MS = 20_000;
const FAILED_AT_MAX = 1000;

export interface HttpLoad {
  readonly url: string;
  readonly connections: number;
  /** One after the other on each connection. */
  readonly requests: number;
  /** Until then, a connection that has had its requests is followed by another one. */
  readonly seconds?: number;
  readonly localAddresses?: readonly string[];
}

export interface HttpReport {
  readonly answered: number;
  /** Message of the error, and how often it occurred. */
  readonly failed: Readonly<Record<string, number>>;
  /** When the requests were sent that failed, in milliseconds since 1970; not more than so many. */
  readonly failedAt: readonly number[];
  readonly servers: Readonly<Record<string, number>>;
  /** How many connections each server got. */
  readonly connections: Readonly<Record<string, number>>;
  readonly latency: { readonly p50: number; readonly p99: number; readonly max: number };
  readonly seconds: number;
}

export interface Transfers {
  readonly url: string;
  readonly direction: 'download' | 'upload';
  readonly bytes: number;
  /** At the same time, each on its own connection. */
  readonly count: number;
  /** Bytes per second of each. */
  readonly rate?: number;
}

export interface TransferReport {
  readonly server: string;
  readonly bytes: number;
  readonly intact: boolean;
  readonly seconds: number;
  readonly error?: string;
}

type Tally = Record<string, number>;

export async function runHttpLoad(load: HttpLoad): Promise<HttpReport> {
  const latencies: number[] = [];
  const failed: Tally = {};
  const servers: Tally = {};
  const connections: Tally = {};
  const failedAt: number[] = [];
  const start = performance.now();
  const end = start + (load.seconds ?? 0) * 1000;

  async function runConnection(index: number): Promise<void> {
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    for (let i = 0; i < load.requests; i += 1) {
      const sent = performance.now();
      const sentAt = Date.now();
      try {
        const response = await open(load.url, {
          agent,
          localAddress: load.localAddresses?.[index % load.localAddresses.length],
        });
        const server = serverName(response);
        await digest(response);
        latencies.push(performance.now() - sent);
        count(servers, server);
        if (i === 0) count(connections, server);
      } catch (error) {
        count(failed, messageOf(error));
        if (failedAt.length < FAILED_AT_MAX) failedAt.push(sentAt);
      }
    }
    agent.destroy();
  }

  async function runLane(index: number): Promise<void> {
    do await runConnection(index);
    while (performance.now() < end);
  }

  await Promise.all(Array.from({ length: load.connections }, (_, i) => runLane(i)));
  latencies.sort((a, b) => a - b);
  return {
    answered: latencies.length,
    failed,
    failedAt,
    servers,
    connections,
    latency: {
      p50: percentile(latencies, 0.5),
      p99: percentile(latencies, 0.99),
      max: percentile(latencies, 1),
    },
    seconds: (performance.now() - start) / 1000,
  };
}

/** Says `started` once every transfer has seen its server, so that a test can then do its worst. */
export async function runTransfers(
  transfers: Transfers,
  say: (event: string) => void,
): Promise<readonly TransferReport[]> {
  const expected = bodySha256(transfers.bytes);
  let started = 0;
  return await Promise.all(
    Array.from({ length: transfers.count }, () =>
      runTransfer(transfers, expected, () => {
        started += 1;
        if (started === transfers.count) say('started');
      }),
    ),
  );
}

async function runTransfer(
  transfers: Transfers,
  expected: string,
  onStart: () => void,
): Promise<TransferReport> {
  const start = performance.now();
  let server = '';
  let received: Digest = { bytes: 0, sha256: '' };
  let error: string | undefined;
  try {
    const response =
      transfers.direction === 'download' ? await download(transfers) : await upload(transfers);
    server = serverName(response);
    onStart();
    received =
      transfers.direction === 'download' ? await digest(response) : await readDigest(response);
  } catch (cause) {
    error = messageOf(cause);
  }
  return {
    server,
    bytes: received.bytes,
    intact: received.sha256 === expected && received.bytes === transfers.bytes,
    seconds: (performance.now() - start) / 1000,
    ...(error === undefined ? {} : { error }),
  };
}

async function download(transfers: Transfers): Promise<IncomingMessage> {
  const rate = transfers.rate === undefined ? '' : `&rate=${transfers.rate}`;
  return await open(`${transfers.url}/body?bytes=${transfers.bytes}${rate}`, { agent: false });
}

async function upload(transfers: Transfers): Promise<IncomingMessage> {
  const request = httpRequest(`${transfers.url}/body`, {
    method: 'PUT',
    agent: false,
    timeout: REQUEST_TIMEOUT_MS,
    headers: { 'content-length': transfers.bytes },
  });
  request.on('timeout', () => request.destroy(new Error('timeout')));
  const answered = once(request, 'response') as Promise<[IncomingMessage]>;
  const { rate } = transfers;
  await Promise.all([
    pipeline(createBody(transfers.bytes, rate === undefined ? {} : { rate }), request),
    answered,
  ]);
  const [response] = await answered;
  return response;
}

async function readDigest(response: IncomingMessage): Promise<Digest> {
  let text = '';
  for await (const piece of response) text += String(piece);
  return JSON.parse(text) as Digest;
}

async function open(
  url: string,
  options: { agent: Agent | false; localAddress?: string | undefined },
): Promise<IncomingMessage> {
  const { agent, localAddress } = options;
  const request: RequestOptions = { agent, timeout: REQUEST_TIMEOUT_MS };
  if (localAddress !== undefined) request.localAddress = localAddress;
  const sent = httpRequest(url, request);
  sent.on('timeout', () => sent.destroy(new Error('timeout')));
  sent.end();
  const [response] = (await once(sent, 'response')) as [IncomingMessage];
  return response;
}

function serverName(response: IncomingMessage): string {
  return String(response.headers['x-server']);
}

function count(tally: Tally, key: string): void {
  tally[key] = (tally[key] ?? 0) + 1;
}

function percentile(sorted: readonly number[], share: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
}

function messageOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return (error as NodeJS.ErrnoException).code ?? error.message;
}
