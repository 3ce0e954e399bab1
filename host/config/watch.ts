/**
 * Watches a configuration file for another content. Editors write a file anew or rename another one
 * into its place; Kubernetes changes a symbolic link two steps away. So it is the directories that
 * are watched, those of every link on the way to the file included, and what counts is the content.
 *
 * A file is taken when it has been left alone for a moment and nobody on this machine has it open
 * for writing. What is still half-written then cannot be told from what was meant; it is read
 * again when the rest comes.
 */

import { createHash } from 'node:crypto';
import { type FSWatcher, watch } from 'node:fs';
import { lstat, readFile, readlink, stat } from 'node:fs/promises';
import { dirname, isAbsolute, join, resolve, sep } from 'node:path';
import { isOpenForWriting } from './watch-writers.ts';

/** A file must be left alone for this long. */
const QUIET_MS = 150;
/** Nobody waits longer than this for a program that keeps the file open. */
const WRITERS_MAX_MS = 30_000;
/** Where the kernel tells nothing (network file systems, watches used up), this finds changes. */
const POLL_MS = 2_000;
/** Links on the way to a file; the kernel follows no more either. */
const LINKS_MAX = 40;

/** How to watch. */
export interface WatchOptions {
  readonly file: string;
  /** Told when the content is another one; also when the file is not there any more. */
  readonly onChange: () => void;
  readonly onError?: (error: unknown) => void;
  readonly quietMs?: number;
  readonly pollMs?: number;
  /** Whether some program still writes. Default: asks /proc. */
  readonly isBeingWritten?: (file: string) => Promise<boolean>;
}

/** A watched file. */
export class ConfigWatcher {
  readonly #options: WatchOptions;
  readonly #quietMs: number;
  readonly #watchers = new Map<string, FSWatcher>();
  #poll: NodeJS.Timeout | undefined;
  #timer: NodeJS.Timeout | undefined;
  #hash = '';
  #stamp = '';
  #dirtySince: number | undefined;
  #isChecking = false;
  #isClosed = false;

  private constructor(options: WatchOptions) {
    this.#options = options;
    this.#quietMs = options.quietMs ?? QUIET_MS;
  }

  /** Watches from now on; the content of this moment is the first one, and no news. */
  static async start(options: WatchOptions): Promise<ConfigWatcher> {
    const watcher = new ConfigWatcher({ ...options, file: resolve(options.file) });
    const { file } = watcher.#options;
    await watcher.#watchDirectories();
    watcher.#hash = await contentHash(file);
    watcher.#stamp = await stampOf(file);
    watcher.#poll = setInterval(() => void watcher.#look(), options.pollMs ?? POLL_MS).unref();
    return watcher;
  }

  close(): void {
    this.#isClosed = true;
    clearInterval(this.#poll);
    clearTimeout(this.#timer);
    for (const watcher of this.#watchers.values()) watcher.close();
    this.#watchers.clear();
  }

  /** Something happened in one of the directories. */
  #touch(): void {
    if (this.#isClosed) return;
    this.#dirtySince ??= performance.now();
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => void this.#check(), this.#quietMs).unref();
  }

  async #look(): Promise<void> {
    if ((await stampOf(this.#options.file)) !== this.#stamp) this.#touch();
  }

  async #check(): Promise<void> {
    if (this.#isChecking) {
      this.#touch();
      return;
    }
    this.#isChecking = true;
    try {
      await this.#checkContent();
    } catch (error) {
      this.#options.onError?.(error);
    } finally {
      this.#isChecking = false;
    }
  }

  async #checkContent(): Promise<void> {
    const { file, onChange, isBeingWritten = isOpenForWriting } = this.#options;
    const before = await stampOf(file);
    const waited = performance.now() - (this.#dirtySince ?? performance.now());
    if (waited < WRITERS_MAX_MS && (await isBeingWritten(file))) {
      this.#touch();
      return;
    }
    const hash = await contentHash(file);
    if ((await stampOf(file)) !== before) {
      this.#touch();
      return;
    }
    await this.#watchDirectories();
    this.#dirtySince = undefined;
    this.#stamp = before;
    if (hash === this.#hash || this.#isClosed) return;
    this.#hash = hash;
    onChange();
  }

  /** Watches what is on the way to the file now, and nothing else. */
  async #watchDirectories(): Promise<void> {
    const wanted = await directoriesOf(this.#options.file);
    if (this.#isClosed) return;
    for (const [directory, watcher] of this.#watchers) {
      if (wanted.has(directory)) continue;
      watcher.close();
      this.#watchers.delete(directory);
    }
    for (const directory of wanted) {
      if (!this.#watchers.has(directory)) this.#watch(directory);
    }
  }

  #watch(directory: string): void {
    try {
      const watcher = watch(directory, { persistent: false }, () => this.#touch());
      // A directory that goes takes its watch along; the poll finds what comes in its place.
      watcher.on('error', () => this.#unwatch(directory));
      this.#watchers.set(directory, watcher);
    } catch {
      // Too many watches, or no such directory: the poll goes on all the same.
    }
  }

  #unwatch(directory: string): void {
    this.#watchers.get(directory)?.close();
    this.#watchers.delete(directory);
  }
}

/** The directory of a file, and those of all symbolic links on the way to it. */
export async function directoriesOf(file: string): Promise<Set<string>> {
  const directories = new Set([dirname(file)]);
  let rest = file.split(sep).filter((part) => part !== '');
  let at: string = sep;
  for (let links = 0; rest.length > 0 && links < LINKS_MAX; ) {
    const [part, ...others] = rest as [string, ...string[]];
    const path = join(at, part);
    const isLink = await lstat(path).then(
      (found) => found.isSymbolicLink(),
      () => false,
    );
    if (!isLink) {
      at = path;
      rest = others;
      continue;
    }
    links++;
    directories.add(at);
    const target = await readlink(path);
    rest = [...target.split(sep).filter((step) => step !== ''), ...others];
    if (isAbsolute(target)) at = sep;
  }
  directories.add(dirname(at));
  return directories;
}

/** A word for the content of a file; the same for every file that cannot be read. */
async function contentHash(file: string): Promise<string> {
  try {
    return createHash('sha256')
      .update(await readFile(file))
      .digest('hex');
  } catch {
    return '';
  }
}

/** A word that changes with the file behind the name, its size and its times. */
async function stampOf(file: string): Promise<string> {
  try {
    const { dev, ino, size, mtimeMs, ctimeMs } = await stat(file);
    return [dev, ino, size, mtimeMs, ctimeMs].join(' ');
  } catch {
    return '';
  }
}
