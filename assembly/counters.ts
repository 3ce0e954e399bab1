// Counters of this worker. Nobody else writes them; the host sums all workers' when it reads.

import {
  COUNTERS_TOTAL,
  DESTINATION_SERVICE,
  DESTINATION_STATE_FLAGS,
  STATS_CONNECTIONS,
  STATS_IN_BYTES,
  STATS_IN_PACKETS,
  STATS_OUT_BYTES,
  STATS_OUT_PACKETS,
  STATS_SIZE,
} from './shared/layout.ts';
import { DESTINATION_AVAILABLE } from './shared/codes.ts';
import {
  counters,
  destination,
  destinationState,
  destinationStats,
  serviceStats,
} from './instance.ts';

/** Counts one of counters.ts's events. */
// @ts-ignore: decorator
@inline
export function count(counter: u32): void {
  const at = counters + (<usize>counter << 3);
  store<u64>(at, load<u64>(at) + 1);
}

/** Counts several of an event at once. */
export function countMany(counter: u32, amount: u32): void {
  const at = counters + (<usize>counter << 3);
  store<u64>(at, load<u64>(at) + amount);
}

// @ts-ignore: decorator
@inline
function add(stats: usize, packets: usize, bytes: usize, length: u32): void {
  store<u64>(stats + packets, load<u64>(stats + packets) + 1);
  store<u64>(stats + bytes, load<u64>(stats + bytes) + length);
}

/** Counts a packet towards a destination: for it, its service, and in total (ip_vs_in_stats). */
// @ts-ignore: decorator
@inline
export function countIn(destinationId: u32, length: u32): void {
  if (!(load<u32>(destinationState(destinationId), DESTINATION_STATE_FLAGS) & DESTINATION_AVAILABLE)) {
    return;
  }
  const serviceId = load<u32>(destination(destinationId), DESTINATION_SERVICE);
  add(destinationStats + <usize>destinationId * STATS_SIZE, STATS_IN_PACKETS, STATS_IN_BYTES, length);
  add(serviceStats + <usize>serviceId * STATS_SIZE, STATS_IN_PACKETS, STATS_IN_BYTES, length);
  add(counters + COUNTERS_TOTAL, STATS_IN_PACKETS, STATS_IN_BYTES, length);
}

/** Counts a packet from a destination (ip_vs_out_stats). */
// @ts-ignore: decorator
@inline
export function countOut(destinationId: u32, length: u32): void {
  if (!(load<u32>(destinationState(destinationId), DESTINATION_STATE_FLAGS) & DESTINATION_AVAILABLE)) {
    return;
  }
  const serviceId = load<u32>(destination(destinationId), DESTINATION_SERVICE);
  add(destinationStats + <usize>destinationId * STATS_SIZE, STATS_OUT_PACKETS, STATS_OUT_BYTES, length);
  add(serviceStats + <usize>serviceId * STATS_SIZE, STATS_OUT_PACKETS, STATS_OUT_BYTES, length);
  add(counters + COUNTERS_TOTAL, STATS_OUT_PACKETS, STATS_OUT_BYTES, length);
}

function addConnection(stats: usize): void {
  store<u64>(stats, load<u64>(stats, STATS_CONNECTIONS) + 1, STATS_CONNECTIONS);
}

/** Counts a new connection (ip_vs_conn_stats). */
export function countConnection(serviceId: u32, destinationId: u32): void {
  addConnection(destinationStats + <usize>destinationId * STATS_SIZE);
  addConnection(serviceStats + <usize>serviceId * STATS_SIZE);
  addConnection(counters + COUNTERS_TOTAL);
}
