// What a worker that died leaves behind in shared memory, and how it is put in order before the worker
// starts again: it no longer counts as online, the lock it held is free, and its frames are found.

import { DROP_TRAPPED } from '../../assembly/shared/counters.ts';
import {
  CHAIN_HEAD_SIZE,
  LINK_COMPLETION,
  LINK_FILL,
  LINK_FILL_OUTSTANDING,
  LINK_RECEIVE,
  LINK_TRANSMIT,
  RING_CONSUMER,
  RING_DESCRIPTORS,
  RING_MASK,
  RING_PRODUCER,
  RING_RESERVED,
  WORKER_FRAME_COUNT,
  WORKER_FREE_FRAME_COUNT,
  WORKER_FREE_FRAMES,
  WORKER_HELD_LOCK,
  WORKER_LINK_COUNT,
  WORKER_ONLINE,
} from '../../assembly/shared/layout.ts';
import { FRAME_SHIFT, FRAME_SIZE } from '../../assembly/shared/limits.ts';
import type { DataPlaneMemory } from '../memory/data-plane-memory.ts';
import { releaseLockOfDeadWorker } from '../scheduler/spin-lock.ts';

const CHAIN_LOCKED = 0x80000000;
/** Bytes of an entry in the rings of frames and in those of packets. */
const FRAME_ENTRY = 8;
const PACKET_ENTRY = 16;

/** The worker holds no table and no lock any more. @returns whether it held a lock */
export function releaseDeadWorker(memory: DataPlaneMemory, worker: number): boolean {
  const block = memory.worker(worker);
  Atomics.store(memory.u32, (block + WORKER_ONLINE) >>> 2, 0);
  if (releaseLockOfDeadWorker(memory, block)) return true;
  const noteAt = (block + WORKER_HELD_LOCK) >>> 2;
  const at = memory.u32[noteAt];
  memory.u32[noteAt] = 0;
  if (at === 0 || isNotedByOthers(memory, worker, at)) return false;
  const index = at >>> 2;
  if (isChain(memory, at)) {
    return (Atomics.and(memory.u32, index, ~CHAIN_LOCKED) & CHAIN_LOCKED) !== 0;
  }
  return Atomics.compareExchange(memory.u32, index, 1, 0) === 1;
}

/**
 * A worker notes a lock before it has it. When another one notes the same, either of them may be
 * the holder: a living holder releases it soon, and what a dead one held is seen when the other
 * one is found stuck.
 */
function isNotedByOthers(memory: DataPlaneMemory, worker: number, at: number): boolean {
  for (let other = 0; other < memory.map.sizes.workers; other++) {
    if (other === worker) continue;
    if (memory.u32[(memory.worker(other) + WORKER_HELD_LOCK) >>> 2] === at) return true;
  }
  return false;
}

function isChain(memory: DataPlaneMemory, at: number): boolean {
  const start = memory.map.regions.chains;
  return at >= start && at < start + memory.map.chains * CHAIN_HEAD_SIZE;
}

/** What became of a dead worker's frames. */
export interface FrameAccount {
  /** Frames on the stack of free ones now. */
  readonly free: number;
  /** Frames that were neither there nor in a ring before. */
  readonly found: number;
}

/**
 * Rebuilds the worker's stack of free frames: those that lie in none of its rings. Only for sockets
 * in copy mode, where the kernel holds no frame outside the rings but while it sends; undefined
 * when it is sending just now.
 */
export function recoverFrames(memory: DataPlaneMemory, worker: number): FrameAccount | undefined {
  const { u32 } = memory;
  const block = memory.worker(worker);
  const links = u32[(block + WORKER_LINK_COUNT) >>> 2];
  const frameCount = u32[(block + WORKER_FRAME_COUNT) >>> 2];
  const used = new Uint8Array(frameCount);
  for (let link = 0; link < links; link++) {
    const at = memory.link(worker, link);
    if (isSending(memory, at)) return undefined;
    markRing(memory, at + LINK_FILL, FRAME_ENTRY, used);
    markRing(memory, at + LINK_COMPLETION, FRAME_ENTRY, used);
    const received = markRing(memory, at + LINK_RECEIVE, PACKET_ENTRY, used);
    markRing(memory, at + LINK_TRANSMIT, PACKET_ENTRY, used);
    u32[(at + LINK_TRANSMIT + RING_RESERVED) >>> 2] = 0;
    const filled = ringUse(memory, at + LINK_FILL);
    u32[(at + LINK_FILL_OUTSTANDING) >>> 2] = filled + received;
  }
  const before = u32[(block + WORKER_FREE_FRAME_COUNT) >>> 2];
  const stack = u32[(block + WORKER_FREE_FRAMES) >>> 2] >>> 2;
  const start = memory.frames(worker);
  let free = 0;
  for (let frame = frameCount - 1; frame >= 0; frame--) {
    if (used[frame] === 0) u32[stack + free++] = start + frame * FRAME_SIZE;
  }
  u32[(block + WORKER_FREE_FRAME_COUNT) >>> 2] = free;
  const found = free - before;
  countLost(memory, worker, found);
  return { free, found };
}

/** What the worker had in its hands is dropped, and every drop is counted. */
function countLost(memory: DataPlaneMemory, worker: number, packets: number): void {
  if (packets <= 0) return;
  const counter = memory.counters(worker) + DROP_TRAPPED * 8;
  Atomics.add(memory.u64, counter >>> 3, BigInt(packets));
}

/** Every packet the kernel takes from a TX ring comes back through the completion ring. */
function isSending(memory: DataPlaneMemory, link: number): boolean {
  const taken = word(memory, link + LINK_TRANSMIT + RING_CONSUMER);
  const completed = word(memory, link + LINK_COMPLETION + RING_PRODUCER);
  return taken !== completed;
}

function ringUse(memory: DataPlaneMemory, ring: number): number {
  return (word(memory, ring + RING_PRODUCER) - word(memory, ring + RING_CONSUMER)) >>> 0;
}

/** Marks the frames in a ring's used entries; returns how many entries those are. */
function markRing(
  memory: DataPlaneMemory,
  ring: number,
  entryBytes: number,
  used: Uint8Array,
): number {
  const { u32 } = memory;
  const entries = u32[(ring + RING_DESCRIPTORS) >>> 2];
  const mask = u32[(ring + RING_MASK) >>> 2];
  const consumer = word(memory, ring + RING_CONSUMER);
  const count = Math.min(ringUse(memory, ring), mask + 1);
  for (let index = 0; index < count; index++) {
    const slot = (consumer + index) & mask;
    // A UMEM is smaller than 4 GiB: the upper half of an address is 0.
    const frame = u32[(entries + slot * entryBytes) >>> 2] >>> FRAME_SHIFT;
    if (frame < used.length) used[frame] = 1;
  }
  return count;
}

/** The value of a ring's cursor, to which the ring's record points. */
function word(memory: DataPlaneMemory, pointer: number): number {
  return Atomics.load(memory.u32, memory.u32[pointer >>> 2] >>> 2);
}
