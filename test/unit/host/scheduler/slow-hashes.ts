// The hashes the schedulers use, written for their definitions, not for speed.

const WORD = (1n << 64n) - 1n;

/**
 * SipHash as its authors define it, over any message.
 * @see https://www.aumasson.jp/siphash/siphash.pdf
 */
export function slowSipHash(
  message: Uint8Array,
  key: readonly [bigint, bigint],
  rounds: { readonly block: number; readonly finish: number },
): bigint {
  const v = [
    key[0] ^ 0x736f6d6570736575n,
    key[1] ^ 0x646f72616e646f6dn,
    key[0] ^ 0x6c7967656e657261n,
    key[1] ^ 0x7465646279746573n,
  ];
  const padded = new Uint8Array((Math.floor(message.length / 8) + 1) * 8);
  padded.set(message);
  padded[padded.length - 1] = message.length & 255;
  const view = new DataView(padded.buffer);
  for (let at = 0; at < padded.length; at += 8) {
    const block = view.getBigUint64(at, true);
    v[3] ^= block;
    for (let round = 0; round < rounds.block; round++) sipRound(v);
    v[0] ^= block;
  }
  v[2] ^= 0xffn;
  for (let round = 0; round < rounds.finish; round++) sipRound(v);
  return v[0] ^ v[1] ^ v[2] ^ v[3];
}

function sipRound(v: bigint[]): void {
  v[0] = (v[0] + v[1]) & WORD;
  v[1] = rotate(v[1], 13n) ^ v[0];
  v[0] = rotate(v[0], 32n);
  v[2] = (v[2] + v[3]) & WORD;
  v[3] = rotate(v[3], 16n) ^ v[2];
  v[0] = (v[0] + v[3]) & WORD;
  v[3] = rotate(v[3], 21n) ^ v[0];
  v[2] = (v[2] + v[1]) & WORD;
  v[1] = rotate(v[1], 17n) ^ v[2];
  v[2] = rotate(v[2], 32n);
}

function rotate(word: bigint, bits: bigint): bigint {
  return ((word << bits) | (word >> (64n - bits))) & WORD;
}

/** hsiphash() of a u32 on a 64-bit kernel. */
export function slowHsiphash(value: number, key: number): number {
  const message = new Uint8Array(4);
  new DataView(message.buffer).setUint32(0, value, true);
  const hash = slowSipHash(message, [BigInt(key), BigInt(key)], { block: 1, finish: 3 });
  return Number(hash & 0xffffffffn);
}

/** hash_32() of include/linux/hash.h. */
export function slowHash32(value: number, bits: number): number {
  return Number(((BigInt(value) * 0x61c88647n) & 0xffffffffn) >> BigInt(32 - bits));
}

/** An address as one u32: the XOR of its words. */
export function slowFold(address: Uint8Array): number {
  let folded = 0n;
  for (let at = 0; at < address.length; at += 4) {
    let word = 0n;
    for (const byte of address.subarray(at, at + 4)) word = word * 256n + BigInt(byte);
    folded ^= word;
  }
  return Number(folded);
}
