import { addressBytes, formatIpv4, formatIpv6, parseIpv6 } from '../config/address.ts';

// Addresses as inet_aton(), inet_pton() and inet_ntop() read and write them. Inside WVS they are
// in the canonical spelling of config/address.ts, which differs for ::1.2.3.4 only.

const PART = /^(0[xX][0-9a-fA-F]+|0[0-7]*|[1-9]\d*)/;
const SPACE = /^[ \t\n\v\f\r]/;
/** The largest last part after 0, 1, 2 and 3 parts of a byte each. */
const LAST_PART_MAX = [0xffff_ffff, 0xff_ffff, 0xffff, 0xff];

/**
 * An IPv4 address in any spelling of inet_aton(): one to four parts, decimal, octal or
 * hexadecimal; what follows white space is ignored. An unsigned number in host order.
 */
export function parseLooseIpv4(text: string): number | undefined {
  let rest = text;
  let value = 0;
  for (let parts = 0; parts < LAST_PART_MAX.length; parts++) {
    const digits = PART.exec(rest)?.[1];
    if (digits === undefined) return undefined;
    rest = rest.slice(digits.length);
    const part = Number(/^0\d/.test(digits) ? `0o${digits.slice(1)}` : digits);
    if (rest.startsWith('.')) {
      if (part > 0xff) return undefined;
      value += part * 2 ** (24 - 8 * parts);
      rest = rest.slice(1);
      continue;
    }
    if (rest !== '' && !SPACE.test(rest)) return undefined;
    return part > LAST_PART_MAX[parts]! ? undefined : value + part;
  }
  return undefined;
}

/** An IPv6 address as inet_pton() takes it, in canonical spelling. */
export function parseStrictIpv6(text: string): string | undefined {
  const groups = parseIpv6(text);
  return groups && formatIpv6(groups);
}

/** An address as inet_ntop() writes it. */
export function printedAddress(address: string): string {
  const groups = address.includes(':') ? parseIpv6(address) : undefined;
  if (groups === undefined) return address;
  // Six groups of zeros and no more make an "IPv4-compatible" address.
  const isCompatible = groups.slice(0, 6).every((group) => group === 0) && groups[6] !== 0;
  return isCompatible ? `::${formatIpv4(groups[6]! * 0x10000 + groups[7]!)}` : formatIpv6(groups);
}

/** An address as four unsigned 32-bit words; the last three of an IPv4 address are 0. */
export function addressWords(address: string): readonly number[] {
  const bytes = addressBytes(address);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const word = (i: number) => (i * 4 < bytes.length ? view.getUint32(i * 4) : 0);
  return [word(0), word(1), word(2), word(3)];
}
