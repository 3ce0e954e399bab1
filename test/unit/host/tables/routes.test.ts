import { describe, expect, it } from 'vitest';
import {
  ROUTE_GATEWAY,
  ROUTE_KIND,
  ROUTE_PORT,
  ROUTE_PREFIX,
  ROUTE_SOURCE,
  ROUTE_VIA,
} from '../../../../assembly/shared/layout.ts';
import { addressBytes, maskedPrefix } from '../../../../host/config/address.ts';
import { DataPlaneMemory } from '../../../../host/memory/data-plane-memory.ts';
import { formatAddress } from '../../../../host/tables/address-text.ts';
import { encodeRoutes, findRoute } from '../../../../host/tables/routes.ts';
import type { WorldRoute } from '../../../../host/tables/world.ts';
import { Random, seedFromEnvironment } from '../../../support/random.ts';

const seed = seedFromEnvironment(11);
const memory = DataPlaneMemory.create({ connections: 16, services: 4, destinations: 4 });
const bank = memory.bank(0);

it('the longest prefix wins, and its record holds what the route says', () => {
  encodeRoutes(
    memory,
    bank,
    [
      { family: 4, prefix: '0.0.0.0', prefixLength: 0, port: 0, kind: 'via', via: '192.0.2.254' },
      { family: 4, prefix: '10.0.0.9', prefixLength: 24, port: 1, kind: 'on-link' },
      { family: 6, prefix: '::', prefixLength: 0, port: 0, kind: 'unreachable' },
      {
        family: 4,
        prefix: '10.0.0.7',
        prefixLength: 32,
        port: 2,
        kind: 'on-link',
        source: '10.0.0.1',
      },
    ],
    () => 77,
  );
  const portOf = (address: string) => {
    return memory.u8[findRoute(memory, bank, addressBytes(address)) + ROUTE_PORT];
  };
  expect(portOf('10.0.0.7')).toBe(2);
  expect(portOf('10.0.0.8')).toBe(1);
  expect(portOf('10.0.1.8')).toBe(0);
  const fallback = findRoute(memory, bank, addressBytes('8.8.8.8'));
  expect(memory.u8[fallback + ROUTE_KIND]).toBe(ROUTE_VIA);
  expect(memory.u32[(fallback + ROUTE_GATEWAY) >>> 2]).toBe(77);
  const host = findRoute(memory, bank, addressBytes('10.0.0.7'));
  expect(formatAddress(memory.u8, host + ROUTE_SOURCE, 4)).toBe('10.0.0.1');
  expect(findRoute(memory, bank, addressBytes('2001:db8::1'))).not.toBe(0);
});

it('no routes any more: nothing is found', () => {
  encodeRoutes(memory, bank, [], () => 0);
  expect(findRoute(memory, bank, addressBytes('10.0.0.7'))).toBe(0);
  expect(findRoute(memory, bank, addressBytes('2001:db8::1'))).toBe(0);
});

/** A route's prefix as a string of bits. */
function bitsOf(bytes: Uint8Array): string {
  return [...bytes].map((byte) => byte.toString(2).padStart(8, '0')).join('');
}

describe(`longest prefix match against a list of bit strings (seed ${seed})`, () => {
  for (let round = 0; round < 20; round++) {
    it(`round ${round}`, () => {
      const random = new Random(seed + round);
      // Few different bits, so that prefixes nest.
      const randomAddress = (family: 4 | 6) => {
        const bytes = new Uint8Array(family === 4 ? 4 : 16);
        for (let index = 0; index < bytes.length; index++) bytes[index] = random.pick([0, 1, 128]);
        return formatAddress(bytes, 0, family === 4 ? 4 : 16);
      };
      const routes = new Map<string, WorldRoute>();
      for (let count = 0; count < 300; count++) {
        const family = random.oneIn(2) ? 4 : 6;
        const prefix = randomAddress(family);
        const prefixLength = random.between(0, family === 4 ? 32 : 128);
        const bits = bitsOf(maskedPrefix({ address: prefix, prefixLength })).slice(0, prefixLength);
        const port = random.below(16);
        routes.set(`${family}${bits}`, { family, prefix, prefixLength, port, kind: 'on-link' });
      }
      encodeRoutes(memory, bank, [...routes.values()], () => 0);
      for (let query = 0; query < 300; query++) {
        const family = random.oneIn(2) ? 4 : 6;
        const address = addressBytes(randomAddress(family));
        const bits = bitsOf(address);
        let expected: WorldRoute | undefined;
        for (let length = bits.length; length >= 0 && expected === undefined; length--) {
          expected = routes.get(`${family}${bits.slice(0, length)}`);
        }
        const at = findRoute(memory, bank, address);
        const found = at === 0 ? undefined : memory.u8[at + ROUTE_PREFIX];
        expect(found).toBe(expected?.prefixLength);
        if (at !== 0) expect(memory.u8[at + ROUTE_PORT]).toBe(expected?.port);
      }
    });
  }
});
