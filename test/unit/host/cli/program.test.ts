import { describe, expect, test } from 'vitest';
import type { CommandDefinition, CommandInput } from '../../../../host/cli/command.ts';
import { COMMANDS } from '../../../../host/cli/commands.ts';
import { socketPath } from '../../../../host/cli/socket-option.ts';
import { wvs } from './support.ts';

/** Commands that only note what they were given. */
function recording(): { commands: CommandDefinition[]; inputs: CommandInput[] } {
  const inputs: CommandInput[] = [];
  const load = async () => async (input: CommandInput) => {
    inputs.push(input);
    return 7;
  };
  const commands: CommandDefinition[] = [
    {
      name: 'play',
      summary: 'play',
      arguments: [{ syntax: '[trace]', description: 'a recording' }],
      options: [
        { flags: '--in <port=file>', description: 'a capture', isRepeatable: true },
        { flags: '--out <directory>', description: 'where to', isRequired: true },
      ],
      needsDirector: true,
      load,
    },
    { name: 'ipvsadm', summary: 'ipvsadm', passesThrough: true, load },
  ];
  return { commands, inputs };
}

describe('help', () => {
  test('lists every command', async () => {
    const { code, stdout, stderr } = await wvs(['--help']);
    expect(code).toBe(0);
    expect(stderr).toBe('');
    for (const { name } of COMMANDS) expect(stdout).toMatch(new RegExp(`^  ${name} `, 'm'));
  });

  const own = COMMANDS.filter(({ passesThrough }) => !passesThrough);
  test.each(own.map(({ name }) => name))('%s --help', async (name) => {
    const { code, stdout } = await wvs([name, '--help']);
    expect(code).toBe(0);
    expect(stdout).toContain(`Usage: wvs ${name}`);
  });

  test('no command: the help, as an error', async () => {
    const { code, stdout, stderr } = await wvs([]);
    expect(code).toBe(2);
    expect(stdout).toBe('');
    expect(stderr).toContain('Usage: wvs');
  });

  test('--version', async () => {
    expect(await wvs(['--version'])).toMatchObject({ code: 0, stdout: '0.1.0\n' });
  });
});

describe('wrong usage exits with 2', () => {
  test.each([
    [['chek'], "wvs: unknown command 'chek'\n(Did you mean check?)\n"],
    [['--foo'], "wvs: unknown option '--foo'\n"],
    [['check', '--foo', '--config', 'x'], "wvs: unknown option '--foo'\n"],
    [['check', '--confg', 'x'], "wvs: unknown option '--confg'\n(Did you mean --config?)\n"],
    [['check'], "wvs: required option '--config <file>' not specified\n"],
    [['check', '--config'], "wvs: option '--config <file>' argument missing\n"],
    [
      ['check', '--config', 'x', 'y'],
      "wvs: too many arguments for 'check'. Expected 0 arguments but got 1.\n",
    ],
    [['status', '--jso'], "wvs: unknown option '--jso'\n(Did you mean --json?)\n"],
  ])('%j', async (parameters, message) => {
    const { code, stdout, stderr } = await wvs(parameters);
    expect(code).toBe(2);
    expect(stdout).toBe('');
    expect(stderr.startsWith(message), stderr).toBe(true);
  });
});

describe('a command', () => {
  test('gets its arguments and options, and its result is the exit code', async () => {
    const { commands, inputs } = recording();
    const parameters = ['play', 'a.jsonl', '--in', 'wan=a', '--in', 'lan=b', '--out', 'd'];
    expect(await wvs(parameters, { commands })).toMatchObject({ code: 7, stderr: '' });
    expect(inputs).toEqual([
      { arguments: ['a.jsonl'], options: { in: ['wan=a', 'lan=b'], out: 'd' } },
    ]);
  });

  test('that throws: one line and exit code 1', async () => {
    const load = async () => async () => {
      throw new Error('no such thing');
    };
    const commands = [{ name: 'fail', summary: 'fail', load }];
    expect(await wvs(['fail'], { commands })).toEqual({
      code: 1,
      stdout: '',
      stderr: 'wvs: no such thing\n',
    });
  });

  test.each([
    [['play', '--out', 'd'], {}, '/run/wvs/wvs.sock'],
    [['play', '--out', 'd'], { WVS_SOCKET: '/a' }, '/a'],
    [['play', '--out', 'd'], { WVS_SOCKET: '' }, '/run/wvs/wvs.sock'],
    [['play', '--out', 'd', '--socket', '/b'], { WVS_SOCKET: '/a' }, '/b'],
    [['--socket', '/c', 'play', '--out', 'd'], { WVS_SOCKET: '/a' }, '/c'],
    [['--socket', '/c', 'play', '--out', 'd', '--socket', '/b'], {}, '/b'],
    [['--socket', '/c', 'ipvsadm', '-Ln'], { WVS_SOCKET: '/a' }, '/c'],
    [['ipvsadm', '-Ln', '--socket=/d'], { WVS_SOCKET: '/a' }, '/d'],
  ])('%j finds the socket', async (parameters, environment, socket) => {
    const { commands, inputs } = recording();
    await wvs(parameters, { commands, environment });
    expect(socketPath(inputs[0]!, { environment })).toBe(socket);
  });
});

describe('ipvsadm gets everything after its name', () => {
  test.each([
    [['-Ln']],
    [['--help']],
    [['-h']],
    [['--version']],
    [['--nonsense', '--', '-x', '']],
    [['-A', '-t', '192.0.2.80:80', '-s', 'wrr', '--config']],
    [[]],
  ])('%j', async (parameters) => {
    const { commands, inputs } = recording();
    expect((await wvs(['ipvsadm', ...parameters], { commands })).code).toBe(7);
    expect(inputs).toEqual([{ arguments: parameters, options: {} }]);
  });
});
