/** The keys by which services and destinations are known across reloads and commands. */

import { formatEndpoint } from './address.ts';
import type { Listen } from './types.ts';

/** `tcp 192.0.2.80:80`, `udp [2001:db8::80]:53`, `mark 6666` or `mark 6666 ipv6`. */
export function serviceKey(listen: Listen): string {
  if (listen.kind === 'mark') {
    return listen.family === 6 ? `mark ${listen.mark} ipv6` : `mark ${listen.mark}`;
  }
  return `${listen.protocol} ${formatEndpoint(listen.address, listen.port)}`;
}

/** `10.0.0.11:80` or `[2001:db8::11]:80`. */
export function destinationKey(address: string, port: number): string {
  return formatEndpoint(address, port);
}
