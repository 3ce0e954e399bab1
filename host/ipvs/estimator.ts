// Statistics of services and destinations and of all together. Workers count; every 2 seconds the
// estimator sums the workers' counters and moves the rates' averages towards what it saw. Listings
// show what it summed last, not the counters of this moment. Linux: ip_vs_est.c, ip_vs_copy_stats().
//
//   rate    = what came in 2 seconds / 2, scaled: connections and packets by 2^10, bytes by 2^5
//   average = average + (rate - average) / 4
//
// Counters are read as doubles, which are exact to 2^53.

import {
  STATS_CONNECTIONS,
  STATS_IN_BYTES,
  STATS_IN_PACKETS,
  STATS_OUT_BYTES,
  STATS_OUT_PACKETS,
} from '../../assembly/shared/layout.ts';
import type { DataPlaneMemory } from '../memory/data-plane-memory.ts';
import type { Statistics } from './types.ts';

/** Ticks between two estimations. */
export const ESTIMATOR_TICKS = 200;

/** The counters of a statistics record, in the order of the arrays below. */
const FIELDS = [
  STATS_CONNECTIONS,
  STATS_IN_PACKETS,
  STATS_OUT_PACKETS,
  STATS_IN_BYTES,
  STATS_OUT_BYTES,
] as const;
/** From here on, fields count bytes. */
const FIRST_BYTES_FIELD = 3;
/** What a difference over 2 seconds is multiplied by: half of 2^10, half of 2^5. */
const PACKET_SCALE = 512;
const BYTE_SCALE = 16;

/** What is kept of each field, as offsets into a record's numbers. */
const BASE = 0;
const CURRENT = 1;
const ZERO = 2;
const LAST = 3;
const AVERAGE = 4;
const NUMBERS_PER_FIELD = 5;
const NUMBERS_PER_RECORD = FIELDS.length * NUMBERS_PER_FIELD;

/**
 * Sums and rates of one service, one destination, or all. For each field: what the counter stood at
 * when its id was given to this owner; the sum as of the last estimation, less that; what zeroing
 * subtracts; the sum the rate goes by; the average rate.
 */
export class StatisticsRecord {
  readonly #memory: DataPlaneMemory;
  /** Byte offset of worker 0's record. */
  readonly #offset: number;
  readonly #numbers: Float64Array;

  /** Starts from 0, whoever used the counters and the numbers before. */
  constructor(memory: DataPlaneMemory, offset: number, numbers: Float64Array) {
    this.#memory = memory;
    this.#offset = offset;
    this.#numbers = numbers.fill(0);
    for (let field = 0; field < FIELDS.length; field++) {
      this.#numbers[field * NUMBERS_PER_FIELD + BASE] = this.#sum(field);
    }
  }

  /** One estimation. */
  estimate(): void {
    const numbers = this.#numbers;
    for (let field = 0; field < FIELDS.length; field++) {
      const at = field * NUMBERS_PER_FIELD;
      const current = this.#sum(field) - numbers[at + BASE];
      const scale = field < FIRST_BYTES_FIELD ? PACKET_SCALE : BYTE_SCALE;
      const rate = (current - numbers[at + LAST]) * scale;
      numbers[at + CURRENT] = current;
      numbers[at + LAST] = current;
      numbers[at + AVERAGE] += Math.floor((rate - numbers[at + AVERAGE]) / 4);
    }
  }

  /** Makes what was summed last the new zero; rates start again. */
  zero(): void {
    const numbers = this.#numbers;
    for (let at = 0; at < numbers.length; at += NUMBERS_PER_FIELD) {
      numbers[at + ZERO] = numbers[at + CURRENT];
      numbers[at + LAST] = numbers[at + CURRENT];
      numbers[at + AVERAGE] = 0;
    }
  }

  /**
   * What a listing shows.
   * @param isLive counters of this moment; rates are always those of the last estimation
   */
  read(isLive = false): Statistics {
    const count = (field: number) => (isLive ? this.#liveCount(field) : this.#count(field));
    return {
      connections: count(0),
      inPackets: count(1),
      outPackets: count(2),
      inBytes: count(3),
      outBytes: count(4),
      connectionRate: this.#rate(0),
      inPacketRate: this.#rate(1),
      outPacketRate: this.#rate(2),
      inByteRate: this.#rate(3),
      outByteRate: this.#rate(4),
    };
  }

  #count(field: number): bigint {
    const at = field * NUMBERS_PER_FIELD;
    return BigInt(this.#numbers[at + CURRENT] - this.#numbers[at + ZERO]);
  }

  #liveCount(field: number): bigint {
    const at = field * NUMBERS_PER_FIELD;
    const current = this.#sum(field) - this.#numbers[at + BASE];
    return BigInt(current - this.#numbers[at + ZERO]);
  }

  /** Rounded as ip_vs_read_estimator() does: half a unit, less one, is added. */
  #rate(field: number): number {
    const average = this.#numbers[field * NUMBERS_PER_FIELD + AVERAGE];
    return field < FIRST_BYTES_FIELD
      ? Math.floor((average + 0x1ff) / 1024)
      : Math.floor((average + 0xf) / 32);
  }

  #sum(field: number): number {
    const { map } = this.#memory;
    const first = this.#offset + FIELDS[field];
    let sum = 0;
    for (let worker = 0; worker < map.sizes.workers; worker++) {
      sum += readU64(this.#memory, first + worker * map.countersStride);
    }
    return sum;
  }
}

/** The records that are estimated now. */
export class Estimator {
  readonly #memory: DataPlaneMemory;
  readonly #running = new Set<StatisticsRecord>();
  /** The records' numbers by id: a hundred thousand buffers of their own would cost more. */
  readonly #services: Float64Array;
  readonly #destinations: Float64Array;
  readonly totals: StatisticsRecord;

  constructor(memory: DataPlaneMemory) {
    this.#memory = memory;
    const { serviceRecords, destinationRecords } = memory.map;
    this.#services = new Float64Array(serviceRecords * NUMBERS_PER_RECORD);
    this.#destinations = new Float64Array(destinationRecords * NUMBERS_PER_RECORD);
    const numbers = new Float64Array(NUMBERS_PER_RECORD);
    this.totals = new StatisticsRecord(memory, memory.totalStatistics(0), numbers);
    this.start(this.totals);
  }

  /** A record for a service that has just got its id; not started yet. */
  forService(id: number): StatisticsRecord {
    const at = this.#memory.serviceStatistics(0, id);
    return new StatisticsRecord(this.#memory, at, numbersOf(this.#services, id));
  }

  /** A record for a destination that has just got its id; not started yet. */
  forDestination(id: number): StatisticsRecord {
    const at = this.#memory.destinationStatistics(0, id);
    return new StatisticsRecord(this.#memory, at, numbersOf(this.#destinations, id));
  }

  /** From now on estimations take the record along. */
  start(record: StatisticsRecord): void {
    this.#running.add(record);
  }

  /** From now on the record stays as it is. */
  stop(record: StatisticsRecord): void {
    this.#running.delete(record);
  }

  /** One estimation of all records. */
  estimate(): void {
    for (const record of this.#running) record.estimate();
  }
}

function numbersOf(all: Float64Array, id: number): Float64Array {
  return all.subarray(id * NUMBERS_PER_RECORD, (id + 1) * NUMBERS_PER_RECORD);
}

/** A counter another thread may be adding to: both halves are of one moment. */
export function readU64(memory: DataPlaneMemory, at: number): number {
  const { u32 } = memory;
  const low = at >>> 2;
  for (;;) {
    const high = u32[low + 1];
    const value = high * 2 ** 32 + u32[low];
    if (u32[low + 1] === high) return value;
  }
}
