// Which way each packet goes, and the chain in which its connection is looked for. What
// is read at random places is touched for the whole burst before anything depends on it.

import { FAMILY_IPV4, FAMILY_IPV6 } from '../shared/codes.ts';
import {
  CONNECTION_DESTINATION_ID,
  CONNECTION_HOT_SIZE,
  CONNECTION_STATE,
  STATE_CLIENT_WHOLE,
} from '../shared/layout.ts';
import { differ16, hashAddress, hashEnd, mix } from '../hash.ts';
import {
  chainMask,
  chains,
  hashSeed,
  hotBase,
  localFilter,
  wideBase,
  worker,
} from '../instance.ts';
import { CHAIN_LOCKED } from '../lock.ts';
import { isRequest, localFlags, mayBeOwn } from '../route.ts';
import { IPV4_DESTINATION } from './frame.ts';
import {
  CHAIN,
  ENDS,
  FRAME,
  HEAD,
  NOTE_SIZE,
  NOTHING,
  OUTWARDS,
  PORTS,
  SEEMS,
  STEP,
  WHERE,
  WHOLE_ENDS_SIZE,
  note,
  wholeEnds,
} from './note.ts';

/** Notes each packet's direction and chain. */
export function locate(packets: u32): void {
  let at: usize = note(0);
  const end = at + packets * NOTE_SIZE;
  // Most of a burst's requests are to one address: its flags need not be looked up again.
  let known: u32 = 0;
  let outwards: u32 = 1;
  while (at != end) {
    at = locateIpv4(at, end, known, outwards);
    if (at == end) break;
    if (<u32>load<u8>(at, SEEMS) == FAMILY_IPV6) {
      at = locateIpv6(at, end);
      continue;
    }
    const flags = localFlags(FAMILY_IPV4, <usize>load<u32>(at, FRAME) + IPV4_DESTINATION);
    known = load<u32>(at, ENDS + 4);
    outwards = u32(!isRequest(flags));
    noteChain(at, outwards, hashIpv4(hashSeed, at, outwards));
    at += NOTE_SIZE;
  }
  for (let i: u32 = 1; i < STEP; i++, at += NOTE_SIZE) store<u32>(at, <u32>chains, CHAIN);
}

/**
 * Goes on up to an IPv6 packet, or one to an address that may be an own one and is not the one that
 * is known. Calls in this loop would cost every packet its registers.
 */
function locateIpv4(at: usize, end: usize, known: u32, outwards: u32): usize {
  const filter = localFilter;
  const seed = hashSeed;
  for (; at != end; at += NOTE_SIZE) {
    const target = load<u32>(at, ENDS + 4);
    let isOut = outwards;
    if (<u32>load<u8>(at, SEEMS) != FAMILY_IPV4) {
      if (load<u8>(at, SEEMS)) return at;
    } else if (target != known) {
      if (mayBeOwn(filter, mix(0, target))) return at;
      isOut = 1;
    }
    noteChain(at, isOut, hashIpv4(seed, at, isOut));
  }
  return at;
}

/** Hash of the end that is looked up. */
// @ts-ignore: decorator
@inline
function hashIpv4(seed: u32, at: usize, outwards: u32): u32 {
  const address = load<u32>(at + (outwards << 2), ENDS);
  return mix(mix(seed, address), portOf(at, outwards) | (<u32>load<u8>(at, SEEMS + 1) << 16));
}

// @ts-ignore: decorator
@inline
function noteChain(at: usize, outwards: u32, hash: u32): void {
  store<u8>(at, <u8>outwards, OUTWARDS);
  store<u32>(at, <u32>chains + ((hash & chainMask) << 2), CHAIN);
}

/** The same for IPv6 packets, up to one of IPv4. */
function locateIpv6(at: usize, end: usize): usize {
  // Where a packet of the burst has the address that is known.
  let known: usize = 0;
  let outwards: u32 = 1;
  let ends = wholeEnds(<u32>(at - note(0)) / NOTE_SIZE);
  for (; at != end; at += NOTE_SIZE, ends += WHOLE_ENDS_SIZE) {
    if (<u32>load<u8>(at, SEEMS) != FAMILY_IPV6) return at;
    const target = ends + 16;
    let isOut = outwards;
    if (!known || differ16(known, target)) {
      isOut = 1;
      if (mayBeOwn(localFilter, hashAddress(FAMILY_IPV6, target))) {
        isOut = u32(!isRequest(localFlags(FAMILY_IPV6, target)));
        known = target;
        outwards = isOut;
      }
    }
    const end = select<usize>(target, target - 16, isOut);
    const hash = hashEnd(FAMILY_IPV6, end, portOf(at, isOut), load<u8>(at, SEEMS + 1));
    noteChain(at, isOut, hash);
  }
  return at;
}

/** The port of the end that is looked up. */
// @ts-ignore: decorator
@inline
function portOf(at: usize, outwards: u32): u32 {
  return load<u16>(at + (outwards << 1), PORTS);
}

/** The entry of a node; that of 0 is no connection's. */
// @ts-ignore: decorator
@inline
export function entryOf(base: usize, node: u32): usize {
  return base + <usize>(node & ~1) * (CONNECTION_HOT_SIZE >> 1);
}

// @ts-ignore: decorator
@inline
function loadHead(at: usize): void {
  const head = load<u32>(load<u32>(at, CHAIN)) & ~CHAIN_LOCKED;
  store<u32>(at, head, WHERE);
  store<u32>(at, head, HEAD);
}

/** Notes the chains' first nodes: a loop so short that as many misses are under way as can be. */
export function loadHeads(packets: u32): void {
  let at: usize = note(0);
  for (let i: u32 = 0; i < packets; i += STEP, at += STEP * NOTE_SIZE) {
    loadHead(at);
    loadHead(at + NOTE_SIZE);
    loadHead(at + 2 * NOTE_SIZE);
    loadHead(at + 3 * NOTE_SIZE);
  }
}

/**
 * Touches the entry of a node by a store, which changes nothing: the byte is the uppermost of the
 * destination's id, and always 0. A load would hold up everything behind it until the line is
 * there.
 */
// @ts-ignore: decorator
@inline
export function touchEntry(base: usize, node: u32, nothing: usize): void {
  store<u8>(select<usize>(entryOf(base, node), nothing, node), 0, CONNECTION_DESTINATION_ID + 3);
}

/** Touches the first entries. */
export function touchEntries(packets: u32): void {
  const base = hotBase;
  const nothing = worker + NOTHING;
  let at: usize = note(0);
  for (let i: u32 = 0; i < packets; i += STEP, at += STEP * NOTE_SIZE) {
    touchEntry(base, load<u32>(at, WHERE), nothing);
    touchEntry(base, load<u32>(at, WHERE + NOTE_SIZE), nothing);
    touchEntry(base, load<u32>(at, WHERE + 2 * NOTE_SIZE), nothing);
    touchEntry(base, load<u32>(at, WHERE + 3 * NOTE_SIZE), nothing);
  }
}

/**
 * Touches the wide record of each entry that is not whole without it. An IPv4 connection has one too,
 * which nobody uses.
 */
export function touchWide(packets: u32): u32 {
  const offset = wideBase - hotBase;
  let touched: u32 = 0;
  let at: usize = note(0);
  const end = at + packets * NOTE_SIZE;
  for (; at != end; at += NOTE_SIZE) {
    const entry = <usize>load<u32>(at, WHERE);
    const isWhole = load<u32>(entry, CONNECTION_STATE) & STATE_CLIENT_WHOLE;
    touched += load<u32>(select<usize>(entry, entry + offset, isWhole));
  }
  return touched;
}
