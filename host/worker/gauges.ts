// What a worker tells of itself beside the data plane's counters: a few numbers in memory shared
// with the host, which reads them whenever it wants.

/** Turns of the loop, also those that found nothing: what stands still is stuck. */
export const GAUGE_TURNS = 0;
/** Turns that handled packets, and the packets they handled. */
export const GAUGE_BUSY_TURNS = 1;
export const GAUGE_PACKETS = 2;
/** Milliseconds spent asleep, and the clock when they were last added up. */
export const GAUGE_ASLEEP_MS = 3;
export const GAUGE_CLOCK_MS = 4;
/** System calls that woke the kernel to transmit. */
export const GAUGE_TRANSMIT_WAKEUPS = 5;
const GAUGES = 8;

/** Makes the gauges of one worker. */
export function createGauges(): Float64Array<SharedArrayBuffer> {
  return new Float64Array(new SharedArrayBuffer(GAUGES * Float64Array.BYTES_PER_ELEMENT));
}
