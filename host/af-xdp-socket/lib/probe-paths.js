// Ways for probes: to a virtual address through one server, and back. Two programs, on egress and
// ingress of the interfaces towards the servers, share two maps; see bpf/probe-path.bpf.c.

import { readFileSync } from 'node:fs';
import { parseAddress } from './address.js';
import { rangeError, requireInteger, requireObject, requireOneOf } from './arguments.js';
import { binding } from './binding.js';
import { closeAll, createMaps, loadProgram, requireLittleEndian, testRunProgram } from './bpf.js';
import { OwnedDescriptor } from './descriptor.js';
import { check, missingCapabilities } from './errors.js';
import { interfaceInfo } from './interface.js';
import { PORT_MAX } from './steering-ranges.js';

const bytecode = JSON.parse(
  readFileSync(new URL('../bpf/probe-path.bytecode.json', import.meta.url), 'utf8'),
);
const { constants } = bytecode;
const [{ keyLength, valueLength }] = bytecode.maps;

/** BPF_PROG_TYPE_SCHED_CLS; its attach point is named by the link alone. */
const TC_PROGRAM = { type: 3, attachType: 0 };
/** BPF_TCX_INGRESS and BPF_TCX_EGRESS. */
const ATTACH_TYPES = { ingress: 46, egress: 47 };
const DIRECTIONS = Object.keys(ATTACH_TYPES);

const CAPACITY_DEFAULT = 65_536;
const CAPACITY_MAX = 16 * 1024 * 1024;
const PROTOCOLS = { tcp: constants.PROTOCOL_TCP, udp: constants.PROTOCOL_UDP };
const TUNNELS = {
  ipip: constants.WAY_IPIP,
  gre: constants.WAY_GRE,
  gue: constants.WAY_GUE,
};

const INTERNAL = Symbol('internal');

function requirePort(port, name) {
  return requireInteger(port, name, 1, PORT_MAX);
}

function requirePath(path) {
  requireObject(path, 'path');
  const { protocol, localPort, port, tunnel, guePort = 0 } = path;
  requireOneOf(protocol, 'path.protocol', Object.keys(PROTOCOLS));
  requirePort(localPort, 'path.localPort');
  requirePort(port, 'path.port');
  if (tunnel !== undefined) requireOneOf(tunnel, 'path.tunnel', Object.keys(TUNNELS));
  if (tunnel === 'gue') requirePort(guePort, 'path.guePort');
  const server = parseAddress(path.server, () => 'path.server');
  const virtual = parseAddress(path.virtualAddress, () => 'path.virtualAddress');
  if (server.ipv6 !== virtual.ipv6) {
    throw rangeError('path.server and path.virtualAddress must be of the same IP version.');
  }
  return { protocol, localPort, port, tunnel, guePort, server, virtual };
}

function encodeKey(remote, { protocol, localPort, port }) {
  const key = new Uint8Array(keyLength);
  const view = new DataView(key.buffer);
  key.set(remote.bytes);
  view.setUint16(constants['path_key.remote_port'], port);
  view.setUint16(constants['path_key.local_port'], localPort);
  key[constants['path_key.protocol']] = PROTOCOLS[protocol];
  key[constants['path_key.is_ipv6']] = remote.ipv6 ? 1 : 0;
  return key;
}

function encodeValue(address, { tunnel, guePort }) {
  const value = new Uint8Array(valueLength);
  value.set(address.bytes);
  const way = tunnel === undefined ? constants.WAY_DIRECT_ROUTE : TUNNELS[tunnel];
  value[constants['path_value.way']] = way;
  new DataView(value.buffer).setUint16(constants['path_value.gue_port'], guePort);
  return value;
}

function countPackets(map, key) {
  const value = map.lookup(key);
  if (value === null) return 0;
  return Number(new DataView(value.buffer).getBigUint64(constants['path_value.packets'], true));
}

/** One open way. */
export class ProbePath {
  #maps;
  #keys;

  constructor(internal, maps, path) {
    if (internal !== INTERNAL) throw new TypeError('Use ProbePaths.open() to make one of these.');
    this.#maps = maps;
    this.#keys = {
      outgoing: encodeKey(path.server, path),
      incoming: encodeKey(path.virtual, path),
    };
    // The way back first: an answer must not come before it is there.
    const { tunnel } = path;
    maps.incoming.update(this.#keys.incoming, encodeValue(path.server, { tunnel, guePort: 0 }));
    try {
      maps.outgoing.update(this.#keys.outgoing, encodeValue(path.virtual, path));
    } catch (error) {
      maps.incoming.delete(this.#keys.incoming);
      throw error;
    }
  }

  get sent() {
    return countPackets(this.#maps.outgoing, this.#keys.outgoing);
  }
  get answered() {
    return countPackets(this.#maps.incoming, this.#keys.incoming);
  }

  close() {
    for (const [name, key] of Object.entries(this.#keys)) this.#maps[name].delete(key);
  }
}

function explainAttach(code, link) {
  if (code === 'EPERM') return missingCapabilities('CAP_BPF', 'CAP_NET_ADMIN');
  if (code === 'EINVAL' || code === 'EOPNOTSUPP') {
    return 'tcx needs Linux 6.6 or later with CONFIG_NET_XGRESS.';
  }
  if (code === 'ENODEV') return `${link.name} went away.`;
  return '';
}

function attachProgram(fd, link, direction) {
  const result = binding.linkCreate(fd, link.index, ATTACH_TYPES[direction], 0);
  return new OwnedDescriptor(
    check(result, `bpf(BPF_LINK_CREATE, tcx ${direction})`, (code) => explainAttach(code, link)),
  );
}

function loadPrograms(maps) {
  const programs = {};
  try {
    for (const direction of DIRECTIONS) {
      const program = { ...bytecode.programs[direction], license: bytecode.license };
      const fd = loadProgram(TC_PROGRAM, { ...program, name: `probe_${direction}` }, maps);
      programs[direction] = new OwnedDescriptor(fd);
    }
    return programs;
  } catch (error) {
    closeAll(programs);
    throw error;
  }
}

export class ProbePaths {
  #maps;
  #programs;
  // By interface index: the links of both directions.
  #links = new Map();

  static load(options = {}) {
    requireObject(options, 'options');
    const { capacity = CAPACITY_DEFAULT } = options;
    requireInteger(capacity, 'options.capacity', 1, CAPACITY_MAX);
    requireLittleEndian();
    const maps = createMaps(bytecode.maps, { outgoing: capacity, incoming: capacity });
    try {
      return new ProbePaths(INTERNAL, maps, loadPrograms(maps));
    } catch (error) {
      closeAll(maps);
      throw error;
    }
  }

  constructor(internal, maps, programs) {
    if (internal !== INTERNAL) throw new TypeError('Use ProbePaths.load() to make one of these.');
    this.#maps = maps;
    this.#programs = programs;
  }

  attach(interfaceNameOrIndex) {
    const link = interfaceInfo(interfaceNameOrIndex);
    if (this.#links.has(link.index)) return;
    const links = [];
    try {
      for (const direction of DIRECTIONS) {
        links.push(attachProgram(this.#programs[direction].fd, link, direction));
      }
    } catch (error) {
      closeAll(links);
      throw error;
    }
    this.#links.set(link.index, links);
  }

  open(path) {
    return new ProbePath(INTERNAL, this.#maps, requirePath(path));
  }

  testRun(direction, frame) {
    requireOneOf(direction, 'direction', DIRECTIONS);
    return testRunProgram(this.#programs[direction].fd, frame);
  }

  close() {
    for (const links of this.#links.values()) closeAll(links);
    this.#links.clear();
    closeAll(this.#programs);
    closeAll(this.#maps);
  }
}
