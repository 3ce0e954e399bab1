/**
 * The program a real server runs in the demo and in the tests:
 *
 *     node server.js '{"name":"web-1","http":[80],"udp":[{"address":"10.20.0.11","port":7}]}'
 *
 * HTTP     GET /                its name
 *          GET /body?bytes=N    N bytes that can be verified (&rate=BYTES-PER-SECOND)
 *          PUT /body            the length and hash of what was sent
 * UDP      every datagram comes back with `NAME ` in front, cut to the length it came with, so that
 *          a full frame is answered by a full frame
 * greeting a line on connecting and an echo of every line after it, as SSH would talk first
 *
 * Every HTTP answer has its name in the header `x-server`.
 */
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import type { ServerResponse } from 'node:http';
import { createServer as createHttpServer, type IncomingMessage } from 'node:http';
import { createServer as createTcpServer, isIPv6, type Socket } from 'node:net';
import { pipeline } from 'node:stream/promises';

import { createBody, digest } from './body.ts';

export interface ServerOptions {
  readonly name: string;
  readonly http?: readonly number[];
  /** Bound one by one: an answer must come from the address that was asked. */
  readonly udp?: readonly { readonly address: string; readonly port: number }[];
  readonly greeting?: readonly number[];
}

const BACKLOG = 1024;
const RECEIVE_BUFFER_BYTES = 4 << 20;

async function main(): Promise<void> {
  const options = JSON.parse(process.argv[2] ?? '{}') as ServerOptions;
  for (const port of options.http ?? []) await serveHttp(options.name, port);
  for (const { address, port } of options.udp ?? []) await serveUdp(options.name, address, port);
  for (const port of options.greeting ?? []) await serveGreeting(options.name, port);
  process.stdout.write('ready\n');
}

async function serveHttp(name: string, port: number): Promise<void> {
  const server = createHttpServer({ keepAliveTimeout: 60_000 }, (request, response) => {
    response.setHeader('x-server', name);
    // A client that goes away in the middle is nothing to report.
    answer(name, request, response).catch(() => response.destroy());
  });
  server.listen({ port, host: '::', backlog: BACKLOG });
  await once(server, 'listening');
}

async function answer(
  name: string,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const url = new URL(request.url ?? '/', 'http://server');
  if (url.pathname !== '/body') {
    response.end(`${name}\n`);
  } else if (request.method === 'PUT') {
    response.end(JSON.stringify(await digest(request)));
  } else {
    const bytes = Number(url.searchParams.get('bytes'));
    const rate = url.searchParams.get('rate');
    response.setHeader('content-length', bytes);
    await pipeline(createBody(bytes, rate === null ? {} : { rate: Number(rate) }), response);
  }
}

async function serveUdp(name: string, address: string, port: number): Promise<void> {
  const socket = createSocket({
    type: isIPv6(address) ? 'udp6' : 'udp4',
    recvBufferSize: RECEIVE_BUFFER_BYTES,
  });
  const prefix = Buffer.from(`${name} `);
  socket.on('message', (message, client) => {
    const answer = Buffer.concat([prefix, message]).subarray(0, message.length);
    socket.send(answer, client.port, client.address);
  });
  // An answer that a client no longer wants comes back as an ICMP error.
  socket.on('error', () => undefined);
  socket.bind(port, address);
  await once(socket, 'listening');
}

async function serveGreeting(name: string, port: number): Promise<void> {
  const server = createTcpServer((socket: Socket) => {
    socket.on('error', () => socket.destroy());
    socket.write(`SSH-2.0-${name}\r\n`);
    socket.pipe(socket);
  });
  server.listen(port, '::', BACKLOG);
  await once(server, 'listening');
}

await main();
