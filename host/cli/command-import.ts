/** `wvs import`: the files of keepalived and ipvsadm as a configuration of WVS. */

import { formatProblem } from '../config/problems.ts';
import { readConfigFile } from '../config/read.ts';
import type { ConfigProblem } from '../config/types.ts';
import { type ImportSource, importConfig } from '../import/import-config.ts';
import { formatNote } from '../import/report.ts';
import { type CommandInput, type CommandIo, EXIT_FAILURE, EXIT_OK } from './command.ts';

/**
 * Prints a configuration to stdout, and to stderr a line for everything that is not in it. Exits
 * with 1, and prints no configuration, when a file could not be understood.
 */
export async function importCommand(input: CommandInput, io: CommandIo): Promise<number> {
  const { configId, interface: interfaces } = input.options;
  const sources: ImportSource[] = [];
  for (const file of input.arguments) {
    const source = await readSource(file, io);
    if ('problem' in source) {
      io.stderr.write(`${formatProblem(source.problem)}\n`);
      return EXIT_FAILURE;
    }
    sources.push(source);
  }
  const result = importConfig(sources, { configId, interfaces });
  for (const note of result.notes) io.stderr.write(`${formatNote(note)}\n`);
  if (!result.ok) {
    for (const error of result.errors) io.stderr.write(`${formatNote(error)}\n`);
    return EXIT_FAILURE;
  }
  io.stdout.write(result.yaml);
  return EXIT_OK;
}

async function readSource(
  file: string,
  io: CommandIo,
): Promise<ImportSource | { readonly problem: ConfigProblem }> {
  if (file === '-') {
    const chunks: Buffer[] = [];
    for await (const chunk of io.stdin) chunks.push(Buffer.from(chunk));
    return { file: '<stdin>', text: Buffer.concat(chunks).toString('utf8') };
  }
  const read = await readConfigFile(file);
  return read.ok ? { file, text: read.text } : { problem: read.problem };
}
