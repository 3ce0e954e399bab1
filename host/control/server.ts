/**
 * The control socket: HTTP with JSON over a UNIX socket that only its owner may open. It runs
 * on the director's main thread, so nothing here may take long, and no client, slow or
 * hostile, may make it: bodies, times and connections are limited.
 */

import { chmod } from 'node:fs/promises';
import fastify, { type FastifyError, type FastifyInstance, type FastifyReply } from 'fastify';
import { type ErrorBody, ROUTES, type RouteName } from './api.ts';
import { ControlError, type ControlHandlers } from './handlers.ts';
import { openApiDocument } from './openapi.ts';
import {
  captureRequestSchema,
  explainRequestSchema,
  ipvsadmRequestSchema,
  procRequestSchema,
  reloadRequestSchema,
} from './requests.ts';
import { freeSocketPath } from './socket-path.ts';

/** Room for `ipvsadm -R` with a hundred thousand rules. */
export const BODY_BYTES_MAX = 16 * 1024 * 1024;
export const CONNECTIONS_MAX = 64;
const REQUEST_TIMEOUT_MS = 10_000;
const IDLE_TIMEOUT_MS = 30_000;
const KEEP_ALIVE_TIMEOUT_MS = 5_000;

/** How to open a control socket. */
export interface ControlServerOptions {
  readonly path: string;
  readonly handlers: ControlHandlers;
  /** Permissions of the socket. Default 0600. */
  readonly mode?: number;
  /** How long a client may take to send a request. Default 10 s. */
  readonly requestTimeoutMs?: number;
  /** Told about mistakes of ours, which the client is not. */
  readonly onError?: (error: unknown, route: string) => void;
}

/** An open control socket. */
export interface ControlServer {
  readonly path: string;
  /** Stops listening, ends connections and removes the socket. */
  close(): Promise<void>;
}

/** Opens the control socket, or throws a ControlSocketError that says why not. */
export async function createControlServer(options: ControlServerOptions): Promise<ControlServer> {
  const { path } = options;
  const app = createApp(options);
  await app.ready();
  await freeSocketPath(path);
  await listen(app, path, options.mode ?? 0o600);
  return {
    path,
    async close() {
      // Node removes the socket's file when its listener closes.
      const closed = new Promise((resolve) => app.server.close(resolve));
      app.server.closeAllConnections();
      await closed;
      await app.close();
    },
  };
}

function createApp(options: ControlServerOptions): FastifyInstance {
  const requestTimeout = options.requestTimeoutMs ?? REQUEST_TIMEOUT_MS;
  const app = fastify({
    bodyLimit: BODY_BYTES_MAX,
    requestTimeout,
    connectionTimeout: IDLE_TIMEOUT_MS,
    keepAliveTimeout: KEEP_ALIVE_TIMEOUT_MS,
    // How often Node looks for requests that take too long; its default is half a minute.
    http: { connectionsCheckingInterval: Math.ceil(requestTimeout / 5) },
    // A wrong type is an error here, not something to convert; an unknown key likewise.
    ajv: { customOptions: { coerceTypes: false, removeAdditional: false } },
  });
  app.server.maxConnections = CONNECTIONS_MAX;
  addRoutes(app, options.handlers);
  app.setNotFoundHandler((request, reply) => {
    const message = `there is nothing at ${request.method} ${request.url}`;
    return sendError(reply, new ControlError('not-found', message));
  });
  app.setErrorHandler<FastifyError>((error, request, reply) => {
    if (error instanceof ControlError) return sendError(reply, error);
    if (error.statusCode !== undefined && error.statusCode < 500) {
      return sendBody(reply, error.statusCode, 'invalid-request', error.message);
    }
    options.onError?.(error, request.url);
    return sendBody(reply, 500, 'internal-error', 'the director made a mistake; see its log');
  });
  return app;
}

function addRoutes(app: FastifyInstance, handlers: ControlHandlers): void {
  app.get(ROUTES.status, () => handlers.status());
  app.get(ROUTES.openapi, () => openApiDocument());
  const post = <Request>(
    name: Exclude<RouteName, 'status' | 'openapi'>,
    body: object,
    handle: ((request: Request) => unknown) | undefined,
  ) => {
    app.post<{ Body: Request }>(ROUTES[name], { schema: { body } }, (request) => {
      if (handle !== undefined) return handle(request.body as Request);
      throw new ControlError('not-available', `this director cannot do "${name}"`);
    });
  };
  post('ipvsadm', ipvsadmRequestSchema, handlers.ipvsadm?.bind(handlers));
  post('reload', reloadRequestSchema, handlers.reload?.bind(handlers));
  post('plan', reloadRequestSchema, handlers.plan?.bind(handlers));
  post('explain', explainRequestSchema, handlers.explain?.bind(handlers));
  post('proc', procRequestSchema, handlers.proc?.bind(handlers));
  post('capture', captureRequestSchema, handlers.capture?.bind(handlers));
}

function sendError(reply: FastifyReply, error: ControlError): FastifyReply {
  const { code, message, problems, statusCode } = error;
  const body: ErrorBody = {
    error: { code, message, ...(problems.length > 0 ? { problems } : {}) },
  };
  return reply.code(statusCode).send(body);
}

function sendBody(
  reply: FastifyReply,
  statusCode: number,
  code: string,
  message: string,
): FastifyReply {
  const body: ErrorBody = { error: { code, message } };
  return reply.code(statusCode).send(body);
}

/**
 * Binds the socket with its final permissions: changed only afterwards, anyone could open it
 * in between. The umask belongs to the whole process, but Node binds a UNIX socket within the
 * call, so nothing else runs under it.
 */
async function listen(app: FastifyInstance, path: string, mode: number): Promise<void> {
  const listening = new Promise<void>((resolve, reject) => {
    app.server.once('listening', resolve);
    app.server.once('error', reject);
  });
  const umask = process.umask(0o777 & ~mode);
  try {
    app.server.listen(path);
  } finally {
    process.umask(umask);
  }
  await listening;
  await chmod(path, mode);
}
