// SipHash-1-3 of one u32, cut to 32 bits: what hsiphash() is on 64-bit kernels (lib/siphash.c).
// 64-bit words are pairs of i32, for BigInt would allocate.

const INITIAL_0_LOW = 0x70736575;
const INITIAL_0_HIGH = 0x736f6d65;
const INITIAL_1_LOW = 0x6e646f6d;
const INITIAL_1_HIGH = 0x646f7261;
const INITIAL_2_LOW = 0x6e657261;
const INITIAL_2_HIGH = 0x6c796765;
const INITIAL_3_LOW = 0x79746573;
const INITIAL_3_HIGH = 0x74656462;
/** The last block: the message's length in the highest byte, then its 4 bytes. */
const BLOCK_HIGH = 4 << 24;
/** One round for the block, three to finish. */
const ROUNDS = 4;

/**
 * @param value u32, hashed as its 4 bytes in little-endian order
 * @param key both 64-bit words of the key; below 2^32
 * @returns u32
 */
export function sipHash13(value: number, key: number): number {
  let low0 = INITIAL_0_LOW ^ key;
  let high0 = INITIAL_0_HIGH;
  let low1 = INITIAL_1_LOW ^ key;
  let high1 = INITIAL_1_HIGH;
  let low2 = INITIAL_2_LOW ^ key;
  let high2 = INITIAL_2_HIGH;
  let low3 = INITIAL_3_LOW ^ key ^ value;
  let high3 = INITIAL_3_HIGH ^ BLOCK_HIGH;
  for (let round = 0; round < ROUNDS; round++) {
    if (round === 1) {
      low0 ^= value;
      high0 ^= BLOCK_HIGH;
      low2 ^= 0xff;
    }
    // v0 += v1; v1 = rotl(v1, 13) ^ v0; v0 = rotl(v0, 32)
    let sum = (low0 + low1) | 0;
    high0 = (high0 + high1 + (sum >>> 0 < low0 >>> 0 ? 1 : 0)) | 0;
    low0 = sum;
    let turned = (low1 << 13) | (high1 >>> 19);
    high1 = ((high1 << 13) | (low1 >>> 19)) ^ high0;
    low1 = turned ^ low0;
    turned = low0;
    low0 = high0;
    high0 = turned;
    // v2 += v3; v3 = rotl(v3, 16) ^ v2
    sum = (low2 + low3) | 0;
    high2 = (high2 + high3 + (sum >>> 0 < low2 >>> 0 ? 1 : 0)) | 0;
    low2 = sum;
    turned = (low3 << 16) | (high3 >>> 16);
    high3 = ((high3 << 16) | (low3 >>> 16)) ^ high2;
    low3 = turned ^ low2;
    // v0 += v3; v3 = rotl(v3, 21) ^ v0
    sum = (low0 + low3) | 0;
    high0 = (high0 + high3 + (sum >>> 0 < low0 >>> 0 ? 1 : 0)) | 0;
    low0 = sum;
    turned = (low3 << 21) | (high3 >>> 11);
    high3 = ((high3 << 21) | (low3 >>> 11)) ^ high0;
    low3 = turned ^ low0;
    // v2 += v1; v1 = rotl(v1, 17) ^ v2; v2 = rotl(v2, 32)
    sum = (low2 + low1) | 0;
    high2 = (high2 + high1 + (sum >>> 0 < low2 >>> 0 ? 1 : 0)) | 0;
    low2 = sum;
    turned = (low1 << 17) | (high1 >>> 15);
    high1 = ((high1 << 17) | (low1 >>> 15)) ^ high2;
    low1 = turned ^ low2;
    turned = low2;
    low2 = high2;
    high2 = turned;
  }
  return (low0 ^ low1 ^ low2 ^ low3) >>> 0;
}
