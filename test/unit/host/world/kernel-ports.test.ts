// The kernel's own ports, from files as the kernel writes them, absent, or nonsense.

import { expect, test } from 'vitest';
import { ephemeralPorts, reservedPorts } from '../../../../host/world/kernel-ports.ts';

const FILES: Readonly<Record<string, string>> = {
  '/proc/sys/net/ipv4/ip_local_port_range': '15000\t60000\n',
  '/proc/sys/net/ipv4/ip_local_reserved_ports': '80,8080-8090,x\n',
};

test('ranges as the kernel writes them', () => {
  const read = (file: string) => FILES[file];
  expect(ephemeralPorts(read)).toEqual([15_000, 60_000]);
  expect(reservedPorts(read)).toEqual([
    [80, 80],
    [8080, 8090],
  ]);
});

test('nothing to read, or nothing in it: what Linux sets, and none', () => {
  for (const text of [undefined, '', '\n', 'no ports']) {
    expect(ephemeralPorts(() => text)).toEqual([32_768, 60_999]);
    expect(reservedPorts(() => text)).toEqual([]);
  }
});

test("this machine's: a range", () => {
  const [first, last] = ephemeralPorts();
  expect(last).toBeGreaterThanOrEqual(first);
});
