// The package as an operator gets it: packed, installed elsewhere, and the director run from there.

import { spawnSync } from 'node:child_process';
import { accessSync, constants, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import { sourceRoot } from '../../host/netns/processes.ts';
import { skipWhere } from '../support/skip.ts';
import { LAN, LiveBed, natService, reason, VIP } from './live-bed.ts';

describe('the installed package', () => {
  const directory = mkdtempSync(join(tmpdir(), 'wvs-package-'));
  const prefix = join(directory, 'prefix');
  const installed = join(prefix, 'lib/node_modules/wvs');
  const main = process.env.WVS_MAIN;
  let trouble: string | undefined;

  beforeAll(() => {
    npm('pack', '--ignore-scripts', '--pack-destination', directory);
    const tarball = readdirSync(directory).find((name) => name.endsWith('.tgz'))!;
    const install = ['install', '--global', '--prefix', prefix, '--prefer-offline', '--no-audit'];
    try {
      npm(...install, join(directory, tarball));
    } catch (error) {
      const { message } = error as Error;
      if (!/ENOTCACHED|ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ETIMEDOUT/.test(message)) throw error;
      trouble = 'the dependencies are neither cached nor to be had';
    }
    process.env.WVS_MAIN = join(installed, 'dist/host/main.js');
  });
  afterAll(() => {
    if (main === undefined) delete process.env.WVS_MAIN;
    else process.env.WVS_MAIN = main;
    rmSync(directory, { recursive: true });
  });

  function npm(...parameters: readonly string[]): void {
    const options = { cwd: sourceRoot(), encoding: 'utf8', timeout: 100_000 } as const;
    const run = spawnSync('npm', parameters, options);
    if (run.status !== 0) throw new Error(run.stderr);
  }

  function wvs(...parameters: readonly string[]) {
    const run = spawnSync(join(prefix, 'bin/wvs'), parameters, {
      encoding: 'utf8',
      cwd: directory,
    });
    return { code: run.status, stdout: run.stdout, stderr: run.stderr };
  }

  skipWhere(() => trouble);

  test('wvs --help lists the commands', () => {
    const { code, stdout, stderr } = wvs('--help');
    expect([code, stderr]).toEqual([0, '']);
    for (const command of ['run', 'check', 'ipvsadm', 'doctor']) expect(stdout).toContain(command);
    const { version } = JSON.parse(readFileSync(join(sourceRoot(), 'package.json'), 'utf8')) as {
      version: string;
    };
    expect(wvs('--version').stdout).toBe(`${version}\n`);
  });

  test('the addon was built, and the second executable is there', () => {
    const findings = JSON.parse(wvs('doctor', '--json').stdout) as {
      check: string;
      level: string;
    }[];
    expect(findings.find(({ check }) => check === 'addon')).toMatchObject({ level: 'ok' });
    accessSync(join(prefix, 'bin/wvs-ipvsadm'), constants.X_OK);
  });

  test('manual page, unit, completion, schema and documentation are in it', () => {
    accessSync(join(prefix, 'share/man/man1/wvs.1'));
    for (const file of [
      'host/appliance/wvs.service',
      'host/appliance/completion/wvs.bash',
      'host/appliance/completion/_wvs',
      'host/config/wvs.schema.json',
      'host/docs/installation.md',
    ]) {
      accessSync(join(installed, file));
    }
  });

  test('the director runs from there', async (context) => {
    if (reason !== undefined) context.skip(reason);
    const bed = new LiveBed({ arms: 2, queues: 1, servers: 1 });
    try {
      await bed.startServers();
      bed.write({ services: natService(80, [LAN.servers[0]!]) });
      const director = await bed.start();
      expect(readFileSync(`/proc/${director.child.pid}/cmdline`, 'utf8')).toContain(installed);
      expect(await bed.http(`http://${VIP}/`)).toEqual({ 'web-1': 8 });
      expect(await director.stop()).toBe(0);
    } finally {
      await bed.close();
    }
  });
});
