// File: the whole number in a file says how the server is. Whoever writes the file, an agent or an
// administrator, so turns a server up and down.
//
//   means      number                        result
//   weight     0 or more                     pass, the number times the factor is the weight
//   weight     negative, or none             fail
//   addition   any; none or no file is 0     pass, the number times the factor is added to the weight
//   failure    0; none or no file is 0       pass
//   failure    any other                     fail
//   success    the other way round
//
// The last three are those of keepalived's FILE_CHECK: with a weight, with the weight 0, and with
// the weight 0 and `reverse`.

import { constants } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { WEIGHT_MAX } from '../config/schema.ts';
import { type Attempt, attempt } from './attempt.ts';
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
        if (number !== undefined) judge(running, check, number);
        else if (isWeight(check)) running.fail(`${check.path} has no whole number`);
        else judge(running, check, 0);
      } catch (error) {
        const detail = `${check.path}: ${sentenceOf(error)}`;
        if (OURS.has(codeOf(error))) running.giveUp(detail);
        else if (isWeight(check) || codeOf(error) !== 'ENOENT') running.fail(detail);
        else judge(running, check, 0);
      }
    });
}

function isWeight({ means = 'weight' }: CheckOf<'file'>): boolean {
  return means === 'weight';
}

function judge(running: Attempt, check: CheckOf<'file'>, number: number): void {
  const { path, factor = 1, means = 'weight' } = check;
  const detail = `${path} says ${number}`;
  const product = number * factor;
  if (means === 'addition') running.pass(detail, { weightChange: product });
  else if (means === 'weight' && product >= 0) {
    running.pass(detail, { weight: Math.min(product, WEIGHT_MAX) });
  } else if (means !== 'weight' && (number === 0) === (means === 'failure')) running.pass(detail);
  else running.fail(detail);
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
