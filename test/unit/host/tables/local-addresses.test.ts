import { beforeEach, describe, expect, it } from 'vitest';
import {
  LOCAL_FAMILY,
  LOCAL_FLAGS,
  LOCAL_POOL,
  LOCAL_PORT,
  LOCAL_VIRTUAL,
} from '../../../../assembly/shared/layout.ts';
import { addressBytes } from '../../../../host/config/address.ts';
import { DataPlaneMemory } from '../../../../host/memory/data-plane-memory.ts';
import {
  LOCAL_NO_PORT,
  LocalAddresses,
  probeLocal,
} from '../../../../host/tables/local-addresses.ts';
import { Random, seedFromEnvironment } from '../../../support/random.ts';

const seed = seedFromEnvironment(13);
const memory = DataPlaneMemory.create({ connections: 16, services: 4, destinations: 4 });
let locals: LocalAddresses;

beforeEach(() => {
  memory.u8.fill(0, memory.bank(0), memory.bank(0) + memory.map.bank.size);
  memory.u8.fill(0, memory.bank(1), memory.bank(1) + memory.map.bank.size);
  locals = new LocalAddresses();
});

/** Port and flags of an address in a bank, undefined when it is not there. */
function find(address: string, which: 0 | 1 = 0): [port: number, flags: number] | undefined {
  const at = probeLocal(memory, memory.bank(which), addressBytes(address));
  if (memory.u8[at + LOCAL_FAMILY] === 0) return undefined;
  return [memory.u8[at + LOCAL_PORT], memory.u8[at + LOCAL_FLAGS]];
}

describe('an own address', () => {
  it('of an interface: its port, no flags', () => {
    locals.setInterfaces([{ address: '192.0.2.1', port: 2 }, { address: '127.0.0.1' }]);
    locals.write(memory, 0);
    expect(find('192.0.2.1')).toEqual([2, 0]);
    expect(find('127.0.0.1')).toEqual([LOCAL_NO_PORT, 0]);
    expect(find('192.0.2.2')).toBeUndefined();
  });

  it('of a service only: no port, virtual, gone with the last service', () => {
    const vip = addressBytes('2001:db8::80');
    locals.addService(vip);
    locals.addService(vip);
    locals.write(memory, 0);
    expect(find('2001:db8::80')).toEqual([LOCAL_NO_PORT, LOCAL_VIRTUAL]);
    locals.removeService(vip);
    locals.write(memory, 0);
    expect(find('2001:db8::80')).toEqual([LOCAL_NO_PORT, LOCAL_VIRTUAL]);
    locals.removeService(vip);
    locals.write(memory, 0);
    expect(find('2001:db8::80')).toBeUndefined();
  });

  it('of an interface, a service and the pool at once: one record with all of it', () => {
    locals.setInterfaces([{ address: '192.0.2.80', port: 1 }]);
    locals.addService(addressBytes('192.0.2.80'));
    locals.setPool([{ address: '192.0.2.80' }]);
    locals.write(memory, 0);
    expect(find('192.0.2.80')).toEqual([1, LOCAL_VIRTUAL | LOCAL_POOL]);
    locals.setInterfaces([]);
    locals.setPool([]);
    locals.write(memory, 0);
    expect(find('192.0.2.80')).toEqual([LOCAL_NO_PORT, LOCAL_VIRTUAL]);
  });

  it('changed twice between two writes of a bank: both banks end up the same', () => {
    locals.addService(addressBytes('192.0.2.80'));
    locals.write(memory, 0);
    locals.removeService(addressBytes('192.0.2.80'));
    locals.addService(addressBytes('192.0.2.81'));
    locals.write(memory, 1);
    locals.write(memory, 0);
    for (const which of [0, 1] as const) {
      expect(find('192.0.2.80', which)).toBeUndefined();
      expect(find('192.0.2.81', which)).toBeDefined();
    }
  });
});

it(`the table follows a Map through random changes (seed ${seed})`, () => {
  const random = new Random(seed);
  const twin = new Map<string, number>();
  const name = (number: number) => `10.9.${number >>> 8}.${number & 255}`;
  for (let step = 0; step < 4000; step++) {
    const address = name(random.below(600));
    const count = twin.get(address) ?? 0;
    if (count === 0 || random.oneIn(2)) {
      locals.addService(addressBytes(address));
      twin.set(address, count + 1);
    } else {
      locals.removeService(addressBytes(address));
      twin.set(address, count - 1);
    }
    if (random.oneIn(20)) locals.write(memory, random.oneIn(2) ? 0 : 1);
  }
  locals.write(memory, 0);
  locals.write(memory, 1);
  for (let number = 0; number < 600; number++) {
    const isThere = (twin.get(name(number)) ?? 0) > 0;
    expect(find(name(number), 0) !== undefined).toBe(isThere);
    expect(find(name(number), 1) !== undefined).toBe(isThere);
  }
});
