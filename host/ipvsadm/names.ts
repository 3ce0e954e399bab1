import { lookup, lookupService } from 'node:dns/promises';
import { readFileSync } from 'node:fs';
import type { FullNatControl } from './full-nat-control.ts';
import { type IpvsadmRun, ipvsadm } from './ipvsadm.ts';
import { commandOf } from './parse.ts';
import { RehearsalControl } from './rehearsal-control.ts';
import type { Resolver } from './resolver.ts';
import {
  parseServices,
  ServiceNames,
  type ServiceTransport,
  wellKnownServices,
} from './services.ts';

/** Where names come from, which may take its time. */
export interface NameLookups {
  readonly services: ServiceNames;
  /** The first IPv4 address of a host. */
  addressOfHost(name: string): Promise<string | undefined>;
  hostOfAddress(address: string): Promise<string | undefined>;
}

/** Lookups that run at the same time: a listing may be of many thousand addresses. */
const LOOKUPS_AT_ONCE = 32;

/** The names of this machine: /etc/hosts and DNS, and /etc/services where there is one. */
export function systemLookups(): NameLookups {
  return {
    services: new ServiceNames(systemServices()),
    async addressOfHost(name) {
      return (await settle(lookup(name, { family: 4 })))?.address;
    },
    async hostOfAddress(address) {
      return (await settle(lookupService(address, 0)))?.hostname;
    },
  };
}

function systemServices(): ReturnType<typeof wellKnownServices> {
  try {
    return parseServices(readFileSync('/etc/services', 'utf8'));
  } catch {
    return wellKnownServices();
  }
}

/** A name that cannot be found, for whatever reason, is none. */
async function settle<T>(promise: Promise<T>): Promise<T | undefined> {
  try {
    return await promise;
  } catch {
    return undefined;
  }
}

/** Answers with the names it has learned, and notes the ones it was asked for in vain. */
class LearningResolver implements Resolver {
  readonly #lookups: NameLookups;
  readonly #addresses = new Map<string, string | undefined>();
  readonly #hosts = new Map<string, string | undefined>();
  readonly #wantedAddresses = new Set<string>();
  readonly #wantedHosts = new Set<string>();

  constructor(lookups: NameLookups) {
    this.#lookups = lookups;
  }

  get isSatisfied(): boolean {
    return this.#wantedAddresses.size === 0 && this.#wantedHosts.size === 0;
  }

  addressOfHost(name: string): string | undefined {
    if (name !== '' && !this.#addresses.has(name)) this.#wantedAddresses.add(name);
    return this.#addresses.get(name);
  }

  hostOfAddress(address: string): string | undefined {
    if (!this.#hosts.has(address)) this.#wantedHosts.add(address);
    return this.#hosts.get(address);
  }

  portOfService(name: string, protocol: ServiceTransport): number | undefined {
    return this.#lookups.services.port(name, protocol);
  }

  serviceOfPort(port: number, protocol: ServiceTransport): string | undefined {
    return this.#lookups.services.name(port, protocol);
  }

  /** Looks up all that is wanted. */
  async learn(): Promise<void> {
    await forEachAtOnce(this.#wantedAddresses, async (name) => {
      this.#addresses.set(name, await this.#lookups.addressOfHost(name));
    });
    await forEachAtOnce(this.#wantedHosts, async (address) => {
      this.#hosts.set(address, await this.#lookups.hostOfAddress(address));
    });
    this.#wantedAddresses.clear();
    this.#wantedHosts.clear();
  }
}

async function forEachAtOnce(
  names: Iterable<string>,
  act: (name: string) => Promise<void>,
): Promise<void> {
  const iterator = names[Symbol.iterator]();
  const lanes = Array.from({ length: LOOKUPS_AT_ONCE }, async () => {
    for (let next = iterator.next(); !next.done; next = iterator.next()) await act(next.value);
  });
  await Promise.all(lanes);
}

/**
 * ipvsadm() with names that have to be looked up first. What it would do is tried on a copy until
 * all the names it asks for are known; then it is done, at once, as if nobody had waited.
 */
export async function ipvsadmWithNames(
  args: readonly string[],
  control: FullNatControl,
  stdin: string,
  lookups: NameLookups,
): Promise<IpvsadmRun> {
  const resolver = new LearningResolver(lookups);
  const surroundings = { stdin, resolver };
  const name = commandOf(args);
  const isReading = args.length === 0 || name === 'list' || name === 'save';
  for (;;) {
    // Reading needs no copy, which would cost as much as the listing itself.
    const run = ipvsadm(args, isReading ? control : new RehearsalControl(control), surroundings);
    if (resolver.isSatisfied) return isReading ? run : ipvsadm(args, control, surroundings);
    await resolver.learn();
  }
}
