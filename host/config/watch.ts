/**
 * Watches a configuration file, and all that it includes, for another content. Editors write a file
 * anew or rename another one into its place; Kubernetes changes a symbolic link two steps away. So
 * it is the directories that are watched, those of every link on the way to each file included, and
 * what counts is the content.
 *
 * A file is taken when it has been left alone for a moment and nobody on this machine has it open
 * for writing. What is still half-written then cannot be told from what was meant; it is read
 * again when the rest comes.
 */

import { createHash } from 'node:crypto';
import { type FSWatcher, watch } from 'node:fs';
import { lstat, readFile, readlink, stat } from 'node:fs/promises';
import { dirname, isAbsolute, join, resolve, sep } from 'node:path';
import { type ConfigSources, includedBy, NO_SOURCES } from './sources.ts';
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
  #sources = NO_SOURCES;
  #poll: NodeJS.Timeout | undefined;
  #timer: NodeJS.Timeout | undefined;
  #hash = '';
  /** By the name of each file and directory, when it was last looked at. */
  #stamps: ReadonlyMap<string, string> = new Map();
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
    await watcher.#watchDirectories((await watcher.#read()).sources);
    // What changes from here on is noticed.
    const { sources, hash } = await watcher.#read();
    watcher.#hash = hash;
    watcher.#sources = sources;
    watcher.#stamps = await watcher.#stampsNow();
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
    if (changedNames(this.#stamps, await this.#stampsNow()).length > 0) this.#touch();
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
    const before = await this.#stampsNow();
    const waited = performance.now() - (this.#dirtySince ?? performance.now());
    const changed = changedNames(this.#stamps, before);
    if (waited < WRITERS_MAX_MS && (await this.#isAnyWritten(changed))) {
      this.#touch();
      return;
    }
    const { sources, hash } = await this.#read();
    this.#sources = sources;
    // A file that is included now and was not before counts as one that has just changed.
    if (changedNames(before, await this.#stampsNow()).length > 0) {
      this.#touch();
      return;
    }
    await this.#watchDirectories(sources);
    this.#dirtySince = undefined;
    this.#stamps = before;
    if (hash === this.#hash || this.#isClosed) return;
    this.#hash = hash;
    this.#options.onChange();
  }

  async #isAnyWritten(names: readonly string[]): Promise<boolean> {
    const { isBeingWritten = isOpenForWriting } = this.#options;
    for (const name of names) if (await isBeingWritten(name)) return true;
    return false;
  }

  /** Of the file, and of all that it included when it was last read. */
  async #stampsNow(): Promise<Map<string, string>> {
    const names = [this.#options.file, ...this.#sources.files, ...this.#sources.directories];
    const stamps = names.map(async (name) => [name, await stampOf(name)] as const);
    return new Map(await Promise.all(stamps));
  }

  /** What there is to load at this moment: which files, and a word for their content. */
  async #read(): Promise<{ readonly sources: ConfigSources; readonly hash: string }> {
    const { file } = this.#options;
    const hash = createHash('sha256');
    const text = await readIfThere(file);
    const sources = text === undefined ? NO_SOURCES : await includedBy(file, text.toString());
    for (const name of [file, ...sources.files]) {
      const content = name === file ? text : await readIfThere(name);
      // What cannot be read is something else than what is empty.
      hash.update(`${name}\0${content?.length ?? -1}\0`);
      if (content !== undefined) hash.update(content);
    }
    return { sources, hash: hash.digest('hex') };
  }

  /** Watches what is on the way to the files now, and nothing else. */
  async #watchDirectories({ files, directories }: ConfigSources): Promise<void> {
    const wanted = new Set<string>();
    for (const name of [this.#options.file, ...files]) {
      for (const directory of await directoriesOf(name)) wanted.add(directory);
    }
    for (const directory of directories) {
      wanted.add(directory);
      for (const above of await directoriesOf(directory)) wanted.add(above);
    }
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

async function readIfThere(file: string): Promise<Buffer | undefined> {
  return await readFile(file).catch(() => undefined);
}

/** The names that are not in both with the same stamp. */
function changedNames(
  before: ReadonlyMap<string, string>,
  after: ReadonlyMap<string, string>,
): string[] {
  const names = new Set([...before.keys(), ...after.keys()]);
  return [...names].filter((name) => before.get(name) !== after.get(name));
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
