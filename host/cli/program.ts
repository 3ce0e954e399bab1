/**
 * The command line: from the arguments of the process to the exit code. commander parses and
 * writes the help; what there is to parse stands in commands.ts.
 */

import { Command, CommanderError, Option } from 'commander';
import {
  type CommandDefinition,
  type CommandInput,
  type CommandIo,
  type CommandOptions,
  EXIT_FAILURE,
  EXIT_OK,
  EXIT_USAGE,
  type OptionDefinition,
} from './command.ts';
import { COMMANDS, SOCKET_OPTION } from './commands.ts';
import { extractSocket } from './socket-option.ts';
import { readVersion } from './version.ts';

/** Runs `wvs PARAMETERS...` and returns its exit code. */
export async function runProgram(
  parameters: readonly string[],
  io: CommandIo,
  commands: readonly CommandDefinition[] = COMMANDS,
): Promise<number> {
  try {
    const passedThrough = await passThrough(parameters, { io, commands });
    return passedThrough ?? (await parseAndRun(parameters, { io, commands }));
  } catch (error) {
    io.stderr.write(`wvs: ${error instanceof Error ? error.message : String(error)}\n`);
    return EXIT_FAILURE;
  }
}

interface Context {
  readonly io: CommandIo;
  readonly commands: readonly CommandDefinition[];
}

/**
 * Runs a command that has its own syntax, such as ipvsadm, past commander, which would have
 * an opinion on `--help`, `--` and options it does not know.
 */
async function passThrough(
  parameters: readonly string[],
  { io, commands }: Context,
): Promise<number | undefined> {
  const index = parameters[0]?.startsWith('--socket') ? indexAfterSocket(parameters) : 0;
  const name = parameters[index];
  const definition = commands.find((command) => command.passesThrough && command.name === name);
  if (definition === undefined) return undefined;
  const before = extractSocket(parameters.slice(0, index));
  const after = extractSocket(parameters.slice(index + 1));
  const run = await definition.load();
  const socket = after.socket ?? before.socket;
  const options = socket === undefined ? {} : { socket };
  return run({ arguments: after.rest, options }, io);
}

function indexAfterSocket(parameters: readonly string[]): number {
  return parameters[0] === '--socket' ? 2 : 1;
}

async function parseAndRun(parameters: readonly string[], context: Context): Promise<number> {
  let exitCode = EXIT_OK;
  const program = createProgram(context, async (definition, input) => {
    const run = await definition.load();
    exitCode = await run(input, context.io);
  });
  try {
    await program.parseAsync(parameters, { from: 'user' });
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    // Help that was asked for is a success; all else commander ends for is wrong usage.
    return error.exitCode === 0 ? EXIT_OK : EXIT_USAGE;
  }
  return exitCode;
}

type Run = (definition: CommandDefinition, input: CommandInput) => Promise<void>;

function createProgram({ io, commands }: Context, run: Run): Command {
  const program = new Command('wvs')
    .description('The WebAssembly Virtual Server, a layer-4 load balancer in userspace.')
    .option(SOCKET_OPTION.flags, SOCKET_OPTION.description)
    .version(readVersion(), '--version', 'print the version')
    .enablePositionalOptions()
    .showHelpAfterError('(wvs --help lists the commands and options)')
    .exitOverride()
    .configureOutput({
      writeOut: (text) => io.stdout.write(text),
      writeErr: (text) => io.stderr.write(text),
      outputError: (text, write) => write(text.replace(/^error: /, 'wvs: ')),
    });
  for (const definition of commands) addCommand(program, definition, run);
  return program;
}

function addCommand(program: Command, definition: CommandDefinition, run: Run): void {
  const command = program.command(definition.name).description(definition.summary);
  command.showHelpAfterError(`(wvs ${definition.name} --help lists the options)`);
  for (const { syntax, description } of definition.arguments ?? []) {
    command.argument(syntax, description);
  }
  const own = definition.options ?? [];
  const options = definition.needsDirector ? [...own, SOCKET_OPTION] : own;
  for (const option of options) command.addOption(createOption(option));
  command.action(async () => {
    checkRequired(command, options);
    const chosen: CommandOptions = { ...program.opts(), ...command.opts() };
    await run(definition, { arguments: command.args, options: chosen });
  });
}

/** commander would complain of the missing one before it looks for `--confg`. */
function checkRequired(command: Command, options: readonly OptionDefinition[]): void {
  for (const { flags, isRequired } of options) {
    const name = new Option(flags).attributeName();
    if (isRequired && command.getOptionValue(name) === undefined) {
      command.error(`error: required option '${flags}' not specified`);
    }
  }
}

function createOption({ flags, description, isRequired, isRepeatable }: OptionDefinition): Option {
  const option = new Option(flags, isRequired ? `${description} (required)` : description);
  if (isRepeatable) {
    option.argParser((value: string, before: string[] | undefined) => [...(before ?? []), value]);
  }
  return option;
}
