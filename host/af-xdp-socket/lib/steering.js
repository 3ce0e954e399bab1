// The steering program: loading, ports, sockets, and publishing tables.
//
// There are two banks of every table. A publish brings the idle one from what it still holds (the
// configuration before the present one) to what it shall hold, by writing differences only, and
// then exchanges the banks by writing the control word. See bpf/steering.h.

import {
  rangeError,
  requireBoolean,
  requireInteger,
  requireObject,
  requireOneOf,
} from './arguments.js';
import { binding } from './binding.js';
import { XdpProgram } from './bpf.js';
import { systemError } from './errors.js';
import { interfaceInfo, requireInterface } from './interface.js';
import {
  bytecode,
  constants,
  STEERING_OUTCOMES,
  STEERING_PORTS_MAX,
  STEERING_QUEUES_MAX,
} from './steering-bytecode.js';
import { BANK_OFFSETS, encodeTables, TABLE_NAMES } from './steering-encode.js';

const BANKS = 2;
const CAPACITY_MAX = 16 * 1024 * 1024;
const CAPACITY_DEFAULT = { services: 16384, realServers: 262144, addresses: 131072, marks: 4096 };
const CAPACITY_FIELDS = {
  services: 'services',
  real_servers: 'realServers',
  addresses: 'addresses',
  marks: 'marks',
};
const DESCRIPTOR_MAX = 0x7fffffff;
const ERRNO_EBUSY = 16;
const ERRNO_ENODEV = 19;
const MAC_UNSET = '00:00:00:00:00:00';

// A program run takes microseconds. Publishes further apart than this need not ask whether one that
// read the control word before the last exchange is still at work in the bank to be written next.
const RUN_MS_MAX = 1000;

const INTERNAL = Symbol('internal');

function requireCapacity(capacity) {
  requireObject(capacity, 'capacity');
  const checked = { ...CAPACITY_DEFAULT };
  for (const [field, value] of Object.entries(capacity)) {
    requireOneOf(field, 'A field of capacity', Object.keys(CAPACITY_DEFAULT));
    if (value === undefined) continue;
    checked[field] = requireInteger(value, `capacity.${field}`, 1, CAPACITY_MAX);
  }
  return checked;
}

function word(number) {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setUint32(0, number, true);
  return bytes;
}

function sum(perCpu) {
  const values = new BigUint64Array(perCpu.buffer);
  return Number(values.reduce((total, value) => total + value, 0n));
}

/** Packs keys of one bank: the entry's key with the bank bit set where it belongs. */
function packKeys(keys, table, bank, keyLength) {
  const packed = Buffer.alloc(keys.length * keyLength);
  for (const [index, key] of keys.entries()) {
    packed.latin1Write(key, index * keyLength, keyLength);
    if (bank === 1) packed[index * keyLength + BANK_OFFSETS[table]] |= constants.KEY_BANK;
  }
  return packed;
}

function packValues(values, valueLength) {
  const packed = Buffer.alloc(values.length * valueLength);
  for (const [index, value] of values.entries()) {
    packed.latin1Write(value, index * valueLength, valueLength);
  }
  return packed;
}

function difference(before, after) {
  const removed = [];
  const keys = [];
  const values = [];
  let kept = 0;
  for (const [key, value] of after) {
    const was = before.get(key);
    if (was === value) {
      kept += 1;
      continue;
    }
    if (was !== undefined || before.has(key)) kept += 1;
    keys.push(key);
    values.push(value);
  }
  // Most publishes only add, change or remove little; then one walk is enough.
  if (kept === before.size) return { removed, keys, values };
  for (const key of before.keys()) if (!after.has(key)) removed.push(key);
  return { removed, keys, values };
}

function emptyImage() {
  return Object.fromEntries(TABLE_NAMES.map((table) => [table, new Map()]));
}

/** What a bank may hold after a publish broke off: all keys of both, none with a known value. */
function uncertainImage(before, after) {
  const unknown = (table) => [...before[table].keys(), ...after[table].keys()];
  return Object.fromEntries(
    TABLE_NAMES.map((table) => [table, new Map(unknown(table).map((key) => [key, undefined]))]),
  );
}

function encodePort(index, mac) {
  const value = new Uint8Array(mapValueLength('ports'));
  new DataView(value.buffer).setUint32(constants['port_value.interface'], index, true);
  if (mac !== null && mac !== MAC_UNSET) {
    const bytes = mac.split(':').map((part) => Number.parseInt(part, 16));
    value.set(bytes, constants['port_value.mac']);
    value[constants['port_value.checks_mac']] = 1;
  }
  return value;
}

const NO_PORT = encodePort(0, null);

function mapValueLength(name) {
  return bytecode.maps.find((map) => map.name === name).valueLength;
}

export class Steering {
  #program;
  #capacity;
  // By interface index: { slot, name, link }.
  #ports = new Map();
  #images = Array.from({ length: BANKS }, emptyImage);
  #bank = 0;
  #published = false;
  #exchangedAt = Number.NEGATIVE_INFINITY;
  #enabled = true;

  static load(options = {}) {
    requireObject(options, 'options');
    const capacity = requireCapacity(options.capacity ?? {});
    const maxEntries = Object.fromEntries(
      TABLE_NAMES.map((table) => [table, BANKS * capacity[CAPACITY_FIELDS[table]]]),
    );
    return new Steering(INTERNAL, XdpProgram.load(bytecode, { maxEntries }), capacity);
  }

  constructor(key, program, capacity) {
    if (key !== INTERNAL) throw new TypeError('Use Steering.load() to make one of these.');
    this.#program = program;
    this.#capacity = capacity;
  }

  get program() {
    return this.#program;
  }

  // --- ports and sockets ---

  #findPort(nameOrIndex) {
    requireInterface(nameOrIndex);
    for (const [index, port] of this.#ports) {
      if (index === nameOrIndex || port.name === nameOrIndex) return { index, ...port };
    }
    return null;
  }

  #port(nameOrIndex) {
    const port = this.#findPort(nameOrIndex);
    if (port !== null) return port;
    const sentence = `The steering program is not attached to ${nameOrIndex}; attach() it first.`;
    throw systemError(-ERRNO_ENODEV, 'use', sentence);
  }

  // The first free one from where the program begins to look.
  #freeSlot(index) {
    const taken = new Set([...this.#ports.values()].map(({ slot }) => slot));
    for (let step = 0; step < STEERING_PORTS_MAX; step++) {
      const slot = (index + step) % STEERING_PORTS_MAX;
      if (!taken.has(slot)) return slot;
    }
    throw rangeError(`The steering program serves at most ${STEERING_PORTS_MAX} interfaces.`);
  }

  attach(interfaceNameOrIndex, mode = 'auto') {
    const { index, name, mac } = interfaceInfo(interfaceNameOrIndex);
    if (this.#ports.has(index)) {
      const sentence = `This steering program is already attached to ${name}.`;
      throw systemError(-ERRNO_EBUSY, 'bpf(BPF_LINK_CREATE)', sentence);
    }
    // An interface of this name that is gone, and was made anew, has another index.
    this.detach(name);
    const slot = this.#freeSlot(index);
    const { ports } = this.#program.maps;
    ports.update(word(slot), encodePort(index, mac));
    try {
      const link = this.#program.attach(index, mode);
      this.#ports.set(index, { slot, name, link });
      return link;
    } catch (error) {
      ports.update(word(slot), NO_PORT);
      throw error;
    }
  }

  detach(interfaceNameOrIndex) {
    const port = this.#findPort(interfaceNameOrIndex);
    if (port === null) return;
    port.link.close();
    this.#program.maps.ports.update(word(port.slot), NO_PORT);
    for (let queue = 0; queue < STEERING_QUEUES_MAX; queue++) this.#clear(port.slot, queue);
    this.#ports.delete(port.index);
  }

  refreshPort(interfaceNameOrIndex) {
    const { index, slot } = this.#port(interfaceNameOrIndex);
    this.#program.maps.ports.update(word(slot), encodePort(index, interfaceInfo(index).mac));
  }

  #socketKey(slot, queue) {
    requireInteger(queue, 'queue', 0, STEERING_QUEUES_MAX - 1);
    return word(slot * STEERING_QUEUES_MAX + queue);
  }

  #clear(slot, queue) {
    this.#program.maps.sockets.delete(this.#socketKey(slot, queue));
  }

  setSocket(interfaceNameOrIndex, queue, fd) {
    const { slot } = this.#port(interfaceNameOrIndex);
    requireInteger(fd, 'fd', 0, DESCRIPTOR_MAX);
    this.#program.maps.sockets.update(this.#socketKey(slot, queue), word(fd));
  }

  clearSocket(interfaceNameOrIndex, queue) {
    this.#clear(this.#port(interfaceNameOrIndex).slot, queue);
  }

  // --- tables ---

  #requireFits(image) {
    for (const table of TABLE_NAMES) {
      const field = CAPACITY_FIELDS[table];
      if (image[table].size <= this.#capacity[field]) continue;
      throw rangeError(
        `${image[table].size} ${field} are more than the ${this.#capacity[field]} this steering ` +
          `program was loaded for; raise capacity.${field}.`,
      );
    }
  }

  // Deletes first, so that the old and the new entries of a full bank never meet.
  #bring(bank, before, after) {
    const done = { written: 0, deleted: 0 };
    for (const table of TABLE_NAMES) {
      const map = this.#program.maps[table];
      const { removed, keys, values } = difference(before[table], after[table]);
      map.deleteBatch(packKeys(removed, table, bank, map.keyLength), removed.length);
      map.updateBatch(
        packKeys(keys, table, bank, map.keyLength),
        packValues(values, map.valueLength),
        keys.length,
      );
      done.deleted += removed.length;
      done.written += keys.length;
    }
    return done;
  }

  #bringIdle(idle, image) {
    const before = this.#images[idle];
    try {
      const done = this.#bring(idle, before, image);
      this.#images[idle] = image;
      return done;
    } catch (error) {
      this.#images[idle] = uncertainImage(before, image);
      throw error;
    }
  }

  publish(tables) {
    const image = encodeTables(tables);
    this.#requireFits(image);
    const idle = 1 - this.#bank;
    // Where the kernel refuses to wait, the time a publish takes has to do.
    if (performance.now() - this.#exchangedAt < RUN_MS_MAX) binding.waitForPrograms();
    const done = this.#bringIdle(idle, image);
    this.#writeControl({ bank: idle, published: true, enabled: this.#enabled });
    this.#bank = idle;
    this.#published = true;
    this.#exchangedAt = performance.now();
    return done;
  }

  setEnabled(enabled) {
    requireBoolean(enabled, 'enabled');
    this.#writeControl({ bank: this.#bank, published: this.#published, enabled });
    this.#enabled = enabled;
  }

  #writeControl({ bank, published, enabled }) {
    let bits = bank === 1 ? constants.CONTROL_BANK : 0;
    if (published && enabled) bits |= constants.CONTROL_ENABLED;
    if (this.#images[bank].marks.size > 0) bits |= constants.CONTROL_HAS_MARKS;
    const value = new Uint8Array(8);
    new DataView(value.buffer).setBigUint64(0, BigInt(bits), true);
    this.#program.maps.control.update(word(0), value);
  }

  // --- observation ---

  counters() {
    const { counters } = this.#program.maps;
    return Object.fromEntries(
      STEERING_OUTCOMES.map((outcome, index) => [outcome, sum(counters.lookup(word(index)))]),
    );
  }

  testRun(frame, options) {
    const before = this.counters();
    const result = this.#program.testRun(frame, options);
    const after = this.counters();
    const counted = (outcome) => after[outcome] - before[outcome];
    const outcome = STEERING_OUTCOMES.reduce((most, each) =>
      counted(each) > counted(most) ? each : most,
    );
    return { ...result, outcome };
  }

  close() {
    for (const { link } of this.#ports.values()) link.close();
    this.#ports.clear();
    this.#program.close();
  }
}
