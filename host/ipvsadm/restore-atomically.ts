import { EXIT_FAILED, EXIT_REFUSED, exitCodeOf } from './exit.ts';
import type { FullNatControl } from './full-nat-control.ts';
import { Output } from './output.ts';
import { commandOf } from './parse.ts';
import { RehearsalControl } from './rehearsal-control.ts';
import { type RestoreLine, restoreLines } from './restore-lines.ts';
import { UndoControl } from './undo-control.ts';

/** What a single line runs against. */
export interface LineSurroundings {
  readonly control: FullNatControl;
  readonly output: Output;
}

/** Runs the command of one line and returns its exit code, or throws Exit. */
export type RunLine = (args: readonly string[], surroundings: LineSurroundings) => number;

/** What changes services: the rest has no place between lines that count together. */
const RULE_COMMANDS: ReadonlySet<string> = new Set([
  'add-service',
  'edit-service',
  'delete-service',
  'flush',
  'zero',
  'set',
  'add-server',
  'edit-server',
  'delete-server',
  'add-laddr',
  'del-laddr',
]);

/** A line that is wrong, and why. */
interface LineError {
  readonly line: RestoreLine;
  readonly code: number;
  readonly message: string;
}

/**
 * Restores all lines or none: -R --atomic. The lines are tried on a copy first, and every wrong
 * one is reported with its number; the exit code is that of the first. Lines that start with #
 * are comments.
 */
export function restoreAtomically(
  { stdin, control, output }: LineSurroundings & { readonly stdin: string },
  run: RunLine,
): number {
  const lines = restoreLines(stdin).filter(
    ({ args }) => args.length > 0 && !args[0]!.startsWith('#'),
  );
  const rehearsal = new RehearsalControl(control);
  const errors = lines.flatMap((line) => errorOf(line, rehearsal, run) ?? []);
  if (errors.length > 0) return report(errors, lines.length, output);
  const error = control.batch(() => applyAll(lines, new UndoControl(control), run));
  return error === undefined ? 0 : report([error], lines.length, output);
}

/** Applies all lines. The copy may have known less than the director: then all is undone. */
function applyAll(
  lines: readonly RestoreLine[],
  control: UndoControl,
  run: RunLine,
): LineError | undefined {
  for (const line of lines) {
    const error = errorOf(line, control, run);
    if (error === undefined) continue;
    control.undo();
    return error;
  }
  return undefined;
}

function errorOf(line: RestoreLine, control: FullNatControl, run: RunLine): LineError | undefined {
  const name = commandOf(line.args);
  if (name !== undefined && !RULE_COMMANDS.has(name)) {
    const message = `Illegal '${name}' command in an atomic restore`;
    return { line, code: EXIT_REFUSED, message };
  }
  const output = new Output();
  const code = exitCodeOf(() => run(line.args, { control, output }));
  if (code === 0 && name !== undefined) return undefined;
  // Help and version end well, and yet are no rules.
  if (code === 0) return { line, code: EXIT_FAILED, message: 'Not a command that changes rules' };
  return { line, code, message: output.text('stderr').trim() };
}

function report(errors: readonly LineError[], lineCount: number, output: Output): number {
  for (const { line, message } of errors) output.complain(`line ${line.number}: ${message}`);
  const lines = lineCount === 1 ? '1 line is' : `${lineCount} lines are`;
  output.complain(`Nothing was restored: ${errors.length} of ${lines} wrong`);
  return errors[0]!.code;
}
