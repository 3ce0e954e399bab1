// `ip` commands, as recordings have them in their header and between the packets, applied to the
// network of a replay. What iproute2 would refuse is refused with its exit code and a line that
// says what is wrong; options that change nothing here (nodad, addrgenmode, the far end of a veth
// pair) are taken and forgotten.

import { addressBytes, parsePrefix } from '../config/address.ts';
import {
  type Link,
  type Network,
  type Route,
  type RouteKind,
  TABLE_MAIN,
  tableNumber,
} from './network.ts';
import { parseMac } from './wire.ts';

/** What `ip` says. */
export interface IpResult {
  readonly code: number;
  readonly text: string;
}

/** A command that is wrong or not known here; the message is what `ip` prints. */
class IpCommandError extends Error {
  readonly exitCode: number;

  constructor(message: string, exitCode: number) {
    super(message);
    this.exitCode = exitCode;
  }
}

const DONE: IpResult = { code: 0, text: '' };
/** iproute2's exit codes: 255 for what it refuses itself, 2 for what the kernel refuses. */
const REFUSED_BY_IP = 255;
const REFUSED_BY_KERNEL = 2;

/** Applies one `ip` command; `words` starts after `ip` itself. */
export function runIp(network: Network, words: readonly string[]): IpResult {
  const options = words.filter((word) => /^-/.test(word));
  const [object, action, ...rest] = words.slice(options.length);
  const run = HANDLERS[`${expand(object, OBJECTS)} ${expand(action, ACTIONS)}`];
  if (run === undefined) {
    return { code: REFUSED_BY_IP, text: `ip ${words.join(' ')}: not known to the replay\n` };
  }
  try {
    run(network, new Words(rest), options.includes('-6') ? 6 : undefined);
    return DONE;
  } catch (error) {
    if (!(error instanceof IpCommandError)) throw error;
    return { code: error.exitCode, text: `${error.message}\n` };
  }
}

/**
 * Builds a network from the lines of `ip -batch`.
 * @param refuse called with the index of a line that is wrong, and why; does not return
 */
export function applyIpLines(
  network: Network,
  lines: readonly string[],
  refuse: (index: number, problem: string) => never,
): void {
  for (const [index, line] of lines.entries()) {
    const { code, text } = runIp(network, splitWords(line));
    if (code !== 0) refuse(index, text.trimEnd());
  }
}

function splitWords(line: string): readonly string[] {
  return line.split(/\s+/).filter((word) => word !== '');
}

/** The rest of a command, taken word by word. */
class Words {
  readonly #words: string[];

  constructor(words: readonly string[]) {
    this.#words = [...words];
  }

  /** Takes the next word, or undefined at the end. */
  next(): string | undefined {
    return this.#words.shift();
  }

  /** Takes the value that must follow a key. */
  value(key: string): string {
    const value = this.next();
    if (value === undefined) {
      throw new IpCommandError(
        `Command line is not complete. Try option "help" (${key})`,
        REFUSED_BY_IP,
      );
    }
    return value;
  }
}

type Handler = (network: Network, words: Words, family: 6 | undefined) => void;

const OBJECTS = ['link', 'address', 'neighbour', 'route', 'rule'];
const ACTIONS = ['add', 'set', 'delete', 'replace', 'change'];

/** iproute2 takes any beginning of a name; `neigh` and `neighbor` are in use for the third. */
function expand(word: string | undefined, names: readonly string[]): string {
  if (word === undefined || word === '') return '';
  if (word === 'neighbor') return 'neighbour';
  return names.find((name) => name.startsWith(word)) ?? word;
}

const HANDLERS: Readonly<Record<string, Handler>> = {
  'link add': addLink,
  'link set': setLink,
  'address add': (network, words) => changeAddress(network, words, 'add'),
  'address replace': (network, words) => changeAddress(network, words, 'replace'),
  'address delete': (network, words) => changeAddress(network, words, 'delete'),
  'neighbour add': (network, words) => changeNeighbour(network, words, 'add'),
  'neighbour replace': (network, words) => changeNeighbour(network, words, 'replace'),
  'neighbour delete': (network, words) => changeNeighbour(network, words, 'delete'),
  'route add': (network, words, family) => changeRoute(network, words, 'add', family),
  'route replace': (network, words, family) => changeRoute(network, words, 'replace', family),
  'route change': (network, words, family) => changeRoute(network, words, 'replace', family),
  'route delete': (network, words, family) => changeRoute(network, words, 'delete', family),
  'rule add': (network, words) => changeRule(network, words, 'add'),
  'rule delete': (network, words) => changeRule(network, words, 'delete'),
};

type Change = 'add' | 'replace' | 'delete';

function addLink(network: Network, words: Words): void {
  let name: string | undefined;
  let mac: Uint8Array = new Uint8Array(6);
  for (let word = words.next(); word !== undefined; word = words.next()) {
    if (word === 'address') mac = macArgument(words.value(word));
    else if (word === 'name' || word === 'dev') name = words.value(word);
    // What follows the type describes the far end, which is the world outside.
    else if (word === 'type') break;
    else name ??= word;
  }
  if (name === undefined) throw incomplete();
  if (network.link(name) !== undefined) throw exists();
  network.addLink(name, mac);
}

function setLink(network: Network, words: Words): void {
  let word = words.next();
  if (word === 'dev') word = words.next();
  if (word === undefined) throw incomplete();
  const link = linkArgument(network, word);
  for (word = words.next(); word !== undefined; word = words.next()) {
    if (word === 'up') link.isUp = true;
    else if (word === 'down') link.isUp = false;
    else if (word === 'mtu') link.mtu = mtuArgument(words.value(word));
    else if (word === 'address') link.mac = macArgument(words.value(word));
    // Every other setting has a value and makes no difference here.
    else words.value(word);
  }
}

function changeAddress(network: Network, words: Words, change: Change): void {
  let prefix: Prefix | undefined;
  let link: Link | undefined;
  for (let word = words.next(); word !== undefined; word = words.next()) {
    if (word === 'dev') link = linkArgument(network, words.value(word));
    else if (/[.:]/.test(word) || word === 'local') {
      prefix = prefixArgument(word === 'local' ? words.value(word) : word);
    }
  }
  if (prefix === undefined || link === undefined) throw incomplete();
  const { address, length } = prefix;
  if (change === 'delete') {
    if (!network.deleteAddress(address, link)) throw cannotAssign();
    return;
  }
  const isNew = network.addAddress({ address, prefixLength: length, link });
  if (!isNew && change === 'add') throw exists();
}

function changeNeighbour(network: Network, words: Words, change: Change): void {
  let address: Uint8Array | undefined;
  let mac: Uint8Array | undefined;
  let link: Link | undefined;
  for (let word = words.next(); word !== undefined; word = words.next()) {
    if (word === 'lladdr') mac = macArgument(words.value(word));
    else if (word === 'dev') link = linkArgument(network, words.value(word));
    else if (word === 'nud') words.value(word);
    else address = prefixArgument(word).address;
  }
  if (address === undefined || link === undefined) throw incomplete();
  if (change === 'delete') {
    if (!network.deleteNeighbour(address, link)) throw absent();
    return;
  }
  if (mac === undefined) throw incomplete();
  if (change === 'add' && network.neighbour(address, link) !== undefined) throw exists();
  network.setNeighbour({ address, link, mac });
}

const ROUTE_TYPES: Readonly<Record<string, RouteKind>> = {
  unicast: 'on-link',
  local: 'local',
  unreachable: 'unreachable',
  blackhole: 'unreachable',
  prohibit: 'unreachable',
};
const ROUTE_KEYS = ['proto', 'scope', 'metric', 'advmss', 'pref', 'tos'];

/** What a route command says, before the family of `default` is known. */
interface RouteWords {
  kind: RouteKind;
  to: string | undefined;
  gateway?: Uint8Array;
  source?: Uint8Array;
  mtu?: number;
  link?: Link;
  table: number;
}

function changeRoute(network: Network, words: Words, change: Change, family?: 6): void {
  const said = readRoute(network, words);
  if (said.to === undefined) throw incomplete();
  const isVersion6 = family === 6 || said.gateway?.length === 16;
  const all = new Uint8Array(isVersion6 ? 16 : 4);
  const to =
    said.to === 'default' || said.to === 'all'
      ? { address: all, length: 0 }
      : prefixArgument(said.to);
  const link = said.link ?? (said.gateway && network.way(said.gateway)?.link);
  if (link === undefined) throw new IpCommandError(UNREACHABLE, REFUSED_BY_KERNEL);
  const { gateway, source, mtu, table } = said;
  const route: Route = {
    table,
    prefix: to.address,
    prefixLength: to.length,
    kind: gateway === undefined ? said.kind : 'via',
    link,
    ...(gateway && { gateway }),
    ...(source && { source }),
    ...(mtu !== undefined && { mtu }),
  };
  if (change !== 'add' && !network.deleteRoute(route) && change === 'delete') {
    throw new IpCommandError('RTNETLINK answers: No such process', REFUSED_BY_KERNEL);
  }
  if (change !== 'delete' && !network.addRoute(route)) throw exists();
}

function readRoute(network: Network, words: Words): RouteWords {
  const said: RouteWords = { kind: 'on-link', to: undefined, table: TABLE_MAIN };
  for (let word = words.next(); word !== undefined; word = words.next()) {
    if (word === 'via') said.gateway = prefixArgument(words.value(word)).address;
    else if (word === 'src') said.source = prefixArgument(words.value(word)).address;
    else if (word === 'mtu') said.mtu = mtuArgument(words.value(word));
    else if (word === 'dev') said.link = linkArgument(network, words.value(word));
    else if (word === 'table') said.table = tableArgument(words.value(word));
    else if (word in ROUTE_TYPES) said.kind = ROUTE_TYPES[word];
    else if (ROUTE_KEYS.includes(word)) words.value(word);
    else if (word !== 'onlink' && word !== 'to') said.to = word;
  }
  return said;
}

function changeRule(network: Network, words: Words, change: Change): void {
  let mark: number | undefined;
  let table: number | undefined;
  for (let word = words.next(); word !== undefined; word = words.next()) {
    if (word === 'fwmark') mark = numberArgument(words.value(word));
    else if (word === 'lookup' || word === 'table') table = tableArgument(words.value(word));
    else words.value(word);
  }
  if (mark === undefined || table === undefined) throw incomplete();
  if (change === 'add') network.addRule({ mark, table });
  else if (!network.deleteRule({ mark, table })) throw absent();
}

// -- arguments ------------------------------------------------------------------------------------

interface Prefix {
  readonly address: Uint8Array;
  readonly length: number;
}

function prefixArgument(text: string): Prefix {
  const parsed = parsePrefix(text);
  if (parsed === undefined) {
    throw new IpCommandError(
      `Error: any valid prefix is expected rather than "${text}".`,
      REFUSED_BY_IP,
    );
  }
  return { address: addressBytes(parsed.address), length: parsed.prefixLength };
}

function linkArgument(network: Network, name: string): Link {
  const link = network.link(name);
  if (link === undefined) throw new IpCommandError(`Cannot find device "${name}"`, 1);
  return link;
}

function macArgument(text: string): Uint8Array {
  const mac = parseMac(text);
  if (mac === undefined) throw new IpCommandError(`"${text}" is invalid lladdr.`, REFUSED_BY_IP);
  return mac;
}

function mtuArgument(text: string): number {
  const mtu = numberArgument(text);
  // What Linux takes for an Ethernet device at least and at most.
  if (mtu < 68 || mtu > 65535) {
    throw new IpCommandError('Error: mtu out of range.', REFUSED_BY_KERNEL);
  }
  return mtu;
}

function numberArgument(text: string): number {
  const value = /^(0x[0-9a-f]+|\d+)$/i.test(text) ? Number(text) : Number.NaN;
  if (Number.isNaN(value)) throw new IpCommandError(`"${text}" is no number.`, REFUSED_BY_IP);
  return value;
}

function tableArgument(text: string): number {
  const table = tableNumber(text);
  if (table === undefined) {
    throw new IpCommandError(`Error: argument "${text}" is wrong: table id value is invalid`, 255);
  }
  return table;
}

// -- what the kernel answers ----------------------------------------------------------------------

const UNREACHABLE = 'Error: Nexthop has invalid gateway.';

function incomplete(): IpCommandError {
  return new IpCommandError('Command line is not complete. Try option "help"', REFUSED_BY_IP);
}

function exists(): IpCommandError {
  return new IpCommandError('RTNETLINK answers: File exists', REFUSED_BY_KERNEL);
}

function absent(): IpCommandError {
  return new IpCommandError('RTNETLINK answers: No such file or directory', REFUSED_BY_KERNEL);
}

function cannotAssign(): IpCommandError {
  return new IpCommandError(
    'RTNETLINK answers: Cannot assign requested address',
    REFUSED_BY_KERNEL,
  );
}
