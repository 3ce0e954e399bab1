import { describe, expect, it } from 'vitest';
import { complained, printed, Shell } from '../../../../host/replay/shell.ts';

const FILES: Readonly<Record<string, string>> = {
  '/proc/net/': 'ip_vs\nip_vs_conn\nother\n',
  '/dir/': 'a\nb\n',
  '/file': 'one\ntwo\nthree\n',
};

function shell(): Shell {
  return new Shell(
    {
      say: (words) => printed(`${words.join('+')}\n`),
      read: (_words, stdin) => printed(stdin.toUpperCase()),
      fail: () => ({ code: 3, merged: 'err\nout\n', stdout: 'out\n', stderr: 'err\n' }),
      refuse: () => complained('no\n', 2),
    },
    (path) => FILES[path],
  );
}

describe('Shell', () => {
  it.each([
    ['a program', 'say a "b c" d', 0, 'a+b c+d\n'],
    ['quotes inside a word', `say a'b  c'd`, 0, 'ab  cd\n'],
    ['a pipeline', 'say x | read', 0, 'X\n'],
    ['a pipeline: what is not its last stdout is still seen', 'fail | read', 0, 'err\nOUT\n'],
    ['a pipeline: the last code counts', 'say x | refuse', 2, 'no\n'],
    ['&& after success', 'say a && say b', 0, 'a\nb\n'],
    ['&& after failure', 'refuse && say b', 2, 'no\n'],
    ['|| after failure', 'refuse || say b', 0, 'no\nb\n'],
    ['|| after success', 'say a || say b', 0, 'a\n'],
    ['a list', 'refuse; say b;', 0, 'no\nb\n'],
    ['errors thrown away', 'fail 2>/dev/null', 3, 'out\n'],
    ['output to a file, and read again', 'say x > /tmp/f && read < /tmp/f', 0, 'X\n'],
    [
      'a file that is not there',
      'read < /nowhere',
      2,
      'sh: 1: cannot open /nowhere: No such file\n',
    ],
    ['an unknown program', 'frobnicate x', 127, 'sh: 1: frobnicate: not found\n'],
    ['cat', 'cat /file /nowhere', 1, 'one\ntwo\nthree\ncat: /nowhere: No such file or directory\n'],
    [
      'ls of a pattern and a directory',
      'ls /proc/net/ip_vs* /dir',
      0,
      '/proc/net/ip_vs\n/proc/net/ip_vs_conn\n\n/dir:\na\nb\n',
    ],
    ['head', 'cat /file | head -2', 0, 'one\ntwo\n'],
    ['tail', 'cat /file | tail -n 1', 0, 'three\n'],
    ['grep', 'cat /file | grep t', 0, 'two\nthree\n'],
    ['grep without a match', 'cat /file | grep x', 1, ''],
    ['grep -v -e', 'cat /file | grep -v -e one -e two', 0, 'three\n'],
    ['printf, its format used again', `printf '%s\\n' a '' b`, 0, 'a\n\nb\n'],
    ['diff of equal files', 'say x > /a && say x | diff /a -', 0, ''],
    ['diff of other files', 'say x > /a && say y | diff /a -', 1, 'Files /a and - differ\n'],
    ['an open quote', "say 'x", 2, 'sh: 1: Syntax error: Unterminated quoted string\n'],
    ['a pipe to nowhere', 'say x |', 2, 'sh: 1: Syntax error: ";" unexpected\n'],
  ])('%s', (_what, line, code, text) => {
    expect(shell().run(line)).toEqual({ code, text });
  });
});
