import type {
  DestinationEntry,
  DestinationKey,
  DestinationOptions,
  LocalAddress,
  ServiceEntry,
  ServiceKey,
  ServiceOptions,
  Statistics,
  Timeouts,
} from '../ipvs/types.ts';
import { addLocalAddress, deleteLocalAddress, type FullNatControl } from './full-nat-control.ts';

/** What deleting a service takes away. */
interface SavedService {
  readonly entry: ServiceEntry;
  /** Newest first. */
  readonly servers: readonly DestinationEntry[];
  readonly locals: readonly LocalAddress[];
}

/**
 * Passes changes on to the director and remembers how to take them back. A server that was
 * deleted and comes back takes its connections back (from the trash); counters that were zeroed
 * stay zero.
 */
export class UndoControl implements FullNatControl {
  readonly #director: FullNatControl;
  readonly #undos: (() => void)[] = [];

  constructor(director: FullNatControl) {
    this.#director = director;
  }

  /** Takes all changes back, the last one first. */
  undo(): void {
    for (const undo of this.#undos.splice(0).reverse()) undo();
  }

  get tableSize(): number {
    return this.#director.tableSize;
  }

  addService(key: ServiceKey, options: ServiceOptions): void {
    this.#director.addService(key, options);
    this.#undos.push(() => this.#director.deleteService(key));
  }

  editService(key: ServiceKey, options: ServiceOptions): void {
    const before = this.#director.service(key);
    this.#director.editService(key, options);
    if (before !== undefined) this.#undos.push(() => this.#director.editService(key, before));
  }

  deleteService(key: ServiceKey): void {
    const before = this.#director.service(key);
    const saved = before === undefined ? [] : [this.#save(before)];
    this.#director.deleteService(key);
    this.#undos.push(() => this.#restore(saved));
  }

  flush(): void {
    const saved = this.#director.services().map((entry) => this.#save(entry));
    this.#director.flush();
    this.#undos.push(() => this.#restore(saved));
  }

  zero(key?: ServiceKey): void {
    this.#director.zero(key);
  }

  addDestination(service: ServiceKey, key: DestinationKey, options: DestinationOptions): void {
    this.#director.addDestination(service, key, options);
    this.#undos.push(() => this.#director.deleteDestination(service, key));
  }

  editDestination(service: ServiceKey, key: DestinationKey, options: DestinationOptions): void {
    const before = this.#server(service, key);
    this.#director.editDestination(service, key, options);
    if (before === undefined) return;
    this.#undos.push(() => this.#director.editDestination(service, key, before));
  }

  deleteDestination(service: ServiceKey, key: DestinationKey): void {
    const before = this.#server(service, key);
    this.#director.deleteDestination(service, key);
    if (before === undefined) return;
    this.#undos.push(() => this.#director.addDestination(service, key, before));
  }

  addLocalAddress(service: ServiceKey, local: LocalAddress): void {
    addLocalAddress(this.#director, service, local);
    this.#undos.push(() => deleteLocalAddress(this.#director, service, local));
  }

  deleteLocalAddress(service: ServiceKey, local: LocalAddress): void {
    deleteLocalAddress(this.#director, service, local);
    this.#undos.push(() => addLocalAddress(this.#director, service, local));
  }

  localAddresses(service: ServiceKey): readonly LocalAddress[] {
    return this.#director.localAddresses?.(service) ?? [];
  }

  setTimeouts(timeouts: Timeouts): void {
    const before = this.#director.timeouts();
    this.#director.setTimeouts(timeouts);
    this.#undos.push(() => this.#director.setTimeouts(before));
  }

  timeouts(): Timeouts {
    return this.#director.timeouts();
  }

  setSysctl(name: string, value: string): void {
    const before = this.#director.sysctl(name);
    this.#director.setSysctl(name, value);
    this.#undos.push(() => this.#director.setSysctl(name, before));
  }

  sysctl(name: string): string {
    return this.#director.sysctl(name);
  }

  sysctlNames(): readonly string[] {
    return this.#director.sysctlNames();
  }

  services(): readonly ServiceEntry[] {
    return this.#director.services();
  }

  service(key: ServiceKey): ServiceEntry | undefined {
    return this.#director.service(key);
  }

  destinations(service: ServiceKey): readonly DestinationEntry[] {
    return this.#director.destinations(service);
  }

  connections(): ReturnType<FullNatControl['connections']> {
    return this.#director.connections();
  }

  totals(): Statistics {
    return this.#director.totals();
  }

  batch<T>(changes: () => T): T {
    return this.#director.batch(changes);
  }

  #server(service: ServiceKey, key: DestinationKey): DestinationEntry | undefined {
    if (this.#director.service(service) === undefined) return undefined;
    return this.#director
      .destinations(service)
      .find((entry) => entry.key.address === key.address && entry.key.port === key.port);
  }

  #save(entry: ServiceEntry): SavedService {
    return {
      entry,
      servers: this.#director.destinations(entry.key),
      locals: this.#director.localAddresses?.(entry.key) ?? [],
    };
  }

  #restore(saved: readonly SavedService[]): void {
    for (const { entry, servers, locals } of saved) {
      this.#director.addService(entry.key, entry);
      for (const local of locals) addLocalAddress(this.#director, entry.key, local);
      // The oldest first, so that the list has its order again.
      for (const server of [...servers].reverse()) {
        this.#director.addDestination(entry.key, server.key, server);
      }
    }
  }
}
