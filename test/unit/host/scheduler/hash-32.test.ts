import { expect, test } from 'vitest';
import { hash32 } from '../../../../host/scheduler/hash-32.ts';
import { withSeeds } from './seeded.ts';
import { ipv4 } from './service-bed.ts';
import { slowFold, slowHash32 } from './slow-hashes.ts';

test.each([
  ['10.0.0.1', 39],
  ['10.0.0.2', 137],
  ['192.0.2.1', 50],
  ['198.51.100.7', 171],
  ['203.0.113.255', 55],
])('%s in 8 bits: %i', (address, hash) => {
  expect(hash32(slowFold(ipv4(address)), 8)).toBe(hash);
});

test('an address and its port: 198.51.100.7:40000 in 8 bits is 79', () => {
  expect(hash32(slowFold(ipv4('198.51.100.7')) + 40000, 8)).toBe(79);
});

test('any value, any width: as with exact integers', () => {
  withSeeds(500, (random) => {
    const value = random.below(2 ** 32);
    const bits = 1 + random.below(32);
    expect(hash32(value, bits)).toBe(slowHash32(value, bits));
  });
});
