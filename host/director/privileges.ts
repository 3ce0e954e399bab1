// What the process is allowed to do, looked at before anything is opened: a refusal in the middle of
// the start says less than one sentence at its beginning.

import { readFileSync } from 'node:fs';
import { StartError } from './start-error.ts';

/** Each needed capability: its bits of /proc/PID/status, any of which will do. */
const NEEDED: readonly (readonly [name: string, numbers: readonly number[]])[] = [
  ['CAP_NET_ADMIN', [12]],
  ['CAP_NET_RAW', [13]],
  // CAP_SYS_ADMIN includes what CAP_BPF was split off from.
  ['CAP_BPF', [39, 21]],
];

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
  const missing = NEEDED.filter(([, numbers]) => !numbers.some(has)).map(([name]) => name);
  if (missing.length === 0) return;
  throw new StartError(
    `the director needs ${NEEDED.map(([name]) => name).join(', ')}, and this process lacks ` +
      `${missing.join(', ')}: run it as root or grant them`,
  );
}
