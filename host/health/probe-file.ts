// File: the whole number in a file is the server's weight. Whoever writes the file, an agent or an
// administrator, so turns a server up and down; a negative number takes it out.

import { constants } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { WEIGHT_MAX } from '../config/schema.ts';
import { attempt } from './attempt.ts';
import { codeOf, describeError } from './describe-error.ts';
import type { CheckOf, Probe } from './probe.ts';

const BYTES_MAX = 64;
const OURS: ReadonlySet<string> = new Set(['EMFILE', 'ENFILE', 'ENOMEM']);

/** A probe that reads a file. */
export function fileProbe(check: CheckOf<'file'>): Probe {
  return (signal) =>
    attempt({ timeout: check.timeout, signal }, async (running) => {
      running.waitFor(`reading ${check.path}`);
      try {
        const text = await readStart(check.path);
        const number = /^[+-]?\d+$/.test(text) ? Number(text) : undefined;
        if (number === undefined) running.fail(`${check.path} has no whole number`);
        else if (number < 0) running.fail(`${check.path} says ${number}`);
        else {
          const weight = Math.min(number * (check.factor ?? 1), WEIGHT_MAX);
          running.pass(`${check.path} says ${number}`, weight);
        }
      } catch (error) {
        const detail = `${check.path}: ${sentenceOf(error)}`;
        if (OURS.has(codeOf(error))) running.giveUp(detail);
        else running.fail(detail);
      }
    });
}

async function readStart(path: string): Promise<string> {
  // Not to wait for the writer of a pipe that lies where a file should.
  const file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
  try {
    return await readRegular(file);
  } finally {
    await file.close();
  }
}

async function readRegular(file: FileHandle): Promise<string> {
  if (!(await file.stat()).isFile()) throw new Error('not a regular file');
  const { buffer, bytesRead } = await file.read(Buffer.alloc(BYTES_MAX), 0, BYTES_MAX, 0);
  return buffer.toString('latin1', 0, bytesRead).trim();
}

function sentenceOf(error: unknown): string {
  if (codeOf(error) === 'ENOENT') return 'no such file';
  if (codeOf(error) === 'EACCES') return 'permission denied';
  return describeError(error);
}
