/** Completion for bash and zsh, made from the command table. */

import type { CommandDefinition, OptionDefinition } from '../cli/command.ts';
import { optionsOf } from './manual.ts';

/** What the shells need to know of an option. */
interface Completed {
  /** `-o`, `--output`. */
  readonly names: readonly string[];
  /** undefined: it takes no value. */
  readonly value: string | undefined;
  readonly description: string;
  readonly isRepeatable: boolean;
}

const HELP: Completed = {
  names: ['--help'],
  value: undefined,
  description: 'display help for command',
  isRepeatable: false,
};

/** Values that are paths. */
const PATH_VALUE = /^(file|files|path|trace|socket)$/;
/** Values that are interfaces of this machine. */
const INTERFACE_VALUE = /^(name|interface|device)$/;

function completed(definition: CommandDefinition): Completed[] {
  if (definition.passesThrough) return [];
  return [...optionsOf(definition).map(toCompleted), HELP];
}

function toCompleted({ flags, description, isRepeatable }: OptionDefinition): Completed {
  const names = flags.match(/--?[a-z][\w-]*/g) ?? [];
  const value = /[<[]([^>\]]+)[>\]]/.exec(flags)?.[1];
  return { names, value, description, isRepeatable: isRepeatable === true };
}

function isPath(value: string): boolean {
  return PATH_VALUE.test(value.replace(/\.+$/, ''));
}

/** The words a value may be, as in `<in|out|both>`, or none when it may be anything. */
function choices(value: string): readonly string[] {
  return value.includes('|') ? value.split('|') : [];
}

/** A script for bash: /usr/share/bash-completion/completions/wvs. */
export function bashCompletion(commands: readonly CommandDefinition[]): string {
  const cases = commands.map((definition) => {
    const words = completed(definition).flatMap(({ names }) => names);
    return `    ${definition.name}) options='${words.join(' ')}' ;;`;
  });
  const values = new Map<string, string>();
  for (const { names, value } of commands.flatMap(completed)) {
    if (value === undefined) continue;
    for (const name of names) values.set(name, bashValue(value));
  }
  const valueCases = [...values].map(([name, action]) => `    ${name}) ${action}; return ;;`);
  return [
    '# bash completion for wvs; generated from the command table: npm run generate',
    '_wvs() {',
    `  local current=\${COMP_WORDS[COMP_CWORD]} previous=\${COMP_WORDS[COMP_CWORD - 1]}`,
    '  local word command= options=',
    '  local -i index',
    '  COMPREPLY=()',
    '  case $previous in',
    ...valueCases,
    '  esac',
    '  for ((index = 1; index < COMP_CWORD; index++)); do',
    `    word=\${COMP_WORDS[index]}`,
    '    if [[ $word == --socket ]]; then index+=1',
    '    elif [[ $word != -* ]]; then command=$word && break; fi',
    '  done',
    '  case $command in',
    `    '') COMPREPLY=($(compgen -W '${commands.map(({ name }) => name).join(' ')} ` +
      `--socket --version --help' -- "$current")); return ;;`,
    ...cases,
    '  esac',
    '  if [[ $current == -* ]]; then',
    '    COMPREPLY=($(compgen -W "$options" -- "$current"))',
    '  else',
    '    COMPREPLY=($(compgen -f -- "$current"))',
    '  fi',
    '}',
    'complete -o filenames -F _wvs wvs',
    '',
  ].join('\n');
}

function bashValue(value: string): string {
  const words = choices(value);
  if (words.length > 0) return `COMPREPLY=($(compgen -W '${words.join(' ')}' -- "$current"))`;
  if (isPath(value)) return 'COMPREPLY=($(compgen -f -- "$current"))';
  if (!INTERFACE_VALUE.test(value)) return ':';
  return 'COMPREPLY=($(compgen -W "$(command ls /sys/class/net)" -- "$current"))';
}

/** A script for zsh: _wvs in a directory of $fpath. */
export function zshCompletion(commands: readonly CommandDefinition[]): string {
  const names = commands.map(({ name, summary }) => `    ${zshQuote(`${name}:${summary}`)}`);
  const cases = commands.map((definition) => {
    const specs = completed(definition).map(zshOption);
    return [
      `    ${definition.name})`,
      `      _arguments ${[...specs, "'*:file:_files'"].join(' ')} ;;`,
    ];
  });
  return [
    '#compdef wvs',
    '# zsh completion for wvs; generated from the command table: npm run generate',
    '_wvs() {',
    '  local -a commands',
    '  commands=(',
    ...names,
    '  )',
    '  if ((CURRENT == 2)); then',
    '    _describe command commands',
    '    return',
    '  fi',
    '  local command=$words[2]',
    '  shift words',
    '  ((CURRENT--))',
    '  case $command in',
    ...cases.flat(),
    '  esac',
    '}',
    '_wvs "$@"',
    '',
  ].join('\n');
}

function zshOption({ names, value, description, isRepeatable }: Completed): string {
  const text = description.replace(/[[\]:]/g, (character) => `\\${character}`);
  const argument = value === undefined ? '' : `:${value.replaceAll(':', '\\:')}:${zshValue(value)}`;
  const prefix = isRepeatable ? '*' : '';
  return names.map((name) => zshQuote(`${prefix}${name}[${text}]${argument}`)).join(' ');
}

function zshValue(value: string): string {
  const words = choices(value);
  if (words.length > 0) return `(${words.join(' ')})`;
  if (isPath(value)) return '_files';
  return INTERFACE_VALUE.test(value) ? '_net_interfaces' : ' ';
}

function zshQuote(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}
