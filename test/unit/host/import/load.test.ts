import { join } from 'node:path';
import { expect, test } from 'vitest';
import { loadConfig } from '../../../../host/config/load.ts';
import { formatProblem, formatWarning } from '../../../../host/config/problems.ts';
import { wvs } from '../cli/support.ts';
import { folderOf, virtualServer } from './support.ts';

const OWN = '#wvs director: { ports: [{ name: lan }] }\n';
const GOOD = `${OWN}${virtualServer('ha_suspend', 'PING_CHECK {\n}')}`;

test('a keepalived.conf is loaded as it is; its places are those of its own lines', async () => {
  const file = join(folderOf({ 'keepalived.conf': GOOD }), 'keepalived.conf');
  const result = await loadConfig(file);
  if (!result.ok) throw new Error(result.errors.map(formatProblem).join('\n'));
  expect(result.config).toMatchObject({
    file,
    services: [
      { key: 'tcp 192.0.2.80:80', position: { line: 2 }, servers: [{ position: { line: 5 } }] },
    ],
  });
  expect(result.warnings.map(formatWarning)).toEqual([
    `${file}:4:1: warning: ha_suspend is left out: WVS probes servers whether or not it has the virtual address`,
  ]);
});

test('parts of included files have their places there', async () => {
  const folder = folderOf({
    'keepalived.conf': `${OWN}include conf.d/*.conf\n`,
    'conf.d/web.conf': `\n${virtualServer('ha_suspend')}`,
  });
  const result = await loadConfig(join(folder, 'keepalived.conf'));
  expect(result.warnings.map(({ file, line }) => `${file}:${line}`)).toEqual([
    `${folder}/conf.d/web.conf:4`,
  ]);
  expect(result.ok && result.config.services[0]!.position).toMatchObject({ line: 2 });
});

test('rules of ipvsadm are loaded as they are', async () => {
  const text = `${OWN}-A -t 192.0.2.1:80 -s rr\n-a -t 192.0.2.1:80 -r 10.0.0.1:80 -m -w 1\n`;
  const result = await loadConfig(join(folderOf({ rules: text }), 'rules'));
  expect(result).toMatchObject({
    ok: true,
    warnings: [],
    config: { services: [{ scheduler: 'rr' }] },
  });
});

test('braces that do not match: errors with their lines, for check as for import', async () => {
  const file = join(folderOf({ 'keepalived.conf': `${GOOD}}\n` }), 'keepalived.conf');
  const message = 'this "}" closes nothing';
  const result = await loadConfig(file);
  expect(result.ok ? [] : result.errors.map(formatProblem)).toEqual([`${file}:10:1: ${message}`]);
  expect(await wvs(['check', '--config', file])).toMatchObject({ code: 1 });
  const outcome = await wvs(['import', file]);
  expect(outcome).toMatchObject({ code: 1, stdout: '' });
  expect(outcome.stderr).toContain(`${file}:10: ${message}\n`);
});

test('wvs import: a file that wvs check takes, and the report', async () => {
  const folder = folderOf({ 'keepalived.conf': GOOD });
  const file = join(folder, 'keepalived.conf');
  const { code, stdout, stderr } = await wvs(['import', file]);
  expect(code).toBe(0);
  expect(stderr).toBe(
    `${file}:4: ha_suspend is left out: WVS probes servers whether or not it has the virtual address\n`,
  );
  const written = join(folderOf({ 'wvs.yaml': stdout }), 'wvs.yaml');
  expect(await wvs(['check', '--config', written])).toEqual({
    code: 0,
    stdout: `${written}: ok: 1 port, 1 service, 1 server\n`,
    stderr: '',
  });
});

test('wvs import of several files, one of them standard input, with options', async () => {
  const conf =
    '@a virtual_server fwmark 5 {\n@^a virtual_server fwmark 6 {\nreal_server 10.0.0.1 {\n}\n}\n';
  const file = join(folderOf({ 'keepalived.conf': conf }), 'keepalived.conf');
  const stdin =
    '*mangle\n-A PREROUTING -d 192.0.2.1/32 -j MARK --set-xmark 0x5/0xffffffff\nCOMMIT\n';
  const parameters = [
    'import',
    '--config-id',
    'a',
    '--interface',
    'eth5',
    '--interface',
    'eth6',
    file,
    '-',
  ];
  const { code, stdout, stderr } = await wvs(parameters, { stdin });
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  expect(stdout).toContain('- { mark: 5, destination: 192.0.2.1 } # 2\n');
  expect(stdout).toContain('  ports: [ { name: eth5 }, { name: eth6 } ]\n');
  expect(stdout).toContain('  - listen: mark 5\n');
});

test.each([
  [['import'], 2],
  [['import', '--bogus', 'x'], 2],
  [['import', '/nowhere/keepalived.conf'], 1],
])('wvs %j: exit %i', async (parameters, code) => {
  const outcome = await wvs(parameters);
  expect(outcome).toMatchObject({ code, stdout: '' });
  expect(outcome.stderr).not.toBe('');
});

test('a configuration of WVS is not imported again', async () => {
  const outcome = await wvs(['import', '-'], { stdin: 'version: 1\n' });
  expect(outcome).toEqual({
    code: 1,
    stdout: '',
    stderr: '<stdin>:1: this is a configuration of WVS already\n',
  });
});
