// biome-ignore-all lint/suspicious/noTemplateCurlyInString: keepalived's parameters look like this.
import { expect, test } from 'vitest';
import { buildBlocks, type Statement } from '../../../../../host/import/keepalived/blocks.ts';
import { ImportReport } from '../../../../../host/import/report.ts';

function tree(text: string): { tree: unknown; errors: string[] } {
  const report = new ImportReport();
  const lines = text.split('\n').map((line, index) => ({
    text: line.trim(),
    origin: { file: 'in.conf', line: index + 1, column: 1 },
  }));
  const statements = buildBlocks(
    lines.filter((line) => line.text !== ''),
    report,
  );
  const errors = report.errors.map(({ line, message }) => `${line} ${message}`);
  return { tree: statements.map(plain), errors };
}

function plain({ keyword, args, block }: Statement): unknown {
  const words = [keyword, ...args].join('|');
  return block === undefined ? words : { [words]: block.map(plain) };
}

test.each([
  ['a b {\n c d\n}\ne', [{ 'a|b': ['c|d'] }, 'e']],
  ['a\n{\n b { c }\n} d', [{ a: [{ b: ['c'] }] }, 'd']],
  ['a { b { c 1\n } d } e', [{ a: [{ b: ['c|1'] }, 'd'] }, 'e']],
  ['a {}', [{ a: [] }]],
  ['a "{ x }" {\n}', [{ 'a|{ x }': [] }]],
  ['a ${X} {\n}', [{ 'a|${X}': [] }]],
  ['a{b}c', [{ a: ['b'] }, 'c']],
])('%j', (text, expected) => {
  expect(tree(text)).toEqual({ tree: expected, errors: [] });
});

test.each([
  ['a {\nb', ['1 the block of a is not closed: a "}" is missing']],
  ['a {\nb {\n}', ['1 the block of a is not closed: a "}" is missing']],
  ['a {\n}\n}', ['3 this "}" closes nothing']],
  ['{\n}', ['1 this "{" follows no keyword']],
  ['a {\n} {\n}', ['2 this "{" follows no keyword']],
  ['a "b', ['1 the quote is not closed: a "b']],
])('%j: %j', (text, errors) => {
  expect(tree(text).errors).toEqual(errors);
});
