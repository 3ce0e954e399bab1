// Network namespaces for the tests of the addon, and functions run inside them.

import { spawn, spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { afterAll } from 'vitest';
import type * as Driver from '../../../host/af-xdp-socket/test/ring-driver.js';
import { skipWhere } from '../../support/skip.ts';

const RUNNER = fileURLToPath(
  new URL('../../../host/af-xdp-socket/test/run-function.js', import.meta.url),
);
const RUN_TIMEOUT_MS = 25_000;

/** What a function run by run() gets; see run-function.js. */
export interface Helpers {
  xdp: typeof import('af-xdp-socket');
  Bench: typeof Driver.Bench;
  RingDriver: typeof Driver.RingDriver;
  until<T>(condition: () => T | Promise<T>, what?: string): Promise<NonNullable<T>>;
  sleep(ms: number): Promise<void>;
  thrown(call: () => unknown): Thrown | null;
  ip(...options: string[]): string;
  /** A request by rtnetlink for all of something: RTM_GET*. */
  dumpRequest(type: number): Buffer;
  messageTypes(datagram: Buffer): number[];
  descriptors(): string[];
  /** Runs a function in a worker thread and collects what it posts. */
  inThread<D>(
    run: (helpers: ThreadHelpers, data: D) => unknown,
    data?: D,
  ): { worker: import('node:worker_threads').Worker; messages: unknown[] };
}

export interface ThreadHelpers {
  xdp: typeof import('af-xdp-socket');
  Bench: typeof Driver.Bench;
  RingDriver: typeof Driver.RingDriver;
  post(message: unknown): void;
}

export interface Thrown {
  name: string;
  code?: string;
  errno?: number;
  syscall?: string;
  message: string;
}

const created = new Set<string>();
let serial = 0;

function ip(...options: string[]): void {
  const { status, stderr } = spawnSync('ip', options, { encoding: 'utf8' });
  if (status !== 0) throw new Error(`ip ${options.join(' ')}: ${stderr}`);
}

function removeAll(): void {
  for (const name of created) spawnSync('ip', ['netns', 'del', name]);
  created.clear();
}

process.once('exit', removeAll);

/** Why these tests cannot run on this machine, or undefined. Found out once per file. */
export function whyNot(): string | undefined {
  if (process.getuid?.() !== 0) return 'network namespaces and AF_XDP need root';
  const { status, error } = spawnSync('ip', ['netns', 'list']);
  if (error !== undefined || status !== 0) return 'the command `ip` (iproute2) is missing';
  const home = new URL('../../../host/af-xdp-socket/index.js', import.meta.url);
  const code = `
    const { createUmem } = await import('${home}');
    const memory = new WebAssembly.Memory({ initial: 1, maximum: 1, shared: true });
    createUmem({ memory: new Uint8Array(memory.buffer), frameSize: 2048 }).close();`;
  const caught = `try { ${code} } catch (error) { console.log(error.message) }`;
  const probe = spawnSync(process.execPath, ['--input-type=module', '-e', caught], {
    encoding: 'utf8',
  });
  const message = probe.stdout.trim() || probe.stderr.trim();
  return message === '' ? undefined : `AF_XDP does not work here: ${message}`;
}

/** Skips every test of the file, with the reason, where namespaces or AF_XDP are missing. */
export function skipUnlessPossible(): boolean {
  const reason = whyNot();
  skipWhere(() => reason);
  return reason === undefined;
}

/** Joins `left` and `right` by a veth pair inside the namespace; both ends are up. */
export interface Wire {
  left: string;
  right: string;
  queues?: number;
  mtu?: number;
}

export class Namespace {
  readonly name = `axs-${process.pid}-${serial++}`;

  constructor(wires: readonly Wire[] = []) {
    ip('netns', 'add', this.name);
    created.add(this.name);
    // No router solicitations or the like among the frames that tests count.
    this.execute('sysctl', '-qw', 'net.ipv6.conf.default.disable_ipv6=1');
    this.execute('ip', 'link', 'set', 'lo', 'up');
    for (const wire of wires) this.#addWire(wire);
  }

  execute(command: string, ...options: string[]): string {
    const parts = ['netns', 'exec', this.name, command, ...options];
    const { status, stdout, stderr } = spawnSync('ip', parts, { encoding: 'utf8' });
    if (status !== 0) throw new Error(`${command} ${options.join(' ')}: ${stderr}`);
    return stdout;
  }

  #addWire({ left, right, queues = 1, mtu = 1500 }: Wire): void {
    const count = String(queues);
    const shape = ['mtu', String(mtu), 'numrxqueues', count, 'numtxqueues', count];
    this.execute(
      ...(['ip', 'link', 'add', left, ...shape, 'type', 'veth'] as const),
      ...['peer', 'name', right, ...shape],
    );
    for (const end of [left, right]) this.execute('ip', 'link', 'set', end, 'up');
  }

  /**
   * Runs `code` in a process of its own inside the namespace. It is handed over as text, so it can
   * use its two parameters and nothing else; arguments and results travel as JSON. `through` is a
   * command that starts the process, such as setpriv.
   */
  run<A, R>(
    code: (helpers: Helpers, argument: A) => R,
    argument?: A,
    through: readonly string[] = [],
  ): Promise<Awaited<R>> {
    const command = ['netns', 'exec', this.name, ...through, process.execPath, RUNNER];
    const child = spawn('ip', command, {
      stdio: ['pipe', 'pipe', 'pipe'],
      timeout: RUN_TIMEOUT_MS,
    });
    child.stdin.end(JSON.stringify({ code: code.toString(), argument }));
    let output = '';
    let errors = '';
    child.stdout.on('data', (chunk: Buffer) => {
      output += chunk;
    });
    child.stderr.on('data', (chunk: Buffer) => {
      errors += chunk;
    });
    return new Promise((resolve, reject) => {
      child.on('close', (status, signal) => {
        const last = output.trimEnd().split('\n').at(-1) ?? '';
        if (status !== 0 || last === '') {
          const ending = signal ?? `exit ${status}`;
          reject(new Error(`the process ended with ${ending}: ${errors.slice(-2000)}`));
          return;
        }
        const outcome = JSON.parse(last) as { result: Awaited<R>; error?: { stack: string } };
        if (outcome.error === undefined) resolve(outcome.result);
        else reject(new Error(`inside the namespace: ${outcome.error.stack}`));
      });
    });
  }

  /** Starts `code` like run(), and hands back the process; it prints what it likes. */
  start<A>(code: (helpers: Helpers, argument: A) => unknown, argument?: A) {
    const child = spawn('ip', ['netns', 'exec', this.name, process.execPath, RUNNER], {
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    child.stdin.end(JSON.stringify({ code: code.toString(), argument }));
    return child;
  }

  remove(): void {
    spawnSync('ip', ['netns', 'del', this.name]);
    created.delete(this.name);
  }
}

/** Namespaces made through this go away when the file's tests are over. */
export function removeNamespacesAfterwards(): void {
  afterAll(removeAll);
}
