// A control core over small memory, with a scheduler that only records what it is told.

import { DESTINATION_STATE_REFERENCES } from '../../../../assembly/shared/layout.ts';
import { Control, type ControlOptions } from '../../../../host/ipvs/control.ts';
import type {
  DestinationKey,
  DestinationOptions,
  IpvsErrorCode,
  ServiceKey,
  ServiceOptions,
} from '../../../../host/ipvs/types.ts';
import { IpvsError } from '../../../../host/ipvs/types.ts';
import { DataPlaneMemory } from '../../../../host/memory/data-plane-memory.ts';
import type { ListChange, Scheduler } from '../../../../host/scheduler/scheduler.ts';
import { PublishedTables } from '../../../../host/tables/publish.ts';

export const WEB: ServiceKey = { family: 4, protocol: 'tcp', address: '192.0.2.80', port: 80 };
export const WEB6: ServiceKey = { family: 6, protocol: 'tcp', address: '2001:db8::80', port: 80 };
export const MARK: ServiceKey = { family: 4, mark: 1 };

export const OPTIONS: ServiceOptions = {
  scheduler: 'rr',
  flags: 0,
  persistenceSeconds: 0,
  persistenceMask: '255.255.255.255',
  engine: '',
};
export const OPTIONS6: ServiceOptions = { ...OPTIONS, persistenceMask: '128' };

export const SERVER: DestinationOptions = {
  forwarding: 0,
  weight: 1,
  upperThreshold: 0,
  lowerThreshold: 0,
  tunnelType: 0,
  tunnelPort: 0,
  tunnelFlags: 0,
};

/** A destination of the 10.0.0.0/24 network. */
export function server(number: number, port = 8080): DestinationKey {
  return { family: 4, address: `10.0.0.${number}`, port };
}

/** Control core, its memory, and what its schedulers were told. */
export class Fixture {
  readonly memory: DataPlaneMemory;
  readonly tables: PublishedTables;
  readonly control: Control;
  readonly changes: ListChange[] = [];

  constructor(
    options: Partial<ControlOptions> = {},
    sizes: Parameters<typeof DataPlaneMemory.create>[0] = {},
  ) {
    this.memory = DataPlaneMemory.create({
      connections: 64,
      services: 32,
      destinations: 64,
      workers: 2,
      framesPerWorker: 64,
      schedulerTableBytes: 4096,
      ...sizes,
    });
    this.tables = new PublishedTables(this.memory);
    const names = ['rr', 'wrr', 'lc', 'wlc', 'lblc', 'lblcr', 'dh', 'sh'];
    const schedulers = new Map(
      names.map((name, index) => [name, this.#scheduler(name, index + 1)]),
    );
    this.control = new Control({
      tables: this.tables,
      schedulerByName: (name) => schedulers.get(name),
      ...options,
    });
  }

  #scheduler(name: string, code: number): Scheduler {
    return {
      name,
      code,
      pick: () => 0,
      change: (_memory, change) => {
        this.changes.push(change);
        return code === 8
          ? { table: Uint32Array.from(change.destinations.map(({ id }) => id)) }
          : {};
      },
    };
  }

  /** What the schedulers were told, in short: "add 2 of 2,1". */
  told(): string[] {
    return this.changes.map(({ kind, changed, destinations }) => {
      const list = destinations.map(({ address }) => address.at(-1)).join(',');
      return `${kind} ${changed?.address.at(-1) ?? '-'} of ${list}`;
    });
  }

  /** Last bytes of a service's destinations' addresses, in listing order. */
  list(key: ServiceKey): number[] {
    return this.control
      .destinations(key)
      .map(({ key: { address } }) => Number(address.split('.')[3]));
  }

  /** Id of a service's only or named destination. */
  id(key: ServiceKey, number: number): number {
    const found = this.control.destinations(key).find((entry) => {
      return entry.key.address === server(number).address;
    });
    return found!.id;
  }

  /** Adds to a word of a destination's running state, as workers do. */
  addToState(id: number, field: number, count: number): void {
    this.memory.u32[(this.memory.destinationState(id) + field) >>> 2] += count;
  }

  /** As many connections refer to the destination from now on. */
  refer(id: number, count: number): void {
    this.addToState(id, DESTINATION_STATE_REFERENCES, count);
  }
}

/** The error code a call fails with, "" when it does not fail. */
export function codeOf(call: () => void): IpvsErrorCode | '' {
  try {
    call();
  } catch (error) {
    if (error instanceof IpvsError) return error.code;
    throw error;
  }
  return '';
}
