import { describe, expect, it } from 'vitest';
import {
  type CapturedFrame,
  CaptureError,
  formatCapture,
  parseCapture,
} from '../../../../host/replay/pcap.ts';

const FRAMES: readonly CapturedFrame[] = [
  { time: 1_700_000_000_123_456_789n, frame: Uint8Array.of(1, 2, 3), originalLength: 3 },
  { time: 1_700_000_001_000_000_001n, frame: Uint8Array.of(4), originalLength: 1500 },
];

/** Builds a file out of 16- and 32-bit numbers and bytes, in either byte order. */
class FileBuilder {
  readonly #bytes: number[] = [];
  readonly #isLittle: boolean;

  constructor(isLittle: boolean) {
    this.#isLittle = isLittle;
  }

  u32(...values: readonly number[]): this {
    for (const value of values) this.#put(value, 4);
    return this;
  }

  u16(...values: readonly number[]): this {
    for (const value of values) this.#put(value, 2);
    return this;
  }

  bytes(...values: readonly number[]): this {
    this.#bytes.push(...values);
    return this;
  }

  build(): Uint8Array {
    return Uint8Array.from(this.#bytes);
  }

  #put(value: number, size: number): void {
    const bytes = Array.from({ length: size }, (_, index) => (value >>> (8 * index)) & 255);
    this.#bytes.push(...(this.#isLittle ? bytes : bytes.reverse()));
  }
}

function pcap(isLittle: boolean, magic: number, fraction: number): Uint8Array {
  return new FileBuilder(isLittle)
    .u32(magic)
    .u16(2, 4)
    .u32(0, 0, 65535, 1)
    .u32(1_700_000_000, fraction, 3, 60)
    .bytes(1, 2, 3)
    .build();
}

function pcapng(isLittle: boolean): Uint8Array {
  return (
    new FileBuilder(isLittle)
      // Section header.
      .u32(0x0a0d0d0a, 28, 0x1a2b3c4d)
      .u16(1, 0)
      .u32(0xffffffff, 0xffffffff, 28)
      // Interface with nanoseconds: option 9 of one byte, then the end of options.
      .u32(1, 32)
      .u16(1, 0)
      .u32(0)
      .u16(9, 1)
      .bytes(9, 0, 0, 0)
      .u16(0, 0)
      .u32(32)
      // A block that nobody knows.
      .u32(0x0bad, 16, 0, 16)
      // Enhanced packet.
      .u32(6, 36, 0, 0x1, 0x2, 3, 60)
      .bytes(1, 2, 3, 0)
      .u32(36)
      // Simple packet: it has the time of the one before.
      .u32(3, 20, 4)
      .bytes(9, 8, 7, 6)
      .u32(20)
      .build()
  );
}

describe('parseCapture', () => {
  it('what formatCapture wrote: comes back', () => {
    expect(parseCapture(formatCapture(FRAMES), 'x.pcap')).toEqual(FRAMES);
  });

  it.each([true, false])(
    'pcap with microseconds, little-endian %s: the time in nanoseconds',
    (isLittle) => {
      expect(parseCapture(pcap(isLittle, 0xa1b2c3d4, 5), 'x')).toEqual([
        { time: 1_700_000_000_000_005_000n, frame: Uint8Array.of(1, 2, 3), originalLength: 60 },
      ]);
    },
  );

  it.each([true, false])('pcap with nanoseconds, little-endian %s', (isLittle) => {
    expect(parseCapture(pcap(isLittle, 0xa1b23c4d, 5), 'x')[0].time).toBe(
      1_700_000_000_000_000_005n,
    );
  });

  it.each([true, false])('pcapng, little-endian %s: enhanced and simple packets', (isLittle) => {
    const time = 0x100000002n;
    expect(parseCapture(pcapng(isLittle), 'x')).toEqual([
      { time, frame: Uint8Array.of(1, 2, 3), originalLength: 60 },
      { time, frame: Uint8Array.of(9, 8, 7, 6), originalLength: 4 },
    ]);
  });

  it('cut at any byte: an error that names the file, or the frames before the cut', () => {
    for (const whole of [formatCapture(FRAMES), pcapng(true)]) {
      for (let length = 0; length < whole.length; length++) {
        try {
          expect(parseCapture(whole.subarray(0, length), 'x').length).toBeLessThan(2);
        } catch (error) {
          expect(error).toBeInstanceOf(CaptureError);
          expect((error as Error).message).toMatch(/^x: /);
        }
      }
    }
  });

  it.each([
    ['text', Uint8Array.of(0x68, 0x65, 0x6c, 0x6c, 0x6f), 'neither a pcap nor a pcapng'],
    ['another link type', pcap(true, 0xa1b2c3d4, 0).fill(113, 20, 21), 'link type 113'],
    ['a frame of absurd length', pcap(true, 0xa1b2c3d4, 0).fill(255, 32, 36), 'frame 1 claims'],
  ])('%s: is refused', (_what, bytes, message) => {
    expect(() => parseCapture(bytes, 'x')).toThrow(message);
  });
});
