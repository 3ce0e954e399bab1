import { beforeEach, describe, expect, it } from 'vitest';
import { PROTOCOL_SCTP, PROTOCOL_TCP, PROTOCOL_UDP } from '../../../../assembly/shared/codes.ts';
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
  SIDE_KIND,
  SIDE_LENGTH,
  STATE_DEAD,
  STATE_DESTINATION_OTHER,
  STATE_EXPIRING,
  STATE_HASHED,
  STATE_SYNC,
  STATE_TEMPLATE,
  WIDE_CLIENT,
  WIDE_DESTINATION,
  WIDE_VIRTUAL,
} from '../../../../assembly/shared/layout.ts';
import { addressBytes } from '../../../../host/config/address.ts';
import { listConnections, stateName } from '../../../../host/ipvs/connections.ts';
import { DataPlaneMemory } from '../../../../host/memory/data-plane-memory.ts';
import { swapPort } from '../../../../host/tables/hash.ts';

let memory: DataPlaneMemory;
beforeEach(() => {
  memory = DataPlaneMemory.create({ connections: 8, services: 4, destinations: 4 });
  memory.u32[CONTROL_FREE_FRESH >>> 2] = 9;
});

interface Entry {
  readonly state: number;
  readonly protocol?: number;
  readonly client?: string;
  readonly virtual?: string;
  readonly destination?: string;
  readonly lastSeen?: number;
  readonly timeout?: number;
}

/** Writes an entry as the data plane does. */
function write(index: number, entry: Entry): void {
  const { client = '198.51.100.1', virtual = '192.0.2.80', destination = '10.0.0.11' } = entry;
  const hot = memory.hot(index);
  const wide = memory.wide(index);
  const put = (address: string, hotField: number, wideField: number) => {
    const bytes = addressBytes(address);
    memory.u8.set(bytes, bytes.length === 4 ? hot + hotField : wide + wideField);
  };
  put(client, CONNECTION_CLIENT, WIDE_CLIENT);
  put(virtual, CONNECTION_VIRTUAL, WIDE_VIRTUAL);
  put(destination, CONNECTION_DESTINATION, WIDE_DESTINATION);
  memory.u8[hot + CONNECTION_FAMILY] = client.includes(':') ? 6 : 4;
  memory.u8[hot + CONNECTION_PROTOCOL] = entry.protocol ?? PROTOCOL_TCP;
  memory.u16[(hot + CONNECTION_CLIENT_PORT) >>> 1] = swapPort(1000);
  memory.u16[(hot + CONNECTION_VIRTUAL_PORT) >>> 1] = swapPort(80);
  memory.u16[(hot + CONNECTION_DESTINATION_PORT) >>> 1] = swapPort(8080);
  memory.u32[(hot + CONNECTION_DESTINATION_ID) >>> 2] = 3;
  memory.u32[(hot + CONNECTION_STATE) >>> 2] = entry.state;
  memory.u32[(hot + CONNECTION_LAST_SEEN) >>> 2] = entry.lastSeen ?? 0;
  memory.u32[(hot + CONNECTION_TIMEOUT) >>> 2] = entry.timeout ?? 90_000;
}

const list = (now = 0) => [...listConnections(memory, now)];

describe('the connection table', () => {
  it('a TCP connection: both ends, state, seconds left', () => {
    write(5, { state: STATE_HASHED | 1, lastSeen: 500, timeout: 90_000 });
    expect(list(700)).toEqual([
      {
        index: 5,
        destinationId: 3,
        isTemplate: false,
        protocol: PROTOCOL_TCP,
        family: 4,
        clientAddress: '198.51.100.1',
        clientPort: 1000,
        virtualAddress: '192.0.2.80',
        virtualPort: 80,
        destinationFamily: 4,
        destinationAddress: '10.0.0.11',
        destinationPort: 8080,
        state: 'ESTABLISHED',
        expiresSeconds: 898,
        engine: '',
        engineData: '',
        origin: 'LOCAL',
      },
    ]);
  });

  it('entries that are free, dead or not hashed yet are left out', () => {
    write(1, { state: 0 });
    write(2, { state: STATE_HASHED | STATE_DEAD });
    write(3, { state: STATE_HASHED });
    expect(list().map(({ index }) => index)).toEqual([3]);
  });

  it('IPv6: whole addresses; a destination of the other family in its own', () => {
    const addresses = { client: '2001:db8:c::1', virtual: '2001:db8:1::80' };
    write(1, { state: STATE_HASHED, ...addresses, destination: '2001:db8:2::11' });
    write(2, { state: STATE_HASHED | STATE_DESTINATION_OTHER, ...addresses });
    write(3, { state: STATE_HASHED | STATE_DESTINATION_OTHER, destination: '2001:db8:2::12' });
    expect(list().map((entry) => [entry.clientAddress, entry.destinationAddress])).toEqual([
      ['2001:db8:c::1', '2001:db8:2::11'],
      ['2001:db8:c::1', '10.0.0.11'],
      ['198.51.100.1', '2001:db8:2::12'],
    ]);
    expect(list().map((entry) => entry.destinationFamily)).toEqual([6, 4, 6]);
  });

  it('overdue or to be expired now: 0 seconds; the clock may have wrapped', () => {
    write(1, { state: STATE_HASHED, lastSeen: 0, timeout: 100 });
    write(2, { state: STATE_HASHED | STATE_EXPIRING, lastSeen: 200, timeout: 9000 });
    write(3, { state: STATE_HASHED, lastSeen: 2 ** 32 - 100, timeout: 1000 });
    expect(list(200).map(({ expiresSeconds }) => expiresSeconds)).toEqual([0, 0, 7]);
  });

  it('a template made for a call: engine and Call-ID; from another director: SYNC', () => {
    write(1, { state: STATE_HASHED | STATE_TEMPLATE | STATE_SYNC, protocol: PROTOCOL_UDP });
    memory.u32[(memory.cold(1) + COLD_SIDE) >>> 2] = 4;
    const side = memory.side(4);
    memory.u32[(side + SIDE_KIND) >>> 2] = 2;
    memory.u32[(side + SIDE_LENGTH) >>> 2] = 6;
    memory.u8.set(Buffer.from('call-0@example'), side + SIDE_DATA);
    expect(list()[0]).toMatchObject({
      engine: 'sip',
      engineData: 'call-0',
      origin: 'SYNC',
      isTemplate: true,
      state: 'NONE',
    });
  });
});

it.each([
  [PROTOCOL_TCP, 3, 'SYN_RECV'],
  [PROTOCOL_TCP, 10, 'SYNACK'],
  [PROTOCOL_TCP, 11, 'ERR!'],
  [PROTOCOL_UDP, 0, 'UDP'],
  [PROTOCOL_UDP, 1, 'ERR!'],
  [PROTOCOL_SCTP, 3, 'C-SENT'],
  [PROTOCOL_SCTP, 13, 'CLOSED'],
  [PROTOCOL_TCP, STATE_TEMPLATE, 'NONE'],
  [PROTOCOL_TCP, STATE_TEMPLATE | 1, 'ASSURED'],
  [0, STATE_TEMPLATE, 'NONE'],
  [0, 0, 'NONE'],
  [51, 0, 'ERR!'],
])('protocol %i, state %i: %s', (protocol, state, name) => {
  expect(stateName(protocol, state)).toBe(name);
});
