import { beforeEach, describe, expect, test } from 'vitest';
import {
  CONTROL_PROVOKE,
  CONTROL_PROVOKE_HEAD,
  CONTROL_PROVOKE_SLOTS,
  NEXT_HOP_INCOMPLETE,
  NEXT_HOP_REACHABLE,
  PROVOKE_ADDRESS,
  PROVOKE_FAMILY,
  PROVOKE_PORT,
  PROVOKE_SIZE,
  PROVOKE_TURN,
} from '../../../../assembly/shared/layout.ts';
import { DataPlaneMemory } from '../../../../host/memory/data-plane-memory.ts';
import { NextHops } from '../../../../host/tables/next-hops.ts';
import type { NeighbourState } from '../../../../host/tables/world.ts';
import { NeighbourKeeper } from '../../../../host/world/neighbour-keeper.ts';

const SERVER = { port: 1, address: Uint8Array.of(10, 0, 0, 11) };
const CLIENT = { port: 0, address: Uint8Array.of(192, 0, 2, 7) };
const MAC = Uint8Array.of(2, 0, 0, 0, 0, 1);

let memory: DataPlaneMemory;
let nextHops: NextHops;
let keeper: NeighbourKeeper;
let now: number;
let uses: string[];

beforeEach(() => {
  memory = DataPlaneMemory.create({ connections: 64, services: 8, destinations: 8 });
  nextHops = new NextHops(memory);
  now = 1_000_000;
  uses = [];
  keeper = new NeighbourKeeper({
    nextHops,
    use: (port, address) => uses.push(`${port} ${address.join('.')}`),
    mtu: () => 1500,
    onFull: (error) => {
      throw error;
    },
    now: () => now,
  });
});

/** As a worker does it. */
function want({ port, address }: typeof CLIENT): void {
  const { u32, u8 } = memory;
  const ticket = Atomics.add(u32, CONTROL_PROVOKE_HEAD >>> 2, 1);
  const at = CONTROL_PROVOKE + (ticket % CONTROL_PROVOKE_SLOTS) * PROVOKE_SIZE;
  u32[(at + PROVOKE_PORT) >>> 2] = port;
  u32[(at + PROVOKE_FAMILY) >>> 2] = 4;
  u8.set(address, at + PROVOKE_ADDRESS);
  Atomics.store(u32, (at + PROVOKE_TURN) >>> 2, ticket + 1);
}

function tell({ port, address }: typeof CLIENT, state: NeighbourState): void {
  keeper.onNeighbour({ port, family: 4, address: address.join('.'), mac: MAC, state });
}

describe('what workers want', () => {
  test('a neighbour nobody knew: known as incomplete, and used', () => {
    want(CLIENT);
    expect(keeper.drainWanted()).toBe(1);
    expect(uses).toEqual(['0 192.0.2.7']);
    expect(nextHops.state(nextHops.find(0, CLIENT.address))).toBe(NEXT_HOP_INCOMPLETE);
  });

  test('wanted by every packet of a burst: used once', () => {
    for (let packet = 0; packet < 10; packet++) want(CLIENT);
    expect(keeper.drainWanted()).toBe(10);
    expect(uses).toHaveLength(1);
  });

  test('wanted again half a second later: used again', () => {
    want(CLIENT);
    keeper.drainWanted();
    now += 500;
    want(CLIENT);
    keeper.drainWanted();
    expect(uses).toHaveLength(2);
  });
});

describe('what the kernel says', () => {
  test('reachable: the table has it', () => {
    tell(CLIENT, 'reachable');
    expect(nextHops.state(nextHops.find(0, CLIENT.address))).toBe(NEXT_HOP_REACHABLE);
    expect(uses).toEqual([]);
  });

  test('a target is forgotten: used again at once', () => {
    keeper.setTargets([SERVER]);
    tell(SERVER, 'reachable');
    now += 1000;
    tell(SERVER, 'incomplete');
    expect(uses).toEqual(['1 10.0.0.11', '1 10.0.0.11']);
  });

  test('a target being resolved: not asked for over and over', () => {
    keeper.setTargets([SERVER]);
    for (let time = 0; time < 400; time += 100) {
      now += 100;
      tell(SERVER, 'incomplete');
      tell(SERVER, 'failed');
    }
    expect(uses).toHaveLength(1);
  });

  test('a target is forgotten just after it was used: used again soon', () => {
    keeper.setTargets([SERVER]);
    tell(SERVER, 'reachable');
    now += 100;
    tell(SERVER, 'incomplete');
    expect(uses).toHaveLength(1);
    now += 900;
    keeper.confirm();
    expect(uses).toHaveLength(2);
  });

  test('a neighbour nobody keeps goes: let it', () => {
    tell(CLIENT, 'reachable');
    tell(CLIENT, 'incomplete');
    expect(uses).toEqual([]);
  });
});

describe('confirmation', () => {
  test('a target: used every 20 seconds, and not before', () => {
    keeper.setTargets([SERVER]);
    tell(SERVER, 'reachable');
    now += 19_999;
    keeper.confirm();
    expect(uses).toHaveLength(1);
    now += 1;
    keeper.confirm();
    expect(uses).toHaveLength(2);
  });

  test('a target that failed: tried every five seconds, for ever', () => {
    keeper.setTargets([SERVER]);
    tell(SERVER, 'failed');
    for (let round = 0; round < 10; round++) {
      now += 5000;
      keeper.confirm();
    }
    expect(uses).toHaveLength(11);
    expect(keeper.isTarget(1, '10.0.0.11')).toBe(true);
  });

  test('a client that failed and is wanted no more: let go after a minute', () => {
    want(CLIENT);
    keeper.drainWanted();
    tell(CLIENT, 'failed');
    now += 60_001;
    keeper.confirm();
    expect(keeper.size).toBe(0);
  });

  test('a client that answers: confirmed as long as it does', () => {
    want(CLIENT);
    keeper.drainWanted();
    tell(CLIENT, 'reachable');
    now += 600_000;
    keeper.confirm();
    expect(keeper.size).toBe(1);
    expect(uses).toHaveLength(2);
  });

  test('a target no more: let go once it fails', () => {
    keeper.setTargets([SERVER]);
    keeper.setTargets([]);
    expect(keeper.isTarget(1, '10.0.0.11')).toBe(false);
    tell(SERVER, 'failed');
    now += 60_001;
    keeper.confirm();
    expect(keeper.size).toBe(0);
  });
});
