import { describe, expect, it } from 'vitest';
import {
  hashAddress,
  localHash,
  markHash,
  mix,
  nextHopHash,
  routeHash,
  serviceHash,
  swapPort,
  wordAt,
} from '../../../../host/tables/hash.ts';
import { Random, seedFromEnvironment } from '../../../support/random.ts';

const seed = seedFromEnvironment(1);

/** The definition again, in arbitrary precision. */
function slowMix(hash: number, word: number): number {
  const product = (BigInt((hash ^ word) >>> 0) * 0x9e3779b1n) & 0xffff_ffffn;
  return Number(product ^ (product >> 15n));
}

function slowAddress(bytes: Uint8Array): number {
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  let hash = 0;
  for (let at = 0; at < bytes.length; at += 4) hash = slowMix(hash, view.getUint32(at, true));
  return hash;
}

describe(`hashes, compared with their definition (seed ${seed})`, () => {
  const random = new Random(seed);
  for (let round = 0; round < 200; round++) {
    const family = random.oneIn(2) ? 4 : 6;
    const bytes = random.bytes(family === 4 ? 4 : 16);
    const [port, number, word] = [random.u16(), random.below(256), random.u32()];
    it(`round ${round}`, () => {
      const address = slowAddress(bytes);
      expect(mix(word, number)).toBe(slowMix(word, number));
      expect(hashAddress(family, bytes)).toBe(address);
      expect(localHash(family, bytes)).toBe(address);
      expect(nextHopHash(family, number, bytes)).toBe(slowMix(address, number));
      expect(routeHash(family, number, bytes)).toBe(slowMix(address, number));
      const key = (number | (port << 16)) >>> 0;
      expect(serviceHash(family, number, port, bytes)).toBe(slowMix(address, key));
      expect(markHash(family, word)).toBe(slowMix(slowMix(0, word), (0xffff0000 | family) >>> 0));
    });
  }

  it('an offset into a larger array gives the same', () => {
    const larger = random.bytes(40);
    expect(hashAddress(6, larger, 8)).toBe(hashAddress(6, larger.slice(8, 24)));
    expect(wordAt(larger, 3)).toBe(new DataView(larger.buffer).getUint32(3, true));
  });

  it('a port swapped twice is itself', () => {
    expect(swapPort(80)).toBe(0x5000);
    expect(swapPort(swapPort(8443))).toBe(8443);
  });
});
