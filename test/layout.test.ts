// The whole map of linear memory for one set of sizes, readable. A change here means that a director
// cannot take over the memory of one that was built before it: raise LAYOUT_VERSION with it.

import { describe, expect, it } from 'vitest';
import * as layout from '../assembly/shared/layout.ts';
import { FRAME_SIZE, LINKS_MAX, PORTS_MAX } from '../assembly/shared/limits.ts';
import { DEFAULT_SIZES, type MemoryMap, planMemory, roundUp } from '../host/memory/memory-map.ts';

const LINE = 64;
const PAGE = 4096;

/** Regions in their order, with the bytes each needs at least. */
function regionsOf(map: MemoryMap): [name: string, start: number, bytes: number][] {
  const { regions, sizes } = map;
  return [
    ['control', layout.CONTROL, layout.CONTROL_SIZE],
    ['workers', regions.workers, sizes.workers * layout.WORKER_SIZE],
    ['bank0', regions.bank0, map.bank.size],
    ['bank1', regions.bank1, map.bank.size],
    ['serviceState', regions.serviceState, map.serviceRecords * layout.SERVICE_STATE_SIZE],
    [
      'destinationState',
      regions.destinationState,
      map.destinationRecords * layout.DESTINATION_STATE_SIZE,
    ],
    ['counters', regions.counters, sizes.workers * map.countersStride],
    ['nextHops', regions.nextHops, 65536 * layout.NEXT_HOP_SIZE],
    ['locality', regions.locality, 65536 * layout.LOCALITY_SIZE],
    ['side', regions.side, 65536 * layout.SIDE_SIZE],
    ['chains', regions.chains, map.chains * layout.CHAIN_HEAD_SIZE],
    ['hot', regions.hot, map.connectionRecords * layout.CONNECTION_HOT_SIZE],
    ['cold', regions.cold, map.connectionRecords * layout.CONNECTION_COLD_SIZE],
    ['wide', regions.wide, map.connectionRecords * layout.CONNECTION_WIDE_SIZE],
    ['rings', regions.rings, sizes.workers * sizes.links * map.linkRingBytes],
    ['freeFrames', regions.freeFrames, sizes.workers * sizes.framesPerWorker * 4],
    ['frames', regions.frames, sizes.workers * sizes.framesPerWorker * FRAME_SIZE],
    ['capture', regions.capture, sizes.workers * layout.CAPTURE_REGION_SIZE],
  ];
}

describe('the map of linear memory', () => {
  it('stays as it was for the default sizes', () => {
    const map = planMemory(DEFAULT_SIZES);
    expect({
      version: layout.LAYOUT_VERSION,
      pages: map.pages,
      ...map.regions,
    }).toMatchInlineSnapshot(`
      {
        "bank0": 331776,
        "bank1": 23711744,
        "capture": 274460672,
        "chains": 97427456,
        "cold": 169820160,
        "counters": 64917696,
        "destinationState": 48140352,
        "frames": 266072064,
        "freeFrames": 266055680,
        "hot": 105816064,
        "locality": 76454272,
        "nextHops": 74357120,
        "pages": 4204,
        "rings": 265826304,
        "serviceState": 47091712,
        "side": 80648576,
        "version": 3,
        "wide": 201822208,
        "workers": 69632,
      }
    `);
    expect(map.bank).toMatchInlineSnapshot(`
      {
        "destinations": 2360960,
        "lists": 10749632,
        "localPool": 23344896,
        "locals": 20317952,
        "marks": 23213824,
        "routes": 22423296,
        "schedulerTables": 11929344,
        "serviceIndex": 1536,
        "services": 263680,
        "size": 23379968,
      }
    `);
  });

  const variants = [
    DEFAULT_SIZES,
    { ...DEFAULT_SIZES, workers: 32, links: LINKS_MAX, connections: 7, services: 1 },
    { ...DEFAULT_SIZES, connections: 4_000_000, workers: 4, schedulerTableBytes: 12_345 },
  ];
  for (const [variant, sizes] of variants.entries()) {
    it(`has no overlaps and no gaps above a page: variant ${variant}`, () => {
      const map = planMemory(sizes);
      const regions = regionsOf(map);
      for (const [index, [name, start, bytes]] of regions.entries()) {
        expect(start % LINE, name).toBe(0);
        const next = regions[index + 1]?.[1] ?? map.end;
        expect(start + bytes, name).toBeLessThanOrEqual(next);
        expect(next - start - bytes, name).toBeLessThan(PAGE);
      }
      for (const region of ['rings', 'frames', 'bank0', 'bank1', 'workers'] as const) {
        expect(map.regions[region] % PAGE, region).toBe(0);
      }
      expect(map.pages * 65536).toBeGreaterThanOrEqual(map.end);
      expect(map.pages * 65536).toBeLessThan(2 ** 32);
    });
  }

  it('keeps the parts of a bank apart and in order', () => {
    const { bank, ...map } = planMemory(DEFAULT_SIZES);
    const parts: [number, number][] = [
      [0, layout.BANK_HEADER_SIZE],
      [bank.serviceIndex, map.serviceIndexSlots * 4],
      [bank.services, map.serviceRecords * layout.SERVICE_SIZE],
      [bank.destinations, map.destinationRecords * layout.DESTINATION_SIZE],
      [bank.lists, map.listEntries * 4],
      [bank.schedulerTables, map.sizes.schedulerTableBytes],
      [bank.locals, 65536 * layout.LOCAL_SIZE],
      [bank.routes, 16384 * layout.ROUTE_SIZE],
      [bank.marks, 1024 * layout.MARK_SIZE],
      [bank.localPool, 1024 * layout.POOL_SIZE],
    ];
    for (const [index, [start, bytes]] of parts.entries()) {
      expect(start % LINE).toBe(0);
      expect(start + bytes).toBeLessThanOrEqual(parts[index + 1]?.[0] ?? bank.size);
    }
  });
});

describe('records', () => {
  const sizes = Object.entries(layout).filter(([name]) => {
    return name.endsWith('_SIZE') && !name.startsWith('CHAIN') && !name.startsWith('SIDE_DATA');
  });

  it.each(sizes)('%s is a multiple of a word', (_name, size) => {
    expect(size % 4).toBe(0);
  });

  const packed: readonly (readonly [name: string, size: number])[] = [
    ['service', layout.SERVICE_SIZE],
    ['destination', layout.DESTINATION_SIZE],
    ['service state', layout.SERVICE_STATE_SIZE],
    ['destination state', layout.DESTINATION_STATE_SIZE],
    ['hot half of a connection', layout.CONNECTION_HOT_SIZE],
    ['cold half of a connection', layout.CONNECTION_COLD_SIZE],
    ['next hop', layout.NEXT_HOP_SIZE],
    ['own address', layout.LOCAL_SIZE],
    ['statistics', layout.STATS_SIZE],
  ];
  it.each(packed)('%s never straddles a cache line needlessly', (_name, size) => {
    expect(LINE % size === 0 || size % LINE === 0).toBe(true);
  });

  it('fit in front of what follows them', () => {
    expect(layout.BANK_PORTS + PORTS_MAX * layout.PORT_SIZE).toBe(layout.BANK_HEADER_SIZE);
    expect(layout.WORKER_LINKS + LINKS_MAX * layout.LINK_SIZE).toBeLessThan(layout.WORKER_PACKETS);
    const provokeEnd = layout.CONTROL_PROVOKE + layout.CONTROL_PROVOKE_SLOTS * layout.PROVOKE_SIZE;
    expect(provokeEnd).toBeLessThanOrEqual(layout.CONTROL + layout.CONTROL_SIZE);
    expect(layout.CONTROL_REQUESTS + 4).toBeLessThanOrEqual(layout.CONTROL_PROVOKE);
    expect(layout.BANK_TIMEOUT_TCP + 16 * 4).toBeLessThanOrEqual(layout.BANK_TIMEOUT_SCTP);
    expect(layout.BANK_TIMEOUT_SCTP + 16 * 4).toBeLessThanOrEqual(layout.BANK_TIMEOUT_UDP);
    expect(roundUp(layout.MARK_PORTS + 16 * 4, 8)).toBe(layout.MARK_SIZE);
  });
});
