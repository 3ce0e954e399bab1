// Addresses between records and text; the spelling is host/config/address.ts's.

import { addressBytes, formatIpv4, formatIpv6, parseAddress } from '../config/address.ts';

/** Canonical text of the 4 or 16 bytes at an offset. */
export function formatAddress(u8: Uint8Array, at: number, length: 4 | 16): string {
  if (length === 4) return `${u8[at]}.${u8[at + 1]}.${u8[at + 2]}.${u8[at + 3]}`;
  const groups: number[] = [];
  for (let index = 0; index < 16; index += 2)
    groups.push(u8[at + index] * 256 + u8[at + index + 1]);
  return formatIpv6(groups);
}

/** Upper-case hexadecimal of an address as the kernel's %08X and %pI6 print it. */
export function formatHexadecimal(address: string): string {
  const bytes = addressBytes(address);
  const hex = Buffer.from(bytes).toString('hex');
  if (bytes.length === 4) return hex.toUpperCase();
  return hex.match(/.{4}/g)!.join(':');
}

/** The bytes of an address in any spelling, or undefined when it is none of the family's. */
export function parseFamilyAddress(family: 4 | 6, text: string): Uint8Array | undefined {
  const parsed = parseAddress(text);
  return parsed?.family === family ? addressBytes(parsed.address) : undefined;
}

/** Canonical text of an IPv4 netmask given by its bytes. */
export function formatMask(bytes: Uint8Array): string {
  return formatIpv4(Buffer.from(bytes).readUInt32BE(0));
}
