// A director without workers: services, servers, and the schedulers themselves, asked one packet at a
// time as a worker would.

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
import { schedulerByName } from '../host/scheduler/registry.ts';
import { PublishedTables } from '../host/tables/publish.ts';
import { createSchedule } from '../host/worker/schedule.ts';
import { destinationOptions, serviceOptions } from './data-plane/rig.ts';

const VIRTUAL_ADDRESS = '192.0.2.80';
const VIRTUAL_BYTES = Uint8Array.of(192, 0, 2, 80);
const FAMILY = 4;

export class SchedulerRig {
  readonly #memory: DataPlaneMemory;
  readonly #control: Control;
  readonly #schedule: (service: number, packet: number) => number;
  readonly #packet: number;

  /** @param destinations of all services together */
  constructor(destinations: number) {
    this.#memory = DataPlaneMemory.create(
      { connections: 1024, services: 64, destinations, framesPerWorker: 64 },
      { hashSeed: 1, randomSeed: 1 },
    );
    const tables = new PublishedTables(this.#memory);
    this.#control = new Control({ tables, schedulerByName, availablePages: () => 2 ** 40 });
    this.#schedule = createSchedule(this.#memory, 0);
    this.#packet = this.#memory.worker(0) + WORKER_PACKETS;
    const { u8, u16 } = this.#memory;
    u8[this.#packet + PACKET_FAMILY] = FAMILY;
    u8[this.#packet + PACKET_PROTOCOL] = PROTOCOL_TCP;
    u8.set(VIRTUAL_BYTES, this.#packet + PACKET_DESTINATION);
    u16[(this.#packet + PACKET_DESTINATION_PORT) >>> 1] = 80 << 8;
  }

  /**
   * Adds a service and a server for each weight.
   * @param port of the service; no two may have the same
   * @returns the service's id
   */
  addService(scheduler: string, port: number, weights: readonly number[], flags = 0): number {
    const key = serviceKey(port);
    this.#control.batch(() => {
      this.#control.addService(key, { ...serviceOptions(scheduler, FAMILY), flags });
      for (const [server, weight] of weights.entries()) this.#addServer(port, server, weight);
    });
    this.#adopt();
    return this.#control.service(key)!.id;
  }

  /** Adds a server to a service; `server` is its number there. */
  addServer(port: number, server: number, weight: number): void {
    this.#addServer(port, server, weight);
    this.#adopt();
  }

  #addServer(port: number, server: number, weight: number): void {
    const address = `10.${port & 255}.${server >> 8}.${server & 255}`;
    const at = { family: FAMILY, address, port: 8080 } as const;
    this.#control.addDestination(serviceKey(port), at, destinationOptions('nat', weight));
  }

  /** A bank that was never published is not read. */
  #adopt(): void {
    const at = (this.#memory.worker(0) + WORKER_SEEN_GENERATION) >>> 2;
    this.#memory.u32[at] = this.#memory.generation();
  }

  /** Ids and weights of a service's servers. */
  servers(port: number): readonly { readonly id: number; readonly weight: number }[] {
    return this.#control.destinations(serviceKey(port));
  }

  /** Lets a server have so many connections. */
  setConnections(server: number, active: number, inactive: number): void {
    const state = this.#memory.destinationState(server);
    this.#memory.u32[(state + DESTINATION_STATE_ACTIVE) >>> 2] = active;
    this.#memory.u32[(state + DESTINATION_STATE_INACTIVE) >>> 2] = inactive;
  }

  /**
   * The server for a new connection, which it then has.
   * @param address of the client, in network order as a number
   * @throws Error when there is none
   */
  connect(service: number, address: number, port: number): number {
    const { u8, u16, u32 } = this.#memory;
    const at = this.#packet + PACKET_SOURCE;
    for (let byte = 0; byte < 4; byte++) u8[at + byte] = address >>> (24 - 8 * byte);
    u16[(this.#packet + PACKET_SOURCE_PORT) >>> 1] = ((port & 255) << 8) | (port >>> 8);
    const server = this.#schedule(service, this.#packet);
    if (server === SCHEDULE_NONE) throw new Error(`service ${service} has no server`);
    u32[(this.#memory.destinationState(server) + DESTINATION_STATE_ACTIVE) >>> 2]++;
    return server;
  }

  /**
   * Picks servers for clients with these addresses, again and again.
   * @param addresses a power of two of them
   * @returns milliseconds
   * @throws Error when a pick finds none
   */
  pick(service: number, addresses: Uint32Array, picks: number): number {
    const { u16, u32 } = this.#memory;
    const sourceAt = (this.#packet + PACKET_SOURCE) >>> 2;
    const portAt = (this.#packet + PACKET_SOURCE_PORT) >>> 1;
    const schedule = this.#schedule;
    const packet = this.#packet;
    const mask = addresses.length - 1;
    let misses = 0;
    const before = performance.now();
    for (let pick = 0; pick < picks; pick++) {
      u32[sourceAt] = addresses[pick & mask];
      u16[portAt] = pick;
      if (schedule(service, packet) === SCHEDULE_NONE) misses++;
    }
    const spent = performance.now() - before;
    if (misses > 0) throw new Error(`${misses} of ${picks} picks of service ${service} found none`);
    return spent;
  }
}

function serviceKey(port: number): ServiceKey {
  return { family: FAMILY, protocol: 'tcp', address: VIRTUAL_ADDRESS, port };
}
