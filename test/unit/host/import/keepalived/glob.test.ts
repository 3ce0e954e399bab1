import { join } from 'node:path';
import { expect, test } from 'vitest';
import { expandBraces, matchPaths } from '../../../../../host/import/keepalived/glob.ts';
import { folderOf } from '../support.ts';

test.each([
  ['a', ['a']],
  ['{foo/{,cat,dog},bar}', ['foo/', 'foo/cat', 'foo/dog', 'bar']],
  ['a{b,c}d{e,f}', ['abde', 'abdf', 'acde', 'acdf']],
  ['a{b', ['a{b']],
])('the braces of %j: %j', (pattern, expanded) => {
  expect(expandBraces(pattern)).toEqual(expanded);
});

test('patterns match existing files in the order of their names, hidden ones only by name', () => {
  const folder = folderOf({ 'd/b.conf': '', 'd/a.conf': '', 'd/.c.conf': '', 'e/a.conf': '' });
  const names = (pattern: string) =>
    matchPaths(pattern, folder).map((path) => path.slice(folder.length + 1));
  expect(names('d/*.conf')).toEqual(['d/a.conf', 'd/b.conf']);
  expect(names('*/a.conf')).toEqual(['d/a.conf', 'e/a.conf']);
  expect(names('d/[!b].conf')).toEqual(['d/a.conf']);
  expect(names('d/?.conf')).toEqual(['d/a.conf', 'd/b.conf']);
  expect(names('d/.c.conf')).toEqual(['d/.c.conf']);
  expect(names('d/x.conf')).toEqual([]);
  expect(matchPaths(join(folder, 'd', 'a*'), '/')).toEqual([join(folder, 'd/a.conf')]);
});
