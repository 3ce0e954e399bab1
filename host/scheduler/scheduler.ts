// The interface between a scheduler and the rest. A scheduler has two sides: `pick` runs on a
// worker's thread for every new connection, over shared memory; the change hooks run on the host's
// thread when a service's destination list changes, just before the change is published.

import type { DataPlaneMemory } from '../memory/data-plane-memory.ts';

/** What `pick` may look at. Offsets are bytes into linear memory. */
export interface SchedulerTables {
  readonly memory: DataPlaneMemory;
  /** Start of the bank this worker has adopted. */
  readonly bank: number;
  /** Start of the picking worker's block (clock, random state); 0 when there is none. */
  readonly worker: number;
}

/** A destination as the change hooks see it, in kernel list order: newest first. */
export interface ListedDestination {
  readonly id: number;
  readonly family: 4 | 6;
  /** Network order, 4 or 16 bytes. */
  readonly address: Uint8Array;
  /** Host order. */
  readonly port: number;
  readonly weight: number;
  /** The last weight that was not 0 (also the first one, whatever it was). */
  readonly lastWeight: number;
}

/** `bind` comes before a scheduler's first pick for a service, `unbind` after its last. */
export type ListChangeKind = 'bind' | 'add' | 'delete' | 'update' | 'unbind';

/** A change of a service's list: what is true after it. */
export interface ListChange {
  readonly kind: ListChangeKind;
  readonly serviceId: number;
  /** Address family of the service; when left out, each destination's own counts. */
  readonly family?: 4 | 6;
  /** SERVICE_* bits. */
  readonly flags: number;
  /** The list after the change. */
  readonly destinations: readonly ListedDestination[];
  /** The destination added, deleted or edited; undefined for bind and unbind. */
  readonly changed: ListedDestination | undefined;
  /** Where `changed` stood in the list before a delete. */
  readonly position: number;
}

/** What a change means for the published tables. */
export interface ListOutcome {
  /** The scheduler's table (destination ids, 0 = none), or undefined to keep the one there is. */
  readonly table?: Uint32Array;
}

/** One of IPVS's schedulers. */
export interface Scheduler {
  readonly name: string;
  /** SCHEDULER_* */
  readonly code: number;
  /**
   * Chooses a destination for a new connection. Never throws and never allocates.
   * @param service id of the service
   * @param packet byte offset of the packet record (PACKET_*). With PACKET_ICMP_ERROR set, its
   *   addresses and ports are those of the packet the error quotes, which went the other way
   * @returns destination id, or SCHEDULE_NONE
   */
  pick(tables: SchedulerTables, service: number, packet: number): number;
  /**
   * Called on the host's thread when the list changed. Moves cursors in the service state.
   * @throws IpvsError when the scheduler cannot serve the list; only `bind` does
   */
  change(memory: DataPlaneMemory, change: ListChange): ListOutcome;
}
