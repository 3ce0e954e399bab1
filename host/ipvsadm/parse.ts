import { type Command, emptyCommand } from './command.ts';
import { EXIT_FAILED, Exit } from './exit.ts';
import { applyOption } from './option-effects.ts';
import { OptionReader } from './option-reader.ts';
import {
  COMMANDS_BY_OPTION,
  type CommandName,
  OPTIONS,
  type OptionSpec,
  SERVER_COMMAND_OPTIONS,
} from './options.ts';
import type { Output } from './output.ts';
import { type ParseContext, parseTimeout } from './parse-context.ts';
import { parseSchedulerFlags, withSchedulerFlags } from './scheduler-flags.ts';
import { EXTENSIONS, PROGRAM, USAGE, VERSION } from './usage.ts';

/** The scheduler of a service that none was given for. */
export const DEFAULT_SCHEDULER = 'wlc';

/** The options that print a text, and nothing more. */
const ANSWERS: ReadonlyMap<string, string> = new Map([
  ['help', USAGE],
  ['version', VERSION],
  ['help-extensions', EXTENSIONS],
]);

/**
 * Reads one command line, without the program's name. Undefined when an option could not be
 * understood, which does not end a restore; throws Exit for all else that is wrong, and after
 * the help.
 */
export function parseCommand(args: readonly string[], context: ParseContext): Command | undefined {
  const { output } = context;
  const reader = new OptionReader(args, OPTIONS);
  const command = readCommandName(reader, output);
  if (command.name === 'add-server' || command.name === 'edit-server') {
    reader.specs = SERVER_COMMAND_OPTIONS;
  }
  let flagList = '';
  for (;;) {
    const read = reader.next();
    if (read.kind === 'end') break;
    if (read.kind === 'problem') {
      output.complain(`${reader.current}: ${read.problem}`);
      return undefined;
    }
    const { spec, value } = read;
    if (isCommand(spec)) output.fail(`invalid option \`${reader.current}'`);
    markGiven(command, spec, value, output);
    if (isSchedulerFlags(spec) && value !== undefined) flagList = value;
    else applyOption(command, spec, value, context);
  }
  if (command.name === 'set') command.timeouts = takeTimeouts(reader, output);
  const leftover = reader.takeLeftover();
  if (leftover !== undefined) output.fail(`unexpected argument ${leftover}`);
  if (flagList !== '') applySchedulerFlags(command, flagList, output);
  return command;
}

/** The command a command line is for, or undefined when its first option is none. */
export function commandOf(args: readonly string[]): CommandName | undefined {
  const read = new OptionReader(args, OPTIONS).next();
  return read.kind === 'option' ? COMMANDS_BY_OPTION.get(read.spec.long) : undefined;
}

/** Whether a command line only asks for help or the version. */
export function isQuestion(args: readonly string[]): boolean {
  const read = new OptionReader(args, OPTIONS).next();
  return read.kind === 'option' && ANSWERS.has(read.spec.long);
}

function isCommand({ long }: OptionSpec): boolean {
  return COMMANDS_BY_OPTION.has(long) || ANSWERS.has(long);
}

function isSchedulerFlags({ long, short }: OptionSpec): boolean {
  return long === 'sched-flags' || (long === '' && short === 'b');
}

function readCommandName(reader: OptionReader, output: Output): Command {
  const read = reader.next();
  if (read.kind !== 'option') return tryHelp(output);
  const { spec, value } = read;
  const answer = ANSWERS.get(spec.long);
  if (answer !== undefined) {
    output.print(answer);
    throw new Exit(0);
  }
  const name = COMMANDS_BY_OPTION.get(spec.long);
  if (name === undefined) return tryHelp(output);
  const isKnown = value === 'master' || value === 'backup';
  if (name === 'start-daemon' && !isKnown) {
    output.fail('illegal start-daemon parameter specified');
  }
  if (name === 'stop-daemon' && !isKnown) output.fail('illegal start_daemon specified');
  return emptyCommand(name);
}

/** Ends the run with the hint at the help. */
export function tryHelp(output: Output): never {
  output.complain(`Try \`${PROGRAM} -h' or '${PROGRAM} --help' for more information.`);
  throw new Exit(EXIT_FAILED);
}

/** Each option may be there once. Full-nat's -b is a forwarding method, its flags are not. */
function markGiven(
  command: Command,
  spec: OptionSpec,
  value: string | undefined,
  output: Output,
): void {
  const isFullNat = isSchedulerFlags(spec) && value === undefined;
  const bare = isSchedulerFlags(spec) ? 'sched-flags' : spec.checked;
  const name = isFullNat ? 'forwarding-method' : bare;
  if (name === undefined) return;
  if (command.given.has(name)) output.fail(`multiple '${name}' options specified`);
  command.given.add(name);
}

function takeTimeouts(reader: OptionReader, output: Output): Command['timeouts'] {
  const tcp = reader.takeLeftover();
  const tcpFin = reader.takeLeftover();
  const udp = reader.takeLeftover();
  if (tcp === undefined || tcpFin === undefined || udp === undefined) {
    return output.fail('--set option requires 3 timeout values');
  }
  return {
    tcp: parseTimeout(tcp, 0, output),
    tcpFin: parseTimeout(tcpFin, 0, output),
    udp: parseTimeout(udp, 0, output),
  };
}

function applySchedulerFlags({ service }: Command, list: string, output: Output): void {
  const scheduler = service.scheduler === '' ? DEFAULT_SCHEDULER : service.scheduler;
  const flags = parseSchedulerFlags(list, scheduler, output);
  service.flags = withSchedulerFlags(service.flags, flags);
}
