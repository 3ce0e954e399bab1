/**
 * What the demo and the end-to-end tests need from the machine: commands, privileges, AF_XDP.
 *
 * A missing command is installed when that is surely welcome (root on Debian), and named otherwise.
 * A missing privilege or kernel feature is reported as one sentence, so that the caller can say why
 * it does something else instead.
 */
import { spawnSync } from 'node:child_process';
import { accessSync, constants, existsSync, readFileSync } from 'node:fs';
import { release } from 'node:os';
import { join } from 'node:path';

/** Something the machine lacks; the message says what, and what to do about it. */
export class PrerequisiteError extends Error {
  readonly code = 'WVS_PREREQUISITE';
}

/** The commands we may call, and the Debian package each comes from. */
const DEBIAN_PACKAGES = {
  ip: 'iproute2',
  ping: 'iputils-ping',
  tcpdump: 'tcpdump',
  ethtool: 'ethtool',
  make: 'make',
  cc: 'gcc libc6-dev',
} as const;

export type KnownCommand = keyof typeof DEBIAN_PACKAGES;

const APT_TIMEOUT_MS = 120_000;
const CAP_NET_ADMIN = 12n;
const CAP_SYS_ADMIN = 21n;
const OLDEST_KERNEL: KernelVersion = [5, 11];
const OLDEST_KERNEL_WITH_TCX: KernelVersion = [6, 6];

type KernelVersion = readonly [major: number, minor: number];

/** Makes sure that every command can be called, installing what is missing where possible. */
export function ensureCommands(commands: readonly KnownCommand[]): void {
  searchSystemDirectories();
  const missing = commands.filter((command) => !isInstalled(command));
  if (missing.length === 0) return;
  const packages = missing.map((command) => DEBIAN_PACKAGES[command]).join(' ');
  if (isRoot() && existsSync('/etc/debian_version') && isInstalled('apt-get')) {
    process.stderr.write(`installing ${packages} ...\n`);
    if (install(packages.split(' '))) return;
  }
  throw new PrerequisiteError(
    `missing command${missing.length > 1 ? 's' : ''}: ${missing.join(', ')} ` +
      `(on Debian: apt-get install ${packages})`,
  );
}

/** Why this process cannot make network namespaces, or undefined when it can. */
export function whyNoNamespaces(): string | undefined {
  if (!isRoot()) return 'network namespaces need root, and this process is not root';
  const capabilities = effectiveCapabilities();
  if (!hasCapability(capabilities, CAP_SYS_ADMIN) || !hasCapability(capabilities, CAP_NET_ADMIN)) {
    return 'network namespaces need CAP_SYS_ADMIN and CAP_NET_ADMIN; this container lacks one';
  }
  return undefined;
}

/** Why this kernel cannot run the director on AF_XDP, or undefined when it can. */
export function whyNoAfXdp(): string | undefined {
  if (isOlderThan(OLDEST_KERNEL)) {
    return `AF_XDP with shared memory needs Linux ${OLDEST_KERNEL.join('.')}, this is ${release()}`;
  }
  // Every registered socket family has a line there, and AF_XDP calls itself XDP.
  const protocols = readFileSync('/proc/net/protocols', 'utf8');
  if (!/^XDP\s/m.test(protocols)) return 'this kernel is built without AF_XDP (CONFIG_XDP_SOCKETS)';
  return undefined;
}

/** Why this kernel does not let checks go to a virtual address, or undefined when it does. */
export function whyNoViaVip(): string | undefined {
  if (!isOlderThan(OLDEST_KERNEL_WITH_TCX)) return undefined;
  return `via: vip needs Linux ${OLDEST_KERNEL_WITH_TCX.join('.')}, this is ${release()}`;
}

function isOlderThan([oldestMajor, oldestMinor]: KernelVersion): boolean {
  const [major = 0, minor = 0] = release().split('.').map(Number);
  return major < oldestMajor || (major === oldestMajor && minor < oldestMinor);
}

function isRoot(): boolean {
  return process.geteuid?.() === 0;
}

function effectiveCapabilities(): bigint {
  const match = /^CapEff:\s*([0-9a-f]+)$/m.exec(readFileSync('/proc/self/status', 'utf8'));
  return match?.[1] === undefined ? 0n : BigInt(`0x${match[1]}`);
}

function hasCapability(capabilities: bigint, capability: bigint): boolean {
  return ((capabilities >> capability) & 1n) === 1n;
}

/** A shell of root without a login often lacks the directories in which `ip` and friends live. */
function searchSystemDirectories(): void {
  const path = (process.env.PATH ?? '').split(':').filter((directory) => directory !== '');
  for (const directory of ['/usr/sbin', '/sbin', '/usr/bin', '/bin']) {
    if (!path.includes(directory)) path.push(directory);
  }
  process.env.PATH = path.join(':');
}

function isInstalled(command: string): boolean {
  return (process.env.PATH ?? '').split(':').some((directory) => {
    try {
      accessSync(join(directory, command), constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}

function install(packages: readonly string[]): boolean {
  if (aptGet(['install', '--yes', '--no-install-recommends', ...packages])) return true;
  // A fresh image comes without package lists.
  return aptGet(['update']) && aptGet(['install', '--yes', '--no-install-recommends', ...packages]);
}

function aptGet(options: readonly string[]): boolean {
  const { status } = spawnSync('apt-get', ['--quiet', ...options], {
    stdio: 'ignore',
    timeout: APT_TIMEOUT_MS,
    env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' },
  });
  return status === 0;
}
