// Rewrites ready packets, run by run: packets of one kind that follow one another go through a loop of
// their own, so short that V8 keeps its values in registers.

import {
  FORWARD_FULL_NAT,
  FORWARD_NAT,
  FORWARD_TUNNEL,
  PROTOCOL_TCP,
} from '../shared/codes.ts';
import {
  CONNECTION_DESTINATION_ID,
  CONNECTION_IN_PACKETS,
  CONNECTION_LAST_SEEN,
  PORT_MTU,
} from '../shared/layout.ts';
import {
  fragmentMask4,
  isUnusualStart4,
  isUnusualTunnel,
  knownSource,
  plainStart4,
  roomBase,
} from '../forward/tunnel.ts';
import { destinationState, now, port, tablesGeneration } from '../instance.ts';
import { IPV4 } from './frame.ts';
import {
  FRAME,
  HOW,
  HOW_IPV6,
  HOW_METHOD,
  HOW_OUTWARDS,
  KIND,
  LENGTH,
  NEW_ADDRESS,
  NOTE_SIZE,
  WAY,
  WHERE,
} from './note.ts';
import { ageIpv4, ageIpv6, translate4, translate6 } from './rewrite.ts';
import { wrapIpv4, wrapIpv6, wrapPlainIpv4 } from './wrap.ts';

const METHODS_TRANSLATING: u32 = (1 << FORWARD_NAT) | (1 << FORWARD_FULL_NAT);

/** Not 0 when a packet leaves on another port, or is too long for it. */
// @ts-ignore: decorator
@inline
function isElsewhere(at: usize, portIndex: u32, mtu: u32): u32 {
  return (<u32>load<u8>(at, WAY + 6) ^ portIndex) | u32(<u32>load<u16>(at, LENGTH) > mtu);
}

// @ts-ignore: decorator
@inline
function isTcp(at: usize): bool {
  return load<u8>(at, KIND + 1) == <u8>PROTOCOL_TCP;
}

/** Counts a request, and notes when it came. */
// @ts-ignore: decorator
@inline
function noteRequest(entry: usize, tick: u32): void {
  store<u32>(entry, load<u32>(entry, CONNECTION_IN_PACKETS) + 1, CONNECTION_IN_PACKETS);
  store<u32>(entry, tick, CONNECTION_LAST_SEEN);
}

/** NAT over IPv4, from the client. */
function natRun(first: usize, end: usize, portIndex: u32, mtu: u32): usize {
  const tick = now;
  let at = first;
  for (; at != end; at += NOTE_SIZE) {
    if ((<u32>load<u8>(at, HOW) ^ FORWARD_NAT) | isElsewhere(at, portIndex, mtu)) break;
    const entry: usize = load<u32>(at, WHERE);
    translate4(load<u32>(at, FRAME), entry, false, false, isTcp(at));
    noteRequest(entry, tick);
  }
  return at;
}

/**
 * Tunnels of IPv4 in IPv4 whose outer header is known but for lengths and hops. What fits into such a
 * tunnel fits the port's MTU.
 */
function plainTunnelRun(first: usize, end: usize, portIndex: u32): usize {
  const tick = now;
  const base = roomBase(tablesGeneration());
  let at = first;
  for (; at != end; at += NOTE_SIZE) {
    const how = <u32>load<u8>(at, HOW);
    const isOther = (how ^ FORWARD_TUNNEL) | (<u32>load<u8>(at, WAY + 6) ^ portIndex);
    const entry: usize = load<u32>(at, WHERE);
    const frame: usize = load<u32>(at, FRAME);
    const state = destinationState(load<u32>(entry, CONNECTION_DESTINATION_ID));
    const start = plainStart4(load<u64>(frame, IPV4));
    const isUnusual = isUnusualTunnel(state, load<u16>(at, LENGTH), base);
    if (isOther | isUnusual | isUnusualStart4(start)) break;
    wrapPlainIpv4(at, frame, state, start);
    noteRequest(entry, tick);
  }
  return at;
}

/** Tunnels of plain IP in IP, over either family. */
function tunnelRun(first: usize, end: usize, portIndex: u32, mtu: u32): usize {
  const tick = now;
  const base = roomBase(tablesGeneration());
  const fragmentMask = fragmentMask4();
  let at = first;
  for (; at != end; at += NOTE_SIZE) {
    const how = <u32>load<u8>(at, HOW);
    if (((how & ~HOW_IPV6) ^ FORWARD_TUNNEL) | isElsewhere(at, portIndex, mtu)) break;
    const entry: usize = load<u32>(at, WHERE);
    const frame: usize = load<u32>(at, FRAME);
    const state = destinationState(load<u32>(entry, CONNECTION_DESTINATION_ID));
    if (isUnusualTunnel(state, load<u16>(at, LENGTH), base)) break;
    const source = knownSource(state);
    if (how & HOW_IPV6) wrapIpv6(at, frame, source);
    else wrapIpv4(at, frame, entry, source, fragmentMask);
    noteRequest(entry, tick);
  }
  return at;
}

/** Rewrites a packet by its connection's method, no tunnel, and its direction. */
// @ts-ignore: decorator
@inline
function rewrite(at: usize, frame: usize, entry: usize, how: u32): void {
  const method = how & HOW_METHOD;
  if (!((METHODS_TRANSLATING >> method) & 1)) {
    if (how & HOW_IPV6) ageIpv6(frame);
    else ageIpv4(frame);
    return;
  }
  const isFull = method == FORWARD_FULL_NAT;
  if (how & HOW_IPV6) {
    const newAddress: usize = load<u32>(at, NEW_ADDRESS);
    if (how & HOW_OUTWARDS) translate6(frame, entry, newAddress, true, isFull, isTcp(at));
    else translate6(frame, entry, newAddress, false, isFull, isTcp(at));
  } else if (how & HOW_OUTWARDS) {
    translate4(frame, entry, true, isFull, isTcp(at));
  } else {
    translate4(frame, entry, false, isFull, isTcp(at));
  }
}

/** Everything but tunnels. */
function otherRun(first: usize, end: usize, portIndex: u32, mtu: u32): usize {
  const tick = now;
  let at = first;
  for (; at != end; at += NOTE_SIZE) {
    const how = <u32>load<u8>(at, HOW);
    if (u32((how & HOW_METHOD) == FORWARD_TUNNEL) | isElsewhere(at, portIndex, mtu)) break;
    const entry: usize = load<u32>(at, WHERE);
    rewrite(at, load<u32>(at, FRAME), entry, how);
    if (how & HOW_OUTWARDS) store<u32>(entry, tick, CONNECTION_LAST_SEEN);
    else noteRequest(entry, tick);
  }
  return at;
}

/** @returns the first packet behind the run that begins here; `at` when that one cannot be sent */
function runFrom(at: usize, end: usize, portIndex: u32, mtu: u32): usize {
  const how = <u32>load<u8>(at, HOW);
  if (how == FORWARD_NAT) return natRun(at, end, portIndex, mtu);
  if ((how & HOW_METHOD) != FORWARD_TUNNEL) return otherRun(at, end, portIndex, mtu);
  if (how == FORWARD_TUNNEL && fragmentMask4()) {
    const next = plainTunnelRun(at, end, portIndex);
    if (next != at) return next;
  }
  return tunnelRun(at, end, portIndex, mtu);
}

/**
 * Rewrites ready packets, as far as they leave on the same port and fit, also with a tunnel's header.
 * @returns the first note that is not such a packet's
 */
export function rewriteRuns(first: usize, end: usize, portIndex: u32): usize {
  const mtu = load<u32>(port(portIndex), PORT_MTU);
  let at = first;
  while (at != end) {
    const next = runFrom(at, end, portIndex, mtu);
    if (next == at) break;
    at = next;
  }
  return at;
}
