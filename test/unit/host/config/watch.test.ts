/** What counts as a change of a watched file: another content, whichever way it comes. */

import {
  appendFileSync,
  closeSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  renameSync,
  rmSync,
  symlinkSync,
  unlinkSync,
  utimesSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { ConfigWatcher, directoriesOf, type WatchOptions } from '../../../../host/config/watch.ts';
import { isOpenForWriting } from '../../../../host/config/watch-writers.ts';

const QUIET_MS = 30;
const WAIT_MS = 20_000;
/** Long enough for what must not happen. */
const NOTHING_MS = 200;

let directory: string;
let file: string;
let watcher: ConfigWatcher | undefined;
let changes = 0;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'wvs-watch-'));
  file = join(directory, 'wvs.yaml');
  writeFileSync(file, 'one');
  changes = 0;
});
afterEach(() => {
  watcher?.close();
  rmSync(directory, { recursive: true });
});

async function start(options: Partial<WatchOptions> = {}): Promise<void> {
  watcher = await ConfigWatcher.start({
    file,
    onChange: () => {
      changes++;
    },
    quietMs: QUIET_MS,
    pollMs: 60_000,
    isBeingWritten: async () => false,
    ...options,
  });
}

async function changed(count: number): Promise<void> {
  const deadline = Date.now() + WAIT_MS;
  while (changes < count && Date.now() < deadline) await pause(10);
  expect(changes).toBe(count);
}

function pause(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}

async function nothing(): Promise<void> {
  const before = changes;
  await pause(NOTHING_MS);
  expect(changes).toBe(before);
}

describe('a change', () => {
  test('written in place', async () => {
    await start();
    writeFileSync(file, 'two');
    await changed(1);
    writeFileSync(file, 'three');
    await changed(2);
  });

  test('in many small pieces: one change, when they are all there', async () => {
    await start({ quietMs: 100 });
    for (let piece = 0; piece < 10; piece++) {
      appendFileSync(file, String(piece));
      await pause(15);
    }
    await changed(1);
    await nothing();
  });

  test('renamed into its place, with a copy of the old one kept, as vim does', async () => {
    await start();
    renameSync(file, `${file}~`);
    writeFileSync(file, 'two');
    unlinkSync(`${file}~`);
    await changed(1);
    writeFileSync(join(directory, '.wvs.yaml.swp'), 'noise');
    writeFileSync(join(directory, 'new'), 'three');
    renameSync(join(directory, 'new'), file);
    await changed(2);
  });

  test('gone and back with another content', async () => {
    await start();
    unlinkSync(file);
    await changed(1);
    writeFileSync(file, 'two');
    await changed(2);
  });

  test('a Kubernetes ConfigMap: another directory behind the link, many times', async () => {
    const link = join(directory, 'mounted.yaml');
    const version = (name: string) => {
      mkdirSync(join(directory, name));
      writeFileSync(join(directory, name, 'mounted.yaml'), name);
      symlinkSync(name, join(directory, '..data_tmp'));
      renameSync(join(directory, '..data_tmp'), join(directory, '..data'));
    };
    version('..1');
    symlinkSync('..data/mounted.yaml', link);
    await start({ file: link });
    for (let number = 2; number < 6; number++) {
      version(`..${number}`);
      await changed(number - 1);
      rmSync(join(directory, `..${number - 1}`), { recursive: true });
    }
  });

  test('a link into another directory: what is written there counts', async () => {
    const elsewhere = mkdtempSync(join(tmpdir(), 'wvs-elsewhere-'));
    try {
      writeFileSync(join(elsewhere, 'real.yaml'), 'one');
      unlinkSync(file);
      symlinkSync(join(elsewhere, 'real.yaml'), file);
      await start();
      writeFileSync(join(elsewhere, 'real.yaml'), 'two');
      await changed(1);
      expect(await directoriesOf(file)).toEqual(new Set([directory, elsewhere]));
    } finally {
      rmSync(elsewhere, { recursive: true });
    }
  });

  test('its directory goes and comes back: found by looking', async () => {
    const inner = join(directory, 'inner');
    mkdirSync(inner);
    file = join(inner, 'wvs.yaml');
    writeFileSync(file, 'one');
    await start({ pollMs: 50 });
    rmSync(inner, { recursive: true });
    await changed(1);
    mkdirSync(inner);
    writeFileSync(file, 'two');
    await changed(2);
    writeFileSync(file, 'three');
    await changed(3);
  });
});

describe('no change', () => {
  test('the same content, other times, other files of the directory', async () => {
    await start();
    writeFileSync(file, 'one');
    utimesSync(file, 1, 1);
    writeFileSync(join(directory, 'other.yaml'), 'two');
    await nothing();
  });

  test('another content and back before anybody looked', async () => {
    await start({ quietMs: 100 });
    writeFileSync(file, 'two');
    writeFileSync(file, 'one');
    await nothing();
  });

  test('after close()', async () => {
    await start();
    watcher!.close();
    writeFileSync(file, 'two');
    await nothing();
  });
});

describe('a program that keeps the file open', () => {
  test('is waited for', async () => {
    let isOpen = true;
    await start({ isBeingWritten: async () => isOpen });
    writeFileSync(file, 'half');
    await nothing();
    writeFileSync(file, 'whole');
    isOpen = false;
    await changed(1);
  });

  test.skipIf(!existsSync('/proc/self/fdinfo'))(
    'is seen in /proc, one that reads is not',
    async () => {
      const reader = openSync(file, 'r');
      expect(await isOpenForWriting(file)).toBe(false);
      const writer = openSync(file, 'a');
      writeSync(writer, 'more');
      expect(await isOpenForWriting(file)).toBe(true);
      closeSync(writer);
      closeSync(reader);
      expect(await isOpenForWriting(file)).toBe(false);
    },
  );
});

describe('included files', () => {
  let included: string;

  beforeEach(() => {
    included = join(directory, 'conf.d');
    mkdirSync(included);
    writeFileSync(join(included, 'a.conf'), '# a\n');
    writeFileSync(file, 'include conf.d/*.conf\n');
  });

  test('one of them gets another content', async () => {
    await start();
    writeFileSync(join(included, 'a.conf'), '# b\n');
    await changed(1);
    writeFileSync(join(included, 'a.conf'), '# b\n');
    await nothing();
  });

  test('one more that matches comes, another one goes; others in its directory do not count', async () => {
    await start();
    writeFileSync(join(included, 'b.txt'), '# b\n');
    await nothing();
    writeFileSync(join(included, 'b.conf'), '# b\n');
    await changed(1);
    unlinkSync(join(included, 'a.conf'));
    await changed(2);
  });

  test('one that an included file includes', async () => {
    mkdirSync(join(directory, 'deep'));
    writeFileSync(join(directory, 'deep', 'x.conf'), '# x\n');
    writeFileSync(join(included, 'a.conf'), 'include ../deep/x.conf\n');
    await start();
    writeFileSync(join(directory, 'deep', 'x.conf'), '# y\n');
    await changed(1);
  });

  test('one that was not there when the file was read', async () => {
    writeFileSync(file, 'include later/x.conf\n');
    await start();
    mkdirSync(join(directory, 'later'));
    await nothing();
    writeFileSync(join(directory, 'later', 'x.conf'), '# x\n');
    await changed(1);
  });

  test('another directory behind a link, as of a Kubernetes ConfigMap', async () => {
    rmSync(included, { recursive: true });
    for (const version of ['1', '2']) {
      mkdirSync(join(directory, version));
      writeFileSync(join(directory, version, 'a.conf'), `# ${version}\n`);
    }
    symlinkSync('1', included);
    await start();
    symlinkSync('2', join(directory, 'tmp'));
    renameSync(join(directory, 'tmp'), included);
    await changed(1);
  });

  test('one that is included no more does not count any more', async () => {
    await start();
    writeFileSync(file, 'include other.conf\n');
    await changed(1);
    writeFileSync(join(included, 'a.conf'), '# c\n');
    await nothing();
    writeFileSync(join(directory, 'other.conf'), '# o\n');
    await changed(2);
  });

  test('one that is being written → waited for', async () => {
    let isWriting = true;
    const path = join(included, 'a.conf');
    await start({ isBeingWritten: async (name) => isWriting && name === path });
    writeFileSync(path, '# b\n');
    await nothing();
    isWriting = false;
    await changed(1);
  });

  test('a file of WVS includes nothing, whatever its text looks like', async () => {
    writeFileSync(file, 'version: 1\n# include conf.d/*.conf\n');
    await start();
    writeFileSync(join(included, 'a.conf'), '# b\n');
    await nothing();
  });
});
