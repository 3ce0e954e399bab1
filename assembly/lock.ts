// Spin locks in shared memory. They guard changes, never reads, and are held for a few stores. The
// worker notes which lock it holds, so that the host can release it when the worker dies inside.

import { WORKER_HELD_LOCK } from './shared/layout.ts';
import { worker } from './instance.ts';

/** A locked word is 1 (plain locks). */
export function lock(at: usize): void {
  store<u32>(worker, <u32>at, WORKER_HELD_LOCK);
  while (atomic.cmpxchg<u32>(at, 0, 1) != 0) {}
}

export function unlock(at: usize): void {
  atomic.store<u32>(at, 0);
  store<u32>(worker, 0, WORKER_HELD_LOCK);
}

/** Highest bit of a chain head: the chain is being changed. */
export const CHAIN_LOCKED: u32 = 0x80000000;

/** Locks a chain by its head's highest bit; returns the head's node. */
export function lockChain(head: usize): u32 {
  store<u32>(worker, <u32>head, WORKER_HELD_LOCK);
  while (true) {
    const node = atomic.load<u32>(head) & ~CHAIN_LOCKED;
    if (atomic.cmpxchg<u32>(head, node, node | CHAIN_LOCKED) == node) return node;
  }
}

/** Unlocks a chain by storing the node it now begins with. */
export function unlockChain(head: usize, node: u32): void {
  atomic.store<u32>(head, node);
  store<u32>(worker, 0, WORKER_HELD_LOCK);
}
