/**
 * Which interfaces the director should own. Neither keepalived nor ipvsadm says, because there the
 * kernel has them all; so it is a guess from what the machine has.
 */

import { readFileSync } from 'node:fs';
import { networkInterfaces } from 'node:os';
import {
  parseAddress,
  parseEndpoint,
  parseIpv4,
  parseIpv6,
  parsePrefix,
} from '../config/address.ts';
import type { ServiceDraft } from './model.ts';

/** The machine's networks, as far as the guess needs them. */
export interface MachineNetworks {
  readonly networks: readonly { readonly name: string; readonly prefix: string }[];
  /** The interface of the default route. */
  readonly defaultInterface: string | undefined;
}

/** What this machine has. */
export function machineNetworks(): MachineNetworks {
  const networks = Object.entries(networkInterfaces()).flatMap(([name, addresses]) =>
    (addresses ?? [])
      .filter(({ internal, cidr }) => !internal && cidr !== null)
      .map(({ cidr }) => ({ name: name.replace(/:.*/, ''), prefix: cidr! })),
  );
  return { networks, defaultInterface: readDefaultInterface() };
}

function readDefaultInterface(): string | undefined {
  try {
    const lines = readFileSync('/proc/net/route', 'utf8').split('\n').slice(1);
    const fields = lines.map((line) => line.split('\t'));
    return fields.find(([, destination, , , , , , mask]) => {
      return destination === '00000000' && mask === '00000000';
    })?.[0];
  } catch {
    return undefined;
  }
}

/** The interfaces whose networks the services and their servers are in, or else the default's. */
export function interfacesOf(
  services: readonly ServiceDraft[],
  { networks, defaultInterface }: MachineNetworks,
): readonly string[] {
  const addresses = new Set(services.flatMap(addressesOf));
  const names = new Set<string>();
  for (const { name, prefix } of networks) {
    if ([...addresses].some((address) => isInside(address, prefix))) names.add(name);
  }
  if (names.size === 0 && defaultInterface !== undefined) names.add(defaultInterface);
  return [...names];
}

function addressesOf({ listen, servers }: ServiceDraft): string[] {
  const places = [listen.replace(/\/\w+$/, ''), ...servers.map(({ address }) => address)];
  return places.flatMap((place) => parseEndpoint(place)?.address ?? []);
}

function isInside(address: string, prefixText: string): boolean {
  const prefix = parsePrefix(prefixText);
  const parsed = parseAddress(address);
  if (prefix === undefined || parsed?.family !== prefix.family) return false;
  const bits = prefix.family === 4 ? 32 : 128;
  const shift = BigInt(bits - prefix.prefixLength);
  return numberOf(address) >> shift === numberOf(prefix.address) >> shift;
}

function numberOf(address: string): bigint {
  const ipv4 = parseIpv4(address);
  if (ipv4 !== undefined) return BigInt(ipv4);
  return parseIpv6(address)!.reduce((sum, group) => sum * 65_536n + BigInt(group), 0n);
}
