/** `wvs check`: is this a configuration? */

import { loadConfig } from '../config/load.ts';
import { formatProblem, formatWarning } from '../config/problems.ts';
import type { Config } from '../config/types.ts';
import { type CommandInput, type CommandIo, EXIT_FAILURE, EXIT_OK } from './command.ts';
import { plural } from './table.ts';

/** Prints every error of the file to stderr, or one line to stdout when there is none. */
export async function checkCommand({ options }: CommandInput, io: CommandIo): Promise<number> {
  const result = await loadConfig(options.config!);
  for (const warning of result.warnings) io.stderr.write(`${formatWarning(warning)}\n`);
  if (!result.ok) {
    for (const problem of result.errors) io.stderr.write(`${formatProblem(problem)}\n`);
    return EXIT_FAILURE;
  }
  io.stdout.write(`${options.config}: ok: ${summary(result.config)}\n`);
  return EXIT_OK;
}

function summary({ director, services }: Config): string {
  const servers = services.reduce((sum, service) => sum + service.servers.length, 0);
  return [
    plural(director.ports.length, 'port'),
    plural(services.length, 'service'),
    plural(servers, 'server'),
  ].join(', ');
}
