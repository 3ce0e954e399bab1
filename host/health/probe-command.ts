// Command: a program exits with 0. Its exit code may also say the server's weight, as that of
// keepalived's MISC_CHECK with misc_dynamic does:
//
//   exit code          without weightFromExitCode   with weightFromExitCode
//   0                  pass                         pass, the weight stays as configured
//   1                  fail                         fail
//   2 to 255           fail                         pass, the weight is the exit code less 2
//   killed by signal   fail                         fail

import { attempt } from './attempt.ts';
import { codeOf, isOurFault } from './describe-error.ts';
import type { CheckOf, Probe, ProbeTarget } from './probe.ts';
import { type Exit, runProgram } from './process-group.ts';

const EXIT_FAILURE = 1;
const WEIGHT_OFFSET = 2;
const OUTPUT_SHOWN_MAX = 100;

/** A probe that runs a program, and at the timeout kills it with all it has started. */
export function commandProbe(target: ProbeTarget, check: CheckOf<'command'>): Probe {
  const environment = {
    WVS_SERVER_ADDRESS: target.address,
    WVS_SERVER_PORT: String(target.port),
    WVS_TIMEOUT_MS: String(check.timeout),
  };
  return (signal) =>
    attempt({ timeout: check.timeout, signal }, (running) => {
      running.waitFor(`${check.command[0]!} to end`);
      const kill = runProgram({
        command: check.command,
        environment,
        onError: (error) => {
          const detail = `cannot run ${check.command[0]!}: ${codeOf(error) || error.message}`;
          if (isOurFault(error) && codeOf(error) !== 'EACCES') running.giveUp(detail);
          else running.fail(detail);
        },
        onExit: (exit) => {
          const code = exit.code ?? EXIT_FAILURE;
          const isWeight = check.weightFromExitCode === true && code >= WEIGHT_OFFSET;
          const detail = describeExit(exit);
          if (code === 0) running.pass(detail);
          else if (isWeight) running.pass(detail, { weight: code - WEIGHT_OFFSET });
          else running.fail(detail);
        },
      });
      running.onEnd(kill);
    });
}

function describeExit({ code, signal, output }: Exit): string {
  const end = signal === undefined ? `exit code ${code}` : `killed by ${signal}`;
  const line = output.trim().split('\n')[0]!.slice(0, OUTPUT_SHOWN_MAX);
  return line === '' ? end : `${end}: ${line}`;
}
