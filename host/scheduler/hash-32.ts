/** 2^32 over the golden ratio, as include/linux/hash.h has it. */
const GOLDEN_RATIO_32 = 0x61c88647;

/**
 * The kernel's multiplicative hash: the highest `bits` bits of the product.
 * @param bits 1 to 32
 */
export function hash32(value: number, bits: number): number {
  return Math.imul(value, GOLDEN_RATIO_32) >>> (32 - bits);
}
