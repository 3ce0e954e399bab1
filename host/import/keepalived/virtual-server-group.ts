/** Where virtual servers listen: an address, a mark, or a group of both. */

import {
  type AddressFamily,
  formatIpv4,
  formatIpv6,
  type ParsedAddress,
  parseAddress,
  parseIpv4,
  parseIpv6,
} from '../../config/address.ts';
import { MARK_MAX, SERVICES_MAX } from '../../config/schema.ts';
import type { Origin } from '../report.ts';
import type { Statement } from './blocks.ts';
import type { Values } from './values.ts';

/** One place to listen. */
export type Target =
  | {
      readonly kind: 'address';
      readonly origin: Origin;
      readonly family: AddressFamily;
      readonly address: string;
      /** 0: all ports. */
      readonly port: number;
    }
  | {
      readonly kind: 'mark';
      readonly origin: Origin;
      readonly mark: number;
      /** undefined: that of the servers. */
      readonly family: AddressFamily | undefined;
    };

/** Reads the entries of a group. Wrong ones are reported and left out, as keepalived does. */
export function readGroup(statement: Statement, values: Values): readonly Target[] {
  const targets: Target[] = [];
  for (const entry of statement.block ?? []) {
    if (entry.keyword === 'fwmark') {
      const target = readMark(entry, entry.args, values);
      if (target !== undefined) targets.push(target);
      continue;
    }
    const addresses = readRange(entry, values);
    const port = values.port(entry, entry.args[0]);
    if (entry.args.length > 1) {
      values.lost(entry, `there is nothing to do with "${entry.args.slice(1).join(' ')}"`);
    }
    if (port === undefined) continue;
    for (const { family, address } of addresses) {
      targets.push({ kind: 'address', origin: entry.origin, family, address, port });
    }
  }
  if (targets.length === 0) values.lost(statement, 'virtual_server_group has no entries');
  return targets;
}

/** `fwmark N [inet|inet6]`, given what follows the word fwmark. */
export function readMark(
  statement: Statement,
  [text, familyText]: readonly string[],
  values: Values,
): Target | undefined {
  const mark = /^\d{1,10}$/.test(text ?? '') ? Number(text) : 0;
  if (mark < 1 || mark > MARK_MAX) {
    values.lost(statement, `fwmark: expected a number from 1 to ${MARK_MAX}, got "${text ?? ''}"`);
    return undefined;
  }
  if (familyText !== undefined && familyText !== 'inet' && familyText !== 'inet6') {
    values.lost(statement, `fwmark: expected inet or inet6, got "${familyText}"`);
  }
  const family = familyText === 'inet' ? 4 : familyText === 'inet6' ? 6 : undefined;
  return { kind: 'mark', origin: statement.origin, mark, family };
}

/**
 * `192.0.2.1`, `192.0.2.1-10`, `192.0.2.250-192.0.3.10`, `192.0.2.8/29` and the same of IPv6,
 * where the number behind a dash is the last group.
 */
function readRange(entry: Statement, values: Values): readonly ParsedAddress[] {
  const text = entry.keyword;
  const single = parseAddress(text);
  if (single !== undefined) return [single];
  const ends = endsOf(text);
  if (ends === undefined) {
    values.lost(entry, `expected an address, a range of addresses or fwmark, got "${text}"`);
    return [];
  }
  const { family, first, last } = ends;
  if (last < first || last - first >= BigInt(SERVICES_MAX)) {
    const problem =
      last < first ? 'ends before it starts' : `has more than ${SERVICES_MAX} addresses`;
    values.lost(entry, `${text} is left out: the range ${problem}`);
    return [];
  }
  const count = Number(last - first) + 1;
  return Array.from({ length: count }, (_, index) => ({
    family,
    address: formatNumber(first + BigInt(index), family),
  }));
}

interface Ends {
  readonly family: AddressFamily;
  readonly first: bigint;
  readonly last: bigint;
}

function endsOf(text: string): Ends | undefined {
  const [firstText, rest] = cut(text);
  const address = parseAddress(firstText);
  if (address === undefined || rest === undefined) return undefined;
  const { family } = address;
  const first = numberOf(address.address, family);
  if (text[firstText.length] === '/') {
    const bits = family === 4 ? 32 : 128;
    const length = /^\d{1,3}$/.test(rest) ? Number(rest) : Number.NaN;
    if (!(length >= 0 && length <= bits)) return undefined;
    const size = 1n << BigInt(bits - length);
    // keepalived does not take a prefix with bits set behind its length either.
    return first % size === 0n ? { family, first, last: first + size - 1n } : undefined;
  }
  const whole = parseAddress(rest);
  if (whole !== undefined) {
    if (whole.family !== family) return undefined;
    return { family, first, last: numberOf(whole.address, family) };
  }
  const part = family === 4 ? 256n : 65_536n;
  const digits = family === 4 ? /^\d{1,3}$/ : /^[0-9a-fA-F]{1,4}$/;
  if (!digits.test(rest)) return undefined;
  const end = BigInt(family === 4 ? rest : `0x${rest}`);
  return end < part ? { family, first, last: first - (first % part) + end } : undefined;
}

function cut(text: string): readonly [string, string | undefined] {
  const at = text.search(/[-/]/);
  return at < 0 ? [text, undefined] : [text.slice(0, at), text.slice(at + 1)];
}

function numberOf(address: string, family: AddressFamily): bigint {
  if (family === 4) return BigInt(parseIpv4(address)!);
  return parseIpv6(address)!.reduce((sum, group) => sum * 65_536n + BigInt(group), 0n);
}

function formatNumber(value: bigint, family: AddressFamily): string {
  if (family === 4) return formatIpv4(Number(value));
  const groups = Array.from({ length: 8 }, (_, i) =>
    Number((value >> BigInt(112 - 16 * i)) & 0xffffn),
  );
  return formatIpv6(groups);
}
