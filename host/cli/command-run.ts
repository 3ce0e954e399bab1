/** `wvs run`: the director in the foreground. */

import { runDirector } from '../director/run.ts';
import type { CommandInput, CommandIo } from './command.ts';

/** Runs a director until a signal ends it. */
export function runCommand({ options }: CommandInput, io: CommandIo): Promise<number> {
  return runDirector({ config: options.config!, stderr: io.stderr });
}
