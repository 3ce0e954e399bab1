// Known connections of plain packets: IPv4 without options or IPv6 without extension headers,
// whole, over TCP or UDP, of a connection whose state and timeout they leave as they are. That is
// nearly all there is, so it is done in passes over the burst, each a loop so short that V8 keeps
// its values in registers and the cache misses of many packets overlap:
//
//   read     what each connection is looked up by                  fast-path/classify.ts
//   locate   the end that is looked up, its chain and first entry  fast-path/locate.ts
//   verify   whether packets are plain, while entries are fetched  fast-path/classify.ts
//   compare  in rounds, an entry of every packet's chain in each   fast-path/compare.ts
//   ready    up to the first packet that is not of this kind       fast-path/ready.ts
//   run      rewritten, run by run of one kind                     fast-path/run.ts
//   send     put into the TX ring in order, counted                fast-path/send.ts
//
// Nothing is decided here. A packet about which there is anything to decide goes the pipeline's way
// in its turn, and what is done here is what would be done there: frames, tables and counters come
// out the same, which test/unit/assembly/fast-path.test.ts watches. Conditions that hold together
// are joined by bitwise operators where none of them is likely to fail alone: fewer branches.

import { BANK_MARK_COUNT, SYSCTL_BACKUP_ONLY, WORKER_TURN_PACKETS } from './shared/layout.ts';
import { readEnds, verify } from './fast-path/classify.ts';
import { compare, foundAll } from './fast-path/compare.ts';
import { loadHeads, locate, touchEntries, touchWide } from './fast-path/locate.ts';
import { FOUND, FRAME, FRAME_LENGTH, note } from './fast-path/note.ts';
import {
  allUsual,
  beginReadying,
  findReady,
  findUnusual,
  needsWide,
} from './fast-path/ready.ts';
import { countSent, sendReady } from './fast-path/send.ts';
import { bank, enabled, worker } from './instance.ts';

/** Where the n-th packet's frame is. */
export function frameOf(n: u32): usize {
  return load<u32>(note(n), FRAME);
}

export function frameLengthOf(n: u32): u32 {
  return load<u16>(note(n), FRAME_LENGTH);
}

/** Whether the n-th packet's connection was found. */
// @ts-ignore: decorator
@inline
export function isFound(n: u32): bool {
  return load<u8>(note(n), FOUND) != 0;
}

/** Whether anything is configured that every packet must be asked about. */
export function fastPathServes(): bool {
  return enabled() && !(load<u32>(bank, BANK_MARK_COUNT) | load<u32>(bank, SYSCTL_BACKUP_ONLY));
}

/**
 * Finds the connections of a burst that is not released yet.
 * @returns whether all were found
 */
export function findConnections(ring: usize, packets: u32, way: usize): bool {
  const hasIpv6 = readEnds(ring, packets, way);
  locate(packets);
  loadHeads(packets);
  touchEntries(packets);
  verify(packets, way);
  compare(packets);
  if (hasIpv6 && needsWide) {
    // The sum goes where nobody looks, so that the loads are not optimised away.
    store<u32>(worker, touchWide(packets), WORKER_TURN_PACKETS);
  }
  beginReadying();
  return foundAll;
}

/**
 * Forwards packets from the n-th on, as long as they are of this kind.
 * @returns the first packet that is not: it must be handled before the next
 */
export function forwardHits(from: u32, packets: u32): u32 {
  let ready = findReady(from, packets);
  if (!allUsual) ready = findUnusual(from, ready);
  const end = sendReady(from, ready);
  countSent(from, end);
  return end;
}
