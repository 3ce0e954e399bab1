/**
 * A body of any length whose every byte depends on its position, so that a lost, doubled or
 * reordered piece changes the hash: the key stream of AES-128 in counter mode under a fixed key.
 */
import { createCipheriv, createHash, type Hash } from 'node:crypto';
import { Readable } from 'node:stream';

const KEY = Buffer.from('wvs: a fixed key');
const FIRST_COUNTER = Buffer.alloc(16);
const PIECE_BYTES = 64 * 1024;
const ZEROS = Buffer.alloc(PIECE_BYTES);

export const LARGE_BODY_BYTES = 100_000_000;
export const LARGE_BODY_SHA256 = 'f7d08cd48c2705297b7146ae37a47665c680bf67e67041edb0a68c10b930e97c';

export interface BodyOptions {
  /** Bytes per second; as fast as the reader reads when absent. */
  readonly rate?: number;
}

export function createBody(bytes: number, options: BodyOptions = {}): Readable {
  return Readable.from(pieces(bytes, options.rate), { objectMode: false });
}

export function bodySha256(bytes: number): string {
  const hash = createHash('sha256');
  for (const piece of allPieces(bytes)) hash.update(piece);
  return hash.digest('hex');
}

export interface Digest {
  readonly bytes: number;
  readonly sha256: string;
}

export async function digest(body: AsyncIterable<Buffer>): Promise<Digest> {
  const hash: Hash = createHash('sha256');
  let bytes = 0;
  for await (const piece of body) {
    hash.update(piece);
    bytes += piece.length;
  }
  return { bytes, sha256: hash.digest('hex') };
}

function* allPieces(bytes: number): Generator<Buffer> {
  const cipher = createCipheriv('aes-128-ctr', KEY, FIRST_COUNTER);
  for (let left = bytes; left > 0; left -= PIECE_BYTES) {
    yield cipher.update(left < PIECE_BYTES ? ZEROS.subarray(0, left) : ZEROS);
  }
}

async function* pieces(bytes: number, rate: number | undefined): AsyncGenerator<Buffer> {
  const start = performance.now();
  let sent = 0;
  for (const piece of allPieces(bytes)) {
    const ahead = rate === undefined ? 0 : (sent / rate) * 1000 - (performance.now() - start);
    if (ahead > 0) await new Promise((resolve) => setTimeout(resolve, ahead));
    yield piece;
    sent += piece.length;
  }
}
