import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { parseEndpoint } from '../../../../host/config/address.ts';
import type { DestinationEntry, ServiceEntry } from '../../../../host/ipvs/types.ts';
import {
  mergeSort,
  signedDifference,
  sortServers,
  sortServices,
} from '../../../../host/ipvsadm/sort.ts';
import { Random, seedFromEnvironment } from '../../../support/random.ts';

interface RecordedOrder {
  /** In the order of the kernel's list. */
  readonly kernel: readonly string[];
  /** In the order of ipvsadm's listing. */
  readonly sorted: readonly string[];
}

function recordedOrders(): readonly RecordedOrder[] {
  const file = new URL('recorded-orders.jsonl', import.meta.url);
  const lines = readFileSync(file, 'utf8').trimEnd().split('\n');
  return lines.map((line) => JSON.parse(line) as RecordedOrder);
}

/** Entries of which only the keys matter: `TCP 192.0.2.80:80`, `FWM -1 IPv6`, `10.0.0.1:80`. */
function keyOf(text: string): unknown {
  const [first, place, third] = text.split(' ');
  if (first === 'FWM') return { family: third === 'IPv6' ? 6 : 4, mark: Number(place) >>> 0 };
  if (place === undefined) return parseEndpoint(text);
  return { ...parseEndpoint(place), protocol: first!.toLowerCase() };
}

describe('listing order', () => {
  const orders = recordedOrders();

  test('services as recorded, also where differences overflow', () => {
    for (const { kernel, sorted } of orders.slice(0, -1)) {
      const entries = kernel.map((text) => ({ key: keyOf(text), text }));
      const ordered = sortServices(entries as unknown as readonly ServiceEntry[]);
      expect(ordered.map((entry) => (entry as unknown as { text: string }).text)).toEqual(sorted);
    }
  });

  test('servers as recorded, IPv4 and IPv6 in one service', () => {
    const { kernel, sorted } = orders.at(-1)!;
    const entries = kernel.map((text) => ({ key: keyOf(text), text }));
    const ordered = sortServers(entries as unknown as readonly DestinationEntry[]);
    expect(ordered.map((entry) => (entry as unknown as { text: string }).text)).toEqual(sorted);
  });
});

describe('mergeSort', () => {
  const seed = seedFromEnvironment(7);

  test(`sorts like Array.sort where the order has no circles, seed ${seed}`, () => {
    const random = new Random(seed);
    for (let round = 0; round < 200; round++) {
      const items = Array.from({ length: random.below(40) }, (_, i) => ({
        key: random.below(10),
        i,
      }));
      const compare = (a: { key: number }, b: { key: number }) => signedDifference(a.key, b.key);
      expect(mergeSort(items, compare)).toEqual(items.toSorted(compare));
    }
  });
});

describe('signedDifference', () => {
  test.each([
    [0xffff_ffff, 0, -1],
    [0, 0xffff_ffff, 1],
    [0xc000_0250, 0x0102_0304, 0xc000_0250 - 0x0102_0304 - 2 ** 32],
    [5, 3, 2],
  ])('%i - %i is %i', (a, b, difference) => {
    expect(signedDifference(a, b)).toBe(difference);
  });
});
