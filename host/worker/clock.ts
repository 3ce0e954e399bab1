// The clock all threads of a director agree on: milliseconds since its start.

/** Milliseconds of the machine's monotonic clock, the same in every thread and process. */
export function monotonicMs(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}

/**
 * A clock that is cheap to read: performance.now() counts the same time, but from the start of
 * its own thread.
 * @param epoch monotonicMs() at the director's start
 */
export function createClock(epoch: number): () => number {
  const offset = monotonicMs() - performance.now() - epoch;
  return () => performance.now() + offset;
}
