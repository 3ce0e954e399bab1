// Whether a packet can be forwarded as it is, its connection staying as it is. All that
// could have changed since the connections were found is looked at here.

import {
  DESTINATION_AVAILABLE,
  FORWARD_DIRECT_ROUTE,
  FORWARD_FULL_NAT,
  FORWARD_NAT,
  FORWARD_TUNNEL,
  TCP_ESTABLISHED,
} from '../shared/codes.ts';
import {
  BANK_TIMEOUT_TCP,
  BANK_TIMEOUT_UDP,
  CONNECTION_CLIENT_END,
  CONNECTION_CLIENT_MIDDLE,
  CONNECTION_DESTINATION_ID,
  CONNECTION_HOP_IN,
  CONNECTION_ROUTE_GENERATION,
  CONNECTION_STATE,
  CONNECTION_TIMEOUT,
  DESTINATION_ADDRESS,
  DESTINATION_SIZE,
  DESTINATION_STATE_FLAGS,
  DESTINATION_VIRTUAL_ADDRESS,
  NEXT_HOP_REACHABLE,
  STATE_CLIENT_WHOLE,
  STATE_CONTROLLED,
  STATE_DEAD,
  STATE_DESTINATION_OTHER,
  STATE_EXPIRING,
  STATE_FORWARD_SHIFT,
  STATE_FTP,
  STATE_MASK,
  STATE_NO_CLIENT_PORT,
  STATE_NO_OUTPUT,
  STATE_ONE_PACKET,
  STATE_SEQUENCE,
  STATE_TEMPLATE,
  WIDE_CLIENT,
  WIDE_DESTINATION,
  WIDE_LOCAL,
  WIDE_VIRTUAL,
} from '../shared/layout.ts';
import {
  bank,
  destination,
  destinationState,
  hotBase,
  nextHop,
  routeGeneration,
  wideBase,
  worker,
} from '../instance.ts';
import { differ16 } from '../hash.ts';
import { CHAIN_LOCKED } from '../lock.ts';
import {
  CHAIN,
  EXPECTATIONS,
  FOUND,
  FOUND_BY_LOCAL,
  HEAD,
  HOW,
  HOW_IPV6,
  HOW_METHOD,
  HOW_OUTWARDS,
  HOW_OUTWARDS_SHIFT,
  KIND,
  NEW_ADDRESS,
  NOTE_SIZE,
  OUTWARDS,
  WAY,
  WHERE,
  WHOLE_ENDS_SIZE,
  note,
  wholeEnds,
} from './note.ts';

/** Connections that something is special about. */
const SPECIAL: u32 =
  STATE_TEMPLATE |
  STATE_ONE_PACKET |
  STATE_NO_CLIENT_PORT |
  STATE_SEQUENCE |
  STATE_DESTINATION_OTHER |
  STATE_FTP |
  STATE_EXPIRING |
  STATE_DEAD;

/**
 * What is expected of a connection, 16 bytes for each direction and protocol: these bits of its
 * state have this value, and this is its timeout.
 */
const EXPECTED_BITS: u32 = 0;
const EXPECTED_STATE: u32 = 4;
const EXPECTED_TIMEOUT: u32 = 8;
/** UDP's expectation stands behind TCP's: bit 0 tells the protocols' numbers apart. */
const IS_UDP: u32 = 16;

function setExpectation(outwards: u32, isUdp: u32, bits: u32, state: u32, timeout: u32): void {
  const at = worker + EXPECTATIONS + <usize>((outwards << 5) + (isUdp << 4));
  store<u32>(at, SPECIAL | bits, EXPECTED_BITS);
  store<u32>(at, state, EXPECTED_STATE);
  store<u32>(at, timeout, EXPECTED_TIMEOUT);
}

/**
 * Whether a packet of the burst needed its connection's wide record; before that, whether one of the
 * last burst did.
 */
export let needsWide: bool = false;

/** Notes, for a burst, which connections take packets without changing. */
export function beginReadying(): void {
  needsWide = false;
  const tcp = load<u32>(bank, BANK_TIMEOUT_TCP + (TCP_ESTABLISHED << 2));
  const udp = load<u32>(bank, BANK_TIMEOUT_UDP);
  setExpectation(0, 0, STATE_MASK, TCP_ESTABLISHED, tcp);
  setExpectation(0, 1, 0, 0, udp);
  // An answer clears "no output", and one of UDP assures the template.
  setExpectation(1, 0, STATE_MASK | STATE_NO_OUTPUT, TCP_ESTABLISHED, tcp);
  setExpectation(1, 1, STATE_NO_OUTPUT | STATE_CONTROLLED, 0, udp);
}

/** Not 0 when a connection, as it is now, would not stay so. */
// @ts-ignore: decorator
@inline
function isUnexpected(entry: usize, state: u32, expected: usize): u32 {
  const id = load<u32>(entry, CONNECTION_DESTINATION_ID);
  const flags = load<u32>(destinationState(id), DESTINATION_STATE_FLAGS);
  return (
    ((state & load<u32>(expected, EXPECTED_BITS)) ^ load<u32>(expected, EXPECTED_STATE)) |
    (load<u32>(entry, CONNECTION_TIMEOUT) ^ load<u32>(expected, EXPECTED_TIMEOUT)) |
    ((flags & DESTINATION_AVAILABLE) ^ DESTINATION_AVAILABLE)
  );
}

/** Whether 32 bytes are the same as 16 and 16 elsewhere. */
// @ts-ignore: decorator
@inline
function isSame32(both: usize, first: usize, second: usize): bool {
  const differences = v128.or(
    v128.xor(v128.load(both), v128.load(first)),
    v128.xor(v128.load(both, 16), v128.load(second)),
  );
  return !v128.any_true(differences);
}

/** Not 0 unless an address's folded word and what else of it stands in a hot half leave nothing open. */
// @ts-ignore: decorator
@inline
function differsFromClient(address: usize, entry: usize): u64 {
  return (
    (load<u64>(address, 4) ^ load<u64>(entry, CONNECTION_CLIENT_MIDDLE)) |
    <u64>(load<u32>(address, 12) ^ load<u32>(entry, CONNECTION_CLIENT_END))
  );
}

/**
 * Whether a packet's IPv6 addresses are the connection's: folded ones of other addresses may be
 * equal. Notes where the address is that it gets.
 * @param ends its source and destination
 * @param config of the destination
 */
// @ts-ignore: decorator
@inline
function isSameWhole(at: usize, entry: usize, ends: usize, config: usize, how: u32): bool {
  // On the way in, source and destination are the client's and the virtual address; on the way out,
  // the destination's and the client's: 16 bytes further, in the record 16 bytes back.
  const back = <usize>(how & HOW_OUTWARDS) << 1;
  store<u32>(at, <u32>(config + DESTINATION_ADDRESS + back), NEW_ADDRESS);
  return !(
    differsFromClient(ends + back, entry) |
    differ16(ends + 16 - back, config + DESTINATION_VIRTUAL_ADDRESS - back)
  );
}

/** The same by the connection's wide record. */
// @ts-ignore: decorator
@inline
function isSameWide(at: usize, entry: usize, ends: usize, how: u32): bool {
  needsWide = true;
  const wide = wideBase + (entry - hotBase);
  if (!(how & HOW_OUTWARDS)) {
    store<u32>(at, <u32>(wide + WIDE_DESTINATION), NEW_ADDRESS);
    return isSame32(ends, wide + WIDE_CLIENT, wide + WIDE_VIRTUAL);
  }
  store<u32>(at, <u32>(wide + WIDE_VIRTUAL), NEW_ADDRESS);
  const end: usize = (how & HOW_METHOD) == FORWARD_FULL_NAT ? WIDE_LOCAL : WIDE_CLIENT;
  return isSame32(ends, wide + WIDE_DESTINATION, wide + end);
}

/** Whether an IPv6 packet is its connection's. @param records of destinations */
// @ts-ignore: decorator
@inline
function isOfConnection6(at: usize, ends: usize, how: u32, records: usize): bool {
  const entry: usize = load<u32>(at, WHERE);
  if (!(load<u32>(entry, CONNECTION_STATE) & STATE_CLIENT_WHOLE)) {
    return isSameWide(at, entry, ends, how);
  }
  const id = <usize>load<u32>(entry, CONNECTION_DESTINATION_ID);
  return isSameWhole(at, entry, ends, records + id * DESTINATION_SIZE, how);
}

/**
 * HOW of packets about which nothing remains to be asked here, one bit each. What there is to ask
 * about tunnels is asked where the outer header is written.
 */
const USUAL: u32 =
  (1 << FORWARD_NAT) |
  (1 << (FORWARD_NAT | HOW_OUTWARDS)) |
  (1 << FORWARD_DIRECT_ROUTE) |
  (1 << FORWARD_TUNNEL) |
  (1 << FORWARD_FULL_NAT);

// @ts-ignore: decorator
@inline
function isFoundByLocal(at: usize): bool {
  return load<u8>(at, FOUND) == <u8>FOUND_BY_LOCAL;
}

/** Asks what remains to be asked about ready packets. @returns the first that is not ready */
export function findUnusual(from: u32, end: u32): u32 {
  const records = destination(0);
  let at = note(from);
  let ends = wholeEnds(from);
  let n = from;
  for (; n != end; n++, at += NOTE_SIZE, ends += WHOLE_ENDS_SIZE) {
    const how = <u32>load<u8>(at, HOW);
    if (how & HOW_IPV6 && !isOfConnection6(at, ends, how, records)) break;
    const inFamily = how & ~HOW_IPV6;
    if ((USUAL >> inFamily) & 1) continue;
    // Full-nat's server knows the local end only: it does not answer to the client's. With the other
    // methods answers do not come by.
    if (inFamily != (FORWARD_FULL_NAT | HOW_OUTWARDS) || !isFoundByLocal(at)) break;
  }
  return n;
}

/** Whether nothing remains to be asked about the packets the last findReady() found. */
export let allUsual: bool = false;

/**
 * Notes of the packets from the n-th on how they are forwarded, up to the first that is not of this
 * kind. That one must be handled before the next, whose connection it may change.
 * @returns which one that is
 */
export function findReady(from: u32, packets: u32): u32 {
  const generation = routeGeneration;
  const expectations = worker + EXPECTATIONS;
  const first = note(from);
  const end = note(packets);
  let hows: u32 = 0;
  let at = first;
  for (; at != end; at += NOTE_SIZE) {
    if (!load<u8>(at, FOUND)) break;
    if (from) {
      // A connection that was made meanwhile stands in front of the one that was found.
      if ((load<u32>(load<u32>(at, CHAIN)) & ~CHAIN_LOCKED) != load<u32>(at, HEAD)) break;
    }
    const entry: usize = load<u32>(at, WHERE);
    const kind = <u32>load<u16>(at, KIND);
    const outwards = <u32>load<u8>(at, OUTWARDS);
    const state = load<u32>(entry, CONNECTION_STATE);
    // The record of next hop 0 is never reachable.
    const hop = <u32>load<u16>(entry + (outwards << 1), CONNECTION_HOP_IN);
    const way = load<u64>(nextHop(hop));
    const isLost =
      (<u32>(way >> 56) ^ NEXT_HOP_REACHABLE) |
      (<u32>load<u16>(entry, CONNECTION_ROUTE_GENERATION) ^ generation);
    const expected = expectations + (outwards << 5) + ((kind >> 4) & IS_UDP);
    if (isLost | isUnexpected(entry, state, expected)) break;
    const how =
      ((state >> STATE_FORWARD_SHIFT) & HOW_METHOD) |
      (outwards << HOW_OUTWARDS_SHIFT) |
      ((kind << 3) & HOW_IPV6);
    store<u8>(at, <u8>how, HOW);
    store<u64>(at, way, WAY);
    hows |= 1 << how;
  }
  allUsual = !(hows & ~USUAL);
  return from + <u32>(at - first) / NOTE_SIZE;
}
