// The module's exports. Nothing is implemented here.

import { MAGIC, LAYOUT_VERSION, CONTROL_MAGIC, CONTROL_VERSION } from './shared/layout.ts';
import {
  CONTROL_SIZE,
  CONNECTION_HOT_SIZE,
  PACKET_SIZE,
  WORKER_LINK_COUNT,
  WORKER_MILLISECONDS,
  WORKER_ONLINE,
  WORKER_SIZE,
  WORKER_TICK,
  WORKER_TURNS,
  WORKER_BUSY_TURNS,
  WORKER_WHEEL_CLOCK,
  WORKER_WHEEL_LEFT,
} from './shared/layout.ts';
import { TIMERS_PER_LINK_MAX } from './shared/limits.ts';
import { adoptCapture } from './capture-tap.ts';
import { runTimersUntil } from './connection.ts';
import { passBoundary } from './connection-table.ts';
import { expireFragments } from './fragment-input.ts';
import { adopt, initialiseInstance, setClock, worker, workerId } from './instance.ts';
import { runTurn } from './pipeline.ts';
import { serveRequests } from './requests.ts';

/** Numbers that the host compares with its own at start: a stale module beside a newer host. */
export const layoutMagic: u32 = MAGIC;
export const layoutVersion: u32 = LAYOUT_VERSION;
export const layoutWorkerSize: u32 = WORKER_SIZE;
export const layoutConnectionSize: u32 = CONNECTION_HOT_SIZE;
export const layoutPacketSize: u32 = PACKET_SIZE;
export const layoutControlSize: u32 = CONTROL_SIZE;

/** Makes this instance a worker. @returns false when the memory is not laid out for this module */
export function initialise(id: u32): bool {
  if (load<u32>(CONTROL_MAGIC) != MAGIC || load<u32>(CONTROL_VERSION) != LAYOUT_VERSION) return false;
  initialiseInstance(id);
  return true;
}

/** Says that the worker is awake, takes over the newest tables and sets the clock. */
function begin(tick: u32, milliseconds: u32): void {
  atomic.store<u32>(worker + WORKER_ONLINE, 1);
  adopt();
  adoptCapture();
  setClock(tick);
  store<u32>(worker, tick, WORKER_TICK);
  store<u32>(worker, milliseconds, WORKER_MILLISECONDS);
}

/** So many that they come up faster than packets can set them. */
function timersPerTurn(): u32 {
  return TIMERS_PER_LINK_MAX * max<u32>(load<u32>(worker, WORKER_LINK_COUNT), 1);
}

/**
 * One turn of the poll loop: timers that are due, then a burst from every link.
 * @param tick ticks since the director's start
 * @param milliseconds the same in milliseconds
 * @returns packets received
 */
export function turn(tick: u32, milliseconds: u32): u32 {
  begin(tick, milliseconds);
  const ticks = <i32>(tick - load<u32>(worker, WORKER_WHEEL_CLOCK)) >= 0;
  if (ticks || load<u32>(worker, WORKER_WHEEL_LEFT)) runTimersUntil(tick, timersPerTurn());
  if (ticks) expireFragments();
  if (!workerId) serveRequests();
  const received = runTurn();
  passBoundary();
  store<u32>(worker, load<u32>(worker, WORKER_TURNS) + 1, WORKER_TURNS);
  if (received) store<u32>(worker, load<u32>(worker, WORKER_BUSY_TURNS) + 1, WORKER_BUSY_TURNS);
  return received;
}

/** Runs all timers up to and including a tick, however many there are, and no packets. */
export function runTimers(tick: u32): void {
  begin(tick, tick * 10);
  runTimersUntil(tick, u32.MAX_VALUE);
  expireFragments();
  if (!workerId) serveRequests();
  passBoundary();
}

/** Says that the worker goes to sleep: it holds no reference into any table. */
export function rest(): void {
  atomic.store<u32>(worker + WORKER_ONLINE, 0);
}
