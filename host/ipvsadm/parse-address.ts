import { formatIpv4 } from '../config/address.ts';
import type { Family, ServiceProtocol } from '../ipvs/types.ts';
import { parseLooseIpv4, parseStrictIpv6 } from './address-text.ts';
import { parseDecimal } from './numbers.ts';
import type { Resolver } from './resolver.ts';

const PORT_MAX = 65_535;

/** An address with what was said about its port. */
export interface AddressAndPort {
  readonly family: Family;
  readonly address: string;
  /** Undefined when none was given. */
  readonly port: number | undefined;
}

/**
 * Reads `host[:port]` as ipvsadm does. An IPv6 address with a port, and only such a one, is in
 * brackets; a host name gives an IPv4 address; a port may be a name of the protocol's services.
 * Undefined when it is none of this.
 */
export function parseAddressAndPort(
  text: string,
  protocol: ServiceProtocol | '',
  resolver: Resolver,
): AddressAndPort | undefined {
  if (/^\d*$/.test(text)) return undefined;
  const bracketed = /^\[([^\]]*)\]:(.*)$/s.exec(text);
  if (text.startsWith('[') && bracketed === null) return undefined;
  const inner = bracketed?.[1] ?? text;
  const ipv6 = parseStrictIpv6(inner);
  if (ipv6 !== undefined) {
    return withPort({ family: 6, address: ipv6 }, bracketed?.[2], protocol, resolver);
  }
  // Behind brackets that hold no IPv6 address ipvsadm looks for the port inside of them only.
  const colon = inner.lastIndexOf(':');
  const host = colon < 0 ? inner : inner.slice(0, colon);
  const address = parseHost(host, resolver);
  if (address === undefined) return undefined;
  const port = colon < 0 ? undefined : inner.slice(colon + 1);
  return withPort({ family: 4, address }, port, protocol, resolver);
}

/** The IPv4 address of a host, given as a number or by name. */
export function parseHost(text: string, resolver: Resolver): string | undefined {
  const ipv4 = parseLooseIpv4(text);
  return ipv4 === undefined ? resolver.addressOfHost(text) : formatIpv4(ipv4);
}

function withPort(
  place: { family: Family; address: string },
  text: string | undefined,
  protocol: ServiceProtocol | '',
  resolver: Resolver,
): AddressAndPort | undefined {
  if (text === undefined) return { ...place, port: undefined };
  const number = parseDecimal(text, 0, PORT_MAX);
  if (number !== undefined) return { ...place, port: number };
  const port = protocol === '' ? undefined : resolver.portOfService(text, protocol);
  return port === undefined ? undefined : { ...place, port };
}
