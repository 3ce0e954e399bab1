// Spin locks in shared memory for the schedulers that move a cursor or change a cache. They are
// held for well under a microsecond. A locked word names its holder, so that the host can release
// what a dead worker held and nothing else.

import { WORKER_HELD_LOCK } from '../../assembly/shared/layout.ts';
import type { DataPlaneMemory } from '../memory/data-plane-memory.ts';

/** The host's own thread as a holder: no worker's block, nor the module's 1. */
const HOST = 2;
/** Attempts before the thread sleeps: the holder may have lost its CPU to us. */
const ATTEMPTS = 1000;
const SLEEP_MILLISECONDS = 1;

/**
 * Takes the lock at byte offset `at`.
 * @param worker start of the worker's block, or 0 on the host's thread
 */
export function acquireLock(memory: DataPlaneMemory, at: number, worker: number): void {
  const { i32 } = memory;
  const index = at >>> 2;
  const holder = worker === 0 ? HOST : worker;
  // Noted before it is taken: a worker that dies in between holds nothing, which the word tells.
  if (worker !== 0) memory.u32[(worker + WORKER_HELD_LOCK) >>> 2] = at;
  let attempts = 0;
  while (Atomics.compareExchange(i32, index, 0, holder) !== 0) {
    attempts++;
    if (attempts < ATTEMPTS) continue;
    attempts = 0;
    const held = Atomics.load(i32, index);
    // Nobody notifies: a release must not cost a system call.
    if (held !== 0) Atomics.wait(i32, index, held, SLEEP_MILLISECONDS);
  }
}

/** Releases the lock at byte offset `at`. */
export function releaseLock(memory: DataPlaneMemory, at: number, worker: number): void {
  Atomics.store(memory.i32, at >>> 2, 0);
  if (worker !== 0) memory.u32[(worker + WORKER_HELD_LOCK) >>> 2] = 0;
}

/**
 * Releases the scheduler lock a dead worker held, if it held one. Locks of the WebAssembly module
 * do not name their holder and are left alone.
 * @param worker start of the dead worker's block
 * @returns whether a lock was released
 */
export function releaseLockOfDeadWorker(memory: DataPlaneMemory, worker: number): boolean {
  const at = memory.u32[(worker + WORKER_HELD_LOCK) >>> 2];
  if (at === 0) return false;
  if (Atomics.compareExchange(memory.i32, at >>> 2, worker, 0) !== worker) return false;
  memory.u32[(worker + WORKER_HELD_LOCK) >>> 2] = 0;
  return true;
}
