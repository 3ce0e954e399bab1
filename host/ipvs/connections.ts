// The connection table as listings show it. Entries are read while workers change them: an entry is
// taken when it is hashed, and one that ends meanwhile may still be listed, as in the kernel.

import {
  PROTOCOL_SCTP,
  PROTOCOL_TCP,
  PROTOCOL_UDP,
  SCTP_STATES,
  TCP_STATES,
} from '../../assembly/shared/codes.ts';
import {
  COLD_SIDE,
  CONNECTION_CLIENT,
  CONNECTION_CLIENT_PORT,
  CONNECTION_DESTINATION,
  CONNECTION_DESTINATION_ID,
  CONNECTION_DESTINATION_PORT,
  CONNECTION_FAMILY,
  CONNECTION_LAST_SEEN,
  CONNECTION_PROTOCOL,
  CONNECTION_STATE,
  CONNECTION_TIMEOUT,
  CONNECTION_VIRTUAL,
  CONNECTION_VIRTUAL_PORT,
  CONTROL_FREE_FRESH,
  SIDE_DATA,
  SIDE_DATA_MAX,
  SIDE_KIND,
  SIDE_LENGTH,
  STATE_DEAD,
  STATE_DESTINATION_OTHER,
  STATE_EXPIRING,
  STATE_HASHED,
  STATE_MASK,
  STATE_SYNC,
  STATE_TEMPLATE,
  WIDE_CLIENT,
  WIDE_DESTINATION,
  WIDE_VIRTUAL,
} from '../../assembly/shared/layout.ts';
import { TICKS_PER_SECOND } from '../../assembly/shared/limits.ts';
import type { DataPlaneMemory } from '../memory/data-plane-memory.ts';
import { formatAddress } from '../tables/address-text.ts';
import { swapPort } from '../tables/hash.ts';
import type { ConnectionEntry, Family } from './types.ts';

/** SIDE_KIND of a record that holds a SIP Call-ID. */
const SIDE_CALL_ID = 2;

/** tcp_state_name_table of ip_vs_proto_tcp.c, by TCP_* code. */
const TCP_STATE_NAMES: readonly string[] = [
  'NONE',
  'ESTABLISHED',
  'SYN_SENT',
  'SYN_RECV',
  'FIN_WAIT',
  'TIME_WAIT',
  'CLOSE',
  'CLOSE_WAIT',
  'LAST_ACK',
  'LISTEN',
  'SYNACK',
];

/** sctp_state_name_table of ip_vs_proto_sctp.c, by SCTP_* code. */
const SCTP_STATE_NAMES: readonly string[] = [
  'NONE',
  'INIT1',
  'INIT',
  'C-SENT',
  'C-REPLIED',
  'C-WAIT',
  'COOKIE',
  'C-ECHOED',
  'ESTABLISHED',
  'S-SENT',
  'S-RECEIVED',
  'S-ACK-SENT',
  'REJECTED',
  'CLOSED',
];

/** Template states, by TEMPLATE_* code. */
const TEMPLATE_STATE_NAMES: readonly string[] = ['NONE', 'ASSURED'];

/** What the kernel prints for a state it has no name for. */
const UNKNOWN_STATE = 'ERR!';

/** A connection or template with its place in the table, for those who act on it. */
export interface IndexedConnection extends ConnectionEntry {
  readonly index: number;
  readonly destinationId: number;
  readonly isTemplate: boolean;
}

/**
 * Every connection and template in the table, in the order of the entries' indices.
 * @param now the current tick
 */
export function* listConnections(
  memory: DataPlaneMemory,
  now: number,
): Generator<IndexedConnection> {
  const end = endOfConnections(memory);
  for (let index = 1; index < end; index++) {
    const state = Atomics.load(memory.u32, (memory.hot(index) + CONNECTION_STATE) >>> 2);
    if ((state & STATE_HASHED) === 0 || (state & STATE_DEAD) !== 0) continue;
    yield readConnection(memory, index, state, now);
  }
}

/** Called with an entry's index, the offset of its hot part, and its state word. */
type Visit = (index: number, hot: number, state: number) => void;

/** Visits all connections in the table, maybe millions; templates are left out. */
export function visitConnections(memory: DataPlaneMemory, visit: Visit): void {
  const { u32 } = memory;
  const end = endOfConnections(memory);
  for (let index = 1; index < end; index++) {
    const hot = memory.hot(index);
    const state = Atomics.load(u32, (hot + CONNECTION_STATE) >>> 2);
    const kind = state & (STATE_HASHED | STATE_DEAD | STATE_TEMPLATE);
    if (kind === STATE_HASHED) visit(index, hot, state);
  }
}

/** The first index that no connection has had yet. */
function endOfConnections({ u32, map }: DataPlaneMemory): number {
  return Math.min(Atomics.load(u32, CONTROL_FREE_FRESH >>> 2), map.connectionRecords);
}

/** The connection or template at an index, whether it is in the table or not. */
export function connectionAt(
  memory: DataPlaneMemory,
  index: number,
  now: number,
): IndexedConnection {
  const state = Atomics.load(memory.u32, (memory.hot(index) + CONNECTION_STATE) >>> 2);
  return readConnection(memory, index, state, now);
}

function readConnection(
  memory: DataPlaneMemory,
  index: number,
  state: number,
  now: number,
): IndexedConnection {
  const { u8, u16, u32 } = memory;
  const hot = memory.hot(index);
  const wide = memory.wide(index);
  const family = u8[hot + CONNECTION_FAMILY] as Family;
  const otherFamily = family === 4 ? 6 : 4;
  const destinationFamily = (state & STATE_DESTINATION_OTHER) === 0 ? family : otherFamily;
  const protocol = u8[hot + CONNECTION_PROTOCOL];
  const address = (of: Family, hotField: number, wideField: number) =>
    of === 4 ? formatAddress(u8, hot + hotField, 4) : formatAddress(u8, wide + wideField, 16);
  const port = (field: number) => swapPort(u16[(hot + field) >>> 1]);
  const engineData = readCallId(memory, index);
  return {
    index,
    destinationId: u32[(hot + CONNECTION_DESTINATION_ID) >>> 2],
    isTemplate: (state & STATE_TEMPLATE) !== 0,
    protocol,
    family,
    clientAddress: address(family, CONNECTION_CLIENT, WIDE_CLIENT),
    clientPort: port(CONNECTION_CLIENT_PORT),
    virtualAddress: address(family, CONNECTION_VIRTUAL, WIDE_VIRTUAL),
    virtualPort: port(CONNECTION_VIRTUAL_PORT),
    destinationFamily,
    destinationAddress: address(destinationFamily, CONNECTION_DESTINATION, WIDE_DESTINATION),
    destinationPort: port(CONNECTION_DESTINATION_PORT),
    state: stateName(protocol, state),
    expiresSeconds: secondsLeft(memory, index, state, now),
    engine: engineData === '' ? '' : 'sip',
    engineData,
    origin: (state & STATE_SYNC) === 0 ? 'LOCAL' : 'SYNC',
  };
}

/**
 * The name the kernel prints for a connection's state (ip_vs_state_name()).
 * @param state CONNECTION_STATE
 */
export function stateName(protocol: number, state: number): string {
  const code = state & STATE_MASK;
  if ((state & STATE_TEMPLATE) !== 0) return TEMPLATE_STATE_NAMES[code] ?? UNKNOWN_STATE;
  switch (protocol) {
    case PROTOCOL_TCP:
      return code < TCP_STATES ? TCP_STATE_NAMES[code] : UNKNOWN_STATE;
    case PROTOCOL_UDP:
      return code === 0 ? 'UDP' : UNKNOWN_STATE;
    case PROTOCOL_SCTP:
      return code < SCTP_STATES ? SCTP_STATE_NAMES[code] : UNKNOWN_STATE;
    case 0:
      return 'NONE';
    default:
      return UNKNOWN_STATE;
  }
}

/** Whole seconds until the timer is due; 0 when it is overdue and only late. */
function secondsLeft(memory: DataPlaneMemory, index: number, state: number, now: number): number {
  if ((state & STATE_EXPIRING) !== 0) return 0;
  const hot = memory.hot(index);
  const lastSeen = memory.u32[(hot + CONNECTION_LAST_SEEN) >>> 2];
  const timeout = memory.u32[(hot + CONNECTION_TIMEOUT) >>> 2];
  // Ticks wrap after 497 days: the difference is what counts.
  const left = (lastSeen + timeout - now) | 0;
  return left <= 0 ? 0 : Math.floor(left / TICKS_PER_SECOND);
}

/** The Call-ID a template was made for, "" for none. */
function readCallId(memory: DataPlaneMemory, index: number): string {
  const side = memory.u32[(memory.cold(index) + COLD_SIDE) >>> 2];
  if (side === 0) return '';
  const at = memory.side(side);
  if (memory.u32[(at + SIDE_KIND) >>> 2] !== SIDE_CALL_ID) return '';
  const length = Math.min(memory.u32[(at + SIDE_LENGTH) >>> 2], SIDE_DATA_MAX);
  const bytes = memory.u8.slice(at + SIDE_DATA, at + SIDE_DATA + length);
  return Buffer.from(bytes).toString('latin1');
}
