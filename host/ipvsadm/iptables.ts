import {
  PROTOCOL_ANY,
  PROTOCOL_SCTP,
  PROTOCOL_TCP,
  PROTOCOL_UDP,
} from '../../assembly/shared/codes.ts';
import { formatIpv4, formatIpv6, parseIpv4, parseIpv6 } from '../config/address.ts';
import type { Family } from '../ipvs/types.ts';
import type { MarkRule } from '../tables/world.ts';
import { ServiceNames, type ServiceTransport, wellKnownServices } from './services.ts';

// The firewall marks that LVS is set up with: iptables and ip6tables rules of the mangle table that
// mark what comes in. Only what marks can be given by in WVS is read; all else is an error, because
// a rule that is taken for another one is worse than one that is refused.

/** A rule that marks packets, as the tables take it, and what else iptables says about it. */
export interface IptablesRule extends MarkRule {
  /** The interface packets come in by, undefined for all; a `+` at the end stands for the rest. */
  readonly inputInterface: string | undefined;
  /** The bits of a packet's mark that are cleared before `mark` is put in by exclusive or. */
  readonly mask: number;
}

/** Addresses that share their first bits; the others are zero. */
type Prefix = NonNullable<MarkRule['destination']>;

type PortRange = MarkRule['ports'][number];

/** What a command does to the list of rules. */
export type MarkRuleChange =
  | { readonly kind: 'append'; readonly rules: readonly IptablesRule[] }
  /** `position` counts from 0. */
  | { readonly kind: 'insert'; readonly position: number; readonly rules: readonly IptablesRule[] }
  | { readonly kind: 'delete'; readonly rules: readonly IptablesRule[] }
  | { readonly kind: 'delete-at'; readonly family: Family; readonly position: number }
  | { readonly kind: 'flush'; readonly family: Family };

/** A command that is no rule for marks, or not one that WVS can follow. */
export class IptablesError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'IptablesError';
  }
}

const ALL_BITS = 0xffff_ffff;
const PORT_MAX = 65_535;

/** A command while its words are read. */
interface Draft {
  readonly family: Family;
  kind: MarkRuleChange['kind'] | undefined;
  table: string;
  /** From 0; for -I and -D. */
  position: number | undefined;
  /** IANA number, 0 for any. */
  protocol: number;
  destinations: readonly (Prefix | undefined)[];
  sources: readonly (Prefix | undefined)[];
  ports: PortRange[];
  inputInterface: string | undefined;
  target: string | undefined;
  mark: { mark: number; mask: number } | undefined;
}

/**
 * Reads `iptables -t mangle -A PREROUTING ... -j MARK --set-mark N`, given as words with the
 * program first. Several addresses in one -d or -s make several rules. Throws IptablesError.
 */
export function parseIptables(words: readonly string[]): MarkRuleChange {
  const [program, ...rest] = words;
  if (program !== 'iptables' && program !== 'ip6tables') {
    throw new IptablesError(`not an iptables command: ${program ?? ''}`);
  }
  const draft: Draft = {
    family: program === 'iptables' ? 4 : 6,
    kind: undefined,
    table: 'filter',
    position: undefined,
    protocol: PROTOCOL_ANY,
    destinations: [undefined],
    sources: [undefined],
    ports: [],
    inputInterface: undefined,
    target: undefined,
    mark: undefined,
  };
  const reader = new WordReader(rest);
  for (let word = reader.next(); word !== undefined; word = reader.next()) {
    readOption(draft, word, reader);
  }
  return finish(draft);
}

/** The list of rules after a change. A rule to delete that is not there is an error. */
export function changeMarkRules(
  rules: readonly IptablesRule[],
  change: MarkRuleChange,
): readonly IptablesRule[] {
  switch (change.kind) {
    case 'append':
      return [...rules, ...change.rules];
    case 'insert':
      return insertRules(rules, change.position, change.rules);
    case 'delete':
      return change.rules.reduce(deleteRule, rules);
    case 'delete-at': {
      const victim = rules.filter(({ family }) => family === change.family)[change.position];
      if (victim === undefined) throw new IptablesError('no rule has this number');
      return rules.filter((rule) => rule !== victim);
    }
    case 'flush':
      return rules.filter(({ family }) => family !== change.family);
  }
}

/** Positions count the rules of one family. */
function insertRules(
  rules: readonly IptablesRule[],
  position: number,
  added: readonly IptablesRule[],
): readonly IptablesRule[] {
  const sameFamily = rules.filter(({ family }) => family === added[0]?.family);
  if (position > sameFamily.length) throw new IptablesError('no rule has this number');
  const follower = sameFamily[position];
  const at = follower === undefined ? rules.length : rules.indexOf(follower);
  return [...rules.slice(0, at), ...added, ...rules.slice(at)];
}

function deleteRule(rules: readonly IptablesRule[], victim: IptablesRule): readonly IptablesRule[] {
  const text = JSON.stringify(victim);
  const index = rules.findIndex((rule) => JSON.stringify(rule) === text);
  if (index < 0) throw new IptablesError('no such rule');
  return rules.toSpliced(index, 1);
}

/** The mark rules that a sequence of commands makes. */
export class Iptables {
  #rules: readonly IptablesRule[] = [];

  /** In the order they are tried: MARK does not end the walk, so a later match marks anew. */
  get rules(): readonly IptablesRule[] {
    return this.#rules;
  }

  /** Runs one command, given as words with the program first. Throws IptablesError. */
  run(words: readonly string[]): void {
    this.#rules = changeMarkRules(this.#rules, parseIptables(words));
  }
}

/** Gives out words one by one. */
class WordReader {
  readonly #words: readonly string[];
  #next = 0;

  constructor(words: readonly string[]) {
    this.#words = words;
  }

  next(): string | undefined {
    return this.#words[this.#next++];
  }

  /** The argument of `option`. */
  need(option: string): string {
    const word = this.next();
    if (word === undefined) throw new IptablesError(`${option} needs an argument`);
    if (word === '!') throw new IptablesError(`${option} cannot be negated`);
    return word;
  }

  /** The next word, if it is a number. */
  number(): number | undefined {
    const word = this.#words[this.#next];
    if (word === undefined || !/^\d+$/.test(word)) return undefined;
    this.#next += 1;
    return Number(word);
  }
}

/** Options by all their names. Those that are missing here are errors. */
const OPTION_NAMES: ReadonlyMap<string, string> = new Map([
  ['--table', '-t'],
  ['--append', '-A'],
  ['--insert', '-I'],
  ['--delete', '-D'],
  ['--flush', '-F'],
  ['--destination', '-d'],
  ['--dst', '-d'],
  ['--source', '-s'],
  ['--src', '-s'],
  ['--protocol', '-p'],
  ['--in-interface', '-i'],
  ['--match', '-m'],
  ['--jump', '-j'],
  ['--destination-port', '--dport'],
  ['--destination-ports', '--dports'],
  ['--wait', '-w'],
]);

function readOption(draft: Draft, word: string, reader: WordReader): void {
  const option = OPTION_NAMES.get(word) ?? word;
  switch (option) {
    case '-t':
      draft.table = reader.need(option);
      return;
    case '-A':
    case '-I':
    case '-D':
    case '-F':
      readAction(draft, option, reader);
      return;
    case '-d':
      draft.destinations = prefixes(reader.need(option), draft.family);
      return;
    case '-s':
      draft.sources = prefixes(reader.need(option), draft.family);
      return;
    case '-p':
      draft.protocol = protocolOf(reader.need(option));
      return;
    case '-i':
      draft.inputInterface = reader.need(option);
      return;
    case '-m':
      checkMatch(reader.need(option));
      return;
    case '--dport':
    case '--dports':
      draft.ports.push(...portRanges(reader.need(option), draft.protocol, option));
      return;
    case '-j':
      draft.target = reader.need(option);
      return;
    case '--set-mark':
    case '--set-xmark':
      draft.mark = markOf(reader.need(option), option);
      return;
    case '-w':
      reader.number();
      return;
    default:
      throw new IptablesError(`${word} is not supported in rules for marks`);
  }
}

function readAction(draft: Draft, option: '-A' | '-I' | '-D' | '-F', reader: WordReader): void {
  if (draft.kind !== undefined) throw new IptablesError('a command does one thing only');
  const chain = reader.need(option);
  if (chain !== 'PREROUTING') {
    throw new IptablesError(`chain ${chain} is not supported: marks are set in PREROUTING`);
  }
  if (option === '-A') draft.kind = 'append';
  if (option === '-F') draft.kind = 'flush';
  if (option === '-I') {
    draft.kind = 'insert';
    draft.position = positionOf(reader.number() ?? 1);
  }
  if (option === '-D') {
    const number = reader.number();
    draft.kind = number === undefined ? 'delete' : 'delete-at';
    draft.position = number === undefined ? undefined : positionOf(number);
  }
}

/** iptables counts from 1. */
function positionOf(number: number): number {
  if (number === 0) throw new IptablesError('rules are counted from 1');
  return number - 1;
}

function finish(draft: Draft): MarkRuleChange {
  const { family, kind, position, table } = draft;
  if (table !== 'mangle') {
    throw new IptablesError(`table ${table} is not supported: marks are set in mangle`);
  }
  if (kind === undefined) throw new IptablesError('nothing to do: -A, -I, -D or -F is missing');
  if (kind === 'flush') return { kind, family };
  if (kind === 'delete-at') return { kind, family, position: position ?? 0 };
  const rules = rulesOf(draft);
  return kind === 'insert' ? { kind, rules, position: position ?? 0 } : { kind, rules };
}

function rulesOf(draft: Draft): readonly IptablesRule[] {
  const { family, protocol, ports, inputInterface, target, mark, destinations, sources } = draft;
  if (target !== 'MARK') {
    throw new IptablesError(`target ${target ?? ''} is not supported: only MARK is`);
  }
  if (mark === undefined) throw new IptablesError('MARK needs --set-mark or --set-xmark');
  return destinations.flatMap((destination) =>
    sources.map((source) => ({
      family,
      protocol,
      ports,
      inputInterface,
      ...mark,
      ...(destination && { destination }),
      ...(source && { source }),
    })),
  );
}

const PROTOCOLS: ReadonlyMap<string, number> = new Map([
  ['tcp', PROTOCOL_TCP],
  ['6', PROTOCOL_TCP],
  ['udp', PROTOCOL_UDP],
  ['17', PROTOCOL_UDP],
  ['sctp', PROTOCOL_SCTP],
  ['132', PROTOCOL_SCTP],
  ['all', PROTOCOL_ANY],
  ['0', PROTOCOL_ANY],
]);

/** The names of services are listed for these. */
const TRANSPORTS: ReadonlyMap<number, ServiceTransport> = new Map([
  [PROTOCOL_TCP, 'tcp'],
  [PROTOCOL_UDP, 'udp'],
  [PROTOCOL_SCTP, 'sctp'],
]);

function protocolOf(text: string): number {
  const protocol = PROTOCOLS.get(text.toLowerCase());
  if (protocol === undefined) throw new IptablesError(`protocol ${text} is not supported`);
  return protocol;
}

function checkMatch(name: string): void {
  if (!['tcp', 'udp', 'sctp', 'multiport', 'comment'].includes(name)) {
    throw new IptablesError(`match ${name} is not supported`);
  }
}

/** `80`, `80:90`, `:90`, `80:`, `http`, and with --dports several of them with commas. */
function portRanges(text: string, protocol: number, option: string): readonly PortRange[] {
  const transport = TRANSPORTS.get(protocol);
  if (transport === undefined) throw new IptablesError(`${option} needs -p tcp, udp or sctp`);
  const items = option === '--dports' ? text.split(',') : [text];
  return items.map((item) => {
    const [first = '', last = first, more] = item.split(':');
    if (more !== undefined) throw new IptablesError(`not ports: ${item}`);
    const isRange = item.includes(':');
    const low = isRange && first === '' ? 0 : portOf(first, transport);
    const high = isRange && last === '' ? PORT_MAX : portOf(last, transport);
    if (low > high) throw new IptablesError(`not ports: ${item}`);
    return [low, high];
  });
}

function portOf(text: string, protocol: ServiceTransport): number {
  if (/^\d{1,5}$/.test(text) && Number(text) <= PORT_MAX) return Number(text);
  const port = new ServiceNames(wellKnownServices()).port(text, protocol);
  if (port === undefined) throw new IptablesError(`not a port: ${text}`);
  return port;
}

/** `--set-mark` sets the bits of its value besides those of its mask; `--set-xmark` flips them. */
function markOf(text: string, option: string): { mark: number; mask: number } {
  const [valueText = '', maskText, more] = text.split('/');
  const mark = word32(valueText);
  const mask = maskText === undefined ? ALL_BITS : word32(maskText);
  if (mark === undefined || mask === undefined || more !== undefined) {
    throw new IptablesError(`not a mark: ${text}`);
  }
  return { mark, mask: option === '--set-mark' ? (mask | mark) >>> 0 : mask };
}

/** An unsigned 32-bit number: decimal, or hexadecimal with 0x. */
function word32(text: string): number | undefined {
  if (!/^(0[xX][0-9a-fA-F]+|\d+)$/.test(text)) return undefined;
  const value = Number(text);
  return value <= ALL_BITS ? value : undefined;
}

function prefixes(text: string, family: Family): readonly Prefix[] {
  return text.split(',').map((item) => prefixOf(item, family));
}

function prefixOf(text: string, family: Family): Prefix {
  const [address = '', lengthText, more] = text.split('/');
  const bits = family === 4 ? 32 : 128;
  const length = lengthText === undefined ? bits : lengthOf(lengthText, family);
  const masked = length === undefined ? undefined : maskedAddress(address, family, length);
  if (length === undefined || masked === undefined || more !== undefined) {
    throw new IptablesError(`not an address or prefix: ${text}`);
  }
  return { address: masked, prefixLength: length };
}

/** A number of bits, or for IPv4 a mask whose ones are all in front. */
function lengthOf(text: string, family: Family): number | undefined {
  if (/^\d{1,3}$/.test(text)) {
    const length = Number(text);
    return length <= (family === 4 ? 32 : 128) ? length : undefined;
  }
  const mask = family === 4 ? parseIpv4(text) : undefined;
  if (mask === undefined) return undefined;
  const length = Math.clz32(~mask >>> 0);
  return (mask << length) >>> 0 === 0 || length === 32 ? length : undefined;
}

function maskedAddress(address: string, family: Family, length: number): string | undefined {
  if (family === 4) {
    const value = parseIpv4(address);
    if (value === undefined) return undefined;
    return formatIpv4(length === 0 ? 0 : (value & (ALL_BITS << (32 - length))) >>> 0);
  }
  const groups = parseIpv6(address);
  if (groups === undefined) return undefined;
  return formatIpv6(groups.map((group, i) => group & groupMask(length - 16 * i)));
}

/** The mask of a group of 16 bits of which the first `bits` count. */
function groupMask(bits: number): number {
  const kept = Math.min(16, Math.max(0, bits));
  return (0xffff << (16 - kept)) & 0xffff;
}

/** `ip rule` and `ip route`, as far as they send marked packets to the director itself. */
export type PolicyRouting =
  | {
      readonly kind: 'rule';
      readonly family: Family;
      readonly isAdded: boolean;
      readonly mark: number;
      readonly table: string;
    }
  | {
      readonly kind: 'local-route';
      readonly family: Family;
      readonly isAdded: boolean;
      readonly destination: Prefix;
      readonly device: string;
      readonly table: string;
    };

/**
 * Reads `ip [-4|-6] rule add|del fwmark N lookup TABLE` and
 * `ip [-4|-6] route add|del local PREFIX dev DEVICE table TABLE`, given as words with the program
 * first. Throws IptablesError for all else.
 */
export function parsePolicyRouting(words: readonly string[]): PolicyRouting {
  const text = words.join(' ');
  const match = /^ip (?:-(4|6) )?(rule|route) (add|del) (.*)$/.exec(text);
  const family: Family = match?.[1] === '6' ? 6 : 4;
  const isAdded = match?.[3] === 'add';
  const rest = match?.[4] ?? '';
  const rule = /^fwmark (\S+) (?:lookup|table) (\S+)$/.exec(rest);
  const mark = word32(rule?.[1] ?? '');
  if (match?.[2] === 'rule' && rule !== null && mark !== undefined) {
    return { kind: 'rule', family, isAdded, mark, table: rule[2]! };
  }
  const route = /^local (\S+) dev (\S+) table (\S+)$/.exec(rest);
  if (match?.[2] === 'route' && route !== null) {
    const all = family === 4 ? '0.0.0.0/0' : '::/0';
    const destination = prefixOf(route[1] === 'default' ? all : route[1]!, family);
    const [, , device, table] = route;
    return { kind: 'local-route', family, isAdded, destination, device: device!, table: table! };
  }
  throw new IptablesError(`not supported: ${text}`);
}
