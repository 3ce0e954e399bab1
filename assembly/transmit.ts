// The last step: the Ethernet header of the next hop, and the frame goes into the TX ring of its
// port. What is longer than the port's MTU is cut here, as the kernel's IP layer does on output.

import { FAMILY_IPV4 } from './shared/codes.ts';
import {
  COUNTER_PASSED,
  DROP_NEIGHBOUR_UNRESOLVED,
  DROP_NO_EXCEPTION_PATH,
  DROP_NO_ROUTE,
  DROP_PORT_DOWN,
  DROP_TRANSMIT_RING_FULL,
} from './shared/counters.ts';
import {
  NEXT_HOP_MAC,
  PACKET_FAMILY,
  PACKET_IP_LENGTH,
  PACKET_LENGTH,
  PACKET_NETWORK,
  PACKET_PARTS,
  PACKET_PORT,
  PACKET_REASON,
  PACKET_START,
  PACKET_VERDICT,
  PORT_MAC,
  WORKER_DATAGRAM,
  WORKER_DATAGRAM_HEADROOM,
  WORKER_EXCEPTION_LINK,
  WORKER_PORT_LINKS,
} from './shared/layout.ts';
import { VERDICT_DROP, VERDICT_PASS, VERDICT_TRANSMIT } from './shared/codes.ts';
import { capturing, noteSent } from './capture-tap.ts';
import { count } from './counters.ts';
import { cutAndSend } from './fragment-output.ts';
import { nextHop, port, worker } from './instance.ts';
import { answerAsHost } from './local-host.ts';
import { NO_LINK, freeFrame, link, reserveTransmit } from './ring.ts';
import { HOP_LOCAL, HOP_MAX, HOP_UNRESOLVED, hopMtu, hopPort, provokeHop, reachable } from './route.ts';
import {
  ETHERNET_SIZE,
  ETHERNET_TYPE_IPV4_BE,
  ETHERNET_TYPE_IPV6_BE,
  loadMac,
  setEthernetAddresses,
  setEthernetTypeBe,
} from './wire/ethernet.ts';

/** Drops a packet for a reason, which is counted. Its frame is free again. */
export function drop(packet: usize, reason: u32): void {
  store<u8>(packet, <u8>reason, PACKET_REASON);
  store<u8>(packet, <u8>VERDICT_DROP, PACKET_VERDICT);
  count(reason);
  if (!load<u32>(packet, PACKET_PARTS)) freeFrame(load<u32>(packet, PACKET_START));
}

/** Hands one piece of a datagram to the exception link, under the Ethernet header it came with. */
function sendToHost(network: usize, length: u32): bool {
  const frame = network - ETHERNET_SIZE;
  const came = worker + WORKER_DATAGRAM + WORKER_DATAGRAM_HEADROOM;
  memory.copy(frame, came, ETHERNET_SIZE);
  const linkAt = link(load<u8>(worker, WORKER_EXCEPTION_LINK));
  if (reserveTransmit(linkAt, frame, length + ETHERNET_SIZE, datagramPort)) return true;
  count(DROP_NO_EXCEPTION_PATH);
  freeFrame(network);
  return false;
}

/** The port that the datagram being passed came in on. */
let datagramPort: u32 = 0;

/**
 * Sends one IP packet, which fits the MTU and stands in a frame, to a next hop; HOP_LOCAL is the
 * director's own stack.
 */
export function sendFrame(network: usize, length: u32, family: u32, hop: u32): bool {
  if (hop == HOP_LOCAL) return sendToHost(network, length);
  const portIndex = hopPort(hop);
  const linkNumber = <u32>load<u8>(worker + WORKER_PORT_LINKS + portIndex);
  if (linkNumber == NO_LINK) {
    count(DROP_PORT_DOWN);
    freeFrame(network);
    return false;
  }
  const frame = network - ETHERNET_SIZE;
  setEthernetAddresses(frame, loadMac(nextHop(hop) + NEXT_HOP_MAC), loadMac(port(portIndex) + PORT_MAC));
  setEthernetTypeBe(frame, family == FAMILY_IPV4 ? ETHERNET_TYPE_IPV4_BE : ETHERNET_TYPE_IPV6_BE);
  if (!reserveTransmit(link(linkNumber), frame, length + ETHERNET_SIZE, 0)) {
    count(DROP_TRANSMIT_RING_FULL);
    freeFrame(network);
    return false;
  }
  if (capturing) noteSent(frame, length + ETHERNET_SIZE, portIndex);
  return true;
}

/**
 * Sends a packet to a next hop. PACKET_NETWORK and PACKET_IP_LENGTH say where it stands and how
 * long it is; the family is that of its outermost header.
 */
export function transmit(packet: usize, family: u32, hop: u32): void {
  if (hop > HOP_MAX) {
    drop(packet, hop == HOP_UNRESOLVED ? DROP_NEIGHBOUR_UNRESOLVED : DROP_NO_ROUTE);
    return;
  }
  if (!reachable(hop)) {
    provokeHop(hop);
    drop(packet, DROP_NEIGHBOUR_UNRESOLVED);
    return;
  }
  store<u8>(packet, <u8>VERDICT_TRANSMIT, PACKET_VERDICT);
  const network: usize = load<u32>(packet, PACKET_NETWORK);
  const length = load<u32>(packet, PACKET_IP_LENGTH);
  if (load<u32>(packet, PACKET_PARTS) || length > hopMtu(hop)) {
    cutAndSend(packet, family, hop);
  } else {
    sendFrame(network, length, family, hop);
  }
}

/**
 * Leaves a packet to the director's own stack: by the exception link when there is one (replay, an
 * exception device), otherwise the data plane answers in the stack's place.
 */
export function pass(packet: usize): void {
  const linkNumber = <u32>load<u8>(worker, WORKER_EXCEPTION_LINK);
  if (linkNumber == NO_LINK) {
    answerAsHost(packet);
    return;
  }
  const options = <u32>load<u8>(packet, PACKET_PORT);
  if (load<u32>(packet, PACKET_PARTS)) {
    store<u8>(packet, <u8>VERDICT_PASS, PACKET_VERDICT);
    count(COUNTER_PASSED);
    datagramPort = options;
    cutAndSend(packet, load<u8>(packet, PACKET_FAMILY), HOP_LOCAL);
    return;
  }
  const frame = load<u32>(packet, PACKET_START);
  if (!reserveTransmit(link(linkNumber), frame, load<u32>(packet, PACKET_LENGTH), options)) {
    drop(packet, DROP_NO_EXCEPTION_PATH);
    return;
  }
  store<u8>(packet, <u8>VERDICT_PASS, PACKET_VERDICT);
  count(COUNTER_PASSED);
}
