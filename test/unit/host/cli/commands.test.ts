import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, describe, expect, test } from 'vitest';
import type { ConfigProblem } from '../../../../host/config/types.ts';
import type { ExplainRequest, ExplainResult } from '../../../../host/control/api.ts';
import { ControlError, type ControlHandlers } from '../../../../host/control/handlers.ts';
import { type ControlServer, createControlServer } from '../../../../host/control/server.ts';
import { FakeDirector, STATUS } from '../control/support.ts';
import { wvs } from './support.ts';

const directory = mkdtempSync(join(tmpdir(), 'wvs-cli-'));
const socket = join(directory, 'wvs.sock');
let server: ControlServer | undefined;

afterEach(async () => {
  await server?.close();
  server = undefined;
});
afterAll(() => rmSync(directory, { recursive: true }));

async function start(handlers: ControlHandlers): Promise<void> {
  server = await createControlServer({ path: socket, handlers });
}

describe('check', () => {
  function write(text: string): string {
    const file = join(directory, 'wvs.yaml');
    writeFileSync(file, text);
    return file;
  }

  test('a good file: one line on stdout, exit code 0', async () => {
    const file = write(
      'version: 1\ndirector: { ports: [{ name: wan }] }\n' +
        "services: [{ listen: '192.0.2.80:80/tcp', servers: [{ address: 10.0.0.1 }] }]\n",
    );
    expect(await wvs(['check', '--config', file])).toEqual({
      code: 0,
      stdout: `${file}: ok: 1 port, 1 service, 1 server\n`,
      stderr: '',
    });
  });

  test('a wrong file: every error with its place on stderr, exit code 1', async () => {
    const file = write('version: 1\ndirector: { ports: [{ nam: wan }] }\nservices: 7\n');
    expect(await wvs(['check', '--config', file])).toEqual({
      code: 1,
      stdout: '',
      stderr:
        `${file}:2:21: director.ports[0].name: missing key "name": expected a name of up to ` +
        '15 letters, digits, dots, dashes and underscores\n' +
        `${file}:2:23: director.ports[0].nam: unknown key "nam"; did you mean "name"?\n` +
        `${file}:3:11: services: expected a list, got 7\n`,
    });
  });

  test('warnings are printed and do not fail', async () => {
    const file = write(
      'version: 1\ndirector: { ports: [{ name: wan }] }\nservices: [{ listen: mark 7 }]\n',
    );
    expect(await wvs(['check', '--config', file])).toMatchObject({
      code: 0,
      stderr:
        `${file}:3:22: warning: services[0].listen: no rule under \`marks\` gives IPv4 packets ` +
        'the mark 7\n',
    });
  });

  test('no file', async () => {
    expect(await wvs(['check', '--config', '/nowhere.yaml'])).toEqual({
      code: 1,
      stdout: '',
      stderr: '/nowhere.yaml:1:1: no such file\n',
    });
  });
});

describe('status', () => {
  test('tables for people', async () => {
    await start(new FakeDirector());
    const { code, stdout } = await wvs(['status', '--socket', socket]);
    expect(code).toBe(0);
    expect(stdout).toBe(
      [
        'wvs 0.1.0, process 42, up 1d 2h',
        'configuration /etc/wvs.yaml, generation 3, loaded 2026-01-02T03:04:05.000Z',
        'connections 1,234 of 1,000,000',
        '',
        'WORKER  STATE    BUSY  PACKETS/BURST  RECEIVED    SENT  DROPPED  RESTARTS',
        '0       running   13%           23.1    12,345  12,300       45         1',
        '',
        'PORT  INTERFACE  LINK  MODE               QUEUES  RX/S  RX BIT/S  TX/S  TX BIT/S',
        'wan   eth0       up    native, zero-copy       2  1.2M        8G     0         0',
        '',
        'SERVICE                HOW     FROM     WEIGHT  HEALTH                     ACTIVE' +
          '  INACTIVE  CONN/S  IN/S  OUT/S',
        'web tcp 192.0.2.80:80  wrr     file             1/2 up                      1,000' +
          '       234      12  1.5k      0',
        '  -> 10.0.0.11:80      nat                   3  up                          1,000' +
          '       234      12  1.5k      0',
        '  -> 10.0.0.12:80      tunnel                1  down (connection refused)       0' +
          '         0       0     0      0',
        'mark 7                 rr      ipvsadm          0/0 up                          0' +
          '         0      12  1.5k      0',
        '',
        'DROPPED BECAUSE OF  PACKETS',
        'no-server                 2',
        '',
        'COUNTER          PACKETS',
        'received-frames   12,345',
        '',
      ].join('\n'),
    );
  });

  test('JSON for programs: what the director said', async () => {
    await start(new FakeDirector());
    const { stdout } = await wvs(['status', '--json'], { environment: { WVS_SOCKET: socket } });
    expect(JSON.parse(stdout)).toEqual(STATUS);
  });

  test('no director: one line, exit code 1', async () => {
    expect(await wvs(['status', '--socket', '/nowhere.sock'])).toEqual({
      code: 1,
      stdout: '',
      stderr: 'wvs: no director answers at /nowhere.sock: no such socket\n',
    });
  });
});

describe('explain', () => {
  const environment = { WVS_SOCKET: socket };
  const RESULT: ExplainResult = {
    protocol: 'tcp',
    client: '198.51.100.1:1000',
    virtual: '192.0.2.80:80',
    steps: [
      { step: 'mark', result: 'no mark', facts: { mark: 0 } },
      { step: 'local address', result: "192.0.2.80 is the director's", facts: { local: true } },
    ],
    outcome: 'drop',
    verdict: 'dropped: no route',
    reason: 'drop-no-route-to-destination',
  };
  const asked: ExplainRequest[] = [];
  const explain = (request: ExplainRequest) => {
    asked.push(request);
    return RESULT;
  };

  test('the steps, then what they come to', async () => {
    await start({ status: () => STATUS, explain });
    const parameters = ['explain', 'TCP', '198.51.100.1:1000', '192.0.2.80:80'];
    expect(await wvs(parameters, { environment })).toEqual({
      code: 0,
      stdout: [
        'tcp 198.51.100.1:1000 -> 192.0.2.80:80',
        '',
        '  mark           no mark',
        "  local address  192.0.2.80 is the director's",
        '',
        '=> dropped: no route (counted as drop-no-route-to-destination)',
        '',
      ].join('\n'),
      stderr: '',
    });
    expect(asked).toEqual([
      { protocol: 'tcp', client: '198.51.100.1:1000', virtual: '192.0.2.80:80' },
    ]);
  });

  test('--json: the answer as it is; --first goes along', async () => {
    await start({ status: () => STATUS, explain });
    const parameters = ['explain', 'tcp', 'a:1', 'b:2', '--json', '--first'];
    expect(JSON.parse((await wvs(parameters, { environment })).stdout)).toEqual(RESULT);
    expect(asked.at(-1)).toEqual({ protocol: 'tcp', client: 'a:1', virtual: 'b:2', first: true });
  });

  test.each([[['explain', 'tcp', 'a:1']], [['explain']]])(
    '%j: something is missing',
    async (all) => {
      expect(await wvs(all, { environment })).toMatchObject({ code: 2, stdout: '' });
    },
  );

  test('another protocol is refused', async () => {
    await start({ status: () => STATUS, explain });
    const outcome = await wvs(['explain', 'icmp', 'a:1', 'b:2'], { environment });
    expect(outcome).toMatchObject({ code: 1, stdout: '' });
    expect(outcome.stderr).toContain('protocol');
  });
});

describe('proc', () => {
  const environment = { WVS_SOCKET: socket };
  const proc = ({ file }: { file: string }) => ({ text: `text of ${file}\n` });

  test.each([['ip_vs'], ['/proc/net/ip_vs']])('%s: its text', async (file) => {
    await start({ status: () => STATUS, proc });
    expect(await wvs(['proc', file], { environment })).toEqual({
      code: 0,
      stdout: 'text of ip_vs\n',
      stderr: '',
    });
  });

  test('no such file', async () => {
    expect(await wvs(['proc', 'ip_vsx'], { environment })).toEqual({
      code: 2,
      stdout: '',
      stderr:
        'wvs: ip_vsx is none of ip_vs, ip_vs_conn, ip_vs_conn_sync, ip_vs_stats, ip_vs_stats_percpu\n',
    });
  });
});

describe('top', () => {
  const environment = { WVS_SOCKET: socket };

  test.each([[['top', '--once']], [['top']]])('%j without a terminal: one frame', async (all) => {
    await start(new FakeDirector());
    const { code, stdout, stderr } = await wvs(all, { environment });
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(stdout).toMatch(/^wvs 0\.1\.0 .*1,234 of 1,000,000 connections\n/);
    expect(stdout).toContain('SERVICE / SERVER');
  });

  test.each([
    [['--sort', 'colour'], 'wvs: --sort colour: expected one of'],
    [['--interval', 'soon'], 'wvs: --interval soon: expected seconds from 0.25 to 60'],
    [['--interval', '0'], 'wvs: --interval 0: expected seconds'],
  ])('top %j is wrong usage', async (parameters, message) => {
    const outcome = await wvs(['top', ...parameters], { environment });
    expect(outcome).toMatchObject({ code: 2, stdout: '' });
    expect(outcome.stderr).toContain(message);
  });

  test('no director: one line, exit code 1', async () => {
    expect(await wvs(['top', '--once', '--socket', '/nowhere.sock'])).toEqual({
      code: 1,
      stdout: '',
      stderr: 'wvs: no director answers at /nowhere.sock: no such socket\n',
    });
  });
});

describe('ipvsadm', () => {
  const environment = { WVS_SOCKET: socket };

  test('the arguments go to the director as they are', async () => {
    const director = new FakeDirector();
    await start(director);
    const parameters = ['-A', '-t', '192.0.2.80:80', '-s', 'wrr', '--help'];
    expect(await wvs(['ipvsadm', ...parameters], { environment })).toEqual({
      code: 0,
      stdout: 'IP Virtual Server\n',
      stderr: '',
    });
    expect(director.requests).toEqual([{ arguments: parameters }]);
  });

  test.each([[['-R']], [['--restore']]])('%j: what it reads goes along', async (parameters) => {
    const director = new FakeDirector();
    await start(director);
    await wvs(['ipvsadm', ...parameters], { environment, stdin: '-A -f 1\n' });
    expect(director.requests).toEqual([{ arguments: parameters, stdin: '-A -f 1\n' }]);
  });

  test("messages and exit codes are the director's", async () => {
    const ipvsadm = () => ({ code: 2, stdout: '', stderr: 'virtual-service is required\n' });
    await start({ status: () => STATUS, ipvsadm });
    expect(await wvs(['ipvsadm', '-A'], { environment })).toEqual({
      code: 2,
      stdout: '',
      stderr: 'virtual-service is required\n',
    });
  });

  test('no director: one line, exit code 1', async () => {
    expect(await wvs(['ipvsadm', '-Ln'], { environment })).toEqual({
      code: 1,
      stdout: '',
      stderr: `wvs: no director answers at ${socket}: no such socket\n`,
    });
  });
});

describe('reload and plan', () => {
  test('reload: what changed, and what it cost', async () => {
    const director = new FakeDirector();
    await start(director);
    expect(await wvs(['reload', '--socket', socket])).toEqual({
      code: 0,
      stdout:
        '+ service web\n- server 10.0.0.1:80 of web (7 connections)\n' +
        '/etc/wvs.yaml: 2 things changed\n',
      stderr: '',
    });
    expect(director.requests).toEqual([{}]);
  });

  test('plan: the path of the file is made absolute for the director', async () => {
    const director = new FakeDirector();
    await start(director);
    expect(await wvs(['plan', '--config', 'new.yaml', '--socket', socket])).toMatchObject({
      code: 0,
      stdout: '/etc/wvs.yaml: nothing would change\n',
    });
    expect(director.requests).toEqual([{ config: join(process.cwd(), 'new.yaml') }]);
  });

  test('plan --json', async () => {
    await start(new FakeDirector());
    const parameters = ['plan', '--config', '/x', '--json', '--socket', socket];
    expect(JSON.parse((await wvs(parameters)).stdout)).toEqual({
      file: '/etc/wvs.yaml',
      changes: [],
      warnings: [],
    });
  });

  test('a file that cannot be used: its errors, exit code 1', async () => {
    const problem: ConfigProblem = {
      file: '/etc/wvs.yaml',
      line: 3,
      column: 4,
      path: 'services',
      code: 'wrong-type',
      message: 'expected a list, got 7',
    };
    const reload = () => {
      throw new ControlError('config-invalid', 'cannot be used', [problem]);
    };
    await start({ status: () => STATUS, reload });
    expect(await wvs(['reload', '--socket', socket])).toEqual({
      code: 1,
      stdout: '',
      stderr: '/etc/wvs.yaml:3:4: services: expected a list, got 7\n',
    });
  });

  test('a director that cannot reload says so', async () => {
    await start({ status: () => STATUS });
    expect(await wvs(['reload', '--socket', socket])).toEqual({
      code: 1,
      stdout: '',
      stderr: 'wvs: this director cannot do "reload"\n',
    });
  });
});
