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

/** What compareOne() says when the packet is another's and the chain goes on: bytes of the list. */
const OPEN: u32 = 4;

/**
 * Compares one entry. WHERE is the entry then, or the chain's next node.
 * @returns OPEN, or FOUND_*, or 0
 */
// @ts-ignore: decorator
@inline
function compareOne(at: usize, base: usize): u32 {
  const node = load<u32>(at, WHERE);
  const entry = entryOf(base, node);
  const next = load<u32>(entry + ((node & 1) << 2), CONNECTION_NEXT);
  const match = matches(at, entry, node);
  const isOpen = u32(match == 0) & u32(next != 0);
  store<u8>(at, <u8>match, FOUND);
  store<u32>(at, select<u32>(next, <u32>entry, isOpen), WHERE);
  return match | (isOpen * OPEN);
}

/** Whether the last compare() found the connections of all packets. */
export let foundAll: bool = false;

/** Finds the packets' entries. */
export function compare(packets: u32): void {
  const base = hotBase;
  const list = worker + OPEN_LIST;
  const nothing = worker + NOTHING;
  let all: u32 = FOUND_BY_CLIENT;
  let to = list;
  let at: usize = note(0);
  const end = at + packets * NOTE_SIZE;
  for (; at != end; at += NOTE_SIZE) {
    // A packet that is done stays in the list only until the next one takes its place.
    store<u32>(to, <u32>at);
    const result = compareOne(at, base);
    to += <usize>(result & OPEN);
    all &= result | (result >> 2);
  }
  while (to != list) {
    const open = to;
    for (let from = list; from != open; from += 4) {
      touchEntry(base, load<u32>(load<u32>(from), WHERE), nothing);
    }
    to = list;
    for (let from = list; from != open; from += 4) {
      const at = <usize>load<u32>(from);
      store<u32>(to, <u32>at);
      const result = compareOne(at, base);
      to += <usize>(result & OPEN);
      all &= result | (result >> 2);
    }
  }
  foundAll = all != 0;
}
