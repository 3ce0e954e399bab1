// A second module for unit tests only: the data plane's inner functions, exported one by one so
// that a test can call each on bytes of its own. The director never loads it.

import { armTimer, runWheel } from './timer-wheel';

export { initialise, rest, runTimers, turn } from './index';
export { adopt, setClock } from './instance';
export * from './parse';
export * from './wire/ah';
export * from './wire/byte-order';
export * from './wire/checksum';
export * from './wire/esp';
export * from './wire/ethernet';
export * from './wire/gre';
export * from './wire/gue';
export * from './wire/icmp';
export * from './wire/ipv4';
export * from './wire/ipv6';
export * from './wire/sctp';
export * from './wire/crc32c-table';
export * from './wire/tcp';
export * from './wire/udp';

export {
  addControl,
  bindDestination,
  deleteConnection,
  expireNow,
  fillClientPort,
  finishOnePacket,
  hashConnection,
  newConnection,
  restartTimer,
  unhashConnection,
} from './connection';
export { stepState, touch } from './connection-state';
export { hashPacket, lookupIn, lookupOut, lookupTemplate, passBoundary } from './connection-table';
export { findRoute, localFlags, resolve } from './route';
export { findService, markOf } from './service-table';
export { armTimer, cancelTimer, endTimer, firingTick } from './timer-wheel';

/** When each timer is due (a u32 by index); where those that fired are noted, and how many. */
let dueAt: usize = 0;
let firedAt: usize = 0;
let firedCount: u32 = 0;

/** As the director does it: a timer that comes up early is put off. */
function note(index: u32, tick: u32): void {
  const due = load<u32>(dueAt + (<usize>index << 2));
  if (<i32>(due - tick) > 0) {
    armTimer(index, due);
    return;
  }
  store<u32>(firedAt + (<usize>firedCount << 3), index);
  store<u32>(firedAt + (<usize>firedCount << 3), tick, 4);
  firedCount++;
}

function passTick(tick: u32): void {}

/** Runs the wheel and only writes down what fires, as pairs of index and tick. @returns how many do */
export function runWheelNoting(until: u32, limit: u32, due: usize, notes: usize): u32 {
  dueAt = due;
  firedAt = notes;
  firedCount = 0;
  runWheel(until, limit, note, passTick);
  return firedCount;
}
