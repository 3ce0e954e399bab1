// The state machines of TCP, SCTP and UDP connections, and what a change of state does to the
// destination's counts and to the timeout (ip_vs_proto_tcp.c, ip_vs_proto_sctp.c, ip_vs_proto_udp.c).

import {
  PROTOCOL_SCTP,
  PROTOCOL_TCP,
  PROTOCOL_UDP,
  SCTP_ESTABLISHED,
  SCTP_STATES,
  TCP_CLOSE,
  TCP_ESTABLISHED,
  TCP_STATES,
  TCP_SYNACK,
  TCP_SYN_RECV,
  TCP_SYN_SENT,
  TIMEOUT_FIRST_SECONDS,
} from './shared/codes.ts';
import {
  BANK_TIMEOUT_SCTP,
  BANK_TIMEOUT_TCP,
  BANK_TIMEOUT_UDP,
  CONNECTION_DESTINATION_ID,
  CONNECTION_LAST_SEEN,
  CONNECTION_STATE,
  CONNECTION_TIMEOUT,
  DESTINATION_STATE_ACTIVE,
  DESTINATION_STATE_INACTIVE,
  PACKET_PROTOCOL,
  PACKET_TCP_FLAGS,
  PACKET_TRANSPORT,
  STATE_DEAD,
  STATE_EXPIRING,
  STATE_INACTIVE,
  STATE_MASK,
  STATE_NO_OUTPUT,
  SYSCTL_SECURE_TCP,
} from './shared/layout.ts';
import { TICKS_PER_SECOND } from './shared/limits.ts';
import { assureTemplate, restartTimer, shortenTimer } from './connection.ts';
import { bank, destinationState, hot, now } from './instance.ts';
import { transportLength } from './parse.ts';
import { SCTP_CHUNK_NONE, sctpEventChunkType } from './wire/sctp.ts';

/** Direction of a packet: from the client, or from the real server. */
export const DIRECTION_IN: u32 = 0;
export const DIRECTION_OUT: u32 = 1;
/** From the client, and answers have not been seen (direct-route, tunnel). */
const DIRECTION_IN_ONLY: u32 = 2;

const TCP_EVENTS: u32 = 4;
const TCP_SYN: u32 = 0x02;
const TCP_FIN: u32 = 0x01;
const TCP_ACK: u32 = 0x10;
const TCP_RST: u32 = 0x04;

// The next state by direction, event and present state.
// prettier-ignore
const tcpTable = memory.data<u8>([
  // NO ES SS SR FW TW CL CW LA LI SA
  // in
  3, 1, 1, 3, 3, 3, 3, 3, 3, 3, 3, // syn
  6, 7, 2, 5, 5, 5, 6, 7, 8, 9, 5, // fin
  1, 1, 2, 1, 4, 5, 6, 7, 6, 9, 1, // ack
  6, 6, 6, 3, 6, 6, 6, 6, 8, 9, 3, // rst
  // out
  2, 1, 2, 3, 2, 2, 2, 2, 2, 9, 3, // syn
  5, 4, 2, 5, 4, 5, 6, 5, 8, 9, 5, // fin
  1, 1, 2, 1, 4, 5, 6, 7, 8, 1, 1, // ack
  6, 6, 2, 6, 6, 5, 6, 6, 6, 6, 6, // rst
  // in only
  3, 1, 1, 3, 3, 3, 3, 3, 3, 3, 3, // syn
  6, 4, 2, 5, 4, 5, 6, 7, 8, 9, 5, // fin
  1, 1, 2, 1, 4, 5, 6, 7, 6, 9, 1, // ack
  6, 6, 6, 3, 6, 6, 6, 6, 8, 9, 6, // rst
]);

// The same while secure_tcp is active (the kernel's tcp_states_dos).
// prettier-ignore
const tcpSecureTable = memory.data<u8>([
  // NO ES SS SR FW TW CL CW LA LI SA
  // in
  3, 1, 1, 3, 3, 3, 3, 3, 3, 3, 10, // syn
  6, 7, 2, 5, 5, 5, 6, 7, 8, 9, 10, // fin
  1, 1, 2, 3, 4, 5, 6, 7, 6, 9, 10, // ack
  6, 6, 6, 3, 6, 6, 6, 6, 8, 9, 6, // rst
  // out
  2, 1, 2, 10, 2, 2, 2, 2, 2, 9, 10, // syn
  5, 4, 2, 5, 4, 5, 6, 5, 8, 9, 5, // fin
  1, 1, 2, 1, 4, 5, 6, 7, 8, 1, 1, // ack
  6, 6, 2, 6, 6, 5, 6, 6, 6, 6, 6, // rst
  // in only
  10, 1, 1, 3, 10, 10, 10, 10, 10, 10, 10, // syn
  6, 4, 2, 5, 4, 5, 6, 7, 8, 9, 5, // fin
  1, 1, 2, 1, 4, 5, 6, 7, 6, 9, 1, // ack
  6, 6, 6, 3, 6, 6, 6, 6, 8, 9, 6, // rst
]);

const SCTP_EVENTS: u32 = 10;
const SCTP_EVENT_DATA: u32 = 0;

// prettier-ignore
const sctpTable = memory.data<u8>([
  // NO I1 IN CS CR CW CO CE ES SS SR SA RJ CL
  // in
  8, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, // data
  1, 2, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 2, 2, // init
  5, 5, 5, 3, 4, 6, 6, 7, 8, 9, 10, 11, 12, 13, // init ack
  4, 2, 2, 4, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, // cookie echo
  8, 1, 2, 3, 4, 5, 6, 8, 8, 9, 10, 11, 12, 13, // cookie ack
  10, 1, 2, 3, 4, 5, 6, 7, 10, 9, 10, 11, 12, 13, // shutdown
  13, 2, 2, 3, 4, 5, 6, 7, 8, 13, 10, 13, 12, 13, // shutdown ack
  13, 13, 13, 3, 4, 5, 6, 7, 8, 9, 10, 13, 12, 13, // shutdown complete
  13, 1, 2, 3, 4, 5, 6, 13, 8, 9, 10, 11, 12, 13, // error
  13, 13, 13, 13, 13, 12, 13, 13, 13, 13, 13, 13, 13, 13, // abort
  // out
  8, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, // data
  5, 5, 5, 5, 5, 5, 5, 5, 8, 5, 5, 5, 5, 5, // init
  3, 3, 3, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, // init ack
  7, 7, 7, 7, 7, 7, 7, 7, 8, 9, 10, 11, 12, 13, // cookie echo
  8, 8, 8, 8, 8, 8, 8, 8, 8, 9, 10, 11, 12, 13, // cookie ack
  9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 10, 11, 12, 13, // shutdown
  11, 11, 11, 11, 11, 5, 6, 7, 8, 11, 11, 11, 12, 13, // shutdown ack
  13, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, // shutdown complete
  13, 13, 13, 13, 13, 5, 6, 7, 8, 9, 10, 11, 12, 13, // error
  13, 12, 13, 13, 13, 13, 13, 13, 13, 13, 13, 13, 13, 13, // abort
  // in only
  8, 1, 2, 3, 4, 8, 6, 7, 8, 9, 10, 11, 12, 13, // data
  1, 2, 2, 2, 2, 2, 6, 7, 8, 9, 10, 11, 2, 2, // init
  7, 7, 7, 7, 7, 7, 6, 7, 8, 9, 10, 11, 12, 13, // init ack
  8, 8, 8, 8, 8, 8, 6, 7, 8, 9, 10, 11, 12, 13, // cookie echo
  8, 1, 2, 8, 8, 5, 8, 8, 8, 9, 10, 11, 12, 13, // cookie ack
  10, 1, 2, 3, 4, 5, 6, 7, 10, 9, 10, 11, 12, 13, // shutdown
  13, 2, 2, 3, 4, 5, 6, 7, 13, 13, 10, 13, 12, 13, // shutdown ack
  13, 13, 13, 13, 13, 5, 6, 7, 8, 9, 13, 13, 12, 13, // shutdown complete
  13, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, // error
  13, 13, 13, 13, 13, 12, 13, 13, 13, 13, 13, 13, 13, 13, // abort
]);

// Event by chunk type 0..14: DATA INIT INIT_ACK SACK HEARTBEAT HEARTBEAT_ACK ABORT SHUTDOWN
// SHUTDOWN_ACK ERROR COOKIE_ECHO COOKIE_ACK ECNE CWR SHUTDOWN_COMPLETE.
const sctpEvents = memory.data<u8>([0, 1, 2, 0, 0, 0, 9, 5, 6, 8, 3, 4, 0, 0, 7]);
const SCTP_EVENT_CHUNKS: u32 = 15;

/** Event of TCP flags by precedence, or -1 when no flag says anything. */
// @ts-ignore: decorator
@inline
function tcpEvent(flags: u32): i32 {
  if (flags & TCP_RST) return 3;
  if (flags & TCP_SYN) return 0;
  if (flags & TCP_FIN) return 1;
  if (flags & TCP_ACK) return 2;
  return -1;
}

// @ts-ignore: decorator
@inline
function tcpIsActive(state: u32): bool {
  return (
    state == TCP_ESTABLISHED || state == TCP_SYN_SENT || state == TCP_SYN_RECV || state == TCP_SYNACK
  );
}

/** The direction the tables are read with; the first answer seen clears the "no output" flag. */
// @ts-ignore: decorator
@inline
function tableDirection(direction: u32, state: u32): u32 {
  return state & STATE_NO_OUTPUT && direction == DIRECTION_IN ? DIRECTION_IN_ONLY : direction;
}

function nextTcpState(direction: u32, event: i32, state: u32): u32 {
  if (event < 0) return TCP_CLOSE;
  const table = load<u32>(bank, SYSCTL_SECURE_TCP) > 1 ? tcpSecureTable : tcpTable;
  return load<u8>(table + (direction * TCP_EVENTS + <u32>event) * TCP_STATES + state);
}

function nextSctpState(direction: u32, event: u32, state: u32): u32 {
  return load<u8>(sctpTable + (direction * SCTP_EVENTS + event) * SCTP_STATES + state);
}

/** Event of a packet's chunks, or SCTP_CHUNK_NONE when it has none: the state stays then. */
function sctpEvent(packet: usize): u32 {
  const chunk = sctpEventChunkType(load<u32>(packet, PACKET_TRANSPORT), transportLength(packet));
  if (chunk == SCTP_CHUNK_NONE) return chunk;
  return chunk < SCTP_EVENT_CHUNKS ? load<u8>(sctpEvents + chunk) : SCTP_EVENT_DATA;
}

/** Moves a connection between its destination's active and inactive counts. */
function recount(index: u32, becomesActive: bool): void {
  const id = load<u32>(hot(index), CONNECTION_DESTINATION_ID);
  if (!id) return;
  const counts = destinationState(id);
  const more = becomesActive ? DESTINATION_STATE_ACTIVE : DESTINATION_STATE_INACTIVE;
  const less = becomesActive ? DESTINATION_STATE_INACTIVE : DESTINATION_STATE_ACTIVE;
  atomic.add<u32>(counts + more, 1);
  atomic.sub<u32>(counts + less, 1);
}

/**
 * Stores a new state word. Two workers may see packets of one connection at the same time: the one
 * whose compare-and-swap wins does the counting; the other begins anew with the state it finds.
 * @returns whether it won
 */
function changeState(index: u32, before: u32, next: u32, isActive: bool, isEstablished: bool): bool {
  let after = (before & ~STATE_MASK) | next;
  const hasDestination = load<u32>(hot(index), CONNECTION_DESTINATION_ID) != 0;
  const wasInactive = (before & STATE_INACTIVE) != 0;
  if (hasDestination) {
    if (isActive) after &= ~STATE_INACTIVE;
    else after |= STATE_INACTIVE;
  }
  const at = hot(index) + CONNECTION_STATE;
  if (atomic.cmpxchg<u32>(at, before, after) != before) return false;
  if (hasDestination && wasInactive == isActive) recount(index, isActive);
  if (isEstablished) assureTemplate(index);
  return true;
}

/** Clears what a packet from the real server clears. */
function noteAnswer(index: u32, direction: u32): u32 {
  const at = hot(index) + CONNECTION_STATE;
  const state = load<u32>(at);
  if (direction == DIRECTION_OUT && state & STATE_NO_OUTPUT) {
    atomic.and<u32>(at, ~STATE_NO_OUTPUT);
    return state & ~STATE_NO_OUTPUT;
  }
  return state;
}

function stepTcp(index: u32, packet: usize, direction: u32): u32 {
  const event = tcpEvent(load<u8>(packet, PACKET_TCP_FLAGS));
  while (true) {
    const directionOf = tableDirection(direction, load<u32>(hot(index), CONNECTION_STATE));
    const state = noteAnswer(index, direction);
    const next = nextTcpState(directionOf, event, state & STATE_MASK);
    if (next != (state & STATE_MASK) && !(state & STATE_DEAD)) {
      if (!changeState(index, state, next, tcpIsActive(next), next == TCP_ESTABLISHED)) continue;
    }
    return load<u32>(bank + BANK_TIMEOUT_TCP + (next << 2));
  }
}

function stepSctp(index: u32, packet: usize, direction: u32): u32 {
  const event = sctpEvent(packet);
  if (event == SCTP_CHUNK_NONE) return load<u32>(hot(index), CONNECTION_TIMEOUT);
  while (true) {
    const directionOf = tableDirection(direction, load<u32>(hot(index), CONNECTION_STATE));
    const state = noteAnswer(index, direction);
    const next = nextSctpState(directionOf, event, state & STATE_MASK);
    if (next != (state & STATE_MASK) && !(state & STATE_DEAD)) {
      const established = next == SCTP_ESTABLISHED;
      if (!changeState(index, state, next, established, established)) continue;
    }
    return load<u32>(bank + BANK_TIMEOUT_SCTP + (next << 2));
  }
}

/**
 * The state that the packet which begins a connection leads to, as stepState() would find it.
 * @returns the state, and STATE_INACTIVE unless its destination counts it as active
 */
export function firstState(packet: usize, hasAnswers: bool): u32 {
  const protocol = <u32>load<u8>(packet, PACKET_PROTOCOL);
  const direction = hasAnswers ? DIRECTION_IN : DIRECTION_IN_ONLY;
  if (protocol == PROTOCOL_TCP) {
    const state = nextTcpState(direction, tcpEvent(load<u8>(packet, PACKET_TCP_FLAGS)), 0);
    return tcpIsActive(state) ? state : state | STATE_INACTIVE;
  }
  if (protocol != PROTOCOL_SCTP) return STATE_INACTIVE;
  const event = sctpEvent(packet);
  if (event == SCTP_CHUNK_NONE) return STATE_INACTIVE;
  const state = nextSctpState(direction, event, 0);
  return state == SCTP_ESTABLISHED ? state : state | STATE_INACTIVE;
}

/** The timeout, in ticks, of what firstState() has found. */
export function firstTimeout(packet: usize, first: u32): u32 {
  const protocol = <u32>load<u8>(packet, PACKET_PROTOCOL);
  const state = first & STATE_MASK;
  if (protocol == PROTOCOL_TCP) return load<u32>(bank + BANK_TIMEOUT_TCP + (state << 2));
  if (protocol == PROTOCOL_UDP) return load<u32>(bank, BANK_TIMEOUT_UDP);
  if (state) return load<u32>(bank + BANK_TIMEOUT_SCTP + (state << 2));
  return TIMEOUT_FIRST_SECONDS * TICKS_PER_SECOND;
}

/** Whether what firstState() has found is an established connection. */
export function isEstablished(packet: usize, first: u32): bool {
  const protocol = <u32>load<u8>(packet, PACKET_PROTOCOL);
  if (protocol == PROTOCOL_TCP) return (first & STATE_MASK) == TCP_ESTABLISHED;
  return protocol == PROTOCOL_SCTP && (first & STATE_MASK) == SCTP_ESTABLISHED;
}

/** Notes a packet's effect on its connection's state, and the timeout that follows from it. */
export function stepState(index: u32, packet: usize, direction: u32): void {
  const protocol = <u32>load<u8>(packet, PACKET_PROTOCOL);
  let timeout: u32;
  if (protocol == PROTOCOL_TCP) {
    timeout = stepTcp(index, packet, direction);
  } else if (protocol == PROTOCOL_UDP) {
    timeout = load<u32>(bank, BANK_TIMEOUT_UDP);
    if (direction == DIRECTION_OUT) assureTemplate(index);
  } else if (protocol == PROTOCOL_SCTP) {
    timeout = stepSctp(index, packet, direction);
  } else {
    return;
  }
  const entry = hot(index);
  const before = load<u32>(entry, CONNECTION_TIMEOUT);
  if (timeout == before) return;
  store<u32>(entry, timeout, CONNECTION_TIMEOUT);
  store<u32>(entry, now, CONNECTION_LAST_SEEN);
  if (timeout < before) shortenTimer(index);
}

/** Restarts a connection's timer: its newest packet was seen now (ip_vs_conn_put). */
// @ts-ignore: decorator
@inline
export function touch(index: u32): void {
  const entry = hot(index);
  if (load<u32>(entry, CONNECTION_STATE) & STATE_EXPIRING) restartTimer(index);
  else store<u32>(entry, now, CONNECTION_LAST_SEEN);
}
