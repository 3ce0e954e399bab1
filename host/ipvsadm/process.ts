import { EXIT_FAILED } from './exit.ts';
import { parseCommand, tryHelp } from './parse.ts';
import { restoreAtomically } from './restore-atomically.ts';
import { restoreLines } from './restore-lines.ts';
import { checkCommand, type RunContext, runCommand } from './run.ts';

/** What a command line is run with. */
export interface ProcessContext extends RunContext {
  /** What -R reads. */
  readonly stdin: string;
}

/**
 * Reads, checks and runs one command line, without the program's name. Returns the exit code;
 * throws Exit where ipvsadm leaves through exit().
 */
export function processCommandLine(args: readonly string[], context: ProcessContext): number {
  return process(args, context, false);
}

function process(args: readonly string[], context: ProcessContext, isRestoring: boolean): number {
  const command = parseCommand(args, context);
  if (command === undefined) return EXIT_FAILED;
  checkCommand(command, context.output);
  if (command.name !== 'restore') return runCommand(command, context);
  if (isRestoring) return tryHelp(context.output);
  return command.given.has('atomic')
    ? restoreAtomically(context, (line, inner) => process(line, { ...context, ...inner }, true))
    : restore(context);
}

/**
 * Runs one command after another. What the kernel refuses, or popt does not understand behind
 * the command, does not stop it; everything else does. Returns the exit code of the last one.
 */
function restore(context: ProcessContext): number {
  let code = 0;
  for (const { args } of restoreLines(context.stdin)) {
    if (args.length > 0) code = process(args, context, true);
  }
  return code;
}
