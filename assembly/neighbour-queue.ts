// Answers whose client nobody has resolved yet. The kernel keeps such packets until its neighbour is
// known; dropping them would cost the first connection of every client on a directly attached network
// a second, because the client's MAC address reaches the tables later than a quick server answers.
//
// A packet waits untouched, in its own frame, and goes through the steps anew in the next turns.

import { VERDICT_HOLD } from './shared/codes.ts';
import { COUNTER_HELD } from './shared/counters.ts';
import {
  CONTROL_NEIGHBOUR_GENERATION,
  PACKET_PARTS,
  PACKET_SIZE,
  PACKET_VERDICT,
  PACKET_WAITS_UNTIL,
  WAITING_MAX,
  WORKER_WAITING_COUNT,
  WORKER_WAITING_GENERATION,
  WORKER_WAITING_PACKETS,
  WORKER_WAITING_TICK,
} from './shared/layout.ts';
import { TICKS_PER_SECOND } from './shared/limits.ts';
import { count } from './counters.ts';
import { now, worker } from './instance.ts';

/** Linux gives up on a neighbour after three requests, a second apart. */
const WAIT_SECONDS: u32 = 3;
/** Without news, packets that wait are tried this often, so that they do not wait for ever. */
const RETRY_TICKS: u32 = 10;

// @ts-ignore: decorator
@inline
function waiting(n: u32): usize {
  return worker + WORKER_WAITING_PACKETS + <usize>n * PACKET_SIZE;
}

/**
 * Keeps a packet until its neighbour is known.
 * @returns false when it may not wait: it has waited long enough, the queue is full, or it is a
 *   datagram put together from fragments, which has no frame of its own
 */
export function awaitNeighbour(packet: usize): bool {
  if (load<u32>(packet, PACKET_PARTS)) return false;
  const until = load<u32>(packet, PACKET_WAITS_UNTIL);
  if (until != 0 && <i32>(until - now) <= 0) return false;
  const length = load<u32>(worker, WORKER_WAITING_COUNT);
  if (length >= WAITING_MAX) return false;
  if (!until) {
    store<u32>(packet, now + WAIT_SECONDS * TICKS_PER_SECOND, PACKET_WAITS_UNTIL);
    count(COUNTER_HELD);
  }
  store<u8>(packet, <u8>VERDICT_HOLD, PACKET_VERDICT);
  memory.copy(waiting(length), packet, PACKET_SIZE);
  store<u32>(worker, length + 1, WORKER_WAITING_COUNT);
  return true;
}

/** Whether packets wait and it is time to try them: a neighbour became known, or a while has passed. */
export function shouldRetry(): bool {
  if (!load<u32>(worker, WORKER_WAITING_COUNT)) return false;
  const generation = atomic.load<u32>(CONTROL_NEIGHBOUR_GENERATION);
  const isNews = generation != load<u32>(worker, WORKER_WAITING_GENERATION);
  if (!isNews && now - load<u32>(worker, WORKER_WAITING_TICK) < RETRY_TICKS) return false;
  store<u32>(worker, generation, WORKER_WAITING_GENERATION);
  store<u32>(worker, now, WORKER_WAITING_TICK);
  return true;
}

/** Takes all waiting packets out, into records at `to`; returns how many. */
export function takeWaiting(to: usize): u32 {
  const length = load<u32>(worker, WORKER_WAITING_COUNT);
  memory.copy(to, waiting(0), <usize>length * PACKET_SIZE);
  store<u32>(worker, 0, WORKER_WAITING_COUNT);
  return length;
}
