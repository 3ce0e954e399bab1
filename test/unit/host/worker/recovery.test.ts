import { beforeEach, describe, expect, test } from 'vitest';
import {
  CONTROL_FREE_LOCK,
  LINK_FILL_OUTSTANDING,
  RING_CONSUMER,
  RING_DESCRIPTORS,
  RING_MASK,
  RING_PRODUCER,
  RING_RESERVED,
  WORKER_FREE_FRAME_COUNT,
  WORKER_FREE_FRAMES,
  WORKER_HELD_LOCK,
  WORKER_LINK_COUNT,
  WORKER_ONLINE,
} from '../../../../assembly/shared/layout.ts';
import { FRAME_SIZE } from '../../../../assembly/shared/limits.ts';
import { DataPlaneMemory } from '../../../../host/memory/data-plane-memory.ts';
import type { RingKind } from '../../../../host/memory/memory-map.ts';
import { recoverFrames, releaseDeadWorker } from '../../../../host/worker/recovery.ts';
import { Random, seedFromEnvironment } from '../../../support/random.ts';

const FRAMES = 256;
const ENTRIES = 64;
const LINKS = 2;

let memory: DataPlaneMemory;

beforeEach(() => {
  memory = DataPlaneMemory.create({
    connections: 64,
    services: 8,
    destinations: 8,
    workers: 2,
    links: LINKS,
    ringEntries: ENTRIES,
    framesPerWorker: FRAMES,
  });
});

describe('locks of a dead worker', () => {
  const note = (worker: number) => (memory.worker(worker) + WORKER_HELD_LOCK) >>> 2;

  test('none: nothing happens, and the worker is no longer online', () => {
    memory.u32[(memory.worker(0) + WORKER_ONLINE) >>> 2] = 1;
    expect(releaseDeadWorker(memory, 0)).toBe(false);
    expect(memory.u32[(memory.worker(0) + WORKER_ONLINE) >>> 2]).toBe(0);
  });

  test('a plain one: free again', () => {
    memory.u32[CONTROL_FREE_LOCK >>> 2] = 1;
    memory.u32[note(0)] = CONTROL_FREE_LOCK;
    expect(releaseDeadWorker(memory, 0)).toBe(true);
    expect(memory.u32[CONTROL_FREE_LOCK >>> 2]).toBe(0);
    expect(memory.u32[note(0)]).toBe(0);
  });

  test('a chain: its lock bit is cleared, its node stays', () => {
    const chain = memory.map.regions.chains + 12;
    memory.u32[chain >>> 2] = 0x80000000 | 77;
    memory.u32[note(0)] = chain;
    expect(releaseDeadWorker(memory, 0)).toBe(true);
    expect(memory.u32[chain >>> 2]).toBe(77);
  });

  test("a scheduler's, held by the other worker: left alone", () => {
    const lock = memory.serviceState(1);
    memory.u32[lock >>> 2] = memory.worker(1);
    memory.u32[note(0)] = lock;
    expect(releaseDeadWorker(memory, 0)).toBe(false);
    expect(memory.u32[lock >>> 2]).toBe(memory.worker(1));
  });

  test("a scheduler's, held by itself: free again", () => {
    const lock = memory.serviceState(1);
    memory.u32[lock >>> 2] = memory.worker(0);
    memory.u32[note(0)] = lock;
    expect(releaseDeadWorker(memory, 0)).toBe(true);
    expect(memory.u32[lock >>> 2]).toBe(0);
  });

  test('one that the other worker notes too: it may be that one who holds it', () => {
    memory.u32[CONTROL_FREE_LOCK >>> 2] = 1;
    memory.u32[note(0)] = CONTROL_FREE_LOCK;
    memory.u32[note(1)] = CONTROL_FREE_LOCK;
    expect(releaseDeadWorker(memory, 0)).toBe(false);
    expect(memory.u32[CONTROL_FREE_LOCK >>> 2]).toBe(1);
  });
});

describe('frames of a dead worker', () => {
  const KINDS: readonly RingKind[] = ['fill', 'completion', 'receive', 'transmit'];

  /** Rings of a link as the addon would describe them: two cursors, then the entries. */
  function describeRings(link: number): void {
    for (const kind of KINDS) {
      const { offset } = memory.ringArea(1, link, kind);
      const at = memory.ring(1, link, kind);
      memory.u32[(at + RING_PRODUCER) >>> 2] = offset;
      memory.u32[(at + RING_CONSUMER) >>> 2] = offset + 64;
      memory.u32[(at + RING_DESCRIPTORS) >>> 2] = offset + 256;
      memory.u32[(at + RING_MASK) >>> 2] = ENTRIES - 1;
    }
  }

  /** Puts frames into a ring, starting at any place of it. */
  function put(link: number, kind: RingKind, start: number, frames: readonly number[]): void {
    const { offset } = memory.ringArea(1, link, kind);
    memory.u32[(offset + 64) >>> 2] = start;
    memory.u32[offset >>> 2] = (start + frames.length) >>> 0;
    const bytes = kind === 'fill' || kind === 'completion' ? 8 : 16;
    for (const [index, frame] of frames.entries()) {
      const slot = (start + index) & (ENTRIES - 1);
      memory.u32[(offset + 256 + slot * bytes) >>> 2] = frame * FRAME_SIZE + (frame % 7) * 100;
    }
  }

  function stack(): number[] {
    const block = memory.worker(1);
    const start = memory.u32[(block + WORKER_FREE_FRAMES) >>> 2] >>> 2;
    const depth = memory.u32[(block + WORKER_FREE_FRAME_COUNT) >>> 2];
    return Array.from(memory.u32.subarray(start, start + depth), (chunk) => {
      return (chunk - memory.frames(1)) / FRAME_SIZE;
    });
  }

  beforeEach(() => {
    memory.u32[(memory.worker(1) + WORKER_LINK_COUNT) >>> 2] = LINKS;
    for (let link = 0; link < LINKS; link++) describeRings(link);
  });

  test('nothing in the rings, the stack lost: all frames are free', () => {
    memory.u32[(memory.worker(1) + WORKER_FREE_FRAME_COUNT) >>> 2] = 0;
    expect(recoverFrames(memory, 1)).toEqual({ free: FRAMES, found: FRAMES });
    expect(stack().sort((a, b) => a - b)).toEqual(Array.from({ length: FRAMES }, (_, i) => i));
  });

  test('packets the kernel has taken and not completed: not yet', () => {
    put(1, 'transmit', 5, []);
    put(1, 'completion', 3, []);
    expect(recoverFrames(memory, 1)).toBeUndefined();
  });

  test('packets that were reserved and not submitted: given up', () => {
    const reserved = (memory.ring(1, 0, 'transmit') + RING_RESERVED) >>> 2;
    memory.u32[reserved] = 3;
    recoverFrames(memory, 1);
    expect(memory.u32[reserved]).toBe(0);
  });

  test('what the kernel still has to give back is counted for each link', () => {
    put(0, 'fill', 60, [1, 2, 3, 4, 5, 6]);
    put(0, 'receive', 0, [7, 8]);
    recoverFrames(memory, 1);
    expect(memory.u32[(memory.link(1, 0) + LINK_FILL_OUTSTANDING) >>> 2]).toBe(8);
  });

  const SEED = seedFromEnvironment(11);

  test(`frames dealt out at random: those in no ring are free (seed ${SEED})`, () => {
    const random = new Random(SEED);
    for (let round = 0; round < 50; round++) {
      const frames = Array.from({ length: FRAMES }, (_, frame) => frame);
      const take = () => frames.splice(random.below(frames.length), 1)[0]!;
      for (let link = 0; link < LINKS; link++) {
        // Cursors run freely, and wrap around.
        const sent = random.u32();
        const completed = Array.from({ length: random.below(20) }, take);
        put(link, 'completion', (sent - completed.length) >>> 0, completed);
        put(link, 'transmit', sent, Array.from({ length: random.below(20) }, take));
        for (const kind of ['fill', 'receive'] as const) {
          put(link, kind, random.u32(), Array.from({ length: random.below(30) }, take));
        }
      }
      expect(recoverFrames(memory, 1)?.free).toBe(frames.length);
      expect(stack().sort((a, b) => a - b)).toEqual(frames);
    }
  });
});
