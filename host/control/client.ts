/** The other end of the control socket: how commands ask the running director. */

import { request as httpRequest, type IncomingMessage } from 'node:http';
import type { ConfigProblem } from '../config/types.ts';
import type {
  CaptureRequest,
  CaptureResult,
  DirectorStatus,
  ErrorBody,
  ExplainRequest,
  ExplainResult,
  IpvsadmRequest,
  IpvsadmResult,
  ProcRequest,
  ProcResult,
  ReloadRequest,
  ReloadResult,
  RouteName,
} from './api.ts';
import { ROUTES } from './api.ts';

/** A director that takes longer than this to answer is as good as none. */
const ANSWER_TIMEOUT_MS = 60_000;

/** What each route takes and gives. */
interface Exchanges {
  status: { request: undefined; result: DirectorStatus };
  ipvsadm: { request: IpvsadmRequest; result: IpvsadmResult };
  reload: { request: ReloadRequest; result: ReloadResult };
  plan: { request: ReloadRequest; result: ReloadResult };
  explain: { request: ExplainRequest; result: ExplainResult };
  proc: { request: ProcRequest; result: ProcResult };
  capture: { request: CaptureRequest; result: CaptureResult };
  openapi: { request: undefined; result: object };
}

/** No answer, or one that says no. The message is one line for the user. */
export class ControlClientError extends Error {
  /** `no-director`, `no-permission`, `no-answer`, or the code of the director's answer. */
  readonly code: string;
  readonly problems: readonly ConfigProblem[];

  constructor(code: string, message: string, problems: readonly ConfigProblem[] = []) {
    super(message);
    this.name = 'ControlClientError';
    this.code = code;
    this.problems = problems;
  }
}

/** How to ask. */
export interface AskOptions {
  /** Gives the question up. */
  readonly signal?: AbortSignal;
}

/** Asks the director at `socket` for one thing. Throws a ControlClientError otherwise. */
export async function askDirector<Name extends RouteName>(
  socket: string,
  route: Name,
  body?: Exchanges[Name]['request'],
  options: AskOptions = {},
): Promise<Exchanges[Name]['result']> {
  const { status, text } = await exchange(socket, ROUTES[route], { ...options, body });
  const value = parseAnswer(socket, text);
  if (status >= 200 && status < 300) return value as Exchanges[Name]['result'];
  const { error } = value as Partial<ErrorBody>;
  if (error === undefined) throw noSense(socket);
  throw new ControlClientError(error.code, error.message, error.problems);
}

function exchange(
  socket: string,
  path: string,
  { body, signal }: AskOptions & { readonly body: unknown },
): Promise<{ status: number; text: string }> {
  const payload = body === undefined ? undefined : Buffer.from(JSON.stringify(body));
  return new Promise((resolve, reject) => {
    const request = httpRequest({
      socketPath: socket,
      path,
      method: payload === undefined ? 'GET' : 'POST',
      // A connection of its own, closed at the end: a command asks once.
      agent: false,
      ...(signal && { signal }),
      headers:
        payload === undefined
          ? {}
          : { 'content-type': 'application/json', 'content-length': payload.length },
    });
    request.setTimeout(ANSWER_TIMEOUT_MS, () => {
      const message = `the director at ${socket} does not answer`;
      request.destroy(new ControlClientError('no-answer', message));
    });
    request.once('error', (error) => reject(translate(error, socket)));
    request.once('response', (response) => {
      readText(response).then(
        (text) => resolve({ status: response.statusCode ?? 0, text }),
        (error: Error) => reject(translate(error, socket)),
      );
    });
    request.end(payload);
  });
}

async function readText(response: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of response) chunks.push(chunk);
  return Buffer.concat(chunks).toString('utf8');
}

const REASONS: Readonly<Record<string, string>> = {
  ENOENT: 'no such socket',
  ECONNREFUSED: 'nobody listens there any more',
  ENOTSOCK: 'not a socket',
  EINVAL: 'the path is too long for a socket',
};

function translate(error: NodeJS.ErrnoException, socket: string): ControlClientError {
  if (error instanceof ControlClientError) return error;
  if (error.code === 'EACCES' || error.code === 'EPERM') {
    const message = `no permission to open ${socket}: ask as the user the director runs as`;
    return new ControlClientError('no-permission', message);
  }
  const reason = REASONS[error.code ?? ''];
  if (reason !== undefined) {
    return new ControlClientError('no-director', `no director answers at ${socket}: ${reason}`);
  }
  const message = `the director at ${socket} broke off: ${error.message}`;
  return new ControlClientError('no-answer', message);
}

function parseAnswer(socket: string, text: string): object {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === 'object' && value !== null) return value;
  } catch {
    // Whatever listens there, it is not a director: the same answer as below.
  }
  throw noSense(socket);
}

function noSense(socket: string): ControlClientError {
  const message = `what listens at ${socket} does not answer as a director does`;
  return new ControlClientError('no-answer', message);
}
