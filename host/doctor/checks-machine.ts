/** Checks of the machine: kernel, privileges, addon, memory. */

import { servicesViaVip } from '../config/via-vip.ts';
import type { Facts } from './facts.ts';
import { type Check, fail, machineCheck, ok, type Verdict, warn } from './finding.ts';

const OLDEST_KERNEL = [5, 11] as const;
const OLDEST_NODE = 20;
const MEBIBYTE = 2 ** 20;
const NAMES_MAX = 5;

const CAP_IPC_LOCK = 14;
/** Each needed capability with the numbers of those that include it. */
const CAPABILITIES: readonly (readonly [name: string, numbers: readonly number[]])[] = [
  ['CAP_NET_ADMIN', [12]],
  ['CAP_NET_RAW', [13]],
  ['CAP_BPF', [39, 21]],
  ['CAP_PERFMON', [38, 21]],
];

const HUGE_PAGES_FILE = '/sys/kernel/mm/transparent_hugepage/shmem_enabled';

/** The checks of this file, in the order in which they are printed. */
export const MACHINE_CHECKS: readonly Check[] = [
  machineCheck('kernel', ({ machine }) => judgeKernel(machine.kernel)),
  machineCheck('node', ({ machine }) => judgeNode(machine)),
  machineCheck('capabilities', ({ machine }) => judgeCapabilities(machine.capabilities)),
  machineCheck('addon', ({ machine: { addon } }) => {
    return addon.error === undefined ? ok('the AF_XDP addon loads') : fail(addon.error, addon.fix);
  }),
  machineCheck('af-xdp', ({ machine }) => judgeAfXdp(machine.hasAfXdp)),
  machineCheck('steering-program', judgeSteering),
  machineCheck('via-vip', judgeViaVip),
  machineCheck('bpf-jit', ({ machine }) => judgeJit(machine.bpfJit)),
  machineCheck('huge-pages', ({ machine }) => judgeHugePages(machine.hugePages)),
  machineCheck('locked-memory', judgeLockedMemory),
  machineCheck('memory', judgeMemory),
  machineCheck('kernel-ipvs', ({ machine: { kernelServices } }) => {
    if (kernelServices === 0) return ok("the kernel's own IPVS has no services");
    const saw =
      `the kernel's own IPVS has ${kernelServices} services: packets on queues or protocols ` +
      'that WVS leaves to the kernel are scheduled there';
    return warn(saw, 'ipvsadm --clear');
  }),
  machineCheck('director', judgeDirector),
];

function judgeKernel(release: string): Verdict {
  const [major = 0, minor = 0] = release.split(/[.-]/).map(Number);
  const [oldestMajor, oldestMinor] = OLDEST_KERNEL;
  const isNewEnough = major > oldestMajor || (major === oldestMajor && minor >= oldestMinor);
  if (isNewEnough) return ok(`Linux ${release}`);
  return fail(`Linux ${release}`, `boot Linux ${OLDEST_KERNEL.join('.')} or later`);
}

function judgeNode({ node, isLittleEndian }: Facts['machine']): Verdict {
  if (!isLittleEndian) {
    return fail(
      `Node ${node} on a big-endian machine: the rings hold little-endian numbers`,
      'use a little-endian machine (x86-64, arm64)',
    );
  }
  const major = Number(/^v?(\d+)/.exec(node)?.[1] ?? 0);
  if (major >= OLDEST_NODE) return ok(`Node ${node}`);
  return fail(`Node ${node}`, `install Node ${OLDEST_NODE} or later`);
}

/** Whether one of the capabilities is there; what is not known counts as there. */
function holds(capabilities: bigint | undefined, ...numbers: readonly number[]): boolean {
  if (capabilities === undefined) return true;
  return numbers.some((number) => ((capabilities >> BigInt(number)) & 1n) === 1n);
}

function judgeCapabilities(capabilities: bigint | undefined): Verdict {
  if (capabilities === undefined) return warn('/proc/self/status does not say');
  const missing = CAPABILITIES.filter(([, numbers]) => !holds(capabilities, ...numbers));
  if (missing.length === 0) return ok(CAPABILITIES.map(([name]) => name).join(', '));
  const names = missing.map(([name]) => name);
  const wanted = CAPABILITIES.map(([name]) => name.toLowerCase().replace('cap_', '+'));
  return fail(
    `this process lacks ${names.join(', ')}`,
    `sudo setpriv --reuid $(id -u) --regid $(id -g) --init-groups --inh-caps ${wanted.join(',')} ` +
      `--ambient-caps ${wanted.join(',')} wvs run --config FILE   (or run it as root)`,
  );
}

function judgeAfXdp(hasAfXdp: boolean | undefined): Verdict {
  if (hasAfXdp === undefined) return warn('/proc/net/protocols cannot be read');
  if (hasAfXdp) return ok('the kernel has AF_XDP sockets');
  return fail('this kernel is built without AF_XDP', 'boot a kernel with CONFIG_XDP_SOCKETS=y');
}

function judgeSteering({ machine: { steering } }: Facts): Verdict {
  if (steering === undefined) return undefined;
  if (steering.error === undefined) return ok("the kernel's verifier takes the steering program");
  return fail(`the steering program does not load: ${steering.error}`, steering.fix);
}

/** It matters only to a configuration that has such checks. */
function judgeViaVip({ machine: { probePaths }, configuration }: Facts): Verdict {
  if (probePaths === undefined) return undefined;
  if (probePaths.error === undefined) return ok('checks with `via: vip` are possible');
  const saw = `checks with \`via: vip\` are not possible: ${probePaths.error}`;
  const services = servicesViaVip(configuration?.config?.services ?? []);
  if (services.length === 0) return ok(`${saw} No service has one.`);
  const names = services.slice(0, NAMES_MAX).map(({ name }) => name);
  return fail(`${saw} (${names.join(', ')})`, probePaths.fix ?? 'boot Linux 6.6 or later');
}

function judgeJit(value: number | undefined): Verdict {
  if (value === undefined) return ok('net.core.bpf_jit_enable is not there: always on, or hidden');
  if (value > 0) return ok('BPF programs are compiled (net.core.bpf_jit_enable)');
  return warn('BPF programs are interpreted', 'sysctl -w net.core.bpf_jit_enable=1');
}

function judgeHugePages(choice: string | undefined): Verdict {
  if (choice === undefined) {
    return warn('no transparent huge pages: lookups in large tables cost more');
  }
  const saw = `huge pages for shared memory: ${choice}`;
  if (choice !== 'never' && choice !== 'deny') return ok(saw);
  return warn(`${saw}; lookups in large tables cost more`, `echo advise > ${HUGE_PAGES_FILE}`);
}

function judgeLockedMemory({ machine, plan }: Facts): Verdict {
  if (holds(machine.capabilities, CAP_IPC_LOCK)) return ok('CAP_IPC_LOCK: no limit');
  const { lockableBytes } = machine;
  if (lockableBytes === undefined) return warn('/proc/self/limits does not say');
  if (lockableBytes === Number.POSITIVE_INFINITY) return ok('no limit');
  const saw = `at most ${mebibytes(lockableBytes)} may be locked`;
  if (plan === undefined) return ok(`${saw}; a configuration says how much is needed`);
  const needs = `frames take ${mebibytes(plan.pinnedBytes)}`;
  if (plan.pinnedBytes <= lockableBytes) return ok(`${saw}, ${needs}`);
  return fail(`${saw}, ${needs}`, 'ulimit -l unlimited   (systemd: LimitMEMLOCK=infinity)');
}

function judgeMemory({ machine: { availableBytes }, plan }: Facts): Verdict {
  if (availableBytes === undefined || plan === undefined) return undefined;
  const saw =
    `the tables and frames take up to ${mebibytes(plan.memoryBytes)}, ` +
    `${mebibytes(availableBytes)} are available`;
  if (plan.memoryBytes <= availableBytes) return ok(saw);
  // Frames are there from the start; tables take pages only as they fill.
  if (plan.pinnedBytes > availableBytes) {
    return fail(saw, 'director.workers or ports[].queues: use fewer');
  }
  return warn(saw, 'director.connections: use fewer, or add memory');
}

function judgeDirector({ director: { socket, pid, isAnswered } }: Facts): Verdict {
  if (!isAnswered) return ok(`no director answers at ${socket}`);
  const who = pid === undefined ? 'something' : `a director, process ${pid},`;
  const saw = `${who} answers at ${socket}: a second one needs a socket and ports of its own`;
  return pid === undefined ? warn(saw, 'director.control: choose another path') : ok(saw);
}

function mebibytes(bytes: number): string {
  return `${Math.ceil(bytes / MEBIBYTE)} MiB`;
}
