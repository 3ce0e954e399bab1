// wvs capture of real traffic: before and after the rewrite, read back by Wireshark's own reader.

import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import { directorProgram } from '../../host/netns/director.ts';
import { type Child, runCommand } from '../../host/netns/namespaces.ts';
import { waitForExit } from '../../host/netns/processes.ts';
import { parseCapture } from '../../host/replay/pcap.ts';
import { skipWhere } from '../support/skip.ts';
import { LAN, LiveBed, natService, reason, until, VIP, WAN } from './live-bed.ts';

/** A line of tshark's for each frame: addresses, comment. */
type Row = Readonly<Record<'source' | 'destination' | 'port' | 'comment' | 'bad', string>>;

describe('wvs capture', () => {
  let bed: LiveBed;

  beforeAll(async () => {
    if (reason !== undefined) return;
    bed = new LiveBed({ arms: 2, queues: 2, servers: 1 });
    await bed.startServers();
    const [server] = LAN.servers;
    bed.write({ services: natService(80, [server!]) + natService(81, [`${server}:9`]) });
    await bed.start();
  });
  afterAll(async () => {
    await bed?.director?.stop();
    await bed?.close();
  });

  skipWhere(() => reason);

  /** Starts a capture and waits until packets are really copied. */
  async function start(name: string, ...options: readonly string[]) {
    const file = join(bed.topology.set.directory, name);
    const socket = ['--socket', bed.socket];
    const command = [process.execPath, directorProgram(), 'capture', ...socket, '-o', file];
    const child: Child = bed.topology.director.spawn([...command, ...options]);
    let said = '';
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      said += text;
    });
    child.stdout.resume();
    // The file is made with the first answer, by when the workers have begun.
    await until(() => existsSync(file) || child.exitCode !== null, 'the capture file');
    const end = async () => {
      child.kill('SIGINT');
      return waitForExit(child, { what: 'wvs capture', timeout: 10_000 });
    };
    return { file, child, end, said: () => said };
  }

  /** What Wireshark's reader makes of it, or undefined without it. */
  function tshark(file: string): Row[] | undefined {
    const names = ['ip.src', 'ip.dst', 'frame.interface_name', 'frame.comment'];
    const fields = [...names, 'tcp.checksum.status'].flatMap((name) => ['-e', name]);
    const command = ['-r', file, '-T', 'fields', '-E', 'separator=|', ...fields];
    const checks = ['-o', 'tcp.check_checksum:TRUE', '-o', 'ip.check_checksum:TRUE'];
    const run = spawnSync('tshark', [...command, ...checks], { encoding: 'utf8' });
    if (run.error !== undefined) return undefined;
    expect(run.status, run.stderr).toBe(0);
    return run.stdout
      .trimEnd()
      .split('\n')
      .map((line) => {
        const [source = '', destination = '', port = '', comment = '', bad = ''] = line.split('|');
        return { source, destination, port, comment, bad };
      });
  }

  test('a connection through nat: each packet before and after, both ways', async () => {
    const { file, end, said } = await start('nat.pcapng', '--service', 'web-80');
    await bed.http(`http://${VIP}/`, 1);
    expect(await end()).toBe(0);
    expect(said()).toMatch(/^\d+ packets, \d+ frames\n$/);
    const rows = tshark(file);
    const frames = parseCapture(readFileSync(file), file);
    expect(frames.length).toBeGreaterThan(12);
    if (rows === undefined) return;
    expect(rows).toHaveLength(frames.length);
    const [server] = LAN.servers;
    const [client] = WAN.clients;
    const [first, second] = rows as [Row, Row];
    expect(first).toMatchObject({ source: client, destination: VIP, port: 'wan' });
    expect(first.comment).toMatch(
      /^before the rewrite, from the client; verdict transmit; service web-80; server 10\.20\.0\.11:/,
    );
    expect(second).toMatchObject({ source: client, destination: server, port: 'lan' });
    expect(second.comment).toMatch(/^after the rewrite, from the client; verdict transmit;/);
    const number = (row: Row) => /packet (\S+)$/.exec(row.comment)![1];
    expect(number(second)).toBe(number(first));
    const answers = rows.filter(({ comment }) => comment.includes('to the client'));
    expect(answers.filter(({ source }) => source === server).length).toBeGreaterThan(2);
    expect(answers.filter(({ source }) => source === VIP).length).toBeGreaterThan(2);
    // What the director sent has sound checksums; what a veth peer left open came without.
    const sent = rows.filter(({ comment }) => comment.startsWith('after'));
    expect(sent.filter(({ bad }) => bad !== '1')).toEqual([]);
  });

  test('one direction, cut, and ended by its count', async () => {
    const options = ['--service', 'tcp 198.51.100.80:80', '--direction', 'in'];
    const limits = ['--snaplen', '60', '--count', '3'];
    const { file, child, said } = await start('in.pcapng', ...options, ...limits);
    await bed.http(`http://${VIP}/`, 2);
    expect(await waitForExit(child, { what: 'wvs capture', timeout: 10_000 })).toBe(0);
    expect(said()).toBe('3 packets, 6 frames\n');
    const frames = parseCapture(readFileSync(file), file);
    expect(frames).toHaveLength(6);
    for (const { frame, originalLength } of frames) {
      expect(frame.length).toBeLessThanOrEqual(60);
      expect(originalLength).toBeGreaterThanOrEqual(frame.length);
    }
    expect(tshark(file)?.every(({ comment }) => comment.includes('from the client')) ?? true).toBe(
      true,
    );
  });

  test('packets of other services are not in it', async () => {
    const { file, end, said } = await start('other.pcapng', '--service', 'web-81');
    await bed.http(`http://${VIP}/`, 1);
    expect(await end()).toBe(0);
    expect(said()).toBe('0 packets, 0 frames\n');
    expect(parseCapture(readFileSync(file), file)).toEqual([]);
  });

  test('a drop is there once, with its reason', async () => {
    const { file, end } = await start('drop.pcapng');
    bed.wvs('ipvsadm', '-A', '-t', `${VIP}:82`, '-s', 'rr');
    const { client } = bed.topology;
    client.run(['sh', '-c', `timeout 1 bash -c '</dev/tcp/${VIP}/82' || :`]);
    expect(await end()).toBe(0);
    const rows = tshark(file);
    if (rows === undefined) return;
    const dropped = rows.filter(({ comment }) => comment.includes('verdict drop'));
    expect(dropped[0]?.comment).toMatch(
      /^before the rewrite, from the client; verdict drop: drop-no-destination-available/,
    );
  });

  test('one at a time; a wrong name leaves no file; nothing is copied afterwards', async () => {
    const first = await start('first.pcapng');
    const second = await start('second.pcapng');
    await waitForExit(second.child, { what: 'wvs capture', timeout: 10_000 });
    expect(second.said()).toMatch(/^wvs: another capture is running/);
    expect(await first.end()).toBe(0);
    const wrong = await start('wrong.pcapng', '--service', 'nobody');
    await waitForExit(wrong.child, { what: 'wvs capture', timeout: 10_000 });
    expect(wrong.said()).toMatch(/^wvs: there is no service "nobody"/);
    expect(existsSync(wrong.file)).toBe(false);
  });

  test('killed: its capture ends by itself, and another one may begin', async () => {
    const { child } = await start('killed.pcapng');
    child.kill('SIGKILL');
    await until(
      async () => {
        const next = await start('next.pcapng');
        await next.end();
        return next.said().includes('packets');
      },
      'the end of the abandoned capture',
      15_000,
    );
  });

  test('to standard output, for a reader at the other end of a pipe', async () => {
    const file = join(bed.topology.set.directory, 'piped.pcapng');
    const wvs = `${process.execPath} ${directorProgram()} capture --socket ${bed.socket}`;
    const pipe = `${wvs} -o - --count 1 >${file}`;
    const child = bed.topology.director.spawn(['sh', '-c', pipe]);
    await until(() => existsSync(file) && readFileSync(file).length > 0, 'the header');
    await bed.http(`http://${VIP}/`, 1);
    await waitForExit(child, { what: 'wvs capture', timeout: 10_000 });
    expect(parseCapture(readFileSync(file), file)).toHaveLength(2);
    runCommand(['test', '-s', file]);
  });
});
