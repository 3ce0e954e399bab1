/** Short ways to import texts in tests, on a machine that has nothing to guess from. */

import { mkdirSync, mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import {
  type ImportOptions,
  type ImportResult,
  importConfig,
} from '../../../../host/import/import-config.ts';
import { formatNote } from '../../../../host/import/report.ts';

export const OPTIONS: ImportOptions = {
  configId: 'main',
  interfaces: ['lan'],
  machine: { networks: [], defaultInterface: undefined },
  random: () => 0.5,
};

export type Imported = Extract<ImportResult, { ok: true }>;

/** What is imported from a text, which must not have errors. */
export function imported(text: string, options: ImportOptions = {}): Imported {
  const result = outcome(text, options);
  if (!result.ok) throw new Error(result.errors.map(formatNote).join('\n'));
  return result;
}

export function outcome(text: string, options: ImportOptions = {}): ImportResult {
  return importConfig([{ file: 'in.conf', text }], { ...OPTIONS, ...options });
}

/** `LINE: message` of everything that was not expressed. */
export function notesOf(result: ImportResult): string[] {
  return result.notes.map(({ line, message }) => `${line}: ${message}`);
}

/** `LINE: message` of every error. */
export function errorsOf(text: string): string[] {
  const result = outcome(text);
  return result.ok ? [] : result.errors.map(({ line, message }) => `${line}: ${message}`);
}

/** A virtual server with one real server, whose statements may be more. */
export function virtualServer(statements = '', realStatements = ''): string {
  return [
    'virtual_server 192.0.2.80 80 {',
    '  protocol TCP',
    ...statements.split('\n'),
    '  real_server 10.0.0.11 8080 {',
    ...realStatements.split('\n'),
    '  }',
    '}',
    '',
  ].join('\n');
}

/** The services of the YAML, as it says them. */
export function yamlOf(result: Imported): string {
  const text = result.yaml;
  return text.slice(text.indexOf('version: 1'));
}

/** A new folder with these files. */
export function folderOf(files: Readonly<Record<string, string>>): string {
  const folder = mkdtempSync(join(tmpdir(), 'wvs-import-'));
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, name)), { recursive: true });
    writeFileSync(join(folder, name), text, { mode: 0o644 });
  }
  return folder;
}
