// Side records: what few connections need and the 96 bytes of an entry have no room for. FTP control
// connections keep their sequence offsets here, templates of the engine `sip` their Call-ID.

import { COLD_SIDE, CONTROL_SIDE_FREE, SIDE_KIND } from './shared/layout.ts';
import { SIDE_RECORDS_MAX } from './shared/limits.ts';
import { cold, side } from './instance.ts';

/** Attaches a zeroed side record to a connection. @returns its place, or 0 when none is free */
export function newSide(index: u32, kind: u32): usize {
  for (let tries: u32 = 0; tries < 64; tries++) {
    const number = (atomic.add<u32>(CONTROL_SIDE_FREE, 1) % (SIDE_RECORDS_MAX - 1)) + 1;
    const at = side(number);
    if (atomic.cmpxchg<u32>(at + SIDE_KIND, 0, kind) != 0) continue;
    memory.fill(at + 4, 0, 252);
    store<u32>(cold(index), number, COLD_SIDE);
    return at;
  }
  return 0;
}

/** The side record of a connection, or 0. */
export function sideOf(index: u32): usize {
  const number = load<u32>(cold(index), COLD_SIDE);
  return number ? side(number) : 0;
}

export function freeSide(index: u32): void {
  const number = load<u32>(cold(index), COLD_SIDE);
  if (!number) return;
  store<u32>(cold(index), 0, COLD_SIDE);
  atomic.store<u32>(side(number) + SIDE_KIND, 0);
}
