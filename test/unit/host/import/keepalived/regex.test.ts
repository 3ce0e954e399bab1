import { expect, test } from 'vitest';
import { translateRegex } from '../../../../../host/import/keepalived/regex.ts';

/** Whether a translated expression matches. */
function matches(source: string, options: readonly string[], text: string): boolean {
  const result = translateRegex(source, options);
  if ('trouble' in result) throw new Error(result.trouble);
  return new RegExp(result.source, `u${result.flags ?? ''}`).test(text);
}

// What PCRE2 10.42 does with the same.
test.each([
  ['^ok$', [], 'ok', true],
  ['^ok$', [], 'ok\n', true],
  ['^ok$', [], 'ok\n\n', false],
  ['^ok$', [], 'ok\nno', false],
  ['^ok$', ['dollar_endonly'], 'ok\n', false],
  ['^ok$', ['multiline'], 'no\nok\nno', true],
  ['^ok$', ['multiline'], 'no\r\nok\r\n', false],
  ['a.b', [], 'a\rb', true],
  ['a.b', [], 'a\nb', false],
  ['a.b', ['dotall'], 'a\nb', true],
  ['OK', ['caseless'], 'ok', true],
  ['a b # c', ['extended'], 'ab', true],
  ['a\\ b', ['extended'], 'a b', true],
  ['a[ #]b', ['extended'], 'a#b', true],
  ['\\Aok\\z', ['multiline'], 'ok', true],
  ['\\Aok\\z', ['multiline'], 'ok\n', false],
  ['\\Aok\\Z', [], 'ok\n', true],
  ['a\\-b\\"\\:\\#\\<', [], 'a-b":#<', true],
  ['[\\d\\-x.$^]+', ['dotall'], '-', true],
  ['^[.]$', [], 'x', false],
  ['a\\vb', [], 'a\nb', true],
  ['\\d{3}\\.\\w+', [], '123.abc', true],
  ['(a)(b)?\\1', ['ungreedy', 'utf'], 'aa', true],
] as const)('%j with %j on %j → %s', (source, options, text, expected) => {
  expect(matches(source, options, text)).toBe(expected);
});

test.each([
  ['a++', [], 'WVS does not understand "a++"'],
  ['[[:alpha:]]', [], 'WVS does not understand "[[:alpha:]]"'],
  ['[]a]', [], 'WVS does not understand "[]a]"'],
  ['(?i)a', [], 'WVS does not understand "(?i)a"'],
  ['\\Qa.b\\E', [], 'WVS does not understand "\\Qa.b\\E"'],
  ['\\h', [], 'WVS does not understand "\\h"'],
  ['(', [], 'WVS does not understand "("'],
  ['a', ['firstline', 'alt_bsux'], 'WVS has no option firstline, alt_bsux for it'],
] as const)('%j with %j → %s', (source, options, trouble) => {
  expect(translateRegex(source, options)).toEqual({ trouble });
});
