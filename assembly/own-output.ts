// What the director itself sends passes IPVS too (the LOCAL_OUT hook): an error about a direct-route
// or tunnel connection's packet comes from the virtual address and counts as an answer, a reset
// from there ends the connection.

import {
  FORWARD_NAT,
  PROTOCOL_ICMP,
  PROTOCOL_ICMPV6,
} from './shared/codes.ts';
import {
  CONNECTION_DESTINATION_ID,
  CONNECTION_STATE,
  PACKET_DESTINATION,
  PACKET_FAMILY,
  PACKET_ICMP_ERROR,
  PACKET_FLAGS,
  PACKET_IP_LENGTH,
  PACKET_PROTOCOL,
  PACKET_REASON,
  PACKET_SIZE,
  PACKET_TCP_FLAGS,
  PACKET_TRANSPORT,
  WORKER_SCRATCH,
} from './shared/layout.ts';
import { answersPass, forwardingOf } from './connection.ts';
import { DIRECTION_OUT, stepState, touch } from './connection-state.ts';
import { hashDestination, hashPacket, lookupOut } from './connection-table.ts';
import { countOut } from './counters.ts';
import { rewriteFromVirtual } from './forward/nat.ts';
import { invert } from './icmp.ts';
import { enabled, hot, worker } from './instance.ts';
import { parseQuoted, transportLength } from './parse.ts';
import { resolve } from './route.ts';
import { drop, transmit } from './transmit.ts';
import { ICMP_SIZE } from './wire/icmp.ts';
import { TCP_ACK, TCP_RST } from './wire/tcp.ts';

/** Record of the packet that an own error quotes, or of an own reset. */
const OWN: u32 = WORKER_SCRATCH + 7424;

// @ts-ignore: decorator
@inline
function methodOf(index: u32): u32 {
  return forwardingOf(load<u32>(hot(index), CONNECTION_STATE));
}

/** An own ICMP error of `total` bytes goes out, about `length` bytes of a packet at `quoted`. */
export function noteOwnError(family: u32, quoted: usize, length: u32, total: u32): void {
  if (!enabled()) return;
  const record = worker + OWN;
  parseQuoted(record, quoted, length, family);
  if (load<u8>(record, PACKET_REASON)) return;
  invert(record);
  hashPacket(record);
  const index = lookupOut(record);
  if (!index) return;
  if (answersPass(methodOf(index))) return;
  countOut(load<u32>(hot(index), CONNECTION_DESTINATION_ID), total);
}

/** An own reset goes out, in answer to a packet. */
export function noteOwnReset(packet: usize, total: u32): void {
  if (!enabled()) return;
  const record = worker + OWN;
  memory.copy(record, packet, PACKET_SIZE);
  invert(record);
  store<u8>(record, <u8>(TCP_RST | TCP_ACK), PACKET_TCP_FLAGS);
  hashPacket(record);
  noteAnswer(record, lookupOut(record), total);
}

/** Counts a packet of our own as an answer of a connection, and lets it change the state. */
function noteAnswer(record: usize, index: u32, total: u32): void {
  if (!index) return;
  countOut(load<u32>(hot(index), CONNECTION_DESTINATION_ID), total);
  stepState(index, record, DIRECTION_OUT);
  touch(index);
}

/** A frame of the director's own stack: IPVS looks at it, then it is routed out. */
export function handleOwn(packet: usize): void {
  const reason = <u32>load<u8>(packet, PACKET_REASON);
  if (reason) {
    drop(packet, reason);
    return;
  }
  const family = <u32>load<u8>(packet, PACKET_FAMILY);
  const protocol = <u32>load<u8>(packet, PACKET_PROTOCOL);
  if (enabled()) {
    if (load<u16>(packet, PACKET_FLAGS) & <u16>PACKET_ICMP_ERROR) {
      const message: usize = load<u32>(packet, PACKET_TRANSPORT);
      const length = transportLength(packet) - ICMP_SIZE;
      noteOwnError(family, message + ICMP_SIZE, length, load<u32>(packet, PACKET_IP_LENGTH));
    } else if (protocol != PROTOCOL_ICMP && protocol != PROTOCOL_ICMPV6) {
      hashDestination(packet);
      const index = lookupOut(packet);
      if (index && methodOf(index) == FORWARD_NAT) rewriteFromVirtual(packet, index);
      noteAnswer(packet, index, load<u32>(packet, PACKET_IP_LENGTH));
    }
  }
  transmit(packet, family, resolve(family, packet + PACKET_DESTINATION));
}
