// BPF maps, XDP programs and links.

import { readFileSync } from 'node:fs';
import { endianness } from 'node:os';
import {
  rangeError,
  requireBytes,
  requireBytesOfLength,
  requireInteger,
  requireObject,
  requireOneOf,
  requireString,
} from './arguments.js';
import { binding } from './binding.js';
import { OwnedDescriptor } from './descriptor.js';
import { check, errorCode, missingCapabilities, systemError } from './errors.js';
import { describeXdpProgram } from './holder.js';
import { interfaceInfo, requireInterface } from './interface.js';

const MAP_TYPES = {
  hash: 1,
  array: 2,
  'percpu-hash': 5,
  'percpu-array': 6,
  'lru-hash': 9,
  'lpm-trie': 11,
  xskmap: 17,
};
const BPF_F_NO_PREALLOC = 1;
const BPF_ANY = 0;
const MAP_NAME_LENGTH_MAX = 15;
const KEY_LENGTH_MAX = 512;
const VALUE_LENGTH_MAX = 1024 * 1024;
const ENTRIES_MAX = 0x7fffffff;
const FLAGS_MAX = 0xffffffff;
const PERCPU_VALUE_ALIGNMENT = 8;
// Elements one batch call handles; bounds how long the kernel is busy with one call.
const BATCH_MAX = 16384;

const INSTRUCTION_LENGTH = 8;
// ld_imm64: the opcode, and in the second byte's upper half the kind of constant.
const OPCODE_LOAD_64 = 0x18;
const PSEUDO_MAP_FD = 1;
const VERIFIER_LOG_LENGTH = 4 * 1024 * 1024;
const VERIFIER_LOG_SHOWN_LINES = 12;

const ATTACH_XDP = 37;
/** BPF links demand that the attach point of an XDP program was named when it was loaded. */
const XDP_PROGRAM = { type: 6, attachType: ATTACH_XDP };

const XDP_FLAGS_SKB_MODE = 2;
const XDP_FLAGS_DRV_MODE = 4;
const MODES = ['auto', 'native', 'generic'];

const FRAME_LENGTH_MIN = 14;
const FRAME_LENGTH_MAX = 3520;
const REPEAT_MAX = 0x7fffffff;
// A program may grow a frame by at most the kernel's headroom.
const TEST_OUTPUT_SLACK = 512;

const ERRNO_ENOENT = 2;
const ERRNO_EBUSY = 16;
const ERRNO_EEXIST = 17;

const INTERNAL = Symbol('internal');

function requireInternal(key, hint) {
  if (key !== INTERNAL) throw new TypeError(`Use ${hint} to make one of these.`);
}

/** CPUs that could be plugged in: what per-CPU values are sized by. */
function possibleCpus() {
  const ranges = readFileSync('/sys/devices/system/cpu/possible', 'utf8').trim();
  const last = ranges.split(',').at(-1).split('-').at(-1);
  return Number(last) + 1;
}

function explainMap(code, name) {
  if (code === 'EPERM') return missingCapabilities('CAP_BPF', 'CAP_NET_ADMIN');
  if (code === 'E2BIG') return `The map ${name} is full.`;
  if (code === 'ENOMEM') return `The kernel has no memory for the map ${name}.`;
  return '';
}

function lookupLength({ type, valueLength }) {
  if (!type.startsWith('percpu-')) return valueLength;
  const aligned = Math.ceil(valueLength / PERCPU_VALUE_ALIGNMENT) * PERCPU_VALUE_ALIGNMENT;
  return aligned * possibleCpus();
}

function requireMapOptions(options) {
  requireObject(options, 'options');
  const { type, name = '', keyLength, valueLength, maxEntries, flags = 0 } = options;
  requireOneOf(type, 'type', Object.keys(MAP_TYPES));
  requireString(name, 'name');
  if (name.length > MAP_NAME_LENGTH_MAX || !/^[\w.]*$/.test(name)) {
    throw rangeError(
      `name must be at most ${MAP_NAME_LENGTH_MAX} of [A-Za-z0-9_.], not '${name}'.`,
    );
  }
  requireInteger(keyLength, 'keyLength', 1, KEY_LENGTH_MAX);
  requireInteger(valueLength, 'valueLength', 1, VALUE_LENGTH_MAX);
  requireInteger(maxEntries, 'maxEntries', 1, ENTRIES_MAX);
  requireInteger(flags, 'flags', 0, FLAGS_MAX);
  return { type, name, keyLength, valueLength, maxEntries, flags };
}

export class BpfMap {
  #descriptor;
  #options;
  #lookupLength;
  // Batch calls are not there for every map type on every kernel; found out at the first use.
  #hasBatches = true;

  static create(options) {
    return new BpfMap(INTERNAL, requireMapOptions(options));
  }

  constructor(key, options) {
    requireInternal(key, 'BpfMap.create()');
    this.#options = options;
    this.#lookupLength = lookupLength(options);
    const { type, name, keyLength, valueLength, maxEntries } = options;
    const flags = type === 'lpm-trie' ? options.flags | BPF_F_NO_PREALLOC : options.flags;
    const fd = binding.mapCreate(MAP_TYPES[type], name, keyLength, valueLength, maxEntries, flags);
    this.#descriptor = new OwnedDescriptor(
      check(fd, 'bpf(BPF_MAP_CREATE)', (code) => explainMap(code, name)),
    );
  }

  get fd() {
    return this.#descriptor.fd;
  }
  get type() {
    return this.#options.type;
  }
  get keyLength() {
    return this.#options.keyLength;
  }
  get valueLength() {
    return this.#options.valueLength;
  }
  get lookupLength() {
    return this.#lookupLength;
  }
  get maxEntries() {
    return this.#options.maxEntries;
  }

  #check(result, command) {
    return check(result, `bpf(${command})`, (code) => explainMap(code, this.#options.name));
  }

  lookup(key) {
    requireBytesOfLength(key, 'key', this.keyLength);
    const value = new Uint8Array(this.#lookupLength);
    const result = binding.mapLookup(this.fd, key, value);
    if (result === -ERRNO_ENOENT) return null;
    this.#check(result, 'BPF_MAP_LOOKUP_ELEM');
    return value;
  }

  update(key, value) {
    requireBytesOfLength(key, 'key', this.keyLength);
    // A per-CPU map is written for all CPUs at once.
    requireBytesOfLength(value, 'value', this.#lookupLength);
    this.#check(binding.mapUpdate(this.fd, key, value, BPF_ANY), 'BPF_MAP_UPDATE_ELEM');
  }

  delete(key) {
    requireBytesOfLength(key, 'key', this.keyLength);
    const result = binding.mapDelete(this.fd, key);
    if (result === -ERRNO_ENOENT) return false;
    this.#check(result, 'BPF_MAP_DELETE_ELEM');
    return true;
  }

  updateBatch(keys, values, count) {
    requireInteger(count, 'count', 0, ENTRIES_MAX);
    requireBytesOfLength(keys, 'keys', count * this.keyLength);
    requireBytesOfLength(values, 'values', count * this.#lookupLength);
    for (let done = 0; done < count; ) {
      const step = Math.min(count - done, BATCH_MAX);
      const stepKeys = this.#slice(keys, this.keyLength, done, step);
      const stepValues = this.#slice(values, this.#lookupLength, done, step);
      if (!this.#hasBatches) {
        this.update(
          stepKeys.subarray(0, this.keyLength),
          stepValues.subarray(0, this.#lookupLength),
        );
        done += 1;
        continue;
      }
      const counter = Int32Array.of(step);
      const result = binding.mapUpdateBatch(this.fd, stepKeys, stepValues, counter);
      if (this.#lacksBatches(result)) continue;
      this.#check(result, 'BPF_MAP_UPDATE_BATCH');
      done += counter[0];
    }
  }

  deleteBatch(keys, count) {
    requireInteger(count, 'count', 0, ENTRIES_MAX);
    requireBytesOfLength(keys, 'keys', count * this.keyLength);
    let deleted = 0;
    for (let done = 0; done < count; ) {
      const step = Math.min(count - done, BATCH_MAX);
      const stepKeys = this.#slice(keys, this.keyLength, done, step);
      if (!this.#hasBatches) {
        deleted += this.delete(stepKeys.subarray(0, this.keyLength)) ? 1 : 0;
        done += 1;
        continue;
      }
      const counter = Int32Array.of(step);
      const result = binding.mapDeleteBatch(this.fd, stepKeys, counter);
      if (this.#lacksBatches(result)) continue;
      // The kernel stops at a key that is not there: step over it.
      const missing = result === -ERRNO_ENOENT ? 1 : 0;
      if (missing === 0) this.#check(result, 'BPF_MAP_DELETE_BATCH');
      deleted += counter[0];
      done += counter[0] + missing;
    }
    return deleted;
  }

  #slice(bytes, length, start, count) {
    return bytes.subarray(start * length, (start + count) * length);
  }

  #lacksBatches(result) {
    if (typeof result !== 'number' || result >= 0) return false;
    if (errorCode(result) === 'EOPNOTSUPP') this.#hasBatches = false;
    return !this.#hasBatches;
  }

  *keys() {
    let previous = null;
    for (;;) {
      const next = new Uint8Array(this.keyLength);
      const result = binding.mapNextKey(this.fd, previous, next);
      if (result === -ERRNO_ENOENT) return;
      this.#check(result, 'BPF_MAP_GET_NEXT_KEY');
      yield next.slice();
      previous = next;
    }
  }

  close() {
    this.#descriptor.close();
  }
}

/** Instructions with the descriptors of these maps in place. */
function relocate(bytecode, maps) {
  const instructions = Uint8Array.from(Buffer.from(bytecode.instructions, 'base64'));
  const view = new DataView(instructions.buffer);
  for (const { instruction, map } of bytecode.relocations) {
    const offset = instruction * INSTRUCTION_LENGTH;
    if (maps[map] === undefined || instructions[offset] !== OPCODE_LOAD_64) {
      throw rangeError(`The bytecode's relocation of instruction ${instruction} makes no sense.`);
    }
    instructions[offset + 1] = (instructions[offset + 1] & 0x0f) | (PSEUDO_MAP_FD << 4);
    view.setInt32(offset + 4, maps[map].fd, true);
  }
  return instructions;
}

function textUpToZero(bytes) {
  const end = bytes.indexOf(0);
  return Buffer.from(bytes.subarray(0, end < 0 ? bytes.length : end)).toString('utf8');
}

/**
 * Gives a program to the verifier. Without a log first: writing one makes loading several times
 * slower.
 * @param {{type: number, attachType: number}} kind of enum bpf_prog_type and bpf_attach_type
 * @returns {number} its descriptor
 */
export function loadProgram(kind, bytecode, maps) {
  const { name, license } = bytecode;
  const instructions = relocate(bytecode, maps);
  const load = (log) =>
    binding.programLoad(kind.type, kind.attachType, name, license, instructions, log);
  const fd = load(new Uint8Array(0));
  if (fd >= 0) return fd;
  if (errorCode(fd) === 'EPERM') {
    const sentence = missingCapabilities('CAP_BPF', 'CAP_NET_ADMIN');
    throw systemError(fd, 'bpf(BPF_PROG_LOAD)', sentence);
  }
  const log = new Uint8Array(VERIFIER_LOG_LENGTH);
  const again = load(log);
  if (again >= 0) return again;
  const text = textUpToZero(log);
  const tail = text.trimEnd().split('\n').slice(-VERIFIER_LOG_SHOWN_LINES).join('\n');
  // Without CAP_PERFMON it refuses what it takes from others.
  const missing = missingCapabilities('CAP_PERFMON');
  const hint = missing.startsWith('CAP_PERFMON') ? ` ${missing}` : '';
  const sentence = tail === '' ? '' : `The kernel's verifier refused the program:\n${tail}${hint}`;
  throw Object.assign(systemError(again, 'bpf(BPF_PROG_LOAD)', sentence), { verifierLog: text });
}

/** Creates the maps of a bytecode, by name. */
export function createMaps(definitions, maxEntries) {
  const maps = {};
  try {
    for (const map of definitions) {
      maps[map.name] = BpfMap.create({
        ...map,
        name: map.name.slice(0, MAP_NAME_LENGTH_MAX),
        maxEntries: maxEntries[map.name] ?? map.maxEntries,
      });
    }
  } catch (error) {
    closeAll(maps);
    throw error;
  }
  return maps;
}

/** Closes everything an object or array holds. */
export function closeAll(maps) {
  for (const map of Object.values(maps)) map.close();
}

/** Bytecode is written for little-endian machines. */
export function requireLittleEndian() {
  if (endianness() !== 'LE') {
    throw new Error('The bytecode is for little-endian machines only; run make bytecode here.');
  }
}

function requireBytecode(bytecode) {
  requireObject(bytecode, 'bytecode');
  requireString(bytecode.name, 'bytecode.name');
  requireString(bytecode.license, 'bytecode.license');
  requireString(bytecode.instructions, 'bytecode.instructions');
  requireObject(bytecode.maps, 'bytecode.maps');
  requireObject(bytecode.relocations, 'bytecode.relocations');
  requireLittleEndian();
}

/** Runs a frame through a program by BPF_PROG_TEST_RUN. */
export function testRunProgram(fd, frame, { repeat = 1 } = {}) {
  requireBytes(frame, 'frame');
  if (frame.length < FRAME_LENGTH_MIN || frame.length > FRAME_LENGTH_MAX) {
    throw rangeError(`frame must be ${FRAME_LENGTH_MIN} to ${FRAME_LENGTH_MAX} bytes long.`);
  }
  requireInteger(repeat, 'repeat', 1, REPEAT_MAX);
  const output = new Uint8Array(frame.length + TEST_OUTPUT_SLACK);
  const out = new Int32Array(3);
  const result = binding.programTestRun(fd, frame, output, repeat, out);
  check(result, 'bpf(BPF_PROG_TEST_RUN)');
  const [verdict, durationNs, length] = out;
  return { verdict, frame: output.slice(0, length), durationNs };
}

export class XdpProgram {
  #descriptor;
  #maps;

  static load(bytecode, options = {}) {
    requireBytecode(bytecode);
    requireObject(options, 'options');
    const maps = createMaps(bytecode.maps, options.maxEntries ?? {});
    try {
      const fd = loadProgram(XDP_PROGRAM, bytecode, maps);
      return new XdpProgram(INTERNAL, fd, maps);
    } catch (error) {
      closeAll(maps);
      throw error;
    }
  }

  constructor(key, fd, maps) {
    requireInternal(key, 'XdpProgram.load()');
    this.#descriptor = new OwnedDescriptor(fd);
    this.#maps = Object.freeze(maps);
  }

  get fd() {
    return this.#descriptor.fd;
  }
  get maps() {
    return this.#maps;
  }

  attach(interfaceNameOrIndex, mode = 'auto') {
    requireInterface(interfaceNameOrIndex);
    requireOneOf(mode, 'mode', MODES);
    return attach(this.fd, interfaceInfo(interfaceNameOrIndex), mode);
  }

  testRun(frame, options) {
    return testRunProgram(this.fd, frame, options);
  }

  close() {
    this.#descriptor.close();
    closeAll(this.#maps);
  }
}

export class XdpLink {
  #descriptor;
  #details;

  constructor(key, fd, details) {
    requireInternal(key, 'attach()');
    this.#descriptor = new OwnedDescriptor(fd);
    this.#details = details;
  }

  get fd() {
    return this.#descriptor.fd;
  }
  get interfaceIndex() {
    return this.#details.interfaceIndex;
  }
  get mode() {
    return this.#details.mode;
  }
  get nativeRefusal() {
    return this.#details.nativeRefusal;
  }

  close() {
    this.#descriptor.close();
  }
}

function explainAttach(code, link, mode) {
  if (code === 'EPERM') return missingCapabilities('CAP_BPF', 'CAP_NET_ADMIN');
  if (code === 'EBUSY') return describeXdpProgram(link.index);
  if (code === 'EOPNOTSUPP') {
    const driver = `The driver of ${link.name} (${link.kind ?? 'a device'})`;
    return `${driver} has no ${mode} XDP; use mode 'auto' or 'generic'.`;
  }
  if (code === 'ERANGE') {
    const mtu = `The MTU of ${link.name} (${link.mtu}) or of its peer`;
    return `${mtu} is too large for native XDP: a frame must fit one page.`;
  }
  if (code === 'ENOSPC') {
    return `${link.name} has fewer receive queues than its peer has transmit queues; add queues.`;
  }
  if (code === 'EINVAL') {
    const reasons = `its MTU (${link.mtu}), receive offloads or queue count`;
    return `The driver of ${link.name} refused, often because of ${reasons}; see the kernel log.`;
  }
  if (code === 'ENODEV') return `${link.name} went away.`;
  return '';
}

function attachIn(programFd, link, mode) {
  const flags = mode === 'native' ? XDP_FLAGS_DRV_MODE : XDP_FLAGS_SKB_MODE;
  let result = binding.linkCreate(programFd, link.index, ATTACH_XDP, flags);
  // The kernel says EEXIST when the program in the way sits in the other mode, EBUSY when in the
  // same; for the caller it is one thing.
  if (result === -ERRNO_EEXIST) result = -ERRNO_EBUSY;
  return check(result, `bpf(BPF_LINK_CREATE, ${mode} XDP)`, (code) =>
    explainAttach(code, link, mode),
  );
}

// Failures that generic mode would meet as well.
const NOT_ABOUT_THE_DRIVER = ['EPERM', 'EBUSY', 'ENODEV', 'EBADF', 'ENOMEM'];

function attach(programFd, link, mode) {
  const make = (used, nativeRefusal) =>
    new XdpLink(INTERNAL, attachIn(programFd, link, used), {
      interfaceIndex: link.index,
      mode: used,
      nativeRefusal,
    });
  if (mode !== 'auto') return make(mode, null);
  try {
    return make('native', null);
  } catch (error) {
    if (NOT_ABOUT_THE_DRIVER.includes(error.code)) throw error;
    return make('generic', error);
  }
}
