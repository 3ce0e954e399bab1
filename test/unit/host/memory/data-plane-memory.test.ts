import { beforeEach, describe, expect, it } from 'vitest';
import {
  CONTROL_BANK_LISTS,
  CONTROL_GENERATION,
  CONTROL_MAGIC,
  CONTROL_VERSION,
  LINK_FILL,
  WORKER_EXCEPTION_LINK,
  WORKER_FRAME_COUNT,
  WORKER_FRAMES,
  WORKER_FREE_FRAME_COUNT,
  WORKER_FREE_FRAMES,
  WORKER_PORT_LINKS,
  WORKER_RANDOM,
} from '../../../../assembly/shared/layout.ts';
import { FRAME_SIZE, PORTS_MAX } from '../../../../assembly/shared/limits.ts';
import { DataPlaneMemory } from '../../../../host/memory/data-plane-memory.ts';
import { RING_KINDS } from '../../../../host/memory/memory-map.ts';

const SIZES = {
  connections: 1000,
  services: 16,
  destinations: 64,
  workers: 2,
  framesPerWorker: 64,
  links: 2,
  ringEntries: 64,
  schedulerTableBytes: 65536,
};

let memory: DataPlaneMemory;
beforeEach(() => {
  memory = DataPlaneMemory.create(SIZES, { hashSeed: 1, randomSeed: 2 });
});

describe('a worker thread attaches', () => {
  it('to initialised memory: has the same map', () => {
    expect(DataPlaneMemory.attach(memory.memory).map).toEqual(memory.map);
  });

  it('to memory without magic: refused', () => {
    memory.u32[CONTROL_MAGIC >>> 2] = 0;
    expect(() => DataPlaneMemory.attach(memory.memory)).toThrow(/magic is missing/);
  });

  it('to memory of another layout version: refused', () => {
    memory.u32[CONTROL_VERSION >>> 2]++;
    expect(() => DataPlaneMemory.attach(memory.memory)).toThrow(/layout version/);
  });

  it('to memory whose map is another: refused', () => {
    memory.u32[CONTROL_BANK_LISTS >>> 2] += 64;
    expect(() => DataPlaneMemory.attach(memory.memory)).toThrow(/control word 140/);
  });
});

describe('initialise', () => {
  it('fills the stacks of free frames, the first frame on top', () => {
    for (let worker = 0; worker < SIZES.workers; worker++) {
      const block = memory.worker(worker);
      const frames = memory.u32[(block + WORKER_FRAMES) >>> 2];
      expect(frames).toBe(memory.frames(worker));
      expect(memory.u32[(block + WORKER_FRAME_COUNT) >>> 2]).toBe(64);
      const depth = memory.u32[(block + WORKER_FREE_FRAME_COUNT) >>> 2];
      const stack = memory.u32[(block + WORKER_FREE_FRAMES) >>> 2] >>> 2;
      const free = [...memory.u32.subarray(stack, stack + depth)].reverse();
      expect(free).toEqual(Array.from({ length: 64 }, (_, n) => frames + n * FRAME_SIZE));
    }
  });

  it('gives the workers no links and different random states', () => {
    const [first, second] = [memory.worker(0), memory.worker(1)];
    const links = memory.u8.subarray(
      first + WORKER_PORT_LINKS,
      first + WORKER_PORT_LINKS + PORTS_MAX,
    );
    expect([...links]).toEqual(new Array(PORTS_MAX).fill(255));
    expect(memory.u32[(first + WORKER_EXCEPTION_LINK) >>> 2]).toBe(255);
    const random = (block: number) => memory.u32[(block + WORKER_RANDOM) >>> 2];
    expect(random(first)).not.toBe(random(second));
    expect(random(first)).not.toBe(0);
  });
});

describe('places', () => {
  it('the active bank follows the lowest bit of the generation', () => {
    expect(memory.activeBank()).toBe(memory.map.regions.bank0);
    memory.u32[CONTROL_GENERATION >>> 2] = 7;
    expect(memory.activeBank()).toBe(memory.map.regions.bank1);
  });

  it('the areas of all rings are page-aligned and do not overlap', () => {
    const areas: [number, number][] = [];
    for (let worker = 0; worker < SIZES.workers; worker++) {
      for (let link = 0; link < SIZES.links; link++) {
        for (const kind of RING_KINDS) {
          const { offset, bytes } = memory.ringArea(worker, link, kind);
          areas.push([offset, offset + bytes]);
        }
      }
    }
    areas.sort((a, b) => a[0] - b[0]);
    expect(areas[0][0]).toBe(memory.map.regions.rings);
    for (const [index, [start]] of areas.entries()) {
      expect(start % 4096).toBe(0);
      if (index > 0) expect(start).toBe(areas[index - 1][1]);
    }
    expect(areas.at(-1)?.[1]).toBeLessThanOrEqual(memory.map.regions.freeFrames);
  });

  it('a ring record lies in its link', () => {
    expect(memory.ring(1, 1, 'fill')).toBe(memory.link(1, 1) + LINK_FILL);
  });

  it('statistics of services and destinations follow each other and fill the stride', () => {
    const last = memory.serviceStatistics(0, SIZES.services);
    expect(memory.destinationStatistics(0, 0)).toBe(last + 64);
    expect(memory.destinationStatistics(0, SIZES.destinations) + 64).toBe(memory.counters(1));
  });

  it('offsets of 2^31 and more stay positive', () => {
    const large = DataPlaneMemory.create({ ...SIZES, connections: 15_000_000 });
    const offset = large.wide(15_000_000);
    expect(offset).toBeGreaterThan(2 ** 31);
    large.u32[offset >>> 2] = 0x12345678;
    expect(large.u8[offset]).toBe(0x78);
    expect(DataPlaneMemory.attach(large.memory).map.regions.frames).toBe(large.map.regions.frames);
  });
});
