import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { loadConfig } from '../../../../host/config/load.ts';
import { formatProblem } from '../../../../host/config/problems.ts';
import { DIRECTOR } from './support.ts';

const directory = mkdtempSync(join(tmpdir(), 'wvs-load-'));
afterAll(() => rmSync(directory, { recursive: true }));

function write(content: string | Uint8Array): string {
  const file = join(directory, 'wvs.yaml');
  writeFileSync(file, content);
  return file;
}

async function problemsOf(file: string): Promise<string[]> {
  const result = await loadConfig(file);
  return result.ok ? [] : result.errors.map(formatProblem);
}

test('a good file: its configuration, with the name of the file', async () => {
  const file = write(`version: 1\n${DIRECTOR}\n`);
  const result = await loadConfig(file);
  expect(result).toMatchObject({ ok: true, config: { file, services: [] }, warnings: [] });
});

test('no file: says so', async () => {
  const file = join(directory, 'nowhere.yaml');
  expect(await problemsOf(file)).toEqual([`${file}:1:1: no such file`]);
});

test('a directory: says so', async () => {
  expect(await problemsOf(directory)).toEqual([`${directory}:1:1: a directory, not a file`]);
});

test('bytes that are no text: says so', async () => {
  const file = write(Uint8Array.of(0xff, 0xfe, 0x00));
  expect(await problemsOf(file)).toEqual([`${file}:1:1: not UTF-8 text`]);
});

test('half a file, as an editor may leave it: an error, never half a configuration', async () => {
  const text = `version: 1\n${DIRECTOR}\nservices: [{ listen: '192.0.2.80:80/tcp' }]\n`;
  const whole = text.length;
  // Up to the list's closing bracket every cut is one that a reader can tell.
  for (let length = text.indexOf('services:') + 1; length < whole - 1; length++) {
    expect((await loadConfig(write(text.slice(0, length)))).ok, `${length} bytes`).toBe(false);
  }
});
