// Programs that are run for a while: check commands, notify commands, ping. Each is the leader of a
// process group of its own, so that ending it ends what it started, too.

import { type ChildProcess, spawn } from 'node:child_process';

/** How a program ended. */
export interface Exit {
  /** undefined: it was killed by a signal. */
  readonly code: number | undefined;
  readonly signal: NodeJS.Signals | undefined;
  /** The beginning of what it wrote to stdout and stderr. */
  readonly output: string;
}

/** What to run. */
export interface Program {
  /** The program and its arguments; no shell. */
  readonly command: readonly string[];
  /** Its environment, beside PATH. */
  readonly environment?: Readonly<Record<string, string>>;
  readonly onExit: (exit: Exit) => void;
  /** It could not be started. */
  readonly onError: (error: Error) => void;
}

const OUTPUT_BYTES_MAX = 4096;
const OUTPUT_WAIT_MS = 50;
const DEFAULT_PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

/** Starts a program. @returns kills its whole group, which is harmless when it is gone */
export function runProgram({ command, environment, onExit, onError }: Program): () => void {
  const [file, ...args] = command;
  const child = spawn(file!, args, {
    cwd: '/',
    detached: true,
    env: { PATH: process.env.PATH ?? DEFAULT_PATH, LC_ALL: 'C', ...environment },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const output = collectOutput(child);
  let isRunning = child.pid !== undefined;
  const kill = () => {
    if (isRunning) killGroup(child);
  };
  child.once('error', (error) => {
    closePipes(child);
    onError(error);
  });
  child.once('exit', (code, signal) => {
    // Those it left behind hold its pipes open, and nobody would ever end them.
    killGroup(child);
    isRunning = false;
    const finish = () => {
      clearTimeout(timer);
      child.removeListener('close', finish);
      closePipes(child);
      onExit({ code: code ?? undefined, signal: signal ?? undefined, output: output() });
    };
    // `close` comes when all of the output was read, or never, if a daemon has inherited the pipes.
    const timer = setTimeout(finish, OUTPUT_WAIT_MS);
    child.once('close', finish);
  });
  return kill;
}

function collectOutput({ stdout, stderr }: ChildProcess): () => string {
  let text = '';
  for (const pipe of [stdout, stderr]) {
    pipe?.setEncoding('utf8');
    pipe?.on('data', (chunk: string) => {
      if (text.length < OUTPUT_BYTES_MAX) text += chunk.slice(0, OUTPUT_BYTES_MAX - text.length);
    });
    pipe?.on('error', () => undefined);
  }
  return () => text;
}

function closePipes({ stdout, stderr }: ChildProcess): void {
  stdout?.destroy();
  stderr?.destroy();
}

function killGroup({ pid }: ChildProcess): void {
  if (pid === undefined) return;
  try {
    process.kill(-pid, 'SIGKILL');
  } catch {
    // Nobody is left in the group.
  }
}
