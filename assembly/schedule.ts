// Making a connection for a packet that has none: the service, the persistence template, and the
// scheduler, which is the host's (ip_vs_try_to_schedule, ip_vs_schedule, ip_vs_sched_persist).

import {
  FAMILY_IPV4,
  FORWARD_BYPASS,
  FORWARD_FULL_NAT,
  PROTOCOL_ANY,
  PROTOCOL_SCTP,
  PROTOCOL_TCP,
  PROTOCOL_UDP,
  SERVICE_ENGINE_SIP,
  SERVICE_ONE_PACKET,
  SERVICE_PERSISTENT,
} from './shared/codes.ts';
import {
  CONNECTION_DESTINATION_ID,
  CONNECTION_DESTINATION_PORT,
  CONNECTION_STATE,
  CONNECTION_TIMEOUT,
  CONNECTION_VIRTUAL_PORT,
  CONTROL_DROP_COUNTER,
  CONTROL_DROP_RATE,
  DESTINATION_FORWARDING,
  DESTINATION_PORT,
  DESTINATION_STATE_FLAGS,
  DESTINATION_WEIGHT,
  PACKET_DESTINATION,
  PACKET_DESTINATION_PORT,
  PACKET_FAMILY,
  PACKET_FLAGS,
  PACKET_ICMP_ERROR,
  PACKET_MARK,
  PACKET_PROTOCOL,
  PACKET_SERVICE,
  PACKET_SOURCE,
  PACKET_SOURCE_PORT,
  PACKET_TCP_FLAGS,
  SERVICE_FLAGS,
  SERVICE_MARK,
  SERVICE_PERSISTENCE_MASK,
  SERVICE_PERSISTENCE_TICKS,
  SERVICE_PORT,
  STATE_FORWARD_SHIFT,
  STATE_INACTIVE,
  STATE_MASK,
  STATE_ONE_PACKET,
  STATE_TEMPLATE,
  SYSCTL_EXPIRE_QUIESCENT_TEMPLATE,
  SYSCTL_SLOPPY_SCTP,
  SYSCTL_SLOPPY_TCP,
  WORKER_SCRATCH,
} from './shared/layout.ts';
import { DESTINATION_AVAILABLE } from './shared/codes.ts';
import { FORWARD_NAT } from './shared/codes.ts';
import {
  DROP_CONNECTION_TABLE_FULL,
  DROP_DEFENCE,
  DROP_LOCAL_POOL_EXHAUSTED,
  DROP_PERSISTENCE_ENGINE,
} from './shared/counters.ts';
import {
  addControl,
  answersPass,
  assureTemplate,
  bindDestination,
  bindInState,
  hashConnection,
  newConnection,
  presentConnection,
  restartTimer,
  setMark,
  unhashConnection,
} from './connection.ts';
import { firstState, firstTimeout, isEstablished } from './connection-state.ts';
import { hashSource, lookupTemplate } from './connection-table.ts';
import { countConnection } from './counters.ts';
import { bindFtp } from './ftp.ts';
import { bindLocalEnd } from './forward/full-nat.ts';
import { invert } from './icmp.ts';
import { bank, destination, destinationState, hot, service, worker } from './instance.ts';
import { maskAddress6 } from './route.ts';
import { FTP_DATA_PORT_BE, FTP_PORT_BE, findService } from './service-table.ts';
import { findSipTemplate, parseCallId, rememberCallId } from './sip.ts';

/** The host's part: chooses a destination for a packet of a service. Returns its id, or 0. */
// @ts-ignore: decorator
@external("host", "schedule")
declare function schedule(serviceId: u32, packet: u32): u32;

/** Whether a record is of a packet that an ICMP error quotes. */
// @ts-ignore: decorator
@inline
function isQuoted(packet: usize): bool {
  return (load<u16>(packet, PACKET_FLAGS) & <u16>PACKET_ICMP_ERROR) != 0;
}

/**
 * Asks the host for a destination. Schedulers look at the packet as it stands in the frame: what an
 * ICMP error quotes went the other way, and its record was turned round for the lookup.
 */
function choose(serviceId: u32, packet: usize): u32 {
  if (!isQuoted(packet)) return schedule(serviceId, <u32>packet);
  invert(packet);
  const chosen = schedule(serviceId, <u32>packet);
  invert(packet);
  return chosen;
}

/** What tryToSchedule answers instead of a connection. */
export const SCHEDULE_PASS: u32 = 0x80000000;
/** No destination: bypass, or tell the client (ip_vs_leave). PACKET_SERVICE says for which service. */
export const SCHEDULE_LEAVE: u32 = 0x80000001;
/** Dropped; the low byte of `SCHEDULE_DROP | reason` is the reason. */
export const SCHEDULE_DROP: u32 = 0xc0000000;

const TCP_SYN: u32 = 0x02;
const TCP_RST: u32 = 0x04;
const SCTP_CHUNK_INIT: u32 = 1;
const SCTP_CHUNK_ABORT: u32 = 6;
const INVALID_PORT: u32 = 0xffff;

/** The masked client's address, 16 bytes in the worker's scratch space. */
const CLIENT_NET: u32 = WORKER_SCRATCH + 8192 - 128;
/** A mark in place of a virtual address: as the kernel, in network order. */
const MARK_AS_ADDRESS: u32 = WORKER_SCRATCH + 8192 - 112;

/** Whether a packet of its protocol may begin a connection. */
function mayBegin(packet: usize): bool {
  const protocol = <u32>load<u8>(packet, PACKET_PROTOCOL);
  const kind = <u32>load<u8>(packet, PACKET_TCP_FLAGS);
  const quoted = isQuoted(packet);
  if (protocol == PROTOCOL_UDP) return true;
  if (protocol == PROTOCOL_TCP) {
    if (quoted) return true;
    return (kind & TCP_SYN || load<u32>(bank, SYSCTL_SLOPPY_TCP)) && !(kind & TCP_RST);
  }
  if (protocol == PROTOCOL_SCTP) {
    if (quoted) return true;
    return kind != SCTP_CHUNK_ABORT && (kind == SCTP_CHUNK_INIT || load<u32>(bank, SYSCTL_SLOPPY_SCTP));
  }
  return false;
}

/** drop_packet: every so-many-th new connection's packet is dropped (ip_vs_todrop). */
function defenceDrops(): bool {
  const rate = load<u32>(CONTROL_DROP_RATE);
  if (!rate) return false;
  if (<i32>atomic.sub<u32>(CONTROL_DROP_COUNTER, 1) - 1 > 0) return false;
  store<u32>(CONTROL_DROP_COUNTER, rate);
  return true;
}

/**
 * Schedules a packet that has no connection. PACKET_MARK is set; the record's source is the client.
 * @returns a connection's index, or one of the SCHEDULE_* above
 */
export function tryToSchedule(packet: usize): u32 {
  if (!mayBegin(packet)) return SCHEDULE_PASS;
  const serviceId = findService(packet);
  if (!serviceId) return SCHEDULE_PASS;
  store<u32>(packet, serviceId, PACKET_SERVICE);
  if (defenceDrops()) return SCHEDULE_DROP | DROP_DEFENCE;
  if (<u32>load<u16>(packet, PACKET_SOURCE_PORT) == FTP_DATA_PORT_BE) return SCHEDULE_PASS;
  const config = service(serviceId);
  if (load<u32>(config, SERVICE_FLAGS) & SERVICE_PERSISTENT) {
    return schedulePersistent(serviceId, config, packet);
  }
  const portBe = load<u16>(packet, PACKET_DESTINATION_PORT);
  if (!load<u32>(config, SERVICE_MARK) && portBe != load<u16>(config, SERVICE_PORT)) {
    return SCHEDULE_LEAVE;
  }
  const chosen = choose(serviceId, packet);
  if (!chosen) return SCHEDULE_LEAVE;
  const own = <u32>load<u16>(destination(chosen), DESTINATION_PORT);
  return makeConnection(serviceId, config, packet, chosen, own ? own : portBe, 0);
}

/** Flags of a new connection: one-packet for UDP when the service says so. */
function onePacketFlag(config: usize, packet: usize): u32 {
  const isUdp = load<u8>(packet, PACKET_PROTOCOL) == <u8>PROTOCOL_UDP;
  return load<u32>(config, SERVICE_FLAGS) & SERVICE_ONE_PACKET && isUdp ? STATE_ONE_PACKET : 0;
}

/** A connection from a packet's source to a destination, under a template's control if there is one. */
function makeConnection(
  serviceId: u32,
  config: usize,
  packet: usize,
  destinationId: u32,
  portBe: u32,
  template: u32,
): u32 {
  const index = newConnection(
    load<u8>(packet, PACKET_FAMILY),
    load<u8>(packet, PACKET_PROTOCOL),
    packet + PACKET_SOURCE,
    load<u16>(packet, PACKET_SOURCE_PORT),
    packet + PACKET_DESTINATION,
    load<u16>(packet, PACKET_DESTINATION_PORT),
  );
  if (!index) return SCHEDULE_DROP | DROP_CONNECTION_TABLE_FULL;
  setMark(index, load<u32>(packet, PACKET_MARK));
  const forwarding = <u32>load<u8>(destination(destinationId), DESTINATION_FORWARDING);
  // What an ICMP error quotes begins a connection, but has no part in its state.
  const state = isQuoted(packet) ? STATE_INACTIVE : firstState(packet, answersPass(forwarding));
  bindInState(index, destinationId, portBe, state | onePacketFlag(config, packet));
  if (!isQuoted(packet)) store<u32>(hot(index), firstTimeout(packet, state), CONNECTION_TIMEOUT);
  if (forwarding == FORWARD_FULL_NAT && !bindLocalEnd(index, serviceId, destinationId)) {
    return SCHEDULE_DROP | DROP_LOCAL_POOL_EXHAUSTED;
  }
  if (forwarding == FORWARD_NAT && load<u16>(hot(index), CONNECTION_VIRTUAL_PORT) == <u16>FTP_PORT_BE) {
    bindFtp(index);
  }
  if (template) {
    addControl(index, template);
    if (isEstablished(packet, state)) assureTemplate(index);
  }
  presentConnection(index, hashSource(packet));
  countConnection(serviceId, destinationId);
  return index;
}

/** Masks the client's address with the service's persistence mask or prefix. */
function maskClient(config: usize, packet: usize): usize {
  const net = worker + CLIENT_NET;
  const mask = load<u32>(config, SERVICE_PERSISTENCE_MASK);
  if (load<u8>(packet, PACKET_FAMILY) == <u8>FAMILY_IPV4) {
    store<u32>(net, load<u32>(packet, PACKET_SOURCE) & mask);
  } else {
    maskAddress6(net, packet + PACKET_SOURCE, mask);
  }
  return net;
}

/**
 * A template may be used while its destination is available, and has weight when
 * expire_quiescent_template asks for it. An unusable one is made unfindable (ip_vs_check_template).
 */
function templateIsUsable(index: u32): bool {
  const entry = hot(index);
  const id = load<u32>(entry, CONNECTION_DESTINATION_ID);
  const available =
    id != 0 && (load<u32>(destinationState(id), DESTINATION_STATE_FLAGS) & DESTINATION_AVAILABLE) != 0;
  const quiescent =
    load<u32>(bank, SYSCTL_EXPIRE_QUIESCENT_TEMPLATE) != 0 &&
    load<i32>(destination(id), DESTINATION_WEIGHT) == 0;
  if (available && !quiescent) return true;
  if (load<u16>(entry, CONNECTION_VIRTUAL_PORT) != <u16>INVALID_PORT && unhashConnection(index)) {
    store<u16>(entry, <u16>INVALID_PORT, CONNECTION_DESTINATION_PORT);
    store<u16>(entry, <u16>INVALID_PORT, CONNECTION_VIRTUAL_PORT);
    hashConnection(index);
  }
  return false;
}

/** A new template for a masked client, bound to a destination that the scheduler chooses. */
function makeTemplate(
  serviceId: u32,
  config: usize,
  packet: usize,
  protocol: u32,
  virtual: usize,
  virtualPort: u32,
): u32 {
  const chosen = choose(serviceId, packet);
  if (!chosen) return SCHEDULE_LEAVE;
  const family = <u32>load<u8>(packet, PACKET_FAMILY);
  const portBe = load<u16>(packet, PACKET_DESTINATION_PORT);
  const isServicePort = portBe == load<u16>(config, SERVICE_PORT) && portBe != <u16>FTP_PORT_BE;
  const index = newConnection(family, protocol, worker + CLIENT_NET, 0, virtual, virtualPort);
  if (!index) return SCHEDULE_DROP | DROP_CONNECTION_TABLE_FULL;
  setMark(index, load<u32>(packet, PACKET_MARK));
  const destinationPort = isServicePort ? load<u16>(destination(chosen), DESTINATION_PORT) : 0;
  bindDestination(index, chosen, destinationPort, STATE_TEMPLATE);
  store<u32>(hot(index), load<u32>(config, SERVICE_PERSISTENCE_TICKS), CONNECTION_TIMEOUT);
  if (load<u32>(config, SERVICE_FLAGS) & SERVICE_ENGINE_SIP) rememberCallId(index);
  hashConnection(index);
  return index;
}

/**
 * Persistent services: the client's template chooses, or is made. Templates are found by
 * protocol, masked client, virtual address and port; by address alone for FTP and services of any
 * port; by the mark for services by mark.
 */
function schedulePersistent(serviceId: u32, config: usize, packet: usize): u32 {
  const portBe = <u32>load<u16>(packet, PACKET_DESTINATION_PORT);
  const servicePort = <u32>load<u16>(config, SERVICE_PORT);
  let protocol = <u32>load<u8>(packet, PACKET_PROTOCOL);
  let virtual = packet + PACKET_DESTINATION;
  let virtualPort: u32 = 0;
  if (portBe == servicePort) {
    if (servicePort != FTP_PORT_BE) virtualPort = portBe;
  } else if (load<u32>(config, SERVICE_MARK)) {
    protocol = PROTOCOL_ANY;
    virtual = worker + MARK_AS_ADDRESS;
    memory.fill(virtual, 0, 16);
    store<u32>(virtual, bswap<u32>(load<u32>(config, SERVICE_MARK)));
  }
  const family = <u32>load<u8>(packet, PACKET_FAMILY);
  const client = maskClient(config, packet);
  let template: u32;
  if (load<u32>(config, SERVICE_FLAGS) & SERVICE_ENGINE_SIP) {
    if (!parseCallId(packet)) return SCHEDULE_DROP | DROP_PERSISTENCE_ENGINE;
    template = findSipTemplate(family, protocol, client, virtual, virtualPort);
  } else {
    template = lookupTemplate(family, protocol, client, virtual, virtualPort);
  }
  if (!template || !templateIsUsable(template)) {
    template = makeTemplate(serviceId, config, packet, protocol, virtual, virtualPort);
    if (template >= SCHEDULE_PASS) return template;
  }
  const destinationId = load<u32>(hot(template), CONNECTION_DESTINATION_ID);
  const own = <u32>load<u16>(destination(destinationId), DESTINATION_PORT);
  const target = portBe == servicePort && own ? own : portBe;
  const index = makeConnection(serviceId, config, packet, destinationId, target, template);
  restartTimer(template);
  return index;
}

/** A connection straight to the packet's own destination (cache_bypass). */
export function makeBypass(packet: usize): u32 {
  const config = service(load<u32>(packet, PACKET_SERVICE));
  const index = newConnection(
    load<u8>(packet, PACKET_FAMILY),
    load<u8>(packet, PACKET_PROTOCOL),
    packet + PACKET_SOURCE,
    load<u16>(packet, PACKET_SOURCE_PORT),
    packet + PACKET_DESTINATION,
    load<u16>(packet, PACKET_DESTINATION_PORT),
  );
  if (!index) return 0;
  setMark(index, load<u32>(packet, PACKET_MARK));
  const flags = (FORWARD_BYPASS << STATE_FORWARD_SHIFT) | onePacketFlag(config, packet);
  const state = firstState(packet, true) & STATE_MASK;
  store<u32>(hot(index), flags | state, CONNECTION_STATE);
  store<u32>(hot(index), firstTimeout(packet, state), CONNECTION_TIMEOUT);
  presentConnection(index, hashSource(packet));
  return index;
}
