/** `wvs proc`: what the kernel's IPVS would show in a file of /proc/net. */

import { askDirector } from '../control/client.ts';
import { PROC_FILES, type ProcFile } from '../ipvs/proc.ts';
import { type CommandInput, type CommandIo, EXIT_OK, EXIT_USAGE } from './command.ts';
import { socketPath } from './socket-option.ts';

/** Prints the text of one file. */
export async function procCommand(input: CommandInput, io: CommandIo): Promise<number> {
  const [name = ''] = input.arguments;
  const file = PROC_FILES.find((candidate) => candidate === name.replace(/^\/proc\/net\//, ''));
  if (file === undefined) {
    io.stderr.write(`wvs: ${name} is none of ${PROC_FILES.join(', ')}\n`);
    return EXIT_USAGE;
  }
  const { text } = await askDirector(socketPath(input, io), 'proc', { file: file as ProcFile });
  io.stdout.write(text);
  return EXIT_OK;
}
