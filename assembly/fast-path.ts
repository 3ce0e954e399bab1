// Known connections of plain packets: IPv4 without options or IPv6 without extension headers, whole,
// over TCP or UDP, of a connection whose state and timeout they leave as they are. That is nearly all
// there is, so it is done in passes over the burst, each a loop so short that V8 keeps its values in
// registers and the cache misses of many packets overlap:
//
//   classify   what parse() would find out, for packets that are plain
//   locate     which end is looked up, its hash
//   heads      the chain's first node          touch   that node's entry
//   compare    in rounds, a node of every packet's chain in each
//   forward    in order, up to the first packet that is not of this kind
//
// Nothing is decided here. A packet about which there is anything to decide goes the pipeline's way in
// its turn, and what is done here is what would be done there: frames, tables and counters come out
// the same, which test/unit/assembly/fast-path.test.ts watches. Conditions that hold together are
// joined by bitwise operators where none of them is likely to fail alone: fewer branches.

import {
  DESTINATION_AVAILABLE,
  FAMILY_IPV4,
  FAMILY_IPV6,
  FORWARD_DIRECT_ROUTE,
  FORWARD_FULL_NAT,
  FORWARD_NAT,
  FORWARD_TUNNEL,
  PROTOCOL_IPIP,
  PROTOCOL_IPV6,
  PROTOCOL_TCP,
  PROTOCOL_UDP,
  TCP_ESTABLISHED,
} from './shared/codes.ts';
import {
  BANK_MARK_COUNT,
  BANK_TIMEOUT_TCP,
  BANK_TIMEOUT_UDP,
  CONNECTION_CLIENT,
  CONNECTION_CLIENT_PORT,
  CONNECTION_DELTA_IN,
  CONNECTION_DELTA_OUT,
  CONNECTION_DESTINATION,
  CONNECTION_DESTINATION_ID,
  CONNECTION_DESTINATION_PORT,
  CONNECTION_FAMILY,
  CONNECTION_HOP_IN,
  CONNECTION_HOT_SIZE,
  CONNECTION_IN_PACKETS,
  CONNECTION_LAST_SEEN,
  CONNECTION_LOCAL,
  CONNECTION_LOCAL_PORT,
  CONNECTION_NEXT,
  CONNECTION_STATE,
  CONNECTION_TIMEOUT,
  CONNECTION_VIRTUAL,
  CONNECTION_VIRTUAL_PORT,
  COUNTERS_TOTAL,
  DESCRIPTOR_ADDRESS,
  DESCRIPTOR_LENGTH,
  DESTINATION_SERVICE,
  DESTINATION_STATE_FLAGS,
  LINK_TRANSMIT,
  LOCAL_POOL,
  LOCAL_VIRTUAL,
  NEXT_HOP_REACHABLE,
  PORT_FLAGS,
  PORT_MAC,
  PORT_MTU,
  PORT_PARTIAL_CHECKSUMS,
  RING_CONSUMER,
  RING_DESCRIPTORS,
  RING_MASK,
  RING_PRODUCER,
  RING_RESERVED,
  RING_ROOM,
  STATE_CONTROLLED,
  STATE_DEAD,
  STATE_DESTINATION_OTHER,
  STATE_EXPIRING,
  STATE_FORWARD_MASK,
  STATE_FORWARD_SHIFT,
  STATE_FTP,
  STATE_MASK,
  STATE_NO_CLIENT_PORT,
  STATE_NO_OUTPUT,
  STATE_ONE_PACKET,
  STATE_SEQUENCE,
  STATE_TEMPLATE,
  STATS_IN_BYTES,
  STATS_IN_PACKETS,
  STATS_OUT_BYTES,
  STATS_OUT_PACKETS,
  STATS_SIZE,
  SYSCTL_BACKUP_ONLY,
  WIDE_CLIENT,
  WIDE_DESTINATION,
  WIDE_LOCAL,
  WIDE_VIRTUAL,
  WORKER_BURST,
  WORKER_PORT_LINKS,
  WORKER_TURN_PACKETS,
} from './shared/layout.ts';
import { buildOuter4, buildOuter6, isPlainTunnel } from './forward/tunnel.ts';
import { hashAddress, hashEnd, mix } from './hash.ts';
import {
  bank,
  chainMask,
  chains,
  counters,
  destination,
  destinationState,
  destinationStats,
  enabled,
  frames,
  hashSeed,
  hotBase,
  localFilter,
  nextHop,
  now,
  port,
  routeGeneration,
  serviceStats,
  wideBase,
  worker,
} from './instance.ts';
import { CHAIN_LOCKED } from './lock.ts';
import { link, ringFree } from './ring.ts';
import { localFlags } from './route.ts';
import { checksumFold64 } from './wire/checksum.ts';
import { ETHERNET_SIZE, ETHERNET_TYPE_IPV4_BE, ETHERNET_TYPE_IPV6_BE } from './wire/ethernet.ts';
import { IPV4_SIZE } from './wire/ipv4.ts';
import { IPV6_SIZE } from './wire/ipv6.ts';

// What is noted of a packet, 40 bytes. Addresses are folded as in a connection's hot half.
const FRAME: u32 = 0;
const PORTS: u32 = 4;
const SOURCE: u32 = 8;
const DESTINATION: u32 = 12;
/** The node looked at next, then the entry. */
const WHERE: u32 = 16;
/** As at CONNECTION_FAMILY: family and protocol; 0 for a packet that is not plain. */
const KIND: u32 = 20; // u16
const OUTWARDS: u32 = 22; // u8
const FOUND: u32 = 23; // u8
const LENGTH: u32 = 24; // u16, of the IP packet
const FRAME_LENGTH: u32 = 26; // u16
/** Where the chain begins, and the first node that was found there. */
const CHAIN: u32 = 28;
const HEAD: u32 = 32;
const NOTE_SIZE: u32 = 40;
/** How many notes a loop without branches takes at once; those behind the last packet are harmless. */
const STEP: u32 = 4;

// Offsets in a frame. The two families' transport headers are looked at by the same code.
const ETHERNET_TYPE: u32 = 12;
const IPV4: u32 = 14;
const IPV4_FRAGMENT: u32 = 20;
const IPV4_TTL: u32 = 22;
const IPV4_CHECKSUM: u32 = 24;
const IPV4_SOURCE: u32 = 26;
const IPV4_DESTINATION: u32 = 30;
const IPV4_TRANSPORT: u32 = 34;
const IPV6: u32 = 14;
const IPV6_HOP_LIMIT: u32 = 21;
const IPV6_SOURCE: u32 = 22;
const IPV6_DESTINATION: u32 = 38;
const IPV6_TRANSPORT: u32 = 54;
const TCP_FLAGS: u32 = 13;
const TCP_CHECKSUM: u32 = 16;
const UDP_CHECKSUM: u32 = 6;
const TCP_SIZE: u32 = 20;
const UDP_SIZE: u32 = 8;

const MAC_MASK: u64 = 0xffffffffffff;
/** FIN, SYN, RST and ACK: nothing but ACK alone leaves an established connection as it is. */
const TCP_EVENTS: u32 = 0x17;
const TCP_ACK: u32 = 0x10;
const NO_LINK: u32 = 255;

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
/** Methods by direction, a bit each. */
const METHODS_TRANSLATING: u32 = (1 << FORWARD_NAT) | (1 << FORWARD_FULL_NAT);
const METHODS_OUT: u32 = METHODS_TRANSLATING;
const METHODS_IN: u32 = METHODS_TRANSLATING | (1 << FORWARD_DIRECT_ROUTE) | (1 << FORWARD_TUNNEL);

// @ts-ignore: decorator
@inline
function note(n: u32): usize {
  return worker + WORKER_BURST + <usize>n * NOTE_SIZE;
}

/** Where the n-th packet's frame is. */
export function frameOf(n: u32): usize {
  return load<u32>(note(n), FRAME);
}

export function frameLengthOf(n: u32): u32 {
  return load<u16>(note(n), FRAME_LENGTH);
}

/** Whether the n-th packet's connection was found. */
// @ts-ignore: decorator
@inline
export function isFound(n: u32): bool {
  return load<u8>(note(n), FOUND) != 0;
}

/** Whether anything is configured that every packet must be asked about. */
export function fastPathServes(): bool {
  return enabled() && !(load<u32>(bank, BANK_MARK_COUNT) | load<u32>(bank, SYSCTL_BACKUP_ONLY));
}

/**
 * All passes but the last, over a burst that is not released yet.
 * @returns for how many packets a connection was found
 */
export function findConnections(ring: usize, packets: u32, way: usize): u32 {
  const hasIpv6 = classify(ring, packets, way);
  locate(packets);
  loadHeads(packets);
  let touched = touchEntries(packets) + compare(packets);
  if (hasIpv6) touched += touchWide(packets);
  // The sum goes where nobody looks, so that the loads are not optimised away.
  store<u32>(worker, touched, WORKER_TURN_PACKETS);
  return found;
}

/** Packets of the burst whose connection was found. */
let found: u32 = 0;

// ---- classify

/** Notes what kind of packet each is. @returns whether an IPv6 packet is among them */
function classify(ring: usize, packets: u32, way: usize): bool {
  const mac = load<u64>(way, PORT_MAC) & MAC_MASK;
  const mayBePartial = (load<u32>(way, PORT_FLAGS) & PORT_PARTIAL_CHECKSUMS) != 0;
  const base = frames;
  const entries = <usize>load<u32>(ring, RING_DESCRIPTORS);
  const mask = load<u32>(ring, RING_MASK);
  const first = load<u32>(load<u32>(ring, RING_CONSUMER));
  let hasIpv6 = false;
  let at: usize = note(0);
  for (let i: u32 = 0; i < packets; i++, at += NOTE_SIZE) {
    const descriptor = entries + (<usize>((first + i) & mask) << 4);
    const frame = base + <usize>load<u64>(descriptor, DESCRIPTOR_ADDRESS);
    const length = load<u32>(descriptor, DESCRIPTOR_LENGTH);
    store<u32>(at, <u32>frame, FRAME);
    store<u16>(at, <u16>length, FRAME_LENGTH);
    store<u32>(at, 0, KIND);
    if (length < ETHERNET_SIZE + 40) continue;
    if ((load<u64>(frame) & MAC_MASK) != mac) continue;
    const type = load<u32>(frame, ETHERNET_TYPE);
    let isPlain: bool;
    if ((type & 0xffffff) == 0x450008) {
      isPlain = classifyIpv4(at, frame, length);
    } else if ((type & 0xf0ffff) == 0x60dd86) {
      isPlain = classifyIpv6(at, frame, length);
      hasIpv6 = true;
    } else {
      continue;
    }
    if (isPlain && mayBePartial && holdsPseudoHeaderSum(at, frame)) store<u32>(at, 0, KIND);
  }
  return hasIpv6;
}

// @ts-ignore: decorator
@inline
function classifyIpv4(at: usize, frame: usize, length: u32): bool {
  const first = load<u64>(frame, IPV4);
  const second = load<u64>(frame, IPV4_TTL);
  const destinationBe = load<u32>(frame, IPV4_DESTINATION);
  // An address at a time would be ten loads and additions: RFC 1071 lets any width be summed.
  let sum: u64 =
    (first & 0xffffffff) + (first >> 32) + (second & 0xffffffff) + (second >> 32) + <u64>destinationBe;
  sum = (sum & 0xffffffff) + (sum >> 32);
  let folded = <u32>(sum & 0xffff) + <u32>(sum >> 16);
  folded = (folded & 0xffff) + (folded >> 16);
  folded = (folded & 0xffff) + (folded >> 16);
  if ((folded ^ 0xffff) | <u32>(load<u16>(frame, IPV4_FRAGMENT) & 0xff3f)) return false;
  const ipLength = <u32>bswap<u16>(<u16>(first >> 16));
  if (ipLength > length - ETHERNET_SIZE) return false;
  const protocol = <u32>(second >> 8) & 0xff;
  if (!transportIsPlain(frame + IPV4_TRANSPORT, <i32>ipLength - 20, protocol)) return false;
  store<u32>(at, load<u32>(frame, IPV4_TRANSPORT), PORTS);
  store<u32>(at, <u32>(second >> 32), SOURCE);
  store<u32>(at, destinationBe, DESTINATION);
  store<u16>(at, <u16>ipLength, LENGTH);
  store<u32>(at, FAMILY_IPV4 | (protocol << 8), KIND);
  return true;
}

// @ts-ignore: decorator
@inline
function classifyIpv6(at: usize, frame: usize, length: u32): bool {
  const word = load<u32>(frame, IPV6 + 4);
  const payload = <u32>bswap<u16>(<u16>word);
  // The transport header must be inside the frame before it is looked at.
  if (payload + 40 > length - ETHERNET_SIZE) return false;
  const protocol = (word >> 16) & 0xff;
  if (!transportIsPlain(frame + IPV6_TRANSPORT, <i32>payload, protocol)) return false;
  store<u32>(at, load<u32>(frame, IPV6_TRANSPORT), PORTS);
  const source = load<u64>(frame, IPV6_SOURCE) ^ load<u64>(frame, IPV6_SOURCE + 8);
  const target = load<u64>(frame, IPV6_DESTINATION) ^ load<u64>(frame, IPV6_DESTINATION + 8);
  // As foldAddress() does it, in fewer steps.
  store<u32>(at, <u32>source ^ <u32>(source >> 32), SOURCE);
  store<u32>(at, <u32>target ^ <u32>(target >> 32), DESTINATION);
  store<u16>(at, <u16>(payload + 40), LENGTH);
  store<u32>(at, FAMILY_IPV6 | (protocol << 8), KIND);
  return true;
}

/** Whether a transport header of so many bytes is whole, and of a packet that changes no state. */
// @ts-ignore: decorator
@inline
function transportIsPlain(transport: usize, length: i32, protocol: u32): bool {
  // A client's port of 0 means "not known" in the table.
  if (!load<u16>(transport)) return false;
  if (protocol == PROTOCOL_TCP) {
    if (length < <i32>TCP_SIZE) return false;
    const header = (<i32>load<u8>(transport, TCP_FLAGS - 1) >> 4) << 2;
    if (header < <i32>TCP_SIZE || header > length) return false;
    return (<u32>load<u8>(transport, TCP_FLAGS) & TCP_EVENTS) == TCP_ACK;
  }
  return protocol == PROTOCOL_UDP && length >= <i32>UDP_SIZE;
}

/**
 * Whether the checksum may have been left to a device: the cheap half of isPartialChecksum(). The
 * dear half, a sum over the whole packet, is the pipeline's.
 */
function holdsPseudoHeaderSum(at: usize, frame: usize): bool {
  const protocol = <u32>load<u8>(at, KIND + 1);
  const length = load<u16>(at, LENGTH);
  const field = protocol == PROTOCOL_TCP ? TCP_CHECKSUM : UDP_CHECKSUM;
  let transport = frame + IPV4_TRANSPORT;
  let sum = <u64>((<u32>length - 20 + protocol) << 8);
  if (load<u8>(at, KIND) == <u8>FAMILY_IPV4) {
    sum += <u64>load<u32>(at, SOURCE) + <u64>load<u32>(at, DESTINATION);
  } else {
    transport = frame + IPV6_TRANSPORT;
    sum = <u64>((<u32>length - 40 + protocol) << 8);
    for (let word = frame + IPV6_SOURCE; word < transport; word += 4) sum += <u64>load<u32>(word);
  }
  return checksumFold64(sum) == <u32>load<u16>(transport + field);
}

// ---- locate, heads, touch

/** Notes which way each packet goes, and the chain in which its connection is looked for. */
function locate(packets: u32): void {
  const filter = localFilter;
  const chainsAt = <u32>chains;
  const mask = chainMask;
  // Most of a burst's requests are to one address: its flags need not be looked up again.
  let known: u32 = 0;
  let knownFlags: i32 = -1;
  // The same for IPv6: where a packet of the burst has that address.
  let wideKnown: usize = 0;
  let wideKnownFlags: i32 = -1;
  let at: usize = note(0);
  for (let i: u32 = 0; i < packets; i++, at += NOTE_SIZE) {
    const kind = <u32>load<u16>(at, KIND);
    let flags: i32 = -1;
    let hash: u32 = 0;
    if ((kind & 0xff) == FAMILY_IPV4) {
      const target = load<u32>(at, DESTINATION);
      if (target == known) {
        flags = knownFlags;
      } else if (mayBeOwn(filter, mix(0, target))) {
        flags = localFlags(FAMILY_IPV4, <usize>load<u32>(at, FRAME) + IPV4_DESTINATION);
        known = target;
        knownFlags = flags;
      }
      const outwards = isAnswer(flags);
      const address = select<u32>(target, load<u32>(at, SOURCE), outwards);
      hash = mix(mix(hashSeed, address), portOf(at, outwards) | ((kind >> 8) << 16));
    } else if (kind) {
      const target = <usize>load<u32>(at, FRAME) + IPV6_DESTINATION;
      if (wideKnown && !differ16(wideKnown, target)) {
        flags = wideKnownFlags;
      } else if (mayBeOwn(filter, hashAddress(FAMILY_IPV6, target))) {
        flags = localFlags(FAMILY_IPV6, target);
        wideKnown = target;
        wideKnownFlags = flags;
      }
      const outwards = isAnswer(flags);
      const end = select<usize>(target, target - 16, outwards);
      hash = hashEnd(FAMILY_IPV6, end, portOf(at, outwards), kind >> 8);
    }
    store<u8>(at, <u8>isAnswer(flags), OUTWARDS);
    store<u32>(at, chainsAt + ((hash & mask) << 2), CHAIN);
  }
  for (let i: u32 = 1; i < STEP; i++, at += NOTE_SIZE) store<u32>(at, chainsAt, CHAIN);
}

// @ts-ignore: decorator
@inline
function mayBeOwn(filter: usize, hash: u32): bool {
  return ((load<u32>(filter + ((<usize>hash >> 21) << 2)) >> ((hash >> 16) & 31)) & 1) != 0;
}

/** Whether what is sent to an address with these flags is looked up as an answer (see isRequest()). */
// @ts-ignore: decorator
@inline
function isAnswer(flags: i32): bool {
  return bool(u32(flags < 0) | u32((flags & (LOCAL_POOL | LOCAL_VIRTUAL)) == LOCAL_POOL));
}

/** The port of the end that is looked up. */
// @ts-ignore: decorator
@inline
function portOf(at: usize, outwards: bool): u32 {
  const ports = load<u32>(at, PORTS);
  return select<u32>(ports >> 16, ports & 0xffff, outwards);
}

// @ts-ignore: decorator
@inline
function loadHead(at: usize): void {
  const head = load<u32>(load<u32>(at, CHAIN)) & ~CHAIN_LOCKED;
  store<u32>(at, head, WHERE);
  store<u32>(at, head, HEAD);
}

/** The chains' first nodes. */
function loadHeads(packets: u32): void {
  let at: usize = note(0);
  for (let i: u32 = 0; i < packets; i += STEP, at += STEP * NOTE_SIZE) {
    loadHead(at);
    loadHead(at + NOTE_SIZE);
    loadHead(at + 2 * NOTE_SIZE);
    loadHead(at + 3 * NOTE_SIZE);
  }
}

/** The entry of a node; that of 0 is no connection's. */
// @ts-ignore: decorator
@inline
function entryOf(base: usize, node: u32): usize {
  return base + (<usize>(node & ~1) << 5);
}

/** Touches the first entries, four at a time: a longer loop body lets fewer misses overlap. */
function touchEntries(packets: u32): u32 {
  const base = hotBase;
  let touched: u32 = 0;
  let at: usize = note(0);
  for (let i: u32 = 0; i < packets; i += STEP, at += STEP * NOTE_SIZE) {
    touched +=
      load<u32>(entryOf(base, load<u32>(at, WHERE))) +
      load<u32>(entryOf(base, load<u32>(at, WHERE + NOTE_SIZE))) +
      load<u32>(entryOf(base, load<u32>(at, WHERE + 2 * NOTE_SIZE))) +
      load<u32>(entryOf(base, load<u32>(at, WHERE + 3 * NOTE_SIZE)));
  }
  return touched;
}

// ---- compare

/** Whether an entry is the packet's, by its hot half: for IPv6 the whole addresses remain. */
// @ts-ignore: decorator
@inline
function matches(at: usize, entry: usize, node: u32): u32 {
  const ports = load<u32>(at, PORTS);
  const source = load<u32>(at, SOURCE);
  const target = load<u32>(at, DESTINATION);
  const inwards =
    (load<u32>(entry, CONNECTION_CLIENT) ^ source) |
    (load<u32>(entry, CONNECTION_CLIENT_PORT) ^ ports) |
    (load<u32>(entry, CONNECTION_VIRTUAL) ^ target) |
    (node & 1);
  // The end that the node stands for: the client's, or the local one of full-nat.
  const isLocal = <usize>(node & 1);
  const end = load<u32>(entry + isLocal * CONNECTION_LOCAL);
  const toPort = isLocal * (CONNECTION_LOCAL_PORT - CONNECTION_CLIENT_PORT);
  const endPort = <u32>load<u16>(entry + toPort, CONNECTION_CLIENT_PORT);
  const outwards =
    (end ^ target) |
    (load<u32>(entry, CONNECTION_DESTINATION) ^ source) |
    (endPort ^ (ports >> 16)) |
    (<u32>load<u16>(entry, CONNECTION_DESTINATION_PORT) ^ (ports & 0xffff));
  const kind = <u32>(load<u16>(entry, CONNECTION_FAMILY) ^ load<u16>(at, KIND));
  return u32((kind | select<u32>(outwards, inwards, load<u8>(at, OUTWARDS))) == 0);
}

/**
 * Compares. Where an entry is another's, the chain's next one is touched and compared in the next
 * round, until no packet's chain goes on: so the misses of each round overlap too.
 */
function compare(packets: u32): u32 {
  const base = hotBase;
  const list = note(packets);
  let touched: u32 = 0;
  let matched: u32 = 0;
  let open = packets;
  let at: usize = note(0);
  for (let i: u32 = 0; i < packets; i++, at += NOTE_SIZE) store<u32>(list + (i << 2), <u32>at);
  while (true) {
    let still: u32 = 0;
    for (let i: u32 = 0; i < open; i++) {
      const at = <usize>load<u32>(list + (i << 2));
      const node = load<u32>(at, WHERE);
      const entry = entryOf(base, node);
      const next = load<u32>(entry + ((node & 1) << 2), CONNECTION_NEXT);
      const match = matches(at, entry, node);
      store<u8>(at, <u8>match, FOUND);
      matched += match;
      const isDone = match | u32(next == 0);
      // A packet that is done stays in the list only until the next one takes its place.
      store<u32>(list + (still << 2), <u32>at);
      store<u32>(at, select<u32>(<u32>entry, next, isDone), WHERE);
      still += u32(!isDone);
    }
    if (!still) break;
    for (let i: u32 = 0; i < still; i++) {
      touched += load<u32>(entryOf(base, load<u32>(load<u32>(list + (i << 2)), WHERE)));
    }
    open = still;
  }
  found = matched;
  return touched;
}

/** Touches the wide record of each entry: an IPv4 connection has one too, which nobody uses. */
function touchWide(packets: u32): u32 {
  const offset = wideBase - hotBase;
  let touched: u32 = 0;
  let at: usize = note(0);
  for (let i: u32 = 0; i < packets; i += STEP, at += STEP * NOTE_SIZE) {
    touched +=
      load<u32>(offset + load<u32>(at, WHERE)) +
      load<u32>(offset + load<u32>(at, WHERE + NOTE_SIZE)) +
      load<u32>(offset + load<u32>(at, WHERE + 2 * NOTE_SIZE)) +
      load<u32>(offset + load<u32>(at, WHERE + 3 * NOTE_SIZE));
  }
  return touched;
}

// ---- forward

// @ts-ignore: decorator
@inline
function methodOf(state: u32): u32 {
  return (state & STATE_FORWARD_MASK) >> STATE_FORWARD_SHIFT;
}

// @ts-ignore: decorator
@inline
function isTranslating(method: u32): bool {
  return ((METHODS_TRANSLATING >> method) & 1) != 0;
}

/**
 * Whether an established connection, as it is now, takes a packet without changing.
 * @param timeout the one that its state has now
 */
// @ts-ignore: decorator
@inline
function takesUnchanged(entry: usize, state: u32, outwards: u32, isTcp: bool, timeout: u32): bool {
  // An answer clears "no output", and one of UDP assures the template.
  const forAnswers = select<u32>(STATE_NO_OUTPUT, STATE_NO_OUTPUT | STATE_CONTROLLED, isTcp);
  const special = select<u32>(SPECIAL | forAnswers, SPECIAL, outwards);
  const step = select<u32>((state & STATE_MASK) ^ TCP_ESTABLISHED, 0, isTcp);
  const methods = select<u32>(METHODS_OUT, METHODS_IN, outwards);
  const method = ((methods >> methodOf(state)) & 1) ^ 1;
  const id = load<u32>(entry, CONNECTION_DESTINATION_ID);
  const isGone =
    (load<u32>(destinationState(id), DESTINATION_STATE_FLAGS) & DESTINATION_AVAILABLE) ^
    DESTINATION_AVAILABLE;
  const other = load<u32>(entry, CONNECTION_TIMEOUT) ^ timeout;
  return !((state & special) | other | step | method | isGone);
}

/** What the folded addresses leave open: whether it is IPv6's whole ones, and full-nat's server. */
// @ts-ignore: decorator
@inline
function isWholly(at: usize, entry: usize, outwards: u32, method: u32, isIpv4: bool): bool {
  if (method == FORWARD_FULL_NAT && outwards && !isLocalEnd(at, entry)) return false;
  return isIpv4 || isSameWide(at, entry, outwards, method);
}

/** Full-nat's server knows the local end only: it does not answer to the client's. */
function isLocalEnd(at: usize, entry: usize): bool {
  return (
    load<u32>(entry, CONNECTION_LOCAL) == load<u32>(at, DESTINATION) &&
    load<u16>(entry, CONNECTION_LOCAL_PORT) == load<u16>(at, PORTS + 2)
  );
}

// @ts-ignore: decorator
@inline
function differ16(a: usize, b: usize): u64 {
  return (load<u64>(a) ^ load<u64>(b)) | (load<u64>(a, 8) ^ load<u64>(b, 8));
}

/** Whether a packet's IPv6 addresses are the connection's: folded ones of other addresses may be equal. */
// @ts-ignore: decorator
@inline
function isSameWide(at: usize, entry: usize, outwards: u32, method: u32): bool {
  const wide = wideBase + (entry - hotBase);
  const source = <usize>load<u32>(at, FRAME) + IPV6_SOURCE;
  if (!outwards) {
    return !(differ16(wide + WIDE_CLIENT, source) | differ16(wide + WIDE_VIRTUAL, source + 16));
  }
  const end: usize = method == FORWARD_FULL_NAT ? WIDE_LOCAL : WIDE_CLIENT;
  return !(differ16(wide + WIDE_DESTINATION, source) | differ16(wide + end, source + 16));
}

/** First word of the next hop's record, 0 when it is not known or not reachable. */
// @ts-ignore: decorator
@inline
function wayOf(entry: usize, outwards: u32, generation: u64): u64 {
  // Both directions' hops, and behind family and protocol the generation they were found in.
  const cached = load<u64>(entry, CONNECTION_HOP_IN);
  const hop = <u32>(cached >> (outwards << 4)) & 0xffff;
  if (cached >> 48 != generation || !hop) return 0;
  const word = load<u64>(nextHop(hop));
  return <u32>(word >> 56) == NEXT_HOP_REACHABLE ? word : 0;
}

/** Rewrites the IPv4 header, one hop less included. Never makes a checksum of 0xffff, as Linux. */
// @ts-ignore: decorator
@inline
function rewriteIpv4(frame: usize, entry: usize, outwards: u32, method: u32): void {
  const timeToLive = load<u8>(frame, IPV4_TTL);
  const checksum = <u32>load<u16>(frame, IPV4_CHECKSUM);
  store<u8>(frame, timeToLive - 1, IPV4_TTL);
  if (!isTranslating(method)) {
    // ip_decrease_ttl, whose form of zero is another than that of the update below.
    const more = checksum + 1;
    store<u16>(frame, <u16>(more + u32(more >= 0xffff)), IPV4_CHECKSUM);
    return;
  }
  const source = frame + IPV4_SOURCE;
  let sum: u64 = <u64>(checksum ^ 0xffff) + 0xfffe;
  let changed: usize;
  let address: u32;
  if (outwards) {
    changed = source;
    address = load<u32>(entry, CONNECTION_VIRTUAL);
  } else {
    changed = source + 4;
    address = load<u32>(entry, CONNECTION_DESTINATION);
  }
  sum += <u64>(load<u32>(changed) ^ 0xffffffff) + <u64>address;
  store<u32>(changed, address);
  if (method == FORWARD_FULL_NAT) {
    const other = outwards ? source + 4 : source;
    const replaced = outwards ? load<u32>(entry, CONNECTION_CLIENT) : load<u32>(entry, CONNECTION_LOCAL);
    sum += <u64>(load<u32>(other) ^ 0xffffffff) + <u64>replaced;
    store<u32>(other, replaced);
  }
  sum = (sum & 0xffffffff) + (sum >> 32);
  let folded = <u32>(sum & 0xffff) + <u32>(sum >> 16);
  folded = (folded & 0xffff) + (folded >> 16);
  store<u16>(frame, <u16>~((folded & 0xffff) + (folded >> 16)), IPV4_CHECKSUM);
}

// @ts-ignore: decorator
@inline
function copy16(to: usize, from: usize): void {
  store<u64>(to, load<u64>(from));
  store<u64>(to, load<u64>(from, 8), 8);
}

// @ts-ignore: decorator
@inline
function rewriteIpv6(frame: usize, entry: usize, outwards: u32, method: u32): void {
  store<u8>(frame, load<u8>(frame, IPV6_HOP_LIMIT) - 1, IPV6_HOP_LIMIT);
  if (!isTranslating(method)) return;
  const wide = wideBase + (entry - hotBase);
  if (outwards) {
    copy16(frame + IPV6_SOURCE, wide + WIDE_VIRTUAL);
    if (method == FORWARD_FULL_NAT) copy16(frame + IPV6_DESTINATION, wide + WIDE_CLIENT);
  } else {
    copy16(frame + IPV6_DESTINATION, wide + WIDE_DESTINATION);
    if (method == FORWARD_FULL_NAT) copy16(frame + IPV6_SOURCE, wide + WIDE_LOCAL);
  }
}

/** Writes ports and the transport checksum. */
// @ts-ignore: decorator
@inline
function rewriteTransport(
  transport: usize,
  entry: usize,
  outwards: u32,
  isTcp: bool,
  method: u32,
): void {
  let delta: u32;
  if (outwards) {
    store<u16>(transport, load<u16>(entry, CONNECTION_VIRTUAL_PORT));
    if (method == FORWARD_FULL_NAT) store<u16>(transport, load<u16>(entry, CONNECTION_CLIENT_PORT), 2);
    delta = load<u16>(entry, CONNECTION_DELTA_OUT);
  } else {
    store<u16>(transport, load<u16>(entry, CONNECTION_DESTINATION_PORT), 2);
    if (method == FORWARD_FULL_NAT) store<u16>(transport, load<u16>(entry, CONNECTION_LOCAL_PORT));
    delta = load<u16>(entry, CONNECTION_DELTA_IN);
  }
  const field = transport + select<usize>(TCP_CHECKSUM, UDP_CHECKSUM, isTcp);
  let changed = (<u32>load<u16>(field) ^ 0xffff) + delta;
  changed = ~((changed & 0xffff) + (changed >> 16)) & 0xffff;
  // UDP's zero would say that there is none.
  store<u16>(field, <u16>select<u32>(changed, 0xffff, u32(isTcp) | u32(changed != 0)));
}

// @ts-ignore: decorator
@inline
function bump(at: usize, by: u64): void {
  store<u64>(at, load<u64>(at) + by);
}

/** Counts a packet for its destination and its service; the total is kept by the burst. */
// @ts-ignore: decorator
@inline
function countFor(entry: usize, packets: u32, bytes: u32, length: u32): void {
  const id = load<u32>(entry, CONNECTION_DESTINATION_ID);
  const serviceId = load<u32>(destination(id), DESTINATION_SERVICE);
  const ofDestination = destinationStats + <usize>id * STATS_SIZE;
  const ofService = serviceStats + <usize>serviceId * STATS_SIZE;
  bump(ofDestination + packets, 1);
  bump(ofDestination + bytes, length);
  bump(ofService + packets, 1);
  bump(ofService + bytes, length);
}

// The TX ring that packets are put into now, and what its port asks of them. The next free slot and the
// room that is left are kept by forwardHits(), which changes them with every packet.
let ring: usize = 0;
let ringEntries: usize = 0;
let ringMask: u32 = 0;
let portMac: u64 = 0;
let portMtu: u32 = 0;

/** Takes the TX ring of a port's link. @returns false when this worker has none */
function openRing(portIndex: u32): bool {
  ring = 0;
  const number = <u32>load<u8>(worker + WORKER_PORT_LINKS + portIndex);
  if (number == NO_LINK) return false;
  ring = link(number) + LINK_TRANSMIT;
  if (!load<u32>(ring, RING_ROOM)) store<u32>(ring, ringFree(ring), RING_ROOM);
  ringEntries = load<u32>(ring, RING_DESCRIPTORS);
  ringMask = load<u32>(ring, RING_MASK);
  portMac = load<u64>(port(portIndex), PORT_MAC) & MAC_MASK;
  portMtu = load<u32>(port(portIndex), PORT_MTU);
  return true;
}

/** Leaves the ring as whoever puts something into it next must find it. */
function closeRing(slot: u32, room: u32): void {
  if (!ring) return;
  store<u32>(ring, slot - load<u32>(load<u32>(ring, RING_PRODUCER)), RING_RESERVED);
  store<u32>(ring, room, RING_ROOM);
}

/** Whether a packet may go one hop further, fits, and has all that its method asks for. */
// @ts-ignore: decorator
@inline
function mayLeave(
  frame: usize,
  transport: usize,
  entry: usize,
  method: u32,
  isTcp: bool,
  isIpv4: bool,
  length: u32,
): bool {
  const hops = <u32>load<u8>(frame + select<usize>(IPV4_TTL, IPV6_HOP_LIMIT, isIpv4));
  if (length > portMtu || hops <= 1) return false;
  if (isTranslating(method)) {
    // A datagram without a checksum gets one when it is translated.
    return isTcp || load<u16>(transport, UDP_CHECKSUM) != 0;
  }
  if (method != FORWARD_TUNNEL) return true;
  return isPlainTunnel(load<u32>(entry, CONNECTION_DESTINATION_ID), isIpv4, length, portMtu);
}

/** Puts a tunnel's outer header in front of a packet. @returns where the frame begins now */
function wrap(frame: usize, entry: usize, isIpv4: bool, length: u32, portIndex: u32): usize {
  const index = <u32>((entry - hotBase) / CONNECTION_HOT_SIZE);
  const inner = frame + ETHERNET_SIZE;
  if (isIpv4) {
    buildOuter4(inner - IPV4_SIZE, index, portIndex, PROTOCOL_IPIP, length + IPV4_SIZE, inner);
    store<u16>(frame - IPV4_SIZE, <u16>ETHERNET_TYPE_IPV4_BE, ETHERNET_TYPE);
    return frame - IPV4_SIZE;
  }
  buildOuter6(inner - IPV6_SIZE, index, portIndex, PROTOCOL_IPV6, length + IPV6_SIZE, inner);
  store<u16>(frame - IPV6_SIZE, <u16>ETHERNET_TYPE_IPV6_BE, ETHERNET_TYPE);
  return frame - IPV6_SIZE;
}

/** Writes Ethernet addresses and a descriptor. */
// @ts-ignore: decorator
@inline
function put(slot: u32, frame: usize, length: u32, way: u64): void {
  store<u64>(frame, (way & MAC_MASK) | (portMac << 48));
  store<u32>(frame, <u32>(portMac >> 16), 8);
  const descriptor = ringEntries + (<usize>(slot & ringMask) << 4);
  store<u64>(descriptor, frame - frames, DESCRIPTOR_ADDRESS);
  // The options, which are 0, with it.
  store<u64>(descriptor, length, DESCRIPTOR_LENGTH);
}

/**
 * The last pass: forwards packets from the n-th on, as long as they are of this kind. The packet that
 * ends it must be handled before the next one, whose connection it may change: all that could have
 * changed since the connections were found is looked at here.
 * @returns the first packet that is not of this kind
 */
export function forwardHits(from: u32, packets: u32): u32 {
  const tick = now;
  const generation = <u64>routeGeneration;
  const timeoutTcp = load<u32>(bank, BANK_TIMEOUT_TCP + (TCP_ESTABLISHED << 2));
  const timeoutUdp = load<u32>(bank, BANK_TIMEOUT_UDP);
  let inPackets: u32 = 0;
  let inBytes: u64 = 0;
  let outBytes: u64 = 0;
  let portIndex: u32 = NO_LINK;
  let slot: u32 = 0;
  let room: u32 = 0;
  ring = 0;
  let i = from;
  let at: usize = note(from);
  for (; i < packets; i++, at += NOTE_SIZE) {
    if (!load<u8>(at, FOUND)) break;
    // A connection that was made meanwhile stands in front of the one that was found.
    if (from && (load<u32>(load<u32>(at, CHAIN)) & ~CHAIN_LOCKED) != load<u32>(at, HEAD)) break;
    const entry: usize = load<u32>(at, WHERE);
    const outwards = <u32>load<u8>(at, OUTWARDS);
    const isTcp = load<u8>(at, KIND + 1) == <u8>PROTOCOL_TCP;
    const isIpv4 = load<u8>(at, KIND) == <u8>FAMILY_IPV4;
    const state = load<u32>(entry, CONNECTION_STATE);
    const method = methodOf(state);
    const timeout = select<u32>(timeoutTcp, timeoutUdp, isTcp);
    if (!takesUnchanged(entry, state, outwards, isTcp, timeout)) break;
    if (!isWholly(at, entry, outwards, method, isIpv4)) break;
    const way = wayOf(entry, outwards, generation);
    if (!way) break;
    const hopPort = <u32>(way >> 48) & 0xff;
    if (hopPort != portIndex) {
      closeRing(slot, room);
      if (!openRing(hopPort)) break;
      portIndex = hopPort;
      slot = load<u32>(load<u32>(ring, RING_PRODUCER)) + load<u32>(ring, RING_RESERVED);
      room = load<u32>(ring, RING_ROOM);
    }
    let frame: usize = load<u32>(at, FRAME);
    const length = <u32>load<u16>(at, LENGTH);
    const transport = frame + select<usize>(IPV4_TRANSPORT, IPV6_TRANSPORT, isIpv4);
    if (!room || !mayLeave(frame, transport, entry, method, isTcp, isIpv4, length)) break;
    if (isTranslating(method)) rewriteTransport(transport, entry, outwards, isTcp, method);
    if (isIpv4) rewriteIpv4(frame, entry, outwards, method);
    else rewriteIpv6(frame, entry, outwards, method);
    let sent = length + ETHERNET_SIZE;
    if (method == FORWARD_TUNNEL) {
      frame = wrap(frame, entry, isIpv4, length, portIndex);
      sent += isIpv4 ? IPV4_SIZE : IPV6_SIZE;
    }
    put(slot++, frame, sent, way);
    room--;
    store<u32>(entry, tick, CONNECTION_LAST_SEEN);
    if (outwards) {
      countFor(entry, STATS_OUT_PACKETS, STATS_OUT_BYTES, length);
      outBytes += length;
    } else {
      store<u32>(entry, load<u32>(entry, CONNECTION_IN_PACKETS) + 1, CONNECTION_IN_PACKETS);
      countFor(entry, STATS_IN_PACKETS, STATS_IN_BYTES, length);
      inPackets++;
      inBytes += length;
    }
  }
  closeRing(slot, room);
  countTotal(inPackets, inBytes, i - from - inPackets, outBytes);
  return i;
}

function countTotal(inPackets: u32, inBytes: u64, outPackets: u32, outBytes: u64): void {
  const total = counters + COUNTERS_TOTAL;
  bump(total + STATS_IN_PACKETS, inPackets);
  bump(total + STATS_IN_BYTES, inBytes);
  bump(total + STATS_OUT_PACKETS, outPackets);
  bump(total + STATS_OUT_BYTES, outBytes);
}
