// Publishing: rows go into the idle bank, then the generation is raised, and every worker adopts it
// between two bursts. The bank that was published before becomes idle when all have done so.
//
// Each bank keeps a list of what changed since it was last written, so a single edit writes a single
// record, twice: once into each bank, on consecutive publications.

import {
  BANK_GENERATION,
  CONTROL_GENERATION,
  CONTROL_ROUTE_GENERATION,
  SERVICE_ADDRESS,
  SERVICE_FAMILY,
  SERVICE_MARK,
  SERVICE_PORT,
  SERVICE_PROTOCOL,
  WORKER_ONLINE,
  WORKER_SEEN_GENERATION,
} from '../../assembly/shared/layout.ts';
import {
  LOCAL_POOL_MAX,
  MARK_PORTS_MAX,
  MARK_RULES_MAX,
  PORTS_MAX,
} from '../../assembly/shared/limits.ts';
import { addressBytes } from '../config/address.ts';
import type { DataPlaneMemory } from '../memory/data-plane-memory.ts';
import { powerOfTwoAtLeast } from '../memory/memory-map.ts';
import { Arena } from './arena.ts';
import { DirtyIds } from './dirty-ids.ts';
import {
  clearDestination,
  clearService,
  encodeCounts,
  encodeDestination,
  encodeLocalPool,
  encodeMarks,
  encodePorts,
  encodeService,
  encodeSysctls,
  encodeTimeouts,
  type ServiceCounts,
  type ServicePlaces,
  type TimeoutTables,
} from './encode.ts';
import { swapPort } from './hash.ts';
import { LocalAddresses, sameBytes } from './local-addresses.ts';
import { NextHops } from './next-hops.ts';
import { layOutPool, movedServices, NO_RUN } from './pool-runs.ts';
import { encodeRoutes, ROUTES_MAX } from './routes.ts';
import { type DestinationRow, type ServiceRow, TableFullError } from './rows.ts';
import { insertService, removeService } from './service-index.ts';
import { DEFAULT_LOCAL_POOL, type LocalPool, type MarkRule, type World } from './world.ts';

/** Milliseconds that workers may take to adopt a generation before publishing gives up. */
export const ADOPTION_TIMEOUT_MS = 2000;

/** Port number of FTP control connections. */
const FTP_PORT = 21;

/** Workers did not adopt the published generation in time. */
export class AdoptionTimeoutError extends Error {
  readonly code = 'ADOPTION_TIMEOUT';

  constructor(worker: number) {
    super(`worker ${worker} has not adopted the published tables in ${ADOPTION_TIMEOUT_MS} ms`);
    this.name = 'AdoptionTimeoutError';
  }
}

/** How the tables reach the workers. */
export interface PublisherOptions {
  /**
   * Makes sleeping workers look at the generation. When the workers run on this very thread, it
   * lets them adopt before it returns.
   */
  readonly wakeWorkers?: () => void;
}

/** Places of a service's arrays, in units of their arenas. */
interface Placement {
  list: number;
  listCapacity: number;
  table: number;
  tableSlots: number;
}

/** What of a bank is out of date. */
interface DirtyBank {
  readonly services: DirtyIds;
  readonly destinations: DirtyIds;
  settings: boolean;
  world: boolean;
  marks: boolean;
  pool: boolean;
}

/** The rows to publish, and the two banks they are published in. */
export class PublishedTables {
  readonly memory: DataPlaneMemory;
  readonly locals = new LocalAddresses();
  readonly nextHops: NextHops;
  readonly #wakeWorkers: () => void;
  readonly #services = new Map<number, ServiceRow>();
  readonly #destinations = new Map<number, DestinationRow>();
  readonly #placements = new Map<number, Placement>();
  readonly #lists: Arena;
  readonly #schedulerTables: Arena;
  readonly #dirty: readonly [DirtyBank, DirtyBank];
  #timeouts: TimeoutTables = { tcp: [], sctp: [], udp: 0 };
  #sysctls: ReadonlyMap<number, number> = new Map();
  #world: World = { ports: [], addresses: [], routes: [] };
  #marks: readonly MarkRule[] = [];
  #pool: LocalPool = DEFAULT_LOCAL_POOL;
  #runs = layOutPool(DEFAULT_LOCAL_POOL);
  #changed = false;
  #routesChanged = false;

  constructor(memory: DataPlaneMemory, options: PublisherOptions = {}) {
    this.memory = memory;
    this.nextHops = new NextHops(memory);
    this.#wakeWorkers = options.wakeWorkers ?? (() => undefined);
    this.#lists = new Arena(memory.map.listEntries);
    this.#schedulerTables = new Arena(memory.map.sizes.schedulerTableBytes >>> 2);
    this.#dirty = [cleanBank(memory), cleanBank(memory)];
    this.#touch((bank) => {
      bank.pool = true;
    });
  }

  /** Whether publish() would publish anything. */
  get isChanged(): boolean {
    return this.#changed;
  }

  /** The world as last set. */
  get world(): World {
    return this.#world;
  }

  /** The mark rules as last set. */
  get marks(): readonly MarkRule[] {
    return this.#marks;
  }

  /** The full-nat pool as last set. */
  get pool(): LocalPool {
    return this.#pool;
  }

  /**
   * Adds or replaces a service.
   * @throws TableFullError when its address, list or scheduler table has no place
   */
  setService(row: ServiceRow): void {
    const before = this.#services.get(row.id);
    const placement = this.#place(row);
    if (before === undefined && row.mark === 0) this.locals.addService(row.address);
    this.#placements.set(row.id, placement);
    this.#services.set(row.id, row);
    this.#touch((bank) => bank.services.add(row.id));
  }

  /** Removes a service. */
  removeService(id: number): void {
    const row = this.#services.get(id);
    if (row === undefined) return;
    if (row.mark === 0) this.locals.removeService(row.address);
    this.#unplace(id);
    this.#services.delete(id);
    this.#touch((bank) => bank.services.add(id));
  }

  /** Adds or replaces a destination, or moves it to the trash (serviceId 0). */
  setDestination(row: DestinationRow): void {
    this.#destinations.set(row.id, row);
    this.#touch((bank) => bank.destinations.add(row.id));
  }

  /** Removes a destination that nothing refers to any more. */
  removeDestination(id: number): void {
    if (!this.#destinations.delete(id)) return;
    this.#touch((bank) => bank.destinations.add(id));
  }

  /** Replaces the protocols' timeouts. */
  setTimeouts(timeouts: TimeoutTables): void {
    this.#timeouts = timeouts;
    this.#touchSettings();
  }

  /** Replaces the sysctl words, given by their SYSCTL_* offsets. */
  setSysctls(words: ReadonlyMap<number, number>): void {
    this.#sysctls = words;
    this.#touchSettings();
  }

  /**
   * Replaces ports, addresses and routes.
   * @throws TableFullError
   */
  setWorld(world: World): void {
    if (world.ports.some((port) => port.index >= PORTS_MAX)) {
      throw new TableFullError('ports', PORTS_MAX);
    }
    if (world.routes.length > ROUTES_MAX) throw new TableFullError('routes', ROUTES_MAX);
    this.locals.setInterfaces(world.addresses);
    this.#world = world;
    this.#routesChanged = true;
    this.#touch((bank) => {
      bank.world = true;
    });
  }

  /**
   * Replaces the firewall mark rules.
   * @throws TableFullError
   */
  setMarks(rules: readonly MarkRule[]): void {
    if (rules.length > MARK_RULES_MAX) throw new TableFullError('mark rules', MARK_RULES_MAX);
    if (rules.some((rule) => rule.ports.length > MARK_PORTS_MAX)) {
      throw new TableFullError('port ranges of a mark rule', MARK_PORTS_MAX);
    }
    this.#marks = rules;
    this.#touch((bank) => {
      bank.marks = true;
    });
  }

  /**
   * Replaces the full-nat source pool.
   * @throws TableFullError
   */
  setLocalPool(pool: LocalPool): void {
    const runs = layOutPool(pool);
    if (runs.records.length > LOCAL_POOL_MAX) {
      throw new TableFullError('full-nat source addresses', LOCAL_POOL_MAX);
    }
    try {
      this.locals.setPool([...runs.records, ...(pool.retired ?? [])]);
    } catch (error) {
      this.locals.setPool([...this.#runs.records, ...(this.#pool.retired ?? [])]);
      throw error;
    }
    const moved = movedServices(this.#runs, runs).filter((id) => this.#services.has(id));
    this.#pool = pool;
    this.#runs = runs;
    this.#touch((bank) => {
      bank.pool = true;
      for (const id of moved) bank.services.add(id);
    });
  }

  /**
   * Writes the idle bank and makes it the published one. Nothing happens when nothing changed.
   * @throws AdoptionTimeoutError when a worker still uses the idle bank; nothing is published then
   */
  publish(): void {
    if (!this.#changed) return;
    this.waitForAdoption();
    const { memory } = this;
    const generation = (memory.generation() + 1) >>> 0;
    const which = (generation & 1) as 0 | 1;
    this.#writeBank(which);
    memory.u32[(memory.bank(which) + BANK_GENERATION) >>> 2] = generation;
    const routesChanged = this.#routesChanged;
    this.#changed = false;
    this.#routesChanged = false;
    // Raised on both sides of the switch: whichever of the two words a worker reads first, next
    // hops that it found in the old bank are looked up again in the new one.
    if (routesChanged) Atomics.add(memory.u32, CONTROL_ROUTE_GENERATION >>> 2, 1);
    Atomics.store(memory.u32, CONTROL_GENERATION >>> 2, generation);
    if (routesChanged) Atomics.add(memory.u32, CONTROL_ROUTE_GENERATION >>> 2, 1);
    Atomics.notify(memory.i32, CONTROL_GENERATION >>> 2);
    this.#wakeWorkers();
  }

  /** Whether every online worker uses the published bank, so that the other one is idle. */
  isAdopted(): boolean {
    return this.#laggard() === undefined;
  }

  /**
   * Waits until every online worker uses the published bank.
   * @throws AdoptionTimeoutError
   */
  waitForAdoption(): void {
    const { memory } = this;
    const deadline = performance.now() + ADOPTION_TIMEOUT_MS;
    for (let turn = 0; ; turn++) {
      const worker = this.#laggard();
      if (worker === undefined) return;
      if (performance.now() > deadline) throw new AdoptionTimeoutError(worker);
      this.#wakeWorkers();
      // A worker need not notify, so the wait is short; most adopt within a burst.
      const seen = (memory.worker(worker) + WORKER_SEEN_GENERATION) >>> 2;
      if (turn > 0) Atomics.wait(memory.i32, seen, memory.i32[seen], 1);
    }
  }

  #laggard(): number | undefined {
    const { memory } = this;
    const generation = memory.generation();
    for (let worker = 0; worker < memory.map.sizes.workers; worker++) {
      const block = memory.worker(worker);
      if (Atomics.load(memory.u32, (block + WORKER_ONLINE) >>> 2) === 0) continue;
      const seen = Atomics.load(memory.u32, (block + WORKER_SEEN_GENERATION) >>> 2);
      if (seen !== generation) return worker;
    }
    return undefined;
  }

  #touch(note: (bank: DirtyBank) => void): void {
    for (const bank of this.#dirty) note(bank);
    this.#changed = true;
  }

  #touchSettings(): void {
    this.#touch((bank) => {
      bank.settings = true;
    });
  }

  #writeBank(which: 0 | 1): void {
    const { memory } = this;
    const bank = memory.bank(which);
    const dirty = this.#dirty[which];
    for (const id of dirty.destinations.take()) {
      const row = this.#destinations.get(id);
      if (row === undefined) clearDestination(memory, bank, id);
      else encodeDestination(memory, bank, row);
    }
    for (const id of dirty.services.take()) this.#writeService(bank, id);
    encodeCounts(memory, bank, this.#countServices());
    this.locals.write(memory, which);
    if (dirty.settings) {
      encodeTimeouts(memory, bank, this.#timeouts);
      encodeSysctls(memory, bank, this.#sysctls);
    }
    if (dirty.world) this.#writeWorld(bank);
    if (dirty.marks) encodeMarks(memory, bank, this.#marks);
    if (dirty.pool) encodeLocalPool(memory, bank, this.#runs, this.#pool.portRanges);
    Object.assign(dirty, { settings: false, world: false, marks: false, pool: false });
  }

  #writeWorld(bank: number): void {
    const { memory } = this;
    const { ports, routes } = this.#world;
    const mtus = new Map(ports.map((port) => [port.index, port.mtu]));
    encodePorts(memory, bank, ports);
    encodeRoutes(memory, bank, routes, (route) => {
      if (route.via === undefined) return 0;
      const via = addressBytes(route.via);
      return this.nextHops.findOrInsert(route.port, via, mtus.get(route.port));
    });
  }

  #writeService(bank: number, id: number): void {
    const { memory } = this;
    const row = this.#services.get(id);
    const at = memory.service(bank, id);
    const wasThere = memory.u8[at + SERVICE_FAMILY] !== 0;
    const isSame = wasThere && row !== undefined && isSameKey(memory, at, row);
    if (wasThere && !isSame) removeService(memory, bank, id);
    if (row === undefined) {
      clearService(memory, bank, id);
      return;
    }
    encodeService(memory, bank, row, this.#offsets(id));
    if (!isSame) insertService(memory, bank, id);
  }

  #offsets(id: number): ServicePlaces {
    const { lists, schedulerTables } = this.memory.map.bank;
    const placement = this.#placements.get(id)!;
    return {
      list: lists + placement.list * 4,
      schedulerTable: schedulerTables + placement.table * 4,
      pool: this.#runs.services.get(id) ?? NO_RUN,
    };
  }

  #countServices(): ServiceCounts {
    const counts = { services: this.#services.size, ftp: 0, anyPort: 0, mark: 0 };
    for (const row of this.#services.values()) {
      if (row.mark !== 0) counts.mark++;
      else if (row.port === 0) counts.anyPort++;
      else if (row.port === FTP_PORT) counts.ftp++;
    }
    return counts;
  }

  /** Finds places for a service's arrays, its old ones where they still fit. */
  #place(row: ServiceRow): Placement {
    const before = this.#placements.get(row.id);
    const tableSlots = row.schedulerTable?.length ?? 0;
    const count = row.destinations.length;
    if (
      before !== undefined &&
      before.listCapacity >= count &&
      (tableSlots === 0 || before.tableSlots === tableSlots)
    ) {
      return before;
    }
    const placed = this.#allocate(count, tableSlots);
    if (placed !== undefined) {
      this.#unplace(row.id);
      return placed;
    }
    // Freed places of other sizes have broken the arenas up: lay all of it out anew.
    this.#compact(row.id);
    const again = this.#allocate(count, tableSlots);
    if (again !== undefined) return again;
    if (before !== undefined) this.#placeAgain(row.id);
    throw new TableFullError(
      'bytes of scheduler tables',
      this.memory.map.sizes.schedulerTableBytes,
    );
  }

  #allocate(count: number, tableSlots: number): Placement | undefined {
    const listCapacity = count === 0 ? 0 : powerOfTwoAtLeast(count);
    const list = this.#lists.allocate(listCapacity);
    if (list === undefined) return undefined;
    const table = this.#schedulerTables.allocate(tableSlots);
    if (table === undefined) {
      this.#lists.release(list, listCapacity);
      return undefined;
    }
    return { list, listCapacity, table, tableSlots };
  }

  #unplace(id: number): void {
    const placement = this.#placements.get(id);
    if (placement === undefined) return;
    this.#lists.release(placement.list, placement.listCapacity);
    this.#schedulerTables.release(placement.table, placement.tableSlots);
    this.#placements.delete(id);
  }

  #compact(except: number): void {
    this.#lists.reset();
    this.#schedulerTables.reset();
    this.#placements.delete(except);
    for (const id of this.#placements.keys()) this.#placeAgain(id);
  }

  /** Places what was placed before the arenas were reset: it fits, for nothing has grown. */
  #placeAgain(id: number): void {
    const row = this.#services.get(id)!;
    const placed = this.#allocate(row.destinations.length, row.schedulerTable?.length ?? 0);
    this.#placements.set(id, placed!);
    this.#touch((bank) => bank.services.add(id));
  }
}

function cleanBank(memory: DataPlaneMemory): DirtyBank {
  return {
    services: new DirtyIds(memory.map.serviceRecords),
    destinations: new DirtyIds(memory.map.destinationRecords),
    settings: false,
    world: false,
    marks: false,
    pool: false,
  };
}

/** Whether a service's record has the row's key, so that the index need not change. */
function isSameKey(memory: DataPlaneMemory, at: number, row: ServiceRow): boolean {
  const { u8, u16, u32 } = memory;
  return (
    u8[at + SERVICE_FAMILY] === row.family &&
    u8[at + SERVICE_PROTOCOL] === row.protocol &&
    u32[(at + SERVICE_MARK) >>> 2] === row.mark &&
    u16[(at + SERVICE_PORT) >>> 1] === swapPort(row.port) &&
    sameBytes(u8, at + SERVICE_ADDRESS, row.address)
  );
}
