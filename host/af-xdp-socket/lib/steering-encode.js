// A published configuration, as the entries of the steering program's maps. Pure: no system calls.
//
// Keys and values are kept as strings of one character per byte, because strings are what a Map
// compares by content, and comparing is how publish() finds what it has to write.

import {
  ADDRESS_LENGTH,
  IPV4_LENGTH,
  maskTo,
  parseAddress,
  parseIpv4,
  parsePrefix,
} from './address.js';
import { rangeError, requireInteger, requireObject, requireOneOf, typeError } from './arguments.js';
import {
  constants,
  mapDefinitions,
  STEERING_FULL_NAT_RANGES_MAX,
  STEERING_MARK_RULES_MAX,
} from './steering-bytecode.js';

const PORT_MAX = 65535;
const PROTOCOL_NUMBERS = { tcp: 6, udp: 17, sctp: 132, ah: 51, esp: 50, any: 0 };
const PROTOCOL_BITS = {
  tcp: constants.PROTOCOL_BIT_TCP,
  udp: constants.PROTOCOL_BIT_UDP,
  sctp: constants.PROTOCOL_BIT_SCTP,
  ah: constants.PROTOCOL_BIT_AH,
  esp: constants.PROTOCOL_BIT_ESP,
};
PROTOCOL_BITS.any = Object.values(PROTOCOL_BITS).reduce((all, bit) => all | bit);
const PROTOCOLS = Object.keys(PROTOCOL_NUMBERS);
const WITH_PORTS = ['tcp', 'udp', 'sctp'];
const EVERY_PORT = [0, PORT_MAX];

/** Where the bank is in each table's key, for whoever turns these entries into a bank's. */
export const BANK_OFFSETS = {
  services: constants['endpoint_key.bank_and_family'],
  real_servers: constants['endpoint_key.bank_and_family'],
  addresses: constants['address_key.bank_and_family'],
  marks: constants['prefix_key.bank_and_family'],
};
export const TABLE_NAMES = Object.keys(BANK_OFFSETS);

const ADDRESS_SUFFIX_IPV4 = '\0\0\0\0';
const ADDRESS_SUFFIX_IPV6 = String.fromCharCode(constants.KEY_IPV6, 0, 0, 0);
const { ENDPOINTS_IN_TABLE, LISTED_ENDPOINTS_MAX } = constants;
const PRESENT = '\0'.repeat(mapDefinitions.services.valueLength);

function family(ipv6) {
  return ipv6 ? constants.KEY_IPV6 : 0;
}

function requireProtocol(protocol, name) {
  return requireOneOf(protocol, name, PROTOCOLS);
}

// Port and protocol, which a listed endpoint has as well; the family follows them in a key.
const ENDPOINT_BYTES = 3;

// The last four bytes of an endpoint's key. There are few different ones.
const endpointSuffixes = new Map();
const ENDPOINT_SUFFIXES_MAX = 4096;

function endpointSuffix(protocol, port, ipv6) {
  const number = PROTOCOL_NUMBERS[protocol];
  const index = (port << 9) | (number << 1) | (ipv6 ? 1 : 0);
  const known = endpointSuffixes.get(index);
  if (known !== undefined) return known;
  const suffix = String.fromCharCode(port >> 8, port & 0xff, number, family(ipv6));
  if (endpointSuffixes.size < ENDPOINT_SUFFIXES_MAX) endpointSuffixes.set(index, suffix);
  return suffix;
}

function requireEndpoint(endpoint, name) {
  requireObject(endpoint, name);
  const { protocol, port } = endpoint;
  requireProtocol(protocol, `${name}.protocol`);
  requireInteger(port, `${name}.port`, 0, PORT_MAX);
  if (port !== 0 && !WITH_PORTS.includes(protocol)) {
    throw rangeError(`${name}.port must be 0: protocol '${protocol}' stands for no ports.`);
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

function requireRange(range, name) {
  if (!Array.isArray(range) || range.length !== 2) throw typeError(name, '[first, last]', range);
  const [first, last] = range;
  requireInteger(first, `${name}[0]`, 0, PORT_MAX);
  requireInteger(last, `${name}[1]`, 0, PORT_MAX);
  if (first > last)
    throw rangeError(`${name} must not end before it starts (${first} to ${last}).`);
}

function requireList(list, name) {
  if (list === undefined) return [];
  if (!Array.isArray(list)) throw typeError(name, 'an array', list);
  return list;
}

/** Everything known about one address. */
function makeAddress(text, ipv6) {
  return {
    text,
    ipv6,
    flags: 0,
    serviceProtocols: 0,
    serverProtocols: 0,
    // Last bytes of the endpoints' keys; of one more than can be listed, when they are too many.
    services: [],
    servers: [],
    guePort: 0,
    ranges: null,
  };
}

/**
 * Collects what each address is. Written for a hundred thousand of them: an IPv4 address as text,
 * which has one spelling, is looked up before it is parsed, and names for errors are functions.
 */
class AddressBook {
  #bySpelling = new Map();
  #byBytes = new Map();
  #scratch = Buffer.alloc(mapDefinitions.addresses.keyLength);

  at(address, name) {
    const known = this.#bySpelling.get(address);
    if (known !== undefined) return known;
    if (typeof address === 'string' && parseIpv4(address, this.#scratch, 0)) {
      const made = this.#withBytes(this.#ipv4Text(), false);
      this.#bySpelling.set(address, made);
      return made;
    }
    const { bytes, ipv6 } = parseAddress(address, name);
    return this.#withBytes(Buffer.from(bytes).latin1Slice(), ipv6);
  }

  #ipv4Text() {
    this.#scratch.fill(0, IPV4_LENGTH);
    return this.#scratch.latin1Slice(0, ADDRESS_LENGTH);
  }

  #withBytes(text, ipv6) {
    const key = text + (ipv6 ? ADDRESS_SUFFIX_IPV6 : ADDRESS_SUFFIX_IPV4);
    let found = this.#byBytes.get(key);
    if (found === undefined) {
      found = makeAddress(text, ipv6);
      this.#byBytes.set(key, found);
    }
    return found;
  }

  // Most addresses are one of a few kinds, so most values are made once.
  encode() {
    const table = new Map();
    const plain = new Map();
    for (const [key, entry] of this.#byBytes) {
      const { flags, serviceProtocols, serverProtocols, services, servers } = entry;
      if (entry.ranges !== null || entry.guePort !== 0) {
        table.set(key, encodeAddress(entry));
        continue;
      }
      const bits = String.fromCharCode(flags, serviceProtocols, serverProtocols);
      const kind = `${bits}${listText(services)}/${listText(servers)}`;
      let value = plain.get(kind);
      if (value === undefined) {
        value = encodeAddress(entry);
        plain.set(kind, value);
      }
      table.set(key, value);
    }
    return table;
  }
}

const isListed = (endpoints) => endpoints.length <= LISTED_ENDPOINTS_MAX;

function listText(endpoints) {
  return isListed(endpoints) ? endpoints.join('') : 'in the table';
}

function encodeAddress(entry) {
  const value = Buffer.alloc(mapDefinitions.addresses.valueLength);
  value[constants['address_value.flags']] = entry.flags;
  value[constants['address_value.service_protocols']] = entry.serviceProtocols;
  value[constants['address_value.server_protocols']] = entry.serverProtocols;
  value.writeUInt16BE(entry.guePort, constants['address_value.gue_port']);
  writeEndpoints(value, 'services', entry.services);
  writeEndpoints(value, 'servers', entry.servers);
  if (entry.ranges !== null) {
    value[constants['address_value.range_count']] = entry.ranges.length;
    for (const [index, range] of entry.ranges.entries()) {
      const at = constants['address_value.ranges'] + index * constants.port_range;
      writeRange(value, at, range);
    }
  }
  return value.latin1Slice();
}

function writeEndpoints(value, field, endpoints) {
  const count = isListed(endpoints) ? endpoints.length : ENDPOINTS_IN_TABLE;
  value[constants[`address_value.${field}_count`]] = count;
  if (!isListed(endpoints)) return;
  for (const [index, suffix] of endpoints.entries()) {
    const at = constants[`address_value.${field}`] + index * constants.endpoint;
    value.latin1Write(suffix, at, ENDPOINT_BYTES);
  }
}

// Host order, which is little-endian wherever the bytecode runs.
function writeRange(value, at, [first, last]) {
  value.writeUInt16LE(first, at);
  value.writeUInt16LE(last, at + 2);
}

/** Notes each endpoint at its address. @returns the table of those of addresses that have many */
function encodeEndpoints(list, name, { book, protocols, endpoints }) {
  const table = new Map();
  for (const [index, endpoint] of requireList(list, name).entries()) {
    if (!isPlainEndpoint(endpoint)) requireEndpoint(endpoint, `${name}[${index}]`);
    const { protocol, port } = endpoint;
    const address = book.at(endpoint.address, () => `${name}[${index}].address`);
    address[protocols] |= PROTOCOL_BITS[protocol];
    addEndpoint(table, address, address[endpoints], endpointSuffix(protocol, port, address.ipv6));
  }
  return table;
}

function addEndpoint(table, address, listed, suffix) {
  if (!isListed(listed)) {
    table.set(address.text + suffix, PRESENT);
    return;
  }
  if (listed.includes(suffix)) return;
  listed.push(suffix);
  if (isListed(listed)) return;
  for (const each of listed) table.set(address.text + each, PRESENT);
}

/** Sorts, and joins what touches. */
function joinRanges(ranges) {
  const joined = [];
  for (const [first, last] of [...ranges].sort((one, other) => one[0] - other[0])) {
    const previous = joined.at(-1);
    if (previous !== undefined && first <= previous[1] + 1) {
      previous[1] = Math.max(previous[1], last);
    } else {
      joined.push([first, last]);
    }
  }
  return joined;
}

function addFullNat(list, book) {
  for (const [index, item] of requireList(list, 'fullNat').entries()) {
    const name = `fullNat[${index}]`;
    requireObject(item, name);
    const ranges = requireList(item.ports, `${name}.ports`);
    for (const [number, range] of ranges.entries()) requireRange(range, `${name}.ports[${number}]`);
    const entry = book.at(item.address, () => `${name}.address`);
    entry.flags |= constants.ADDRESS_FULL_NAT;
    entry.ranges = joinRanges([...(entry.ranges ?? []), ...ranges]);
    if (entry.ranges.length > STEERING_FULL_NAT_RANGES_MAX) {
      throw rangeError(
        `${name}.ports: an address can have at most ${STEERING_FULL_NAT_RANGES_MAX} port ranges.`,
      );
    }
  }
}

function addTunnels(list, book) {
  for (const [index, item] of requireList(list, 'tunnels').entries()) {
    const name = `tunnels[${index}]`;
    requireObject(item, name);
    const { guePort = 0 } = item;
    requireInteger(guePort, `${name}.guePort`, 0, PORT_MAX);
    const entry = book.at(item.address, () => `${name}.address`);
    if (guePort !== 0 && entry.guePort !== 0 && guePort !== entry.guePort) {
      throw rangeError(`${name}.guePort: one address can have one GUE port only.`);
    }
    entry.flags |= constants.ADDRESS_TUNNEL;
    if (guePort !== 0) entry.guePort = guePort;
  }
}

function addLocalAddresses(list, book) {
  for (const [index, address] of requireList(list, 'localAddresses').entries()) {
    book.at(address, () => `localAddresses[${index}]`).flags |= constants.ADDRESS_LOCAL;
  }
}

// --- firewall marks ---

function readMark(mark, name) {
  requireObject(mark, name);
  requireProtocol(mark.protocol, `${name}.protocol`);
  const prefix = parsePrefix(mark.destination, () => `${name}.destination`);
  const ports = mark.ports === undefined ? [EVERY_PORT] : requireList(mark.ports, `${name}.ports`);
  if (mark.ports !== undefined && !WITH_PORTS.includes(mark.protocol)) {
    throw rangeError(`${name}.ports: protocol '${mark.protocol}' stands for no ports.`);
  }
  for (const [number, range] of ports.entries()) requireRange(range, `${name}.ports[${number}]`);
  return { prefix, protocols: PROTOCOL_BITS[mark.protocol], ports: joinRanges(ports) };
}

function prefixText(bytes, ipv6, length) {
  return `${ipv6 ? 6 : 4}/${length}/${Buffer.from(bytes).toString('latin1')}`;
}

function addRule(rules, protocols, ports) {
  const same = rules.find(({ ports: [first, last] }) => first === ports[0] && last === ports[1]);
  if (same === undefined) rules.push({ protocols, ports });
  else same.protocols |= protocols;
}

function collectMarks(list) {
  const prefixes = new Map();
  for (const [index, mark] of requireList(list, 'marks').entries()) {
    const { prefix, protocols, ports } = readMark(mark, `marks[${index}]`);
    const text = prefixText(prefix.bytes, prefix.ipv6, prefix.length);
    if (!prefixes.has(text)) prefixes.set(text, { ...prefix, rules: [] });
    for (const range of ports) addRule(prefixes.get(text).rules, protocols, range);
  }
  return prefixes;
}

// The trie answers with the longest prefix only, so that one has to know all that covers it.
function rulesWithCovering(prefix, prefixes, lengths) {
  const rules = [];
  for (const length of lengths) {
    if (length > prefix.length) continue;
    const bytes = maskTo(Uint8Array.from(prefix.bytes), length);
    const covering = prefixes.get(prefixText(bytes, prefix.ipv6, length));
    for (const rule of covering?.rules ?? []) addRule(rules, rule.protocols, rule.ports);
  }
  return rules;
}

function encodePrefixKey({ bytes, ipv6, length }) {
  const key = Buffer.alloc(mapDefinitions.marks.keyLength);
  key.writeUInt32LE(constants.PREFIX_BITS_BEFORE_ADDRESS + length, 0);
  key[constants['prefix_key.bank_and_family']] = family(ipv6);
  key.set(bytes, constants['prefix_key.address']);
  return key.toString('latin1');
}

function encodeRules(rules) {
  const value = Buffer.alloc(mapDefinitions.marks.valueLength);
  value[constants['prefix_value.rule_count']] = rules.length;
  for (const [index, { protocols, ports }] of rules.entries()) {
    const at = constants['prefix_value.rules'] + index * constants.mark_rule;
    value[at + constants['mark_rule.protocols']] = protocols;
    writeRange(value, at + constants['mark_rule.ports'], ports);
  }
  return value.toString('latin1');
}

function encodeMarks(list) {
  const prefixes = collectMarks(list);
  const lengths = [...new Set([...prefixes.values()].map(({ length }) => length))].sort(
    (one, other) => one - other,
  );
  const table = new Map();
  for (const prefix of prefixes.values()) {
    const rules = rulesWithCovering(prefix, prefixes, lengths);
    if (rules.length > STEERING_MARK_RULES_MAX) {
      throw rangeError(
        `marks: a destination can have at most ${STEERING_MARK_RULES_MAX} different port ranges, ` +
          `those of prefixes around it included; one has ${rules.length}.`,
      );
    }
    table.set(encodePrefixKey(prefix), encodeRules(rules));
  }
  return table;
}

/** @returns {Record<string, Map<string, string>>} by table name: key without bank, to value */
export function encodeTables(tables) {
  requireObject(tables, 'tables');
  const book = new AddressBook();
  const services = encodeEndpoints(tables.services, 'services', {
    book,
    protocols: 'serviceProtocols',
    endpoints: 'services',
  });
  const realServers = encodeEndpoints(tables.realServers, 'realServers', {
    book,
    protocols: 'serverProtocols',
    endpoints: 'servers',
  });
  addLocalAddresses(tables.localAddresses, book);
  addFullNat(tables.fullNat, book);
  addTunnels(tables.tunnels, book);
  return {
    services,
    real_servers: realServers,
    addresses: book.encode(),
    marks: encodeMarks(tables.marks),
  };
}
