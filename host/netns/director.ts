/** The director as a child process: started in its namespace, stopped as an operator would. */
import { join } from 'node:path';

import type { Namespace } from './namespaces.ts';
import { type Child, CommandError, runCommand } from './namespaces.ts';
import { sourceRoot, waitForExit, waitForLine } from './processes.ts';

const START_TIMEOUT_MS = 20_000;
const STOP_TIMEOUT_MS = 10_000;

export interface DirectorOptions {
  readonly configuration: string;
  /** The same path as `control` in the configuration. */
  readonly socket: string;
  /** How long it may take to start, in milliseconds. */
  readonly startTimeout?: number;
  /** Options of Node's own. */
  readonly node?: readonly string[];
}

export interface Director {
  readonly child: Child;
  /** The last lines of its log. */
  readonly log: readonly string[];
  /** What `wvs status --json` says. */
  status(): unknown;
  /** Resolves with the exit code of a stop by SIGTERM. */
  stop(): Promise<number | string>;
}

/** The built command `wvs`; WVS_MAIN names another build's, as of an installed package. */
export function directorProgram(): string {
  return process.env.WVS_MAIN ?? join(sourceRoot(), 'dist/host/main.js');
}

export async function startDirector(
  namespace: Namespace,
  options: DirectorOptions,
): Promise<Director> {
  const { configuration, socket, startTimeout = START_TIMEOUT_MS, node = [] } = options;
  const program = [process.execPath, ...node, directorProgram()];
  const child = namespace.spawn([...program, 'run', '--config', configuration]);
  const log = await waitForLine(child, /\bready\b/, {
    what: 'the director',
    timeout: startTimeout,
  });
  return {
    child,
    log,
    status: () => readStatus(socket),
    stop: () => {
      child.kill('SIGTERM');
      return waitForExit(child, { what: 'the director', timeout: STOP_TIMEOUT_MS });
    },
  };
}

function readStatus(socket: string): unknown {
  const command = [process.execPath, directorProgram(), 'status', '--json', '--socket', socket];
  const output = runCommand(command);
  try {
    return JSON.parse(output) as unknown;
  } catch {
    throw new CommandError(command, `no JSON: ${output}`);
  }
}
