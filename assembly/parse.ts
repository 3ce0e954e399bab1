// From a received frame to a packet record (shared/layout.ts, PACKET_*). Every length is checked
// here, once; what the record says afterwards, the rest of the data plane believes:
//
//   * the IP header with its options or extension headers is inside the frame, and PACKET_IP_LENGTH
//     bytes from PACKET_NETWORK on are too; Ethernet padding is not counted;
//   * PACKET_TRANSPORT, when not 0, is followed by a whole TCP header with its options, or by 8
//     bytes of UDP or ICMP, 12 of SCTP; for other protocols by nothing in particular;
//   * a first fragment has at least 8 bytes there, whatever the protocol, and a later one none.
//
// Writing a length field of a packet voids this proof.
//
// The rules are those of Linux's ip_rcv_core and ip6_rcv_core, then IPVS's own: a UDP length field
// is not looked at, and IPv4 options are allowed. What is refused carries a DROP_* reason.
//
//              not IP, IPv4 with options, fragments, IPv6
//   parse ──┬──────────────────────────────────────────────▶ parseOther ─▶ parseIpv4 / parseIpv6
//           └─▶ plain IPv4 with TCP or UDP: straight on         (the same steps, all cases)

import {
  FAMILY_IPV4,
  FAMILY_IPV6,
  PROTOCOL_ICMP,
  PROTOCOL_ICMPV6,
  PROTOCOL_SCTP,
  PROTOCOL_TCP,
  PROTOCOL_UDP,
} from './shared/codes.ts';
import {
  DROP_FRAME_TOO_SHORT,
  DROP_ICMP_TOO_SHORT,
  DROP_IPV4_CHECKSUM,
  DROP_IPV4_HEADER_TOO_SHORT,
  DROP_IPV4_LENGTH,
  DROP_IPV4_VERSION,
  DROP_IPV6_EXTENSION_HEADERS,
  DROP_IPV6_HEADER_TOO_SHORT,
  DROP_IPV6_LENGTH,
  DROP_NOT_IP,
  DROP_SCTP_HEADER_TOO_SHORT,
  DROP_TCP_HEADER_TOO_SHORT,
  DROP_UDP_HEADER_TOO_SHORT,
} from './shared/counters.ts';
import {
  PACKET_DESTINATION,
  PACKET_FAMILY,
  PACKET_FLAGS,
  PACKET_FRAGMENT_FIRST,
  PACKET_FRAGMENT_LATER,
  PACKET_HASH,
  PACKET_HEADER_LENGTH,
  PACKET_ICMP_ERROR,
  PACKET_IP_LENGTH,
  PACKET_LENGTH,
  PACKET_MARK,
  PACKET_MORE_FRAGMENTS,
  PACKET_NETWORK,
  PACKET_PARTS,
  PACKET_PROTOCOL,
  PACKET_REASON,
  PACKET_SOURCE,
  PACKET_SOURCE_PORT,
  PACKET_START,
  PACKET_TRANSPORT,
} from './shared/layout.ts';
import {
  completeChecksum,
  isPartialChecksum,
  pseudoHeaderSumIpv4,
  pseudoHeaderSumIpv6,
} from './wire/checksum.ts';
import {
  ETHERNET_SIZE,
  ETHERNET_TYPE_IPV4_BE,
  ETHERNET_TYPE_IPV6_BE,
  ethernetIsWhole,
  ethernetTypeBe,
} from './wire/ethernet.ts';
import { ICMP_SIZE, icmpType, icmpTypeIsError, icmpv6TypeIsError } from './wire/icmp.ts';
import {
  IPV4_FRAGMENT_OFFSET_BE,
  IPV4_FRAGMENTED_BE,
  IPV4_MORE_FRAGMENTS_BE,
  IPV4_PLAIN,
  IPV4_SIZE,
  ipv4ChecksumIsSound,
  ipv4DestinationBe,
  ipv4FragmentFieldBe,
  ipv4HeaderLength,
  ipv4IsWhole,
  ipv4PlainChecksumIsSound,
  ipv4Protocol,
  ipv4SourceBe,
  ipv4TotalLength,
  ipv4Version,
  ipv4VersionAndLength,
} from './wire/ipv4.ts';
import {
  IPV6_SIZE,
  IPV6_WALK_MALFORMED,
  ipv6DestinationAt,
  ipv6FragmentOffset,
  ipv6IsExtension,
  ipv6IsWhole,
  ipv6MoreFragments,
  ipv6NextHeader,
  ipv6PayloadLength,
  ipv6SourceAt,
  ipv6Version,
  walkFragmentOffset,
  walkIpv6,
  walkUpperOffset,
  walkUpperProtocol,
} from './wire/ipv6.ts';
import {
  fillSctpChecksum,
  sctpChecksum,
  sctpComputeChecksum,
  sctpFirstChunkType,
  sctpIsWhole,
} from './wire/sctp.ts';
import { TCP_CHECKSUM, tcpFlags, tcpIsWhole } from './wire/tcp.ts';
import { UDP_CHECKSUM, udpIsWhole } from './wire/udp.ts';

/** What every first fragment and every quoted packet has of its transport header at least. */
const TRANSPORT_BYTES_MIN: u32 = 8;
/** A quoted packet names its connection by its ports, which is all that IPVS asks for. */
const QUOTED_TRANSPORT_BYTES_MIN: u32 = 4;
/** TCP's flags are the header's 14th byte. */
const TCP_BYTES_WITH_FLAGS: u32 = 14;

/**
 * Parses the frame of `length` bytes whose Ethernet header is at `at`, received on `port`, into
 * the record at `packet`. PACKET_FRAME is the caller's; PACKET_HASH to PACKET_FRAGMENT_MAX are
 * cleared, the addresses excepted: only the first words of IPv4's are written.
 */
export function parse(packet: usize, at: usize, length: u32, port: u8): void {
  store<u32>(packet, <u32>at, PACKET_START);
  store<u32>(packet, length, PACKET_LENGTH);
  store<u64>(packet, 0, PACKET_HASH);
  store<u32>(packet, 0, PACKET_MARK);
  v128.store(packet, i64x2.splat(0), PACKET_PARTS);

  const network = at + ETHERNET_SIZE;
  if (
    length < ETHERNET_SIZE + IPV4_SIZE ||
    ethernetTypeBe(at) != ETHERNET_TYPE_IPV4_BE ||
    ipv4VersionAndLength(network) != IPV4_PLAIN ||
    (ipv4FragmentFieldBe(network) & IPV4_FRAGMENTED_BE) != 0
  ) {
    parseOther(packet, at, length, port);
    return;
  }
  if (!ipv4PlainChecksumIsSound(network)) {
    refuse(packet, network, port, DROP_IPV4_CHECKSUM);
    return;
  }
  const ipLength = ipv4TotalLength(network);
  if (ipLength > length - ETHERNET_SIZE || ipLength < IPV4_SIZE) {
    refuse(packet, network, port, DROP_IPV4_LENGTH);
    return;
  }
  setAddressesIpv4(packet, network);
  const protocol = ipv4Protocol(network);
  setNetwork(packet, network, ipLength, IPV4_SIZE);
  parseTransport(packet, network, IPV4_SIZE, ipLength, FAMILY_IPV4, protocol, port, 0);
}

/**
 * Parses the packet that an ICMP error quotes, at `innerAt`, of which `available` bytes are there,
 * into another record. Only what is there is claimed, whatever the quoted lengths say, some of
 * which a host on the way may have swapped: PACKET_IP_LENGTH is the quote's length. The transport
 * header may be cut down to 4 bytes: the ports are good then, and PACKET_TCP_FLAGS is 0. The IP
 * checksum is not verified, because the quoting router has changed it. PACKET_START and
 * PACKET_LENGTH are the quote's too.
 */
export function parseQuoted(packet: usize, innerAt: usize, available: u32, family: u32): void {
  store<u32>(packet, <u32>innerAt, PACKET_START);
  store<u32>(packet, available, PACKET_LENGTH);
  store<u64>(packet, 0, PACKET_HASH);
  store<u32>(packet, 0, PACKET_MARK);
  v128.store(packet, i64x2.splat(0), PACKET_PARTS);
  if (family == FAMILY_IPV4) {
    parseQuotedIpv4(packet, innerAt, available);
  } else {
    parseQuotedIpv6(packet, innerAt, available);
  }
}

// ---- partial checksums

/**
 * Whether the packet's transport checksum was left to a device (isPartialChecksum says how this is
 * seen; for SCTP such a field holds 0). Only for a record that was parsed without a reason; never
 * true for a fragment, whose checksum covers bytes that are elsewhere.
 */
export function hasPartialChecksum(packet: usize): bool {
  const transport: usize = load<u32>(packet, PACKET_TRANSPORT);
  const fragment: u32 = PACKET_FRAGMENT_FIRST | PACKET_FRAGMENT_LATER;
  if (transport == 0 || (load<u16>(packet, PACKET_FLAGS) & fragment) != 0) return false;
  const length = transportLength(packet);
  const protocol: u32 = load<u8>(packet, PACKET_PROTOCOL);
  if (protocol == PROTOCOL_TCP) {
    return isPartialChecksum(transport, length, TCP_CHECKSUM, pseudoHeaderSum(packet));
  }
  if (protocol == PROTOCOL_UDP) {
    return isPartialChecksum(transport, length, UDP_CHECKSUM, pseudoHeaderSum(packet));
  }
  if (protocol == PROTOCOL_SCTP) {
    return sctpChecksum(transport) == 0 && sctpComputeChecksum(transport, length) != 0;
  }
  return false;
}

/** Completes the checksum of a packet for which hasPartialChecksum holds. */
export function completePartialChecksum(packet: usize): void {
  const transport: usize = load<u32>(packet, PACKET_TRANSPORT);
  const length = transportLength(packet);
  const protocol: u32 = load<u8>(packet, PACKET_PROTOCOL);
  if (protocol == PROTOCOL_TCP) {
    completeChecksum(transport, length, TCP_CHECKSUM);
  } else if (protocol == PROTOCOL_UDP) {
    completeChecksum(transport, length, UDP_CHECKSUM);
  } else {
    fillSctpChecksum(transport, length);
  }
}

/** Bytes from the transport header to the end of the IP packet. */
// @ts-ignore: decorator
@inline
export function transportLength(packet: usize): u32 {
  return load<u32>(packet, PACKET_IP_LENGTH) - load<u32>(packet, PACKET_HEADER_LENGTH);
}

/** The folded pseudo-header sum of a parsed packet, from its record's addresses and lengths. */
export function pseudoHeaderSum(packet: usize): u32 {
  const protocol: u32 = load<u8>(packet, PACKET_PROTOCOL);
  const length = transportLength(packet);
  if (<u32>load<u8>(packet, PACKET_FAMILY) == FAMILY_IPV4) {
    const sourceBe = load<u32>(packet, PACKET_SOURCE);
    const destinationBe = load<u32>(packet, PACKET_DESTINATION);
    return pseudoHeaderSumIpv4(sourceBe, destinationBe, protocol, length);
  }
  const sourceAt = packet + PACKET_SOURCE;
  return pseudoHeaderSumIpv6(sourceAt, packet + PACKET_DESTINATION, protocol, length);
}

// ---- all the frames that are not the common case

/** Everything of the record but its reason, which says that the rest means nothing. */
function refuse(packet: usize, network: usize, port: u8, reason: u32): void {
  setNetwork(packet, network, 0, 0);
  store<u32>(packet, 0, PACKET_TRANSPORT);
  store<u32>(packet, (<u32>port) << 24, PACKET_FAMILY);
  store<u32>(packet, reason, PACKET_REASON);
  store<u32>(packet, 0, PACKET_SOURCE_PORT);
}

function parseOther(packet: usize, at: usize, length: u32, port: u8): void {
  const network = at + ETHERNET_SIZE;
  if (!ethernetIsWhole(length)) {
    refuse(packet, network, port, DROP_FRAME_TOO_SHORT);
    return;
  }
  const typeBe = ethernetTypeBe(at);
  const available: u32 = length - ETHERNET_SIZE;
  if (typeBe == ETHERNET_TYPE_IPV4_BE) {
    parseIpv4(packet, network, available, port);
  } else if (typeBe == ETHERNET_TYPE_IPV6_BE) {
    parseIpv6(packet, network, available, port);
  } else {
    refuse(packet, network, port, DROP_NOT_IP);
  }
}

/** In the order of ip_rcv_core: version, header length, checksum, total length. */
function parseIpv4(packet: usize, network: usize, available: u32, port: u8): void {
  const reason = checkIpv4(network, available);
  if (reason != 0) {
    refuse(packet, network, port, reason);
    return;
  }
  const headerLength = ipv4HeaderLength(network);
  const ipLength = ipv4TotalLength(network);
  const protocol = ipv4Protocol(network);
  const fragmentBe = ipv4FragmentFieldBe(network);
  const flags = fragmentFlags(
    (fragmentBe & IPV4_FRAGMENT_OFFSET_BE) != 0,
    (fragmentBe & IPV4_MORE_FRAGMENTS_BE) != 0,
  );
  setAddressesIpv4(packet, network);
  setNetwork(packet, network, ipLength, headerLength);
  parseUpper(packet, network, headerLength, ipLength, FAMILY_IPV4, protocol, port, flags);
}

function checkIpv4(network: usize, available: u32): u32 {
  if (available == 0) return DROP_IPV4_HEADER_TOO_SHORT;
  if (ipv4Version(network) != FAMILY_IPV4) return DROP_IPV4_VERSION;
  if (!ipv4IsWhole(network, available)) return DROP_IPV4_HEADER_TOO_SHORT;
  const headerLength = ipv4HeaderLength(network);
  if (!ipv4ChecksumIsSound(network, headerLength)) return DROP_IPV4_CHECKSUM;
  const ipLength = ipv4TotalLength(network);
  if (ipLength > available || ipLength < headerLength) return DROP_IPV4_LENGTH;
  return 0;
}

/**
 * In the order of ip6_rcv_core. A payload length of 0 stands for a jumbogram, which no frame can
 * hold, or for no payload, and both are taken by their word: 40 bytes.
 */
function parseIpv6(packet: usize, network: usize, available: u32, port: u8): void {
  if (!ipv6IsWhole(available)) {
    refuse(packet, network, port, DROP_IPV6_HEADER_TOO_SHORT);
    return;
  }
  if (ipv6Version(network) != FAMILY_IPV6) {
    refuse(packet, network, port, DROP_NOT_IP);
    return;
  }
  const ipLength = IPV6_SIZE + ipv6PayloadLength(network);
  if (ipLength > available) {
    refuse(packet, network, port, DROP_IPV6_LENGTH);
    return;
  }
  const nextHeader = ipv6NextHeader(network);
  if (!ipv6IsExtension(nextHeader)) {
    setAddressesIpv6(packet, network);
    setNetwork(packet, network, ipLength, IPV6_SIZE);
    parseTransport(packet, network, IPV6_SIZE, ipLength, FAMILY_IPV6, nextHeader, port, 0);
    return;
  }
  const walk = walkIpv6(network, ipLength);
  if (walk == IPV6_WALK_MALFORMED) {
    refuse(packet, network, port, DROP_IPV6_EXTENSION_HEADERS);
    return;
  }
  const protocol = walkUpperProtocol(walk);
  const headerLength = walkUpperOffset(walk);
  setAddressesIpv6(packet, network);
  setNetwork(packet, network, ipLength, headerLength);
  const flags = walkFragmentFlags(network, walk);
  parseUpper(packet, network, headerLength, ipLength, FAMILY_IPV6, protocol, port, flags);
}

/**
 *   offset  more   a packet that is
 *     0      no    whole
 *     0      yes   a first fragment
 *    > 0     yes   a later fragment
 *    > 0     no    the last fragment, which is a later one too
 */
// @ts-ignore: decorator
@inline
function fragmentFlags(later: bool, more: bool): u32 {
  if (later) return PACKET_FRAGMENT_LATER | (more ? PACKET_MORE_FRAGMENTS : 0);
  return more ? PACKET_FRAGMENT_FIRST | PACKET_MORE_FRAGMENTS : 0;
}

function walkFragmentFlags(network: usize, walk: u64): u32 {
  const fragmentAt = walkFragmentOffset(walk);
  if (fragmentAt == 0) return 0;
  const header = network + fragmentAt;
  return fragmentFlags(ipv6FragmentOffset(header) != 0, ipv6MoreFragments(header));
}

// ---- the steps that both ways share

// @ts-ignore: decorator
@inline
function setNetwork(packet: usize, network: usize, ipLength: u32, headerLength: u32): void {
  store<u32>(packet, <u32>network, PACKET_NETWORK);
  store<u32>(packet, ipLength, PACKET_IP_LENGTH);
  store<u32>(packet, headerLength, PACKET_HEADER_LENGTH);
}

// @ts-ignore: decorator
@inline
function setAddressesIpv4(packet: usize, network: usize): void {
  store<u32>(packet, ipv4SourceBe(network), PACKET_SOURCE);
  store<u32>(packet, ipv4DestinationBe(network), PACKET_DESTINATION);
}

// @ts-ignore: decorator
@inline
function setAddressesIpv6(packet: usize, network: usize): void {
  v128.store(packet, v128.load(ipv6SourceAt(network)), PACKET_SOURCE);
  v128.store(packet, v128.load(ipv6DestinationAt(network)), PACKET_DESTINATION);
}

/** The four bytes at PACKET_FAMILY and the four at PACKET_REASON, each in one store. */
// @ts-ignore: decorator
@inline
function setKind(
  packet: usize,
  family: u32,
  protocol: u32,
  tcpFlagsOrChunk: u32,
  port: u8,
  flags: u32,
): void {
  const kind: u32 = family | (protocol << 8) | (tcpFlagsOrChunk << 16) | ((<u32>port) << 24);
  store<u32>(packet, kind, PACKET_FAMILY);
  store<u32>(packet, flags << 16, PACKET_REASON);
}

/** `portsBe` is both ports as one load. */
// @ts-ignore: decorator
@inline
function setTransport(packet: usize, transport: usize, portsBe: u32): void {
  store<u32>(packet, <u32>transport, PACKET_TRANSPORT);
  store<u32>(packet, portsBe, PACKET_SOURCE_PORT);
}

/** The transport header of a whole packet, TCP and UDP first. */
// @ts-ignore: decorator
@inline
function parseTransport(
  packet: usize,
  network: usize,
  headerLength: u32,
  ipLength: u32,
  family: u32,
  protocol: u32,
  port: u8,
  flags: u32,
): void {
  const transport = network + headerLength;
  const available: u32 = ipLength - headerLength;
  if (protocol == PROTOCOL_TCP) {
    if (!tcpIsWhole(transport, available)) {
      refuse(packet, network, port, DROP_TCP_HEADER_TOO_SHORT);
      return;
    }
    setTransport(packet, transport, load<u32>(transport));
    setKind(packet, family, protocol, tcpFlags(transport), port, flags);
  } else if (protocol == PROTOCOL_UDP) {
    if (!udpIsWhole(available)) {
      refuse(packet, network, port, DROP_UDP_HEADER_TOO_SHORT);
      return;
    }
    setTransport(packet, transport, load<u32>(transport));
    setKind(packet, family, protocol, 0, port, flags);
  } else {
    parseOtherTransport(packet, transport, available, family, protocol, port, flags);
  }
}

/** ICMP counts as ICMP in its own family only: in the other it is a protocol like any. */
function parseOtherTransport(
  packet: usize,
  transport: usize,
  available: u32,
  family: u32,
  protocol: u32,
  port: u8,
  flags: u32,
): void {
  let portsBe: u32 = 0;
  let chunk: u32 = 0;
  const icmp = protocol == (family == FAMILY_IPV4 ? PROTOCOL_ICMP : PROTOCOL_ICMPV6);
  if (protocol == PROTOCOL_SCTP) {
    if (!sctpIsWhole(available)) {
      refuse(packet, load<u32>(packet, PACKET_NETWORK), port, DROP_SCTP_HEADER_TOO_SHORT);
      return;
    }
    portsBe = load<u32>(transport);
    chunk = sctpFirstChunkType(transport, available);
  } else if (icmp) {
    if (available < ICMP_SIZE) {
      refuse(packet, load<u32>(packet, PACKET_NETWORK), port, DROP_ICMP_TOO_SHORT);
      return;
    }
    if (isIcmpError(transport, available, family)) flags |= PACKET_ICMP_ERROR;
  }
  setTransport(packet, transport, portsBe);
  setKind(packet, family, protocol, chunk, port, flags);
}

/** An error type with room for the fixed IP header of the packet it is about. */
function isIcmpError(transport: usize, available: u32, family: u32): bool {
  const type = icmpType(transport);
  if (family == FAMILY_IPV4) return icmpTypeIsError(type) && available >= ICMP_SIZE + IPV4_SIZE;
  return icmpv6TypeIsError(type) && available >= ICMP_SIZE + IPV6_SIZE;
}

/** A whole packet or a fragment of one, behind options or extension headers. */
function parseUpper(
  packet: usize,
  network: usize,
  headerLength: u32,
  ipLength: u32,
  family: u32,
  protocol: u32,
  port: u8,
  flags: u32,
): void {
  if ((flags & PACKET_FRAGMENT_LATER) != 0) {
    setTransport(packet, 0, 0);
    setKind(packet, family, protocol, 0, port, flags);
  } else if ((flags & PACKET_FRAGMENT_FIRST) != 0) {
    const available: u32 = ipLength - headerLength;
    if (available < TRANSPORT_BYTES_MIN) {
      refuse(packet, network, port, tooShortReason(family, protocol));
      return;
    }
    parseCut(packet, network + headerLength, available, family, protocol, port, flags);
  } else {
    parseTransport(packet, network, headerLength, ipLength, family, protocol, port, flags);
  }
}

function tooShortReason(family: u32, protocol: u32): u32 {
  if (protocol == PROTOCOL_TCP) return DROP_TCP_HEADER_TOO_SHORT;
  if (protocol == PROTOCOL_UDP) return DROP_UDP_HEADER_TOO_SHORT;
  if (protocol == PROTOCOL_SCTP) return DROP_SCTP_HEADER_TOO_SHORT;
  if (protocol == PROTOCOL_ICMP || protocol == PROTOCOL_ICMPV6) return DROP_ICMP_TOO_SHORT;
  return family == FAMILY_IPV4 ? DROP_IPV4_LENGTH : DROP_IPV6_LENGTH;
}

/** A transport header of which only the first 8 bytes are certain. */
function parseCut(
  packet: usize,
  transport: usize,
  available: u32,
  family: u32,
  protocol: u32,
  port: u8,
  flags: u32,
): void {
  let portsBe: u32 = 0;
  let tcpFlagsOrChunk: u32 = 0;
  if (protocol == PROTOCOL_TCP) {
    portsBe = load<u32>(transport);
    if (available >= TCP_BYTES_WITH_FLAGS) tcpFlagsOrChunk = tcpFlags(transport);
  } else if (protocol == PROTOCOL_UDP) {
    portsBe = load<u32>(transport);
  } else if (protocol == PROTOCOL_SCTP) {
    portsBe = load<u32>(transport);
    tcpFlagsOrChunk = sctpFirstChunkType(transport, available);
  } else if (protocol == (family == FAMILY_IPV4 ? PROTOCOL_ICMP : PROTOCOL_ICMPV6)) {
    if (isIcmpError(transport, available, family)) flags |= PACKET_ICMP_ERROR;
  }
  setTransport(packet, transport, portsBe);
  setKind(packet, family, protocol, tcpFlagsOrChunk, port, flags);
}

// ---- quoted packets

function parseQuotedIpv4(packet: usize, network: usize, available: u32): void {
  if (!ipv4IsWhole(network, available)) {
    refuse(packet, network, 0, DROP_IPV4_HEADER_TOO_SHORT);
    return;
  }
  if (ipv4Version(network) != FAMILY_IPV4) {
    refuse(packet, network, 0, DROP_IPV4_VERSION);
    return;
  }
  const headerLength = ipv4HeaderLength(network);
  const fragmentBe = ipv4FragmentFieldBe(network);
  const flags = fragmentFlags(
    (fragmentBe & IPV4_FRAGMENT_OFFSET_BE) != 0,
    (fragmentBe & IPV4_MORE_FRAGMENTS_BE) != 0,
  );
  setAddressesIpv4(packet, network);
  setNetwork(packet, network, available, headerLength);
  const protocol = ipv4Protocol(network);
  parseQuotedUpper(packet, network, headerLength, available, FAMILY_IPV4, protocol, flags);
}

function parseQuotedIpv6(packet: usize, network: usize, available: u32): void {
  if (!ipv6IsWhole(available)) {
    refuse(packet, network, 0, DROP_IPV6_HEADER_TOO_SHORT);
    return;
  }
  if (ipv6Version(network) != FAMILY_IPV6) {
    refuse(packet, network, 0, DROP_NOT_IP);
    return;
  }
  const walk = walkIpv6(network, available);
  if (walk == IPV6_WALK_MALFORMED) {
    refuse(packet, network, 0, DROP_IPV6_EXTENSION_HEADERS);
    return;
  }
  const headerLength = walkUpperOffset(walk);
  setAddressesIpv6(packet, network);
  setNetwork(packet, network, available, headerLength);
  const flags = walkFragmentFlags(network, walk);
  const protocol = walkUpperProtocol(walk);
  parseQuotedUpper(packet, network, headerLength, available, FAMILY_IPV6, protocol, flags);
}

function parseQuotedUpper(
  packet: usize,
  network: usize,
  headerLength: u32,
  length: u32,
  family: u32,
  protocol: u32,
  flags: u32,
): void {
  if ((flags & PACKET_FRAGMENT_LATER) != 0) {
    setTransport(packet, 0, 0);
    setKind(packet, family, protocol, 0, 0, flags);
    return;
  }
  const available: u32 = length - headerLength;
  if (available < QUOTED_TRANSPORT_BYTES_MIN) {
    refuse(packet, network, 0, tooShortReason(family, protocol));
    return;
  }
  parseCut(packet, network + headerLength, available, family, protocol, 0, flags);
}
