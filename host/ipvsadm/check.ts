import {
  CHECKED_OPTIONS,
  type CheckedOption,
  COMMAND_OPTIONS,
  type Combination,
  type CommandName,
  TUNNEL_OPTIONS,
  TUNNEL_TYPES,
} from './options.ts';
import type { Output } from './output.ts';

/** Refuses a command whose options do not go with it. */
export function checkCommandOptions(
  command: CommandName,
  given: ReadonlySet<CheckedOption>,
  output: Output,
): void {
  checkCombination(
    { options: CHECKED_OPTIONS, rules: COMMAND_OPTIONS[command], owner: `'${command}' command` },
    given,
    output,
  );
}

/** Refuses options that do not go with the type of a tunnel, TUNNEL_*. */
export function checkTunnelOptions(
  tunnelType: number,
  given: ReadonlySet<CheckedOption>,
  output: Output,
): void {
  const { name, options } = TUNNEL_TYPES[tunnelType]!;
  checkCombination(
    { options: TUNNEL_OPTIONS, rules: options, owner: `'${name}' tunnel type` },
    given,
    output,
  );
}

interface Check {
  readonly options: readonly CheckedOption[];
  readonly rules: Combination;
  /** What the options are for, as messages say it. */
  readonly owner: string;
}

function checkCombination(check: Check, given: ReadonlySet<CheckedOption>, output: Output): void {
  const { options, rules, owner } = check;
  let exclusive: CheckedOption | undefined;
  for (const option of options) {
    const isRequired = rules.required?.includes(option) ?? false;
    if (!given.has(option)) {
      if (isRequired) output.fail(`You need to supply the '${option}' option for the ${owner}`);
      continue;
    }
    if (isRequired || rules.optional?.includes(option)) continue;
    if (!rules.exclusive?.includes(option)) {
      output.fail(`Illegal '${option}' option with the ${owner}`);
    }
    if (exclusive !== undefined) {
      output.fail(
        `The option '${option}' conflicts with the '${exclusive}' option in the ${owner}`,
      );
    }
    exclusive = option;
  }
}
