// What the director's own stack would answer to a packet of a service's port that IPVS leaves to it.
// A frame that AF_XDP has taken cannot be given back to the kernel, so the data plane answers as the
// kernel does for a port on which nobody listens: TCP with a reset (RFC 9293 3.10.7.1), UDP and
// others with an ICMP error. Replay has a simulated host at the exception link and does not come here.

import {
  FAMILY_IPV4,
  PROTOCOL_SCTP,
  PROTOCOL_TCP,
  PROTOCOL_UDP,
} from './shared/codes.ts';
import {
  COUNTER_RESETS_SENT,
  DROP_NO_EXCEPTION_PATH,
  DROP_NO_FREE_FRAME,
  DROP_RESET_WITHOUT_CONNECTION,
} from './shared/counters.ts';
import {
  PACKET_DESTINATION,
  PACKET_DESTINATION_PORT,
  PACKET_FAMILY,
  PACKET_PROTOCOL,
  PACKET_SOURCE,
  PACKET_SOURCE_PORT,
  PACKET_TCP_FLAGS,
  PACKET_TRANSPORT,
} from './shared/layout.ts';
import { FRAME_HEADROOM } from './shared/limits.ts';
import { count } from './counters.ts';
import { buildIpv4, buildIpv6, sendPortUnreachable } from './icmp-error.ts';
import { transportLength } from './parse.ts';
import { noteOwnReset } from './own-output.ts';
import { takeFrame } from './ring.ts';
import { HOP_MAX, reachable, resolve } from './route.ts';
import { drop, sendFrame } from './transmit.ts';
import { pseudoHeaderSumIpv4, pseudoHeaderSumIpv6 } from './wire/checksum.ts';
import { ETHERNET_SIZE } from './wire/ethernet.ts';
import {
  IPV4_DONT_FRAGMENT_BE,
  IPV4_SIZE,
  fillIpv4Checksum,
  setIpv4FragmentFieldBe,
  setIpv4IdentificationBe,
} from './wire/ipv4.ts';
import { IPV6_SIZE, ipv6DestinationAt, ipv6SourceAt } from './wire/ipv6.ts';
import {
  TCP_ACK,
  TCP_FIN,
  TCP_RST,
  TCP_SIZE,
  TCP_SYN,
  fillTcpChecksum,
  setTcpAcknowledgement,
  setTcpDestinationPortBe,
  setTcpFlags,
  setTcpHeaderLength,
  setTcpSequence,
  setTcpSourcePortBe,
  setTcpUrgent,
  setTcpWindow,
  tcpAcknowledgement,
  tcpHeaderLength,
  tcpSequence,
} from './wire/tcp.ts';

/** Answers in the place of the director's stack, and drops the packet. */
export function answerAsHost(packet: usize): void {
  const protocol = <u32>load<u8>(packet, PACKET_PROTOCOL);
  if (!load<u32>(packet, PACKET_TRANSPORT)) {
    drop(packet, DROP_NO_EXCEPTION_PATH);
  } else if (protocol == PROTOCOL_TCP) {
    answerTcp(packet);
  } else if (protocol == PROTOCOL_UDP || protocol == PROTOCOL_SCTP) {
    sendPortUnreachable(packet);
    drop(packet, DROP_NO_EXCEPTION_PATH);
  } else {
    drop(packet, DROP_NO_EXCEPTION_PATH);
  }
}

/** A reset answers everything but a reset. */
function answerTcp(packet: usize): void {
  if (load<u8>(packet, PACKET_TCP_FLAGS) & <u8>TCP_RST) {
    drop(packet, DROP_RESET_WITHOUT_CONNECTION);
    return;
  }
  sendReset(packet);
  drop(packet, DROP_NO_EXCEPTION_PATH);
}

/** Writes the reset's TCP header: by the rules of RFC 9293 3.5.2 for a closed connection. */
function buildReset(at: usize, packet: usize): void {
  const transport: usize = load<u32>(packet, PACKET_TRANSPORT);
  const flags = <u32>load<u8>(packet, PACKET_TCP_FLAGS);
  setTcpSourcePortBe(at, load<u16>(packet, PACKET_DESTINATION_PORT));
  setTcpDestinationPortBe(at, load<u16>(packet, PACKET_SOURCE_PORT));
  setTcpHeaderLength(at, TCP_SIZE);
  setTcpWindow(at, 0);
  setTcpUrgent(at, 0);
  if (flags & TCP_ACK) {
    setTcpSequence(at, tcpAcknowledgement(transport));
    setTcpAcknowledgement(at, 0);
    setTcpFlags(at, TCP_RST);
    return;
  }
  const payload = transportLength(packet) - tcpHeaderLength(transport);
  const controls = u32((flags & TCP_SYN) != 0) + u32((flags & TCP_FIN) != 0);
  setTcpSequence(at, 0);
  setTcpAcknowledgement(at, tcpSequence(transport) + payload + controls);
  setTcpFlags(at, TCP_RST | TCP_ACK);
}

function sendReset(packet: usize): void {
  const family = <u32>load<u8>(packet, PACKET_FAMILY);
  const hop = resolve(family, packet + PACKET_SOURCE);
  if (hop > HOP_MAX || !reachable(hop)) return;
  const frame = takeFrame();
  if (!frame) {
    count(DROP_NO_FREE_FRAME);
    return;
  }
  const network = frame + FRAME_HEADROOM + ETHERNET_SIZE;
  const source = packet + PACKET_DESTINATION;
  const receiver = packet + PACKET_SOURCE;
  const headerLength: u32 = family == FAMILY_IPV4 ? IPV4_SIZE : IPV6_SIZE;
  const segment = network + headerLength;
  buildReset(segment, packet);
  let pseudo: u32;
  if (family == FAMILY_IPV4) {
    buildIpv4(network, source, receiver, PROTOCOL_TCP, IPV4_SIZE + TCP_SIZE, 0);
    setIpv4FragmentFieldBe(network, IPV4_DONT_FRAGMENT_BE);
    setIpv4IdentificationBe(network, 0);
    fillIpv4Checksum(network, IPV4_SIZE);
    pseudo = pseudoHeaderSumIpv4(load<u32>(source), load<u32>(receiver), PROTOCOL_TCP, TCP_SIZE);
  } else {
    buildIpv6(network, source, receiver, PROTOCOL_TCP, TCP_SIZE);
    pseudo = pseudoHeaderSumIpv6(ipv6SourceAt(network), ipv6DestinationAt(network), PROTOCOL_TCP, TCP_SIZE);
  }
  fillTcpChecksum(segment, TCP_SIZE, pseudo);
  noteOwnReset(packet, headerLength + TCP_SIZE);
  if (sendFrame(network, headerLength + TCP_SIZE, family, hop)) count(COUNTER_RESETS_SENT);
}
