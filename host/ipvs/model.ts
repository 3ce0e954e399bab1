// Services and destinations as the control core keeps them: struct ip_vs_service and ip_vs_dest,
// less what lies in linear memory (connection counts, flags, counters).

import { DESTINATION_AVAILABLE, DESTINATION_OVERLOAD } from '../../assembly/shared/codes.ts';
import {
  DESTINATION_STATE_ACTIVE,
  DESTINATION_STATE_FLAGS,
  DESTINATION_STATE_INACTIVE,
  DESTINATION_STATE_NEXT_HOP,
  DESTINATION_STATE_PERSISTENT,
  DESTINATION_STATE_REFERENCES,
  DESTINATION_STATE_SIZE,
} from '../../assembly/shared/layout.ts';
import type { DataPlaneMemory } from '../memory/data-plane-memory.ts';
import type { ListedDestination, Scheduler } from '../scheduler/scheduler.ts';
import type { StatisticsRecord } from './estimator.ts';
import type {
  DestinationKey,
  DestinationOptions,
  Family,
  ServiceKey,
  ServiceOptions,
} from './types.ts';

/** A virtual service. */
export interface Service {
  readonly id: number;
  /** Key with the address in canonical spelling. */
  readonly key: ServiceKey;
  readonly family: Family;
  /** IANA number; a mark counts as TCP, as in the kernel. */
  readonly protocol: number;
  /** 0 for none. */
  readonly mark: number;
  /** Host order, 0 for a mark. */
  readonly port: number;
  /** 4 or 16 bytes, zero for a mark. */
  readonly address: Uint8Array;
  readonly statistics: StatisticsRecord;
  options: ServiceOptions;
  /** IPv4: the mask's bytes as a little-endian u32. IPv6: the prefix length. */
  mask: number;
  /** Undefined for the scheduler "none". */
  scheduler: Scheduler | undefined;
  schedulerTable: Uint32Array | undefined;
  /** Newest first. */
  readonly destinations: Destination[];
  /** The same by destinationName(). */
  readonly destinationsByName: Map<string, Destination>;
}

/** A destination, listed by a service or in the trash. */
export interface Destination {
  readonly id: number;
  readonly key: DestinationKey;
  readonly address: Uint8Array;
  /** The service's protocol, mark, port and address when the destination was made. */
  readonly protocol: number;
  readonly mark: number;
  readonly virtualPort: number;
  readonly virtualAddress: Uint8Array;
  readonly statistics: StatisticsRecord;
  options: DestinationOptions;
  lastWeight: number;
  /** The service that lists it, or listed it last. */
  service: Service;
  /** In its service's list, not in the trash. */
  isListed: boolean;
  /** Keeps its connections, but is none of those a scheduler chooses from. */
  isDraining: boolean;
  /** Tick at which the trash first saw it without references. */
  idleSince: number | undefined;
  /** As the scheduler sees it; made anew when it changes. */
  listed: ListedDestination;
}

/** Map key of a service. */
export function serviceName(key: ServiceKey): string {
  return 'mark' in key
    ? `${key.family} mark ${key.mark}`
    : `${key.protocol} ${key.address} ${key.port}`;
}

/** Map key of a destination inside its service. */
export function destinationName(address: string, port: number): string {
  return `${address} ${port}`;
}

/** The running state of a destination in linear memory. */
export class DestinationStates {
  readonly #memory: DataPlaneMemory;

  constructor(memory: DataPlaneMemory) {
    this.#memory = memory;
  }

  /** Forgets what the id's last owner left. */
  clear(id: number): void {
    const at = this.#memory.destinationState(id);
    this.#memory.u8.fill(0, at, at + DESTINATION_STATE_SIZE);
  }

  /** A service lists the destination. */
  setAvailable(id: number): void {
    Atomics.or(this.#memory.u32, this.#word(id, DESTINATION_STATE_FLAGS), DESTINATION_AVAILABLE);
  }

  /** No service lists the destination. */
  clearAvailable(id: number): void {
    Atomics.and(this.#memory.u32, this.#word(id, DESTINATION_STATE_FLAGS), ~DESTINATION_AVAILABLE);
  }

  /** Takes back that the upper threshold was reached. */
  clearOverload(id: number): void {
    Atomics.and(this.#memory.u32, this.#word(id, DESTINATION_STATE_FLAGS), ~DESTINATION_OVERLOAD);
  }

  /** Makes workers look the way to the destination up again. */
  forgetNextHop(id: number): void {
    Atomics.store(this.#memory.u32, this.#word(id, DESTINATION_STATE_NEXT_HOP), 0);
  }

  /** DESTINATION_* bits. */
  flags(id: number): number {
    return this.#read(id, DESTINATION_STATE_FLAGS);
  }

  active(id: number): number {
    return this.#read(id, DESTINATION_STATE_ACTIVE);
  }

  inactive(id: number): number {
    return this.#read(id, DESTINATION_STATE_INACTIVE);
  }

  persistent(id: number): number {
    return this.#read(id, DESTINATION_STATE_PERSISTENT);
  }

  /** Connections, templates and caches that name the destination. */
  references(id: number): number {
    return this.#read(id, DESTINATION_STATE_REFERENCES);
  }

  #read(id: number, field: number): number {
    return Atomics.load(this.#memory.u32, this.#word(id, field));
  }

  #word(id: number, field: number): number {
    return (this.#memory.destinationState(id) + field) >>> 2;
  }
}
