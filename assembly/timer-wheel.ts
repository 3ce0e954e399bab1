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
  WORKER_TIMERS_TAKEN,
  WORKER_TURN_PACKETS,
  WORKER_WHEEL,
  WORKER_WHEEL_CLOCK,
  WORKER_WHEEL_LEFT,
  WORKER_WHEEL_LOCK,
  WORKER_WHEEL_OWED,
} from './shared/layout.ts';
import { WHEEL_LEVELS, WHEEL_SLOTS, WHEEL_STEP_SHIFT } from './shared/limits.ts';
import { chainOf, clientHash } from './connection-table.ts';
import { cold, hot, worker, workerId } from './instance.ts';
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

/**
 * The finest level that still holds the tick and on whose steps it lies. The slot of the tick before
 * the clock is left alone, as its timers may be running: a timer put there would come up again at once.
 */
function slotLevel(fires: u32, clock: u32): u32 {
  if (fires - clock < WHEEL_SLOTS - 1) return 0;
  let level: u32 = 1;
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

/** Puts an entry at the head of a slot. The wheel's lock is held, and the entry is taken for it. */
// @ts-ignore: decorator
@inline
function putFirst(index: u32, slot: u32): void {
  const entry = cold(index);
  const head = worker + WORKER_WHEEL + (slot << 2);
  const next = load<u32>(head);
  store<u32>(entry, next, COLD_TIMER_NEXT);
  store<u32>(entry, 0, COLD_TIMER_PREVIOUS);
  if (next) store<u32>(cold(next), index, COLD_TIMER_PREVIOUS);
  store<u32>(head, index);
}

/**
 * Puts an entry into a slot of this worker's wheel, whose lock is held. Its links may be used only by
 * whoever has taken the entry for a wheel.
 * @returns false when it is in another wheel by now, or has ended
 */
function link(index: u32, slot: u32, place: u32): bool {
  if (atomic.cmpxchg<u32>(cold(index) + COLD_TIMER_SLOT, 0, place) != 0) return false;
  putFirst(index, slot);
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
    const found = atomic.cmpxchg<u32>(at, 0, TIMER_ENDED);
    if (found == 0 || found == TIMER_ENDED) return;
    cancelTimer(index);
  }
}

/**
 * Sets a connection's timer to fire at a tick, in this worker's wheel, wherever it was before. When
 * several workers do so at once, the last one's holds; when the connection has ended, nobody's.
 */
export function armTimer(index: u32, fires: u32): void {
  const at = cold(index) + COLD_TIMER_SLOT;
  // The tick that is running, or one that has passed, would come up only a whole turn later.
  const clock = load<u32>(worker, WORKER_WHEEL_CLOCK);
  const slot = slotOf(<i32>(fires - clock) < 0 ? clock : fires, clock);
  const place = (slot + 1) | (workerId << 16);
  while (true) {
    const where = atomic.load<u32>(at);
    if (where == place || where == TIMER_ENDED) return;
    if (where) cancelTimer(index);
    lock(worker + WORKER_WHEEL_LOCK);
    const linked = link(index, slot, place);
    unlock(worker + WORKER_WHEEL_LOCK);
    if (linked) return;
  }
}

/** Sets the timer of a new connection, which no other worker knows yet. */
export function armFirstTimer(index: u32, fires: u32): void {
  const slot = slotOf(fires, load<u32>(worker, WORKER_WHEEL_CLOCK));
  lock(worker + WORKER_WHEEL_LOCK);
  store<u32>(cold(index), (slot + 1) | (workerId << 16), COLD_TIMER_SLOT);
  putFirst(index, slot);
  unlock(worker + WORKER_WHEEL_LOCK);
}

/** Entries taken out of a slot under one lock, and touched together so that their misses overlap. */
const TAKEN_MAX: u32 = 16;

// @ts-ignore: decorator
@inline
function taken(n: u32): u32 {
  return load<u32>(worker + WORKER_TIMERS_TAKEN + (<usize>n << 2));
}

/** Takes the first entries out of a slot, at most so many. @returns how many; taken() says which */
function takeFirst(slot: u32, most: u32): u32 {
  const head = worker + WORKER_WHEEL + (slot << 2);
  // Only this worker adds to its wheel, so an empty slot needs no lock.
  if (!atomic.load<u32>(head)) return 0;
  let count: u32 = 0;
  lock(worker + WORKER_WHEEL_LOCK);
  let index = load<u32>(head);
  while (index && count < most) {
    const entry = cold(index);
    store<u32>(worker + WORKER_TIMERS_TAKEN + (<usize>count << 2), index);
    count++;
    index = load<u32>(entry, COLD_TIMER_NEXT);
    // From here on another worker may put it into its own wheel.
    atomic.store<u32>(entry + COLD_TIMER_SLOT, 0);
  }
  store<u32>(head, index);
  if (index) store<u32>(cold(index), 0, COLD_TIMER_PREVIOUS);
  unlock(worker + WORKER_WHEEL_LOCK);
  return count;
}

/** Touches what the end of each entry taken will need: itself, and the head of its chain. */
function touchTaken(count: u32): void {
  let touched: u32 = 0;
  for (let n: u32 = 0; n < count; n++) touched ^= load<u32>(hot(taken(n)));
  for (let n: u32 = 0; n < count; n++) touched ^= load<u32>(chainOf(clientHash(taken(n))));
  // The sum goes where nobody looks, so that the loads are not optimised away.
  store<u32>(worker, touched, WORKER_TURN_PACKETS);
}

/** Called for every timer that comes up: it expires the connection or arms it anew. */
type Fired = (index: u32, tick: u32) => void;
/** Called when all timers of a tick have come up, or as many as one turn may run. */
type Passed = (tick: u32) => void;

/** Timers that this turn may still run. */
let allowed: u32 = 0;

/** Runs the timers of a slot. @returns false when some are left for want of allowance */
function runSlot(slot: u32, tick: u32, fired: Fired): bool {
  while (true) {
    if (!allowed) return !atomic.load<u32>(worker + WORKER_WHEEL + (slot << 2));
    const count = takeFirst(slot, min(TAKEN_MAX, allowed));
    if (!count) return true;
    allowed -= count;
    touchTaken(count);
    for (let n: u32 = 0; n < count; n++) {
      const index = taken(n);
      // What one timer does may set another one of them anew or end it, and so may other workers.
      if (!atomic.load<u32>(cold(index) + COLD_TIMER_SLOT)) fired(index, tick);
    }
  }
}

/**
 * Runs a tick's timers from a level on: each level's slot that begins at the tick.
 * @returns the level that is not done, or WHEEL_LEVELS
 */
function runLevels(tick: u32, from: u32, fired: Fired): u32 {
  for (let level: u32 = 0; level < WHEEL_LEVELS; level++) {
    const step = level * WHEEL_STEP_SHIFT;
    if (tick & ((1 << step) - 1)) break;
    if (level < from) continue;
    const slot = level * WHEEL_SLOTS + ((tick >> step) & (WHEEL_SLOTS - 1));
    if (!runSlot(slot, tick, fired)) return level;
  }
  return WHEEL_LEVELS;
}

/**
 * Runs all ticks up to and including `until`, but no more timers than `limit`: a slot of a coarse
 * level may hold millions, and packets must not wait for all of them. What is left runs in the next
 * turns, its ticks in order; WORKER_WHEEL_LEFT says that there is some.
 * @returns timers that were run, and were left over by an earlier turn
 */
export function runWheel(until: u32, limit: u32, fired: Fired, passed: Passed): u32 {
  const left = load<u32>(worker, WORKER_WHEEL_LEFT);
  const owed = load<u32>(worker, WORKER_WHEEL_OWED);
  let late: u32 = 0;
  allowed = limit;
  store<u32>(worker, 0, WORKER_WHEEL_LEFT);
  // A tick that was begun is gone on with, at the level that was not done.
  let begun = left != 0;
  let level = begun ? left - 1 : 0;
  while (true) {
    const clock = load<u32>(worker, WORKER_WHEEL_CLOCK);
    const tick = begun ? clock - 1 : clock;
    if (<i32>(until - tick) < 0) return late;
    // The clock moves first: what is armed while this tick runs belongs to a later one.
    store<u32>(worker, tick + 1, WORKER_WHEEL_CLOCK);
    const before = allowed;
    level = runLevels(tick, level, fired);
    if (left && <i32>(owed - tick) >= 0) late += before - allowed;
    // Also of a tick that is not done: what waits until then must not wait for another turn.
    passed(tick);
    if (level < WHEEL_LEVELS) {
      store<u32>(worker, level + 1, WORKER_WHEEL_LEFT);
      store<u32>(worker, until, WORKER_WHEEL_OWED);
      return late;
    }
    begun = false;
    level = 0;
  }
}
