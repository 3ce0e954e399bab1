import { describe, expect, test } from 'vitest';
import { restoreLines } from '../../../../host/ipvsadm/restore-lines.ts';
import { FakeControl } from './fake-control.ts';
import { run, setUp } from './support.ts';

describe('restoreLines', () => {
  test.each([
    ['', []],
    ['a b\n\n  c\td\r\n', [['a', 'b'], [], ['c', 'd'], []]],
    ['a', [['a']]],
    ['a ', [['a']]],
    ['a \t', []],
    ['ipvsadm -C\nx ipvsadm y', [['-C'], ['x', 'y']]],
    ['# a', [['#', 'a']]],
  ])('%j', (text, lines) => {
    const expected = lines.length === 0 ? [] : lines;
    const words = restoreLines(text).map(({ args }) => args);
    expect(words.filter((line) => line.length > 0)).toEqual(
      expected.filter((line) => line.length > 0),
    );
  });

  test('lines have their numbers, empty ones count', () => {
    expect(restoreLines('a\n\nb\n').filter(({ args }) => args.length > 0)).toEqual([
      { number: 1, args: ['a'] },
      { number: 3, args: ['b'] },
    ]);
  });
});

describe('-R --atomic', () => {
  const LINES = `# two services
-A -t 192.0.2.80:80 -s rr

-a -t 192.0.2.80:80 -r 10.0.0.1 -m
-A -u 192.0.2.80:53
--set 1 2 3
`;

  test('applies all lines in one batch', () => {
    const control = new FakeControl();
    expect(run(control, '-R --atomic', LINES)).toMatchObject({ code: 0, stdout: '', stderr: '' });
    expect(control.batches).toBe(1);
    expect(run(control, '-Sn --lossless').stdout).toBe(`--set 1 2 3
-A -t 192.0.2.80:80 -s rr
-a -t 192.0.2.80:80 -r 10.0.0.1:80 -m -w 1
-A -u 192.0.2.80:53 -s wlc
`);
  });

  test('names every wrong line and applies none', () => {
    const control = new FakeControl();
    setUp(control, '-A -t 192.0.2.81:80 -s rr');
    const before = run(control, '-Sn --lossless').stdout;
    const lines = `${LINES}-A -t 192.0.2.81:80
-a -t 192.0.2.80:80 -r 10.0.0.1 -m
-a -t 192.0.2.80:80 -r 10.0.0.2 -w x
-e -t 192.0.2.80:80 -r 10.0.0.3
-bogus
-A -t 192.0.2.82:80 -q
-Ln
-v
-R
`;
    expect(run(control, '-R --atomic', lines)).toMatchObject({
      code: 255,
      stdout: '',
      stderr: `line 7: Service already exists
line 8: Destination already exists
line 9: illegal weight specified
line 10: No such destination
line 11: Try \`ipvsadm -h' or 'ipvsadm --help' for more information.
line 12: -q: unknown option
line 13: Illegal 'list' command in an atomic restore
line 14: Not a command that changes rules
line 15: Illegal 'restore' command in an atomic restore
Nothing was restored: 9 of 13 lines are wrong
`,
    });
    expect(control.batches).toBe(0);
    expect(run(control, '-Sn --lossless').stdout).toBe(before);
  });

  test('takes all back when the director refuses what the copy did not', () => {
    const control = new FakeControl();
    setUp(
      control,
      '-A -t 192.0.2.80:80 -s sh -b sh-port -p 5',
      '-a -t 192.0.2.80:80 -r 10.0.0.1 -m -x 5',
      '-a -t 192.0.2.80:80 -r 10.0.0.2 -m -w 7',
      '-a -t 192.0.2.80:80 -r 10.0.0.3 -g',
      '-P -t 192.0.2.80:80 -z 10.0.0.250',
      '-A -f 7 -6',
    );
    const saved = run(control, '-Sn --lossless').stdout;
    const listed = run(control, '-Ln -t 192.0.2.80:80 --nosort').stdout;
    control.unwantedServer = '10.0.0.9';
    const lines = `--set 7 7 7
-E -t 192.0.2.80:80 -s rr
-e -t 192.0.2.80:80 -r 10.0.0.1 -m -w 3
-d -t 192.0.2.80:80 -r 10.0.0.3
-a -t 192.0.2.80:80 -r 10.0.0.4 -m
-Q -t 192.0.2.80:80 -z 10.0.0.250
-P -t 192.0.2.80:80 -z 10.0.0.251
-D -f 7 -6
-C
-A -t 192.0.2.80:80
-a -t 192.0.2.80:80 -r 10.0.0.9 -m
`;
    expect(run(control, '-R --atomic', lines)).toMatchObject({
      code: 255,
      stderr: 'line 11: Memory allocation problem\nNothing was restored: 1 of 11 lines are wrong\n',
    });
    expect(run(control, '-Sn --lossless').stdout).toBe(saved);
    // A server that was deleted comes back as the newest one.
    expect(run(control, '-Ln -t 192.0.2.80:80 --nosort').stdout).toBe(listed);
  });

  test('--atomic is for -R only', () => {
    expect(run(new FakeControl(), '-S --atomic')).toMatchObject({
      code: 2,
      stderr: "Illegal 'atomic' option with the 'save' command\n",
    });
  });
});
