// A service with destinations, published as the host would, for schedulers to pick from.

import {
  DESTINATION_AVAILABLE,
  DESTINATION_OVERLOAD,
  PROTOCOL_TCP,
} from '../../../../assembly/shared/codes.ts';
import {
  DESTINATION_STATE_ACTIVE,
  DESTINATION_STATE_FLAGS,
  DESTINATION_STATE_INACTIVE,
  DESTINATION_STATE_REFERENCES,
  DESTINATION_WEIGHT,
  PACKET_DESTINATION,
  PACKET_DESTINATION_PORT,
  PACKET_FAMILY,
  PACKET_FLAGS,
  PACKET_PROTOCOL,
  PACKET_SOURCE,
  PACKET_SOURCE_PORT,
  SERVICE_DESTINATION_COUNT,
  SERVICE_DESTINATION_LIST,
  SERVICE_FLAGS,
  SERVICE_SCHEDULER,
  SERVICE_SCHEDULER_SLOTS,
  SERVICE_SCHEDULER_TABLE,
  WORKER_PACKETS,
  WORKER_TICK,
} from '../../../../assembly/shared/layout.ts';
import { MAGLEV_SLOTS } from '../../../../assembly/shared/limits.ts';
import { DataPlaneMemory } from '../../../../host/memory/data-plane-memory.ts';
import type {
  ListChangeKind,
  ListedDestination,
  Scheduler,
  SchedulerTables,
} from '../../../../host/scheduler/scheduler.ts';

const SERVICES = 400;
const LIST_MAX = 100;

/** Memory for many beds, with the ids of theirs. Beds share it: memories are dear. */
export class BedMemory {
  readonly memory = DataPlaneMemory.create(
    {
      connections: 16,
      services: SERVICES,
      destinations: SERVICES * LIST_MAX,
      workers: 2,
      framesPerWorker: 64,
      links: 1,
      ringEntries: 8,
      schedulerTableBytes: (SERVICES + 1) * MAGLEV_SLOTS * 4,
    },
    { hashSeed: 1, randomSeed: 1 },
  );
  #services = 0;
  #destinations = 0;

  nextService(): number {
    if (this.#services === SERVICES) throw new Error('the bed memory has no service left');
    return ++this.#services;
  }

  nextDestination(): number {
    if (this.#destinations === SERVICES * LIST_MAX) throw new Error('no destination left');
    return ++this.#destinations;
  }
}

/** A destination of a bed; the bed's methods change it. */
export interface BedDestination extends ListedDestination {
  weight: number;
  lastWeight: number;
  active: number;
  inactive: number;
  overloaded: boolean;
  available: boolean;
}

export interface BedPacket {
  /** 4 or 16 bytes. */
  readonly source?: Uint8Array;
  readonly destination?: Uint8Array;
  readonly sourcePort?: number;
  readonly destinationPort?: number;
  readonly protocol?: number;
  /** PACKET_* flags. */
  readonly flags?: number;
}

export interface BedOptions {
  /** SERVICE_* bits. */
  readonly flags?: number;
  readonly family?: 4 | 6;
}

export interface BedDestinationOptions {
  readonly address?: Uint8Array;
  readonly port?: number;
}

/** The address of dotted text. */
export function ipv4(text: string): Uint8Array {
  return Uint8Array.from(text.split('.'), Number);
}

export class ServiceBed {
  readonly memory: DataPlaneMemory;
  readonly service: number;
  readonly scheduler: Scheduler;
  readonly flags: number;
  readonly family: 4 | 6;
  readonly tables: SchedulerTables;
  /** Newest first. */
  destinations: BedDestination[] = [];
  /** The scheduler's table as it was last published. */
  table: Uint32Array | undefined;
  readonly #ids: BedMemory;

  constructor(ids: BedMemory, scheduler: Scheduler, options: BedOptions = {}) {
    this.#ids = ids;
    this.memory = ids.memory;
    this.scheduler = scheduler;
    this.service = ids.nextService();
    this.flags = options.flags ?? 0;
    this.family = options.family ?? 4;
    this.tables = {
      memory: ids.memory,
      bank: ids.memory.activeBank(),
      worker: ids.memory.worker(0),
    };
    this.#change('bind', undefined, -1);
  }

  add(weight: number, options: BedDestinationOptions = {}): BedDestination {
    const id = this.#ids.nextDestination();
    const added: BedDestination = {
      id,
      family: this.family,
      address: options.address ?? Uint8Array.of(10, 0, id >>> 8, id & 255),
      port: options.port ?? 80,
      weight,
      lastWeight: weight,
      active: 0,
      inactive: 0,
      overloaded: false,
      available: true,
    };
    this.destinations.unshift(added);
    this.#writeDestination(added);
    this.#change('add', added, 0);
    return added;
  }

  delete(deleted: BedDestination): void {
    const position = this.destinations.indexOf(deleted);
    deleted.available = false;
    this.destinations.splice(position, 1);
    this.#writeDestination(deleted);
    this.#change('delete', deleted, position);
  }

  /** Takes a deleted destination back, as the trash gives it. */
  addAgain(destination: BedDestination): void {
    destination.available = true;
    this.destinations.unshift(destination);
    this.#writeDestination(destination);
    this.#change('add', destination, 0);
  }

  edit(edited: BedDestination, weight: number): void {
    edited.weight = weight;
    if (weight !== 0) edited.lastWeight = weight;
    this.#writeDestination(edited);
    this.#change('update', edited, this.destinations.indexOf(edited));
  }

  unbind(): void {
    this.#change('unbind', undefined, -1);
  }

  load(destination: BedDestination, active: number, inactive: number): void {
    destination.active = active;
    destination.inactive = inactive;
    this.#writeDestination(destination);
  }

  overload(destination: BedDestination, overloaded: boolean): void {
    destination.overloaded = overloaded;
    this.#writeDestination(destination);
  }

  references(destination: BedDestination): number {
    const state = this.memory.destinationState(destination.id);
    return this.memory.u32[(state + DESTINATION_STATE_REFERENCES) >>> 2];
  }

  /** Sets the worker's clock. */
  setTick(tick: number): void {
    this.memory.u32[(this.tables.worker + WORKER_TICK) >>> 2] = tick;
  }

  /** The chosen destination's id. */
  pick(packet: BedPacket = {}): number {
    return this.scheduler.pick(this.tables, this.service, this.writePacket(packet));
  }

  /** Writes a packet record and returns its offset. */
  writePacket(packet: BedPacket): number {
    const { u8, u16 } = this.memory;
    const at = this.tables.worker + WORKER_PACKETS;
    // What lies behind an IPv4 address is whatever an earlier packet left there.
    u8.fill(0xa5, at + PACKET_SOURCE, at + PACKET_DESTINATION + 16);
    u8.set(packet.source ?? new Uint8Array(this.family === 6 ? 16 : 4), at + PACKET_SOURCE);
    u8.set(
      packet.destination ?? new Uint8Array(this.family === 6 ? 16 : 4),
      at + PACKET_DESTINATION,
    );
    u8[at + PACKET_FAMILY] = this.family;
    u8[at + PACKET_PROTOCOL] = packet.protocol ?? PROTOCOL_TCP;
    u16[(at + PACKET_FLAGS) >>> 1] = packet.flags ?? 0;
    writePort(u8, at + PACKET_SOURCE_PORT, packet.sourcePort ?? 0);
    writePort(u8, at + PACKET_DESTINATION_PORT, packet.destinationPort ?? 0);
    return at;
  }

  /** Sends `count` packets and returns the chosen positions in the list, -1 for none. */
  positions(count: number): number[] {
    return Array.from({ length: count }, () => {
      const id = this.pick();
      return this.destinations.findIndex((destination) => destination.id === id);
    });
  }

  #writeDestination(destination: BedDestination): void {
    const { memory } = this;
    const record = memory.destination(this.tables.bank, destination.id);
    const state = memory.destinationState(destination.id);
    memory.i32[(record + DESTINATION_WEIGHT) >>> 2] = destination.weight;
    memory.u32[(state + DESTINATION_STATE_FLAGS) >>> 2] =
      (destination.available ? DESTINATION_AVAILABLE : 0) |
      (destination.overloaded ? DESTINATION_OVERLOAD : 0);
    memory.i32[(state + DESTINATION_STATE_ACTIVE) >>> 2] = destination.active;
    memory.i32[(state + DESTINATION_STATE_INACTIVE) >>> 2] = destination.inactive;
  }

  #change(kind: ListChangeKind, changed: BedDestination | undefined, position: number): void {
    const { table } = this.scheduler.change(this.memory, {
      kind,
      serviceId: this.service,
      family: this.family,
      flags: this.flags,
      destinations: this.destinations.map((destination) => ({ ...destination })),
      changed,
      position,
    });
    if (table !== undefined) this.table = table;
    this.#publish();
  }

  #publish(): void {
    const { memory } = this;
    const { u32 } = memory;
    const { bank } = memory.map;
    const record = memory.service(this.tables.bank, this.service);
    if (this.destinations.length > LIST_MAX) throw new Error(`a bed lists ${LIST_MAX} at most`);
    const list = bank.lists + this.service * LIST_MAX * 4;
    const ids = this.destinations.map((destination) => destination.id);
    u32.set(ids, (this.tables.bank + list) >>> 2);
    memory.u8[record + SERVICE_SCHEDULER] = this.scheduler.code;
    u32[(record + SERVICE_FLAGS) >>> 2] = this.flags;
    u32[(record + SERVICE_DESTINATION_COUNT) >>> 2] = ids.length;
    u32[(record + SERVICE_DESTINATION_LIST) >>> 2] = list;
    if (this.table === undefined) return;
    const table = bank.schedulerTables + this.service * MAGLEV_SLOTS * 4;
    u32.set(this.table, (this.tables.bank + table) >>> 2);
    u32[(record + SERVICE_SCHEDULER_TABLE) >>> 2] = table;
    u32[(record + SERVICE_SCHEDULER_SLOTS) >>> 2] = this.table.length;
  }
}

function writePort(u8: Uint8Array, at: number, port: number): void {
  u8[at] = port >>> 8;
  u8[at + 1] = port & 255;
}
