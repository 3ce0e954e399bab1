/**
 * `wvs ipvsadm`: hands a command line to the director as it is and prints what comes back.
 * What the options mean is known in the director only.
 */

import { askDirector } from '../control/client.ts';
import type { CommandInput, CommandIo } from './command.ts';
import { socketPath } from './socket-option.ts';

/** Runs one ipvsadm command line in the director; the exit code is ipvsadm's. */
export async function ipvsadmCommand(input: CommandInput, io: CommandIo): Promise<number> {
  const stdin = readsStdin(input.arguments) ? { stdin: await readAll(io.stdin) } : {};
  const request = { arguments: input.arguments, ...stdin };
  const { code, stdout, stderr } = await askDirector(socketPath(input, io), 'ipvsadm', request);
  if (stdout !== '') io.stdout.write(stdout);
  if (stderr !== '') io.stderr.write(stderr);
  return code;
}

/** Only -R reads its input; waiting for a terminal's in any other case would hang. */
function readsStdin(parameters: readonly string[]): boolean {
  return parameters.some((parameter) => parameter === '--restore' || /^-\w*R/.test(parameter));
}

async function readAll(stream: NodeJS.ReadableStream): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of stream) chunks.push(Buffer.from(chunk));
  return Buffer.concat(chunks).toString('utf8');
}
