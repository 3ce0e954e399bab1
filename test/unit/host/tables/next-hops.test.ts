import { beforeEach, describe, expect, it } from 'vitest';
import {
  CONTROL_PROVOKE,
  CONTROL_PROVOKE_HEAD,
  CONTROL_PROVOKE_SLOTS,
  NEXT_HOP_FAILED,
  NEXT_HOP_INCOMPLETE,
  NEXT_HOP_MAC,
  NEXT_HOP_MTU,
  NEXT_HOP_PORT,
  NEXT_HOP_REACHABLE,
  PROVOKE_ADDRESS,
  PROVOKE_FAMILY,
  PROVOKE_PORT,
  PROVOKE_SIZE,
  PROVOKE_TURN,
} from '../../../../assembly/shared/layout.ts';
import { addressBytes } from '../../../../host/config/address.ts';
import { DataPlaneMemory } from '../../../../host/memory/data-plane-memory.ts';
import { NextHops } from '../../../../host/tables/next-hops.ts';
import { Random, seedFromEnvironment } from '../../../support/random.ts';

const seed = seedFromEnvironment(5);
const SIZES = { connections: 16, services: 4, destinations: 4, framesPerWorker: 64 };

let memory: DataPlaneMemory;
let hops: NextHops;
beforeEach(() => {
  memory = DataPlaneMemory.create(SIZES);
  hops = new NextHops(memory);
});

const MAC = Uint8Array.of(2, 0, 0, 0, 0, 0xff);

describe('a neighbour', () => {
  it('inserted: incomplete, on its port, with the port MTU', () => {
    const index = hops.findOrInsert(3, addressBytes('10.0.0.1'), 1500);
    expect(index).not.toBe(0);
    expect(hops.state(index)).toBe(NEXT_HOP_INCOMPLETE);
    expect(memory.u8[memory.nextHop(index) + NEXT_HOP_PORT]).toBe(3);
    expect(memory.u16[(memory.nextHop(index) + NEXT_HOP_MTU) >>> 1]).toBe(1500);
  });

  it('answers: reachable, the MAC in its first six bytes', () => {
    const index = hops.set({
      port: 255,
      family: 6,
      address: '2001:db8::1',
      mac: MAC,
      state: 'reachable',
    });
    const at = memory.nextHop(index);
    expect([...memory.u8.subarray(at + NEXT_HOP_MAC, at + 6)]).toEqual([...MAC]);
    expect(memory.u8[at + NEXT_HOP_PORT]).toBe(255);
    expect(hops.state(index)).toBe(NEXT_HOP_REACHABLE);
    expect(hops.find(255, addressBytes('2001:db8::1'))).toBe(index);
  });

  it('fails: keeps its index, loses its MAC', () => {
    const key = { port: 0, family: 4, address: '10.0.0.1' } as const;
    const index = hops.set({ ...key, mac: MAC, state: 'reachable' });
    expect(hops.set({ ...key, mac: MAC, state: 'failed' })).toBe(index);
    expect(hops.state(index)).toBe(NEXT_HOP_FAILED);
    expect(memory.u8[memory.nextHop(index)]).toBe(0);
  });

  it('of the same address on two ports: two neighbours', () => {
    const address = addressBytes('10.0.0.1');
    expect(hops.findOrInsert(0, address)).not.toBe(hops.findOrInsert(1, address));
  });

  it('unknown: index 0', () => {
    expect(hops.find(0, addressBytes('10.0.0.9'))).toBe(0);
  });
});

it(`the table finds what a Map finds, also when it is crowded (seed ${seed})`, () => {
  const random = new Random(seed);
  const twin = new Map<string, number>();
  for (let step = 0; step < 5_000; step++) {
    const port = random.below(2);
    const address = random.oneIn(2) ? random.bytes(4) : random.bytes(16);
    const index = hops.findOrInsert(port, address);
    const key = `${port} ${address.join('.')}`;
    if ((twin.get(key) ?? index) !== index) expect.fail(`another index for ${key}`);
    twin.set(key, index);
  }
  for (const [key, index] of twin) {
    const [port, bytes] = key.split(' ');
    const found = hops.find(Number(port), Uint8Array.from(bytes.split('.').map(Number)));
    if (found !== index) expect.fail(`${key} is at ${index}, but found at ${found}`);
  }
  expect(new Set(twin.values()).size).toBe(twin.size);
  expect(new Set(twin.values()).has(0)).toBe(false);
});

describe('the provoke ring', () => {
  function ask(ticket: number, address: string, isFinished = true): void {
    const slot = ticket & (CONTROL_PROVOKE_SLOTS - 1);
    const at = CONTROL_PROVOKE + slot * PROVOKE_SIZE;
    const bytes = addressBytes(address);
    memory.u32[CONTROL_PROVOKE_HEAD >>> 2] = ticket + 1;
    memory.u32[(at + PROVOKE_PORT) >>> 2] = 1;
    memory.u32[(at + PROVOKE_FAMILY) >>> 2] = bytes.length === 4 ? 4 : 6;
    memory.u8.set(bytes, at + PROVOKE_ADDRESS);
    if (isFinished) memory.u32[(at + PROVOKE_TURN) >>> 2] = ticket + 1;
  }

  it('workers ask: each request comes out once, in order', () => {
    ask(0, '10.0.0.1');
    ask(1, '2001:db8::1');
    expect(hops.drainWanted()).toEqual([
      { port: 1, address: addressBytes('10.0.0.1') },
      { port: 1, address: addressBytes('2001:db8::1') },
    ]);
    expect(hops.drainWanted()).toEqual([]);
  });

  it('a worker is still writing: its request waits for the next call', () => {
    ask(0, '10.0.0.1');
    ask(1, '10.0.0.2', false);
    expect(hops.drainWanted()).toHaveLength(1);
    ask(1, '10.0.0.2');
    expect(hops.drainWanted()).toEqual([{ port: 1, address: addressBytes('10.0.0.2') }]);
  });

  it('the ring overflows: the oldest requests are lost', () => {
    for (let ticket = 0; ticket < CONTROL_PROVOKE_SLOTS + 3; ticket++) {
      ask(ticket, `10.0.1.${ticket}`);
    }
    const wanted = hops.drainWanted();
    expect(wanted).toHaveLength(CONTROL_PROVOKE_SLOTS);
    expect(wanted[0].address[3]).toBe(3);
  });
});
