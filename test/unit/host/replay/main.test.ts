import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { CommandInput, CommandIo } from '../../../../host/cli/command.ts';
import { describeFrame } from '../../../../host/replay/describe.ts';
import { replayMain } from '../../../../host/replay/main.ts';
import { formatCapture, parseCapture } from '../../../../host/replay/pcap.ts';
import { parseRecording } from '../../../../host/replay/recording.ts';

const RECORDINGS = join(import.meta.dirname, '../../../conformance/recordings');

const CONFIG = `
version: 1
director:
  ports:
    - { name: cli, interface: eth0 }
    - { name: srv, interface: eth1 }
  world:
    ports:
      cli: { mac: '02:00:00:00:00:01', addresses: [192.0.2.1/24, 192.0.2.80/32] }
      srv: { mac: '02:00:00:00:01:01', addresses: [10.0.0.1/24] }
    neighbours:
      - { port: cli, address: 192.0.2.254, mac: '02:00:00:00:00:02' }
      - { port: srv, address: 10.0.0.11, mac: '02:00:00:00:02:0b' }
      - { port: srv, address: 10.0.0.12, mac: '02:00:00:00:02:0c' }
      - { port: srv, address: 10.0.0.13, mac: '02:00:00:00:02:0d' }
      - { port: srv, address: 10.0.0.14, mac: '02:00:00:00:02:0e' }
      - { port: srv, address: 10.0.0.15, mac: '02:00:00:00:02:0f' }
    routes:
      - { to: default, via: 192.0.2.254, port: cli }
services:
  - name: web
    listen: 192.0.2.80:80/tcp
    scheduler: rr
    forwarding: nat
    check: { type: none }
    servers:
      - { address: '10.0.0.11:8080', weight: 3 }
      - { address: '10.0.0.12:8080', weight: 1 }
      - { address: '10.0.0.13:8080', weight: 0 }
      - { address: '10.0.0.14:8080', weight: 2 }
      - { address: '10.0.0.15:8080', weight: 4 }
`;

let directory: string;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'wvs-replay-'));
});

afterEach(() => {
  rmSync(directory, { recursive: true });
});

function file(name: string, content?: string | Uint8Array): string {
  const path = join(directory, name);
  if (content !== undefined) writeFileSync(path, content);
  return path;
}

async function run(
  input: Partial<CommandInput>,
): Promise<{ code: number; out: string; err: string }> {
  let out = '';
  let err = '';
  const io: CommandIo = {
    stdin: process.stdin,
    stdout: { write: (text) => (out += text) },
    stderr: { write: (text) => (err += text) },
    environment: {},
  };
  const code = await replayMain({ arguments: [], options: {}, ...input }, io);
  return { code, out, err };
}

function recordingText(name: string): string {
  return gunzipSync(readFileSync(join(RECORDINGS, `${name}.jsonl.gz`))).toString();
}

describe('replayMain with a recording', () => {
  it('without --out: the records on standard output', async () => {
    const text = recordingText('sched-rr');
    const { code, out, err } = await run({ arguments: [file('x.jsonl', text)] });
    expect([code, err]).toEqual([0, '']);
    const steps = (played: string) => parseRecording(played, 'x').steps.map(({ line }) => line);
    expect(steps(out)).toEqual(steps(text));
  });

  it('with --out: the records in a file, and nothing else', async () => {
    const trace = file('x.jsonl', recordingText('sched-rr'));
    const result = await run({ arguments: [trace], options: { out: file('y.jsonl') } });
    expect(result).toEqual({ code: 0, out: '', err: '' });
    expect(parseRecording(readFileSync(file('y.jsonl'), 'utf8'), 'y').steps.length).toBeGreaterThan(
      50,
    );
  });

  it('a recording that is cut: its line, and exit code 1', async () => {
    const trace = file('x.jsonl', recordingText('sched-rr').slice(0, 9000));
    const { code, out, err } = await run({ arguments: [trace] });
    expect([code, out]).toEqual([1, '']);
    expect(err).toMatch(/x\.jsonl:\d+: the recording is cut inside this line\n$/);
  });

  it('a header with a line that ip does not take: the line is named', async () => {
    const text = recordingText('sched-rr').replace('link set cli up', 'link set nix up');
    const { code, err } = await run({ arguments: [file('x.jsonl', text)] });
    expect(code).toBe(1);
    expect(err).toMatch(/x\.jsonl:1: ip line 4 'link set nix up': Cannot find device "nix"\n$/);
  });

  it('no such file: says so', async () => {
    const { code, err } = await run({ arguments: [file('none.jsonl')] });
    expect(code).toBe(1);
    expect(err).toMatch(/none\.jsonl: ENOENT/);
  });

  it.each([
    ['nothing', {}],
    ['two recordings', { arguments: ['a', 'b'] }],
    ['a recording and a configuration', { arguments: ['a'], options: { config: 'c' } }],
    ['a configuration without captures', { options: { config: 'c' } }],
    ['an input without a port', { options: { config: 'c', in: ['x.pcap'] } }],
  ])('%s: a usage error, exit code 2', async (_what, input) => {
    const { code, out, err } = await run(input);
    expect([code, out]).toEqual([2, '']);
    expect(err).not.toBe('');
  });
});

describe('replayMain with captures', () => {
  /** The input frames of a recording as one capture a port. */
  function captures(name: string): string[] {
    const { steps } = parseRecording(recordingText(name), name);
    return ['cli', 'srv'].map((port) => {
      const frames = steps.flatMap(({ time, number, input = [] }) => {
        const at = BigInt(Math.round(time * 1e9)) + BigInt(number) * 1000n;
        return input
          .filter((entry) => entry.port === port)
          .map(({ frame }) => ({ time: at, frame, originalLength: frame.length }));
      });
      return `${port}=${file(`${port}.in.pcap`, formatCapture(frames))}`;
    });
  }

  it('the frames of a recording: go where the recording sent them', async () => {
    const config = file('wvs.yaml', CONFIG);
    const out = file('out');
    const result = await run({ options: { config, in: captures('sched-rr'), out } });
    expect([result.code, result.err]).toEqual([0, '']);
    expect(result.out).toMatch(/^\d+ frames in\n {2}transmit /);

    const recording = parseRecording(recordingText('sched-rr'), 'x');
    for (const port of ['cli', 'srv']) {
      const expected = recording.steps.flatMap(({ output = [] }) =>
        output.filter((entry) => entry.port === port).map(({ frame }) => describeFrame(frame)),
      );
      const sent = parseCapture(readFileSync(join(out, `${port}.pcap`)), port);
      expect(sent.map(({ frame }) => describeFrame(frame))).toEqual(expected);
    }
    const report = JSON.parse(readFileSync(join(out, 'report.json'), 'utf8'));
    expect(report.frames[0]).toMatchObject({
      port: 'cli',
      frame: 1,
      time: 0,
      verdict: 'transmit',
      reason: null,
      service: 'tcp 192.0.2.80:80',
      server: '10.0.0.15:8080',
    });
  });

  it('frames that the director sent itself, or that were cut: are not played', async () => {
    const frame = new Uint8Array(60);
    frame.set([2, 0, 0, 0, 0, 1], 6);
    const own = { time: 5n, frame, originalLength: 60 };
    const cut = { time: 6n, frame: new Uint8Array(20), originalLength: 60 };
    const capture = file('x.pcap', formatCapture([own, cut]));
    const options = { config: file('wvs.yaml', CONFIG), in: [`cli=${capture}`], out: file('out') };
    expect((await run({ options })).code).toBe(0);
    const report = JSON.parse(readFileSync(join(options.out, 'report.json'), 'utf8'));
    expect(
      report.frames.map(({ verdict, reason }: { verdict: string; reason: string }) => [
        verdict,
        reason,
      ]),
    ).toEqual([
      ['ignore', 'the director itself sent it'],
      ['ignore', 'the capture has cut it'],
    ]);
  });

  it('a port the world does not have: names those there are', async () => {
    const capture = file('x.pcap', formatCapture([]));
    const { code, err } = await run({
      options: { config: file('wvs.yaml', CONFIG), in: [`wan=${capture}`] },
    });
    expect(code).toBe(1);
    expect(err).toMatch(/no port wan in the world of .*wvs\.yaml: it has cli, srv\n$/);
  });

  it('a configuration without a world: says what is missing', async () => {
    const text = CONFIG.replace(/ {2}world:.*?services:/s, 'services:');
    const capture = file('x.pcap', formatCapture([]));
    const { code, err } = await run({
      options: { config: file('wvs.yaml', text), in: [`cli=${capture}`] },
    });
    expect(code).toBe(1);
    expect(err).toMatch(/director\.world is missing/);
  });

  it('a configuration with errors: all of them, as wvs check says them', async () => {
    const config = file('wvs.yaml', CONFIG.replace('scheduler: rr', 'scheduler: xx'));
    const capture = file('x.pcap', formatCapture([]));
    const { code, err } = await run({ options: { config, in: [`cli=${capture}`] } });
    expect(code).toBe(1);
    expect(err).toMatch(/wvs\.yaml:\d+:\d+: /);
  });

  it('a file that is no capture: is refused by name', async () => {
    const capture = file('x.pcap', 'hello');
    const { code, err } = await run({
      options: { config: file('wvs.yaml', CONFIG), in: [`cli=${capture}`] },
    });
    expect(code).toBe(1);
    expect(err).toMatch(/x\.pcap: this is neither a pcap nor a pcapng file\n$/);
  });
});
