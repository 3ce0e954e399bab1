// What an address is to the steering program, and the bytes that say so. Pure: no system calls.

import { rangeError } from './arguments.js';
import { constants, mapDefinitions } from './steering-bytecode.js';
import { EndpointSet } from './steering-endpoints.js';
import { writeRange } from './steering-ranges.js';

const SUFFIX_IPV4 = '\0\0\0\0';
const SUFFIX_IPV6 = String.fromCharCode(constants.KEY_IPV6, 0, 0, 0);
// Port and protocol of a listed endpoint; in a key the family follows.
const ENDPOINT_BYTES = 3;

/** The key of an address of sixteen bytes, less the bank. */
export function addressKey(text, ipv6) {
  return text + (ipv6 ? SUFFIX_IPV6 : SUFFIX_IPV4);
}

/** Everything known about one address. */
export class SteeredAddress {
  /** Its bytes, the beginning of its endpoints' keys. */
  text;
  /** EndpointSet, or null while there has been none. */
  services = null;
  servers = null;
  isLocal = false;
  /** Reached through a tunnel that is no GUE; */
  hasTunnel = false;
  /** through GUE to this port, or 0. */
  guePort = 0;
  /** Ranges of ports of the full-nat pool, or null. */
  ranges = null;

  constructor(text) {
    this.text = text;
  }

  get isNothing() {
    return (
      (this.services?.size ?? 0) === 0 &&
      (this.servers?.size ?? 0) === 0 &&
      !this.isLocal &&
      !this.isTunnel &&
      this.ranges === null
    );
  }

  get isTunnel() {
    return this.hasTunnel || this.guePort !== 0;
  }

  /** @param {'services' | 'servers'} which */
  endpoints(which) {
    this[which] ??= new EndpointSet();
    return this[which];
  }

  /** @returns whether that is a change */
  setLocal(isThere) {
    if (this.isLocal === isThere) return false;
    this.isLocal = isThere;
    return true;
  }

  /** @returns whether that is a change; another GUE port than the one there is an error */
  setTunnel(guePort, isThere, name) {
    const isSame = guePort === 0 ? this.hasTunnel : this.guePort === guePort;
    if (isSame === isThere) return false;
    if (guePort === 0) {
      this.hasTunnel = isThere;
      return true;
    }
    if (isThere && this.guePort !== 0) {
      throw rangeError(`${name}.guePort: one address can have one GUE port only.`);
    }
    this.guePort = isThere ? guePort : 0;
    return true;
  }

  /** Takes the ranges away, or sets them. */
  setRanges(ranges, isThere) {
    this.ranges = isThere ? ranges : null;
    return true;
  }

  get flags() {
    return (
      (this.isLocal ? constants.ADDRESS_LOCAL : 0) |
      (this.isTunnel ? constants.ADDRESS_TUNNEL : 0) |
      (this.ranges === null ? 0 : constants.ADDRESS_FULL_NAT)
    );
  }
}

// Most addresses are one of a few kinds, so most values are made once.
const plainValues = new Map();
const PLAIN_VALUES_MAX = 4096;

/** The value of an address's entry. */
export function encodeAddress(address) {
  if (address.ranges !== null || address.guePort !== 0) return makeValue(address);
  const { flags, services, servers } = address;
  const kind = `${flags}${kindOf(services)}/${kindOf(servers)}`;
  const known = plainValues.get(kind);
  if (known !== undefined) return known;
  const value = makeValue(address);
  if (plainValues.size < PLAIN_VALUES_MAX) plainValues.set(kind, value);
  return value;
}

function kindOf(endpoints) {
  if (endpoints === null) return '';
  return endpoints.isListed ? endpoints.listed.join('') : `${endpoints.protocols} in the table`;
}

function makeValue(address) {
  const value = Buffer.alloc(mapDefinitions.addresses.valueLength);
  value[constants['address_value.flags']] = address.flags;
  value[constants['address_value.service_protocols']] = address.services?.protocols ?? 0;
  value[constants['address_value.server_protocols']] = address.servers?.protocols ?? 0;
  value.writeUInt16BE(address.guePort, constants['address_value.gue_port']);
  if (address.services !== null) writeEndpoints(value, 'services', address.services);
  if (address.servers !== null) writeEndpoints(value, 'servers', address.servers);
  const { ranges } = address;
  if (ranges === null) return value.latin1Slice();
  value[constants['address_value.range_count']] = ranges.length;
  for (const [index, range] of ranges.entries()) {
    const at = constants['address_value.ranges'] + index * constants.port_range;
    writeRange(value, at, range);
  }
  return value.latin1Slice();
}

function writeEndpoints(value, field, endpoints) {
  const count = endpoints.isListed ? endpoints.size : constants.ENDPOINTS_IN_TABLE;
  value[constants[`address_value.${field}_count`]] = count;
  for (const [index, suffix] of endpoints.listed.entries()) {
    const at = constants[`address_value.${field}`] + index * constants.endpoint;
    value.latin1Write(suffix, at, ENDPOINT_BYTES);
  }
}
