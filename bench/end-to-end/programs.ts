// The programs in C and others that the benches end to end run, and what they print.

import { spawnSync } from 'node:child_process';
import { accessSync, constants, readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import {
  type Child,
  CommandError,
  type Namespace,
  runCommand,
} from '../../host/netns/namespaces.ts';
import { sourceRoot } from '../../host/netns/processes.ts';
import type { Site } from './network.ts';

/** What the packets of the generator ask for, and where servers listen. */
export const SERVICE_PORT = 53;
export const SERVER_PORT = 5353;
/** The same of HTTP. */
export const HTTP_PORT = 80;
export const HTTP_SERVER_PORT = 8080;

/** What a run takes besides the time it measures: to start, to learn, to wait for the last. */
const OVERHEAD_MS = 30_000;

/** Times in microseconds. */
export interface Latencies {
  readonly p50: number;
  readonly p90: number;
  readonly p99: number;
  readonly p999: number;
  readonly max: number;
}

/** What the generator prints. */
export interface PacketReport {
  readonly sent: number;
  readonly received: number;
  /** Packets a second, sent and received in the measured time. */
  readonly offeredRate: number;
  readonly rate: number;
  readonly lost: number;
  readonly wrong: number;
  /** Times that a flow came out at another server than before. */
  readonly moved: number;
  /** Overtaken by a later packet of the same flow. */
  readonly late: number;
  readonly foreign: number;
  /** The longest time without a packet. */
  readonly gapMs: number;
  readonly processorSeconds: number;
  readonly seconds: number;
  readonly latencyUs: Latencies;
}

export interface PacketLoad {
  readonly flows: number;
  readonly seconds: number;
  /** Packets a second; 0: as many as go. */
  readonly rate: number;
  readonly ways: 1 | 2;
  readonly size?: number;
  /** Sleep between lumps of a millisecond. */
  readonly sleeps?: boolean;
  /** How long to wait for the last. */
  readonly tailMs?: number;
  /** Flows may come out at another server than before: what knew them is gone. */
  readonly mayMove?: boolean;
}

/** What the client prints. */
export interface HttpReport {
  readonly asked: number;
  readonly answered: number;
  readonly failed: number;
  /** Answers a second. */
  readonly rate: number;
  /** When the first and the last request that failed were begun, since the start. */
  readonly firstFailureMs: number;
  readonly lastFailureMs: number;
  readonly latencyUs: Latencies;
}

export interface HttpLoad {
  readonly connections: number;
  readonly seconds: number;
  readonly rate: number;
  /** A connection for every request. */
  readonly closes: boolean;
}

/**
 * The path of a program in C of the bench, built when it is older than its sources.
 * @throws CommandError when there is no compiler, or it does not compile
 */
export function benchProgram(directory: string, name: string): string {
  const path = join(sourceRoot(), 'bench', directory);
  runCommand(['make', '-s', '-C', path]);
  return join(path, 'build', name);
}

/** Whether a command is to be found. */
export function isInstalled(command: string): boolean {
  const directories = `${process.env.PATH ?? ''}:/usr/sbin:/sbin`.split(':');
  return directories.some((directory) => {
    try {
      accessSync(join(directory, command), constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}

/** A command on some processors only: the generator has the first, everything else the others. */
export function onProcessors(whose: 'generator' | 'others'): readonly string[] {
  const count = availableParallelism();
  if (count < 2 || !isInstalled('taskset')) return [];
  return ['taskset', '-c', whose === 'generator' ? '0' : `1-${count - 1}`];
}

/** Moves all threads of a process that runs already. */
export function moveToOtherProcessors(pid: number): void {
  const [taskset, , list] = onProcessors('others');
  if (taskset !== undefined) runCommand([taskset, '-a', '-c', '-p', String(list), String(pid)]);
}

/** How the generator is told where it stands. */
function generatorWords(site: Site, load: PacketLoad): readonly string[] {
  return [
    ...siteWords(site),
    `server-port=${site.director === undefined ? SERVICE_PORT : SERVER_PORT}`,
    `flows=${load.flows}`,
    `seconds=${load.seconds}`,
    `rate=${Math.round(load.rate)}`,
    `ways=${load.ways}`,
    `size=${load.size ?? 60}`,
    `sleep=${load.sleeps === true ? 1 : 0}`,
    `tail=${load.tailMs ?? 100}`,
  ];
}

/** Where the virtual address and the servers are, for the generator and the forwarder. */
export function siteWords(site: Site): readonly string[] {
  return [
    `vip=${site.virtualAddress}`,
    `port=${SERVICE_PORT}`,
    `servers=${site.servers.join(',')}`,
    `client=${site.interfaces[0]}`,
    `server=${site.interfaces[1]}`,
    `client-gateway=${site.gateways[0]}`,
    `server-gateway=${site.gateways[1]}`,
  ];
}

/**
 * Runs the generator against a site.
 * @param onStart called when the measured time begins
 * @throws CommandError when flows do not come through; Error when packets came out wrong
 */
export async function generate(
  namespace: Namespace,
  site: Site,
  load: PacketLoad,
  onStart?: () => void,
): Promise<PacketReport> {
  const program = benchProgram('generator', 'generator');
  const command = [...onProcessors('generator'), program, ...generatorWords(site, load)];
  const child = namespace.spawn(command);
  const text = await outputOf(child, `the generator on ${site.name}`, {
    timeout: load.seconds * 1000 + OVERHEAD_MS,
    onError: (line) => {
      if (line.includes('started')) onStart?.();
    },
  });
  const report = JSON.parse(text) as PacketReport;
  const wrong = report.wrong + (load.mayMove === true ? 0 : report.moved);
  if (wrong === 0) return report;
  throw new Error(`${site.name}: ${wrong} packets came out wrong or at another server`);
}

/** Runs our own HTTP client against a site. */
export async function ask(namespace: Namespace, site: Site, load: HttpLoad): Promise<HttpReport> {
  const child = namespace.spawn([
    benchProgram('http', 'client'),
    `address=${site.virtualAddress}`,
    `port=${HTTP_PORT}`,
    `connections=${load.connections}`,
    `seconds=${load.seconds}`,
    `rate=${Math.round(load.rate)}`,
    `close=${load.closes ? 1 : 0}`,
  ]);
  const timeout = load.seconds * 1000 + OVERHEAD_MS;
  return JSON.parse(await outputOf(child, 'the client', { timeout })) as HttpReport;
}

/** Requests and the 99th percentile in microseconds, as wrk prints them. */
export async function askWithWrk(
  namespace: Namespace,
  site: Site,
  { connections, seconds, closes }: HttpLoad,
): Promise<{ readonly rate: number; readonly p99: number }> {
  const whole = Math.max(1, Math.round(seconds));
  const child = namespace.spawn([
    'wrk',
    '-t1',
    `-c${connections}`,
    `-d${whole}s`,
    '--latency',
    ...(closes ? ['-H', 'Connection: close'] : []),
    `http://${site.virtualAddress}:${HTTP_PORT}/`,
  ]);
  return readWrk(await outputOf(child, 'wrk', { timeout: whole * 1000 + OVERHEAD_MS }));
}

const MICROSECONDS: Readonly<Record<string, number>> = { us: 1, ms: 1e3, s: 1e6, m: 6e7 };

/** @throws Error when the text is not of wrk, or most answers were errors */
export function readWrk(text: string): { readonly rate: number; readonly p99: number } {
  const rate = /^Requests\/sec:\s+([\d.]+)/m.exec(text);
  const p99 = /^\s+99%\s+([\d.]+)(us|ms|s|m)$/m.exec(text);
  if (rate === null || p99 === null) throw new Error(`wrk said: ${text}`);
  if (/Non-2xx/.test(text)) throw new Error(`not every answer was one: ${text}`);
  return { rate: Number(rate[1]), p99: Number(p99[1]) * MICROSECONDS[p99[2]] };
}

interface OutputOptions {
  readonly timeout: number;
  readonly onError?: (text: string) => void;
}

/** What a child printed, once it has ended well. */
function outputOf(child: Child, what: string, options: OutputOptions): Promise<string> {
  return new Promise((resolve, reject) => {
    let output = '';
    let complaints = '';
    const timer = setTimeout(() => child.kill('SIGKILL'), options.timeout);
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      output += text;
    });
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      complaints += text;
      options.onError?.(text);
    });
    child.once('error', reject);
    child.once('close', (code) => {
      clearTimeout(timer);
      if (code === 0) resolve(output);
      else reject(new CommandError([what], complaints.replace('started\n', '')));
    });
  });
}

/** Processor time that processes have used so far, all their threads together, in seconds. */
export function processorSeconds(pids: readonly number[]): number {
  let ticks = 0;
  for (const pid of pids) {
    const text = readFileSync(`/proc/${pid}/stat`, 'utf8');
    const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
    // Fields 14 and 15 of proc(5), in ticks of 10 ms; the first two are cut off.
    ticks += Number(fields[11]) + Number(fields[12]);
  }
  return ticks / 100;
}

/** The kernel's threads that do what is left over of receiving. */
export function softIrqThreads(): readonly number[] {
  const { stdout } = spawnSync('pgrep', ['^ksoftirqd/'], { encoding: 'utf8' });
  return (stdout ?? '').split('\n').filter(Boolean).map(Number);
}
