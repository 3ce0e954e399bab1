import { describe, expect, test } from 'vitest';
import {
  FORWARD_TUNNEL,
  SERVICE_ONE_PACKET,
  SERVICE_PERSISTENT,
  SERVICE_SCHED1,
  SERVICE_SCHED2,
  TUNNEL_CHECKSUM,
  TUNNEL_GUE,
} from '../../../../assembly/shared/codes.ts';
import { parseConfig } from '../../../../host/config/parse.ts';
import type { DirectorConfig } from '../../../../host/config/types.ts';
import {
  destinationKeyOf,
  destinationOptionsOf,
  localPoolOf,
  markRulesOf,
  serviceKeyOf,
  serviceOptionsOf,
} from '../../../../host/director/rules.ts';

function parse(services: string) {
  const text = `version: 1\ndirector: { ports: [{ name: p, interface: eth0 }] }\n${services}`;
  const result = parseConfig(text, 'test.yaml');
  if (!result.ok) throw new Error(result.errors.map(({ message }) => message).join('; '));
  return result.config;
}

describe('services', () => {
  test('by address: key, scheduler, no persistence', () => {
    const [service] = parse(`services: [{ listen: '192.0.2.80:80/tcp', scheduler: wrr }]`).services;
    expect(serviceKeyOf(service!.listen)).toEqual({
      family: 4,
      protocol: 'tcp',
      address: '192.0.2.80',
      port: 80,
    });
    expect(serviceOptionsOf(service!)).toEqual({
      scheduler: 'wrr',
      flags: 0,
      persistenceSeconds: 0,
      persistenceMask: '',
      engine: '',
    });
  });

  test('persistent by network: seconds and a dotted mask', () => {
    const [service] = parse(
      `services: [{ listen: '192.0.2.80:80/tcp', persistence: { timeout: 2m, mask: 24 } }]`,
    ).services;
    expect(serviceOptionsOf(service!)).toMatchObject({
      flags: SERVICE_PERSISTENT,
      persistenceSeconds: 120,
      persistenceMask: '255.255.255.0',
    });
  });

  test('persistent over IPv6: a prefix length', () => {
    const [service] = parse(
      `services: [{ listen: '[2001:db8::80]:80/tcp', persistence: { mask: 64 } }]`,
    ).services;
    expect(serviceOptionsOf(service!)).toMatchObject({ persistenceMask: '64' });
  });

  test('by mark, with flags of the scheduler', () => {
    const [service] = parse(
      `services: [{ listen: mark 7/ipv6, scheduler: sh, schedulerFlags: [sh-port, sh-fallback] }]`,
    ).services;
    expect(serviceKeyOf(service!.listen)).toEqual({ family: 6, mark: 7 });
    expect(serviceOptionsOf(service!).flags).toBe(SERVICE_SCHED1 | SERVICE_SCHED2);
  });

  test('one packet at a time', () => {
    const [service] = parse(
      `services: [{ listen: '192.0.2.80:53/udp', onePacket: true }]`,
    ).services;
    expect(serviceOptionsOf(service!).flags).toBe(SERVICE_ONE_PACKET);
  });
});

test('a server behind a GUE tunnel: key and options', () => {
  const config = parse(`
services:
  - listen: 192.0.2.80:80/tcp
    servers:
      - address: 10.0.0.12:80
        weight: 3
        forwarding: tunnel
        tunnel: { type: gue, port: 6080, checksum: csum }`);
  const server = config.services[0]!.servers[0]!;
  expect(destinationKeyOf(server)).toEqual({ family: 4, address: '10.0.0.12', port: 80 });
  expect(destinationOptionsOf(server)).toEqual({
    forwarding: FORWARD_TUNNEL,
    weight: 3,
    upperThreshold: 0,
    lowerThreshold: 0,
    tunnelType: TUNNEL_GUE,
    tunnelPort: 6080,
    tunnelFlags: TUNNEL_CHECKSUM,
  });
});

describe('mark rules', () => {
  test('every protocol and port', () => {
    const { marks } = parse(`marks: [{ mark: 1, destination: 192.0.2.0/24 }]`);
    expect(markRulesOf(marks)).toEqual([
      {
        family: 4,
        mark: 1,
        protocol: 0,
        destination: { address: '192.0.2.0', prefixLength: 24 },
        ports: [],
      },
    ]);
  });

  test('more ports than a rule holds: several rules', () => {
    const ports = Array.from({ length: 18 }, (_, index) => index * 2 + 1);
    // A file may not ask for so many: the steering program could not tell them apart.
    const [rule] = parse('marks: [{ mark: 1, destination: 192.0.2.80, protocol: tcp }]').marks;
    const ranges = ports.map((port) => ({ first: port, last: port }));
    const rules = markRulesOf([{ ...rule!, ports: ranges }]);
    expect(rules.map((rule) => rule.ports.length)).toEqual([16, 2]);
    expect(rules.flatMap((rule) => rule.ports)).toEqual(ports.map((port) => [port, port]));
  });
});

describe('full-nat source ports', () => {
  const pool = (first: number, last: number) =>
    localPoolOf(
      { localAddresses: [], localPorts: { first, last } } as unknown as DirectorConfig,
      [32768, 60999],
    ).portRanges;

  test('all of them: those below and above what the kernel uses', () => {
    expect(pool(1024, 65535)).toEqual([
      [1024, 32767],
      [61000, 65535],
    ]);
  });

  test('a range that ends among them: what is below', () => {
    const [below, above] = pool(20000, 40000);
    expect(below).toEqual([20000, 32767]);
    expect(above[0]).toBeGreaterThan(above[1]);
  });

  test("a range within the kernel's: taken all the same, for there is no other", () => {
    const [all, none] = pool(40000, 50000);
    expect(all).toEqual([40000, 50000]);
    expect(none[0]).toBeGreaterThan(none[1]);
  });
});
