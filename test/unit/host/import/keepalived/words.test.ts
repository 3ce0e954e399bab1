import { expect, test } from 'vitest';
import { decomment } from '../../../../../host/import/keepalived/decomment.ts';
import {
  splitCommand,
  splitEscapedWords,
  splitWords,
} from '../../../../../host/import/keepalived/words.ts';

test.each([
  ['', []],
  ['  a\tb  c ', ['a', 'b', 'c']],
  ['a "b c" d', ['a', 'b c', 'd']],
  ['a "" b', ['a', '', 'b']],
  ['a"b c"d', ['a', 'b c', 'd']],
  [`o'brien 'x y'`, ["o'brien", "'x", "y'"]],
  ['a "b \\" c"', ['a', 'b \\" c']],
])('words of %j: %j', (line, words) => {
  expect(splitWords(line)).toEqual(words);
});

test('a double quote that is not closed: no words', () => {
  expect(splitWords('a "b c')).toBeUndefined();
  expect(splitEscapedWords(`a 'b c`)).toBeUndefined();
});

test.each([
  ['abcd" efg h jkl "mnop', ['abcd efg h jkl mnop']],
  ['abcd "efg h jkl" mnop', ['abcd', 'efg h jkl', 'mnop']],
  [`"/bin/sh -c 'a b'" root`, ["/bin/sh -c 'a b'", 'root']],
  ['\\\\ \\" "\\""', ['\\', '"', '"']],
  ['"\\a\\b\\E\\f\\n\\r\\t\\v"', ['\x07\b\x1b\f\n\r\t\v']],
  ['\\101\\x41\\x1241\\cA\\q', ['AAA\x01q']],
  ["''", ['']],
])('escaped words of %j: %j', (line, words) => {
  expect(splitEscapedWords(line)).toEqual(words);
});

test('a command line: single quotes keep blanks, backslashes stand for themselves', () => {
  expect(splitCommand(`/bin/x 'a b' c\\d`)).toEqual(['/bin/x', 'a b', 'c\\d']);
});

test.each([
  ['  a b # c', { text: 'a b', column: 3, isContinued: false }],
  ['! c', { text: '', column: 1, isContinued: false }],
  ['a!b', { text: 'a', column: 1, isContinued: false }],
  ['a "b # c" ! d', { text: 'a "b # c"', column: 1, isContinued: false }],
  ['a \\# b', { text: 'a # b', column: 1, isContinued: false }],
  ['$A= \\', { text: '$A=', column: 1, isContinued: true }],
  ['a "\\" # b"', { text: 'a "\\" # b"', column: 1, isContinued: false }],
])('%j without its comment: %j', (line, bare) => {
  expect(decomment(line)).toEqual(bare);
});
