// FTP's helper for NAT (ip_vs_ftp.c). A control connection talks about addresses: the helper reads
// the client's commands and the server's answers, rewrites what a server says about itself, and
// makes the entry for the data connection before its first packet comes.
//
//   client: PASV, EPSV        the next answer that announces a port is the server's
//   server: 227, 229          rewritten to the virtual end; an entry whose client port is unknown
//   client: PORT, EPRT        an entry for the connection that the server will open
//
// A rewritten answer may have another length, and everything the server sends after it is shifted
// by the difference, as nf_conntrack_seqadj.c does it for IPVS: sequence numbers on the way to the
// client, acknowledgements and selective ones on the way back. Nothing rewrites a client's text, so
// the other direction is never shifted.

import {
  FAMILY_IPV4,
  PROTOCOL_TCP,
  TCP_ESTABLISHED,
  TCP_LISTEN,
} from './shared/codes.ts';
import {
  BANK_TIMEOUT_TCP,
  CONNECTION_CLIENT,
  CONNECTION_DESTINATION,
  CONNECTION_DESTINATION_ID,
  CONNECTION_DESTINATION_PORT,
  CONNECTION_FAMILY,
  CONNECTION_PROTOCOL,
  CONNECTION_STATE,
  CONNECTION_TIMEOUT,
  CONNECTION_VIRTUAL,
  CONNECTION_VIRTUAL_PORT,
  CONTROL_NO_CLIENT_PORT,
  PACKET_DESTINATION,
  PACKET_DESTINATION_PORT,
  PACKET_FAMILY,
  PACKET_IP_LENGTH,
  PACKET_LENGTH,
  PACKET_MARK,
  PACKET_NETWORK,
  PACKET_PARTS,
  PACKET_PROTOCOL,
  PACKET_SOURCE,
  PACKET_SOURCE_PORT,
  PACKET_START,
  PACKET_TRANSPORT,
  SIDE_DATA,
  SIDE_LENGTH,
  SIDE_SEQUENCE_OUT,
  STATE_FTP,
  STATE_MASK,
  STATE_NO_CLIENT_PORT,
  STATE_SEQUENCE,
  WIDE_CLIENT,
  WIDE_DESTINATION,
  WIDE_VIRTUAL,
  WORKER_DATAGRAM,
  WORKER_GEOMETRY,
  WORKER_SCRATCH,
  WORKER_SIZE,
} from './shared/layout.ts';
import { FRAME_SIZE } from './shared/limits.ts';
import {
  addControl,
  bindDestination,
  setDestinationAddress,
  hashConnection,
  newConnection,
  restartTimer,
  setMark,
} from './connection.ts';
import { hashPacket, lookupIn, lookupOut } from './connection-table.ts';
import { copyAddress } from './hash.ts';
import { bank, hot, wide, worker } from './instance.ts';
import { lock, unlock } from './lock.ts';
import { pseudoHeaderSum, transportLength } from './parse.ts';
import { chunkOf } from './ring.ts';
import { newSide, sideOf } from './side-record.ts';
import { swap16, swap32 } from './wire/byte-order.ts';
import { CHECKSUM_SOUND, checksumAdjust32, checksumFold, checksumSum } from './wire/checksum.ts';
import { fillIpv4Checksum, ipv4HeaderLength, setIpv4TotalLength } from './wire/ipv4.ts';
import { IPV6_SIZE, setIpv6PayloadLength } from './wire/ipv6.ts';
import {
  TCP_ACK,
  TCP_SIZE,
  fillTcpChecksum,
  setTcpAcknowledgementUpdatingChecksum,
  setTcpChecksumBe,
  setTcpSequenceUpdatingChecksum,
  tcpAcknowledgement,
  tcpChecksumBe,
  tcpFlags,
  tcpHeaderLength,
  tcpSequence,
} from './wire/tcp.ts';

/** SIDE_KIND of a control connection's record. */
const SIDE_KIND_SEQUENCE: u32 = 1;
/** A sequence record has no length: the word is its lock. */
const SIDE_LOCK: u32 = SIDE_LENGTH;
/** Which answer of the server is waited for, in the sequence record. */
const SIDE_MODE: u32 = SIDE_DATA;
const MODE_ACTIVE: u32 = 0;
const MODE_PASSIVE: u32 = 1;
const MODE_EXTENDED_PASSIVE: u32 = 2;
/** Sequence number of the answer that was changed last, and the shifts after and before it. */
const SHIFT_AT: u32 = SIDE_SEQUENCE_OUT;
const SHIFT_AFTER: u32 = SIDE_SEQUENCE_OUT + 4;
const SHIFT_BEFORE: u32 = SIDE_SEQUENCE_OUT + 8;

/** The beginnings of lines, lower case, as a little-endian load sees them. */
const WORD_PASV: u32 = 0x76736170;
const WORD_EPSV: u32 = 0x76737065;
const WORD_PORT: u32 = 0x74726f70;
const WORD_EPRT: u32 = 0x74727065;
const WORD_227: u32 = 0x20373232;
const WORD_229: u32 = 0x20393232;
const WORD_SIZE: u32 = 4;
/** "PASV" or "EPSV" with the line's end. */
const COMMAND_SIZE: u32 = 6;

const NUL: u32 = 0;
const CARRIAGE_RETURN: u32 = 0x0d;
const LINE_FEED: u32 = 0x0a;
const SPACE: u32 = 0x20;
const PARENTHESIS: u32 = 0x28;
const COMMA: u32 = 0x2c;
const DOT: u32 = 0x2e;
const ZERO: u32 = 0x30;
const ONE: u32 = 0x31;
const TWO: u32 = 0x32;
const COLON: u32 = 0x3a;
const BAR: u32 = 0x7c;
/** The delimiters that RFC 2428 allows. */
const DELIMITER_MIN: u32 = 33;
const DELIMITER_MAX: u32 = 126;

/** TCP options. */
const OPTION_END: u32 = 0;
const OPTION_NOP: u32 = 1;
const OPTION_SACK: u32 = 5;
const SACK_BLOCK_SIZE: u32 = 8;

/** Scratch: a record to look a data connection up by, an announced address, a text to put in. */
const PROBE: u32 = WORKER_SCRATCH;
const ANNOUNCED: u32 = WORKER_SCRATCH + 128;
const TEXT: u32 = WORKER_SCRATCH + 144;

/** What findAnnounced found besides the address: where its text stands, and the port as loaded. */
let announcedStart: usize = 0;
let announcedEnd: usize = 0;
let announcedPort: u32 = 0;

/** Makes a new NAT connection to FTP's port a control connection. */
export function bindFtp(index: u32): void {
  const entry = hot(index);
  if (load<u8>(entry, CONNECTION_PROTOCOL) != <u8>PROTOCOL_TCP) return;
  if (!newSide(index, SIDE_KIND_SEQUENCE)) return;
  store<u32>(entry, load<u32>(entry, CONNECTION_STATE) | STATE_FTP, CONNECTION_STATE);
}

/** A client's packet, before it is translated. @returns false when it must be dropped */
export function ftpFromClient(packet: usize, index: u32): bool {
  const record = sideOf(index);
  if (!record || !load<u32>(packet, PACKET_TRANSPORT)) return true;
  if (!checksumIsSound(packet)) return false;
  if (isEstablished(index)) {
    forgetGeometry(packet);
    if (!readCommand(packet, index, record)) return false;
  }
  return !isShifted(index) || shiftAcknowledgement(packet, record);
}

/** A server's packet, before it is translated. @returns false when it must be dropped */
export function ftpFromServer(packet: usize, index: u32): bool {
  const record = sideOf(index);
  if (!record || !load<u32>(packet, PACKET_TRANSPORT)) return true;
  if (!checksumIsSound(packet)) return false;
  if (isEstablished(index)) {
    forgetGeometry(packet);
    if (!readAnswer(packet, index, record)) return false;
  }
  return !isShifted(index) || shiftSequence(packet, record);
}

// ---- the packet

function isEstablished(index: u32): bool {
  return (load<u32>(hot(index), CONNECTION_STATE) & STATE_MASK) == TCP_ESTABLISHED;
}

function isShifted(index: u32): bool {
  return (load<u32>(hot(index), CONNECTION_STATE) & STATE_SEQUENCE) != 0;
}

/** A damaged packet must not leave with a checksum that is right. */
function checksumIsSound(packet: usize): bool {
  const sum = checksumSum(load<u32>(packet, PACKET_TRANSPORT), transportLength(packet));
  return checksumFold(sum + pseudoHeaderSum(packet)) == CHECKSUM_SOUND;
}

/**
 * A datagram that came in fragments is one piece once the helper has read it, and is cut anew, as
 * large as its largest fragment was: a length that fits nowhere makes the old places useless.
 */
function forgetGeometry(packet: usize): void {
  if (!load<u32>(packet, PACKET_PARTS)) return;
  store<u32>(worker + WORKER_GEOMETRY, 1);
  store<u16>(worker + WORKER_GEOMETRY + 4, 0xffff);
}

// @ts-ignore: decorator
@inline
function textOf(packet: usize): usize {
  const transport: usize = load<u32>(packet, PACKET_TRANSPORT);
  return transport + tcpHeaderLength(transport);
}

// @ts-ignore: decorator
@inline
function textEnd(packet: usize): usize {
  return <usize>load<u32>(packet, PACKET_NETWORK) + load<u32>(packet, PACKET_IP_LENGTH);
}

/** Bytes by which a packet can grow where it stands. */
function roomBehind(packet: usize): u32 {
  const place = load<u32>(packet, PACKET_PARTS)
    ? worker + WORKER_DATAGRAM + (WORKER_SIZE - WORKER_DATAGRAM)
    : chunkOf(load<u32>(packet, PACKET_NETWORK)) + FRAME_SIZE;
  return <u32>(place - textEnd(packet));
}

/** Puts the text in TEXT in place of what was announced. @returns false: there is no room */
function replaceAnnounced(packet: usize, length: u32): bool {
  const end = textEnd(packet);
  const before = <u32>(announcedEnd - announcedStart);
  if (length > before && length - before > roomBehind(packet)) return false;
  memory.copy(announcedStart + length, announcedEnd, end - announcedEnd);
  memory.copy(announcedStart, worker + TEXT, length);
  const network: usize = load<u32>(packet, PACKET_NETWORK);
  const total = load<u32>(packet, PACKET_IP_LENGTH) + length - before;
  store<u32>(packet, total, PACKET_IP_LENGTH);
  store<u32>(packet, <u32>network - load<u32>(packet, PACKET_START) + total, PACKET_LENGTH);
  if (load<u8>(packet, PACKET_FAMILY) == <u8>FAMILY_IPV4) {
    setIpv4TotalLength(network, total);
    fillIpv4Checksum(network, ipv4HeaderLength(network));
  } else {
    setIpv6PayloadLength(network, total - IPV6_SIZE);
  }
  const transport: usize = load<u32>(packet, PACKET_TRANSPORT);
  fillTcpChecksum(transport, transportLength(packet), pseudoHeaderSum(packet));
  return true;
}

// ---- the client's commands (ip_vs_ftp_in)

/** Notes what a client's packet asks for. @returns false: an entry was needed and none was free */
function readCommand(packet: usize, index: u32, record: usize): bool {
  const start = textOf(packet);
  const end = textEnd(packet);
  const family = <u32>load<u8>(packet, PACKET_FAMILY);
  for (let at = start; at + COMMAND_SIZE <= end; at++) {
    if (family == FAMILY_IPV4 && isWord(at, WORD_PASV) && isLineEnd(at + WORD_SIZE)) {
      store<u32>(record, MODE_PASSIVE, SIDE_MODE);
      return true;
    }
    if (isWord(at, WORD_EPSV) && (charAt(at + 4) == SPACE || charAt(at + 4) == CARRIAGE_RETURN)) {
      if (charAt(at + 4) == CARRIAGE_RETURN || asksForOwnFamily(at, end, family)) {
        store<u32>(record, MODE_EXTENDED_PASSIVE, SIDE_MODE);
      }
      return true;
    }
  }
  const isPort =
    family == FAMILY_IPV4 && findAnnounced(start, end, WORD_PORT, SPACE, false, family);
  if (!isPort && !findAnnounced(start, end, WORD_EPRT, SPACE, true, family)) return true;
  store<u32>(record, MODE_ACTIVE, SIDE_MODE);
  return expectFromServer(packet, index);
}

/** Whether a line "EPSV n" asks for an address of the connection's family. */
function asksForOwnFamily(at: usize, end: usize, family: u32): bool {
  if (at + COMMAND_SIZE + 1 > end || charAt(at + 6) != CARRIAGE_RETURN) return false;
  return charAt(at + 5) == (family == FAMILY_IPV4 ? ONE : TWO);
}

// @ts-ignore: decorator
@inline
function isLineEnd(at: usize): bool {
  return charAt(at) == CARRIAGE_RETURN && charAt(at + 1) == LINE_FEED;
}

/** The entry for a data connection that the server will open, from the port below its own. */
function expectFromServer(packet: usize, index: u32): bool {
  const entry = hot(index);
  const client = worker + ANNOUNCED;
  const virtualPort = portBelow(load<u16>(entry, CONNECTION_VIRTUAL_PORT));
  const known = lookupIn(probe(packet, client, announcedPort, virtualOf(index), virtualPort));
  if (known) {
    listen(known);
    return true;
  }
  const target = destinationOf(index);
  const targetPort = portBelow(load<u16>(entry, CONNECTION_DESTINATION_PORT));
  return expect(packet, index, client, announcedPort, virtualPort, target, targetPort, 0) != 0;
}

// @ts-ignore: decorator
@inline
function portBelow(portBe: u32): u32 {
  return swap16(swap16(portBe) - 1);
}

// ---- the server's answers (ip_vs_ftp_out)

/** Looks for the answer that is waited for. @returns false: the packet must not go out as it is */
function readAnswer(packet: usize, index: u32, record: usize): bool {
  const mode = load<u32>(record, SIDE_MODE);
  if (mode == MODE_ACTIVE) return true;
  const start = textOf(packet);
  const end = textEnd(packet);
  if (start >= end) return true;
  const family = <u32>load<u8>(packet, PACKET_FAMILY);
  const isExtended = mode == MODE_EXTENDED_PASSIVE;
  // An extended answer seldom names an address: then it is the server's own.
  if (isExtended) copyAddress(family, worker + ANNOUNCED, destinationOf(index));
  const word = isExtended ? WORD_229 : WORD_227;
  if (!findAnnounced(start, end, word, PARENTHESIS, isExtended, family)) return true;
  const expected = expectFromClient(packet, index);
  if (!expected) return false;
  store<u32>(record, MODE_ACTIVE, SIDE_MODE);
  listen(expected);
  return announceVirtual(packet, index, record, expected, isExtended);
}

/** The entry for the data connection that a client will open, from a port not known yet. */
function expectFromClient(packet: usize, index: u32): u32 {
  const client = clientOf(index);
  const target = worker + ANNOUNCED;
  const known = lookupOut(probe(packet, target, announcedPort, client, 0));
  if (known) return known;
  const flag = STATE_NO_CLIENT_PORT;
  return expect(packet, index, client, 0, announcedPort, target, announcedPort, flag);
}

/** Writes the virtual end in place of the server's own, and notes how far that shifts the rest. */
function announceVirtual(
  packet: usize,
  index: u32,
  record: usize,
  expected: u32,
  isExtended: bool,
): bool {
  const port = swap16(load<u16>(hot(expected), CONNECTION_VIRTUAL_PORT));
  const text = worker + TEXT;
  let at = text;
  if (isExtended) {
    at = putChar(putChar(putChar(at, BAR), BAR), BAR);
    at = putChar(putDecimal(at, port), BAR);
  } else {
    const address = virtualOf(expected);
    for (let i: u32 = 0; i < 4; i++) at = putChar(putDecimal(at, load<u8>(address + i)), COMMA);
    at = putDecimal(putChar(putDecimal(at, port >> 8), COMMA), port & 0xff);
  }
  const length = <u32>(at - text);
  const change = length - <u32>(announcedEnd - announcedStart);
  if (!replaceAnnounced(packet, length)) return false;
  if (change) noteShift(index, record, tcpSequence(load<u32>(packet, PACKET_TRANSPORT)), change);
  return true;
}

// @ts-ignore: decorator
@inline
function putChar(at: usize, char: u32): usize {
  store<u8>(at, <u8>char);
  return at + 1;
}

function putDecimal(at: usize, value: u32): usize {
  if (value >= 10) at = putDecimal(at, value / 10);
  return putChar(at, ZERO + (value % 10));
}

// ---- entries of data connections

// @ts-ignore: decorator
@inline
function clientOf(index: u32): usize {
  return isIpv4(index) ? hot(index) + CONNECTION_CLIENT : wide(index) + WIDE_CLIENT;
}

// @ts-ignore: decorator
@inline
function virtualOf(index: u32): usize {
  return isIpv4(index) ? hot(index) + CONNECTION_VIRTUAL : wide(index) + WIDE_VIRTUAL;
}

// @ts-ignore: decorator
@inline
function destinationOf(index: u32): usize {
  return isIpv4(index) ? hot(index) + CONNECTION_DESTINATION : wide(index) + WIDE_DESTINATION;
}

// @ts-ignore: decorator
@inline
function isIpv4(index: u32): bool {
  return load<u8>(hot(index), CONNECTION_FAMILY) == <u8>FAMILY_IPV4;
}

/** The record of a packet between two ends, for a lookup. */
function probe(
  packet: usize,
  source: usize,
  sourcePort: u32,
  target: usize,
  targetPort: u32,
): usize {
  const record = worker + PROBE;
  const family = <u32>load<u8>(packet, PACKET_FAMILY);
  store<u8>(record, <u8>family, PACKET_FAMILY);
  store<u8>(record, <u8>PROTOCOL_TCP, PACKET_PROTOCOL);
  copyAddress(family, record + PACKET_SOURCE, source);
  store<u16>(record, <u16>sourcePort, PACKET_SOURCE_PORT);
  copyAddress(family, record + PACKET_DESTINATION, target);
  store<u16>(record, <u16>targetPort, PACKET_DESTINATION_PORT);
  hashPacket(record);
  return record;
}

/**
 * Makes an entry under the control connection's control, bound to its destination but for the
 * address, which the server may have said another of. @returns its index, or 0
 */
function expect(
  packet: usize,
  index: u32,
  client: usize,
  clientPort: u32,
  virtualPort: u32,
  target: usize,
  targetPort: u32,
  flags: u32,
): u32 {
  const family = <u32>load<u8>(hot(index), CONNECTION_FAMILY);
  const virtual = virtualOf(index);
  const made = newConnection(family, PROTOCOL_TCP, client, clientPort, virtual, virtualPort);
  if (!made) return 0;
  setMark(made, load<u32>(packet, PACKET_MARK));
  bindDestination(made, load<u32>(hot(index), CONNECTION_DESTINATION_ID), targetPort, flags);
  setDestinationAddress(made, target);
  if (flags & STATE_NO_CLIENT_PORT) atomic.add<u32>(CONTROL_NO_CLIENT_PORT, 1);
  addControl(made, index);
  hashConnection(made);
  listen(made);
  return made;
}

/** Puts an entry into the state in which it waits for its first packet (ip_vs_tcp_conn_listen). */
function listen(index: u32): void {
  const at = hot(index) + CONNECTION_STATE;
  for (;;) {
    const state = atomic.load<u32>(at);
    if (atomic.cmpxchg<u32>(at, state, (state & ~STATE_MASK) | TCP_LISTEN) == state) break;
  }
  const timeout = load<u32>(bank + BANK_TIMEOUT_TCP + (TCP_LISTEN << 2));
  store<u32>(hot(index), timeout, CONNECTION_TIMEOUT);
  restartTimer(index);
}

// ---- texts (ip_vs_ftp_get_addrport)

// @ts-ignore: decorator
@inline
function charAt(at: usize): u32 {
  return load<u8>(at);
}

// @ts-ignore: decorator
@inline
function isDigit(char: u32): bool {
  return char - ZERO < 10;
}

// @ts-ignore: decorator
@inline
function isWord(at: usize, word: u32): bool {
  for (let i: u32 = 0; i < WORD_SIZE; i++) {
    let char = charAt(at + i);
    if (char - 0x41 < 26) char |= 0x20;
    if (char != ((word >> (i << 3)) & 0xff)) return false;
  }
  return true;
}

/**
 * Reads an address and a port behind a word: "h,h,h,h,p,p", or in the extended form "|f|address|p|"
 * with any delimiter. They stand behind a run of `skip`; in the plain form digits are enough.
 * The address is stored in ANNOUNCED, unless the server leaves it out.
 */
function findAnnounced(
  start: usize,
  end: usize,
  word: u32,
  skip: u32,
  isExtended: bool,
  family: u32,
): bool {
  if (start + WORD_SIZE > end || !isWord(start, word)) return false;
  let isBehind = false;
  for (let at = start + WORD_SIZE; at < end; at++) {
    const char = charAt(at);
    if (char == skip) {
      isBehind = true;
    } else if (isBehind || (!isExtended && isDigit(char))) {
      announcedStart = at;
      return isExtended ? readExtended(at, end, family, word == WORD_229) : readPlain(at, end);
    }
  }
  return false;
}

/** Six numbers modulo 256, commas between them; whatever follows must be there. */
function readPlain(at: usize, end: usize): bool {
  const numbers = worker + TEXT;
  let place: u32 = 0;
  store<u8>(numbers, 0);
  for (; at < end; at++) {
    const char = charAt(at);
    if (isDigit(char)) {
      const value = <u32>load<u8>(numbers + place) * 10 + char - ZERO;
      store<u8>(numbers + place, <u8>value);
    } else if (char == COMMA && place < 5) {
      store<u8>(numbers + ++place, 0);
    } else {
      break;
    }
  }
  if (at == end || place != 5) return false;
  announcedEnd = at;
  store<u32>(worker + ANNOUNCED, load<u32>(numbers));
  announcedPort = load<u16>(numbers, 4);
  return true;
}

function readExtended(start: usize, end: usize, family: u32, isAnswer: bool): bool {
  const delimiter = charAt(start);
  if (delimiter < DELIMITER_MIN || delimiter > DELIMITER_MAX) return false;
  let at = start + 1;
  if (at < end && charAt(at) == delimiter) {
    // No family and no address: only the server may leave them out.
    if (!isAnswer || at + 1 >= end || charAt(at + 1) != delimiter) return false;
    at += 2;
  } else {
    if (at + 2 >= end || charAt(at) != (family == FAMILY_IPV4 ? ONE : TWO)) return false;
    if (charAt(at + 1) != delimiter) return false;
    const address = worker + ANNOUNCED;
    at =
      family == FAMILY_IPV4
        ? readIpv4(at + 2, end, delimiter, address)
        : readIpv6(at + 2, end, delimiter, address);
    if (!at || at >= end || charAt(at) != delimiter) return false;
    at++;
  }
  return readPort(at, end, delimiter);
}

/** A number modulo 65536, not 0, and the last delimiter. */
function readPort(at: usize, end: usize, delimiter: u32): bool {
  let value: u32 = 0;
  for (; at < end && isDigit(charAt(at)); at++) value = (value * 10 + charAt(at) - ZERO) & 0xffff;
  if (at == end || !value || charAt(at) != delimiter) return false;
  announcedEnd = at + 1;
  announcedPort = swap16(value);
  return true;
}

/** Whether nothing of an address stands at `at` any more: the delimiter, a NUL, or the end. */
// @ts-ignore: decorator
@inline
function isAddressEnd(at: usize, end: usize, delimiter: u32): bool {
  return at >= end || charAt(at) == delimiter || charAt(at) == NUL;
}

/** Four numbers up to 255, dots between them (in4_pton). @returns where it ends, or 0 */
function readIpv4(at: usize, end: usize, delimiter: u32, to: usize): usize {
  let bytes: u32 = 0;
  for (let place: u32 = 0; ; place++) {
    const first = at;
    let value: u32 = 0;
    for (; !isAddressEnd(at, end, delimiter) && isDigit(charAt(at)); at++) {
      value = value * 10 + charAt(at) - ZERO;
      if (value > 255) return 0;
    }
    if (at == first) return 0;
    bytes |= value << (place << 3);
    if (place == 3) break;
    if (isAddressEnd(at, end, delimiter) || charAt(at) != DOT) return 0;
    at++;
  }
  if (!isAddressEnd(at, end, delimiter) && charAt(at) != COLON) return 0;
  store<u32>(to, bytes);
  return at;
}

// @ts-ignore: decorator
@inline
function hexDigit(char: u32): i32 {
  if (isDigit(char)) return char - ZERO;
  const letter = (char | 0x20) - 0x61;
  return letter < 6 ? letter + 10 : -1;
}

/**
 * Up to eight groups; "::" stands for one or more zero groups; the last two may be an IPv4 address
 * (in6_pton). @returns where it ends, or 0
 */
function readIpv6(at: usize, end: usize, delimiter: u32, to: usize): usize {
  const groups = worker + TEXT;
  let size: u32 = 0;
  let gap: i32 = -1;
  let isBehindGroup = false;
  let needsGroup = false;
  while (!isAddressEnd(at, end, delimiter)) {
    // What a group that begins here may leave at most, the zero group of "::" counted.
    const room: u32 = (gap < 0 ? 16 : 14) - size;
    if (charAt(at) == COLON) {
      const isDouble = !isAddressEnd(at + 1, end, delimiter) && charAt(at + 1) == COLON;
      if (!room || (isDouble ? gap >= 0 : !isBehindGroup)) return 0;
      if (isDouble) gap = size;
      needsGroup = !isDouble;
      isBehindGroup = false;
      at += isDouble ? 2 : 1;
      continue;
    }
    const next = readGroup(at, end, delimiter, groups + size);
    if (!room || isBehindGroup || next == at) return 0;
    isBehindGroup = true;
    needsGroup = false;
    if (!isAddressEnd(next, end, delimiter) && charAt(next) == DOT) {
      if (gap < 0 ? room != 4 : room < 4) return 0;
      at = readIpv4(at, end, delimiter, groups + size);
      if (!at) return 0;
      size += 4;
      break;
    }
    at = next;
    size += 2;
  }
  if (needsGroup || (gap < 0 && size != 16)) return 0;
  const head: u32 = gap < 0 ? 16 : gap;
  memory.fill(to, 0, 16);
  memory.copy(to, groups, head);
  memory.copy(to + 16 - (size - head), groups + head, size - head);
  return at;
}

/** Up to four hexadecimal digits that count. @returns where they end */
function readGroup(at: usize, end: usize, delimiter: u32, to: usize): usize {
  let value: i32 = 0;
  for (; !isAddressEnd(at, end, delimiter) && value < 0x1000; at++) {
    const digit = hexDigit(charAt(at));
    if (digit < 0) break;
    value = (value << 4) | digit;
  }
  store<u16>(to, bswap<u16>(<u16>value));
  return at;
}

// ---- sequence numbers (nf_conntrack_seqadj.c)

// @ts-ignore: decorator
@inline
function isAfter(a: u32, b: u32): bool {
  return <i32>(b - a) < 0;
}

/** An answer got longer or shorter: what follows it is shifted from now on. */
function noteShift(index: u32, record: usize, sequence: u32, change: u32): void {
  lock(record + SIDE_LOCK);
  const after = load<u32>(record, SHIFT_AFTER);
  const isNewer = isAfter(sequence, load<u32>(record, SHIFT_AT));
  if (after == load<u32>(record, SHIFT_BEFORE) || isNewer) {
    store<u32>(record, sequence, SHIFT_AT);
    store<u32>(record, after, SHIFT_BEFORE);
    store<u32>(record, after + change, SHIFT_AFTER);
  }
  unlock(record + SIDE_LOCK);
  atomic.or<u32>(hot(index) + CONNECTION_STATE, STATE_SEQUENCE);
}

/** Moves the sequence number of a server's packet. @returns false: its options are malformed */
function shiftSequence(packet: usize, record: usize): bool {
  const transport: usize = load<u32>(packet, PACKET_TRANSPORT);
  const sequence = tcpSequence(transport);
  lock(record + SIDE_LOCK);
  const isLate = isAfter(sequence, load<u32>(record, SHIFT_AT));
  const shift = isLate ? load<u32>(record, SHIFT_AFTER) : load<u32>(record, SHIFT_BEFORE);
  unlock(record + SIDE_LOCK);
  setTcpSequenceUpdatingChecksum(transport, sequence + shift);
  return !(tcpFlags(transport) & TCP_ACK) || shiftSelective(transport, 0, 0, 0);
}

/** Moves the acknowledgements of a client's packet back to the numbers that the server knows. */
function shiftAcknowledgement(packet: usize, record: usize): bool {
  const transport: usize = load<u32>(packet, PACKET_TRANSPORT);
  if (!(tcpFlags(transport) & TCP_ACK)) return true;
  lock(record + SIDE_LOCK);
  const at = load<u32>(record, SHIFT_AT);
  const before = load<u32>(record, SHIFT_BEFORE);
  const after = load<u32>(record, SHIFT_AFTER);
  unlock(record + SIDE_LOCK);
  const acknowledged = unshifted(tcpAcknowledgement(transport), at, before, after);
  setTcpAcknowledgementUpdatingChecksum(transport, acknowledged);
  return shiftSelective(transport, at, before, after);
}

// @ts-ignore: decorator
@inline
function unshifted(number: u32, at: u32, before: u32, after: u32): u32 {
  return number - (isAfter(number - before, at) ? after : before);
}

/** The same for the blocks of SACK options. @returns false: the options are malformed */
function shiftSelective(transport: usize, at: u32, before: u32, after: u32): bool {
  const end = transport + tcpHeaderLength(transport);
  let option = transport + TCP_SIZE;
  while (option < end) {
    const kind = charAt(option);
    if (kind == OPTION_END) return true;
    if (kind == OPTION_NOP) {
      option++;
      continue;
    }
    if (option + 1 == end) return false;
    const size = charAt(option + 1);
    if (size < 2 || option + size > end) return false;
    if (kind == OPTION_SACK && size > 2 && (size - 2) % SACK_BLOCK_SIZE == 0) {
      for (let edge = option + 2; edge < option + size; edge += 4) {
        shiftEdge(transport, edge, at, before, after);
      }
    }
    option += size;
  }
  return true;
}

function shiftEdge(transport: usize, edge: usize, at: u32, before: u32, after: u32): void {
  const oldBe = load<u32>(edge);
  const newBe = swap32(unshifted(swap32(oldBe), at, before, after));
  setTcpChecksumBe(transport, checksumAdjust32(tcpChecksumBe(transport), oldBe, newBe));
  store<u32>(edge, newBe);
}
