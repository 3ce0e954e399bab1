import { connect, type Socket } from 'node:net';
import { afterEach, describe, expect, test } from 'vitest';
import type { Snapshot } from '../../../../host/metrics/definitions.ts';
import {
  CONNECTIONS_MAX,
  type MetricsServer,
  type MetricsSource,
  openMetricsServer,
} from '../../../../host/metrics/server.ts';
import { STATUS } from '../control/support.ts';
import { createSnapshot } from './support.ts';

class Source implements MetricsSource {
  snapshots = 0;
  ready = true;
  alive = true;
  next: () => Snapshot | Promise<Snapshot> = () => createSnapshot();

  snapshot() {
    this.snapshots++;
    return this.next();
  }

  isReady() {
    return this.ready;
  }

  isAlive() {
    return this.alive;
  }
}

let server: MetricsServer | undefined;
const sockets: Socket[] = [];

afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.destroy();
  await server?.close();
  server = undefined;
});

async function start(source: MetricsSource, errors: unknown[] = []): Promise<string> {
  server = await openMetricsServer({
    address: '127.0.0.1',
    port: 0,
    source,
    onError: (error) => errors.push(error),
    answerTimeoutMs: 500,
    requestTimeoutMs: 300,
  });
  return `http://127.0.0.1:${server.port}`;
}

function open(): Socket {
  const socket = connect(server!.port, '127.0.0.1');
  socket.on('error', () => undefined);
  sockets.push(socket);
  return socket;
}

function closed(socket: Socket): Promise<void> {
  return new Promise((resolve) => socket.once('close', () => resolve()));
}

describe('what it answers', () => {
  test('/metrics: the scrape, in the text format', async () => {
    const url = await start(new Source());
    const response = await fetch(`${url}/metrics`);
    expect(response.status).toBe(200);
    expect(response.headers.get('content-type')).toBe('text/plain; version=0.0.4; charset=utf-8');
    expect(await response.text()).toContain('\nwvs_ready 1\n');
  });

  test('/healthz and /readyz: 200 or 503', async () => {
    const source = new Source();
    const url = await start(source);
    expect((await fetch(`${url}/healthz`)).status).toBe(200);
    expect((await fetch(`${url}/readyz`)).status).toBe(200);
    source.ready = false;
    expect((await fetch(`${url}/healthz`)).status).toBe(200);
    expect((await fetch(`${url}/readyz`)).status).toBe(503);
    source.alive = false;
    expect((await fetch(`${url}/healthz`)).status).toBe(503);
  });

  test('anything else: 404; POST too', async () => {
    const url = await start(new Source());
    expect((await fetch(`${url}/`)).status).toBe(404);
    expect((await fetch(`${url}/metrics`, { method: 'POST', body: '{}' })).status).toBe(404);
  });

  test('a snapshot that fails: 500, and the next one is tried again', async () => {
    const errors: unknown[] = [];
    const source = new Source();
    const url = await start(source, errors);
    source.next = () => Promise.reject(new Error('no'));
    expect((await fetch(`${url}/metrics`)).status).toBe(500);
    source.next = () => createSnapshot();
    expect((await fetch(`${url}/metrics`)).status).toBe(200);
    expect(errors).toHaveLength(1);
  });

  test('a port that is taken is an error', async () => {
    await start(new Source());
    const again = openMetricsServer({
      address: '127.0.0.1',
      port: server!.port,
      source: new Source(),
    });
    await expect(again).rejects.toMatchObject({ code: 'EADDRINUSE' });
  });
});

describe('who asks too much', () => {
  test('many at once share one snapshot', async () => {
    const source = new Source();
    const url = await start(source);
    const texts = await Promise.all(
      Array.from({ length: 20 }, async () => (await fetch(`${url}/metrics`)).text()),
    );
    expect(source.snapshots).toBe(1);
    expect(new Set(texts).size).toBe(1);
  });

  test('a snapshot that takes long is not begun twice', async () => {
    const source = new Source();
    source.next = async () => {
      await new Promise((resolve) => setTimeout(resolve, 200));
      return createSnapshot();
    };
    const url = await start(source);
    await Promise.all([fetch(`${url}/metrics`), fetch(`${url}/metrics`)]);
    expect(source.snapshots).toBe(1);
  });

  test('a request that never ends is ended', async () => {
    await start(new Source());
    const socket = open();
    socket.write('GET /metrics HTTP/1.1\r\nHost: x\r\n');
    socket.resume();
    await closed(socket);
  });

  test('a reader that does not read is ended, and others are answered meanwhile', async () => {
    const source = new Source();
    const [web] = STATUS.services;
    const servers = Array.from({ length: 9_000 }, (_, index) => ({
      ...web!.servers[0]!,
      key: `10.0.${index >>> 8}.${index & 255}:80`,
    }));
    source.next = () => createSnapshot({ status: { ...STATUS, services: [{ ...web!, servers }] } });
    const url = await start(source);
    const socket = open();
    socket.pause();
    socket.write('GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n');
    expect((await fetch(`${url}/healthz`)).status).toBe(200);
    // It will not be told before it reads; then it finds the answer cut off.
    await new Promise((resolve) => setTimeout(resolve, 1_500));
    let received = 0;
    socket.on('data', (chunk) => {
      received += chunk.length;
    });
    socket.resume();
    await closed(socket);
    const whole = (await (await fetch(`${url}/metrics`)).text()).length;
    expect(received).toBeLessThan(whole);
  });

  test('more connections than the limit: the others are turned away', async () => {
    const url = await start(new Source());
    for (let number = 0; number < CONNECTIONS_MAX; number++) open();
    await new Promise((resolve) => setTimeout(resolve, 50));
    await expect(fetch(`${url}/healthz`)).rejects.toThrow();
  });
});
