// How many connections of some destinations are not over yet. The counters of a destination include
// those that only wait for their timeout after both sides have closed.

import {
  PROTOCOL_SCTP,
  PROTOCOL_TCP,
  SCTP_CLOSED,
  TCP_CLOSE,
  TCP_LAST_ACK,
  TCP_TIME_WAIT,
} from '../../assembly/shared/codes.ts';
import {
  CONNECTION_DESTINATION_ID,
  CONNECTION_PROTOCOL,
  CONNECTION_STATE,
  CONTROL_FREE_FRESH,
  STATE_DEAD,
  STATE_HASHED,
  STATE_MASK,
  STATE_TEMPLATE,
} from '../../assembly/shared/layout.ts';
import type { DataPlaneMemory } from '../memory/data-plane-memory.ts';

/** Open connections by the destination's id, for those of `destinations` that have any. */
export function countOpenConnections(
  memory: DataPlaneMemory,
  destinations: ReadonlySet<number>,
): Map<number, number> {
  const counts = new Map<number, number>();
  const { u8, u32 } = memory;
  const fresh = Atomics.load(u32, CONTROL_FREE_FRESH >>> 2);
  const end = Math.min(fresh, memory.map.connectionRecords);
  for (let index = 1; index < end; index++) {
    const hot = memory.hot(index);
    const state = Atomics.load(u32, (hot + CONNECTION_STATE) >>> 2);
    if ((state & (STATE_HASHED | STATE_DEAD | STATE_TEMPLATE)) !== STATE_HASHED) continue;
    const destination = u32[(hot + CONNECTION_DESTINATION_ID) >>> 2];
    if (!destinations.has(destination)) continue;
    if (isOver(u8[hot + CONNECTION_PROTOCOL], state & STATE_MASK)) continue;
    counts.set(destination, (counts.get(destination) ?? 0) + 1);
  }
  return counts;
}

function isOver(protocol: number, code: number): boolean {
  if (protocol === PROTOCOL_TCP) {
    return code === TCP_TIME_WAIT || code === TCP_CLOSE || code === TCP_LAST_ACK;
  }
  return protocol === PROTOCOL_SCTP && code === SCTP_CLOSED;
}
