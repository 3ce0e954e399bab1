/**
 * IPv4 and IPv6 addresses as text: parsing, and the canonical spelling (RFC 5952) under which
 * two spellings of one address compare equal as strings.
 *
 * This is strict where inet_aton() is not: four decimal numbers without leading zeros, no
 * octal, no short forms, no zone index. A configuration that means something else than it
 * seems to say is worse than one that is refused.
 */

/** The IP version of an address. */
export type AddressFamily = 4 | 6;

/** An address in canonical spelling, with its family. */
export interface ParsedAddress {
  readonly family: AddressFamily;
  readonly address: string;
}

const IPV4 = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})$/;
const IPV6_GROUPS = 8;

/** The number of bits in an address of `family`. */
export function addressBits(family: AddressFamily): number {
  return family === 4 ? 32 : 128;
}

/** The address as an unsigned 32-bit number in host order, or undefined when it is none. */
export function parseIpv4(text: string): number | undefined {
  const match = IPV4.exec(text);
  if (match === null) return undefined;
  let value = 0;
  for (let i = 1; i <= 4; i++) {
    const part = match[i]!;
    if (part.length > 1 && part.startsWith('0')) return undefined;
    const byte = Number(part);
    if (byte > 255) return undefined;
    value = value * 256 + byte;
  }
  return value;
}

/** The dotted spelling of an unsigned 32-bit number in host order. */
export function formatIpv4(value: number): string {
  return `${value >>> 24}.${(value >>> 16) & 255}.${(value >>> 8) & 255}.${value & 255}`;
}

/** The eight 16-bit groups of an IPv6 address in host order, or undefined when it is none. */
export function parseIpv6(text: string): number[] | undefined {
  const halves = text.split('::');
  if (halves.length > 2) return undefined;
  const head = parseGroups(halves[0]!, halves.length === 1);
  const tail = halves.length === 2 ? parseGroups(halves[1]!, true) : [];
  if (head === undefined || tail === undefined) return undefined;
  const missing = IPV6_GROUPS - head.length - tail.length;
  // '::' stands for one group of zeros at least, and nothing may be missing without it.
  if (halves.length === 2 ? missing < 1 : missing !== 0) return undefined;
  return [...head, ...new Array<number>(missing).fill(0), ...tail];
}

function parseGroups(text: string, mayEndInIpv4: boolean): number[] | undefined {
  if (text === '') return [];
  const groups: number[] = [];
  const parts = text.split(':');
  for (const [index, part] of parts.entries()) {
    if (/^[0-9a-fA-F]{1,4}$/.test(part)) {
      groups.push(Number.parseInt(part, 16));
      continue;
    }
    const isLast = index === parts.length - 1;
    const ipv4 = isLast && mayEndInIpv4 ? parseIpv4(part) : undefined;
    if (ipv4 === undefined) return undefined;
    groups.push(ipv4 >>> 16, ipv4 & 0xffff);
  }
  return groups;
}

/** The canonical spelling of eight 16-bit groups: RFC 5952, as inet_ntop() prints it. */
export function formatIpv6(groups: readonly number[]): string {
  const isMapped = groups.slice(0, 5).every((group) => group === 0) && groups[5] === 0xffff;
  if (isMapped) return `::ffff:${formatIpv4(groups[6]! * 65536 + groups[7]!)}`;
  const run = longestZeroRun(groups);
  const hex = groups.map((group) => group.toString(16));
  if (run.length < 2) return hex.join(':');
  const head = hex.slice(0, run.start).join(':');
  const tail = hex.slice(run.start + run.length).join(':');
  return `${head}::${tail}`;
}

function longestZeroRun(groups: readonly number[]): { start: number; length: number } {
  let best = { start: 0, length: 0 };
  for (let start = 0; start < groups.length; start++) {
    let length = 0;
    while (start + length < groups.length && groups[start + length] === 0) length++;
    if (length > best.length) best = { start, length };
  }
  return best;
}

/** An address of either family in canonical spelling, or undefined when it is none. */
export function parseAddress(text: string): ParsedAddress | undefined {
  if (text.includes(':')) {
    const groups = parseIpv6(text);
    return groups && { family: 6, address: formatIpv6(groups) };
  }
  // The strict dotted form is its own canonical spelling.
  return parseIpv4(text) === undefined ? undefined : { family: 4, address: text };
}

/** The address as bytes in network order; `address` must be a valid one. */
export function addressBytes(address: string): Uint8Array {
  const ipv4 = parseIpv4(address);
  if (ipv4 !== undefined) {
    return Uint8Array.of(ipv4 >>> 24, (ipv4 >>> 16) & 255, (ipv4 >>> 8) & 255, ipv4 & 255);
  }
  const groups = parseIpv6(address);
  if (groups === undefined) throw new RangeError(`not an IP address: ${address}`);
  return Uint8Array.from(groups.flatMap((group) => [group >>> 8, group & 255]));
}

/** Whether an address lies in a prefix; both have the same number of bytes. */
export function inPrefix(address: Uint8Array, prefix: Uint8Array, length: number): boolean {
  return address.every((byte, index) => {
    const difference = byte ^ (prefix[index] ?? 0);
    return (difference & prefixMask(length, index)) === 0;
  });
}

/** An address's bytes with the bits behind the prefix zeroed. */
export function maskedPrefix(prefix: { address: string; prefixLength: number }): Uint8Array {
  return addressBytes(prefix.address).map(
    (byte, index) => byte & prefixMask(prefix.prefixLength, index),
  );
}

/** The bits of an address's n-th byte that belong to a prefix. */
function prefixMask(length: number, index: number): number {
  const bits = Math.min(8, Math.max(0, length - index * 8));
  return (0xff00 >>> bits) & 0xff;
}

/** `address:port` as users write it, the address of IPv6 in brackets. */
export function formatEndpoint(address: string, port: number): string {
  return address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`;
}

/** An address with an optional port: `10.0.0.1`, `10.0.0.1:80`, `2001:db8::1`, `[::1]:80`. */
export interface ParsedEndpoint extends ParsedAddress {
  readonly port: number | undefined;
}

/** Parses an address with an optional port, or returns undefined when it is none. */
export function parseEndpoint(text: string): ParsedEndpoint | undefined {
  const bracketed = /^\[([^\]]*)\](?::(\d+))?$/.exec(text);
  if (bracketed !== null) {
    const address = parseAddress(bracketed[1]!);
    return address?.family === 6 ? withPort(address, bracketed[2]) : undefined;
  }
  const plain = parseAddress(text);
  if (plain !== undefined) return { ...plain, port: undefined };
  const colon = text.lastIndexOf(':');
  if (colon < 0 || !/^\d+$/.test(text.slice(colon + 1))) return undefined;
  const address = parseAddress(text.slice(0, colon));
  // Without brackets the last group of an IPv6 address could as well be a port.
  return address?.family === 4 ? withPort(address, text.slice(colon + 1)) : undefined;
}

function withPort(address: ParsedAddress, digits: string | undefined): ParsedEndpoint | undefined {
  const port = digits === undefined ? undefined : parsePort(digits);
  if (digits !== undefined && port === undefined) return undefined;
  return { ...address, port };
}

/** A port number from 0 to 65535 without leading zeros, or undefined when it is none. */
export function parsePort(digits: string): number | undefined {
  if (!/^(0|[1-9]\d{0,4})$/.test(digits)) return undefined;
  const port = Number(digits);
  return port > 65535 ? undefined : port;
}

/** An address with a prefix length, the host bits kept: `192.0.2.1/24`. */
export interface ParsedPrefix extends ParsedAddress {
  readonly prefixLength: number;
}

/** Parses `ADDRESS/LENGTH`; a bare address counts as one host. */
export function parsePrefix(text: string): ParsedPrefix | undefined {
  const [addressText, lengthText, ...rest] = text.split('/');
  const address = parseAddress(addressText!);
  if (address === undefined || rest.length > 0) return undefined;
  const bits = addressBits(address.family);
  if (lengthText === undefined) return { ...address, prefixLength: bits };
  if (!/^(0|[1-9]\d{0,2})$/.test(lengthText) || Number(lengthText) > bits) return undefined;
  return { ...address, prefixLength: Number(lengthText) };
}
