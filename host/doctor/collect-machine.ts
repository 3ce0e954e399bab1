/** Facts about the machine: each function finds one of them out. */

import { endianness, release } from 'node:os';
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { sentenceOf } from '../director/start-error.ts';
import type { Attempt, MachineFacts } from './facts.ts';
import { readNumber, SYSTEM, type System } from './system.ts';

/** Tables just large enough for a program to load. */
const SMALL = { services: 16, realServers: 16, addresses: 16 };

/** Finds out everything about the machine. BPF programs are loaded and closed again. */
export async function collectMachine(system: System = SYSTEM): Promise<MachineFacts> {
  const addon = await collectAddon();
  return {
    kernel: release(),
    node: process.version,
    isLittleEndian: endianness() === 'LE',
    cpus: collectCpus(system),
    capabilities: collectCapabilities(system),
    lockableBytes: collectLockableBytes(system),
    availableBytes: collectAvailableBytes(system),
    addon,
    hasAfXdp: collectAfXdp(system),
    steering: addon.error === undefined ? await collectSteering() : undefined,
    probePaths: addon.error === undefined ? await collectProbePaths() : undefined,
    bpfJit: readNumber(system, '/proc/sys/net/core/bpf_jit_enable'),
    hugePages: collectHugePages(system),
    kernelServices: collectKernelServices(system),
  };
}

/** CPUs this process may run on, which may be fewer than there are. */
export function collectCpus(system: System): number {
  const allowed = /^Cpus_allowed_list:\s*(\S+)$/m.exec(system.read('/proc/self/status') ?? '');
  if (allowed === null) return 1;
  return allowed[1]!.split(',').reduce((sum, range) => {
    const [first, last = first] = range.split('-').map(Number);
    return sum + (last ?? 0) - (first ?? 0) + 1;
  }, 0);
}

/** Effective capabilities. */
export function collectCapabilities(system: System): bigint | undefined {
  const match = /^CapEff:\s*([0-9a-f]+)$/m.exec(system.read('/proc/self/status') ?? '');
  return match === null ? undefined : BigInt(`0x${match[1]}`);
}

/** RLIMIT_MEMLOCK. */
export function collectLockableBytes(system: System): number | undefined {
  const match = /^Max locked memory\s+(\S+)/m.exec(system.read('/proc/self/limits') ?? '');
  if (match === null) return undefined;
  return match[1] === 'unlimited' ? Number.POSITIVE_INFINITY : Number(match[1]);
}

/** MemAvailable, or what the control group leaves when that is less. */
export function collectAvailableBytes(system: System): number | undefined {
  const match = /^MemAvailable:\s*(\d+) kB$/m.exec(system.read('/proc/meminfo') ?? '');
  if (match === null) return undefined;
  const machine = Number(match[1]) * 1024;
  const limit = readNumber(system, '/sys/fs/cgroup/memory.max');
  const used = readNumber(system, '/sys/fs/cgroup/memory.current');
  return limit === undefined || used === undefined ? machine : Math.min(machine, limit - used);
}

/** Every socket family of the kernel has a line in /proc/net/protocols; AF_XDP's says XDP. */
export function collectAfXdp(system: System): boolean | undefined {
  const protocols = system.read('/proc/net/protocols');
  return protocols === undefined ? undefined : /^XDP\s/m.test(protocols);
}

/** The word in brackets of `always within_size advise [never] deny force`. */
export function collectHugePages(system: System): string | undefined {
  const text = system.read('/sys/kernel/mm/transparent_hugepage/shmem_enabled') ?? '';
  return /\[(\w+)\]/.exec(text)?.[1];
}

/** Services of the kernel's IPVS: every line of /proc/net/ip_vs with a protocol or a mark. */
export function collectKernelServices(system: System): number {
  const text = system.read('/proc/net/ip_vs') ?? '';
  return text.split('\n').filter((line) => /^(TCP|UDP|SCTP|FWM)\s/.test(line)).length;
}

/** Loads the addon; nothing of it is imported before it is known to load. */
async function collectAddon(): Promise<Attempt> {
  try {
    await import('af-xdp-socket');
    return {};
  } catch (error) {
    return { error: `the AF_XDP addon does not load: ${sentenceOf(error)}`, fix: buildLine() };
  }
}

function buildLine(): string {
  try {
    const entry = fileURLToPath(import.meta.resolve('af-xdp-socket'));
    return `make -C ${dirname(entry)}`;
  } catch {
    return 'npm rebuild af-xdp-socket';
  }
}

async function collectSteering(): Promise<Attempt> {
  try {
    const { Steering } = await import('af-xdp-socket');
    Steering.load({ capacity: SMALL }).close();
    return {};
  } catch (error) {
    return failedProgram(error);
  }
}

/** Without any path the programs let everything go on as it is. */
async function collectProbePaths(): Promise<Attempt> {
  try {
    const { ProbePaths } = await import('af-xdp-socket');
    const paths = ProbePaths.load({ capacity: 1 });
    try {
      paths.attach('lo');
    } finally {
      paths.close();
    }
    return {};
  } catch (error) {
    return failedProgram(error);
  }
}

function failedProgram(error: unknown): Attempt {
  const { code } = error as { code?: unknown };
  const fix = code === 'EPERM' ? 'run it as root, or grant CAP_BPF and CAP_NET_ADMIN' : undefined;
  return { error: sentenceOf(error), ...(fix === undefined ? {} : { fix }) };
}
