// The ports the kernel takes for connections of its own, and those it never does.

import { readFileSync } from 'node:fs';
import type { PortRange } from '../tables/world.ts';

const EPHEMERAL_FILE = '/proc/sys/net/ipv4/ip_local_port_range';
const RESERVED_FILE = '/proc/sys/net/ipv4/ip_local_reserved_ports';
/** What Linux sets; without /proc it is as good a guess as any. */
const EPHEMERAL_DEFAULT: PortRange = [32_768, 60_999];

/** The text of a file, or undefined. */
export type ReadText = (file: string) => string | undefined;

/** net.ipv4.ip_local_port_range */
export function ephemeralPorts(read: ReadText = readText): PortRange {
  const [first = 0, last = 0] = (read(EPHEMERAL_FILE) ?? '').trim().split(/\s+/).map(Number);
  return first > 0 && last >= first ? [first, last] : EPHEMERAL_DEFAULT;
}

/** net.ipv4.ip_local_reserved_ports: `1,5-10` */
export function reservedPorts(read: ReadText = readText): PortRange[] {
  const ranges = (read(RESERVED_FILE) ?? '').trim().split(',');
  return ranges
    .filter((range) => /^\d+(-\d+)?$/.test(range))
    .map((range): PortRange => {
      const [first = 0, last = first] = range.split('-').map(Number);
      return [first, last];
    });
}

function readText(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return undefined;
  }
}
