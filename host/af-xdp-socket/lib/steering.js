// The steering program: loading, ports, sockets, and publishing tables.
//
// There are two banks of every table. A publish brings the idle one from what it still holds (the
// configuration before the present one) to what it shall hold, by writing differences only, and
// then exchanges the banks by writing the control word. What is steered is kept in a book, so that a
// change of it costs what the change is, not what all of it is. See bpf/steering.h.

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
import { differingEntries, SteeringBanks } from './steering-banks.js';
import { SteeringBook } from './steering-book.js';
import {
  bytecode,
  constants,
  STEERING_OUTCOMES,
  STEERING_PORTS_MAX,
  STEERING_QUEUES_MAX,
} from './steering-bytecode.js';

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
  #book = new SteeringBook();
  #banks;
  #published = false;
  #exchangedAt = Number.NEGATIVE_INFINITY;
  #enabled = true;

  static load(options = {}) {
    requireObject(options, 'options');
    const capacity = requireCapacity(options.capacity ?? {});
    const maxEntries = Object.fromEntries(
      Object.entries(CAPACITY_FIELDS).map(([table, field]) => [table, BANKS * capacity[field]]),
    );
    return new Steering(INTERNAL, XdpProgram.load(bytecode, { maxEntries }), capacity);
  }

  constructor(key, program, capacity) {
    if (key !== INTERNAL) throw new TypeError('Use Steering.load() to make one of these.');
    this.#program = program;
    this.#capacity = capacity;
    this.#banks = new SteeringBanks(program.maps);
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

  #requireFits(tables) {
    for (const [table, field] of Object.entries(CAPACITY_FIELDS)) {
      if (tables[table].size <= this.#capacity[field]) continue;
      throw rangeError(
        `${tables[table].size} ${field} are more than the ${this.#capacity[field]} this steering ` +
          `program was loaded for; raise capacity.${field}.`,
      );
    }
  }

  publish(tables) {
    const book = SteeringBook.of(tables);
    const done = this.#bring(book, differingEntries(this.#book.tables, book.tables));
    this.#book = book;
    return done;
  }

  publishChanges(changes) {
    const { before, undo } = this.#book.change(changes);
    try {
      return this.#bring(this.#book, before);
    } catch (error) {
      undo();
      throw error;
    }
  }

  /** Puts a book in force whose entries of `before` are others than those in force. */
  #bring({ tables }, before) {
    this.#requireFits(tables);
    // Where the kernel refuses to wait, the time a publish takes has to do.
    if (performance.now() - this.#exchangedAt < RUN_MS_MAX) binding.waitForPrograms();
    const hasMarks = tables.marks.size > 0;
    const done = this.#banks.bring(tables, before, (bank) =>
      this.#writeControl({ bank, hasMarks, published: true, enabled: this.#enabled }),
    );
    this.#published = true;
    this.#exchangedAt = performance.now();
    return done;
  }

  setEnabled(enabled) {
    requireBoolean(enabled, 'enabled');
    const hasMarks = this.#book.tables.marks.size > 0;
    const bank = this.#banks.inForce;
    this.#writeControl({ bank, hasMarks, published: this.#published, enabled });
    this.#enabled = enabled;
  }

  #writeControl({ bank, hasMarks, published, enabled }) {
    let bits = bank === 1 ? constants.CONTROL_BANK : 0;
    if (published && enabled) bits |= constants.CONTROL_ENABLED;
    if (hasMarks) bits |= constants.CONTROL_HAS_MARKS;
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
