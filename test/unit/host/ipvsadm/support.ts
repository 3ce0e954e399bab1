import { type IpvsadmRun, ipvsadm } from '../../../../host/ipvsadm/ipvsadm.ts';
import { OfflineResolver } from '../../../../host/ipvsadm/resolver.ts';
import type { FakeControl } from './fake-control.ts';

const resolver = new OfflineResolver();

/** Runs one command line, given as words with blanks between them. */
export function run(control: FakeControl, line: string, stdin = ''): IpvsadmRun {
  const args = line.split(' ').filter((word) => word !== '');
  return ipvsadm(args, control, { stdin, resolver });
}

/** Runs command lines that must not fail. */
export function setUp(control: FakeControl, ...lines: readonly string[]): void {
  for (const line of lines) {
    const { code, stderr } = run(control, line);
    if (code !== 0) throw new Error(`${line}: ${stderr}`);
  }
}
