// Endpoints of the steering program: a protocol and a port of an address, told from each other by
// the last four bytes of their keys, as strings of one character per byte.

import { rangeError, requireInteger, requireObject, requireOneOf } from './arguments.js';
import { constants } from './steering-bytecode.js';
import { PORT_MAX } from './steering-ranges.js';

const { LISTED_ENDPOINTS_MAX } = constants;
const PROTOCOL_NUMBERS = { tcp: 6, udp: 17, sctp: 132, ah: 51, esp: 50, any: 0 };
const PROTOCOLS = Object.keys(PROTOCOL_NUMBERS);
export const WITH_PORTS = ['tcp', 'udp', 'sctp'];
export const PROTOCOL_BITS = {
  tcp: constants.PROTOCOL_BIT_TCP,
  udp: constants.PROTOCOL_BIT_UDP,
  sctp: constants.PROTOCOL_BIT_SCTP,
  ah: constants.PROTOCOL_BIT_AH,
  esp: constants.PROTOCOL_BIT_ESP,
};
PROTOCOL_BITS.any = Object.values(PROTOCOL_BITS).reduce((all, bit) => all | bit);
const BITS_BY_NUMBER = new Map(
  PROTOCOLS.map((name) => [PROTOCOL_NUMBERS[name], PROTOCOL_BITS[name]]),
);
const PROTOCOL_IN_SUFFIX = constants['endpoint_key.protocol'] - constants['endpoint_key.port'];

export function requireProtocol(protocol, name) {
  return requireOneOf(protocol, name, PROTOCOLS);
}

/** Most are tcp or udp, and then nothing else has to be looked at. */
export function checkEndpoint(endpoint, name) {
  if (isPlainEndpoint(endpoint)) return;
  requireObject(endpoint, name());
  const { protocol, port } = endpoint;
  requireProtocol(protocol, `${name()}.protocol`);
  requireInteger(port, `${name()}.port`, 0, PORT_MAX);
  if (port !== 0 && !WITH_PORTS.includes(protocol)) {
    throw rangeError(`${name()}.port must be 0: protocol '${protocol}' stands for no ports.`);
  }
}

function isPlainEndpoint(endpoint) {
  const port = endpoint?.port;
  return (
    (endpoint?.protocol === 'tcp' || endpoint?.protocol === 'udp') &&
    Number.isInteger(port) &&
    port >= 0 &&
    port <= PORT_MAX
  );
}

// There are few different ones.
const suffixes = new Map();
const SUFFIXES_MAX = 4096;

/** The last four bytes of an endpoint's key, less the bank. */
export function endpointSuffix({ protocol, port }, ipv6) {
  const number = PROTOCOL_NUMBERS[protocol];
  const index = (port << 9) | (number << 1) | (ipv6 ? 1 : 0);
  const known = suffixes.get(index);
  if (known !== undefined) return known;
  const family = ipv6 ? constants.KEY_IPV6 : 0;
  const suffix = String.fromCharCode(port >> 8, port & 0xff, number, family);
  if (suffixes.size < SUFFIXES_MAX) suffixes.set(index, suffix);
  return suffix;
}

function protocolOf(suffix) {
  return suffix.charCodeAt(PROTOCOL_IN_SUFFIX);
}

/**
 * The services, or the servers, of one address, each once. As long as they are few they are listed
 * in the address's own entry, sorted, so that the same ones are the same bytes however they came.
 */
export class EndpointSet {
  #listed = [];
  // When there are more: all of them, and how many have each protocol.
  #many = null;
  #counts = null;

  get size() {
    return this.#many?.size ?? this.#listed.length;
  }

  get isListed() {
    return this.#many === null;
  }

  /** Only of what isListed. */
  get listed() {
    return this.#listed;
  }

  [Symbol.iterator]() {
    return (this.#many ?? this.#listed)[Symbol.iterator]();
  }

  /** PROTOCOL_BIT_* of all of them. */
  get protocols() {
    const numbers = this.#counts?.keys() ?? this.#listed.map(protocolOf);
    let bits = 0;
    for (const number of numbers) bits |= BITS_BY_NUMBER.get(number);
    return bits;
  }

  /** @returns whether it was not there */
  add(suffix) {
    if (this.#many !== null) return this.#addToMany(suffix);
    if (this.#listed.includes(suffix)) return false;
    this.#listed.push(suffix);
    if (this.#listed.length > LISTED_ENDPOINTS_MAX) this.#listNoMore();
    else if (this.#listed.length > 1) this.#listed.sort();
    return true;
  }

  #listNoMore() {
    this.#many = new Set();
    this.#counts = new Map();
    for (const suffix of this.#listed) this.#addToMany(suffix);
    this.#listed = [];
  }

  #addToMany(suffix) {
    if (this.#many.has(suffix)) return false;
    this.#many.add(suffix);
    this.#count(suffix, 1);
    return true;
  }

  /** @returns whether it was there */
  delete(suffix) {
    if (this.#many !== null) return this.#deleteFromMany(suffix);
    const index = this.#listed.indexOf(suffix);
    if (index >= 0) this.#listed.splice(index, 1);
    return index >= 0;
  }

  #deleteFromMany(suffix) {
    if (!this.#many.delete(suffix)) return false;
    this.#count(suffix, -1);
    if (this.#many.size > LISTED_ENDPOINTS_MAX) return true;
    this.#listed = [...this.#many].sort();
    this.#many = null;
    this.#counts = null;
    return true;
  }

  #count(suffix, step) {
    const number = protocolOf(suffix);
    const count = (this.#counts.get(number) ?? 0) + step;
    if (count === 0) this.#counts.delete(number);
    else this.#counts.set(number, count);
  }
}
