/**
 * What holds in a director's memory between two turns, whatever it has been through. Each function
 * walks the records as they lie and throws at the first contradiction.
 */

import * as layout from '../../assembly/shared/layout.ts';
import {
  FRAGMENT_QUEUES_MAX,
  FRAME_SIZE,
  WHEEL_LEVELS,
  WHEEL_SLOTS,
} from '../../assembly/shared/limits.ts';
import type { DataPlaneMemory } from '../../host/memory/data-plane-memory.ts';
import { RING_KINDS, type RingKind } from '../../host/memory/memory-map.ts';

const CHAIN_NODE = 0x7fffffff;

/** What the memory holds, for tests that want more than that it is sound. */
export interface TableCensus {
  /** Indices of the entries that lookups can find. */
  readonly live: readonly number[];
  /** Entries that wait for other workers before they are free. */
  readonly retired: number;
  readonly free: number;
}

/** All of the checks below. */
export function checkMemory(memory: DataPlaneMemory): TableCensus {
  const { workers } = memory.map.sizes;
  for (let worker = 0; worker < workers; worker++) checkFrames(memory, worker);
  const census = checkEntries(memory);
  checkChains(memory, census.live);
  checkWheels(memory, census.live);
  checkDestinationCounts(memory, census.live);
  return census;
}

function fail(message: string): never {
  throw new Error(`the director's memory: ${message}`);
}

function check(holds: boolean, message: string): void {
  if (!holds) fail(message);
}

/** Where the frames of a worker are: each in exactly one place. @returns how many are in each */
export function checkFrames(memory: DataPlaneMemory, worker: number): Record<string, number> {
  const { u32 } = memory;
  const block = memory.worker(worker);
  const start = memory.frames(worker);
  const frameCount = memory.map.sizes.framesPerWorker;
  const places = new Array<string | undefined>(frameCount).fill(undefined);
  const counts: Record<string, number> = {};
  const put = (address: number, place: string) => {
    const frame = Math.floor((address - start) / FRAME_SIZE);
    check(frame >= 0 && frame < frameCount, `${place} holds an address outside the frames`);
    check(places[frame] === undefined, `frame ${frame} is in ${place} and in ${places[frame]}`);
    places[frame] = place;
    counts[place] = (counts[place] ?? 0) + 1;
  };
  const depth = u32[(block + layout.WORKER_FREE_FRAME_COUNT) >>> 2];
  const stack = u32[(block + layout.WORKER_FREE_FRAMES) >>> 2] >>> 2;
  check(depth <= frameCount, `${depth} free frames of ${frameCount}`);
  for (let index = 0; index < depth; index++) put(u32[stack + index], 'free');
  const links = u32[(block + layout.WORKER_LINK_COUNT) >>> 2];
  for (let link = 0; link < links; link++) {
    for (const kind of RING_KINDS) {
      for (const address of ringAddresses(memory, memory.ring(worker, link, kind), kind)) {
        put(start + address, `${kind} ${link}`);
      }
    }
  }
  for (const network of heldParts(memory, worker)) put(network, 'a fragment queue');
  for (const frame of waitingPackets(memory, worker)) put(frame, 'the neighbour queue');
  const lost = places.indexOf(undefined);
  check(lost < 0, `frame ${lost} is nowhere`);
  return counts;
}

function ringAddresses(memory: DataPlaneMemory, ring: number, kind: RingKind): number[] {
  const { u32 } = memory;
  const word = (field: number) => u32[(ring + field) >>> 2];
  const producer = u32[word(layout.RING_PRODUCER) >>> 2];
  const consumer = u32[word(layout.RING_CONSUMER) >>> 2];
  const used = (producer - consumer) >>> 0;
  check(used <= word(layout.RING_MASK) + 1, `a ${kind} ring holds ${used} entries`);
  check(word(layout.RING_RESERVED) === 0, `a ${kind} ring has reserved entries after the turn`);
  const size = kind === 'receive' || kind === 'transmit' ? layout.DESCRIPTOR_SIZE : 8;
  return Array.from({ length: used }, (_, index) => {
    const slot = ((consumer + index) & word(layout.RING_MASK)) >>> 0;
    return u32[(word(layout.RING_DESCRIPTORS) + slot * size) >>> 2];
  });
}

function heldParts(memory: DataPlaneMemory, worker: number): number[] {
  const { u32 } = memory;
  const held: number[] = [];
  for (let index = 0; index < FRAGMENT_QUEUES_MAX; index++) {
    const queue = memory.worker(worker) + layout.WORKER_FRAGMENTS + index * layout.QUEUE_SIZE;
    const state = u32[(queue + layout.QUEUE_STATE) >>> 2];
    for (let part = 0; part < state - 1; part++) {
      const at = queue + layout.QUEUE_PARTS + part * layout.PART_SIZE;
      held.push(u32[(at + layout.PART_NETWORK) >>> 2]);
    }
  }
  return held;
}

/** Frames of packets that wait until a neighbour is known. */
function waitingPackets(memory: DataPlaneMemory, worker: number): number[] {
  const { u32 } = memory;
  const block = memory.worker(worker);
  const count = u32[(block + layout.WORKER_WAITING_COUNT) >>> 2];
  check(count <= layout.WAITING_MAX, `${count} packets wait for a neighbour`);
  return Array.from({ length: count }, (_, nth) => {
    const packet = block + layout.WORKER_WAITING_PACKETS + nth * layout.PACKET_SIZE;
    return u32[(packet + layout.PACKET_START) >>> 2];
  });
}

/** Every entry ever used is live or free, once; one that is neither is lost. */
export function checkEntries(memory: DataPlaneMemory): TableCensus {
  const { u32 } = memory;
  const fresh = u32[layout.CONTROL_FREE_FRESH >>> 2];
  check(fresh <= memory.map.connectionRecords, `entry ${fresh - 1} is outside the table`);
  const places = new Array<string | undefined>(fresh).fill(undefined);
  const walk = (first: number, place: string) => {
    let length = 0;
    for (let index = first; index !== 0; ) {
      check(index < fresh, `${place} holds entry ${index}, which was never used`);
      check(places[index] === undefined, `entry ${index} is in ${place} and in ${places[index]}`);
      places[index] = place;
      length++;
      index = u32[(memory.cold(index) + layout.COLD_TIMER_NEXT) >>> 2];
    }
    return length;
  };
  let free = walk(u32[layout.CONTROL_FREE_HEAD >>> 2], 'the free list');
  let retired = 0;
  for (let worker = 0; worker < memory.map.sizes.workers; worker++) {
    const head = (field: number) => u32[(memory.worker(worker) + field) >>> 2];
    const spares = walk(head(layout.WORKER_SPARE_HEAD), `the spares of ${worker}`);
    check(spares === head(layout.WORKER_SPARE_COUNT), `worker ${worker} miscounts its spares`);
    free += spares;
    retired += walk(head(layout.WORKER_RETIRED_HEAD), `the retired of ${worker}`);
    retired += walk(head(layout.WORKER_WAITING_HEAD), `the waiting of ${worker}`);
  }
  const live: number[] = [];
  for (let index = 1; index < fresh; index++) {
    const state = u32[(memory.hot(index) + layout.CONNECTION_STATE) >>> 2];
    const isLive = (state & layout.STATE_HASHED) !== 0 && (state & layout.STATE_DEAD) === 0;
    if (places[index] !== undefined) {
      check(!isLive, `entry ${index} is live and in ${places[index]}`);
    } else {
      check(isLive, `entry ${index} is lost (state ${state.toString(16)})`);
      live.push(index);
    }
  }
  const count = memory.connectionCount();
  check(count === live.length, `${live.length} connections are counted as ${count}`);
  return { live, retired, free };
}

/** Every live entry is in its chains, no other is, and no chain is locked. */
export function checkChains(memory: DataPlaneMemory, live: readonly number[]): void {
  const { u32 } = memory;
  const expected = new Set<number>();
  for (const index of live) {
    const state = u32[(memory.hot(index) + layout.CONNECTION_STATE) >>> 2];
    expected.add(index * 2);
    if ((state & layout.STATE_HASHED_LOCAL) !== 0) expected.add(index * 2 + 1);
  }
  for (let chain = 0; chain < memory.map.chains; chain++) {
    const head = u32[(memory.map.regions.chains >>> 2) + chain];
    check((head & ~CHAIN_NODE) === 0, `chain ${chain} is locked`);
    for (let node = head; node !== 0; ) {
      check(expected.delete(node), `node ${node} is in a chain twice, or is not live`);
      const field = (node & 1) === 0 ? layout.CONNECTION_NEXT : layout.CONNECTION_NEXT_LOCAL;
      node = u32[(memory.hot(node >>> 1) + field) >>> 2];
    }
  }
  check(expected.size === 0, `nodes ${[...expected].slice(0, 5)} are in no chain`);
}

/** Every live entry waits in exactly one slot of one wheel, the one it says. */
export function checkWheels(memory: DataPlaneMemory, live: readonly number[]): void {
  const { u32 } = memory;
  const waiting = new Set(live);
  for (let worker = 0; worker < memory.map.sizes.workers; worker++) {
    const block = memory.worker(worker);
    for (let slot = 0; slot < WHEEL_LEVELS * WHEEL_SLOTS; slot++) {
      let previous = 0;
      let index = u32[(block + layout.WORKER_WHEEL + slot * 4) >>> 2];
      while (index !== 0) {
        const cold = memory.cold(index);
        check(waiting.delete(index), `entry ${index} is in a wheel twice, or is not live`);
        const where = u32[(cold + layout.COLD_TIMER_SLOT) >>> 2];
        check(where === ((slot + 1) | (worker << 16)) >>> 0, `entry ${index} is not where it says`);
        const back = u32[(cold + layout.COLD_TIMER_PREVIOUS) >>> 2];
        check(back === previous, `entry ${index} follows ${previous}, but says ${back}`);
        previous = index;
        index = u32[(cold + layout.COLD_TIMER_NEXT) >>> 2];
      }
    }
  }
  check(waiting.size === 0, `entries ${[...waiting].slice(0, 5)} have no timer`);
}

/** Active, inactive and persistent counts and references are those of the table. */
export function checkDestinationCounts(memory: DataPlaneMemory, live: readonly number[]): void {
  const { u32 } = memory;
  const counts = new Map<number, [active: number, inactive: number, persistent: number]>();
  const controlled = new Map<number, number>();
  for (const index of live) {
    const hot = memory.hot(index);
    const id = u32[(hot + layout.CONNECTION_DESTINATION_ID) >>> 2];
    const state = u32[(hot + layout.CONNECTION_STATE) >>> 2];
    const controller = u32[(memory.cold(index) + layout.COLD_CONTROLLER) >>> 2];
    if (controller !== 0) controlled.set(controller, (controlled.get(controller) ?? 0) + 1);
    if (id === 0) continue;
    const of = counts.get(id) ?? [0, 0, 0];
    if ((state & layout.STATE_TEMPLATE) !== 0) of[2]++;
    else if ((state & layout.STATE_INACTIVE) !== 0) of[1]++;
    else of[0]++;
    counts.set(id, of);
  }
  for (let id = 1; id < memory.map.destinationRecords; id++) {
    const at = memory.destinationState(id);
    const read = (field: number) => u32[(at + field) >>> 2];
    const [active, inactive, persistent] = counts.get(id) ?? [0, 0, 0];
    const said = [
      read(layout.DESTINATION_STATE_ACTIVE),
      read(layout.DESTINATION_STATE_INACTIVE),
      read(layout.DESTINATION_STATE_PERSISTENT),
      read(layout.DESTINATION_STATE_REFERENCES),
    ].join();
    const found = [active, inactive, persistent, active + inactive + persistent].join();
    check(said === found, `destination ${id} says ${said}, the table has ${found}`);
  }
  for (const index of live) {
    const said = u32[(memory.cold(index) + layout.COLD_CONTROLLED) >>> 2];
    const found = controlled.get(index) ?? 0;
    check(said === found, `entry ${index} says it controls ${said}, the table has ${found}`);
  }
}
