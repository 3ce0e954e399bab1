// What is made from the command table: current, complete, and understood by who reads it.

import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { bashCompletion, zshCompletion } from '../../../../host/appliance/completion.ts';
import { manualPage } from '../../../../host/appliance/manual.ts';
import { applianceFiles } from '../../../../host/appliance/write-files.ts';
import type { CommandDefinition } from '../../../../host/cli/command.ts';
import { COMMANDS } from '../../../../host/cli/commands.ts';

const load = () => Promise.reject(new Error('not called'));

/** A table with everything that a definition may have. */
const TABLE: readonly CommandDefinition[] = [
  {
    name: 'measure',
    summary: "the length of a packet's way",
    arguments: [{ syntax: '<file>', description: '.dot files too' }],
    options: [
      { flags: '-o, --output <file>', description: 'where to write', isRequired: true },
      { flags: '--direction <in|out|both>', description: 'which: one [or both]' },
      { flags: '--in <port=file>', description: 'a capture', isRepeatable: true },
    ],
    load,
  },
  { name: 'watch', summary: 'look on', needsDirector: true, load },
  { name: 'ipvsadm', summary: 'as ipvsadm', passesThrough: true, load },
];

/** What bash offers for a command line whose last word is being completed. */
function complete(...words: readonly string[]): string[] {
  const script = [
    bashCompletion(TABLE),
    `COMP_WORDS=(${words.map((word) => `'${word}'`).join(' ')})`,
    `COMP_CWORD=${words.length - 1}`,
    '_wvs',
    `printf '%s\\n' "\${COMPREPLY[@]}"`,
  ].join('\n');
  const run = spawnSync('bash', ['-c', script], { encoding: 'utf8', cwd: '/proc/self' });
  expect(run.stderr).toBe('');
  return run.stdout.split('\n').filter((line) => line !== '');
}

describe('the shipped files', () => {
  test.each([...applianceFiles().keys()])('%s is current', (name) => {
    const shipped = new URL(`../../../../host/appliance/${name}`, import.meta.url);
    expect(readFileSync(shipped, 'utf8'), 'out of date: npm run generate').toBe(
      applianceFiles().get(name),
    );
  });

  test('every command and option is in each of them', () => {
    for (const [name, text] of applianceFiles()) {
      const plain = text.replaceAll('\\-', '-');
      for (const { name: command, options = [] } of COMMANDS) {
        expect(plain, name).toContain(command);
        for (const { flags } of options) {
          for (const option of flags.match(/--?[a-z][\w-]*/g) ?? []) {
            expect(plain, name).toContain(option);
          }
        }
      }
    }
  });
});

describe('the manual page', () => {
  const page = manualPage(TABLE, '1.2.3');

  test('options, arguments and notes', () => {
    expect(page).toContain('.TP\n.B \\-o, \\-\\-output \\fI<file>\\fB\nWhere to write (required).');
    expect(page).toContain('A capture (may be given several times).');
    expect(page).toContain('The length of a packet\\(aqs way.');
    expect(page).toContain('\\fB\\-\\-socket\\fR');
  });

  test('no line of text is taken for a request', () => {
    expect(page).toContain('\n\\&.dot files too.');
    for (const line of page.split('\n')) {
      if (line.startsWith('.')) expect(line).toMatch(/^\.(\\"|TH|SH|SS|TP|PP|B|BR|I|br)( |$)/);
      expect(line).not.toMatch(/^'/);
    }
  });

  test('man finds nothing to warn of', (context) => {
    const input = manualPage(COMMANDS, '1.2.3');
    const run = spawnSync('man', ['--warnings', '-l', '-'], { input, encoding: 'utf8' });
    if (run.error !== undefined) context.skip('man is not installed');
    expect([run.status, run.stderr]).toEqual([0, '']);
    expect(run.stdout).toMatch(/wvs run/);
  });
});

describe('completion in bash', () => {
  test('commands first', () => {
    expect(complete('wvs', 'w')).toEqual(['watch']);
    expect(complete('wvs', '--socket', '/x', 'm')).toEqual(['measure']);
  });

  test('options of the command', () => {
    expect(complete('wvs', 'measure', '--o')).toEqual(['--output']);
    expect(complete('wvs', 'watch', '--')).toEqual(['--socket', '--help']);
    expect(complete('wvs', 'ipvsadm', '-')).toEqual([]);
  });

  test('values: choices, files, anything', () => {
    expect(complete('wvs', 'measure', '--direction', '')).toEqual(['in', 'out', 'both']);
    expect(complete('wvs', 'measure', '-o', 'statu')).toEqual(['status']);
    expect(complete('wvs', 'measure', '--in', 'sta')).toEqual([]);
  });

  test('arguments are files', () => {
    expect(complete('wvs', 'measure', 'statu')).toEqual(['status']);
  });
});

describe('completion in zsh', () => {
  test('specifications as _arguments has them', () => {
    const text = zshCompletion(TABLE);
    expect(text).toContain("'--direction[which\\: one \\[or both\\]]:in|out|both:(in out both)'");
    expect(text).toContain(
      "'-o[where to write]:file:_files' '--output[where to write]:file:_files'",
    );
    expect(text).toContain("'*--in[a capture]:port=file: '");
    expect(text).toContain("'measure:the length of a packet'\\''s way'");
  });

  test('zsh takes it', (context) => {
    const run = spawnSync('zsh', ['-n'], { input: zshCompletion(COMMANDS), encoding: 'utf8' });
    if (run.error !== undefined) context.skip('zsh is not installed');
    expect([run.status, run.stderr]).toEqual([0, '']);
  });
});
