// The time and the chance that health checks go by. Both are handed in, so that tests can turn them
// by hand.

/** Undoes what has not happened yet; harmless afterwards. */
export type Cancel = () => void;

/** Where the time comes from. */
export interface HealthClock {
  /** Milliseconds that never go back. */
  now(): number;
  /** Milliseconds since 1970, to show people. */
  wall(): number;
  /** Calls `act` once, `milliseconds` from now. */
  after(milliseconds: number, act: () => void): Cancel;
}

/** A number from 0 to below 1. */
export type Chance = () => number;

/** The clock of this machine. */
export const systemClock: HealthClock = {
  now: () => performance.now(),
  wall: () => Date.now(),
  after: (milliseconds, act) => {
    const timer = setTimeout(act, milliseconds);
    return () => clearTimeout(timer);
  },
};
