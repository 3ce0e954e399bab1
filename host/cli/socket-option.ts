/** Where a command finds the director. */

import { DEFAULT_SOCKET } from '../control/api.ts';
import type { CommandInput, CommandIo } from './command.ts';

/** The control socket: --socket, or WVS_SOCKET, or the usual path. */
export function socketPath(input: CommandInput, io: Pick<CommandIo, 'environment'>): string {
  // An empty variable is how a shell script unsets one.
  return input.options.socket ?? (io.environment.WVS_SOCKET || DEFAULT_SOCKET);
}

/**
 * Takes `--socket PATH` out of arguments that are otherwise passed on untouched; no ipvsadm
 * has an option of that name.
 */
export function extractSocket(parameters: readonly string[]): {
  readonly socket: string | undefined;
  readonly rest: readonly string[];
} {
  const rest: string[] = [];
  let socket: string | undefined;
  for (let index = 0; index < parameters.length; index++) {
    const parameter = parameters[index]!;
    if (parameter === '--socket' && index + 1 < parameters.length) {
      socket = parameters[++index];
    } else if (parameter.startsWith('--socket=')) {
      socket = parameter.slice('--socket='.length);
    } else {
      rest.push(parameter);
    }
  }
  return { socket, rest };
}
