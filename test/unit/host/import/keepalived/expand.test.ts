// biome-ignore-all lint/suspicious/noTemplateCurlyInString: keepalived's parameters look like this.
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { expandLines } from '../../../../../host/import/keepalived/expand.ts';
import { ImportLimitError, ImportReport } from '../../../../../host/import/report.ts';
import { folderOf } from '../support.ts';

const OPTIONS = { configId: 'main', random: () => 0.5 };

/** `LINE text` of what is left of a text; errors and notes come after it. */
function expanded(text: string, file = 'in.conf'): string[] {
  const report = new ImportReport();
  const lines = expandLines({ file, text }, OPTIONS, report);
  return [
    ...lines.map(({ text: left, origin }) => `${origin.line} ${left}`),
    ...report.errors.map(({ line, message }) => `error ${line} ${message}`),
    ...report.notes.map(({ line, message }) => `note ${line} ${message}`),
  ];
}

describe('conditions', () => {
  test('lines for this machine stay, those for others go', () => {
    const text = '@main a\n@other b\n@^main c\n@^other d\n@main\n  @main\te f\n';
    expect(expanded(text)).toEqual(['1 a', '4 d', '6 e f']);
  });

  test('a definition of several lines for others goes as a whole', () => {
    const text = '@other $A= \\\n  x \\\n  y\n@main $A= \\\n  z\n$A\n';
    expect(expanded(text)).toEqual(['6 z']);
  });

  test('a condition may come out of a parameter', () => {
    expect(expanded('$IF=@main\n$IF a\n$NOT=@^main\n$NOT b\n')).toEqual(['2 a']);
  });
});

describe('parameters', () => {
  test('are replaced when a line is read, not when they are defined', () => {
    const text = [
      '$BASE=10.2.${SUB}',
      '$SUB=0',
      '${BASE}.100/32',
      '$SUB=10',
      '${BASE}.100/32',
      '$SUB end',
      'x$SUBy ${SUB}y $UNKNOWN ${UNKNOWN}',
    ];
    expect(expanded(text.join('\n'))).toEqual([
      '3 10.2.0.100/32',
      '5 10.2.10.100/32',
      '6 10 end',
      '7 x$SUBy 10y $UNKNOWN ${UNKNOWN}',
    ]);
  });

  test('several lines, in each other, each line on its own', () => {
    const text = [
      '$RS= \\',
      '  real ${VS}.${RS} { \\',
      '    weight 1 \\',
      '  }',
      '$SERVER= \\',
      'virtual ${VS} { \\',
      '  $RS=1 \\',
      '  $RS_NUM=2 \\',
      '  x $RS_NUM \\',
      '}',
      '$VS=7',
      '$SERVER',
    ];
    expect(expanded(text.join('\n'))).toEqual(['12 virtual 7 {', '12 x 2', '12 }']);
  });

  test('a definition ends with a line that is empty', () => {
    expect(expanded('$A= \\\n  x \\\n\ny\n$A\n')).toEqual(['4 y', '5 x']);
  });

  test('those that keepalived defines', () => {
    const folder = folderOf({});
    const text = '${_PWD}/a ${_INSTANCE} ${_RANDOM 5 6} ${_RANDOM} a${_HASH}b ${_BANG}\n';
    expect(expanded(text, join(folder, 'in.conf'))).toEqual([`1 ${folder}/a main 6 16384 a#b !`]);
  });

  test('one that stands for itself: there is no end to it, which is an error', () => {
    expect(() => expanded('$A=x$B\n$B=${A} ${A}\nb ${A}\n')).toThrow(ImportLimitError);
    expect(() => expanded('$A= \\\n  $A \\\n  $A\n$A\n')).toThrow(ImportLimitError);
  });
});

describe('sequences', () => {
  test.each([
    ['~SEQ(N, 0, 3) ip 10.0.${N}.1', ['ip 10.0.0.1', 'ip 10.0.1.1', 'ip 10.0.2.1', 'ip 10.0.3.1']],
    ['~SEQ(N, 3) a$N a ${N}', ['a1 a 1', 'a2 a 2', 'a3 a 3']],
    ['~SEQ(N, -2) ${N}', ['-1', '-2']],
    ['~SEQ(N, 5, -2, 1) ${N}', ['5', '3', '1']],
    ['~SEQ(N, 4, 2) ${N}', ['4', '3', '2']],
    ['~SEQx(N, 0x90, 0x10, 0xc0) ${N}', ['90', 'a0', 'b0', 'c0']],
    ['~SEQ(A, 1, 2) ~SEQ(B, 3, 4) ${A}${B}', ['13', '14', '23', '24']],
    ['~LST(IP, 1, x, 3) ${IP}', ['1', 'x', '3']],
    ['~LST({A, B}, {10,1},{20,4}) ${A}.${B}', ['10.1', '20.4']],
    ['~LST(A, p, q) ~SEQ(B, 2) ${A}${B}', ['p1', 'p2', 'q1', 'q2']],
  ])('%s', (line, lines) => {
    expect(expanded(line)).toEqual(lines.map((text) => `1 ${text}`));
  });

  test('their limits may be parameters, what they repeat may be several lines', () => {
    const text = '$LAST=2\n$B= \\\n  x ${N} \\\n  y ${N}\n~SEQ(N, 1, $LAST) $B\n';
    expect(expanded(text)).toEqual(['5 x 1', '5 y 1', '5 x 2', '5 y 2']);
  });

  test.each([
    '~SEQ(A) x',
    '~SEQ(A,1,2 x',
    '~SEQ(A,1,-1,2) x',
    '~SEQ(A,1,0,2) x',
    '~SEQ(1,2) x',
    '~SEQx(A,-1,2) x',
    '~LST(A) x',
    '~LST({A,B},{1}) x',
    "~LST(A, 'b c') x",
    '~SEQ(A,1,99999999) x',
  ])('%s: an error', (line) => {
    expect(expanded(line)).toEqual([expect.stringMatching(/^error 1 expected ~(SEQ|LST)\(/)]);
  });
});

describe('includes', () => {
  test('relative to the file they are in, with patterns and braces, in order', () => {
    const folder = folderOf({
      'd/a.conf': 'a\ninclude sub/x.conf\nb\n',
      'd/b.conf': 'c ${_PWD}\n',
      'd/sub/x.conf': 'x\n',
      'e.conf': 'e\n',
    });
    const text = 'include d/*.conf\ninclude {e,d/sub/x}.conf\nlast\n';
    expect(expanded(text, join(folder, 'in.conf'))).toEqual([
      '1 a',
      '1 x',
      '3 b',
      `1 c ${folder}/d`,
      '1 e',
      '1 x',
      '3 last',
    ]);
  });

  test('a file that is missing: a note, or an error where it has to be there', () => {
    const file = join(folderOf({ 'a.conf': 'a\n' }), 'in.conf');
    expect(expanded('include x.conf', file)).toEqual(['note 1 no file matches x.conf']);
    expect(expanded('include x*.conf', file)).toEqual([]);
    expect(expanded('includer x.conf', file)).toEqual([]);
    expect(expanded('includem x.conf', file)).toEqual(['error 1 no file matches x.conf']);
    expect(expanded('includem x*.conf', file)).toEqual([]);
    expect(expanded('includew x*.conf', file)).toEqual(['error 1 no file matches x*.conf']);
    expect(expanded('includeb {a,x}.conf', file)).toEqual([
      '1 a',
      'error 1 no file matches x.conf',
    ]);
    expect(expanded('includea x.conf', file)).toEqual(['error 1 no file matches x.conf']);
  });

  test('include_check makes all that follow strict, those of an included file only there', () => {
    const folder = folderOf({ 'a.conf': 'include_check\n' });
    const file = join(folder, 'in.conf');
    expect(expanded('include a.conf\ninclude x.conf', file)).toEqual([
      '1 include_check',
      'note 2 no file matches x.conf',
    ]);
    expect(expanded('include_check match\ninclude x.conf', file)).toEqual([
      '1 include_check match',
      'error 2 no file matches x.conf',
    ]);
    const relaxed = 'include_check\ninclude_check -match -wildcard_match\ninclude x.conf';
    expect(expanded(relaxed, file).slice(2)).toEqual([]);
  });

  test('a file that includes itself, or is a folder or a program: not read', () => {
    const folder = folderOf({
      'a.conf': 'include b.conf\n',
      'b.conf': 'include a.conf\n',
      'd/x': '',
    });
    const file = join(folder, 'in.conf');
    expect(expanded('include a.conf', file)).toEqual([`error 1 ${folder}/a.conf includes itself`]);
    expect(expanded('include d', file)).toEqual([
      `note 1 ${folder}/d is no regular file without execute permission: not included`,
    ]);
    expect(expanded('includer d', file)).toEqual([
      `error 1 ${folder}/d is no regular file without execute permission: not included`,
    ]);
  });
});
