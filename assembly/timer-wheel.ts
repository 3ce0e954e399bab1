// The timer wheel, of the same shape as Linux's (kernel/time/timer.c): levels of 64 slots, each level
// 8 times coarser, no cascading. An expiry is rounded up to its level's granularity, so a connection
// ends at the very tick at which IPVS would end it.
//
// Linux moves a timer at every packet. Here a packet only notes when it came (last seen); the entry
// stays in its slot until that comes up, and is then put where its newest expiry belongs. The moment
// of expiry is the same, as it is computed from the time of the last packet.
//
//   level 0: 64 slots of 1 tick   level 1: 64 slots of 8 ticks   level 2: of 64 ticks   ...

import {
  COLD_TIMER_NEXT,
  COLD_TIMER_PREVIOUS,
  COLD_TIMER_SLOT,
  CONTROL_REGION_WORKERS,
  WORKER_SIZE,
  WORKER_WHEEL,
  WORKER_WHEEL_CLOCK,
  WORKER_WHEEL_LOCK,
} from './shared/layout.ts';
import { WHEEL_LEVELS, WHEEL_SLOTS, WHEEL_STEP_SHIFT } from './shared/limits.ts';
import { cold, worker, workerId } from './instance.ts';
import { lock, unlock } from './lock.ts';

/** The level whose range holds a delta: level n begins at 63 << 3(n-1) ticks (LVL_START). */
export function levelOf(delta: u32): u32 {
  let level: u32 = 0;
  while (level < WHEEL_LEVELS - 1 && delta >= (WHEEL_SLOTS - 1) << (WHEEL_STEP_SHIFT * level)) level++;
  return level;
}

/**
 * The tick at which a timer fires that is set at tick `armed` to expire at `armed + timeout`: rounded
 * up to the level's granularity and one step more, as calc_index() does so as never to be early.
 */
export function firingTick(armed: u32, timeout: u32): u32 {
  const shift = levelOf(timeout) * WHEEL_STEP_SHIFT;
  return (((armed + timeout) >> shift) + 1) << shift;
}

/** Slot (level * 64 + index) in which a timer waits that fires at `fires`, seen from tick `clock`. */
function slotOf(fires: u32, clock: u32): u32 {
  const level = slotLevel(fires, clock);
  return level * WHEEL_SLOTS + ((fires >> (level * WHEEL_STEP_SHIFT)) & (WHEEL_SLOTS - 1));
}

/** The finest level that still holds the tick and on whose steps it lies. */
function slotLevel(fires: u32, clock: u32): u32 {
  let level: u32 = 0;
  while (
    level < WHEEL_LEVELS - 1 &&
    (fires >> (level * WHEEL_STEP_SHIFT)) - (clock >> (level * WHEEL_STEP_SHIFT)) >= WHEEL_SLOTS
  ) {
    level++;
  }
  return level;
}

/** COLD_TIMER_SLOT of a connection that has ended: its entry waits in another list, by the same links. */
const TIMER_ENDED: u32 = 0xffffffff;

// @ts-ignore: decorator
@inline
function block(id: u32): usize {
  return <usize>load<u32>(CONTROL_REGION_WORKERS) + <usize>id * WORKER_SIZE;
}

/** Takes an entry out of its list. The wheel's lock is held. */
function unlink(owner: usize, entry: usize): void {
  const slot = (load<u32>(entry, COLD_TIMER_SLOT) & 0xffff) - 1;
  const next = load<u32>(entry, COLD_TIMER_NEXT);
  const previous = load<u32>(entry, COLD_TIMER_PREVIOUS);
  if (previous) store<u32>(cold(previous), next, COLD_TIMER_NEXT);
  else store<u32>(owner + WORKER_WHEEL + (slot << 2), next);
  if (next) store<u32>(cold(next), previous, COLD_TIMER_PREVIOUS);
  atomic.store<u32>(entry + COLD_TIMER_SLOT, 0);
}

/**
 * Puts an entry at the head of its slot. The wheel's lock is held.
 * @returns false when it is in another wheel by now, or has ended
 */
function link(index: u32, fires: u32): bool {
  const entry = cold(index);
  const slot = slotOf(fires, load<u32>(worker, WORKER_WHEEL_CLOCK));
  // Its links may be used only by whoever has taken the entry for a wheel.
  const place = (slot + 1) | (workerId << 16);
  if (atomic.cmpxchg<u32>(entry + COLD_TIMER_SLOT, 0, place) != 0) return false;
  const head = worker + WORKER_WHEEL + (slot << 2);
  const next = load<u32>(head);
  store<u32>(entry, next, COLD_TIMER_NEXT);
  store<u32>(entry, 0, COLD_TIMER_PREVIOUS);
  if (next) store<u32>(cold(next), index, COLD_TIMER_PREVIOUS);
  store<u32>(head, index);
  return true;
}

/** Takes a connection's timer out of whichever worker's wheel it is in. */
export function cancelTimer(index: u32): void {
  const entry = cold(index);
  while (true) {
    const where = atomic.load<u32>(entry + COLD_TIMER_SLOT);
    if (!where || where == TIMER_ENDED) return;
    const owner = block(where >> 16);
    lock(owner + WORKER_WHEEL_LOCK);
    const same = load<u32>(entry, COLD_TIMER_SLOT) == where;
    if (same) unlink(owner, entry);
    unlock(owner + WORKER_WHEEL_LOCK);
    if (same) return;
  }
}

/** Takes a connection that ends out of its wheel, and keeps every worker from setting its timer again. */
export function endTimer(index: u32): void {
  const at = cold(index) + COLD_TIMER_SLOT;
  while (true) {
    cancelTimer(index);
    const found = atomic.cmpxchg<u32>(at, 0, TIMER_ENDED);
    if (found == 0 || found == TIMER_ENDED) return;
  }
}

/**
 * Sets a connection's timer to fire at a tick, in this worker's wheel, wherever it was before. When
 * several workers do so at once, the last one's holds; when the connection has ended, nobody's.
 */
export function armTimer(index: u32, fires: u32): void {
  const at = cold(index) + COLD_TIMER_SLOT;
  while (true) {
    cancelTimer(index);
    lock(worker + WORKER_WHEEL_LOCK);
    // The tick that is running, or one that has passed, would come up only a whole turn later.
    const clock = load<u32>(worker, WORKER_WHEEL_CLOCK);
    const linked = link(index, <i32>(fires - clock) < 0 ? clock : fires);
    unlock(worker + WORKER_WHEEL_LOCK);
    if (linked || atomic.load<u32>(at) == TIMER_ENDED) return;
  }
}

/** Takes one entry out of a slot, 0 when the slot is empty. */
function takeFirst(slot: u32): u32 {
  const head = worker + WORKER_WHEEL + (slot << 2);
  // Only this worker adds to its wheel, so an empty slot needs no lock.
  if (!atomic.load<u32>(head)) return 0;
  lock(worker + WORKER_WHEEL_LOCK);
  const index = load<u32>(head);
  if (index) unlink(worker, cold(index));
  unlock(worker + WORKER_WHEEL_LOCK);
  return index;
}

/** Called for every timer that comes up: it expires the connection or arms it anew. */
type Fired = (index: u32, tick: u32) => void;
/** Called when all timers of a tick have come up. */
type Passed = (tick: u32) => void;

/**
 * Runs all ticks up to and including `until`. Entries are taken one by one, as what one timer does
 * may take another out of the same slot.
 */
export function runWheel(until: u32, fired: Fired, passed: Passed): void {
  while (true) {
    const tick = load<u32>(worker, WORKER_WHEEL_CLOCK);
    if (<i32>(until - tick) < 0) return;
    // The clock moves first: what is armed while this tick runs belongs to a later one.
    store<u32>(worker, tick + 1, WORKER_WHEEL_CLOCK);
    let clock = tick;
    for (let level: u32 = 0; level < WHEEL_LEVELS; level++) {
      const slot = level * WHEEL_SLOTS + (clock & (WHEEL_SLOTS - 1));
      for (let index = takeFirst(slot); index; index = takeFirst(slot)) fired(index, tick);
      if (clock & ((1 << WHEEL_STEP_SHIFT) - 1)) break;
      clock >>= WHEEL_STEP_SHIFT;
    }
    passed(tick);
  }
}
