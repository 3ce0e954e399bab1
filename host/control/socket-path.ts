/** Takes over the path of a control socket, when whoever had it before is gone. */

import { lstat, mkdir, unlink } from 'node:fs/promises';
import { connect } from 'node:net';
import { dirname } from 'node:path';

const PROBE_TIMEOUT_MS = 1_000;

/** Why a control socket cannot be opened. */
export class ControlSocketError extends Error {
  readonly code: string;

  constructor(code: string, message: string) {
    super(message);
    this.name = 'ControlSocketError';
    this.code = code;
  }
}

/**
 * Makes `path` free to bind: its directory exists, and a socket that nobody answers at is
 * removed. A socket that somebody answers at, or a file that is no socket, is an error.
 */
export async function freeSocketPath(path: string): Promise<void> {
  await mkdir(dirname(path), { recursive: true, mode: 0o755 });
  const stats = await lstat(path).catch(ignoreMissing);
  if (stats === undefined) return;
  if (!stats.isSocket()) {
    const message = `${path} exists and is not a socket; remove it or choose another path`;
    throw new ControlSocketError('not-a-socket', message);
  }
  if (await isAnswered(path)) {
    const message = `a director is already running: it answers at ${path}`;
    throw new ControlSocketError('director-already-running', message);
  }
  await unlink(path).catch(ignoreMissing);
}

function ignoreMissing(error: NodeJS.ErrnoException): undefined {
  if (error.code === 'ENOENT') return undefined;
  throw error;
}

function isAnswered(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path);
    const finish = (answer: boolean) => {
      socket.destroy();
      resolve(answer);
    };
    // A director too busy to accept within a second is still a director.
    socket.setTimeout(PROBE_TIMEOUT_MS, () => finish(true));
    socket.once('connect', () => finish(true));
    socket.once('error', (error: NodeJS.ErrnoException) => finish(error.code === 'EAGAIN'));
  });
}
