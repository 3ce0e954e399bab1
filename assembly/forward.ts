// Step "forward": what becomes of a packet whose connection is known, by the connection's method.
// This is the only file that branches on it; the files under forward/ do one rewrite each.

import {
  FORWARD_BYPASS,
  FORWARD_FULL_NAT,
  FORWARD_LOCAL,
  FORWARD_NAT,
  FORWARD_TUNNEL,
} from './shared/codes.ts';
import { DROP_HELPER, DROP_NO_ROUTE } from './shared/counters.ts';
import {
  CONNECTION_STATE,
  PACKET_DESTINATION,
  PACKET_FAMILY,
  PACKET_SOURCE_PORT,
  STATE_FTP,
  STATE_NO_CLIENT_PORT,
  STATE_SEQUENCE,
} from './shared/layout.ts';
import { fillClientPort, forwardingOf } from './connection.ts';
import { rewriteFromLocal, rewriteToClient } from './forward/full-nat.ts';
import { rewriteFromVirtual, rewriteToDestination } from './forward/nat.ts';
import { encapsulate } from './forward/tunnel.ts';
import { ftpFromServer, ftpFromClient } from './ftp.ts';
import {
  decrementTimeToLive,
  destinationAddress,
  dropUnroutable,
  fitsMtu,
  hopIn,
  hopOut,
  lastsAnotherHop,
} from './hops.ts';
import { hot } from './instance.ts';
import { awaitNeighbour } from './neighbour-queue.ts';
import {
  HOP_LOCAL,
  HOP_MAX,
  HOP_UNRESOLVED,
  hopMtu,
  isLoopback,
  provokeHop,
  reachable,
  resolve,
} from './route.ts';
import { drop, pass, transmit } from './transmit.ts';

/** Client to server, by the connection's forwarding method (cp->packet_xmit). */
export function forwardIn(packet: usize, index: u32): void {
  const state = load<u32>(hot(index), CONNECTION_STATE);
  const method = forwardingOf(state);
  if (method == FORWARD_NAT && state & STATE_NO_CLIENT_PORT) {
    fillClientPort(index, load<u16>(packet, PACKET_SOURCE_PORT));
  }
  if (method == FORWARD_LOCAL) {
    pass(packet);
    return;
  }
  const hop =
    method == FORWARD_BYPASS
      ? resolve(load<u8>(packet, PACKET_FAMILY), packet + PACKET_DESTINATION)
      : hopIn(index);
  if (hop == HOP_LOCAL) {
    deliverLocally(packet, index, method);
    return;
  }
  if (hop > HOP_MAX) {
    dropUnroutable(packet, hop);
    return;
  }
  if (!lastsAnotherHop(packet)) return;
  decrementTimeToLive(packet);
  let family = <u32>load<u8>(packet, PACKET_FAMILY);
  if (method == FORWARD_TUNNEL) {
    family = encapsulate(packet, index, hop);
    if (!family) return;
  } else {
    if (!fitsMtu(packet, hopMtu(hop))) return;
    if (method == FORWARD_NAT) {
      if (!translateIn(packet, index, state)) return;
    } else if (method == FORWARD_FULL_NAT) {
      rewriteFromLocal(packet, index);
    }
  }
  transmit(packet, family, hop);
}

/** NAT towards the destination, the port's helper first: it may change the payload. */
function translateIn(packet: usize, index: u32, state: u32): bool {
  if (state & (STATE_FTP | STATE_SEQUENCE) && !ftpFromClient(packet, index)) {
    drop(packet, DROP_HELPER);
    return false;
  }
  rewriteToDestination(packet, index);
  return true;
}

/** The destination is the director itself: its stack gets the packet, translated for NAT. */
function deliverLocally(packet: usize, index: u32, method: u32): void {
  if (method == FORWARD_NAT) {
    // What comes from outside must not reach a loopback address.
    if (isLoopback(load<u8>(packet, PACKET_FAMILY), destinationAddress(index))) {
      drop(packet, DROP_NO_ROUTE);
      return;
    }
    rewriteToDestination(packet, index);
  }
  pass(packet);
}

/**
 * Server to client: NAT's answers get the virtual address; others pass as they are (handle_response).
 * The packet is routed like any other that the director forwards, so its time to live and length
 * are looked at first; one that fails there never was the connection's.
 * @returns whether the packet was the connection's
 */
export function forwardOut(packet: usize, index: u32): bool {
  const state = load<u32>(hot(index), CONNECTION_STATE);
  const method = forwardingOf(state);
  const hop = hopOut(index);
  if (hop > HOP_MAX || !reachable(hop)) {
    if (hop <= HOP_MAX) provokeHop(hop);
    const isUnresolved = hop <= HOP_MAX || hop == HOP_UNRESOLVED;
    if (isUnresolved && awaitNeighbour(packet)) return false;
    dropUnroutable(packet, isUnresolved ? HOP_UNRESOLVED : hop);
    return false;
  }
  if (!lastsAnotherHop(packet) || !fitsMtu(packet, hopMtu(hop))) return false;
  decrementTimeToLive(packet);
  if (method == FORWARD_NAT) {
    if (state & (STATE_FTP | STATE_SEQUENCE) && !ftpFromServer(packet, index)) {
      drop(packet, DROP_HELPER);
      return false;
    }
    rewriteFromVirtual(packet, index);
  } else if (method == FORWARD_FULL_NAT) {
    rewriteToClient(packet, index);
  }
  transmit(packet, load<u8>(packet, PACKET_FAMILY), hop);
  return true;
}

/** Forwards a packet that belongs to no connection, as the router that the director is. */
export function forwardRouted(packet: usize): void {
  const family = <u32>load<u8>(packet, PACKET_FAMILY);
  const hop = resolve(family, packet + PACKET_DESTINATION);
  if (hop > HOP_MAX) {
    if (hop == HOP_LOCAL) pass(packet);
    else dropUnroutable(packet, hop);
    return;
  }
  if (!lastsAnotherHop(packet) || !fitsMtu(packet, hopMtu(hop))) return;
  decrementTimeToLive(packet);
  transmit(packet, family, hop);
}
