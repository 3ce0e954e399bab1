// Work on the whole connection table that the host asks worker 0 for, done between two bursts.

import {
  PROTOCOL_SCTP,
  PROTOCOL_TCP,
  DESTINATION_AVAILABLE,
  SCTP_ESTABLISHED,
  SCTP_INIT,
  SCTP_INIT1,
  SERVICE_ONE_PACKET,
  TCP_ESTABLISHED,
  TCP_SYNACK,
  TCP_SYN_RECV,
  TEMPLATE_ASSURED,
} from './shared/codes.ts';
import {
  COLD_CONTROLLED,
  COLD_CONTROLLER,
  CONNECTION_DESTINATION_ID,
  CONNECTION_IN_PACKETS,
  CONNECTION_LAST_SEEN,
  CONNECTION_NEXT,
  CONNECTION_NEXT_LOCAL,
  CONNECTION_PROTOCOL,
  CONNECTION_STATE,
  CONTROL_FREE_FRESH,
  CONTROL_REQUESTS,
  DESTINATION_SERVICE,
  DESTINATION_STATE_FLAGS,
  REQUEST_DROP_ENTRIES,
  REQUEST_EXPIRE_UNAVAILABLE,
  REQUEST_FLUSH,
  SERVICE_FLAGS,
  STATE_DEAD,
  STATE_HASHED,
  STATE_MASK,
  STATE_TEMPLATE,
  WORKER_RANDOM,
} from './shared/layout.ts';
import { TICKS_PER_SECOND } from './shared/limits.ts';
import { deleteConnection } from './connection.ts';
import { CHAIN_LOCKED } from './lock.ts';
import { chainMask, chains, cold, destination, destinationState, hot, now, service, worker } from './instance.ts';

/** An established connection is dropped only when it is older than this. */
const DROP_AGE_SECONDS: u32 = 60;
/** ... and has had no more packets than this. */
const DROP_PACKETS_MAX: u32 = 8;

/** Does what the host has asked for. */
export function serveRequests(): void {
  const requests = atomic.load<u32>(CONTROL_REQUESTS);
  if (!requests) return;
  atomic.and<u32>(CONTROL_REQUESTS, ~requests);
  if (requests & REQUEST_EXPIRE_UNAVAILABLE) expireUnavailable();
  if (requests & REQUEST_DROP_ENTRIES) dropSomeEntries();
  if (requests & REQUEST_FLUSH) flush();
}

function isLive(state: u32): bool {
  return (state & STATE_HASHED) != 0 && !(state & STATE_DEAD);
}

/** Deletes a connection and a controller that has nobody left to control. */
function deleteWithController(index: u32): void {
  const controller = load<u32>(cold(index), COLD_CONTROLLER);
  deleteConnection(index);
  if (!controller || load<u32>(cold(controller), COLD_CONTROLLED)) return;
  if (isLive(load<u32>(hot(controller), CONNECTION_STATE))) deleteConnection(controller);
}

/** Connections of destinations that are gone (ip_vs_expire_nodest_conn_flush). */
function expireUnavailable(): void {
  const end = load<u32>(CONTROL_FREE_FRESH);
  for (let index: u32 = 1; index < end; index++) {
    const entry = hot(index);
    const id = load<u32>(entry, CONNECTION_DESTINATION_ID);
    if (!isLive(load<u32>(entry, CONNECTION_STATE)) || !id) continue;
    if (load<u32>(destinationState(id), DESTINATION_STATE_FLAGS) & DESTINATION_AVAILABLE) continue;
    if (load<u32>(cold(index), COLD_CONTROLLED)) continue;
    deleteWithController(index);
  }
}

/** Every connection (ip_vs_conn_flush): those that control others go once these are gone. */
function flush(): void {
  const end = load<u32>(CONTROL_FREE_FRESH);
  for (let round: u32 = 0; round < 3; round++) {
    for (let index: u32 = 1; index < end; index++) {
      if (isLive(load<u32>(hot(index), CONNECTION_STATE))) deleteConnection(index);
    }
  }
}

function nextRandom(): u32 {
  let x = load<u32>(worker, WORKER_RANDOM);
  x ^= x << 13;
  x ^= x >> 17;
  x ^= x << 5;
  store<u32>(worker, x, WORKER_RANDOM);
  return x;
}

/** Every n-th connection with n packets so far; the count stands in the worker's scratch space. */
function isDue(entry: usize): bool {
  const age = now - load<u32>(entry, CONNECTION_LAST_SEEN);
  if (age < DROP_AGE_SECONDS * TICKS_PER_SECOND) return false;
  const packets = load<u32>(entry, CONNECTION_IN_PACKETS);
  if (packets == 0 || packets > DROP_PACKETS_MAX) return false;
  const at = worker + DROP_COUNTERS + packets;
  const left = <i32>load<i8>(at) - 1;
  if (left > 0) {
    store<i8>(at, <i8>left);
    return false;
  }
  store<i8>(at, <i8>packets);
  return true;
}

/** Countdowns of isDue by number of packets, nine bytes in the worker's block. */
const DROP_COUNTERS: u32 = 128;

function isDroppable(entry: usize): bool {
  const state = load<u32>(entry, CONNECTION_STATE);
  const protocol = <u32>load<u8>(entry, CONNECTION_PROTOCOL);
  const step = state & STATE_MASK;
  if (state & STATE_TEMPLATE) {
    const id = load<u32>(entry, CONNECTION_DESTINATION_ID);
    const serviceId = load<u32>(destination(id), DESTINATION_SERVICE);
    if (serviceId && load<u32>(service(serviceId), SERVICE_FLAGS) & SERVICE_ONE_PACKET) return isDue(entry);
    return !(step & TEMPLATE_ASSURED);
  }
  if (protocol == PROTOCOL_TCP) {
    return step == TCP_SYN_RECV || step == TCP_SYNACK || (step == TCP_ESTABLISHED && isDue(entry));
  }
  if (protocol == PROTOCOL_SCTP) {
    return step == SCTP_INIT1 || step == SCTP_INIT || (step == SCTP_ESTABLISHED && isDue(entry));
  }
  return isDue(entry);
}

/** A thirty-second part of the chains, chosen at random (ip_vs_random_dropentry). */
function dropSomeEntries(): void {
  const turns = (chainMask + 1) >> 5;
  for (let i: u32 = 0; i < turns; i++) {
    const chain = chains + (<usize>(nextRandom() & chainMask) << 2);
    let node = load<u32>(chain) & ~CHAIN_LOCKED;
    while (node) {
      const index = node >> 1;
      const entry = hot(index);
      const next = node & 1 ? load<u32>(entry, CONNECTION_NEXT_LOCAL) : load<u32>(entry, CONNECTION_NEXT);
      if (!load<u32>(cold(index), COLD_CONTROLLED) && isDroppable(entry)) deleteConnection(index);
      node = next;
    }
  }
}
