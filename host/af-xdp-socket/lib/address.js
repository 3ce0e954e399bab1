// Addresses and prefixes as text, to the sixteen bytes the steering program's keys have.

import { isIPv6 } from 'node:net';
import { rangeError, typeError } from './arguments.js';

export const ADDRESS_LENGTH = 16;
export const IPV4_LENGTH = 4;
const DOT = 46;
const DIGIT_ZERO = 48;
const GROUPS = 8;

/** By hand, because publishing a large configuration parses a hundred thousand of these. */
export function parseIpv4(text, out, offset) {
  let part = 0;
  let digits = 0;
  let byte = 0;
  for (let index = 0; index <= text.length; index++) {
    const character = index < text.length ? text.charCodeAt(index) : DOT;
    if (character === DOT) {
      if (digits === 0 || part === IPV4_LENGTH) return false;
      out[offset + part] = byte;
      part += 1;
      digits = 0;
      byte = 0;
      continue;
    }
    const digit = character - DIGIT_ZERO;
    // No leading zeros, which some read as octal; so an address has one spelling only.
    if (digits > 0 && byte === 0) return false;
    byte = byte * 10 + digit;
    digits += 1;
    if (digit < 0 || digit > 9 || byte > 255) return false;
  }
  return part === IPV4_LENGTH;
}

/** Rewrites an embedded IPv4 tail (::ffff:192.0.2.1) as two groups. */
function withoutDots(text) {
  const tail = text.slice(text.lastIndexOf(':') + 1);
  const bytes = new Uint8Array(IPV4_LENGTH);
  if (!parseIpv4(tail, bytes, 0)) return text;
  const groups = [(bytes[0] << 8) | bytes[1], (bytes[2] << 8) | bytes[3]];
  return text.slice(0, -tail.length) + groups.map((group) => group.toString(16)).join(':');
}

function groupsOf(text) {
  return text === '' ? [] : text.split(':').map((group) => Number.parseInt(group, 16));
}

function parseIpv6(text, out) {
  if (!isIPv6(text) || text.includes('%')) return false;
  const [head, tail] = withoutDots(text).split('::');
  const before = groupsOf(head);
  const after = tail === undefined ? [] : groupsOf(tail);
  const groups = [...before, ...Array(GROUPS - before.length - after.length).fill(0), ...after];
  for (const [index, group] of groups.entries()) {
    out[index * 2] = group >> 8;
    out[index * 2 + 1] = group & 0xff;
  }
  return true;
}

/**
 * @param {() => string} name of the value, for an error
 * @returns {{bytes: Uint8Array, ipv6: boolean}} IPv4 in the first four bytes, the rest zero
 */
export function parseAddress(address, name) {
  const bytes = new Uint8Array(ADDRESS_LENGTH);
  if (address instanceof Uint8Array) {
    if (address.length !== IPV4_LENGTH && address.length !== ADDRESS_LENGTH) {
      throw rangeError(`${name()} must be 4 or 16 bytes long, not ${address.length}.`);
    }
    bytes.set(address);
    return { bytes, ipv6: address.length === ADDRESS_LENGTH };
  }
  if (typeof address !== 'string') throw typeError(name(), 'an address', address);
  if (parseIpv4(address, bytes, 0)) return { bytes, ipv6: false };
  if (parseIpv6(address, bytes)) return { bytes, ipv6: true };
  throw rangeError(`${name()} must be an IPv4 or IPv6 address, not '${address}'.`);
}

/** Clears the bits behind the prefix, in place. */
export function maskTo(bytes, prefixLength) {
  for (let index = 0; index < bytes.length; index++) {
    const kept = Math.min(Math.max(prefixLength - index * 8, 0), 8);
    bytes[index] &= (0xff << (8 - kept)) & 0xff;
  }
  return bytes;
}

/** @returns {{bytes: Uint8Array, ipv6: boolean, length: number}} masked to its length */
export function parsePrefix(prefix, name) {
  if (typeof prefix !== 'string') throw typeError(name(), 'a prefix', prefix);
  const [text, lengthText, ...more] = prefix.split('/');
  const { bytes, ipv6 } = parseAddress(text, name);
  const max = ipv6 ? 128 : 32;
  const length = lengthText === undefined ? max : Number(lengthText);
  if (more.length > 0 || !/^\d*$/.test(lengthText ?? '') || lengthText === '' || length > max) {
    throw rangeError(`${name()} must end in a prefix length of 0 to ${max}, not '${prefix}'.`);
  }
  return { bytes: maskTo(bytes, length), ipv6, length };
}
