/**
 * A full-nat pool without a free end: what a refused packet costs is bounded, and nothing once it is
 * known that no end is free; an end that is let go is found at once, and never used while it is not.
 */

import { describe, expect, test } from 'vitest';
import { DESTINATION_STATE_POOL_CURSOR } from '../../assembly/shared/layout.ts';
import { LOCAL_END_TRIES_MAX } from '../../assembly/shared/limits.ts';
import { formatEndpoint } from '../../host/config/address.ts';
import { checkMemory } from '../support/check-bed.ts';
import { BUILDS, createBed, type DirectorBed } from '../support/director-bed.ts';
import * as build from '../support/packet-builder.ts';
import { fromClient, HOSTS, ip, opening, segment } from './golden.ts';

const { packet } = build;
const { client, local, server, vip } = HOSTS[4];
const FIRST_PORT = 5000;
const ENDS = 3 * LOCAL_END_TRIES_MAX + 100;
const WORKERS = 2;
/** Longer than a reset connection lives. */
const CLOSED_MS = 20_000;

function createExhausted(on: (typeof BUILDS)[number]): DirectorBed {
  const bed = createBed({
    build: on,
    workers: WORKERS,
    sizes: { connections: 2 * ENDS },
    pool: {
      addresses: [{ family: 4, address: local }],
      portRanges: [
        [FIRST_PORT, FIRST_PORT + ENDS - 1],
        [1, 0],
      ],
    },
    services: [
      {
        at: `tcp ${formatEndpoint(vip, 80)}`,
        servers: [{ at: formatEndpoint(server, 80), method: 'full-nat' }],
      },
    ],
  });
  for (let from = 0; from < ENDS; from++) {
    expect(portOf(bed, 1000 + from)).toBe(FIRST_PORT + from);
    follow(bed, 1000 + from, 'A');
  }
  return bed;
}

/** The local port a new connection gets, or undefined when it is refused. */
function portOf(bed: DirectorBed, from: number): number | undefined {
  const frame = packet(fromClient(4), ip({ from: client, to: vip }), ...opening('tcp', from, 80));
  const { out, reason } = bed.send('client', frame, from % WORKERS);
  if (out.length === 0) {
    expect(reason).toBe('DROP_LOCAL_POOL_EXHAUSTED');
    return undefined;
  }
  const [{ frame: sent }] = out;
  return (sent[34] << 8) | sent[35];
}

/** A later segment of a connection: it establishes it, or ends it. */
function follow(bed: DirectorBed, from: number, flags: 'A' | 'R'): void {
  const layers = segment('tcp', from, 80, flags);
  bed.send('client', packet(fromClient(4), ip({ from: client, to: vip }), ...layers));
}

/** Ends that were tried so far. */
function tried(bed: DirectorBed): number {
  const { memory } = bed;
  return memory.u32[(memory.destinationState(1) + DESTINATION_STATE_POOL_CURSOR) >>> 2];
}

describe.each(BUILDS)('%s', (on) => {
  test('no end is free: some are tried for each packet, none once all were', () => {
    const bed = createExhausted(on);
    const costs: number[] = [];
    for (let from = 0; from < 6; from++) {
      const before = tried(bed);
      expect(portOf(bed, 40_000 + from)).toBeUndefined();
      costs.push(tried(bed) - before);
    }
    const most = LOCAL_END_TRIES_MAX;
    expect(costs).toEqual([most, most, most, 100, 0, 0]);
    checkMemory(bed.memory);
    bed.close();
  });

  test('a connection ends: the next one has its end, and the one after that none', () => {
    const bed = createExhausted(on);
    for (let from = 0; from < 6; from++) expect(portOf(bed, 40_000 + from)).toBeUndefined();
    follow(bed, 1000 + 777, 'R');
    expect(portOf(bed, 40_000)).toBeUndefined();
    bed.advance(CLOSED_MS);
    expect(portOf(bed, 40_000)).toBe(FIRST_PORT + 777);
    expect(portOf(bed, 40_001)).toBeUndefined();
    checkMemory(bed.memory);
    bed.close();
  });

  test('an end is let go before all were tried: it is found', () => {
    const bed = createExhausted(on);
    expect(portOf(bed, 40_000)).toBeUndefined();
    follow(bed, 1000 + 5, 'R');
    bed.advance(CLOSED_MS);
    expect(portOf(bed, 40_000)).toBe(FIRST_PORT + 5);
    checkMemory(bed.memory);
    bed.close();
  });
});
