/** Children that say when they are ready, and where the files of this package are. */
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

import type { Child } from './namespaces.ts';

const READY_TIMEOUT_MS = 15_000;
const KEPT_LINES_MAX = 200;

export class ProcessError extends Error {
  readonly code = 'WVS_PROCESS_FAILED';
}

export interface WaitOptions {
  /** Names the child in messages. */
  readonly what: string;
  readonly timeout?: number;
}

export interface ExitOptions {
  readonly what: string;
  readonly timeout: number;
}

/** The directory of package.json, whether this file runs as it is or built into dist/. */
export function sourceRoot(): string {
  let directory = dirname(fileURLToPath(import.meta.url));
  while (!existsSync(join(directory, 'package.json'))) directory = dirname(directory);
  return directory;
}

/** A built program of this directory; children run under Node, which reads no TypeScript. */
export function builtProgram(name: string): string {
  return join(sourceRoot(), 'dist/host/netns', name);
}

/** The last lines a child printed on either output, oldest first. */
export function keepLines(child: Child, onLine?: (line: string) => void): readonly string[] {
  const lines: string[] = [];
  for (const stream of [child.stdout, child.stderr]) {
    createInterface({ input: stream }).on('line', (line) => {
      lines.push(line);
      if (lines.length > KEPT_LINES_MAX) lines.shift();
      onLine?.(line);
    });
  }
  return lines;
}

/** Resolves with the lines kept so far when one matches; afterwards they go on being kept. */
export function waitForLine(
  child: Child,
  pattern: RegExp,
  options: WaitOptions,
): Promise<readonly string[]> {
  const { what, timeout = READY_TIMEOUT_MS } = options;
  return new Promise((resolve, reject) => {
    const lines = keepLines(child, (line) => {
      if (!pattern.test(line)) return;
      clearTimeout(timer);
      resolve(lines);
    });
    function fail(reason: string): void {
      clearTimeout(timer);
      child.kill('SIGKILL');
      reject(new ProcessError([`${what} ${reason}`, ...lines.slice(-20)].join('\n  ')));
    }
    const timer = setTimeout(() => fail(`was not ready after ${timeout / 1000} s`), timeout);
    child.once('error', (error) => fail(`could not be started: ${error.message}`));
    child.once('close', (code, signal) => fail(`ended with ${code ?? signal}`));
  });
}

/** Resolves with the exit code, or the signal's name; kills a child that takes too long. */
export function waitForExit(child: Child, options: ExitOptions): Promise<number | string> {
  return new Promise((resolve, reject) => {
    if (child.exitCode !== null || child.signalCode !== null) {
      resolve(child.exitCode ?? child.signalCode ?? 0);
      return;
    }
    const timer = setTimeout(() => {
      child.kill('SIGKILL');
      reject(new ProcessError(`${options.what} did not end within ${options.timeout / 1000} s`));
    }, options.timeout);
    child.once('exit', (code, signal) => {
      clearTimeout(timer);
      resolve(code ?? signal ?? 0);
    });
  });
}
