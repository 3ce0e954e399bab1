// The clock of a recording. A step's time is written down rounded to 10 ms, which is too coarse for
// the kernel's ticks: what falls into which of the estimator's rounds depends on less. But the
// recorder's steps take known times, so the real one is rebuilt by adding them up, and the times
// written down only correct it.
//
// Constants measured on the recordings: with them, the sum stays within 0.15 ms of what is written
// over 28,000 steps, and every message in the kernel's log has the tick it should have.

import { TICK_MS } from '../ipvs/timers.ts';
import type { RecordedStep } from './recording.ts';

/** Milliseconds from a recording's start to its first step, unless that is written to be at 0. */
const FIRST_STEP_MS = 11.6;
/** A packet step ends when nothing more comes for a millisecond; the timer's slack adds to it. */
const PACKET_STEP_MS = 1.0525;
/** A sleep is followed by such a wait, too, and has slack of its own. */
const SLEEP_EXTRA_MS = 1.15;
/** Listings wait for the kernel to add up its counters. */
const LISTING_WAIT_MS = 3000;
const LISTING_EXTRA_MS = 0.1;
/** How far the written time can be from the real one. */
const ROUNDING_MS = 5;

/**
 * The kernel's tick counter starts at -300 s, so that its wrap-around is found early
 * (INITIAL_JIFFIES). Modulo the span of the wheel's coarsest level in use, that is this tick.
 */
const INITIAL_TICKS = 2 ** 18 - (((300 * 1000) / TICK_MS) % 2 ** 18);
/** Milliseconds from the kernel's start to the recording's: 30 s of sleep, and setting up. */
const BOOT_MS = 30_000.75;
/**
 * The tick at a recording's start. Where expiries are rounded to depends on it: the wheel's coarse
 * levels are aligned to the tick counter, not to the recording.
 */
export const TICKS_AT_START = INITIAL_TICKS + Math.floor(BOOT_MS / TICK_MS);
/** Milliseconds of the tick that have passed at the recording's start. */
const TICK_PHASE_MS = BOOT_MS % TICK_MS;
/** The tick at which the simulated kernel booted. */
export const BOOT_TICK = INITIAL_TICKS;

/** Rebuilds the time of one step after the other. */
export class RecordingClock {
  #milliseconds = 0;
  #hasBegun = false;

  /** Milliseconds since the recording's start, of the step that began last or of what follows it. */
  get milliseconds(): number {
    return this.#milliseconds;
  }

  /** Begins a step: its written time corrects the clock. */
  begin(step: RecordedStep): void {
    const written = step.time * 1000;
    if (!this.#hasBegun && written > ROUNDING_MS) this.#milliseconds = FIRST_STEP_MS;
    this.#hasBegun = true;
    const ahead = written - this.#milliseconds;
    // A command took its time, as when it waits for a name server: only the written time tells.
    if (ahead > 2 * ROUNDING_MS) this.#milliseconds = written;
    else if (ahead > ROUNDING_MS) this.#milliseconds = written - ROUNDING_MS;
    else if (ahead < -ROUNDING_MS) this.#milliseconds = written + ROUNDING_MS;
  }

  /** Lets the wait before a listing pass. */
  waitForListing(): void {
    this.#milliseconds += LISTING_WAIT_MS;
  }

  /** Lets a `sleep` step's time pass; nothing for any other step. */
  sleep(step: RecordedStep): void {
    const seconds = /^sleep (\S+)$/.exec(step.line)?.[1];
    if (seconds !== undefined) this.#milliseconds += Number(seconds) * 1000 + SLEEP_EXTRA_MS;
  }

  /** Ends a step; what a listing waited for and a sleep have passed already. */
  end(step: RecordedStep): void {
    if (step.input !== undefined) this.#milliseconds += PACKET_STEP_MS;
    else if (step.lists !== undefined) this.#milliseconds += LISTING_EXTRA_MS;
  }
}

/** The kernel's tick at a time of the recording. */
export function tickAt(milliseconds: number): number {
  return TICKS_AT_START + Math.floor((milliseconds + TICK_PHASE_MS) / TICK_MS);
}

/** The time of the recording at which a tick begins. */
export function timeOfTick(tick: number): number {
  return (tick - TICKS_AT_START) * TICK_MS - TICK_PHASE_MS;
}
