// The timers of the control core: the estimator, the defence, the trash. They run when somebody moves
// the clock, real or virtual, and in the order in which they fall due.
//
// Time is in ticks of 10 ms (HZ=100). Linux's timer wheel fires late, by up to an eighth of the
// delay: rates and defence levels change at those moments, so a replay keeps to them.

import { WHEEL_LEVELS, WHEEL_SLOTS, WHEEL_STEP_SHIFT } from '../../assembly/shared/limits.ts';

/** Whether timers fire when they fall due, or when Linux's wheel would fire them. */
export type TimerPrecision = 'exact' | 'wheel';

/** Milliseconds of one tick. */
export const TICK_MS = 10;

/**
 * The tick at which Linux's wheel fires a timer set at tick `armed` to expire `delay` ticks later:
 * the level that holds the delay has steps of 8^level ticks, and expiry is rounded up past a step
 * (calc_index() in kernel/time/timer.c).
 */
export function wheelExpiry(armed: number, delay: number): number {
  let level = 0;
  while (level < WHEEL_LEVELS - 1 && delay >= (WHEEL_SLOTS - 1) * 2 ** (level * WHEEL_STEP_SHIFT)) {
    level++;
  }
  const step = 2 ** (level * WHEEL_STEP_SHIFT);
  return (Math.floor((armed + delay) / step) + 1) * step;
}

/** A timer that is set. */
interface Timer {
  readonly due: number;
  readonly fire: () => void;
}

/** A clock and the timers that wait on it. */
export class Timers {
  readonly #precision: TimerPrecision;
  readonly #timers = new Map<string, Timer>();
  #now: number;

  constructor(now: number, precision: TimerPrecision) {
    this.#now = now;
    this.#precision = precision;
  }

  /** The current tick; while a timer fires, the tick it fell due at. */
  get now(): number {
    return this.#now;
  }

  /** Sets the timer of a name, in place of the one it had. */
  set(name: string, delay: number, fire: () => void): void {
    const exact = this.#now + delay;
    const due = this.#precision === 'exact' ? exact : wheelExpiry(this.#now, delay);
    this.#timers.set(name, { due, fire });
  }

  /** Whether the timer of a name is set. */
  isSet(name: string): boolean {
    return this.#timers.has(name);
  }

  /** Moves the clock to a tick and fires what falls due on the way. It never goes back. */
  run(until: number): void {
    for (;;) {
      let next: [string, Timer] | undefined;
      for (const entry of this.#timers) {
        if (next === undefined || entry[1].due < next[1].due) next = entry;
      }
      if (next === undefined || next[1].due > until) break;
      this.#timers.delete(next[0]);
      this.#now = Math.max(this.#now, next[1].due);
      next[1].fire();
    }
    this.#now = Math.max(this.#now, until);
  }
}
