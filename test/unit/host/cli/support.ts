/** Runs `wvs` inside the test and keeps what it prints. */

import { Readable } from 'node:stream';
import type { CommandDefinition } from '../../../../host/cli/command.ts';
import { runProgram } from '../../../../host/cli/program.ts';

export interface Outcome {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** The outcome of `wvs PARAMETERS...`. */
export async function wvs(
  parameters: readonly string[],
  options: {
    readonly environment?: NodeJS.ProcessEnv;
    readonly commands?: readonly CommandDefinition[];
    readonly stdin?: string;
  } = {},
): Promise<Outcome> {
  let stdout = '';
  let stderr = '';
  const io = {
    stdin: Readable.from([options.stdin ?? '']),
    stdout: { write: (text: string) => (stdout += text) },
    stderr: { write: (text: string) => (stderr += text) },
    environment: options.environment ?? {},
  };
  const code = await runProgram(parameters, io, options.commands);
  return { code, stdout, stderr };
}
