/** `wvs reload` and `wvs plan`: the same question to the director, done or only thought. */

import { resolve } from 'node:path';
import { formatProblem, formatWarning } from '../config/problems.ts';
import type { ReloadResult } from '../control/api.ts';
import { askDirector, ControlClientError } from '../control/client.ts';
import { type CommandInput, type CommandIo, EXIT_FAILURE, EXIT_OK } from './command.ts';
import { socketPath } from './socket-option.ts';
import { plural } from './table.ts';

/** Makes the director take a configuration over and prints what changed. */
export function reloadCommand(input: CommandInput, io: CommandIo): Promise<number> {
  return ask('reload', input, io);
}

/** Prints what reloadCommand() would change. */
export function planCommand(input: CommandInput, io: CommandIo): Promise<number> {
  return ask('plan', input, io);
}

async function ask(route: 'reload' | 'plan', input: CommandInput, io: CommandIo): Promise<number> {
  const { config, json } = input.options;
  // The director has a working directory of its own.
  const request = config === undefined ? {} : { config: resolve(config) };
  try {
    const result = await askDirector(socketPath(input, io), route, request);
    if (json) io.stdout.write(`${JSON.stringify(result, undefined, 2)}\n`);
    else printResult(result, route, io);
    return EXIT_OK;
  } catch (error) {
    if (!(error instanceof ControlClientError) || error.problems.length === 0) throw error;
    for (const problem of error.problems) io.stderr.write(`${formatProblem(problem)}\n`);
    return EXIT_FAILURE;
  }
}

function printResult(result: ReloadResult, route: 'reload' | 'plan', io: CommandIo): void {
  for (const warning of result.warnings) io.stderr.write(`${formatWarning(warning)}\n`);
  for (const change of result.changes) {
    const { text, connections = 0 } = change;
    const toll = connections > 0 ? ` (${plural(connections, 'connection')})` : '';
    io.stdout.write(`${text}${toll}\n`);
  }
  printAffected(result, io);
  const count = result.changes.length;
  const changes = count === 0 ? 'nothing' : plural(count, 'thing');
  const verb = route === 'reload' ? 'changed' : 'would change';
  io.stdout.write(`${result.file}: ${changes} ${verb}\n`);
}

/** The servers that lose their place and have connections, and what becomes of these. */
function printAffected({ affected = [] }: ReloadResult, io: CommandIo): void {
  for (const { service, server, active, inactive, fate } of affected) {
    const whose = `${server} of ${service}`;
    const counts = `${active} active, ${inactive} inactive`;
    const text = fate === 'drain' ? 'may go on until they end' : 'are cut off';
    io.stdout.write(`! connections of ${whose} ${text}: ${counts}\n`);
  }
}
