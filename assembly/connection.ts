// The life of a connection: made, bound to a destination, controlled by a template, expired. Follows
// net/netfilter/ipvs/ip_vs_conn.c in what is counted when.

import {
  DESTINATION_OVERLOAD,
  FAMILY_IPV4,
  FAMILY_IPV6,
  FORWARD_FULL_NAT,
  FORWARD_NAT,
  PROTOCOL_ANY,
  TEMPLATE_ASSURED,
  TIMEOUT_CONTROLLER_SECONDS,
  TIMEOUT_FIRST_SECONDS,
} from './shared/codes.ts';
import {
  COUNTER_CONNECTIONS_CREATED,
  COUNTER_CONNECTIONS_EXPIRED,
  COUNTER_TIMERS_LATE,
} from './shared/counters.ts';
import {
  COLD_CONTROLLED,
  COLD_CONTROLLER,
  COLD_MARK,
  COLD_SIDE,
  COLD_TIMER_SLOT,
  CONNECTION_CLIENT,
  CONNECTION_CLIENT_PORT,
  CONNECTION_CLIENT_END,
  CONNECTION_CLIENT_MIDDLE,
  CONNECTION_DELTA,
  CONNECTION_DESTINATION,
  CONNECTION_DESTINATION_ID,
  CONNECTION_DESTINATION_PORT,
  CONNECTION_FAMILY,
  CONNECTION_LAST_SEEN,
  CONNECTION_LOCAL,
  CONNECTION_LOCAL_PORT,
  CONNECTION_PROTOCOL,
  CONNECTION_STATE,
  CONNECTION_TIMEOUT,
  CONNECTION_VIRTUAL,
  CONNECTION_VIRTUAL_PORT,
  CONTROL_NO_CLIENT_PORT,
  DEFERRED_MAX,
  DESTINATION_ADDRESS,
  DESTINATION_FAMILY,
  DESTINATION_FORWARDING,
  DESTINATION_LOWER_THRESHOLD,
  DESTINATION_STATE_ACTIVE,
  DESTINATION_STATE_FLAGS,
  DESTINATION_STATE_INACTIVE,
  DESTINATION_STATE_PERSISTENT,
  DESTINATION_STATE_REFERENCES,
  DESTINATION_UPPER_THRESHOLD,
  DESTINATION_VIRTUAL_ADDRESS,
  STATE_CLIENT_WHOLE,
  STATE_CONTROLLED,
  STATE_DEAD,
  STATE_DESTINATION_OTHER,
  STATE_EXPIRING,
  STATE_FORWARD_MASK,
  STATE_FORWARD_SHIFT,
  STATE_FTP,
  STATE_HASHED,
  STATE_HASHED_LOCAL,
  STATE_INACTIVE,
  STATE_NO_CLIENT_PORT,
  STATE_NO_OUTPUT,
  STATE_ONE_PACKET,
  STATE_TEMPLATE,
  WIDE_CLIENT,
  WIDE_DESTINATION,
  WIDE_LOCAL,
  WIDE_VIRTUAL,
  WORKER_DEFERRED,
} from './shared/layout.ts';
import { TICKS_PER_SECOND } from './shared/limits.ts';
import {
  allocate,
  clientHash,
  giveBack,
  insertIfAlone,
  insertNew,
  insertNode,
  localHash,
  removeNode,
  retire,
} from './connection-table.ts';
import { count, countMany } from './counters.ts';
import { noteFreeEnd } from './forward/full-nat.ts';
import { foldAddress, sameAddress } from './hash.ts';
import { cold, destination, destinationState, hot, now, wide, worker } from './instance.ts';
import { freeSide } from './side-record.ts';
import { armFirstTimer, armTimer, endTimer, firingTick, levelOf, runWheel } from './timer-wheel.ts';
import { checksumFold64 } from './wire/checksum.ts';

/** In COLD_CONTROLLED of an entry that has ended: it can control nobody any more. */
const CONTROL_ENDED: u32 = 0x80000000;

/** Forwarding method of a state word. */
// @ts-ignore: decorator
@inline
export function forwardingOf(state: u32): u32 {
  return (state & STATE_FORWARD_MASK) >> STATE_FORWARD_SHIFT;
}

/**
 * Makes an entry that no lookup finds yet. Addresses are 16 readable bytes, ports in network order.
 * @returns its index, or 0 when the table is full
 */
export function newConnection(
  family: u32,
  protocol: u32,
  client: usize,
  clientPort: u32,
  virtual: usize,
  virtualPort: u32,
): u32 {
  const index = allocate();
  if (!index) return 0;
  const entry = hot(index);
  for (let at: usize = 0; at < 64; at += 16) v128.store(entry + at, i64x2.splat(0));
  store<u8>(entry, <u8>family, CONNECTION_FAMILY);
  store<u8>(entry, <u8>protocol, CONNECTION_PROTOCOL);
  store<u16>(entry, <u16>clientPort, CONNECTION_CLIENT_PORT);
  store<u16>(entry, <u16>virtualPort, CONNECTION_VIRTUAL_PORT);
  store<u32>(entry, foldAddress(family, client), CONNECTION_CLIENT);
  // A mark stands in place of the virtual address in its templates, four bytes in either family.
  const virtualFamily: u32 = protocol == PROTOCOL_ANY ? FAMILY_IPV4 : family;
  store<u32>(entry, foldAddress(virtualFamily, virtual), CONNECTION_VIRTUAL);
  if (family != FAMILY_IPV4) {
    const addresses = wide(index);
    v128.store(addresses + WIDE_CLIENT, v128.load(client));
    v128.store(addresses + WIDE_VIRTUAL, v128.load(virtual));
  }
  store<u32>(entry, TIMEOUT_FIRST_SECONDS * TICKS_PER_SECOND, CONNECTION_TIMEOUT);
  store<u32>(entry, now, CONNECTION_LAST_SEEN);
  const rest = cold(index);
  store<u32>(rest, 0, COLD_TIMER_SLOT);
  store<u32>(rest, 0, COLD_CONTROLLER);
  store<u32>(rest, 0, COLD_CONTROLLED);
  store<u32>(rest, 0, COLD_SIDE);
  count(COUNTER_CONNECTIONS_CREATED);
  return index;
}

/** Overload begins when the upper threshold is reached (ip_vs_bind_dest). */
function checkUpperThreshold(config: usize, state: usize): void {
  const upper = load<u32>(config, DESTINATION_UPPER_THRESHOLD);
  if (upper == 0) return;
  const total = load<u32>(state, DESTINATION_STATE_ACTIVE) + load<u32>(state, DESTINATION_STATE_INACTIVE);
  if (total >= upper) atomic.or<u32>(state + DESTINATION_STATE_FLAGS, DESTINATION_OVERLOAD);
}

/** Whether the end of a connection may end an overload. */
// @ts-ignore: decorator
@inline
function hasThresholds(config: usize, state: usize): bool {
  const thresholds =
    load<u32>(config, DESTINATION_UPPER_THRESHOLD) | load<u32>(config, DESTINATION_LOWER_THRESHOLD);
  return (thresholds | (load<u32>(state, DESTINATION_STATE_FLAGS) & DESTINATION_OVERLOAD)) != 0;
}

/** Overload ends below the lower threshold, or below three quarters of the upper one. */
function checkLowerThreshold(config: usize, state: usize): void {
  const lower = load<u32>(config, DESTINATION_LOWER_THRESHOLD);
  const upper = load<u32>(config, DESTINATION_UPPER_THRESHOLD);
  const total = load<u32>(state, DESTINATION_STATE_ACTIVE) + load<u32>(state, DESTINATION_STATE_INACTIVE);
  if (lower != 0) {
    if (total >= lower) return;
  } else if (upper != 0) {
    if (total * 4 >= upper * 3) return;
  }
  if (load<u32>(state, DESTINATION_STATE_FLAGS) & DESTINATION_OVERLOAD) {
    atomic.and<u32>(state + DESTINATION_STATE_FLAGS, ~DESTINATION_OVERLOAD);
  }
}

/** Whether a destination's answers pass here, by its forwarding method. */
// @ts-ignore: decorator
@inline
export function answersPass(forwarding: u32): bool {
  return forwarding == FORWARD_NAT || forwarding == FORWARD_FULL_NAT;
}

/** One active connection and one reference more, in the two words beside each other. */
const ACTIVE_AND_REFERENCE: u64 = 0x100000001;

/** Counts a new entry of a destination. */
// @ts-ignore: decorator
@inline
function countBound(counts: usize, state: u32): void {
  if (!(state & (STATE_TEMPLATE | STATE_INACTIVE))) {
    atomic.add<u64>(counts + DESTINATION_STATE_ACTIVE, ACTIVE_AND_REFERENCE);
    return;
  }
  atomic.add<u32>(counts + DESTINATION_STATE_REFERENCES, 1);
  const kind = state & STATE_TEMPLATE ? DESTINATION_STATE_PERSISTENT : DESTINATION_STATE_INACTIVE;
  atomic.add<u32>(counts + kind, 1);
}

/** Binds a new entry to a destination, which counts it as inactive. */
export function bindDestination(index: u32, id: u32, portBe: u32, flags: u32): void {
  bindInState(index, id, portBe, flags | STATE_INACTIVE);
}

/**
 * Binds a new entry to a destination: its address, its method, and its place in the counts.
 * @param flags bits of its state word; without STATE_INACTIVE it is counted as active
 */
export function bindInState(index: u32, id: u32, portBe: u32, flags: u32): void {
  const entry = hot(index);
  const config = destination(id);
  const state = destinationState(id);
  const family = <u32>load<u8>(config, DESTINATION_FAMILY);
  const forwarding = <u32>load<u8>(config, DESTINATION_FORWARDING);
  let word = flags | (forwarding << STATE_FORWARD_SHIFT);
  if (!answersPass(forwarding)) word |= STATE_NO_OUTPUT;
  if (family != <u32>load<u8>(entry, CONNECTION_FAMILY)) word |= STATE_DESTINATION_OTHER;
  store<u32>(entry, word, CONNECTION_STATE);
  store<u32>(entry, id, CONNECTION_DESTINATION_ID);
  store<u16>(entry, <u16>portBe, CONNECTION_DESTINATION_PORT);
  storeDestinationAddress(index, family, config + DESTINATION_ADDRESS);
  if (family != FAMILY_IPV4) keepClientWhole(index, config);
  countBound(state, flags);
  checkUpperThreshold(config, state);
  computeDelta(index);
}

/** Kinds of connections whose client does not stand whole in the hot half. */
const NOT_WHOLE: u32 = STATE_TEMPLATE | STATE_DESTINATION_OTHER;

/**
 * Puts the client's IPv6 address whole into the hot half of an entry that is being made, where there
 * is room and the other addresses are those of the destination's record.
 */
function keepClientWhole(index: u32, config: usize): void {
  const entry = hot(index);
  const addresses = wide(index);
  const state = load<u32>(entry, CONNECTION_STATE);
  if (state & NOT_WHOLE || forwardingOf(state) == FORWARD_FULL_NAT) return;
  const virtual = config + DESTINATION_VIRTUAL_ADDRESS;
  if (!sameAddress(FAMILY_IPV6, addresses + WIDE_VIRTUAL, virtual)) return;
  store<u64>(entry, load<u64>(addresses, WIDE_CLIENT + 4), CONNECTION_CLIENT_MIDDLE);
  store<u32>(entry, load<u32>(addresses, WIDE_CLIENT + 12), CONNECTION_CLIENT_END);
  store<u32>(entry, state | STATE_CLIENT_WHOLE, CONNECTION_STATE);
}

// @ts-ignore: decorator
@inline
function storeDestinationAddress(index: u32, family: u32, address: usize): void {
  store<u32>(hot(index), foldAddress(family, address), CONNECTION_DESTINATION);
  if (family != FAMILY_IPV4) v128.store(wide(index) + WIDE_DESTINATION, v128.load(address));
}

/** Gives an entry that is being made another destination address than its destination has. */
export function setDestinationAddress(index: u32, address: usize): void {
  const entry = hot(index);
  storeDestinationAddress(index, load<u8>(entry, CONNECTION_FAMILY), address);
  store<u32>(entry, load<u32>(entry, CONNECTION_STATE) & ~STATE_CLIENT_WHOLE, CONNECTION_STATE);
  computeDelta(index);
}

/** Ones'-complement sum of an address of an entry. */
function sumAddress(index: u32, hotOffset: u32, wideOffset: u32, family: u32): u64 {
  if (family == FAMILY_IPV4) return load<u32>(hot(index) + hotOffset);
  const at = wide(index) + wideOffset;
  return (
    <u64>load<u32>(at) + <u64>load<u32>(at, 4) + <u64>load<u32>(at, 8) + <u64>load<u32>(at, 12)
  );
}

/**
 * Precomputes what the rewrite adds to a TCP or UDP checksum on the way in, so that one addition
 * per packet is left (RFC 1624, equation 3). Sums are of little-endian loads, as the field is.
 */
export function computeDelta(index: u32): void {
  const entry = hot(index);
  const family = <u32>load<u8>(entry, CONNECTION_FAMILY);
  const client =
    sumAddress(index, CONNECTION_CLIENT, WIDE_CLIENT, family) + load<u16>(entry, CONNECTION_CLIENT_PORT);
  const virtual =
    sumAddress(index, CONNECTION_VIRTUAL, WIDE_VIRTUAL, family) +
    load<u16>(entry, CONNECTION_VIRTUAL_PORT);
  const target =
    sumAddress(index, CONNECTION_DESTINATION, WIDE_DESTINATION, family) +
    load<u16>(entry, CONNECTION_DESTINATION_PORT);
  let plus = target;
  let minus = virtual;
  if (forwardingOf(load<u32>(entry, CONNECTION_STATE)) == FORWARD_FULL_NAT) {
    plus +=
      sumAddress(index, CONNECTION_LOCAL, WIDE_LOCAL, family) + load<u16>(entry, CONNECTION_LOCAL_PORT);
    minus += client;
  }
  const gained = checksumFold64(plus);
  const lost = checksumFold64(minus);
  store<u16>(entry, <u16>checksumFold64(<u64>(~lost & 0xffff) + gained), CONNECTION_DELTA);
}

/**
 * Sets a new connection's first timer and makes it visible to lookups; one-packet connections get
 * neither. Unless it is in the chain of its local end already, no other worker can know it.
 * @param hash of the client's end
 */
export function presentConnection(index: u32, hash: u32): void {
  const entry = hot(index);
  const state = load<u32>(entry, CONNECTION_STATE);
  if (state & STATE_ONE_PACKET) return;
  const fires = firingTick(now, load<u32>(entry, CONNECTION_TIMEOUT));
  if (state & STATE_HASHED_LOCAL) {
    armTimer(index, fires);
    hashConnection(index);
  } else {
    armFirstTimer(index, fires);
    insertNew(index, hash, state);
  }
}

/** Makes an entry visible to lookups. One-packet connections never are. */
export function hashConnection(index: u32): void {
  const entry = hot(index);
  const state = load<u32>(entry, CONNECTION_STATE);
  if (state & STATE_ONE_PACKET) return;
  // Said only when it is true: who ends the entry before takes nothing out of the chain, and leaves
  // that to us.
  insertNode(index << 1, clientHash(index));
  const before = atomic.or<u32>(entry + CONNECTION_STATE, STATE_HASHED);
  if (before & STATE_DEAD) unhashConnection(index);
}

/**
 * Takes the local end of a full-nat connection for it: the second of its nodes is in a chain then.
 * @param answer a packet record of an answer to that end
 * @returns false when another connection has the end
 */
export function hashLocalEnd(index: u32, answer: usize): bool {
  const at = hot(index) + CONNECTION_STATE;
  atomic.or<u32>(at, STATE_HASHED_LOCAL);
  if (insertIfAlone((index << 1) | 1, answer)) return true;
  atomic.and<u32>(at, ~STATE_HASHED_LOCAL);
  return false;
}

/**
 * Makes an entry invisible to lookups.
 * @returns whether it was this worker that did: only then may it put the entry in anew
 */
export function unhashConnection(index: u32): bool {
  const at = hot(index) + CONNECTION_STATE;
  const state = atomic.and<u32>(at, ~(STATE_HASHED | STATE_HASHED_LOCAL));
  takeOutOfChains(index, state);
  return (state & STATE_HASHED) != 0;
}

/** Takes an entry out of the chains that its state says it was in, before the state said otherwise. */
// @ts-ignore: decorator
@inline
function takeOutOfChains(index: u32, state: u32): void {
  if (state & STATE_HASHED) removeNode(index << 1, clientHash(index));
  if (!(state & STATE_HASHED_LOCAL)) return;
  removeNode((index << 1) | 1, localHash(index));
  noteFreeEnd(index);
}

/** Says that an entry has ended and is in no chain. @returns its state until then */
// @ts-ignore: decorator
@inline
function markDead(index: u32): u32 {
  const at = hot(index) + CONNECTION_STATE;
  while (true) {
    const state = atomic.load<u32>(at);
    const after = (state | STATE_DEAD) & ~(STATE_HASHED | STATE_HASHED_LOCAL);
    if (atomic.cmpxchg<u32>(at, state, after) == state) return state;
  }
}

/** Lets the client's port of a connection be known (ip_vs_conn_fill_cport). */
export function fillClientPort(index: u32, portBe: u32): void {
  if (!unhashConnection(index)) return;
  const entry = hot(index);
  const state = atomic.and<u32>(entry + CONNECTION_STATE, ~STATE_NO_CLIENT_PORT);
  if (state & STATE_NO_CLIENT_PORT) {
    atomic.sub<u32>(CONTROL_NO_CLIENT_PORT, 1);
    store<u16>(entry, <u16>portBe, CONNECTION_CLIENT_PORT);
  }
  hashConnection(index);
}

/** Starts or restarts the timer of an entry that is not touched by packets (ip_vs_conn_put). */
export function restartTimer(index: u32): void {
  const entry = hot(index);
  store<u32>(entry, now, CONNECTION_LAST_SEEN);
  if (load<u32>(entry, CONNECTION_STATE) & STATE_EXPIRING) {
    atomic.and<u32>(entry + CONNECTION_STATE, ~STATE_EXPIRING);
  }
  if (!load<u32>(cold(index), COLD_TIMER_SLOT)) {
    armTimer(index, firingTick(now, load<u32>(entry, CONNECTION_TIMEOUT)));
  } else {
    shortenTimer(index);
  }
}

/**
 * A timer in the wheel may wait longer than the newest timeout asks for (900 s established, then 10 s
 * closed). Moves it forward; a timer that comes up too early is put off when it fires.
 */
export function shortenTimer(index: u32): void {
  armTimer(index, firingTick(now, load<u32>(hot(index), CONNECTION_TIMEOUT)));
}

/** Expires a connection at the next tick, unless it controls others or a packet comes before. */
export function expireNow(index: u32): void {
  atomic.or<u32>(hot(index) + CONNECTION_STATE, STATE_EXPIRING);
  armTimer(index, now + 1);
}

/**
 * Puts a connection under the control of a template or of a control connection. One that another
 * worker has ended in this very moment controls nobody: the connection stays without one then.
 */
export function addControl(index: u32, controller: u32): void {
  const at = cold(controller) + COLD_CONTROLLED;
  if (atomic.add<u32>(at, 1) & CONTROL_ENDED) {
    atomic.sub<u32>(at, 1);
    return;
  }
  store<u32>(cold(index), controller, COLD_CONTROLLER);
  atomic.or<u32>(hot(index) + CONNECTION_STATE, STATE_CONTROLLED);
}

/** Marks the template of a connection as assured: it has carried an established one. */
export function assureTemplate(index: u32): void {
  const controller = load<u32>(cold(index), COLD_CONTROLLER);
  if (!controller) return;
  const at = hot(controller) + CONNECTION_STATE;
  const state = load<u32>(at);
  if (state & STATE_TEMPLATE && !(state & TEMPLATE_ASSURED)) atomic.or<u32>(at, TEMPLATE_ASSURED);
}

// @ts-ignore: decorator
@inline
function unbindDestination(index: u32, state: u32): void {
  const id = load<u32>(hot(index), CONNECTION_DESTINATION_ID);
  if (!id) return;
  const counts = destinationState(id);
  const config = destination(id);
  const isActive = !(state & (STATE_TEMPLATE | STATE_INACTIVE));
  if (isActive && !hasThresholds(config, counts)) {
    atomic.sub<u64>(counts + DESTINATION_STATE_ACTIVE, ACTIVE_AND_REFERENCE);
    return;
  }
  if (state & STATE_TEMPLATE) atomic.sub<u32>(counts + DESTINATION_STATE_PERSISTENT, 1);
  else if (state & STATE_INACTIVE) atomic.sub<u32>(counts + DESTINATION_STATE_INACTIVE, 1);
  else atomic.sub<u32>(counts + DESTINATION_STATE_ACTIVE, 1);
  checkLowerThreshold(config, counts);
  atomic.sub<u32>(counts + DESTINATION_STATE_REFERENCES, 1);
}

/**
 * Ends an entry. Several workers may try, one does. Templates and FTP's control connections control
 * others: such an entry can do so no more from the first lines on. Once endTimer has returned no
 * worker touches its links.
 * @param chain its controller goes too when that is idle and unassured
 * @returns false when it controls others, or has ended already
 */
function destroy(index: u32, chain: bool): bool {
  const mayControl = (load<u32>(hot(index), CONNECTION_STATE) & (STATE_TEMPLATE | STATE_FTP)) != 0;
  const controlledAt = cold(index) + COLD_CONTROLLED;
  if (mayControl && atomic.cmpxchg<u32>(controlledAt, 0, CONTROL_ENDED) != 0) return false;
  const state = markDead(index);
  if (state & STATE_DEAD) return false;
  endTimer(index);
  takeOutOfChains(index, state);
  const controller = load<u32>(cold(index), COLD_CONTROLLER);
  if (controller) {
    store<u32>(cold(index), 0, COLD_CONTROLLER);
    atomic.sub<u32>(cold(controller) + COLD_CONTROLLED, 1);
  }
  if (state & STATE_NO_CLIENT_PORT) atomic.sub<u32>(CONTROL_NO_CLIENT_PORT, 1);
  freeSide(index);
  unbindDestination(index, state);
  count(COUNTER_CONNECTIONS_EXPIRED);
  if (state & STATE_ONE_PACKET) giveBack(index);
  else retire(index);
  if (controller && chain && !load<u32>(cold(controller), COLD_CONTROLLED)) {
    const above = load<u32>(hot(controller), CONNECTION_STATE);
    if (!(above & STATE_TEMPLATE) || !(above & TEMPLATE_ASSURED)) destroy(controller, true);
  }
  return true;
}

/** Removes a connection at once, and with it a controller that nobody else needs (ip_vs_conn_del). */
export function deleteConnection(index: u32): void {
  destroy(index, true);
}

/** Ends a one-packet connection after its packet. */
export function finishOnePacket(index: u32): void {
  destroy(index, false);
}

/** The tick at which a connection's timer is due. */
function dueTick(index: u32): u32 {
  const entry = hot(index);
  return firingTick(load<u32>(entry, CONNECTION_LAST_SEEN), load<u32>(entry, CONNECTION_TIMEOUT));
}

/**
 * Whether Linux would run a controller's timer before that of a connection it controls, both due at
 * the same tick: coarser levels of the wheel come first, and in a slot what was armed last.
 */
function comesBefore(controller: u32, index: u32): bool {
  const one = hot(controller);
  const other = hot(index);
  const level = levelOf(load<u32>(one, CONNECTION_TIMEOUT));
  const otherLevel = levelOf(load<u32>(other, CONNECTION_TIMEOUT));
  if (level != otherLevel) return level > otherLevel;
  return <i32>(load<u32>(one, CONNECTION_LAST_SEEN) - load<u32>(other, CONNECTION_LAST_SEEN)) > 0;
}

/** Controllers that are due at this tick, and connections that must come after theirs. */
let deferredControllers: u32 = 0;
let deferredControlled: u32 = 0;

/** Keeps a timer until the others of its tick have run. @returns false when the list is full */
function defer(index: u32, list: u32, length: u32): bool {
  if (length >= DEFERRED_MAX) return false;
  store<u32>(worker + WORKER_DEFERRED + ((list * DEFERRED_MAX + length) << 2), index);
  return true;
}

/**
 * Sets a timer that has come up too early. Another worker may shorten the timeout and set the timer
 * in the same moment: the earlier tick counts, whoever comes last.
 */
function putOff(index: u32, due: u32): void {
  armTimer(index, due);
  let again = dueTick(index);
  while (<i32>(again - due) < 0) {
    due = again;
    armTimer(index, due);
    again = dueTick(index);
  }
}

/**
 * A timer came up. One that is not due yet is put off. A controller's waits until the tick's other
 * timers have run, and so does that of a connection which Linux would run after its controller's:
 * the order decides whether the controller is renewed once more.
 */
function timerFired(index: u32, tick: u32): void {
  if (!(load<u32>(hot(index), CONNECTION_STATE) & STATE_EXPIRING)) {
    const due = dueTick(index);
    if (<i32>(due - tick) > 0) {
      putOff(index, due);
      return;
    }
  }
  if (load<u32>(cold(index), COLD_CONTROLLED)) {
    if (defer(index, 0, deferredControllers)) {
      deferredControllers++;
      return;
    }
  }
  const controller = load<u32>(cold(index), COLD_CONTROLLER);
  if (controller && dueTick(controller) == tick && comesBefore(controller, index)) {
    if (defer(index, 1, deferredControlled)) {
      deferredControlled++;
      return;
    }
  }
  expire(index, tick);
}

/** All timers of a tick have come up, or all that one turn may run: those that waited for them run. */
function tickPassed(tick: u32): void {
  for (let i: u32 = 0; i < deferredControllers; i++) {
    expireDeferred(load<u32>(worker + WORKER_DEFERRED + (i << 2)), tick);
  }
  deferredControllers = 0;
  for (let i: u32 = 0; i < deferredControlled; i++) {
    expireDeferred(load<u32>(worker + WORKER_DEFERRED + ((DEFERRED_MAX + i) << 2)), tick);
  }
  deferredControlled = 0;
}

/** Another worker may have armed the timer meanwhile, or ended the connection. */
function expireDeferred(index: u32, tick: u32): void {
  if (load<u32>(cold(index), COLD_TIMER_SLOT)) return;
  if (load<u32>(hot(index), CONNECTION_STATE) & STATE_DEAD) return;
  expire(index, tick);
}

/** Renews a connection that controls others, ends any other (ip_vs_conn_expire). */
function expire(index: u32, tick: u32): void {
  if (destroy(index, false)) return;
  const entry = hot(index);
  atomic.and<u32>(entry + CONNECTION_STATE, ~STATE_EXPIRING);
  store<u32>(entry, TIMEOUT_CONTROLLER_SECONDS * TICKS_PER_SECOND, CONNECTION_TIMEOUT);
  store<u32>(entry, tick, CONNECTION_LAST_SEEN);
  armTimer(index, firingTick(tick, TIMEOUT_CONTROLLER_SECONDS * TICKS_PER_SECOND));
}

/** Runs this worker's timers up to and including a tick, at most so many; the rest is left for later. */
export function runTimersUntil(tick: u32, limit: u32): void {
  const late = runWheel(tick, limit, timerFired, tickPassed);
  if (late) countMany(COUNTER_TIMERS_LATE, late);
}

/** Sets the mark a connection was made with. */
export function setMark(index: u32, mark: u32): void {
  store<u32>(cold(index), mark, COLD_MARK);
}

/** Lets go of a new connection that was bound but is in no chain and no wheel. */
export function discardConnection(index: u32): void {
  count(COUNTER_CONNECTIONS_EXPIRED);
  unbindDestination(index, load<u32>(hot(index), CONNECTION_STATE));
  giveBack(index);
}
