// What the process is allowed to do, looked at before anything is opened: a refusal in the middle of
// the start says less than one sentence at its beginning. And given up again once it is not needed.

import { readFileSync } from 'node:fs';
import { type Capability, keepCapabilities } from 'af-xdp-socket';
import type { Logger } from '../log.ts';
import { StartError, sentenceOf } from './start-error.ts';

/** Each needed capability: its bits of /proc/PID/status, any of which will do. */
export const NEEDED_CAPABILITIES: readonly (readonly [
  name: Capability,
  numbers: readonly number[],
])[] = [
  ['CAP_NET_ADMIN', [12]],
  ['CAP_NET_RAW', [13]],
  // CAP_SYS_ADMIN includes what CAP_BPF and CAP_PERFMON were split off from.
  ['CAP_BPF', [39, 21]],
  // The verifier lets a program compute with packet pointers only with this.
  ['CAP_PERFMON', [38, 21]],
];

/**
 * What a running director goes on to need: to attach, and ask for neighbours; for sockets and
 * pings; to write the steering program's tables. Loading the program and pinning frames is over.
 */
const KEPT: readonly Capability[] = ['CAP_NET_ADMIN', 'CAP_NET_RAW', 'CAP_BPF'];

/**
 * Checks the capabilities of the process.
 * @param status the text of /proc/self/status
 * @throws StartError
 */
export function checkPrivileges(status = readFileSync('/proc/self/status', 'utf8')): void {
  const match = /^CapEff:\s*([0-9a-f]+)$/m.exec(status);
  // Without the line nothing is known, and the system calls themselves will tell.
  if (match === null) return;
  const effective = BigInt(`0x${match[1]}`);
  const has = (number: number) => ((effective >> BigInt(number)) & 1n) === 1n;
  const lacking = NEEDED_CAPABILITIES.filter(([, numbers]) => !numbers.some(has));
  if (lacking.length === 0) return;
  const names = (capabilities: typeof NEEDED_CAPABILITIES) =>
    capabilities.map(([name]) => name).join(', ');
  throw new StartError(
    `the director needs ${names(NEEDED_CAPABILITIES)}, and this process lacks ` +
      `${names(lacking)}: run it as root or grant them`,
  );
}

/**
 * Gives up, in all threads and for good, what a running director does not need any more. Who has
 * only CAP_SYS_ADMIN, on which CAP_BPF then depends, keeps that.
 */
export function dropPrivileges(
  log: Logger,
  status = readFileSync('/proc/self/status', 'utf8'),
): void {
  const effective = BigInt(`0x${/^CapEff:\s*([0-9a-f]+)$/m.exec(status)?.[1] ?? '0'}`);
  const hasBpf = ((effective >> 39n) & 1n) === 1n;
  const kept: readonly Capability[] = hasBpf ? KEPT : [...KEPT, 'CAP_SYS_ADMIN'];
  try {
    const threads = keepCapabilities(kept);
    log.debug({ event: 'privileges-dropped', kept, threads });
  } catch (error) {
    log.warn(
      { event: 'privileges-not-dropped', reason: sentenceOf(error) },
      'the director goes on with all capabilities it was started with',
    );
  }
}
