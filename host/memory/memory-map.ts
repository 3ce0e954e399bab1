// Where each region of linear memory starts and how long it is: a pure function of the configured
// sizes. The order is the one of assembly/shared/layout.ts, from the words every packet reads to
// the frames. Nothing here touches memory.

import {
  BANK_HEADER_SIZE,
  CAPTURE_REGION_SIZE,
  CHAIN_HEAD_SIZE,
  CONNECTION_COLD_SIZE,
  CONNECTION_HOT_SIZE,
  CONNECTION_WIDE_SIZE,
  CONTROL,
  CONTROL_SIZE,
  COUNTERS_SERVICES,
  DESCRIPTOR_SIZE,
  DESTINATION_SIZE,
  DESTINATION_STATE_SIZE,
  LOCAL_FILTER_BYTES,
  LOCAL_SIZE,
  LOCALITY_SIZE,
  MARK_SIZE,
  NEXT_HOP_SIZE,
  POOL_SIZE,
  ROUTE_FILTER_BYTES,
  ROUTE_SIZE,
  SERVICE_SIZE,
  SERVICE_STATE_SIZE,
  SIDE_SIZE,
  STATS_SIZE,
  WORKER_SIZE,
} from '../../assembly/shared/layout.ts';
import {
  FRAME_SIZE,
  LINKS_MAX,
  LOCAL_POOL_MAX,
  LOCAL_SLOTS,
  LOCALITY_ENTRIES_MAX,
  MARK_RULES_MAX,
  NEXT_HOPS_MAX,
  ROUTE_SLOTS,
  SIDE_RECORDS_MAX,
  WORKERS_MAX,
} from '../../assembly/shared/limits.ts';

/** Bytes of a page of the machine, to which rings and frames are aligned. */
export const PAGE_SIZE = 4096;
/** Bytes of a page of WebAssembly memory. */
export const WASM_PAGE_SIZE = 65536;
/** Pages that fit in 32 bits of address, one less than what 4 GiB would take. */
export const WASM_PAGES_MAX = 65535;
/** Bytes of a cache line, to which every region is aligned at least. */
const LINE_SIZE = 64;

/** What an operator can make larger or smaller; fixed at start. */
export interface MemorySizes {
  /** Connections and persistence templates, all workers together. */
  readonly connections: number;
  /** Virtual services that can exist at once. */
  readonly services: number;
  /** Destinations that can exist at once, those in the trash included. */
  readonly destinations: number;
  /** Worker threads. */
  readonly workers: number;
  /** UMEM frames of one worker. */
  readonly framesPerWorker: number;
  /** AF_XDP sockets of one worker. */
  readonly links: number;
  /** Entries of each of a link's four rings, a power of two. */
  readonly ringEntries: number;
  /** Bytes reserved in front of a ring's entries for the kernel's cursors. */
  readonly ringHeaderBytes: number;
  /** Bytes of the schedulers' tables (sh, dh, mh) in one bank. */
  readonly schedulerTableBytes: number;
}

/** Sizes used where the configuration says nothing. */
export const DEFAULT_SIZES: MemorySizes = {
  connections: 1_000_000,
  services: 16_384,
  destinations: 131_072,
  workers: 1,
  framesPerWorker: 4096,
  links: 2,
  ringEntries: 2048,
  ringHeaderBytes: PAGE_SIZE,
  schedulerTableBytes: 8 * 1024 * 1024,
};

/** Byte offsets of the regions, from the start of linear memory. */
export interface MemoryRegions {
  readonly workers: number;
  readonly bank0: number;
  readonly bank1: number;
  readonly serviceState: number;
  readonly destinationState: number;
  readonly counters: number;
  readonly nextHops: number;
  readonly locality: number;
  readonly side: number;
  readonly chains: number;
  readonly hot: number;
  readonly cold: number;
  readonly wide: number;
  readonly rings: number;
  /** Stacks of free frames, u32 each, one stack after the other. */
  readonly freeFrames: number;
  readonly frames: number;
  /** Capture rings, touched only while somebody captures. */
  readonly capture: number;
}

/** Byte offsets inside a bank, and the bank's bytes. */
export interface BankOffsets {
  readonly serviceIndex: number;
  readonly services: number;
  readonly destinations: number;
  readonly lists: number;
  readonly schedulerTables: number;
  readonly locals: number;
  readonly routes: number;
  readonly marks: number;
  readonly localPool: number;
  readonly size: number;
}

/** Everything that follows from the sizes. */
export interface MemoryMap {
  readonly sizes: MemorySizes;
  readonly regions: MemoryRegions;
  readonly bank: BankOffsets;
  /** Records of each kind, the unused record 0 included. */
  readonly connectionRecords: number;
  readonly serviceRecords: number;
  readonly destinationRecords: number;
  /** Hash chains, a power of two. */
  readonly chains: number;
  /** Slots of the service index, a power of two. */
  readonly serviceIndexSlots: number;
  /** u32 entries of the arena of destination lists in a bank. */
  readonly listEntries: number;
  /** Bytes of one worker's counters. */
  readonly countersStride: number;
  /** Bytes of one ring of each kind, whole pages. */
  readonly ringBytes: Readonly<Record<RingKind, number>>;
  /** Bytes of one link's four rings. */
  readonly linkRingBytes: number;
  /** First byte after the last region, and the same in WebAssembly pages. */
  readonly end: number;
  readonly pages: number;
}

/** The four rings of an AF_XDP socket, in the order they lie in memory. */
export type RingKind = 'receive' | 'transmit' | 'fill' | 'completion';
export const RING_KINDS: readonly RingKind[] = ['receive', 'transmit', 'fill', 'completion'];

/** Sizes that cannot be had; the message names the size to change. */
export class MemorySizeError extends Error {
  readonly code = 'MEMORY_SIZE';
  readonly size: keyof MemorySizes;

  constructor(size: keyof MemorySizes, message: string) {
    super(message);
    this.name = 'MemorySizeError';
    this.size = size;
  }
}

/** The least power of two that is not below `value`. */
export function powerOfTwoAtLeast(value: number): number {
  let power = 1;
  while (power < value) power *= 2;
  return power;
}

/** Rounds up to a multiple of `step`. */
export function roundUp(value: number, step: number): number {
  return Math.ceil(value / step) * step;
}

/** Bytes of one ring as the kernel lays it out: header, then u64 addresses or xdp_desc. */
export function ringBytes(kind: RingKind, sizes: MemorySizes): number {
  const entry = kind === 'receive' || kind === 'transmit' ? DESCRIPTOR_SIZE : 8;
  return roundUp(sizes.ringHeaderBytes + sizes.ringEntries * entry, PAGE_SIZE);
}

/**
 * Computes the whole map.
 * @throws MemorySizeError when a size is out of its range or the sum passes 4 GiB
 */
export function planMemory(sizes: MemorySizes): MemoryMap {
  checkSizes(sizes);
  const derived = deriveCounts(sizes);
  const bank = planBank(sizes, derived);
  const { regions, end } = planRegions(sizes, derived, bank.size);
  const pages = Math.ceil(end / WASM_PAGE_SIZE);
  if (pages > WASM_PAGES_MAX) throw tooLarge(sizes, derived, bank.size, end);
  return { sizes, regions, bank, ...derived, end, pages };
}

/** The counts that the sizes determine. */
type DerivedCounts = Omit<MemoryMap, 'sizes' | 'regions' | 'bank' | 'end' | 'pages'>;

function deriveCounts(sizes: MemorySizes): DerivedCounts {
  const serviceRecords = sizes.services + 1;
  const destinationRecords = sizes.destinations + 1;
  const bytes = {
    receive: ringBytes('receive', sizes),
    transmit: ringBytes('transmit', sizes),
    fill: ringBytes('fill', sizes),
    completion: ringBytes('completion', sizes),
  };
  return {
    connectionRecords: sizes.connections + 1,
    serviceRecords,
    destinationRecords,
    chains: powerOfTwoAtLeast(2 * sizes.connections),
    serviceIndexSlots: powerOfTwoAtLeast(2 * serviceRecords),
    // A list's capacity is a power of two: at most twice what it holds, so this always suffices.
    listEntries: 2 * (destinationRecords + serviceRecords),
    countersStride: COUNTERS_SERVICES + (serviceRecords + destinationRecords) * STATS_SIZE,
    ringBytes: bytes,
    linkRingBytes: bytes.receive + bytes.transmit + bytes.fill + bytes.completion,
  };
}

function planBank(sizes: MemorySizes, derived: DerivedCounts): BankOffsets {
  const place = placer(0);
  place(BANK_HEADER_SIZE, LINE_SIZE);
  const serviceIndex = place(derived.serviceIndexSlots * 4, LINE_SIZE);
  const services = place(derived.serviceRecords * SERVICE_SIZE, LINE_SIZE);
  const destinations = place(derived.destinationRecords * DESTINATION_SIZE, LINE_SIZE);
  const lists = place(derived.listEntries * 4, LINE_SIZE);
  const schedulerTables = place(sizes.schedulerTableBytes, LINE_SIZE);
  const locals = place(LOCAL_SLOTS * LOCAL_SIZE + LOCAL_FILTER_BYTES, LINE_SIZE);
  const routes = place(ROUTE_SLOTS * ROUTE_SIZE + ROUTE_FILTER_BYTES, LINE_SIZE);
  const marks = place(MARK_RULES_MAX * MARK_SIZE, LINE_SIZE);
  const localPool = place(LOCAL_POOL_MAX * POOL_SIZE, LINE_SIZE);
  const size = place(0, PAGE_SIZE);
  return {
    serviceIndex,
    services,
    destinations,
    lists,
    schedulerTables,
    locals,
    routes,
    marks,
    localPool,
    size,
  };
}

function planRegions(
  sizes: MemorySizes,
  derived: DerivedCounts,
  bankSize: number,
): { regions: MemoryRegions; end: number } {
  const { connectionRecords } = derived;
  const place = placer(CONTROL + CONTROL_SIZE);
  const regions = {
    workers: place(sizes.workers * WORKER_SIZE, PAGE_SIZE),
    bank0: place(bankSize, PAGE_SIZE),
    bank1: place(bankSize, PAGE_SIZE),
    serviceState: place(derived.serviceRecords * SERVICE_STATE_SIZE, LINE_SIZE),
    destinationState: place(derived.destinationRecords * DESTINATION_STATE_SIZE, LINE_SIZE),
    counters: place(sizes.workers * derived.countersStride, LINE_SIZE),
    nextHops: place(NEXT_HOPS_MAX * NEXT_HOP_SIZE, LINE_SIZE),
    locality: place(LOCALITY_ENTRIES_MAX * LOCALITY_SIZE, LINE_SIZE),
    side: place(SIDE_RECORDS_MAX * SIDE_SIZE, LINE_SIZE),
    chains: place(derived.chains * CHAIN_HEAD_SIZE, PAGE_SIZE),
    hot: place(connectionRecords * CONNECTION_HOT_SIZE, PAGE_SIZE),
    cold: place(connectionRecords * CONNECTION_COLD_SIZE, PAGE_SIZE),
    wide: place(connectionRecords * CONNECTION_WIDE_SIZE, PAGE_SIZE),
    rings: place(sizes.workers * sizes.links * derived.linkRingBytes, PAGE_SIZE),
    freeFrames: place(sizes.workers * sizes.framesPerWorker * 4, PAGE_SIZE),
    frames: place(sizes.workers * sizes.framesPerWorker * FRAME_SIZE, PAGE_SIZE),
    capture: place(sizes.workers * CAPTURE_REGION_SIZE, PAGE_SIZE),
  };
  return { regions, end: place(0, PAGE_SIZE) };
}

/** Hands out places one after the other. */
function placer(start: number): (bytes: number, alignment: number) => number {
  let next = start;
  return (bytes, alignment) => {
    const place = roundUp(next, alignment);
    next = place + bytes;
    return place;
  };
}

/** Least and greatest value of each size. Destination lists and wheels use 31-bit indices. */
const SIZE_RANGES: Readonly<Record<keyof MemorySizes, readonly [number, number]>> = {
  connections: [1, 2 ** 30],
  services: [1, 2 ** 24],
  // The uppermost byte of an id is always 0: the data plane touches connections by storing it.
  destinations: [1, 2 ** 24 - 1],
  workers: [1, WORKERS_MAX],
  framesPerWorker: [64, 2 ** 22],
  links: [1, LINKS_MAX],
  ringEntries: [8, 2 ** 20],
  ringHeaderBytes: [320, 65536],
  schedulerTableBytes: [0, 2 ** 31],
};

function checkSizes(sizes: MemorySizes): void {
  for (const [name, [least, greatest]] of Object.entries(SIZE_RANGES)) {
    const size = name as keyof MemorySizes;
    const value = sizes[size];
    if (Number.isSafeInteger(value) && value >= least && value <= greatest) continue;
    throw new MemorySizeError(
      size,
      `${name} is ${value}, but must be a whole number from ${least} to ${greatest}`,
    );
  }
  if (powerOfTwoAtLeast(sizes.ringEntries) !== sizes.ringEntries) {
    throw new MemorySizeError('ringEntries', `ringEntries ${sizes.ringEntries}: no power of two`);
  }
}

/** Names the size that takes most of the memory, for it is the one to make smaller. */
function tooLarge(
  sizes: MemorySizes,
  derived: DerivedCounts,
  bankSize: number,
  end: number,
): MemorySizeError {
  const perConnection = CONNECTION_HOT_SIZE + CONNECTION_COLD_SIZE + CONNECTION_WIDE_SIZE;
  const records = sizes.workers * STATS_SIZE;
  const parts: [keyof MemorySizes, number][] = [
    ['connections', sizes.connections * perConnection + derived.chains * CHAIN_HEAD_SIZE],
    ['services', sizes.services * (2 * SERVICE_SIZE + SERVICE_STATE_SIZE + records)],
    [
      'destinations',
      sizes.destinations * (2 * DESTINATION_SIZE + DESTINATION_STATE_SIZE + records),
    ],
    ['framesPerWorker', sizes.workers * sizes.framesPerWorker * FRAME_SIZE],
    ['ringEntries', sizes.workers * sizes.links * derived.linkRingBytes],
    ['schedulerTableBytes', 2 * sizes.schedulerTableBytes],
  ];
  const [size, bytes] = parts.reduce((most, part) => (part[1] > most[1] ? part : most));
  return new MemorySizeError(
    size,
    `the data plane needs ${mebibytes(end)} MiB but can have ${mebibytes(4 * 2 ** 30)}: ` +
      `${size} ${sizes[size]} takes ${mebibytes(bytes)} MiB of it (banks: ${mebibytes(2 * bankSize)})`,
  );
}

function mebibytes(bytes: number): number {
  return Math.ceil(bytes / 2 ** 20);
}
