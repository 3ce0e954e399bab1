// A packet's way. One turn of the poll loop takes a burst from every link and leads it through the
// steps, top to bottom:
//
//   receive    descriptors from the RX ring
//   known      known connections of plain packets: nearly all, found and forwarded apart
//              (fast-path.ts); the steps below are for the others, each in its turn
//   parse      lengths, addresses, ports; hash of both ends; the bucket is touched
//   touch      the entry at the head of the chain is touched, so that the burst's misses overlap
//   handle     per packet, in order: look up, schedule when there is no connection, state, forward
//   transmit   submit what was put into TX rings; completed frames go back to the fill rings

import {
  FAMILY_IPV4,
  PROTOCOL_AH,
  PROTOCOL_ESP,
  PROTOCOL_ICMP,
  PROTOCOL_ICMPV6,
  PROTOCOL_SCTP,
  PROTOCOL_TCP,
  PROTOCOL_UDP,
} from './shared/codes.ts';
import {
  COUNTER_CHECKSUMS_COMPLETED,
  COUNTER_RECEIVED,
  DROP_DESTINATION_UNAVAILABLE,
  DROP_MULTICAST_OR_BROADCAST,
  DROP_NO_DESTINATION,
  DROP_NOT_FOR_US,
} from './shared/counters.ts';
import {
  BANK_MARK_COUNT,
  COLD_CONTROLLED,
  COLD_CONTROLLER,
  CONNECTION_DESTINATION_ID,
  CONNECTION_IN_PACKETS,
  CONNECTION_PROTOCOL,
  CONNECTION_STATE,
  DESCRIPTOR_ADDRESS,
  DESCRIPTOR_LENGTH,
  DESTINATION_STATE_FLAGS,
  DESTINATION_WEIGHT,
  LINK_FILL_OUTSTANDING,
  LINK_FLAGS,
  LINK_FROM_HOST,
  LINK_PORT,
  PACKET_CONNECTION,
  PACKET_DESTINATION,
  PACKET_DESTINATION_PORT,
  PACKET_FAMILY,
  PACKET_FLAGS,
  PACKET_FRAGMENT_FIRST,
  PACKET_FRAGMENT_LATER,
  PACKET_FRAME,
  PACKET_IP_LENGTH,
  PACKET_LOCAL,
  PACKET_MARK,
  PACKET_NODE,
  PACKET_PORT,
  PACKET_PROTOCOL,
  PACKET_REASON,
  PACKET_SERVICE,
  PACKET_SIZE,
  PACKET_SOURCE_PORT,
  PACKET_START,
  PACKET_TCP_FLAGS,
  PACKET_TO_LOCAL,
  PACKET_WAITS_UNTIL,
  PORT_FLAGS,
  PORT_MAC,
  PORT_PARTIAL_CHECKSUMS,
  SERVICE_MARK,
  SERVICE_PORT,
  STATE_MASK,
  STATE_NO_OUTPUT,
  STATE_ONE_PACKET,
  SYSCTL_BACKUP_ONLY,
  SYSCTL_CACHE_BYPASS,
  SYSCTL_CONN_REUSE_MODE,
  SYSCTL_EXPIRE_NODEST_CONN,
  SYSCTL_NAT_ICMP_SEND,
  WORKER_LINK_COUNT,
  WORKER_PACKETS,
  WORKER_TURN_PACKETS,
} from './shared/layout.ts';
import {
  DESTINATION_AVAILABLE,
  SCTP_CLOSED,
  TCP_CLOSE,
  TCP_FIN_WAIT,
  TCP_TIME_WAIT,
} from './shared/codes.ts';
import { BURST_MAX } from './shared/limits.ts';
import { beginCapture, capturing, endCapture, resumeCapture } from './capture-tap.ts';
import { expireNow, finishOnePacket } from './connection.ts';
import { DIRECTION_IN, DIRECTION_OUT, stepState, touch } from './connection-state.ts';
import {
  chainOf,
  hashDestination,
  hashPacket,
  hashSource,
  lookupIn,
  lookupOut,
} from './connection-table.ts';
import { count, countIn, countMany, countOut } from './counters.ts';
import {
  fastPathServes,
  findConnections,
  forwardHits,
  frameLengthOf,
  frameOf,
  isFound,
} from './fast-path.ts';
import { forwardIn, forwardOut, forwardRouted } from './forward.ts';
import { gather } from './fragment-input.ts';
import { handleIcmp } from './icmp.ts';
import { decrementTimeToLive, lastsAnotherHop } from './hops.ts';
import { sendPortUnreachable } from './icmp-error.ts';
import {
  bank,
  cold,
  destination,
  destinationState,
  enabled,
  frames,
  hot,
  port,
  service,
  worker,
} from './instance.ts';
import { CHAIN_LOCKED } from './lock.ts';
import { completePartialChecksum, hasPartialChecksum, parse } from './parse.ts';
import { handleOwn } from './own-output.ts';
import { shouldRetry, takeWaiting } from './neighbour-queue.ts';
import { isRealServer } from './real-servers.ts';
import {
  link,
  noteReceiveWakeups,
  receivedDescriptor,
  receiveRing,
  recycleCompletions,
  refill,
  ringAvailable,
  ringRelease,
  submitTransmit,
} from './ring.ts';
import { isRequest, localFlags } from './route.ts';
import {
  SCHEDULE_LEAVE,
  SCHEDULE_PASS,
  makeBypass,
  tryToSchedule,
} from './schedule.ts';
import { FTP_PORT_BE, markOf } from './service-table.ts';
import { answersSip } from './sip.ts';
import { drop, pass } from './transmit.ts';
import { ethernetDestination, ethernetDestinationIsGroup, loadMac } from './wire/ethernet.ts';

const TCP_SYN: u32 = 0x02;
const TCP_RST: u32 = 0x04;
const SCTP_CHUNK_INIT: u32 = 1;
const SCTP_CHUNK_ABORT: u32 = 6;
/** The port of IKE, in network order: AH and ESP follow its connection. */
const ISAKMP_PORT_BE: u16 = 0xf401;

// @ts-ignore: decorator
@inline
function record(n: u32): usize {
  return worker + WORKER_PACKETS + <usize>n * PACKET_SIZE;
}

/** One turn over all links. @returns packets received */
export function runTurn(): u32 {
  const links = load<u32>(worker, WORKER_LINK_COUNT);
  let received: u32 = 0;
  for (let i: u32 = 0; i < links; i++) recycleCompletions(link(i));
  if (shouldRetry()) retryWaiting();
  for (let i: u32 = 0; i < links; i++) received += runLink(link(i));
  submitTransmit();
  for (let i: u32 = 0; i < links; i++) refill(link(i));
  noteReceiveWakeups();
  store<u32>(worker, received, WORKER_TURN_PACKETS);
  return received;
}

/** Leads the packets that wait for a neighbour through the steps again. */
function retryWaiting(): void {
  const packets = takeWaiting(record(0));
  for (let i: u32 = 0; i < packets; i++) {
    prepare(record(i));
    if (capturing) resumeCapture();
    decide(record(i));
    if (capturing) endCapture(record(i));
  }
}

/** Takes one burst from a link through all steps. */
function runLink(linkAt: usize): u32 {
  const ring = receiveRing(linkAt);
  const available = ringAvailable(ring);
  if (!available) return 0;
  const packets = available < BURST_MAX ? available : BURST_MAX;
  const portIndex = load<u8>(linkAt, LINK_PORT);
  const isHost = (load<u8>(linkAt, LINK_FLAGS) & <u8>LINK_FROM_HOST) != 0;
  // Of one packet alone no misses can overlap. Who captures sees what the steps note in the record.
  const isFast = packets > 1 && !(isHost || capturing) && fastPathServes();
  if (!isFast) touchFrames(ring, packets);
  const isDone = isFast && findConnections(ring, packets, port(portIndex));
  for (let i: u32 = 0; !isDone && i < packets; i++) {
    if (isFast && isFound(i)) continue;
    const descriptor = receivedDescriptor(ring, i);
    parseAndTouch(
      record(i),
      frames + <usize>load<u64>(descriptor, DESCRIPTOR_ADDRESS),
      load<u32>(descriptor, DESCRIPTOR_LENGTH),
      portIndex,
    );
  }
  ringRelease(ring, packets);
  store<u32>(linkAt, load<u32>(linkAt, LINK_FILL_OUTSTANDING) - packets, LINK_FILL_OUTSTANDING);
  countMany(COUNTER_RECEIVED, packets);
  if (!isDone) touchEntries(packets, isFast);
  if (isFast) {
    handleOthers(packets, portIndex);
    return packets;
  }
  if (capturing) {
    runCaptured(packets, isHost);
    return packets;
  }
  for (let i: u32 = 0; i < packets; i++) {
    if (isHost) handleOwn(record(i));
    else handle(record(i));
  }
  return packets;
}

/** The last step of runLink() while somebody captures. */
function runCaptured(packets: u32, isHost: bool): void {
  for (let i: u32 = 0; i < packets; i++) {
    beginCapture(record(i));
    if (isHost) handleOwn(record(i));
    else handle(record(i));
    endCapture(record(i));
  }
}

/** Forwards known connections' plain packets, and leads each of the others through the steps. */
function handleOthers(packets: u32, portIndex: u8): void {
  let done: u32 = 0;
  while (true) {
    done = forwardHits(done, packets);
    if (done == packets) return;
    if (isFound(done)) parseAndTouch(record(done), frameOf(done), frameLengthOf(done), portIndex);
    handle(record(done));
    done++;
  }
}

/** Touches the first line of each frame, which holds the headers, so that these misses overlap too. */
function touchFrames(ring: usize, packets: u32): void {
  let touched: u32 = 0;
  for (let i: u32 = 0; i < packets; i++) {
    const address = load<u64>(receivedDescriptor(ring, i), DESCRIPTOR_ADDRESS);
    touched ^= load<u32>(frames + <usize>address);
  }
  store<u32>(worker, touched, WORKER_TURN_PACKETS);
}

/** Parses a frame, hashes both its ends and touches the bucket of the end looked up first. */
function parseAndTouch(packet: usize, at: usize, length: u32, portIndex: u8): void {
  parse(packet, at, length, portIndex);
  store<u32>(packet, <u32>at, PACKET_FRAME);
  store<u64>(packet, 0, PACKET_WAITS_UNTIL);
  if (!(load<u32>(packet, PACKET_REASON) & 0xff)) prepare(packet);
}

/** Finds out whose the destination is, hashes the end that is looked up first, touches its bucket. */
// @ts-ignore: decorator
@inline
function prepare(packet: usize): void {
  const flags = localFlags(load<u8>(packet, PACKET_FAMILY), packet + PACKET_DESTINATION);
  store<i32>(packet, flags, PACKET_LOCAL);
  const hash = isRequest(flags) ? hashSource(packet) : hashDestination(packet);
  store<u32>(packet, load<u32>(chainOf(hash)), PACKET_NODE);
}

/**
 * Touches the first entry of each parsed packet's chain, so that the cache misses of a burst overlap.
 * @param isFast the packets whose connections are found already are not parsed
 */
function touchEntries(packets: u32, isFast: bool): void {
  let touched: u32 = 0;
  for (let i: u32 = 0; i < packets; i++) {
    if (isFast && isFound(i)) continue;
    const node = load<u32>(record(i), PACKET_NODE) & ~CHAIN_LOCKED;
    touched ^= load<u32>(hot(node >> 1));
  }
  // The sum goes where nobody looks, so that the loads are not optimised away.
  store<u32>(worker, touched, WORKER_TURN_PACKETS);
}

/** Leads one packet through the steps that depend on its connection. */
function handle(packet: usize): void {
  const reason = <u32>load<u8>(packet, PACKET_REASON);
  if (reason) {
    drop(packet, reason);
    return;
  }
  const way = port(load<u8>(packet, PACKET_PORT));
  const frame = load<u32>(packet, PACKET_START);
  if (ethernetDestination(frame) != loadMac(way + PORT_MAC)) {
    drop(packet, ethernetDestinationIsGroup(frame) ? DROP_MULTICAST_OR_BROADCAST : DROP_NOT_FOR_US);
    return;
  }
  if (load<u32>(way, PORT_FLAGS) & PORT_PARTIAL_CHECKSUMS && hasPartialChecksum(packet)) {
    completePartialChecksum(packet);
    count(COUNTER_CHECKSUMS_COMPLETED);
  }
  if (load<u16>(packet, PACKET_FLAGS) & <u16>(PACKET_FRAGMENT_FIRST | PACKET_FRAGMENT_LATER)) {
    if (!gather(packet)) return;
    // The whole datagram was parsed anew: what no fragment shows may be wrong with it.
    const wholeReason = <u32>load<u8>(packet, PACKET_REASON);
    if (wholeReason) {
      drop(packet, wholeReason);
      return;
    }
    prepare(packet);
  }
  decide(packet);
}

/** Local or foreign, ICMP or not: the hooks that the kernel's packet would pass. */
function decide(packet: usize): void {
  const family = <u32>load<u8>(packet, PACKET_FAMILY);
  const flags = load<i32>(packet, PACKET_LOCAL);
  let toLocal = flags >= 0;
  if (load<u32>(bank, BANK_MARK_COUNT)) {
    const mark = markOf(packet);
    store<u32>(packet, mark, PACKET_MARK);
    // A mark leads to the local stack (ip rule fwmark ... local), as LVS set-ups by mark have it.
    if (mark) toLocal = true;
  }
  if (toLocal) {
    const marks = load<u16>(packet, PACKET_FLAGS) | <u16>PACKET_TO_LOCAL;
    store<u16>(packet, marks, PACKET_FLAGS);
  }
  if (!enabled()) {
    leave(packet, toLocal);
    return;
  }
  const protocol = <u32>load<u8>(packet, PACKET_PROTOCOL);
  if (protocol == (family == FAMILY_IPV4 ? PROTOCOL_ICMP : PROTOCOL_ICMPV6)) {
    handleIcmp(packet, toLocal);
    return;
  }
  if (!isFollowed(protocol)) {
    leave(packet, toLocal);
    return;
  }
  if (protocol == PROTOCOL_AH || protocol == PROTOCOL_ESP) {
    followIsakmp(packet, toLocal);
    return;
  }
  if (isRequest(flags) || (toLocal && flags < 0)) {
    if (flags < 0) hashSource(packet);
    const index = load<u32>(bank, SYSCTL_BACKUP_ONLY) ? 0 : lookupIn(packet);
    if (index) {
      handleIn(packet, index);
      return;
    }
    hashDestination(packet);
  }
  const answered = lookupOut(packet);
  if (answered) handleOut(packet, answered);
  else handleUnknown(packet, toLocal);
}

// @ts-ignore: decorator
@inline
function isFollowed(protocol: u32): bool {
  return (
    protocol == PROTOCOL_TCP ||
    protocol == PROTOCOL_UDP ||
    protocol == PROTOCOL_SCTP ||
    protocol == PROTOCOL_AH ||
    protocol == PROTOCOL_ESP
  );
}

/** AH and ESP belong to the IKE connection between the same hosts (ip_vs_proto_ah_esp.c). */
function followIsakmp(packet: usize, toLocal: bool): void {
  const protocol = load<u8>(packet, PACKET_PROTOCOL);
  store<u8>(packet, <u8>PROTOCOL_UDP, PACKET_PROTOCOL);
  store<u16>(packet, ISAKMP_PORT_BE, PACKET_SOURCE_PORT);
  store<u16>(packet, ISAKMP_PORT_BE, PACKET_DESTINATION_PORT);
  hashPacket(packet);
  const answered = lookupOut(packet);
  const index = answered || !toLocal ? 0 : lookupIn(packet);
  store<u8>(packet, protocol, PACKET_PROTOCOL);
  if (answered) handleOut(packet, answered);
  else if (index) handleIn(packet, index);
  else leave(packet, toLocal);
}

/** Not IPVS's business: to the director's own stack, or routed on. */
function leave(packet: usize, toLocal: bool): void {
  if (toLocal) pass(packet);
  else forwardRouted(packet);
}

/** A packet that begins a connection by its kind: SYN, or SCTP INIT. */
// @ts-ignore: decorator
@inline
function begins(packet: usize): bool {
  const protocol = <u32>load<u8>(packet, PACKET_PROTOCOL);
  const kind = <u32>load<u8>(packet, PACKET_TCP_FLAGS);
  if (protocol == PROTOCOL_TCP) return (kind & TCP_SYN) != 0;
  return protocol == PROTOCOL_SCTP && kind == SCTP_CHUNK_INIT;
}

/** Whether a connection's state says that a new one from the same port is to be expected. */
function isOver(index: u32, mode: u32): bool {
  if (load<u32>(cold(index), COLD_CONTROLLER)) return false;
  const entry = hot(index);
  const word = load<u32>(entry, CONNECTION_STATE);
  const state = word & STATE_MASK;
  if (load<u8>(entry, CONNECTION_PROTOCOL) == <u8>PROTOCOL_SCTP) return state == SCTP_CLOSED;
  if (load<u8>(entry, CONNECTION_PROTOCOL) != <u8>PROTOCOL_TCP) return false;
  if (state == TCP_TIME_WAIT || state == TCP_CLOSE) return true;
  return (mode & 2) != 0 && state == TCP_FIN_WAIT && (word & STATE_NO_OUTPUT) != 0;
}

/** Whether a packet that begins a connection must not use the old one it found. */
function mustReschedule(index: u32): bool {
  const id = load<u32>(hot(index), CONNECTION_DESTINATION_ID);
  if (
    load<u32>(bank, SYSCTL_EXPIRE_NODEST_CONN) &&
    id != 0 &&
    load<i32>(destination(id), DESTINATION_WEIGHT) == 0
  ) {
    return true;
  }
  const mode = load<u32>(bank, SYSCTL_CONN_REUSE_MODE);
  return mode != 0 && isOver(index, mode);
}

/** A packet from a client whose connection is known. */
function handleIn(packet: usize, index: u32): void {
  if (begins(packet) && mustReschedule(index)) {
    if (!load<u32>(cold(index), COLD_CONTROLLED)) expireNow(index);
    handleNew(packet);
    return;
  }
  const id = load<u32>(hot(index), CONNECTION_DESTINATION_ID);
  if (id && !(load<u32>(destinationState(id), DESTINATION_STATE_FLAGS) & DESTINATION_AVAILABLE)) {
    if (!load<u32>(bank, SYSCTL_EXPIRE_NODEST_CONN)) {
      drop(packet, DROP_DESTINATION_UNAVAILABLE);
      return;
    }
    expireNow(index);
    handleNew(packet);
    return;
  }
  stepState(index, packet, DIRECTION_IN);
  proceedIn(packet, index);
  touch(index);
}

/** Counts and forwards: the same for a new connection's packet and for any later one. */
function proceedIn(packet: usize, index: u32): void {
  const entry = hot(index);
  store<u32>(packet, index, PACKET_CONNECTION);
  countIn(load<u32>(entry, CONNECTION_DESTINATION_ID), load<u32>(packet, PACKET_IP_LENGTH));
  forwardIn(packet, index);
  store<u32>(entry, load<u32>(entry, CONNECTION_IN_PACKETS) + 1, CONNECTION_IN_PACKETS);
}

/** A packet from a client that has no connection, or none that it may use. */
function handleNew(packet: usize): void {
  const index = tryToSchedule(packet);
  if (index < SCHEDULE_PASS) {
    finishNew(packet, index);
  } else if (index == SCHEDULE_PASS) {
    pass(packet);
  } else if (index == SCHEDULE_LEAVE) {
    handleNoDestination(packet);
  } else {
    drop(packet, index & 0xff);
  }
}

/** The first packet of a connection just made, whose state it has set already. */
function finishNew(packet: usize, index: u32): void {
  proceedIn(packet, index);
  if (!(load<u32>(hot(index), CONNECTION_STATE) & STATE_ONE_PACKET)) return;
  const template = load<u32>(cold(index), COLD_CONTROLLER);
  if (template) {
    const at = hot(template) + CONNECTION_IN_PACKETS;
    store<u32>(at, load<u32>(at) + 1);
  }
  finishOnePacket(index);
}

/** No destination for a new connection: bypass, the stack, or "port unreachable" (ip_vs_leave). */
function handleNoDestination(packet: usize): void {
  const config = service(load<u32>(packet, PACKET_SERVICE));
  if (load<u32>(bank, SYSCTL_CACHE_BYPASS) && load<u32>(config, SERVICE_MARK)) {
    if (load<i32>(packet, PACKET_LOCAL) < 0) {
      const index = makeBypass(packet);
      if (index) finishNew(packet, index);
      else drop(packet, DROP_NO_DESTINATION);
      return;
    }
  }
  const isFtp = load<u16>(config, SERVICE_PORT) == <u16>FTP_PORT_BE && !load<u32>(config, SERVICE_MARK);
  if (isFtp && load<u16>(packet, PACKET_DESTINATION_PORT) != <u16>FTP_PORT_BE) {
    pass(packet);
    return;
  }
  sendPortUnreachable(packet);
  drop(packet, DROP_NO_DESTINATION);
}

/** A packet from a real server whose connection is known (handle_response). */
function handleOut(packet: usize, index: u32): void {
  const entry = hot(index);
  store<u32>(packet, index, PACKET_CONNECTION);
  if (!forwardOut(packet, index)) return;
  // The length is the rewritten packet's: a helper may have changed it.
  countOut(load<u32>(entry, CONNECTION_DESTINATION_ID), load<u32>(packet, PACKET_IP_LENGTH));
  stepState(index, packet, DIRECTION_OUT);
  touch(index);
}

/** Neither direction knows the packet: a new connection, or none of ours. */
function handleUnknown(packet: usize, toLocal: bool): void {
  if (!toLocal && answersSip(packet)) return;
  if (load<u32>(bank, SYSCTL_NAT_ICMP_SEND) && isUnknownAnswer(packet)) {
    // The kernel asks after it has routed the packet, so a foreign one is a hop older by then.
    if (!toLocal) {
      if (!lastsAnotherHop(packet)) return;
      decrementTimeToLive(packet);
    }
    sendPortUnreachable(packet);
    drop(packet, DROP_NO_DESTINATION);
    return;
  }
  if (toLocal && !load<u32>(bank, SYSCTL_BACKUP_ONLY)) handleNew(packet);
  else leave(packet, toLocal);
}

/** nat_icmp_send: a real server's packet without a connection, unless it ends one itself. */
function isUnknownAnswer(packet: usize): bool {
  const protocol = <u32>load<u8>(packet, PACKET_PROTOCOL);
  const kind = <u32>load<u8>(packet, PACKET_TCP_FLAGS);
  if (protocol == PROTOCOL_TCP && kind & TCP_RST) return false;
  if (protocol == PROTOCOL_SCTP && kind == SCTP_CHUNK_ABORT) return false;
  return isRealServer(packet);
}
