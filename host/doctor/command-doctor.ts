/** `wvs doctor`: can the director run here, and what would make it run better. */

import { type CommandInput, type CommandIo, EXIT_FAILURE, EXIT_OK } from '../cli/command.ts';
import { diagnose } from './checks.ts';
import { collectFacts } from './collect.ts';
import { formatFindings } from './report.ts';

/** Prints what it finds; the exit code is 1 when something is wrong. */
export async function doctorCommand({ options }: CommandInput, io: CommandIo): Promise<number> {
  const socket = options.socket ?? (io.environment.WVS_SOCKET || undefined);
  const findings = diagnose(await collectFacts({ config: options.config, socket }));
  const text = options.json ? `${JSON.stringify(findings, undefined, 2)}\n` : undefined;
  io.stdout.write(text ?? formatFindings(findings));
  return findings.some(({ level }) => level === 'fail') ? EXIT_FAILURE : EXIT_OK;
}
