// The schedulers: ns a pick by number of servers, through the function that the data plane calls. The
// servers have random weights and connections; clients are random.

import { PROTOCOL_TCP, SCHEDULE_NONE } from '../assembly/shared/codes.ts';
import {
  DESTINATION_STATE_ACTIVE,
  DESTINATION_STATE_INACTIVE,
  PACKET_DESTINATION,
  PACKET_DESTINATION_PORT,
  PACKET_FAMILY,
  PACKET_PROTOCOL,
  PACKET_SOURCE,
  PACKET_SOURCE_PORT,
  WORKER_PACKETS,
  WORKER_SEEN_GENERATION,
} from '../assembly/shared/layout.ts';
import { Control } from '../host/ipvs/control.ts';
import type { ServiceKey } from '../host/ipvs/types.ts';
import { DataPlaneMemory } from '../host/memory/data-plane-memory.ts';
import { schedulerByName, schedulerNames } from '../host/scheduler/registry.ts';
import { PublishedTables } from '../host/tables/publish.ts';
import { createSchedule } from '../host/worker/schedule.ts';
import type { Bench, BenchContext } from './bench.ts';
import { FlowSource } from './data-plane/flows.ts';
import { effortOf } from './data-plane/hit-path.ts';
import { destinationOptions, serviceOptions } from './data-plane/rig.ts';
import { interleave } from './measure.ts';
import { makeResult, type Result } from './result.ts';

const VIRTUAL = Uint8Array.of(192, 0, 2, 80);
const WEIGHT_MAX = 100;
const INACTIVE_MAX = 1000;
/** Addresses in the packets are taken from here, so that making them up costs little. */
const ADDRESSES = 4096;

/** A director without workers: services with one scheduler each. */
class Schedulers {
  readonly #memory: DataPlaneMemory;
  readonly #control: Control;
  readonly #random = new FlowSource(99);
  readonly #addresses: Uint32Array;
  readonly #schedule: (service: number, packet: number) => number;
  readonly #packet: number;

  constructor(destinations: number) {
    this.#memory = DataPlaneMemory.create(
      { connections: 1024, services: 64, destinations, framesPerWorker: 64 },
      { hashSeed: 1, randomSeed: 1 },
    );
    const tables = new PublishedTables(this.#memory);
    this.#control = new Control({ tables, schedulerByName, availablePages: () => 2 ** 40 });
    this.#schedule = createSchedule(this.#memory, 0);
    this.#packet = this.#memory.worker(0) + WORKER_PACKETS;
    this.#addresses = Uint32Array.from({ length: ADDRESSES }, () => {
      return this.#random.below(2 ** 32);
    });
    this.#writePacket();
  }

  #writePacket(): void {
    const { u8, u16 } = this.#memory;
    u8[this.#packet + PACKET_FAMILY] = 4;
    u8[this.#packet + PACKET_PROTOCOL] = PROTOCOL_TCP;
    u8.set(VIRTUAL, this.#packet + PACKET_DESTINATION);
    u16[(this.#packet + PACKET_DESTINATION_PORT) >>> 1] = 80 << 8;
  }

  /** A service of its own for a scheduler; returns its id. */
  add(scheduler: string, port: number, servers: number): number {
    const family = 4;
    const key: ServiceKey = { family, protocol: 'tcp', address: '192.0.2.80', port };
    const control = this.#control;
    control.batch(() => {
      control.addService(key, serviceOptions(scheduler, family));
      for (let server = 0; server < servers; server++) {
        const address = `10.${port & 255}.${server >> 8}.${server & 255}`;
        const weight = 1 + this.#random.below(WEIGHT_MAX);
        const at = { family, address, port: 8080 } as const;
        control.addDestination(key, at, destinationOptions('nat', weight));
      }
    });
    // A bank that was never published is not read.
    this.#memory.u32[(this.#memory.worker(0) + WORKER_SEEN_GENERATION) >>> 2] =
      this.#memory.generation();
    for (const { id, weight } of control.destinations(key)) this.#load(id, weight);
    return control.service(key)!.id;
  }

  /** Below its weight, or ovf would find no server. */
  #load(id: number, weight: number): void {
    const state = this.#memory.destinationState(id);
    const { u32 } = this.#memory;
    u32[(state + DESTINATION_STATE_ACTIVE) >>> 2] = this.#random.below(weight);
    u32[(state + DESTINATION_STATE_INACTIVE) >>> 2] = this.#random.below(INACTIVE_MAX);
  }

  /** ns of a pick, over so many. @throws Error when one finds no server */
  pick(service: number, picks: number): number {
    const { u16, u32 } = this.#memory;
    const sourceAt = (this.#packet + PACKET_SOURCE) >>> 2;
    const portAt = (this.#packet + PACKET_SOURCE_PORT) >>> 1;
    const addresses = this.#addresses;
    const schedule = this.#schedule;
    const packet = this.#packet;
    let misses = 0;
    const before = performance.now();
    for (let pick = 0; pick < picks; pick++) {
      u32[sourceAt] = addresses[pick & (ADDRESSES - 1)];
      u16[portAt] = pick;
      if (schedule(service, packet) === SCHEDULE_NONE) misses++;
    }
    const spent = performance.now() - before;
    if (misses > 0) throw new Error(`${misses} of ${picks} picks of service ${service} found none`);
    return (spent * 1e6) / picks;
  }
}

export const schedulers: Bench = {
  name: 'schedulers',
  about: 'ns a pick by scheduler and number of servers',
  async run(context: BenchContext) {
    const { rounds } = effortOf(context);
    const results: Result[] = [];
    for (const servers of context.quick ? [1, 16] : [1, 16, 256, 1024]) {
      const names = schedulerNames;
      const rig = new Schedulers(servers * names.length);
      // As many picks of each as take about the same time, whether a scheduler walks the list.
      const picks = Math.max(200, Math.round(40_000 / servers));
      const competitors = names.map((name, index) => {
        const service = rig.add(name, 1 + index, servers);
        return { name, slice: () => rig.pick(service, picks) };
      });
      for (const { slice } of competitors) for (let turn = 0; turn < 10; turn++) slice();
      for (const sample of await interleave(competitors, rounds)) {
        const params = { scheduler: sample.name, servers };
        results.push(makeResult({ name: 'schedulers', unit: 'ns/pick', params }, sample));
      }
    }
    return results;
  },
};
