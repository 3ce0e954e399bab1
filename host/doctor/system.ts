/** The files of the machine that collectors read; tests put their own in place of them. */

import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { basename } from 'node:path';

/** What there is to read. Nothing here throws: what cannot be read is undefined or empty. */
export interface System {
  /** A file's text without white space at its ends. */
  read(path: string): string | undefined;
  /** The last part of what a symbolic link points to. */
  link(path: string): string | undefined;
  list(path: string): readonly string[];
}

/** The machine this process runs on. */
export const SYSTEM: System = {
  read: (path) => attempt(() => readFileSync(path, 'utf8').trim()),
  link: (path) => attempt(() => basename(readlinkSync(path))),
  list: (path) => attempt(() => readdirSync(path)) ?? [],
};

/** A file that holds one number. */
export function readNumber(system: System, path: string): number | undefined {
  const text = system.read(path);
  if (text === undefined || !/^-?\d+$/.test(text)) return undefined;
  return Number(text);
}

function attempt<Result>(act: () => Result): Result | undefined {
  try {
    return act();
  } catch {
    return undefined;
  }
}
