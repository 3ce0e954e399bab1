import type { ProbePathOptions } from 'af-xdp-socket';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import {
  type PathTable,
  VipWays,
  type WayTarget,
  wayPorts,
} from '../../../../host/health/vip-ways.ts';

const LONG_MS = 60_000;

/** A table that notes which paths are open. */
class FakeTable implements PathTable {
  readonly paths: ProbePathOptions[] = [];
  sent = 0;
  refusal: string | undefined;

  whyNot(): string | undefined {
    return this.refusal;
  }

  open(path: ProbePathOptions) {
    if (this.refusal !== undefined) throw new Error(this.refusal);
    this.paths.push(path);
    return {
      sent: this.sent,
      close: () => void this.paths.splice(this.paths.indexOf(path), 1),
    };
  }
}

function target(address: string, vip = '192.0.2.80', port = 80): WayTarget {
  return { family: 4, address, port, virtual: { address: vip, tunnel: undefined } };
}

const SERVER = target('10.0.0.11');
const NEIGHBOUR = target('10.0.0.12');

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

test('a way → both ends, the port and the tunnel are given to the table', () => {
  const table = new FakeTable();
  const ways = new VipWays(table, [40_001]);
  const tunnel = { type: 'gue', port: 6080, checksum: 'none' } as const;
  const virtual = { address: '192.0.2.80', tunnel };
  expect(ways.open({ ...SERVER, virtual }, 'udp').localPort).toBe(40_001);
  expect(table.paths).toEqual([
    {
      protocol: 'udp',
      localPort: 40_001,
      server: '10.0.0.11',
      port: 80,
      virtualAddress: '192.0.2.80',
      tunnel: 'gue',
      guePort: 6080,
    },
  ]);
});

test('an end they share: no two ways have the same port', () => {
  const ways = new VipWays(new FakeTable(), [1, 3]);
  // The same virtual address behind two servers: answers are told apart by the port alone.
  expect(ways.open(SERVER, 'tcp').localPort).toBe(1);
  expect(ways.open(NEIGHBOUR, 'tcp').localPort).toBe(3);
  expect(() => ways.open(target('10.0.0.13'), 'tcp')).toThrow('no local port is left');
  // The same server for two virtual addresses: so are questions.
  const elsewhere = target('10.0.0.11', '192.0.2.81');
  expect(ways.open(elsewhere, 'tcp').localPort).toBe(3);
  expect(() => ways.open(elsewhere, 'tcp')).toThrow('no local port is left');
});

test('nothing in common: the same port may serve both', () => {
  const ways = new VipWays(new FakeTable(), [1]);
  const ports = [
    ways.open(SERVER, 'tcp'),
    ways.open(SERVER, 'udp'),
    ways.open(target('10.0.0.11', '192.0.2.80', 81), 'tcp'),
    ways.open(target('10.0.0.12', '192.0.2.81'), 'tcp'),
  ];
  expect(ports.map(({ localPort }) => localPort)).toEqual([1, 1, 1, 1]);
});

test('tcp, closed: the way stays for the goodbyes, then its port is free', () => {
  const table = new FakeTable();
  const ways = new VipWays(table, [1]);
  ways.open(SERVER, 'tcp').close();
  expect(table.paths).toHaveLength(1);
  expect(() => ways.open(SERVER, 'tcp')).toThrow('no local port is left');
  vi.advanceTimersByTime(LONG_MS);
  expect(table.paths).toHaveLength(0);
  expect(ways.open(SERVER, 'tcp').localPort).toBe(1);
});

test('udp, closed: the way is gone', () => {
  const table = new FakeTable();
  const ways = new VipWays(table, [1]);
  ways.open(SERVER, 'udp').close();
  expect(table.paths).toHaveLength(0);
  expect(ways.open(SERVER, 'udp').localPort).toBe(1);
});

test('one way after the other: ports come round in turn', () => {
  const ways = new VipWays(new FakeTable(), [1, 3, 5]);
  const next = () => {
    const way = ways.open(SERVER, 'udp');
    way.close();
    return way.localPort;
  };
  expect([next(), next(), next(), next()]).toEqual([1, 3, 5, 1]);
});

test('the table refuses: so do the ways, and no port is lost', () => {
  const table = new FakeTable();
  table.refusal = 'tcx needs Linux 6.6';
  const ways = new VipWays(table, [1]);
  expect(ways.whyNot()).toBe('tcx needs Linux 6.6');
  expect(() => ways.open(SERVER, 'tcp')).toThrow('tcx needs Linux 6.6');
  table.refusal = undefined;
  expect(ways.open(SERVER, 'tcp').localPort).toBe(1);
});

test('used: when packets went along', () => {
  const table = new FakeTable();
  const ways = new VipWays(table, [1, 3]);
  expect(ways.open(SERVER, 'tcp').wasUsed()).toBe(false);
  table.sent = 2;
  expect(ways.open(SERVER, 'tcp').wasUsed()).toBe(true);
});

test('all closed: what lingers is left alone, and nothing is waited for', () => {
  const table = new FakeTable();
  const ways = new VipWays(table, [1]);
  ways.open(SERVER, 'tcp').close();
  ways.close();
  expect(vi.getTimerCount()).toBe(0);
  vi.advanceTimersByTime(LONG_MS);
  expect(table.paths).toHaveLength(1);
});

test('ports: those bind(2) gets first, but for reserved ones; of a narrow range all', () => {
  expect(wayPorts([32_768, 32_775], [])).toEqual([32_769, 32_771, 32_773, 32_775]);
  expect(
    wayPorts(
      [32_768, 32_775],
      [
        [32_770, 32_771],
        [32_775, 40_000],
      ],
    ),
  ).toEqual([32_769, 32_773]);
  expect(wayPorts([5000, 5000], [])).toEqual([5000]);
});
