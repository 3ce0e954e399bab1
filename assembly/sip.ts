// Persistence engine "sip" (ip_vs_pe_sip.c): a service's UDP packets are told apart by the Call-ID
// of the SIP message they carry. A template belongs to a masked client and a Call-ID together.
//
// The engine has a second part: a real server's own request gets a connection too, so that it
// leaves with the virtual address and its answer finds the way back (ip_vs_new_conn_out).
//
//   client -> service   parseCallId, findSipTemplate, and rememberCallId in a new template
//   server -> client    answersSip

import {
  DESTINATION_AVAILABLE,
  FAMILY_IPV4,
  FORWARD_NAT,
  PROTOCOL_ANY,
  PROTOCOL_UDP,
  SERVICE_ENGINE_SIP,
  SERVICE_ONE_PACKET,
  SERVICE_PERSISTENT,
} from './shared/codes.ts';
import {
  BANK_FLAGS,
  BANK_FLAG_SIP,
  BANK_SERVICE_COUNT,
  CONNECTION_CLIENT,
  CONNECTION_CLIENT_PORT,
  CONNECTION_DESTINATION_ID,
  CONNECTION_DESTINATION_PORT,
  CONNECTION_FAMILY,
  CONNECTION_NEXT,
  CONNECTION_NEXT_LOCAL,
  CONNECTION_STATE,
  CONNECTION_TIMEOUT,
  CONNECTION_VIRTUAL,
  CONNECTION_VIRTUAL_PORT,
  CONTROL_SERVICES,
  DESTINATION_ADDRESS,
  DESTINATION_FAMILY,
  DESTINATION_FORWARDING,
  DESTINATION_PORT,
  DESTINATION_STATE_FLAGS,
  DESTINATION_WEIGHT,
  PACKET_CONNECTION,
  PACKET_DESTINATION,
  PACKET_DESTINATION_PORT,
  PACKET_FAMILY,
  PACKET_FLAGS,
  PACKET_ICMP_ERROR,
  PACKET_IP_LENGTH,
  PACKET_NETWORK,
  PACKET_PROTOCOL,
  PACKET_SOURCE,
  PACKET_SOURCE_PORT,
  PACKET_TRANSPORT,
  SERVICE_ADDRESS,
  SERVICE_DESTINATION_COUNT,
  SERVICE_DESTINATION_LIST,
  SERVICE_FAMILY,
  SERVICE_FLAGS,
  SERVICE_MARK,
  SERVICE_PERSISTENCE_MASK,
  SERVICE_PERSISTENCE_TICKS,
  SERVICE_PORT,
  SERVICE_PROTOCOL,
  SIDE_DATA,
  SIDE_DATA_MAX,
  SIDE_KIND,
  SIDE_LENGTH,
  SIDE_SEQUENCE_IN,
  STATE_ONE_PACKET,
  STATE_TEMPLATE,
  SYSCTL_EXPIRE_QUIESCENT_TEMPLATE,
  WIDE_CLIENT,
  WIDE_VIRTUAL,
  WORKER_SCRATCH,
} from './shared/layout.ts';
import {
  addControl,
  bindDestination,
  deleteConnection,
  finishOnePacket,
  hashConnection,
  newConnection,
  restartTimer,
  unhashConnection,
} from './connection.ts';
import { DIRECTION_OUT, stepState } from './connection-state.ts';
import { chainOf } from './connection-table.ts';
import { countConnection, countOut } from './counters.ts';
import { forwardOut } from './forward.ts';
import { foldAddress, mix, sameAddress } from './hash.ts';
import {
  bank,
  destination,
  destinationState,
  hashSeed,
  hot,
  service,
  wide,
  worker,
} from './instance.ts';
import { CHAIN_LOCKED } from './lock.ts';
import { maskAddress6 } from './route.ts';
import { newSide, sideOf } from './side-record.ts';
import { UDP_SIZE } from './wire/udp.ts';

/** SIDE_KIND of a template's record. */
const SIDE_KIND_CALL_ID: u32 = 2;
/** Two hashes of the whole Call-ID stand where a sequence record has its numbers. */
const CALL_ID_HASHES: u32 = SIDE_SEQUENCE_IN;
/** The kernel's IP_VS_PEDATA_MAXLEN: what is longer is no Call-ID. */
const CALL_ID_MAX: u32 = 255;
/** Seed of the second hash. */
const OTHER_SEED: u32 = 0x5bd1e995;

/** Scratch: the masked client of a real server's request. */
const CLIENT_NET: u32 = WORKER_SCRATCH + 256;

const INVALID_PORT: u32 = 0xffff;

const TAB: u32 = 0x09;
const LINE_FEED: u32 = 0x0a;
const CARRIAGE_RETURN: u32 = 0x0d;
const SPACE: u32 = 0x20;
const COLON: u32 = 0x3a;
const AT_SIGN: u32 = 0x40;
const LETTER_I: u32 = 0x69;

// "call-id"
const headerName = memory.data<u8>([0x63, 0x61, 0x6c, 0x6c, 0x2d, 0x69, 0x64]);
const HEADER_NAME_SIZE: u32 = 7;

// What a word may hold besides letters and digits: !"%'()*+-./:<>?[\]_`{}~
// prettier-ignore
const wordMarks = memory.data<u8>([
  0x21, 0x22, 0x25, 0x27, 0x28, 0x29, 0x2a, 0x2b, 0x2d, 0x2e, 0x2f, 0x3a, 0x3c, 0x3e, 0x3f, 0x5b,
  0x5c, 0x5d, 0x5f, 0x60, 0x7b, 0x7d, 0x7e,
]);
const WORD_MARKS: u32 = 23;

/** The Call-ID that parseCallId found last, in the packet, and its hashes. */
let callId: usize = 0;
let callIdLength: u32 = 0;
let callIdHashes: u64 = 0;

// ---- the Call-ID of a message (ct_sip_get_header, get_callid)

/** Finds the Call-ID of a packet's message. @returns false: there is none that could be used */
export function parseCallId(packet: usize): bool {
  // The kernel looks at the packet itself, and an ICMP error is no SIP, whatever it quotes.
  if (load<u16>(packet, PACKET_FLAGS) & <u16>PACKET_ICMP_ERROR) return false;
  const transport: usize = load<u32>(packet, PACKET_TRANSPORT);
  if (load<u8>(packet, PACKET_PROTOCOL) != <u8>PROTOCOL_UDP || !transport) return false;
  const end = <usize>load<u32>(packet, PACKET_NETWORK) + load<u32>(packet, PACKET_IP_LENGTH);
  if (!findCallId(transport + UDP_SIZE, end)) return false;
  // Never 0, which stands for "no Call-ID" (hashOfCallId).
  const chain = max<u32>(hashCallId(hashSeed), 1);
  callIdHashes = (<u64>hashCallId(hashSeed ^ OTHER_SEED) << 32) | <u64>chain;
  return true;
}

function findCallId(start: usize, end: usize): bool {
  let from = start;
  while (from < end) {
    if (!findHeader(from, end)) return false;
    callIdLength = callIdSize(callId, end);
    if (callIdLength) return callIdLength <= CALL_ID_MAX && isLineEnd(callId + callIdLength, end);
    // A header without a value: the kernel adds up two offsets that both begin at the start.
    from += callId - start;
  }
  return false;
}

/** Finds the next line that begins with the header's name, and sets callId to its value. */
function findHeader(from: usize, end: usize): bool {
  for (let at = from; at < end; at++) {
    if (!isBreak(at)) continue;
    if (++at >= end) return false;
    if (charAt(at - 1) == CARRIAGE_RETURN && charAt(at) == LINE_FEED && ++at >= end) return false;
    if (isBlank(at)) continue;
    const size = headerSize(at, end);
    if (!size) continue;
    at = skipWhitespace(at + size, end);
    if (!at || at >= end || charAt(at) != COLON || at + 1 >= end) return false;
    callId = skipWhitespace(at + 1, end);
    return callId != 0;
  }
  return false;
}

/** Bytes of the header's name at `at`, in full or as the letter "i", or 0. */
function headerSize(at: usize, end: usize): u32 {
  const left = <u32>(end - at);
  if (left >= HEADER_NAME_SIZE) {
    let same: u32 = 0;
    while (same < HEADER_NAME_SIZE && lower(charAt(at + same)) == charAt(headerName + same)) same++;
    if (same == HEADER_NAME_SIZE) return same;
  }
  return left >= 2 && lower(charAt(at)) == LETTER_I && !isLetter(charAt(at + 1)) ? 1 : 0;
}

/** Skips blanks and one continued line. @returns where it ends, or 0: the header ends here */
function skipWhitespace(at: usize, end: usize): usize {
  at = skipBlanks(at, end);
  if (at >= end || !isBreak(at)) return at;
  if (++at >= end) return 0;
  if (charAt(at - 1) == CARRIAGE_RETURN && charAt(at) == LINE_FEED && ++at >= end) return 0;
  return isBlank(at) ? skipBlanks(at, end) : 0;
}

function skipBlanks(at: usize, end: usize): usize {
  while (at < end && isBlank(at)) at++;
  return at;
}

/** A word, or two with "@" between them; 0 when the second is missing. */
function callIdSize(at: usize, end: usize): u32 {
  const size = wordSize(at, end);
  if (!size || at + size >= end || charAt(at + size) != AT_SIGN) return size;
  const domain = wordSize(at + size + 1, end);
  return domain ? size + 1 + domain : 0;
}

function wordSize(at: usize, end: usize): u32 {
  const start = at;
  while (at < end && isWordChar(charAt(at))) at++;
  return <u32>(at - start);
}

function isWordChar(char: u32): bool {
  if (isLetter(char) || char - 0x30 < 10) return true;
  for (let i: u32 = 0; i < WORD_MARKS; i++) {
    if (char == charAt(wordMarks + i)) return true;
  }
  return false;
}

/** Letters as the kernel's ctype has them: Latin-1's count, too. */
function isLetter(char: u32): bool {
  if (lower(char) - 0x61 < 26) return true;
  return char >= 0xc0 && char != 0xd7 && char != 0xf7;
}

// @ts-ignore: decorator
@inline
function charAt(at: usize): u32 {
  return load<u8>(at);
}

// @ts-ignore: decorator
@inline
function lower(char: u32): u32 {
  return char - 0x41 < 26 ? char | 0x20 : char;
}

// @ts-ignore: decorator
@inline
function isBlank(at: usize): bool {
  return charAt(at) == SPACE || charAt(at) == TAB;
}

// @ts-ignore: decorator
@inline
function isBreak(at: usize): bool {
  return charAt(at) == CARRIAGE_RETURN || charAt(at) == LINE_FEED;
}

// @ts-ignore: decorator
@inline
function isLineEnd(at: usize, end: usize): bool {
  return at < end && isBreak(at);
}

// ---- templates

function hashCallId(seed: u32): u32 {
  let hash = mix(seed, callIdLength);
  let at = callId;
  const end = callId + callIdLength;
  for (; at + 4 <= end; at += 4) hash = mix(hash, load<u32>(at));
  for (; at < end; at++) hash = mix(hash, charAt(at));
  return hash;
}

/**
 * Whether a template was made for the Call-ID found last. A record has room for SIDE_DATA_MAX bytes
 * of it; what a longer one ends with is compared by its hashes.
 */
function hasCallId(index: u32): bool {
  const record = sideOf(index);
  if (!record || load<u32>(record, SIDE_KIND) != SIDE_KIND_CALL_ID) return false;
  if (load<u32>(record, SIDE_LENGTH) != callIdLength) return false;
  if (load<u64>(record, CALL_ID_HASHES) != callIdHashes) return false;
  const kept = min<u32>(callIdLength, SIDE_DATA_MAX);
  return memory.compare(record + SIDE_DATA, callId, kept) == 0;
}

/**
 * The hash that chooses a template's chain, 0 for an entry without a Call-ID. One proxy may have
 * very many calls, so its address alone would put them all into one chain.
 */
export function hashOfCallId(index: u32): u32 {
  const record = sideOf(index);
  if (!record || load<u32>(record, SIDE_KIND) != SIDE_KIND_CALL_ID) return 0;
  return load<u32>(record, CALL_ID_HASHES);
}

/**
 * The template for a masked client and the Call-ID found last, or 0 (ip_vs_ct_in_get with the
 * engine's ct_match). `client` and `virtual` are addresses of 16 readable bytes; a mark's template
 * has protocol 0 and the mark in `virtual`.
 */
export function findSipTemplate(
  family: u32,
  protocol: u32,
  client: usize,
  virtual: usize,
  virtualPort: u32,
): u32 {
  const kind = <u16>(family | (protocol << 8));
  const foldedClient = foldAddress(family, client);
  const virtualFamily: u32 = protocol == PROTOCOL_ANY ? FAMILY_IPV4 : family;
  const foldedVirtual = foldAddress(virtualFamily, virtual);
  let node = load<u32>(chainOf(<u32>callIdHashes)) & ~CHAIN_LOCKED;
  while (node) {
    const index = node >> 1;
    const entry = hot(index);
    if (
      load<u32>(entry, CONNECTION_CLIENT) == foldedClient &&
      load<u32>(entry, CONNECTION_VIRTUAL) == foldedVirtual &&
      load<u32>(entry, CONNECTION_CLIENT_PORT) == virtualPort << 16 &&
      load<u16>(entry, CONNECTION_FAMILY) == kind &&
      load<u32>(entry, CONNECTION_STATE) & STATE_TEMPLATE &&
      (family == FAMILY_IPV4 || sameAddress(family, wide(index) + WIDE_CLIENT, client)) &&
      (virtualFamily == FAMILY_IPV4 || sameAddress(family, wide(index) + WIDE_VIRTUAL, virtual)) &&
      hasCallId(index)
    ) {
      return index;
    }
    node = node & 1 ? load<u32>(entry, CONNECTION_NEXT_LOCAL) : load<u32>(entry, CONNECTION_NEXT);
  }
  return 0;
}

/** Makes a new template that of the Call-ID found last. Without a free record it has none. */
export function rememberCallId(index: u32): void {
  const record = newSide(index, SIDE_KIND_CALL_ID);
  if (!record) return;
  store<u64>(record, callIdHashes, CALL_ID_HASHES);
  memory.copy(record + SIDE_DATA, callId, min<u32>(callIdLength, SIDE_DATA_MAX));
  store<u32>(record, callIdLength, SIDE_LENGTH);
}

// ---- requests of real servers (__ip_vs_rs_conn_out)

/**
 * A foreign packet that has no connection: when it is a real server's UDP packet and its service
 * has the engine, a connection is made and the packet sent out as its answer.
 * @returns whether the packet was one, and is gone
 */
export function answersSip(packet: usize): bool {
  if (!(load<u32>(bank, BANK_FLAGS) & BANK_FLAG_SIP)) return false;
  if (load<u8>(packet, PACKET_PROTOCOL) != <u8>PROTOCOL_UDP) return false;
  if (!load<u32>(packet, PACKET_TRANSPORT) || !load<u16>(packet, PACKET_SOURCE_PORT)) return false;
  const services = load<u32>(CONTROL_SERVICES);
  let left = load<u32>(bank, BANK_SERVICE_COUNT);
  for (let id: u32 = 1; id < services && left != 0; id++) {
    const config = service(id);
    if (!load<u8>(config, SERVICE_FAMILY)) continue;
    left--;
    if (!mayAnswer(config, packet)) continue;
    const destinationId = sourceOf(config, packet);
    if (destinationId) return answerFor(id, config, destinationId, packet);
  }
  return false;
}

/** Whether a service's real servers may begin: its virtual end is known, the engine wants it. */
function mayAnswer(config: usize, packet: usize): bool {
  return (
    (load<u32>(config, SERVICE_FLAGS) & SERVICE_ENGINE_SIP) != 0 &&
    load<u8>(config, SERVICE_PROTOCOL) == <u8>PROTOCOL_UDP &&
    load<u8>(config, SERVICE_FAMILY) == load<u8>(packet, PACKET_FAMILY) &&
    load<u32>(config, SERVICE_MARK) == 0 &&
    load<u16>(config, SERVICE_PORT) != 0
  );
}

/** The NAT destination of a service that a packet comes from, or 0 (ip_vs_find_real_service). */
function sourceOf(config: usize, packet: usize): u32 {
  const family = <u32>load<u8>(packet, PACKET_FAMILY);
  const list = bank + load<u32>(config, SERVICE_DESTINATION_LIST);
  const count = load<u32>(config, SERVICE_DESTINATION_COUNT);
  for (let i: u32 = 0; i < count; i++) {
    const id = load<u32>(list + (<usize>i << 2));
    const at = destination(id);
    if (
      load<u16>(at, DESTINATION_PORT) == load<u16>(packet, PACKET_SOURCE_PORT) &&
      load<u8>(at, DESTINATION_FAMILY) == <u8>family &&
      load<u8>(at, DESTINATION_FORWARDING) == <u8>FORWARD_NAT &&
      sameAddress(family, at + DESTINATION_ADDRESS, packet + PACKET_SOURCE)
    ) {
      return id;
    }
  }
  return 0;
}

/** Makes the connection of a real server's request and sends the packet (ip_vs_new_conn_out). */
function answerFor(serviceId: u32, config: usize, destinationId: u32, packet: usize): bool {
  const flags = load<u32>(config, SERVICE_FLAGS);
  let template: u32 = 0;
  if (flags & SERVICE_PERSISTENT) {
    if (!parseCallId(packet)) return false;
    template = templateFor(config, destinationId, packet);
    if (!template) return false;
  }
  const index = newConnection(
    load<u8>(packet, PACKET_FAMILY),
    PROTOCOL_UDP,
    packet + PACKET_DESTINATION,
    load<u16>(packet, PACKET_DESTINATION_PORT),
    config + SERVICE_ADDRESS,
    load<u16>(config, SERVICE_PORT),
  );
  if (!index) {
    if (template) restartTimer(template);
    return false;
  }
  const isOnePacket = (flags & SERVICE_ONE_PACKET) != 0;
  const flag: u32 = isOnePacket ? STATE_ONE_PACKET : 0;
  bindDestination(index, destinationId, load<u16>(packet, PACKET_SOURCE_PORT), flag);
  if (template) {
    addControl(index, template);
    restartTimer(template);
  }
  hashConnection(index);
  send(serviceId, destinationId, packet, index, isOnePacket);
  return true;
}

/** The packet goes out as its new connection's answer (handle_response). */
function send(
  serviceId: u32,
  destinationId: u32,
  packet: usize,
  index: u32,
  isOnePacket: bool,
): void {
  store<u32>(packet, index, PACKET_CONNECTION);
  if (!forwardOut(packet, index)) {
    // It failed as a router's packet does, and the kernel would not have seen it in this place.
    deleteConnection(index);
    return;
  }
  countConnection(serviceId, destinationId);
  countOut(destinationId, load<u32>(packet, PACKET_IP_LENGTH));
  stepState(index, packet, DIRECTION_OUT);
  if (isOnePacket) finishOnePacket(index);
  else restartTimer(index);
}

/** The template of a request's client and Call-ID that leads to a destination, made if need be. */
function templateFor(config: usize, destinationId: u32, packet: usize): u32 {
  const family = <u32>load<u8>(packet, PACKET_FAMILY);
  const client = maskedClient(config, packet);
  const virtual = config + SERVICE_ADDRESS;
  const virtualPort = <u32>load<u16>(config, SERVICE_PORT);
  const found = findSipTemplate(family, PROTOCOL_UDP, client, virtual, virtualPort);
  if (found && leadsTo(found, destinationId)) return found;
  const index = newConnection(family, PROTOCOL_UDP, client, 0, virtual, virtualPort);
  if (!index) return 0;
  bindDestination(index, destinationId, load<u16>(packet, PACKET_SOURCE_PORT), STATE_TEMPLATE);
  store<u32>(hot(index), load<u32>(config, SERVICE_PERSISTENCE_TICKS), CONNECTION_TIMEOUT);
  rememberCallId(index);
  hashConnection(index);
  return index;
}

/** The packet's destination is the client here, masked as a client's source is. */
function maskedClient(config: usize, packet: usize): usize {
  const net = worker + CLIENT_NET;
  const mask = load<u32>(config, SERVICE_PERSISTENCE_MASK);
  if (load<u8>(packet, PACKET_FAMILY) == <u8>FAMILY_IPV4) {
    store<u32>(net, load<u32>(packet, PACKET_DESTINATION) & mask);
  } else {
    maskAddress6(net, packet + PACKET_DESTINATION, mask);
  }
  return net;
}

/**
 * Whether a template may lead to a destination: it does so already and may be used. Any other one
 * is made unfindable (ip_vs_check_template).
 */
function leadsTo(index: u32, destinationId: u32): bool {
  const entry = hot(index);
  const flags = load<u32>(destinationState(destinationId), DESTINATION_STATE_FLAGS);
  const isAvailable = (flags & DESTINATION_AVAILABLE) != 0;
  const isQuiescent =
    load<u32>(bank, SYSCTL_EXPIRE_QUIESCENT_TEMPLATE) != 0 &&
    load<i32>(destination(destinationId), DESTINATION_WEIGHT) == 0;
  if (load<u32>(entry, CONNECTION_DESTINATION_ID) == destinationId && isAvailable && !isQuiescent) {
    return true;
  }
  // Another worker may be at it in this very moment.
  if (!unhashConnection(index)) return false;
  store<u16>(entry, <u16>INVALID_PORT, CONNECTION_DESTINATION_PORT);
  store<u16>(entry, <u16>INVALID_PORT, CONNECTION_VIRTUAL_PORT);
  hashConnection(index);
  return false;
}
