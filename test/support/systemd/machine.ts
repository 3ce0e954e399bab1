/** A small machine with a real systemd, in namespaces, for the shipped unit. */

import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

import type { Child, Namespace } from '../../../host/netns/namespaces.ts';
import { sourceRoot } from '../../../host/netns/processes.ts';

const SYSTEMD = '/lib/systemd/systemd';
const COMMAND_TIMEOUT_MS = 60_000;

/** What a command in the machine answered. */
export interface Answer {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Why there can be no such machine here, or undefined. */
export function whyNoSystemd(): string | undefined {
  if (!existsSync(SYSTEMD)) return 'systemd is not installed';
  if (!/\boverlay$/m.test(readFileSync('/proc/filesystems', 'utf8'))) {
    return 'this kernel has no overlay file system';
  }
  return undefined;
}

export class SystemdMachine {
  readonly #boot: Child;

  /** Boots in a network namespace; `directory` is where its files go, in memory. */
  constructor(namespace: Namespace, directory: string) {
    const place = join(directory, 'machine');
    mkdirSync(place);
    const apart = ['--fork', '--pid', '--mount', '--uts', '--ipc', '--cgroup', '--kill-child'];
    const boot = join(sourceRoot(), 'test/support/systemd/boot.sh');
    const parameters = [place, sourceRoot(), process.execPath];
    this.#boot = namespace.spawn(['unshare', ...apart, 'sh', boot, ...parameters]);
    this.#boot.stdout.resume();
    this.#boot.stderr.resume();
  }

  /** Whether systemd is up and has nothing left to start. */
  isRunning(): boolean {
    return this.run('systemctl', 'is-system-running').stdout === 'running\n';
  }

  run(...command: readonly string[]): Answer {
    const init = this.#init();
    if (init === undefined) return { code: null, stdout: '', stderr: 'not booted' };
    const enter = ['--target', init, '--mount', '--uts', '--ipc', '--net', '--pid', '--cgroup'];
    const run = spawnSync('nsenter', [...enter, '--root', '--wd', ...command], {
      encoding: 'utf8',
      timeout: COMMAND_TIMEOUT_MS,
    });
    return { code: run.status, stdout: run.stdout, stderr: run.stderr };
  }

  /** Writes a file of the machine. */
  write(file: string, text: string): void {
    const { code, stderr } = this.run('sh', '-c', `cat >${file} <<'END'\n${text}\nEND`);
    if (code !== 0) throw new Error(stderr);
  }

  /** One property of the director's unit. */
  property(name: string): string {
    return this.run('systemctl', 'show', '--value', '-p', name, 'wvs').stdout.trim();
  }

  /** Process 1 of the machine, by its number outside of it. */
  #init(): string | undefined {
    const { pid } = this.#boot;
    const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim();
    return children === '' ? undefined : children;
  }
}
