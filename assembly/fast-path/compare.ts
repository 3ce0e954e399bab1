// Which entry of its chain is a packet's connection. Where an entry is another's, the
// chain's next one is touched, and compared in the next round, until no packet's chain goes on: so
// the misses of each round overlap too.

import {
  CONNECTION_CLIENT,
  CONNECTION_CLIENT_PORT,
  CONNECTION_DESTINATION,
  CONNECTION_DESTINATION_PORT,
  CONNECTION_FAMILY,
  CONNECTION_LOCAL,
  CONNECTION_LOCAL_PORT,
  CONNECTION_NEXT,
} from '../shared/layout.ts';
import { hotBase, worker } from '../instance.ts';
import { entryOf, touchEntry } from './locate.ts';
import {
  ENDS,
  FOUND,
  FOUND_BY_CLIENT,
  FOUND_BY_LOCAL,
  KIND,
  NOTE_SIZE,
  NOTHING,
  OPEN_LIST,
  OUTWARDS,
  PORTS,
  WHERE,
  note,
} from './note.ts';

/**
 * Whether an entry is the packet's, by its hot half: for IPv6 the whole addresses remain.
 * @returns FOUND_*, or 0
 */
// @ts-ignore: decorator
@inline
function matches(at: usize, entry: usize, node: u32): u32 {
  const kind = <u32>(load<u16>(entry, CONNECTION_FAMILY) ^ load<u16>(at, KIND));
  const outwards = <usize>load<u8>(at, OUTWARDS);
  const ends = load<u64>(at, ENDS);
  const ports = load<u32>(at, PORTS);
  if (node & 1) {
    // An answer to full-nat's local end, which stands on the other side of the destination.
    const local =
      (load<u64>(entry, CONNECTION_LOCAL) ^ rotl(ends, 32)) |
      <u64>(load<u32>(entry, CONNECTION_LOCAL_PORT) ^ rotl(ports, 16)) |
      <u64>kind;
    return select<u32>(FOUND_BY_LOCAL, 0, u32(local == 0) & <u32>outwards);
  }
  // A request's ends are client and virtual, an answer's are destination and client.
  const back = outwards * (CONNECTION_CLIENT - CONNECTION_DESTINATION);
  const backPorts = outwards * (CONNECTION_CLIENT_PORT - CONNECTION_DESTINATION_PORT);
  const other =
    (load<u64>(entry - back, CONNECTION_CLIENT) ^ ends) |
    <u64>((load<u32>(entry - backPorts, CONNECTION_CLIENT_PORT) ^ ports) | kind);
  return u32(other == 0) * FOUND_BY_CLIENT;
}

/**
 * Compares one entry. WHERE is the entry then, or the chain's next node, 0 at its end.
 * @returns FOUND_*, or 0
 */
// @ts-ignore: decorator
@inline
function compareOne(at: usize, base: usize, node: u32): u32 {
  const entry = entryOf(base, node);
  const next = load<u32>(entry + ((node & 1) << 2), CONNECTION_NEXT);
  const match = matches(at, entry, node);
  store<u8>(at, <u8>match, FOUND);
  store<u32>(at, select<u32>(<u32>entry, next, match), WHERE);
  return match;
}

/** Whether the last compare() found the connections of all packets. */
export let foundAll: bool = false;

/** Finds the packets' entries. */
export function compare(packets: u32): void {
  const base = hotBase;
  const list = worker + OPEN_LIST;
  let to = list;
  let at: usize = note(0);
  const end = at + packets * NOTE_SIZE;
  for (; at != end; at += NOTE_SIZE) {
    // A packet that is done stays in the list only until the next one takes its place.
    store<u32>(to, <u32>at);
    to += <usize>(u32(compareOne(at, base, load<u32>(at, WHERE)) == 0) << 2);
  }
  foundAll = true;
  while (to != list) to = compareListed(list, to);
}

/** A round: the next entries of those listed. @returns where the list ends of those that remain */
function compareListed(list: usize, end: usize): usize {
  const base = hotBase;
  for (let from = list; from != end; from += 4) {
    touchEntry(base, load<u32>(load<u32>(from), WHERE), worker + NOTHING);
  }
  let ended: u32 = 0;
  let to = list;
  for (let from = list; from != end; from += 4) {
    const at = <usize>load<u32>(from);
    const node = load<u32>(at, WHERE);
    store<u32>(to, <u32>at);
    // Behind a chain's end stands node 0, whose entry is no connection's.
    ended |= u32(node == 0);
    to += <usize>((u32(compareOne(at, base, node) == 0) & u32(node != 0)) << 2);
  }
  if (ended) foundAll = false;
  return to;
}
