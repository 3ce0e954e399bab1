/**
 * The connection table against a model: a list of connections, searched from the newest to the
 * oldest. Insertions, lookups from both sides, templates, removals, retired entries that wait for
 * the other worker, and a table that runs full. Addresses and ports are few, so that chains are
 * shared and wrong matches would show.
 */

import { describe, expect, test } from 'vitest';
import {
  FORWARD_DIRECT_ROUTE,
  FORWARD_FULL_NAT,
  FORWARD_NAT,
} from '../../../assembly/shared/codes.ts';
import * as layout from '../../../assembly/shared/layout.ts';
import { checkMemory } from '../../support/check-bed.ts';
import { createBed, type DirectorBed } from '../../support/director-bed.ts';
import { addressBytes } from '../../support/packet-builder.ts';
import { Random, seedFromEnvironment } from '../../support/random.ts';
import { instantiate, PROBE_BUILDS, type WasmInstance } from '../../support/wasm.ts';

const SEED = seedFromEnvironment(9071);
const CONNECTIONS = 120;
const FREE_CLIENT_PORT = 0;
type Family = 4 | 6;

const ADDRESSES = {
  4: ['198.51.100.1', '198.51.100.2', '198.51.100.3'],
  // The folded words of the first two are equal: only the whole addresses tell them apart.
  6: ['2001:db8::1:0:2', '2001:db8::2:0:1', '2001:db8:ffff::1'],
} as const;
const VIPS = { 4: ['192.0.2.80', '192.0.2.81'], 6: ['2001:db8:1::80', '2001:db8:1::81'] } as const;
const SERVERS = {
  4: ['10.0.0.11', '10.0.0.12'],
  6: ['2001:db8:10::11', '2001:db8:10::12'],
} as const;
const PORTS = [1, 2, 0x0100, 0x0200] as const;
const PROTOCOLS = [6, 17] as const;

interface Model {
  readonly index: number;
  readonly family: Family;
  readonly protocol: number;
  readonly client: string;
  readonly clientPort: number;
  readonly virtual: string;
  readonly virtualPort: number;
  readonly server: string;
  readonly serverPort: number;
  readonly forwarding: number;
  readonly isTemplate: boolean;
}

interface Ends {
  readonly family: Family;
  readonly protocol: number;
  readonly source: string;
  readonly sourcePort: number;
  readonly destination: string;
  readonly destinationPort: number;
}

/** The table, with a model of it beside. */
class Table {
  readonly bed: DirectorBed;
  readonly workers: readonly WasmInstance[];
  /** Newest first. */
  readonly model: Model[] = [];
  readonly #scratch: number;
  /** Destination id by method, family and server. */
  readonly #destinations = new Map<string, number>();

  constructor(bed: DirectorBed, workers: readonly WasmInstance[]) {
    this.bed = bed;
    this.workers = workers;
    this.#scratch = bed.memory.worker(0) + layout.WORKER_PACKETS;
    for (const [nth, method] of METHODS.entries()) {
      for (const family of [4, 6] as const) {
        for (const protocol of PROTOCOLS) {
          for (const entry of bed.control.destinations(keyOf(family, protocol, nth))) {
            const name = [method, family, protocol, entry.key.address, entry.key.port].join();
            this.#destinations.set(name, entry.id);
          }
        }
      }
    }
  }

  static async create(build: (typeof PROBE_BUILDS)[number]): Promise<Table> {
    const services = METHODS.flatMap((method, nth) =>
      ([4, 6] as const).flatMap((family) =>
        PROTOCOLS.map((protocol) => ({
          at: `${protocol === 6 ? 'tcp' : 'udp'} ${at(family, nth)}`,
          servers: SERVERS[family].flatMap((server) =>
            PORTS.map((port) => ({
              at: family === 4 ? `${server}:${port}` : `[${server}]:${port}`,
              method: METHOD_NAMES[method],
            })),
          ),
        })),
      ),
    );
    const bed = createBed({ services, workers: 2, sizes: { connections: CONNECTIONS } });
    const workers: WasmInstance[] = [];
    for (const worker of [0, 1]) {
      const wasm = await instantiate(build, bed.memory.memory, { host: { schedule: () => 0 } });
      wasm.call('initialise', worker);
      wasm.call('setClock', bed.tick);
      workers.push(wasm);
    }
    return new Table(bed, workers);
  }

  #put(at: number, address: string): number {
    this.bed.memory.u8.fill(0, at, at + 16);
    this.bed.memory.u8.set(addressBytes(address), at);
    return at;
  }

  /** @returns whether there was room */
  insert(worker: number, made: Omit<Model, 'index'>): boolean {
    const wasm = this.workers[worker];
    const client = this.#put(this.#scratch, made.client);
    const virtual = this.#put(this.#scratch + 16, made.virtual);
    const clientPort = swap(made.clientPort);
    const { family, protocol } = made;
    const index = wasm.call(
      'newConnection',
      family,
      protocol,
      client,
      clientPort,
      virtual,
      swap(made.virtualPort),
    );
    if (index === 0) return false;
    const name = [made.forwarding, family, protocol, made.server, made.serverPort].join();
    const id = this.#destinations.get(name) ?? 0;
    const flags = made.isTemplate ? layout.STATE_TEMPLATE : 0;
    wasm.call('bindDestination', index, id, swap(made.serverPort), flags);
    wasm.call('hashConnection', index);
    wasm.call('restartTimer', index);
    this.model.unshift({ ...made, index });
    return true;
  }

  remove(worker: number, index: number): void {
    this.workers[worker].call('deleteConnection', index);
    const nth = this.model.findIndex((entry) => entry.index === index);
    this.model.splice(nth, 1);
  }

  /** Writes a packet record, ends hashed. */
  #packet(worker: number, ends: Ends): number {
    const { u8, u16, u32 } = this.bed.memory;
    const packet = this.#scratch + 256;
    u8.fill(0, packet, packet + layout.PACKET_SIZE);
    u8[packet + layout.PACKET_FAMILY] = ends.family;
    u8[packet + layout.PACKET_PROTOCOL] = ends.protocol;
    u8.set(addressBytes(ends.source), packet + layout.PACKET_SOURCE);
    u8.set(addressBytes(ends.destination), packet + layout.PACKET_DESTINATION);
    u16[(packet + layout.PACKET_SOURCE_PORT) >>> 1] = swap(ends.sourcePort);
    u16[(packet + layout.PACKET_DESTINATION_PORT) >>> 1] = swap(ends.destinationPort);
    u32[(packet + layout.PACKET_TRANSPORT) >>> 2] = packet;
    this.workers[worker].call('hashPacket', packet);
    return packet;
  }

  lookupIn(worker: number, ends: Ends): number {
    return this.workers[worker].call('lookupIn', this.#packet(worker, ends));
  }

  lookupOut(worker: number, ends: Ends): number {
    return this.workers[worker].call('lookupOut', this.#packet(worker, ends));
  }

  lookupTemplate(worker: number, ends: Ends): number {
    const client = this.#put(this.#scratch, ends.source);
    const virtual = this.#put(this.#scratch + 16, ends.destination);
    const { family, protocol } = ends;
    const port = swap(ends.destinationPort);
    return this.workers[worker].call('lookupTemplate', family, protocol, client, virtual, port);
  }

  modelIn(ends: Ends): number {
    const found = this.model.find((entry) => {
      return (
        isKind(entry, ends) &&
        // A packet from port 0 belongs to no connection, as in the kernel.
        ends.sourcePort !== 0 &&
        entry.client === ends.source &&
        entry.clientPort === ends.sourcePort &&
        entry.virtual === ends.destination &&
        entry.virtualPort === ends.destinationPort
      );
    });
    return found?.index ?? 0;
  }

  modelOut(ends: Ends): number {
    const found = this.model.find((entry) => {
      const isNat = entry.forwarding === FORWARD_NAT;
      const answers = isNat ? entry.server : entry.virtual;
      const answersFrom = isNat ? entry.serverPort : entry.virtualPort;
      return (
        isKind(entry, ends) &&
        // Without a local end the server of a full-nat connection has nowhere to answer to.
        entry.forwarding !== FORWARD_FULL_NAT &&
        entry.client === ends.destination &&
        entry.clientPort === ends.destinationPort &&
        answers === ends.source &&
        answersFrom === ends.sourcePort
      );
    });
    return found?.index ?? 0;
  }

  modelTemplate(ends: Ends): number {
    const found = this.model.find((entry) => {
      return (
        isKind(entry, ends) &&
        entry.isTemplate &&
        entry.client === ends.source &&
        entry.virtual === ends.destination &&
        entry.virtualPort === ends.destinationPort
      );
    });
    return found?.index ?? 0;
  }
}

const METHODS = [FORWARD_NAT, FORWARD_DIRECT_ROUTE, FORWARD_FULL_NAT] as const;
const METHOD_NAMES = {
  [FORWARD_NAT]: 'nat',
  [FORWARD_DIRECT_ROUTE]: 'direct-route',
  [FORWARD_FULL_NAT]: 'full-nat',
} as const;

function at(family: Family, nth: number): string {
  return family === 4 ? `192.0.2.1:${nth + 1}` : `[2001:db8:1::1]:${nth + 1}`;
}

function keyOf(family: Family, protocol: number, nth: number) {
  const address = family === 4 ? '192.0.2.1' : '2001:db8:1::1';
  const name: 'tcp' | 'udp' = protocol === 6 ? 'tcp' : 'udp';
  return { family, protocol: name, address, port: nth + 1 };
}

function isKind(entry: Model, ends: Ends): boolean {
  return entry.family === ends.family && entry.protocol === ends.protocol;
}

function swap(port: number): number {
  return ((port & 255) << 8) | (port >>> 8);
}

function randomConnection(random: Random): Omit<Model, 'index'> {
  const family = random.pick([4, 6] as const);
  const isTemplate = random.oneIn(5);
  return {
    family,
    protocol: random.pick(PROTOCOLS),
    client: random.pick(ADDRESSES[family]),
    clientPort: isTemplate ? FREE_CLIENT_PORT : random.pick(PORTS),
    virtual: random.pick(VIPS[family]),
    virtualPort: random.pick(PORTS),
    server: random.pick(SERVERS[family]),
    serverPort: random.pick(PORTS),
    forwarding: random.pick(METHODS),
    isTemplate,
  };
}

function randomEnds(random: Random, outward: boolean): Ends {
  const family = random.pick([4, 6] as const);
  const client = random.pick(ADDRESSES[family]);
  const other = random.pick([...VIPS[family], ...SERVERS[family]]);
  return {
    family,
    protocol: random.pick(PROTOCOLS),
    source: outward ? other : client,
    sourcePort: random.oneIn(12) ? 0 : random.pick(PORTS),
    destination: outward ? client : other,
    destinationPort: random.pick(PORTS),
  };
}

describe.each(PROBE_BUILDS)('%s', (build) => {
  test(`lookups find what the model finds, seed ${SEED}`, async () => {
    const table = await Table.create(build);
    const random = new Random(SEED);
    for (let round = 0; round < 6000; round++) {
      const worker = random.below(2);
      if (random.oneIn(3)) {
        const made = table.insert(worker, randomConnection(random));
        if (!made) {
          // All that is left is kept at hand by the other worker, or not free yet.
          const { memory } = table.bed;
          const spares = memory.worker(worker) + layout.WORKER_SPARE_COUNT;
          expect(memory.u32[layout.CONTROL_FREE_HEAD >>> 2]).toBe(0);
          expect(memory.u32[spares >>> 2]).toBe(0);
        }
      } else if (random.oneIn(4) && table.model.length > 0) {
        table.remove(worker, random.pick(table.model).index);
      }
      const inward = randomEnds(random, false);
      const outward = randomEnds(random, true);
      const found = [
        table.lookupIn(worker, inward),
        table.lookupOut(worker, outward),
        table.lookupTemplate(worker, inward),
      ];
      const expected = [
        table.modelIn(inward),
        table.modelOut(outward),
        table.modelTemplate(inward),
      ];
      if (found.join() !== expected.join()) expect(found, `round ${round}`).toEqual(expected);
      if (random.oneIn(3)) table.workers[random.below(2)].call('passBoundary');
      if (random.oneIn(200)) {
        while (table.model.length > 10) table.remove(worker, random.pick(table.model).index);
      }
      if (round % 100 === 0)
        expect(checkMemory(table.bed.memory).live).toHaveLength(table.model.length);
    }
    table.bed.close();
  });

  test('an entry is used again only when every worker has passed a burst boundary', async () => {
    const table = await Table.create(build);
    const { memory } = table.bed;
    const random = new Random(SEED);
    const make = () => {
      table.insert(0, { ...randomConnection(random), isTemplate: false });
      return table.model[0].index;
    };
    const [first, second] = table.workers;
    // Both are in the middle of a burst.
    for (const worker of [0, 1]) {
      Atomics.store(memory.u32, (memory.worker(worker) + layout.WORKER_ONLINE) >>> 2, 1);
    }
    const index = make();
    table.remove(0, index);
    for (let turn = 0; turn < 3; turn++) first.call('passBoundary');
    expect(checkMemory(memory).retired).toBe(1);
    second.call('passBoundary');
    expect(checkMemory(memory).retired).toBe(1);
    first.call('passBoundary');
    expect(checkMemory(memory).retired).toBe(0);
    // A worker that sleeps is not waited for.
    Atomics.store(memory.u32, (memory.worker(1) + layout.WORKER_ONLINE) >>> 2, 0);
    table.remove(0, make());
    first.call('passBoundary');
    first.call('passBoundary');
    expect(checkMemory(memory).retired).toBe(0);
    table.bed.close();
  });

  test('the table holds as many connections as it says, and not one more', async () => {
    const table = await Table.create(build);
    const random = new Random(SEED);
    let made = 0;
    while (table.insert(0, randomConnection(random))) made++;
    expect(made).toBe(CONNECTIONS);
    expect(checkMemory(table.bed.memory).live).toHaveLength(CONNECTIONS);
    table.bed.close();
  });

  test('a connection that controls others stays; one that has ended controls nobody', async () => {
    const table = await Table.create(build);
    const random = new Random(SEED);
    const [first] = table.workers;
    const make = (isTemplate: boolean) => {
      table.insert(0, { ...randomConnection(random), isTemplate });
      return table.model[0].index;
    };
    const [controller, controlled, late] = [make(true), make(false), make(false)];
    first.call('addControl', controlled, controller);
    first.call('deleteConnection', controller);
    expect(checkMemory(table.bed.memory).live).toHaveLength(3);
    // The last one that it controlled takes it along.
    first.call('deleteConnection', controlled);
    expect(checkMemory(table.bed.memory).live).toEqual([late]);
    first.call('addControl', late, controller);
    expect(checkMemory(table.bed.memory).live).toEqual([late]);
    first.call('deleteConnection', controller);
    first.call('restartTimer', controller);
    checkMemory(table.bed.memory);
    table.bed.close();
  });
});
