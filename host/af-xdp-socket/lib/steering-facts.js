// What a caller of publish() says, checked and in one form: facts, each of them about one address.
//
// A fact is { text, ipv6, kind, detail, isThere, name }: the address's sixteen bytes and family, what
// the fact is about (FACT_*) with what tells it from others of its kind, whether it is to hold, and
// how the caller's value is called, for errors that only what else holds can show.

import { ADDRESS_LENGTH, IPV4_LENGTH, parseAddress, parseIpv4 } from './address.js';
import { rangeError, requireInteger, requireList, requireObject } from './arguments.js';
import { STEERING_FULL_NAT_RANGES_MAX } from './steering-bytecode.js';
import { checkEndpoint, endpointSuffix } from './steering-endpoints.js';
import { joinRanges, PORT_MAX, requireRange } from './steering-ranges.js';

/** detail: the last bytes of the endpoint's key. */
export const FACT_SERVICE = 0;
export const FACT_SERVER = 1;
/** detail: the GUE port, or 0. */
export const FACT_TUNNEL = 2;
/** No detail. */
export const FACT_LOCAL = 3;
/** detail: the ranges of ports, joined. */
export const FACT_FULL_NAT = 4;

const scratch = Buffer.alloc(ADDRESS_LENGTH);

/** Written for a hundred thousand of them: names for errors are functions. */
function makeFact(kind, address, { detail = null, isThere, name }) {
  if (typeof address === 'string' && parseIpv4(address, scratch, 0)) {
    scratch.fill(0, IPV4_LENGTH);
    return { text: scratch.latin1Slice(), ipv6: false, kind, detail, isThere, name };
  }
  const { bytes, ipv6 } = parseAddress(address, () => `${name()}.address`);
  return { text: Buffer.from(bytes).latin1Slice(), ipv6, kind, detail, isThere, name };
}

function endpointFact(kind, endpoint, { isThere, name }) {
  checkEndpoint(endpoint, name);
  const fact = makeFact(kind, endpoint.address, { isThere, name });
  fact.detail = endpointSuffix(endpoint, fact.ipv6);
  return fact;
}

function tunnelFact(tunnel, { isThere, name }) {
  requireObject(tunnel, name());
  const { address, guePort = 0 } = tunnel;
  requireInteger(guePort, `${name()}.guePort`, 0, PORT_MAX);
  return makeFact(FACT_TUNNEL, address, { detail: guePort, isThere, name });
}

/** Facts of the lists that can be changed item by item. `path` goes before their names. */
export function* listFacts(lists, isThere, path = '') {
  for (const [index, endpoint] of requireList(lists.services, `${path}services`).entries()) {
    yield endpointFact(FACT_SERVICE, endpoint, {
      isThere,
      name: () => `${path}services[${index}]`,
    });
  }
  for (const [index, endpoint] of requireList(lists.realServers, `${path}realServers`).entries()) {
    yield endpointFact(FACT_SERVER, endpoint, {
      isThere,
      name: () => `${path}realServers[${index}]`,
    });
  }
  for (const [index, tunnel] of requireList(lists.tunnels, `${path}tunnels`).entries()) {
    yield tunnelFact(tunnel, { isThere, name: () => `${path}tunnels[${index}]` });
  }
}

export function localFacts(list) {
  return requireList(list, 'localAddresses').map((address, index) => {
    const name = () => `localAddresses[${index}]`;
    const { bytes, ipv6 } = parseAddress(address, name);
    return {
      text: Buffer.from(bytes).latin1Slice(),
      ipv6,
      kind: FACT_LOCAL,
      detail: null,
      isThere: true,
      name,
    };
  });
}

/** One for each address, however often it is listed. */
export function fullNatFacts(list) {
  const facts = new Map();
  for (const [index, item] of requireList(list, 'fullNat').entries()) {
    const name = `fullNat[${index}]`;
    requireObject(item, name);
    const ranges = requireList(item.ports, `${name}.ports`);
    for (const [number, range] of ranges.entries()) requireRange(range, `${name}.ports[${number}]`);
    const made = makeFact(FACT_FULL_NAT, item.address, { isThere: true, name: () => name });
    const word = `${made.ipv6} ${made.text}`;
    const fact = facts.get(word) ?? made;
    fact.detail = joinRanges([...(fact.detail ?? []), ...ranges]);
    if (fact.detail.length > STEERING_FULL_NAT_RANGES_MAX) {
      throw rangeError(
        `${name}.ports: an address can have at most ${STEERING_FULL_NAT_RANGES_MAX} port ranges.`,
      );
    }
    facts.set(word, fact);
  }
  return [...facts.values()];
}
