import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import {
  PROTOCOL_TCP,
  PROTOCOL_UDP,
  SCHEDULER_MH,
  SCHEDULER_RR,
} from '../../../../assembly/shared/codes.ts';
import {
  BANK_ANY_PORT_SERVICES,
  BANK_DIRECTOR_POOL,
  BANK_FTP_SERVICES,
  BANK_GENERATION,
  BANK_LOCAL_POOL_COUNT,
  BANK_LOCAL_PORTS,
  BANK_MARK_COUNT,
  BANK_MARK_SERVICES,
  BANK_PORTS,
  BANK_SERVICE_COUNT,
  CONTROL_ROUTE_GENERATION,
  DESTINATION_ADDRESS,
  DESTINATION_FAMILY,
  DESTINATION_PORT,
  DESTINATION_SERVICE,
  DESTINATION_VIRTUAL_ADDRESS,
  DESTINATION_WEIGHT,
  MARK_PORT_COUNT,
  MARK_PORTS,
  MARK_PREFIX,
  MARK_SOURCE,
  MARK_SOURCE_PREFIX,
  MARK_VALUE,
  PORT_IPV4,
  PORT_MAC,
  PORT_MTU,
  PORT_SIZE,
  SERVICE_DESTINATION_COUNT,
  SERVICE_DESTINATION_LIST,
  SERVICE_FAMILY,
  SERVICE_FLAGS,
  SERVICE_PERSISTENCE_MASK,
  SERVICE_PERSISTENCE_TICKS,
  SERVICE_SCHEDULER_SLOTS,
  SERVICE_SCHEDULER_TABLE,
  SYSCTL_CONNTRACK,
  WORKER_ONLINE,
  WORKER_SEEN_GENERATION,
} from '../../../../assembly/shared/layout.ts';
import { addressBytes } from '../../../../host/config/address.ts';
import { DataPlaneMemory } from '../../../../host/memory/data-plane-memory.ts';
import { formatAddress } from '../../../../host/tables/address-text.ts';
import { swapPort } from '../../../../host/tables/hash.ts';
import { PublishedTables } from '../../../../host/tables/publish.ts';
import type { DestinationRow, ServiceRow } from '../../../../host/tables/rows.ts';
import { findService } from '../../../../host/tables/service-index.ts';
import { Random, seedFromEnvironment } from '../../../support/random.ts';

const seed = seedFromEnvironment(17);
const SIZES = {
  connections: 16,
  services: 64,
  destinations: 256,
  workers: 2,
  framesPerWorker: 64,
  schedulerTableBytes: 4 * 1024,
};

let memory: DataPlaneMemory;
let tables: PublishedTables;
beforeEach(() => {
  memory = DataPlaneMemory.create(SIZES);
  tables = new PublishedTables(memory);
});
afterEach(() => {
  vi.useRealTimers();
});

function serviceRow(id: number, overrides: Partial<ServiceRow> = {}): ServiceRow {
  return {
    id,
    family: 4,
    protocol: PROTOCOL_TCP,
    port: 80,
    mark: 0,
    address: addressBytes(`192.0.2.${id & 255}`),
    scheduler: SCHEDULER_RR,
    flags: 0,
    persistenceTicks: 0,
    persistenceMask: 0xffffffff,
    destinations: [],
    schedulerTable: undefined,
    ...overrides,
  };
}

function destinationRow(id: number, overrides: Partial<DestinationRow> = {}): DestinationRow {
  return {
    id,
    family: 4,
    forwarding: 0,
    tunnelType: 0,
    tunnelFlags: 0,
    tunnelPort: 0,
    port: 8080,
    weight: 1,
    lastWeight: 1,
    upperThreshold: 0,
    lowerThreshold: 0,
    serviceId: 1,
    protocol: PROTOCOL_TCP,
    virtualPort: 80,
    virtualAddress: addressBytes('192.0.2.1'),
    address: addressBytes('10.0.0.1'),
    ...overrides,
  };
}

/** What a worker reads of a service in the published bank. */
function readService(id: number): { list: number[]; table: number[]; family: number } {
  const bank = memory.activeBank();
  const at = memory.service(bank, id);
  const word = (offset: number) => memory.u32[(at + offset) >>> 2];
  const list = (bank + word(SERVICE_DESTINATION_LIST)) >>> 2;
  const table = (bank + word(SERVICE_SCHEDULER_TABLE)) >>> 2;
  return {
    family: memory.u8[at + SERVICE_FAMILY],
    list: [...memory.u32.subarray(list, list + word(SERVICE_DESTINATION_COUNT))],
    table: [...memory.u32.subarray(table, table + word(SERVICE_SCHEDULER_SLOTS))],
  };
}

function bankWord(offset: number): number {
  return memory.u32[(memory.activeBank() + offset) >>> 2];
}

describe('publish', () => {
  it('a change: the other bank becomes the published one and says its generation', () => {
    tables.setService(serviceRow(1));
    expect(tables.isChanged).toBe(true);
    tables.publish();
    expect(memory.generation()).toBe(1);
    expect(memory.activeBank()).toBe(memory.bank(1));
    expect(bankWord(BANK_GENERATION)).toBe(1);
    expect(bankWord(BANK_SERVICE_COUNT)).toBe(1);
  });

  it('no change: the generation stays', () => {
    tables.setService(serviceRow(1));
    tables.publish();
    tables.publish();
    expect(memory.generation()).toBe(1);
  });

  it('an edit reaches both banks in turn', () => {
    tables.setService(serviceRow(1, { destinations: [1] }));
    tables.publish();
    tables.setService(serviceRow(2));
    tables.publish();
    expect(readService(1).list).toEqual([1]);
    tables.setService(serviceRow(1, { destinations: [2, 1] }));
    tables.publish();
    expect(readService(1).list).toEqual([2, 1]);
    tables.removeService(2);
    tables.publish();
    expect(readService(1).list).toEqual([2, 1]);
    expect(readService(2).family).toBe(0);
  });

  it('wakes the workers', () => {
    let woken = 0;
    const waking = new PublishedTables(memory, {
      wakeWorkers: () => {
        woken++;
      },
    });
    waking.setService(serviceRow(1));
    waking.publish();
    expect(woken).toBe(1);
  });

  it('an online worker still uses the idle bank: asks it to adopt before writing', () => {
    const block = memory.worker(1);
    memory.u32[(block + WORKER_ONLINE) >>> 2] = 1;
    const adopting = new PublishedTables(memory, {
      wakeWorkers: () => {
        memory.u32[(block + WORKER_SEEN_GENERATION) >>> 2] = memory.generation();
      },
    });
    adopting.setService(serviceRow(1));
    adopting.publish();
    adopting.setService(serviceRow(2));
    memory.u32[(block + WORKER_SEEN_GENERATION) >>> 2] = 0;
    expect(adopting.isAdopted()).toBe(false);
    adopting.publish();
    expect(memory.generation()).toBe(2);
    expect(adopting.isAdopted()).toBe(true);
  });

  it('a worker never adopts: an error names it, and nothing is published', () => {
    memory.u32[(memory.worker(1) + WORKER_ONLINE) >>> 2] = 1;
    tables.setService(serviceRow(1));
    tables.publish();
    vi.useFakeTimers({ toFake: ['performance'] });
    const late = new PublishedTables(memory, { wakeWorkers: () => vi.advanceTimersByTime(300) });
    late.setService(serviceRow(2));
    expect(() => late.publish()).toThrow(/^worker 1 has not adopted/);
    expect(memory.generation()).toBe(1);
    expect(late.isChanged).toBe(true);
  });

  it('a worker is offline: nobody waits for it', () => {
    tables.setService(serviceRow(1));
    tables.publish();
    tables.setService(serviceRow(2));
    tables.publish();
    expect(memory.generation()).toBe(2);
  });
});

describe('records', () => {
  it('a service: ports in network order, flags and persistence as given', () => {
    const mask = addressBytes('255.255.255.0');
    const word = new DataView(mask.buffer).getUint32(0, true);
    tables.setService(
      serviceRow(3, { flags: 5, persistenceTicks: 30_000, persistenceMask: word, port: 443 }),
    );
    tables.publish();
    const at = memory.service(memory.activeBank(), 3);
    expect(memory.u32[(at + SERVICE_FLAGS) >>> 2]).toBe(5);
    expect(memory.u32[(at + SERVICE_PERSISTENCE_TICKS) >>> 2]).toBe(30_000);
    expect(formatAddress(memory.u8, at + SERVICE_PERSISTENCE_MASK, 4)).toBe('255.255.255.0');
  });

  it('a destination: addresses of its own family, 0 as service in the trash', () => {
    const row = destinationRow(9, { family: 6, address: addressBytes('2001:db8::9'), weight: 7 });
    tables.setDestination(row);
    tables.publish();
    const read = () => memory.destination(memory.activeBank(), 9);
    expect(formatAddress(memory.u8, read() + DESTINATION_ADDRESS, 16)).toBe('2001:db8::9');
    expect(formatAddress(memory.u8, read() + DESTINATION_VIRTUAL_ADDRESS, 4)).toBe('192.0.2.1');
    expect(memory.u16[(read() + DESTINATION_PORT) >>> 1]).toBe(swapPort(8080));
    expect(memory.i32[(read() + DESTINATION_WEIGHT) >>> 2]).toBe(7);
    expect(memory.u32[(read() + DESTINATION_SERVICE) >>> 2]).toBe(1);
    tables.setDestination({ ...row, serviceId: 0 });
    tables.publish();
    expect(memory.u32[(read() + DESTINATION_SERVICE) >>> 2]).toBe(0);
    tables.removeDestination(9);
    tables.publish();
    expect(memory.u8[read() + DESTINATION_FAMILY]).toBe(0);
  });

  it('the header counts the services that make further lookups necessary', () => {
    tables.setService(serviceRow(1, { port: 0 }));
    tables.setService(serviceRow(2, { port: 21 }));
    tables.setService(serviceRow(3, { mark: 5, protocol: 0, port: 0, address: new Uint8Array(4) }));
    tables.publish();
    expect(bankWord(BANK_SERVICE_COUNT)).toBe(3);
    expect(bankWord(BANK_ANY_PORT_SERVICES)).toBe(1);
    expect(bankWord(BANK_FTP_SERVICES)).toBe(1);
    expect(bankWord(BANK_MARK_SERVICES)).toBe(1);
  });

  it('sysctl words go where their offsets say', () => {
    tables.setSysctls(new Map([[SYSCTL_CONNTRACK, 1]]));
    tables.publish();
    expect(bankWord(SYSCTL_CONNTRACK)).toBe(1);
  });

  it('ports: MAC, MTU and primary address of each', () => {
    const mac = Uint8Array.of(2, 0, 0, 0, 1, 1);
    const port = { index: 2, name: 'srv', ifindex: 9, mac, mtu: 1500, up: true, ipv4: '10.0.0.1' };
    tables.setWorld({ ports: [port], addresses: [], routes: [] });
    tables.publish();
    const at = memory.activeBank() + BANK_PORTS + 2 * PORT_SIZE;
    expect([...memory.u8.subarray(at + PORT_MAC, at + PORT_MAC + 6)]).toEqual([...mac]);
    expect(memory.u32[(at + PORT_MTU) >>> 2]).toBe(1500);
    expect(formatAddress(memory.u8, at + PORT_IPV4, 4)).toBe('10.0.0.1');
  });

  it('a new world: the route generation is raised, a gateway becomes a neighbour', () => {
    const via = { family: 4, prefix: '0.0.0.0', prefixLength: 0, port: 1, kind: 'via' } as const;
    const before = memory.u32[CONTROL_ROUTE_GENERATION >>> 2];
    tables.setWorld({ ports: [], addresses: [], routes: [{ ...via, via: '192.0.2.254' }] });
    tables.publish();
    expect(memory.u32[CONTROL_ROUTE_GENERATION >>> 2]).toBeGreaterThan(before);
    expect(tables.nextHops.find(1, addressBytes('192.0.2.254'))).not.toBe(0);
  });

  it('mark rules and the pool: counts, masked prefixes, port ranges', () => {
    tables.setMarks([
      {
        family: 4,
        mark: 6666,
        protocol: PROTOCOL_TCP,
        source: { address: '198.51.100.7', prefixLength: 20 },
        ports: [[80, 90]],
      },
    ]);
    tables.setLocalPool({
      addresses: [{ family: 4, address: '10.0.0.1' }],
      portRanges: [
        [1024, 2000],
        [3000, 4000],
      ],
    });
    tables.publish();
    expect(bankWord(BANK_MARK_COUNT)).toBe(1);
    const at = memory.activeBank() + memory.map.bank.marks;
    expect(memory.u32[(at + MARK_VALUE) >>> 2]).toBe(6666);
    expect(memory.u8[at + MARK_PREFIX]).toBe(0);
    expect(memory.u8[at + MARK_SOURCE_PREFIX]).toBe(20);
    expect(formatAddress(memory.u8, at + MARK_SOURCE, 4)).toBe('198.51.96.0');
    expect(memory.u8[at + MARK_PORT_COUNT]).toBe(1);
    expect([
      ...memory.u16.subarray((at + MARK_PORTS) >>> 1, ((at + MARK_PORTS) >>> 1) + 2),
    ]).toEqual([80, 90]);
    expect(bankWord(BANK_LOCAL_POOL_COUNT)).toBe(1);
    expect(bankWord(BANK_LOCAL_PORTS)).toBe(1024);
    expect(bankWord(BANK_LOCAL_PORTS + 12)).toBe(4000);
    const runs = [0, 4, 8, 12].map((word) => bankWord(BANK_DIRECTOR_POOL + word));
    expect(runs).toEqual([0, 1, 1, 0]);
  });
});

describe('arrays of services', () => {
  it('a table for which there is no room: refused, the rest stays as it was', () => {
    const table = new Uint32Array(512).fill(7);
    tables.setService(serviceRow(1, { scheduler: SCHEDULER_MH, schedulerTable: table }));
    tables.setService(serviceRow(2, { scheduler: SCHEDULER_MH, schedulerTable: table }));
    const third = serviceRow(3, { scheduler: SCHEDULER_MH, schedulerTable: table });
    expect(() => tables.setService(third)).toThrow(/scheduler tables/);
    tables.publish();
    expect(readService(1).table).toHaveLength(512);
    expect(readService(2).table).toHaveLength(512);
    expect(readService(3).family).toBe(0);
  });

  it('freed places do not fit together: everything moves, nothing is lost', () => {
    for (let id = 1; id <= 16; id++) {
      tables.setService(serviceRow(id, { schedulerTable: new Uint32Array(64).fill(id) }));
    }
    tables.publish();
    for (let id = 1; id <= 16; id += 2) tables.removeService(id);
    tables.setService(serviceRow(20, { schedulerTable: new Uint32Array(512).fill(20) }));
    for (let publication = 0; publication < 3; publication++) {
      tables.publish();
      expect(readService(20).table).toEqual(new Array(512).fill(20));
      for (let id = 2; id <= 16; id += 2) {
        expect(readService(id).table).toEqual(new Array(64).fill(id));
      }
      tables.setService(serviceRow(21, { destinations: [publication] }));
    }
  });
});

describe(`both banks follow Maps through random edits (seed ${seed})`, () => {
  for (let round = 0; round < 8; round++) {
    it(`round ${round}`, () => {
      const random = new Random(seed + round);
      const services = new Map<number, ServiceRow>();
      const keys = new Map<string, number>();
      const keyOf = (row: ServiceRow) =>
        `${row.family} ${row.protocol} ${row.mark} ${row.port} ${row.address.join('.')}`;
      for (let step = 0; step < 600; step++) {
        const id = random.between(1, SIZES.services);
        const before = services.get(id);
        if (before !== undefined && random.oneIn(3)) {
          tables.removeService(id);
          services.delete(id);
          keys.delete(keyOf(before));
        } else {
          const row = before ?? randomService(random, id);
          if (before === undefined && keys.has(keyOf(row))) continue;
          const edited = { ...row, ...randomArrays(random) };
          tables.setService(edited);
          services.set(id, edited);
          keys.set(keyOf(row), id);
        }
        if (random.oneIn(10)) {
          tables.publish();
          checkPublished(services);
        }
      }
    });
  }
});

function randomService(random: Random, id: number): ServiceRow {
  const family = random.oneIn(2) ? 4 : 6;
  const address = new Uint8Array(family === 4 ? 4 : 16);
  if (random.oneIn(4)) {
    return serviceRow(id, { family, address, protocol: 0, port: 0, mark: random.between(1, 40) });
  }
  address[3] = random.between(1, 5);
  address[address.length - 1] = random.between(1, 5);
  const protocol = random.pick([PROTOCOL_TCP, PROTOCOL_UDP]);
  return serviceRow(id, { family, address, protocol, port: random.pick([0, 21, 80, 443]) });
}

function randomArrays(random: Random): Pick<ServiceRow, 'destinations' | 'schedulerTable'> {
  const destinations = Array.from({ length: random.below(8) }, () => random.below(200));
  const isTable = random.oneIn(3);
  const table = new Uint32Array(8).fill(random.u16());
  return { destinations, schedulerTable: isTable ? table : undefined };
}

function checkPublished(services: ReadonlyMap<number, ServiceRow>): void {
  const bank = memory.activeBank();
  for (let id = 1; id <= SIZES.services; id++) {
    const row = services.get(id);
    const { family, list, table } = readService(id);
    expect(family).toBe(row?.family ?? 0);
    if (row === undefined) continue;
    expect(list).toEqual(row.destinations);
    expect(table).toEqual([...(row.schedulerTable ?? [])]);
    const { family: of, mark, protocol, address, port } = row;
    const key = mark === 0 ? { family: of, protocol, address, port } : { family: of, mark };
    expect(findService(memory, bank, key)).toBe(id);
  }
  const absent = {
    family: 4,
    protocol: PROTOCOL_TCP,
    address: new Uint8Array(4),
    port: 1,
  } as const;
  expect(findService(memory, bank, absent)).toBe(0);
}
