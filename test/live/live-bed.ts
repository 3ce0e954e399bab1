// A topology for the tests of the running director: they write its configuration themselves.

import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { ADDRESSES } from '../../host/netns/addresses.ts';
import { runClient } from '../../host/netns/client-operations.ts';
import { type Director, directorProgram, startDirector } from '../../host/netns/director.ts';
import type { Child } from '../../host/netns/namespaces.ts';
import { sourceRoot, waitForExit } from '../../host/netns/processes.ts';
import { createTopology, type Topology, type TopologyOptions } from '../../host/netns/topology.ts';
import { startServer, whyNotHere } from '../support/net/bed.ts';

const WAIT_STEP_MS = 50;
const END_TIMEOUT_MS = 15_000;

export const { wan: WAN, lan: LAN } = ADDRESSES.ipv4;
export const VIP = WAN.vips.nat;

/** Why these tests cannot run here, or undefined. */
export const reason = whyNotHere();

/** Options of Node's for a director that can be asked for its memory. */
export const MEMORY_PROBE = [
  '--expose-gc',
  '--import',
  join(sourceRoot(), 'test/support/heap-probe.js'),
];

/** Memory of a director, in bytes. */
export interface MemorySample {
  readonly sample: number;
  /** What the main thread's objects take, and what they keep outside the heap. */
  readonly live: number;
  /** All that is not the main thread's heap: the workers' heaps, native memory. */
  readonly others: number;
}

/** A line of the director's log. */
export interface LogLine {
  readonly event?: string;
  readonly level: string;
  readonly msg?: string;
  readonly [field: string]: unknown;
}

/** What a director that did not start said. */
export interface Refusal {
  readonly code: number | string;
  readonly stderr: string;
}

export class LiveBed {
  readonly topology: Topology;
  readonly socket: string;
  readonly file: string;
  director: Director | undefined;

  constructor(options: TopologyOptions) {
    this.topology = createTopology(options);
    this.socket = join(this.topology.set.directory, 'wvs.sock');
    this.file = join(this.topology.set.directory, 'wvs.yaml');
  }

  close(): Promise<void> {
    return this.topology.close();
  }

  /** Starts the programs of the real servers. */
  async startServers(): Promise<void> {
    await Promise.all(this.topology.servers.map((server, index) => startServer(server, index)));
  }

  /** Writes a configuration: `director` and the rest are YAML in flow or block style. */
  write(configuration: Configuration = {}): string {
    const { director = '', ports, services = '', control, connections = 10_000 } = configuration;
    const lines = [
      'version: 1',
      'director:',
      `  ports: ${ports ?? '[{ name: wan, interface: wan }, { name: lan, interface: lan }]'}`,
      `  connections: ${connections}`,
      `  control: ${control ?? this.socket}`,
      // Most tests say themselves when what they have written is taken over.
      director.includes('watch:') ? '' : '  watch: false',
      director,
      services === '' ? '' : `services:\n${services}`,
    ];
    writeFileSync(this.file, `${lines.join('\n')}\n`);
    return this.file;
  }

  /** Starts the director with what was written, and `node` with options of its own. */
  async start(node: readonly string[] = []): Promise<Director> {
    const options = { configuration: this.file, socket: this.socket, node };
    this.director = await startDirector(this.topology.director, options);
    return this.director;
  }

  /** Runs a director that is expected to end by itself. */
  async runToEnd(prefix: readonly string[] = []): Promise<Refusal> {
    const command = [process.execPath, directorProgram(), 'run', '--config', this.file];
    const child = this.topology.director.spawn([...prefix, ...command]);
    return await ending(child);
  }

  /** The lines of the running director's log so far. */
  log(event?: string): LogLine[] {
    return (this.director?.log ?? [])
      .filter((line) => line.startsWith('{'))
      .map((line) => JSON.parse(line) as LogLine)
      .filter((line) => event === undefined || line.event === event);
  }

  /** Waits until the director has logged an event. */
  async logged(event: string, timeout = 10_000): Promise<LogLine> {
    await until(() => this.log(event).length > 0, `the event ${event}`, timeout);
    return this.log(event)[0]!;
  }

  /** What a director that was started with MEMORY_PROBE has when all garbage is gone. */
  async memory(): Promise<MemorySample> {
    const last = () => this.log('memory').at(-1) as unknown as MemorySample | undefined;
    const before = last()?.sample ?? 0;
    this.director!.child.kill('SIGUSR2');
    await until(() => (last()?.sample ?? 0) > before, 'a sample of the memory', 20_000);
    return last()!;
  }

  /** Runs a command of wvs against the director. */
  wvs(...parameters: readonly string[]): { code: number | null; stdout: string; stderr: string } {
    const [command = '', ...rest] = parameters;
    const socket = ['--socket', this.socket];
    const line =
      command === 'ipvsadm' ? [...socket, command, ...rest] : [command, ...socket, ...rest];
    const options = { encoding: 'utf8', timeout: END_TIMEOUT_MS } as const;
    const run = spawnSync(process.execPath, [directorProgram(), ...line], options);
    return { code: run.status, stdout: run.stdout, stderr: run.stderr };
  }

  /** HTTP requests of the client's; which servers answered how many. */
  async http(url: string, connections = 4): Promise<Readonly<Record<string, number>>> {
    const load = { url, connections, requests: 2 };
    const report = await runClient(this.topology.client, ['http', load]);
    if (Object.keys(report.failed).length > 0) throw new Error(JSON.stringify(report.failed));
    return report.servers;
  }

  /** What `ip link` says about XDP in the director's namespace: nothing when nothing is attached. */
  attached(): string {
    const links = this.topology.director.run(['ip', '-details', 'link', 'show']);
    return links
      .split('\n')
      .filter((line) => /xdp/.test(line))
      .join('\n');
  }
}

export interface Configuration {
  readonly director?: string;
  readonly ports?: string;
  /** Size of the connection table. */
  readonly connections?: number;
  readonly services?: string;
  /** Another socket than the bed's. */
  readonly control?: string;
}

/** A nat service for HTTP on the VIP, in front of the given server addresses. */
export function natService(port: number, servers: readonly string[]): string {
  const list = servers.map((address) => `{ address: '${address}' }`).join(', ');
  return (
    `  - { name: web-${port}, listen: '${VIP}:${port}/tcp', scheduler: rr, ` +
    `forwarding: nat, servers: [${list}] }\n`
  );
}

/** Waits until a condition holds, or throws. */
export async function until(
  condition: () => boolean | Promise<boolean>,
  what: string,
  timeout = 5_000,
): Promise<void> {
  const deadline = Date.now() + timeout;
  while (!(await condition())) {
    if (Date.now() > deadline) throw new Error(`${what} did not come within ${timeout / 1000} s`);
    await new Promise((resolve) => setTimeout(resolve, WAIT_STEP_MS));
  }
}

async function ending(child: Child): Promise<Refusal> {
  let stderr = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
  });
  child.stdout.resume();
  const closed = new Promise((resolve) => child.once('close', resolve));
  const code = await waitForExit(child, { what: 'the director', timeout: END_TIMEOUT_MS });
  await closed;
  return { code, stderr };
}
