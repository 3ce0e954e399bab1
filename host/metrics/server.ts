// The metrics listener: /metrics for Prometheus, /healthz and /readyz for orchestrators. It runs on
// the director's main thread and may be open to a whole network, so whoever asks, and however
// slowly he reads, costs little: scrapes are made at most once a second and shared, connections,
// requests and answers have limits of number and time.

import fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify';
import type { Snapshot } from './definitions.ts';
import { MetricsRegistry } from './registry.ts';

export const CONNECTIONS_MAX = 32;
/** Requests have no bodies. */
const BODY_BYTES_MAX = 1024;
const REQUEST_TIMEOUT_MS = 5_000;
const IDLE_TIMEOUT_MS = 10_000;
const KEEP_ALIVE_TIMEOUT_MS = 60_000;
/** However slowly it is read, an answer is over after this. */
const ANSWER_TIMEOUT_MS = 20_000;
/** Scrapes within this time get the same text. */
const SHARED_MS = 1_000;

/** Where the answers come from. */
export interface MetricsSource {
  snapshot(): Snapshot | Promise<Snapshot>;
  /** Whether packets flow. */
  isReady(): boolean;
  /** Whether the process does its work: false asks for a restart. */
  isAlive(): boolean;
}

/** How to open the listener. */
export interface MetricsServerOptions {
  readonly address: string;
  /** 0 takes a free one. */
  readonly port: number;
  readonly source: MetricsSource;
  readonly onError?: (error: unknown) => void;
  /** Shorter in tests. */
  readonly answerTimeoutMs?: number;
  readonly requestTimeoutMs?: number;
}

/** An open listener. */
export interface MetricsServer {
  readonly port: number;
  close(): Promise<void>;
}

/** Opens the listener, or throws why not (EADDRINUSE, EADDRNOTAVAIL, EACCES). */
export async function openMetricsServer(options: MetricsServerOptions): Promise<MetricsServer> {
  const app = createApp(options);
  await app.listen({ host: options.address, port: options.port });
  const address = app.server.address();
  return {
    port: typeof address === 'object' && address !== null ? address.port : options.port,
    async close() {
      app.server.closeAllConnections();
      await app.close();
    },
  };
}

function createApp(options: MetricsServerOptions): FastifyInstance {
  const { source, onError = () => undefined } = options;
  const requestTimeout = options.requestTimeoutMs ?? REQUEST_TIMEOUT_MS;
  const app = fastify({
    bodyLimit: BODY_BYTES_MAX,
    requestTimeout,
    connectionTimeout: IDLE_TIMEOUT_MS,
    keepAliveTimeout: KEEP_ALIVE_TIMEOUT_MS,
    forceCloseConnections: true,
    http: { connectionsCheckingInterval: Math.ceil(requestTimeout / 5), maxHeaderSize: 8192 },
  });
  app.server.maxConnections = CONNECTIONS_MAX;
  const answerTimeout = options.answerTimeoutMs ?? ANSWER_TIMEOUT_MS;
  app.addHook('onRequest', (request, _reply, done) => {
    limitAnswer(request, answerTimeout);
    done();
  });
  const scrapes = new Scrapes(source);
  app.get('/metrics', async (_request, reply) => {
    const body = await scrapes.get();
    return reply.type(scrapes.contentType).send(body);
  });
  app.get('/healthz', (_request, reply) => answer(reply, source.isAlive()));
  app.get('/readyz', (_request, reply) => answer(reply, source.isReady()));
  app.setErrorHandler((error, _request, reply) => {
    onError(error);
    return reply.code(500).type('text/plain').send('the director made a mistake; see its log\n');
  });
  return app;
}

function answer(reply: FastifyReply, isGood: boolean): FastifyReply {
  return reply.code(isGood ? 200 : 503).send({ status: isGood ? 'ok' : 'unavailable' });
}

/** Ends the connection when the answer is not through in time. */
function limitAnswer({ raw }: FastifyRequest, milliseconds: number): void {
  const { socket } = raw;
  const timer = setTimeout(() => socket.destroy(), milliseconds);
  timer.unref();
  raw.once('close', () => clearTimeout(timer));
}

/** The text of the last scrape, made anew when it is old, by one at a time. */
class Scrapes {
  readonly #registry = new MetricsRegistry();
  readonly #source: MetricsSource;
  #last: { readonly madeAt: number; readonly body: Promise<Buffer> } | undefined;

  constructor(source: MetricsSource) {
    this.#source = source;
  }

  get contentType(): string {
    return this.#registry.contentType;
  }

  get(): Promise<Buffer> {
    const now = performance.now();
    if (this.#last !== undefined && now - this.#last.madeAt < SHARED_MS) return this.#last.body;
    // While one is being made, however long that takes, it is everybody's.
    const body = this.#make();
    const made = { madeAt: Number.POSITIVE_INFINITY, body };
    this.#last = made;
    const settle = () => {
      if (this.#last === made) this.#last = { madeAt: performance.now(), body };
    };
    body.then(settle, () => {
      if (this.#last === made) this.#last = undefined;
    });
    return body;
  }

  async #make(): Promise<Buffer> {
    return Buffer.from(await this.#registry.render(await this.#source.snapshot()));
  }
}
