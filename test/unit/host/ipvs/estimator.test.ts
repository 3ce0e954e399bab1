import { beforeEach, describe, expect, it } from 'vitest';
import {
  STATS_CONNECTIONS,
  STATS_IN_BYTES,
  STATS_IN_PACKETS,
  STATS_OUT_BYTES,
  STATS_OUT_PACKETS,
} from '../../../../assembly/shared/layout.ts';
import { Estimator, readU64, type StatisticsRecord } from '../../../../host/ipvs/estimator.ts';
import { DataPlaneMemory } from '../../../../host/memory/data-plane-memory.ts';
import { Random, seedFromEnvironment } from '../../../support/random.ts';

const seed = seedFromEnvironment(23);
const WORKERS = 3;
let memory: DataPlaneMemory;
let estimator: Estimator;

beforeEach(() => {
  const sizes = { connections: 16, services: 4, destinations: 4, framesPerWorker: 64 };
  memory = DataPlaneMemory.create({ ...sizes, workers: WORKERS });
  estimator = new Estimator(memory);
});

function count(worker: number, id: number, field: number, more: bigint): void {
  memory.u64[(memory.destinationStatistics(worker, id) + field) >>> 3] += more;
}

function startDestination(id: number): StatisticsRecord {
  const record = estimator.forDestination(id);
  estimator.start(record);
  return record;
}

describe('an estimator', () => {
  it('24 connections, then 24 more: the rates Linux 6.1 showed', () => {
    const record = startDestination(1);
    const rates = () => {
      const { connectionRate, inByteRate, outByteRate } = record.read();
      return [connectionRate, inByteRate, outByteRate];
    };
    for (const expected of [
      [3, 4284, 32],
      [5, 7497, 56],
    ]) {
      count(0, 1, STATS_CONNECTIONS, 24n);
      count(1, 1, STATS_IN_BYTES, 24n * 1428n);
      count(2, 1, STATS_OUT_BYTES, 2n * 128n);
      estimator.estimate();
      expect(rates()).toEqual(expected);
    }
    expect(record.read().connections).toBe(48n);
  });

  it('read live: counters of this moment, less what was zeroed; rates as estimated', () => {
    const record = startDestination(1);
    count(0, 1, STATS_IN_PACKETS, 4n);
    estimator.estimate();
    record.zero();
    count(1, 1, STATS_IN_PACKETS, 3n);
    expect(record.read().inPackets).toBe(0n);
    expect(record.read(true)).toEqual({ ...record.read(), inPackets: 3n });
  });

  it('stopped: keeps its sums; started again: catches up', () => {
    const record = startDestination(1);
    count(0, 1, STATS_IN_PACKETS, 4n);
    estimator.estimate();
    estimator.stop(record);
    count(0, 1, STATS_IN_PACKETS, 4n);
    estimator.estimate();
    expect(record.read().inPackets).toBe(4n);
    estimator.start(record);
    estimator.estimate();
    expect(record.read().inPackets).toBe(8n);
  });

  it('zeroed: counts and rates start again from what was summed last', () => {
    const record = startDestination(1);
    count(2, 1, STATS_OUT_PACKETS, 100n);
    estimator.estimate();
    count(2, 1, STATS_OUT_PACKETS, 1n);
    record.zero();
    expect(record.read()).toMatchObject({ outPackets: 0n, outPacketRate: 0 });
    estimator.estimate();
    expect(record.read().outPackets).toBe(1n);
  });

  it('an id that another owner counted under: starts at 0', () => {
    count(0, 2, STATS_IN_PACKETS, 1000n);
    const record = startDestination(2);
    estimator.estimate();
    expect(record.read()).toMatchObject({ inPackets: 0n, inPacketRate: 0 });
  });

  it('counters above 2^32 are read whole', () => {
    count(0, 1, STATS_IN_BYTES, 0x1_2345_6789_abcdn);
    const at = memory.destinationStatistics(0, 1) + STATS_IN_BYTES;
    expect(readU64(memory, at)).toBe(0x1_2345_6789_abcd);
  });
});

/** The kernel's arithmetic on 64-bit integers. */
class SlowEstimator {
  last = 0n;
  average = 0n;
  zeroAt = 0n;
  current = 0n;
  readonly scale: bigint;

  constructor(scale: bigint) {
    this.scale = scale;
  }

  estimate(current: bigint): void {
    const rate = (current - this.last) << this.scale;
    this.current = current;
    this.last = current;
    this.average += (rate - this.average) >> 2n;
  }

  zero(): void {
    this.zeroAt = this.current;
    this.last = this.current;
    this.average = 0n;
  }

  rate(): number {
    const half = this.scale === 9n ? 0x1ffn : 0xfn;
    return Number((this.average + half) >> (this.scale + 1n));
  }
}

it(`rates follow 64-bit integer arithmetic (seed ${seed})`, () => {
  const random = new Random(seed);
  const fields = [
    STATS_CONNECTIONS,
    STATS_IN_PACKETS,
    STATS_OUT_PACKETS,
    STATS_IN_BYTES,
    STATS_OUT_BYTES,
  ];
  const record = startDestination(3);
  const twins = fields.map((_, index) => new SlowEstimator(index < 3 ? 9n : 4n));
  const sums = fields.map(() => 0n);
  for (let step = 0; step < 2000; step++) {
    for (const [index, field] of fields.entries()) {
      const more = BigInt(random.oneIn(3) ? 0 : random.below(random.pick([3, 1000, 4_000_000])));
      count(random.below(WORKERS), 3, field, more);
      sums[index] += more;
    }
    if (random.oneIn(50)) {
      record.zero();
      for (const twin of twins) twin.zero();
    }
    estimator.estimate();
    for (const [index, twin] of twins.entries()) twin.estimate(sums[index]);
    const read = record.read();
    const counts = twins.map((twin) => twin.current - twin.zeroAt);
    expect([
      read.connections,
      read.inPackets,
      read.outPackets,
      read.inBytes,
      read.outBytes,
    ]).toEqual(counts);
    expect([
      read.connectionRate,
      read.inPacketRate,
      read.outPacketRate,
      read.inByteRate,
      read.outByteRate,
    ]).toEqual(twins.map((twin) => twin.rate()));
  }
});
