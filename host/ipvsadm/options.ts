// The options of ipvsadm 1.31 and what goes with what. The ones at the end of each table are WVS's:
// the local addresses of full-nat in DPVS's spelling, a save that loses nothing, and a restore
// that applies all or nothing.

/** Whether an option has an argument. An optional one does not start with a dash. */
export type Argument = 'none' | 'required' | 'optional';

/** Options by what they do: several spellings may lead to one. */
export interface OptionSpec {
  /** Without dashes, "" for none. */
  readonly long: string;
  /** One character, "" for none. */
  readonly short: string;
  readonly argument: Argument;
  /** What a combination is checked by, if it is. */
  readonly checked?: CheckedOption;
}

/** Commands by the names that messages use. */
export type CommandName =
  | 'add-service'
  | 'edit-service'
  | 'delete-service'
  | 'flush'
  | 'list'
  | 'add-server'
  | 'delete-server'
  | 'edit-server'
  | 'set'
  | 'start-daemon'
  | 'stop-daemon'
  | 'restore'
  | 'save'
  | 'zero'
  | 'add-laddr'
  | 'del-laddr';

/** What may go with a command, in the order that it is checked in. */
export const CHECKED_OPTIONS = [
  'numeric',
  'connection',
  'service-address',
  'scheduler',
  'persistent',
  'netmask',
  'real-server',
  'forwarding-method',
  'weight',
  'u-threshold',
  'l-threshold',
  'mcast-interface',
  'timeout',
  'daemon',
  'stats',
  'rate',
  'thresholds',
  'persistent-conn',
  'nosort',
  'syncid',
  'exact',
  'ops',
  'pe',
  'sched-flags',
  'mcast-group',
  'mcast-port',
  'mcast-ttl',
  'sync-maxlen',
  'tun-info',
  'tun-type',
  'tun-port',
  'tun-nocsum',
  'tun-csum',
  'tun-remcsum',
  'laddr',
  'ifname',
  'lossless',
  'atomic',
] as const;

/** An option as messages name it. */
export type CheckedOption = (typeof CHECKED_OPTIONS)[number];

/** What a command, or a tunnel type, takes. What is in none of the lists is illegal. */
export interface Combination {
  readonly required?: readonly CheckedOption[];
  /** Only one of these. */
  readonly exclusive?: readonly CheckedOption[];
  readonly optional?: readonly CheckedOption[];
}

const SERVICE_OPTIONS: Combination = {
  required: ['service-address'],
  optional: ['scheduler', 'persistent', 'netmask', 'ops', 'pe', 'sched-flags'],
};
const SERVER_OPTIONS: Combination = {
  required: ['service-address', 'real-server'],
  optional: [
    'forwarding-method',
    'weight',
    'u-threshold',
    'l-threshold',
    'tun-type',
    'tun-port',
    'tun-nocsum',
    'tun-csum',
    'tun-remcsum',
  ],
};
const LOCAL_ADDRESS_OPTIONS: Combination = {
  required: ['service-address', 'laddr'],
  optional: ['ifname'],
};

/** What goes with each command. */
export const COMMAND_OPTIONS: Readonly<Record<CommandName, Combination>> = {
  'add-service': SERVICE_OPTIONS,
  'edit-service': SERVICE_OPTIONS,
  'delete-service': { required: ['service-address'] },
  flush: {},
  list: {
    exclusive: ['connection', 'service-address', 'timeout', 'daemon'],
    optional: [
      'numeric',
      'stats',
      'rate',
      'thresholds',
      'persistent-conn',
      'nosort',
      'syncid',
      'exact',
      'tun-info',
    ],
  },
  'add-server': SERVER_OPTIONS,
  'delete-server': { required: ['service-address', 'real-server'] },
  'edit-server': SERVER_OPTIONS,
  set: {},
  'start-daemon': {
    optional: [
      'mcast-interface',
      'syncid',
      'mcast-group',
      'mcast-port',
      'mcast-ttl',
      'sync-maxlen',
    ],
  },
  'stop-daemon': { optional: ['syncid'] },
  restore: { optional: ['atomic'] },
  save: { optional: ['numeric', 'lossless'] },
  zero: { optional: ['service-address'] },
  'add-laddr': LOCAL_ADDRESS_OPTIONS,
  'del-laddr': LOCAL_ADDRESS_OPTIONS,
};

/** Tunnel types by their number, TUNNEL_*, with what goes with each. */
export const TUNNEL_TYPES: readonly { readonly name: string; readonly options: Combination }[] = [
  { name: 'ipip', options: {} },
  {
    name: 'gue',
    options: { required: ['tun-port'], exclusive: ['tun-nocsum', 'tun-csum', 'tun-remcsum'] },
  },
  { name: 'gre', options: { exclusive: ['tun-nocsum', 'tun-csum'] } },
];

/** The options that only tunnels have, in the order that they are checked in. */
export const TUNNEL_OPTIONS: readonly CheckedOption[] = [
  'tun-port',
  'tun-nocsum',
  'tun-csum',
  'tun-remcsum',
];

/** The options that are commands, and the command each one is. */
export const COMMANDS_BY_OPTION: ReadonlyMap<string, CommandName> = new Map([
  ['add-service', 'add-service'],
  ['edit-service', 'edit-service'],
  ['delete-service', 'delete-service'],
  ['clear', 'flush'],
  ['list', 'list'],
  ['zero', 'zero'],
  ['add-server', 'add-server'],
  ['edit-server', 'edit-server'],
  ['delete-server', 'delete-server'],
  ['set', 'set'],
  ['restore', 'restore'],
  ['save', 'save'],
  ['start-daemon', 'start-daemon'],
  ['stop-daemon', 'stop-daemon'],
  ['add-laddr', 'add-laddr'],
  ['del-laddr', 'del-laddr'],
]);

function option(
  long: string,
  short: string,
  argument: Argument = 'none',
  checked?: CheckedOption,
): OptionSpec {
  return checked === undefined ? { long, short, argument } : { long, short, argument, checked };
}

const COMMAND_SPECS = [
  option('add-service', 'A'),
  option('edit-service', 'E'),
  option('delete-service', 'D'),
  option('clear', 'C'),
  option('list', 'L'),
  option('list', 'l'),
  option('zero', 'Z'),
  option('add-server', 'a'),
  option('edit-server', 'e'),
  option('delete-server', 'd'),
  option('set', ''),
  option('help', 'h'),
  option('version', 'v'),
  option('help-extensions', ''),
  option('restore', 'R'),
  option('save', 'S'),
  option('start-daemon', '', 'required'),
  option('stop-daemon', '', 'required'),
  option('add-laddr', 'P'),
  option('del-laddr', 'Q'),
];

const COMMON_SPECS = [
  ...COMMAND_SPECS,
  option('tcp-service', 't', 'required', 'service-address'),
  option('udp-service', 'u', 'required', 'service-address'),
  option('sctp-service', '', 'required', 'service-address'),
  option('fwmark-service', 'f', 'required', 'service-address'),
  option('scheduler', 's', 'required', 'scheduler'),
  option('persistent', 'p', 'optional', 'persistent'),
  option('netmask', 'M', 'required', 'netmask'),
  option('real-server', 'r', 'required', 'real-server'),
  option('masquerading', 'm', 'none', 'forwarding-method'),
  option('ipip', 'i', 'none', 'forwarding-method'),
  option('gatewaying', 'g', 'none', 'forwarding-method'),
  option('fullnat', '', 'none', 'forwarding-method'),
  option('weight', 'w', 'required', 'weight'),
  option('u-threshold', 'x', 'required', 'u-threshold'),
  option('l-threshold', 'y', 'required', 'l-threshold'),
  option('numeric', 'n', 'none', 'numeric'),
  option('connection', 'c', 'none', 'connection'),
  option('mcast-interface', '', 'required', 'mcast-interface'),
  option('syncid', '', 'required', 'syncid'),
  option('timeout', '', 'none', 'timeout'),
  option('daemon', '', 'none', 'daemon'),
  option('stats', '', 'none', 'stats'),
  option('rate', '', 'none', 'rate'),
  option('thresholds', '', 'none', 'thresholds'),
  option('persistent-conn', '', 'none', 'persistent-conn'),
  option('nosort', '', 'none', 'nosort'),
  option('sort', ''),
  option('exact', 'X', 'none', 'exact'),
  option('ipv6', '6'),
  option('ops', 'o', 'none', 'ops'),
  option('pe', '', 'required', 'pe'),
  option('mcast-group', '', 'required', 'mcast-group'),
  option('mcast-port', '', 'required', 'mcast-port'),
  option('mcast-ttl', '', 'required', 'mcast-ttl'),
  option('sync-maxlen', '', 'required', 'sync-maxlen'),
  option('tun-info', '', 'none', 'tun-info'),
  option('tun-type', '', 'required', 'tun-type'),
  option('tun-port', '', 'required', 'tun-port'),
  option('tun-nocsum', '', 'none', 'tun-nocsum'),
  option('tun-csum', '', 'none', 'tun-csum'),
  option('tun-remcsum', '', 'none', 'tun-remcsum'),
  option('laddr', 'z', 'required', 'laddr'),
  option('ifname', 'F', 'required', 'ifname'),
  option('lossless', '', 'none', 'lossless'),
  option('atomic', '', 'none', 'atomic'),
];

/** All options. */
export const OPTIONS: readonly OptionSpec[] = [
  ...COMMON_SPECS,
  option('sched-flags', 'b', 'required', 'sched-flags'),
];

/**
 * The options once the command is about a real server: there -b alone is DPVS's full-nat. With
 * an argument it stays what it is in ipvsadm, so that it is refused with the same words.
 */
export const SERVER_COMMAND_OPTIONS: readonly OptionSpec[] = [
  ...COMMON_SPECS,
  option('sched-flags', '', 'required', 'sched-flags'),
  option('', 'b', 'optional'),
];
