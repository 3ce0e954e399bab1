// Tells schedulers about changed lists. Inside a batch, schedulers that are nothing but a table are
// told once, at the end: a table of 4093 slots need not be filled for each of a thousand servers.

import { SCHEDULER_DH, SCHEDULER_MH, SCHEDULER_SH } from '../../assembly/shared/codes.ts';
import type { DataPlaneMemory } from '../memory/data-plane-memory.ts';
import type { ListChange, ListedDestination, Scheduler } from '../scheduler/scheduler.ts';
import type { Destination, Service } from './model.ts';

/** Schedulers whose `change` depends on the list alone, not on what was before. */
const TABLE_ONLY: ReadonlySet<number> = new Set([SCHEDULER_DH, SCHEDULER_SH, SCHEDULER_MH]);

/** What happened to one destination of a list. */
export interface DestinationChange {
  readonly kind: 'add' | 'delete' | 'update';
  readonly destination: Destination;
  /** Where it stood before a delete, else 0. */
  readonly position: number;
}

/** Hands changes to schedulers and keeps their tables in the services. */
export class Scheduling {
  readonly #memory: DataPlaneMemory;
  readonly #deferred = new Map<Service, DestinationChange>();

  constructor(memory: DataPlaneMemory) {
    this.#memory = memory;
  }

  /**
   * Binds a scheduler to a service that has none.
   * @throws IpvsError when the scheduler cannot serve the list
   */
  bind(service: Service, scheduler: Scheduler): void {
    service.schedulerTable = undefined;
    const outcome = scheduler.change(this.#memory, listChange(service, { kind: 'bind' }));
    service.scheduler = scheduler;
    service.schedulerTable = outcome.table;
  }

  /** Unbinds a service's scheduler, if it has one. */
  unbind(service: Service): void {
    this.#deferred.delete(service);
    service.scheduler?.change(this.#memory, listChange(service, { kind: 'unbind' }));
    service.scheduler = undefined;
    service.schedulerTable = undefined;
  }

  /** Tells a service's scheduler of a change, or notes it for later when `mayDefer`. */
  change(service: Service, change: DestinationChange, mayDefer: boolean): void {
    const { scheduler } = service;
    if (scheduler === undefined) return;
    if (mayDefer && TABLE_ONLY.has(scheduler.code)) {
      // dh looks away from edits, so an edit must not stand in for what was added or deleted.
      if (change.kind === 'update' && this.#deferred.has(service)) return;
      this.#deferred.set(service, change);
      return;
    }
    const { table } = scheduler.change(this.#memory, listChange(service, change));
    if (table !== undefined) service.schedulerTable = table;
  }

  /** Tells schedulers what was noted; returns the services whose tables may have changed. */
  runDeferred(): Service[] {
    const services = [...this.#deferred.keys()];
    for (const [service, change] of this.#deferred) this.change(service, change, false);
    this.#deferred.clear();
    return services;
  }
}

function listChange(
  service: Service,
  change: DestinationChange | { readonly kind: 'bind' | 'unbind' },
): ListChange {
  const isListChange = 'destination' in change;
  return {
    kind: change.kind,
    serviceId: service.id,
    family: service.family,
    flags: service.options.flags,
    destinations: scheduledDestinations(service).map((destination) => destination.listed),
    changed: isListChange ? change.destination.listed : undefined,
    position: isListChange ? change.position : 0,
  };
}

/** The destinations a service's scheduler chooses from. */
export function scheduledDestinations({ destinations }: Service): readonly Destination[] {
  const isDrained = destinations.some((destination) => destination.isDraining);
  return isDrained ? destinations.filter((destination) => !destination.isDraining) : destinations;
}

/** A destination as schedulers see it. */
export function listedDestination(
  destination: Pick<Destination, 'id' | 'key' | 'address' | 'options' | 'lastWeight'>,
): ListedDestination {
  const { id, key, address, options, lastWeight } = destination;
  const { family, port } = key;
  return { id, family, address, port, weight: options.weight, lastWeight };
}
