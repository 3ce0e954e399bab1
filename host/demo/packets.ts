/** Counts in what `wvs status --json` says. */

/** The data plane's counter of frames it has sent, under its name in the status. */
const TRANSMITTED = 'packets-transmitted';

/** Frames the director has forwarded since it started. A status without the counter means none. */
export function forwardedPackets(status: unknown): number {
  const { counters } = status as { counters?: Readonly<Record<string, number>> };
  return counters?.[TRANSMITTED] ?? 0;
}
