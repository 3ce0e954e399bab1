/** Reads a configuration file as text. */

import { open } from 'node:fs/promises';
import type { ConfigProblem } from './types.ts';

/** A file larger than this is surely not a configuration. */
export const CONFIG_FILE_BYTES_MAX = 64 * 1024 * 1024;

/** The text of a file, or why there is none. */
export type ReadResult =
  | { readonly ok: true; readonly text: string }
  | { readonly ok: false; readonly problem: ConfigProblem };

/** Reads `file` as UTF-8 text. */
export async function readConfigFile(file: string): Promise<ReadResult> {
  try {
    const handle = await open(file, 'r');
    try {
      const { size } = await handle.stat();
      if (size > CONFIG_FILE_BYTES_MAX) {
        return failure(file, 'file-too-large', `larger than ${CONFIG_FILE_BYTES_MAX} bytes`);
      }
      const bytes = await handle.readFile();
      return decode(file, bytes);
    } finally {
      await handle.close();
    }
  } catch (error) {
    return failure(file, 'file-unreadable', unreadableSentence(error));
  }
}

function decode(file: string, bytes: Uint8Array): ReadResult {
  try {
    return { ok: true, text: new TextDecoder('utf-8', { fatal: true }).decode(bytes) };
  } catch {
    return failure(file, 'file-not-text', 'not UTF-8 text');
  }
}

function failure(file: string, code: string, message: string): ReadResult {
  return { ok: false, problem: { file, line: 1, column: 1, path: '', code, message } };
}

const SENTENCES: Readonly<Record<string, string>> = {
  ENOENT: 'no such file',
  EACCES: 'no permission to read this file',
  EISDIR: 'a directory, not a file',
};

function unreadableSentence(error: unknown): string {
  const code = error instanceof Error && 'code' in error ? String(error.code) : undefined;
  if (code !== undefined && code in SENTENCES) return SENTENCES[code]!;
  return `cannot be read: ${error instanceof Error ? error.message : String(error)}`;
}
