import { describe, expect, it } from 'vitest';
import {
  DEFAULT_SIZES,
  MemorySizeError,
  planMemory,
  ringBytes,
} from '../../../../host/memory/memory-map.ts';

describe('planMemory', () => {
  it.each([
    [1, 2],
    [2, 4],
    [3, 8],
    [1_000_000, 2_097_152],
    [1_048_576, 2_097_152],
    [1_048_577, 4_194_304],
  ])('%i connections: %i hash chains, 8 to 16 bytes a connection', (connections, chains) => {
    expect(planMemory({ ...DEFAULT_SIZES, connections }).chains).toBe(chains);
  });

  it('more than 4 GiB: names the size that takes most', () => {
    expect(() => planMemory({ ...DEFAULT_SIZES, connections: 30_000_000 })).toThrow(
      /needs \d+ MiB but can have 4096: connections 30000000 takes \d+ MiB/,
    );
    expect(() => planMemory({ ...DEFAULT_SIZES, framesPerWorker: 2 ** 22 })).toThrow(
      /framesPerWorker 4194304 takes/,
    );
    expect(() => planMemory({ ...DEFAULT_SIZES, workers: 32, destinations: 2 ** 24 - 1 })).toThrow(
      /destinations 16777215 takes/,
    );
  });

  it.each([
    ['connections', 0],
    ['connections', 1.5],
    ['workers', 33],
    ['links', 33],
    ['ringEntries', 1000],
    ['services', -1],
  ] as const)('%s %d: refused by name', (size, value) => {
    const plan = () => planMemory({ ...DEFAULT_SIZES, [size]: value });
    expect(plan).toThrow(MemorySizeError);
    expect(plan).toThrow(new RegExp(`^${size}`));
  });

  it('reserves whole pages for a ring, header and entries', () => {
    const sizes = { ...DEFAULT_SIZES, ringEntries: 2048, ringHeaderBytes: 4096 };
    expect(ringBytes('receive', sizes)).toBe(4096 + 2048 * 16);
    expect(ringBytes('fill', sizes)).toBe(4096 + 2048 * 8);
    expect(ringBytes('completion', { ...sizes, ringEntries: 64 })).toBe(8192);
  });
});
