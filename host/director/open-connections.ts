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
  STATE_MASK,
} from '../../assembly/shared/layout.ts';
import { visitConnections } from '../ipvs/connections.ts';
import type { DataPlaneMemory } from '../memory/data-plane-memory.ts';

/** Open connections by the destination's id, for those of `destinations` that have any. */
export function countOpenConnections(
  memory: DataPlaneMemory,
  destinations: ReadonlySet<number>,
): Map<number, number> {
  const counts = new Map<number, number>();
  const { u8, u32 } = memory;
  visitConnections(memory, (_, hot, state) => {
    const destination = u32[(hot + CONNECTION_DESTINATION_ID) >>> 2];
    if (!destinations.has(destination)) return;
    if (isOver(u8[hot + CONNECTION_PROTOCOL], state & STATE_MASK)) return;
    counts.set(destination, (counts.get(destination) ?? 0) + 1);
  });
  return counts;
}

function isOver(protocol: number, code: number): boolean {
  if (protocol === PROTOCOL_TCP) {
    return code === TCP_TIME_WAIT || code === TCP_CLOSE || code === TCP_LAST_ACK;
  }
  return protocol === PROTOCOL_SCTP && code === SCTP_CLOSED;
}
