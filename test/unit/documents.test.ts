/** The documents that ship: their links lead somewhere, and the index knows every page. */

import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { expect, test } from 'vitest';

const ROOT = join(import.meta.dirname, '../..');
const PAGES = readdirSync(join(ROOT, 'host/docs')).filter((name) => name.endsWith('.md'));

function documents(): string[] {
  const listed = execFileSync('git', ['ls-files', '*.md'], { cwd: ROOT, encoding: 'utf8' });
  const own = PAGES.map((name) => `host/docs/${name}`);
  return [...new Set([...listed.split('\n').filter((name) => name !== ''), ...own])];
}

test.each(documents())('%s: every link leads to a file', (name) => {
  const text = readFileSync(join(ROOT, name), 'utf8');
  const links = [...text.matchAll(/\]\(([^)#\s]+)(?:#[^)]*)?\)/g)].map(([, target]) => target!);
  const own = links.filter((target) => !/^[a-z]+:/.test(target));
  const missing = own.filter((target) => !existsSync(join(ROOT, dirname(name), target)));
  expect(missing).toEqual([]);
});

test('the index of the pages for operators lists all of them', () => {
  const index = readFileSync(join(ROOT, 'host/docs/README.md'), 'utf8');
  const listed = [...index.matchAll(/\]\(([a-z-]+\.md)\)/g)].map(([, page]) => page);
  expect(listed.toSorted()).toEqual(PAGES.filter((page) => page !== 'README.md').toSorted());
});
