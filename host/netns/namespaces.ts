/**
 * Network namespaces that surely go away again.
 *
 * A NamespaceSet owns namespaces, the processes started in them, and one temporary directory. All
 * carry the prefix `wvs-<pid>-<random>-`, and are removed by whichever of these comes first:
 *
 *   close()                      the ordinary way
 *   exit, SIGINT, SIGTERM, ...   handlers of this process
 *   the janitor                  a shell that waits for the end of a pipe only this process holds
 *                                open, so it also notices a crash or a SIGKILL
 *   removeLeftovers()            the next run, for sets whose process is gone (a power cut between)
 *
 * All four run the same script, which is harmless to run twice.
 */
import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdtempSync, readdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Readable } from 'node:stream';

const NAMESPACE_DIRECTORY = '/run/netns';
const COMMAND_TIMEOUT_MS = 20_000;
const END_TIMEOUT_MS = 2_000;
const NAME_PATTERN = /^wvs-(\d+)-[0-9a-f]+-/;

const SIGNALS = [
  ['SIGINT', 2],
  ['SIGTERM', 15],
  ['SIGHUP', 1],
] as const;

/** $1: prefix of the namespaces' names, $2: the temporary directory. */
const REMOVE_SCRIPT = `
for path in ${NAMESPACE_DIRECTORY}/"$1"*; do
  [ -e "$path" ] || continue
  name=\${path##*/}
  ip netns pids "$name" 2>/dev/null | while read -r pid; do kill -KILL "$pid" 2>/dev/null; done
  ip netns del "$name" 2>/dev/null
done
[ -z "$2" ] || rm -rf -- "$2"
`;

export interface RunOptions {
  readonly input?: string;
  readonly timeout?: number;
}

export interface SpawnOptions {
  readonly env?: Readonly<Record<string, string>>;
}

/** A child whose two outputs are pipes. */
export interface Child extends ChildProcess {
  readonly stdout: Readable;
  readonly stderr: Readable;
}

export class CommandError extends Error {
  readonly code = 'WVS_COMMAND_FAILED';
  readonly output: string;

  constructor(command: readonly string[], output: string) {
    super(`${command.join(' ')}: ${output.trim() || 'failed without a word'}`);
    this.output = output;
  }
}

/** One namespace of a set; commands given to it see its network, and the machine's file system. */
export class Namespace {
  readonly name: string;
  readonly role: string;
  readonly #children: Set<ChildProcess>;

  constructor(name: string, role: string, children: Set<ChildProcess>) {
    this.name = name;
    this.role = role;
    this.#children = children;
  }

  /**
   * Gives `ip` one command per line; the first that fails stops the rest. The family matters only
   * where an address in the command does not tell, as with rules.
   */
  ip(lines: readonly string[], family: 'ipv4' | 'ipv6' = 'ipv4'): void {
    const flags = family === 'ipv6' ? ['-6'] : [];
    runCommand(['ip', ...flags, '-n', this.name, '-batch', '-'], {
      input: `${lines.join('\n')}\n`,
    });
  }

  /** Settings are paths below /proc/sys, as `net/ipv4/ip_forward`. */
  sysctl(settings: Readonly<Record<string, number>>): void {
    const lines = Object.entries(settings).map(
      ([path, value]) => `echo ${value} >/proc/sys/${path}`,
    );
    this.run(['sh', '-e'], { input: `${lines.join('\n')}\n` });
  }

  run(command: readonly string[], options: RunOptions = {}): string {
    return runCommand(['ip', 'netns', 'exec', this.name, ...command], options);
  }

  /** Starts a process in the namespace; it is killed with the set at the latest. */
  spawn(command: readonly string[], options: SpawnOptions = {}): Child {
    // `ip netns exec` replaces itself by the command, so the child's pid is the command's.
    const child = spawn('ip', ['netns', 'exec', this.name, ...command], {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, ...options.env },
    });
    this.#children.add(child);
    child.once('exit', () => this.#children.delete(child));
    return child;
  }
}

/** Every set not yet closed, for the handlers at the end of the process. */
const openSets = new Set<NamespaceSet>();

export class NamespaceSet {
  readonly prefix: string;
  readonly directory: string;
  readonly #namespaces: Namespace[] = [];
  readonly #children = new Set<ChildProcess>();
  readonly #janitor: ChildProcess;

  constructor() {
    this.prefix = `wvs-${process.pid}-${randomBytes(2).toString('hex')}-`;
    this.directory = mkdtempSync(join(tmpdir(), this.prefix));
    this.#janitor = startJanitor(this.prefix, this.directory);
    installHandlers();
    openSets.add(this);
  }

  get namespaces(): readonly Namespace[] {
    return this.#namespaces;
  }

  create(role: string): Namespace {
    const name = this.prefix + role;
    runCommand(['ip', 'netns', 'add', name]);
    const namespace = new Namespace(name, role, this.#children);
    this.#namespaces.push(namespace);
    prepare(namespace);
    return namespace;
  }

  /** Ends every process, deletes every namespace (its links go with it) and the directory. */
  async close(): Promise<void> {
    const ended = [...this.#children].map((child) => endOf(child));
    for (const child of this.#children) child.kill('SIGKILL');
    // Whoever is not waited for stays a zombie until somebody else is its parent.
    await Promise.all(ended);
    const janitorEnded = endOf(this.#janitor);
    this.closeNow();
    await janitorEnded;
  }

  /** The same for the end of this process, when nothing can be waited for any more. */
  closeNow(): void {
    if (!openSets.delete(this)) return;
    remove(this.prefix, this.directory);
    this.#janitor.stdin?.end();
  }
}

/** Removes what runs left behind whose process no longer exists. */
export function removeLeftovers(): void {
  for (const name of leftoverNames(NAMESPACE_DIRECTORY)) remove(name, '');
  for (const name of leftoverNames(tmpdir())) remove(name, join(tmpdir(), name));
}

/** Runs a command to its end and returns what it printed. */
export function runCommand(command: readonly string[], options: RunOptions = {}): string {
  const [file = '', ...rest] = command;
  try {
    return execFileSync(file, rest, {
      encoding: 'utf8',
      input: options.input ?? '',
      timeout: options.timeout ?? COMMAND_TIMEOUT_MS,
      stdio: ['pipe', 'pipe', 'pipe'],
    });
  } catch (error) {
    throw new CommandError(command, outputOf(error));
  }
}

/** Whether a signal is about to end this process, so that whatever fails now is no news. */
export function isInterrupted(): boolean {
  return interrupted;
}

function endOf(child: ChildProcess): Promise<void> {
  return new Promise((resolve) => {
    if (child.exitCode !== null || child.signalCode !== null) {
      resolve();
      return;
    }
    const timer = setTimeout(resolve, END_TIMEOUT_MS);
    child.once('exit', () => {
      clearTimeout(timer);
      resolve();
    });
  });
}

function outputOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const { stderr = '', stdout = '' } = error as { stderr?: string; stdout?: string };
  return stderr + stdout || error.message;
}

/** What every namespace of ours wants: lo up, and no IPv6 address that is not yet usable. */
function prepare(namespace: Namespace): void {
  namespace.sysctl({
    'net/ipv4/conf/all/rp_filter': 0,
    'net/ipv4/conf/default/rp_filter': 0,
    'net/ipv4/conf/all/send_redirects': 0,
    'net/ipv4/conf/default/send_redirects': 0,
    'net/ipv6/conf/all/disable_ipv6': 0,
    'net/ipv6/conf/default/disable_ipv6': 0,
    'net/ipv6/conf/all/accept_dad': 0,
    'net/ipv6/conf/default/accept_dad': 0,
    'net/ipv6/conf/default/accept_ra': 0,
  });
  namespace.ip(['link set lo up']);
}

function remove(prefix: string, directory: string): void {
  spawnSync('sh', ['-c', REMOVE_SCRIPT, 'sh', prefix, directory], {
    stdio: 'ignore',
    timeout: COMMAND_TIMEOUT_MS,
  });
}

/** The janitor has its own session, so that Ctrl-C in the terminal does not reach it. */
function startJanitor(prefix: string, directory: string): ChildProcess {
  const script = `while read -r _; do :; done\n${REMOVE_SCRIPT}`;
  const janitor = spawn('sh', ['-c', script, 'sh', prefix, directory], {
    detached: true,
    stdio: ['pipe', 'ignore', 'ignore'],
  });
  janitor.unref();
  // The pipe must not keep the event loop alive either; a net.Socket knows how to let go.
  (janitor.stdin as unknown as { unref(): void }).unref();
  return janitor;
}

function leftoverNames(directory: string): string[] {
  try {
    return readdirSync(directory).filter((name) => {
      const pid = NAME_PATTERN.exec(name)?.[1];
      return pid !== undefined && !isRunning(Number(pid));
    });
  } catch {
    return [];
  }
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as { code?: string }).code === 'EPERM';
  }
}

let handlersInstalled = false;
let interrupted = false;

function installHandlers(): void {
  if (handlersInstalled) return;
  handlersInstalled = true;
  // An uncaught exception ends in this event too.
  process.on('exit', () => {
    for (const set of [...openSets]) set.closeNow();
  });
  for (const [signal, number] of SIGNALS) {
    process.on(signal, () => {
      // Whoever asks twice does not want to wait.
      if (interrupted) process.exit(128 + number);
      interrupted = true;
      const closed = [...openSets].map((set) => set.close());
      void Promise.allSettled(closed).then(() => process.exit(128 + number));
    });
  }
}
