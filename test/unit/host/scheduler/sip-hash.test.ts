import { expect, test } from 'vitest';
import { sipHash13 } from '../../../../host/scheduler/sip-hash.ts';
import { withSeeds } from './seeded.ts';
import { ipv4 } from './service-bed.ts';
import { slowFold, slowHsiphash, slowSipHash } from './slow-hashes.ts';

test('the slow twin: the test vector of the SipHash paper', () => {
  const message = Uint8Array.from({ length: 15 }, (_, index) => index);
  const key = [0x0706050403020100n, 0x0f0e0d0c0b0a0908n] as const;
  expect(slowSipHash(message, key, { block: 2, finish: 4 })).toBe(0xa129ca6149be45e5n);
});

test.each([
  ['198.51.100.7', 0xadb98ab6],
  ['192.0.2.1', 0x92889c88],
])('%s with the key of the slots', (address, hash) => {
  expect(sipHash13(slowFold(ipv4(address)), 2654435761)).toBe(hash);
});

test('any value, any key: as the slow twin', () => {
  withSeeds(500, (random) => {
    const value = random.below(2 ** 32);
    const key = random.below(2 ** 32);
    expect(sipHash13(value, key)).toBe(slowHsiphash(value, key));
  });
});
