// ICMP: an echo request is answered. Node has no ICMP sockets, so ping(8) of iputils or busybox
// sends it, one process for each probe. That costs some milliseconds of processor time: for
// thousands of servers `tcp` is the cheaper check. ping needs its file capability, or its group in
// net.ipv4.ping_group_range where a service manager takes capabilities of files away.

import { attempt } from './attempt.ts';
import { codeOf } from './describe-error.ts';
import type { CheckOf, Probe, ProbeTarget } from './probe.ts';
import { type Exit, runProgram } from './process-group.ts';

const PING = 'ping';
const EXIT_NO_ANSWER = 1;

/** A probe with one echo request. */
export function icmpProbe(
  { family, address }: ProbeTarget,
  check: CheckOf<'icmp'>,
  ping: string = PING,
): Probe {
  const source = check.source === undefined ? [] : ['-I', check.source.address];
  // Whole seconds are all that busybox understands; our own timeout is the exact one.
  const wait = String(Math.ceil(check.timeout / 1000));
  const command = [ping, `-${family}`, '-n', '-c', '1', '-W', wait, ...source, address];
  return (signal) =>
    attempt({ timeout: check.timeout, signal }, (running) => {
      running.waitFor('an echo reply');
      const kill = runProgram({
        command,
        onError: (error) => running.giveUp(`cannot run ${ping}: ${codeOf(error)}`),
        onExit: (exit) => {
          if (exit.code === 0) running.pass('echo reply');
          else if (exit.code === EXIT_NO_ANSWER) running.fail(noAnswer(exit));
          else running.giveUp(`${ping}: ${lastLine(exit)}`);
        },
      });
      running.onEnd(kill);
    });
}

/** ping prints a router's ICMP error: `From 10.0.0.1 icmp_seq=1 Destination Host Unreachable`. */
function noAnswer({ output }: Exit): string {
  const error = /^From \S+ icmp_seq=\d+ (.+)$/m.exec(output)?.[1];
  return error === undefined ? 'no echo reply' : error.toLowerCase();
}

function lastLine({ output, code, signal }: Exit): string {
  const line = output
    .trim()
    .split('\n')
    .at(-1)!
    .replace(/^ping: /, '');
  return line === '' ? `exit code ${code ?? signal}` : line;
}
