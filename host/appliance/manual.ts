/** The manual page wvs(1), made from the command table. */

import type { CommandDefinition, OptionDefinition } from '../cli/command.ts';
import { SOCKET_OPTION } from '../cli/commands.ts';

/** The page as roff(7) with man(7)'s macros. */
export function manualPage(commands: readonly CommandDefinition[], version: string): string {
  return [
    `.\\" Generated from the command table: npm run generate`,
    `.TH WVS 1 "" "WVS ${version}" "WVS"`,
    '.SH NAME',
    `wvs \\- the WebAssembly Virtual Server, a layer\\-4 load balancer in userspace`,
    '.SH SYNOPSIS',
    ...commands.flatMap(synopsis),
    '.SH DESCRIPTION',
    'WVS does in userspace what Linux Virtual Server does in the kernel: packets to virtual',
    'addresses are taken by AF_XDP sockets, rewritten by a WebAssembly module, and sent to real servers.',
    '.B wvs run',
    'is the director; the other commands ask it over its control socket, or work without one.',
    '.SH COMMANDS',
    ...commands.flatMap(describe),
    ...TAIL,
    '',
  ].join('\n');
}

const TAIL: readonly string[] = [
  '.SH EXIT STATUS',
  '.TP',
  '.B 0',
  'It was done.',
  '.TP',
  '.B 1',
  'It was not, and one line on standard error says why.',
  '.TP',
  '.B 2',
  'The command line makes no sense.',
  '.PP',
  '.B wvs ipvsadm',
  "has ipvsadm's own.",
  '.SH ENVIRONMENT',
  '.TP',
  '.B WVS_SOCKET',
  'The control socket, unless \\fB\\-\\-socket\\fR names one.',
  '.TP',
  '.B WVS_LOG_LEVEL',
  'trace, debug, info (the default), warn, error, fatal or silent.',
  '.TP',
  '.B NOTIFY_SOCKET\\fR, \\fBWATCHDOG_USEC',
  'Set by the service manager; see \\fBsd_notify\\fR(3).',
  '.SH FILES',
  '.TP',
  '.I /etc/wvs/wvs.yaml',
  'The configuration the systemd unit runs with.',
  '.TP',
  '.I /run/wvs/wvs.sock',
  'The control socket, if the configuration names no other.',
  '.SH SIGNALS',
  '.TP',
  '.B SIGHUP',
  'Take the configuration file over again, all of it or nothing.',
  '.TP',
  '.B SIGTERM\\fR, \\fBSIGINT',
  'Stop: packets of the services are the kernel\\(aqs again.',
  '.SH SEE ALSO',
  '.BR ipvsadm (8),',
  '.BR ip\\-address (8),',
  '.BR systemctl (1)',
];

function synopsis({ name, arguments: parameters = [], passesThrough }: CommandDefinition) {
  const words = [...parameters.map(({ syntax }) => syntax), ...(passesThrough ? ['...'] : [])];
  const options = passesThrough ? [] : ['\\fR[\\fIoption\\fR...]'];
  const rest = [...options, ...words.map((word) => `\\fI${roffText(word)}\\fR`)].join(' ');
  return [`.B wvs ${roffText(name)} ${rest}`.trimEnd(), '.br'];
}

function describe(definition: CommandDefinition): string[] {
  const { name, summary, arguments: parameters = [] } = definition;
  return [
    `.SS wvs ${roffText(name)}`,
    sentence(summary),
    ...parameters.flatMap(({ syntax, description }) => [
      '.TP',
      `.I ${roffText(syntax)}`,
      sentence(description),
    ]),
    ...optionsOf(definition).flatMap(describeOption),
  ];
}

/** A command's own options, and --socket where it asks the director. */
export function optionsOf(definition: CommandDefinition): readonly OptionDefinition[] {
  const own = definition.options ?? [];
  return definition.needsDirector ? [...own, SOCKET_OPTION] : own;
}

function describeOption({ flags, description, isRequired, isRepeatable }: OptionDefinition) {
  const notes = [
    ...(isRequired ? ['required'] : []),
    ...(isRepeatable ? ['may be given several times'] : []),
  ];
  const note = notes.length === 0 ? '' : ` (${notes.join('; ')})`;
  const formatted = roffText(flags).replace(/(<[^>]*>|\[[^\]]*\])/g, '\\fI$1\\fB');
  return ['.TP', `.B ${formatted}`, sentence(`${description}${note}`)];
}

function sentence(text: string): string {
  const capital = text.charAt(0).toUpperCase() + text.slice(1);
  const line = roffText(/[.!?]$/.test(capital) ? capital : `${capital}.`);
  // A dot or an apostrophe at the start of a line would be a request.
  return /^[.']/.test(line) ? `\\&${line}` : line;
}

/** Characters that roff takes for something else. */
function roffText(text: string): string {
  return text.replaceAll('\\', '\\e').replaceAll('-', '\\-').replaceAll("'", '\\(aq');
}
