// The data plane's linear memory as the host sees it: typed views over all of it, and where things
// are. The main thread creates it; worker threads attach to the same WebAssembly.Memory.
//
// Offsets can be 2^31 and more, so indices are made with >>> and never with | 0.

import {
  BANK_GENERATION,
  CAPTURE_REGION_SIZE,
  CONNECTION_COLD_SIZE,
  CONNECTION_HOT_SIZE,
  CONNECTION_WIDE_SIZE,
  CONTROL,
  CONTROL_BANK_DESTINATIONS,
  CONTROL_BANK_LISTS,
  CONTROL_BANK_LOCAL_POOL,
  CONTROL_BANK_LOCALS,
  CONTROL_BANK_MARKS,
  CONTROL_BANK_ROUTES,
  CONTROL_BANK_SCHEDULER_TABLES,
  CONTROL_BANK_SERVICE_INDEX,
  CONTROL_BANK_SERVICES,
  CONTROL_CHAINS,
  CONTROL_CONNECTIONS,
  CONTROL_COUNTERS_STRIDE,
  CONTROL_DESTINATIONS,
  CONTROL_FRAMES_PER_WORKER,
  CONTROL_FREE_FRESH,
  CONTROL_GENERATION,
  CONTROL_HASH_SEED,
  CONTROL_LINKS,
  CONTROL_MAGIC,
  CONTROL_PAGES,
  CONTROL_REGION_BANK0,
  CONTROL_REGION_BANK1,
  CONTROL_REGION_CAPTURE,
  CONTROL_REGION_CHAINS,
  CONTROL_REGION_COLD,
  CONTROL_REGION_COUNTERS,
  CONTROL_REGION_DESTINATION_STATE,
  CONTROL_REGION_FRAMES,
  CONTROL_REGION_HOT,
  CONTROL_REGION_LOCALITY,
  CONTROL_REGION_NEXT_HOPS,
  CONTROL_REGION_RINGS,
  CONTROL_REGION_SERVICE_STATE,
  CONTROL_REGION_SIDE,
  CONTROL_REGION_WIDE,
  CONTROL_REGION_WORKERS,
  CONTROL_RING_ENTRIES,
  CONTROL_RING_HEADER_BYTES,
  CONTROL_SCHEDULER_TABLE_BYTES,
  CONTROL_SERVICE_INDEX_SLOTS,
  CONTROL_SERVICES,
  CONTROL_SIZE,
  CONTROL_VERSION,
  CONTROL_WORKERS,
  COUNTERS_SERVICES,
  COUNTERS_TOTAL,
  DESTINATION_SIZE,
  DESTINATION_STATE_SIZE,
  LAYOUT_VERSION,
  LINK_COMPLETION,
  LINK_FILL,
  LINK_RECEIVE,
  LINK_SIZE,
  LINK_TRANSMIT,
  MAGIC,
  NEXT_HOP_SIZE,
  SERVICE_SIZE,
  SERVICE_STATE_SIZE,
  SIDE_SIZE,
  STATS_SIZE,
  WORKER_CONNECTION_COUNT,
  WORKER_EXCEPTION_LINK,
  WORKER_FRAME_COUNT,
  WORKER_FRAMES,
  WORKER_FREE_FRAME_COUNT,
  WORKER_FREE_FRAMES,
  WORKER_IDENTIFICATION,
  WORKER_LINKS,
  WORKER_PORT_LINKS,
  WORKER_RANDOM,
  WORKER_SIZE,
} from '../../assembly/shared/layout.ts';
import { FRAME_SIZE, PORTS_MAX } from '../../assembly/shared/limits.ts';
import {
  DEFAULT_SIZES,
  type MemoryMap,
  type MemorySizes,
  planMemory,
  RING_KINDS,
  type RingKind,
} from './memory-map.ts';

/** What PORT_LINKS and EXCEPTION_LINK hold when there is no link. */
export const NO_LINK = 255;

/** Bytes of memory that are not the data plane's, or of another version of it. */
export class MemoryAttachError extends Error {
  readonly code = 'MEMORY_ATTACH';

  constructor(message: string) {
    super(message);
    this.name = 'MemoryAttachError';
  }
}

/** Where a ring's area lies: whole pages, for the kernel's mmap or for a driver's own rings. */
export interface RingArea {
  readonly offset: number;
  readonly bytes: number;
  readonly entries: number;
}

/** What makes two directors differ; a replay fixes it to be repeatable. */
export interface InitialiseOptions {
  /** u32: seed of the connection table's hash. */
  readonly hashSeed: number;
  /** u32: seed of the workers' random numbers and IPv4 identifications. */
  readonly randomSeed: number;
}

const RING_FIELD: Readonly<Record<RingKind, number>> = {
  receive: LINK_RECEIVE,
  transmit: LINK_TRANSMIT,
  fill: LINK_FILL,
  completion: LINK_COMPLETION,
};

/** The shared linear memory, its views and its map. */
export class DataPlaneMemory {
  readonly memory: WebAssembly.Memory;
  readonly map: MemoryMap;
  readonly u8: Uint8Array;
  readonly u16: Uint16Array;
  readonly u32: Uint32Array;
  readonly i32: Int32Array;
  readonly u64: BigUint64Array;
  // Out of the map once, as workers ask for them with every connection.
  readonly #bank0: number;
  readonly #bank1: number;
  readonly #services: number;
  readonly #destinations: number;
  readonly #serviceStates: number;
  readonly #destinationStates: number;

  private constructor(memory: WebAssembly.Memory, map: MemoryMap) {
    const { buffer } = memory;
    this.memory = memory;
    this.map = map;
    this.u8 = new Uint8Array(buffer);
    this.u16 = new Uint16Array(buffer);
    this.u32 = new Uint32Array(buffer);
    this.i32 = new Int32Array(buffer);
    this.u64 = new BigUint64Array(buffer);
    this.#bank0 = map.regions.bank0;
    this.#bank1 = map.regions.bank1;
    this.#services = map.bank.services;
    this.#destinations = map.bank.destinations;
    this.#serviceStates = map.regions.serviceState;
    this.#destinationStates = map.regions.destinationState;
  }

  /**
   * Reserves linear memory for the sizes and writes nothing: a file or huge pages can be mapped
   * under it before initialise() is called.
   * @throws MemorySizeError when the sizes cannot be had
   */
  static reserve(sizes: Partial<MemorySizes>): DataPlaneMemory {
    const map = planMemory({ ...DEFAULT_SIZES, ...sizes });
    const memory = new WebAssembly.Memory({
      initial: map.pages,
      maximum: map.pages,
      shared: true,
    });
    return new DataPlaneMemory(memory, map);
  }

  /** Reserves and initialises memory, ready for workers to attach. */
  static create(
    sizes: Partial<MemorySizes>,
    options: InitialiseOptions = randomSeeds(),
  ): DataPlaneMemory {
    const created = DataPlaneMemory.reserve(sizes);
    created.initialise(options);
    return created;
  }

  /**
   * Attaches to memory another thread (or an earlier director) has initialised.
   * @throws MemoryAttachError when the memory is not laid out as this code expects
   */
  static attach(memory: WebAssembly.Memory): DataPlaneMemory {
    const words = new Uint32Array(memory.buffer, CONTROL, CONTROL_SIZE >>> 2);
    const word = (offset: number) => words[(offset - CONTROL) >>> 2];
    if (word(CONTROL_MAGIC) !== MAGIC) {
      throw new MemoryAttachError('the memory does not hold a data plane: its magic is missing');
    }
    if (word(CONTROL_VERSION) !== LAYOUT_VERSION) {
      throw new MemoryAttachError(
        `the memory has layout version ${word(CONTROL_VERSION)}, this build has ${LAYOUT_VERSION}`,
      );
    }
    const map = planMemory({
      connections: word(CONTROL_CONNECTIONS) - 1,
      services: word(CONTROL_SERVICES) - 1,
      destinations: word(CONTROL_DESTINATIONS) - 1,
      workers: word(CONTROL_WORKERS),
      framesPerWorker: word(CONTROL_FRAMES_PER_WORKER),
      links: word(CONTROL_LINKS),
      ringEntries: word(CONTROL_RING_ENTRIES),
      ringHeaderBytes: word(CONTROL_RING_HEADER_BYTES),
      schedulerTableBytes: word(CONTROL_SCHEDULER_TABLE_BYTES),
    });
    for (const [offset, expected] of controlWords(map)) {
      if (word(offset) === expected) continue;
      throw new MemoryAttachError(
        `control word ${offset - CONTROL} is ${word(offset)}, but its sizes make it ${expected}`,
      );
    }
    if (memory.buffer.byteLength < map.end) {
      throw new MemoryAttachError('the memory is shorter than its own sizes say');
    }
    return new DataPlaneMemory(memory, map);
  }

  /** Writes the control block and the workers' blocks. All else must still be zero. */
  initialise(options: InitialiseOptions): void {
    for (const [offset, value] of controlWords(this.map)) this.u32[offset >>> 2] = value;
    this.u32[CONTROL_HASH_SEED >>> 2] = options.hashSeed;
    this.u32[CONTROL_FREE_FRESH >>> 2] = 1;
    this.u32[CONTROL_VERSION >>> 2] = LAYOUT_VERSION;
    this.u32[(this.bank(0) + BANK_GENERATION) >>> 2] = 0;
    for (let worker = 0; worker < this.map.sizes.workers; worker++) {
      this.#initialiseWorker(worker, options.randomSeed);
    }
    // The magic goes last: memory that was being initialised when its process died has none.
    Atomics.store(this.u32, CONTROL_MAGIC >>> 2, MAGIC);
  }

  #initialiseWorker(worker: number, randomSeed: number): void {
    const block = this.worker(worker);
    const { framesPerWorker } = this.map.sizes;
    const frames = this.frames(worker);
    const freeFrames = this.map.regions.freeFrames + worker * framesPerWorker * 4;
    // The stack's top is its last entry, so frames are taken in ascending order.
    for (let index = 0; index < framesPerWorker; index++) {
      const frame = frames + (framesPerWorker - 1 - index) * FRAME_SIZE;
      this.u32[(freeFrames >>> 2) + index] = frame;
    }
    this.u32[(block + WORKER_FRAMES) >>> 2] = frames;
    this.u32[(block + WORKER_FRAME_COUNT) >>> 2] = framesPerWorker;
    this.u32[(block + WORKER_FREE_FRAMES) >>> 2] = freeFrames;
    this.u32[(block + WORKER_FREE_FRAME_COUNT) >>> 2] = framesPerWorker;
    this.u8.fill(NO_LINK, block + WORKER_PORT_LINKS, block + WORKER_PORT_LINKS + PORTS_MAX);
    this.u32[(block + WORKER_EXCEPTION_LINK) >>> 2] = NO_LINK;
    const random = scramble(randomSeed + worker);
    this.u32[(block + WORKER_IDENTIFICATION) >>> 2] = random & 0xffff;
    // An xorshift generator stays at 0 for ever when it starts there.
    this.u32[(block + WORKER_RANDOM) >>> 2] = random === 0 ? 1 : random;
  }

  /** Start of bank 0 or 1. */
  bank(which: number): number {
    return (which & 1) === 0 ? this.#bank0 : this.#bank1;
  }

  /** Generation that is published now; its lowest bit names the bank. */
  generation(): number {
    return Atomics.load(this.u32, CONTROL_GENERATION >>> 2);
  }

  /** Start of the published bank. */
  activeBank(): number {
    return this.bank(this.generation());
  }

  /** Start of a worker's block. */
  worker(worker: number): number {
    return this.map.regions.workers + worker * WORKER_SIZE;
  }

  /** Connections and templates in the table now. */
  connectionCount(): number {
    let count = 0;
    for (let worker = 0; worker < this.map.sizes.workers; worker++) {
      count += Atomics.load(this.i32, (this.worker(worker) + WORKER_CONNECTION_COUNT) >>> 2);
    }
    // Workers count on while they are added up.
    return Math.max(count, 0);
  }

  /** Start of a service's record in a bank. */
  service(bank: number, id: number): number {
    return bank + this.#services + id * SERVICE_SIZE;
  }

  /** Start of a destination's record in a bank. */
  destination(bank: number, id: number): number {
    return bank + this.#destinations + id * DESTINATION_SIZE;
  }

  /** Start of a service's running state. */
  serviceState(id: number): number {
    return this.#serviceStates + id * SERVICE_STATE_SIZE;
  }

  /** Start of a destination's running state. */
  destinationState(id: number): number {
    return this.#destinationStates + id * DESTINATION_STATE_SIZE;
  }

  /** Start of a connection's hot half. */
  hot(index: number): number {
    return this.map.regions.hot + index * CONNECTION_HOT_SIZE;
  }

  /** Start of a connection's cold half. */
  cold(index: number): number {
    return this.map.regions.cold + index * CONNECTION_COLD_SIZE;
  }

  /** Start of a connection's whole addresses, used when one of them is IPv6. */
  wide(index: number): number {
    return this.map.regions.wide + index * CONNECTION_WIDE_SIZE;
  }

  /** Start of a side record. */
  side(index: number): number {
    return this.map.regions.side + index * SIDE_SIZE;
  }

  /** Start of a next hop's record. */
  nextHop(index: number): number {
    return this.map.regions.nextHops + index * NEXT_HOP_SIZE;
  }

  /** Start of a worker's counters (u64 each, in the order of assembly/shared/counters.ts). */
  counters(worker: number): number {
    return this.map.regions.counters + worker * this.map.countersStride;
  }

  /** Start of a worker's statistics of all services together. */
  totalStatistics(worker: number): number {
    return this.counters(worker) + COUNTERS_TOTAL;
  }

  /** Start of a worker's statistics of one service. */
  serviceStatistics(worker: number, id: number): number {
    return this.counters(worker) + COUNTERS_SERVICES + id * STATS_SIZE;
  }

  /** Start of a worker's statistics of one destination. */
  destinationStatistics(worker: number, id: number): number {
    const first = COUNTERS_SERVICES + this.map.serviceRecords * STATS_SIZE;
    return this.counters(worker) + first + id * STATS_SIZE;
  }

  /** Start of a worker's UMEM frames. */
  frames(worker: number): number {
    return this.map.regions.frames + worker * this.map.sizes.framesPerWorker * FRAME_SIZE;
  }

  /** Start of a worker's capture ring. */
  capture(worker: number): number {
    return this.map.regions.capture + worker * CAPTURE_REGION_SIZE;
  }

  /** Start of a link's record in its worker's block. */
  link(worker: number, link: number): number {
    return this.worker(worker) + WORKER_LINKS + link * LINK_SIZE;
  }

  /** Start of the record (RING_*) of one of a link's rings. */
  ring(worker: number, link: number, kind: RingKind): number {
    return this.link(worker, link) + RING_FIELD[kind];
  }

  /** The pages reserved for one of a link's rings. */
  ringArea(worker: number, link: number, kind: RingKind): RingArea {
    const { sizes, regions, linkRingBytes, ringBytes } = this.map;
    let offset = regions.rings + (worker * sizes.links + link) * linkRingBytes;
    for (const other of RING_KINDS) {
      if (other === kind) break;
      offset += ringBytes[other];
    }
    return { offset, bytes: ringBytes[kind], entries: sizes.ringEntries };
  }
}

/** The control words that the map determines, magic and version excluded. */
function controlWords(map: MemoryMap): [number, number][] {
  const { sizes, regions, bank } = map;
  return [
    [CONTROL_PAGES, map.pages],
    [CONTROL_WORKERS, sizes.workers],
    [CONTROL_CONNECTIONS, map.connectionRecords],
    [CONTROL_SERVICES, map.serviceRecords],
    [CONTROL_DESTINATIONS, map.destinationRecords],
    [CONTROL_CHAINS, map.chains],
    [CONTROL_SCHEDULER_TABLE_BYTES, sizes.schedulerTableBytes],
    [CONTROL_REGION_WORKERS, regions.workers],
    [CONTROL_REGION_BANK0, regions.bank0],
    [CONTROL_REGION_BANK1, regions.bank1],
    [CONTROL_REGION_SERVICE_STATE, regions.serviceState],
    [CONTROL_REGION_DESTINATION_STATE, regions.destinationState],
    [CONTROL_REGION_COUNTERS, regions.counters],
    [CONTROL_REGION_NEXT_HOPS, regions.nextHops],
    [CONTROL_REGION_LOCALITY, regions.locality],
    [CONTROL_REGION_SIDE, regions.side],
    [CONTROL_REGION_CHAINS, regions.chains],
    [CONTROL_REGION_HOT, regions.hot],
    [CONTROL_REGION_COLD, regions.cold],
    [CONTROL_REGION_WIDE, regions.wide],
    [CONTROL_REGION_RINGS, regions.rings],
    [CONTROL_REGION_FRAMES, regions.frames],
    [CONTROL_REGION_CAPTURE, regions.capture],
    [CONTROL_BANK_SERVICE_INDEX, bank.serviceIndex],
    [CONTROL_BANK_SERVICES, bank.services],
    [CONTROL_BANK_DESTINATIONS, bank.destinations],
    [CONTROL_BANK_LISTS, bank.lists],
    [CONTROL_BANK_SCHEDULER_TABLES, bank.schedulerTables],
    [CONTROL_BANK_LOCALS, bank.locals],
    [CONTROL_BANK_ROUTES, bank.routes],
    [CONTROL_BANK_MARKS, bank.marks],
    [CONTROL_BANK_LOCAL_POOL, bank.localPool],
    [CONTROL_SERVICE_INDEX_SLOTS, map.serviceIndexSlots],
    [CONTROL_COUNTERS_STRIDE, map.countersStride],
    [CONTROL_FRAMES_PER_WORKER, sizes.framesPerWorker],
    [CONTROL_LINKS, sizes.links],
    [CONTROL_RING_ENTRIES, sizes.ringEntries],
    [CONTROL_RING_HEADER_BYTES, sizes.ringHeaderBytes],
  ];
}

function randomSeeds(): InitialiseOptions {
  const [hashSeed, randomSeed] = crypto.getRandomValues(new Uint32Array(2));
  return { hashSeed, randomSeed };
}

/** Spreads the bits of consecutive seeds (the finisher of MurmurHash3). */
function scramble(seed: number): number {
  let value = seed >>> 0;
  value = Math.imul(value ^ (value >>> 16), 0x85ebca6b);
  value = Math.imul(value ^ (value >>> 13), 0xc2b2ae35);
  return (value ^ (value >>> 16)) >>> 0;
}
