// The full-nat pool as it is asked for: the configuration's addresses for all services, and
// addresses of single services (DPVS's --add-laddr), which such a service uses instead. An address
// that is taken out is retired: nothing new is sent from it, but answers to it are still taken until
// no connection has it.

import { FORWARD_FULL_NAT } from '../../assembly/shared/codes.ts';
import {
  CONNECTION_FAMILY,
  CONNECTION_LOCAL,
  STATE_FORWARD_MASK,
  STATE_FORWARD_SHIFT,
  WIDE_LOCAL,
} from '../../assembly/shared/layout.ts';
import { TICKS_PER_SECOND } from '../../assembly/shared/limits.ts';
import type { DataPlaneMemory } from '../memory/data-plane-memory.ts';
import { formatAddress, parseFamilyAddress } from '../tables/address-text.ts';
import type { PublishedTables } from '../tables/publish.ts';
import { TableFullError } from '../tables/rows.ts';
import { DEFAULT_LOCAL_POOL, type LocalPool, type PoolAddress } from '../tables/world.ts';
import { visitConnections } from './connections.ts';
import type { Service } from './model.ts';
import type { Timers } from './timers.ts';
import { type Family, IpvsError, type LocalAddress } from './types.ts';

/** Ticks between two looks at whether retired addresses are still in use. */
export const RETIRED_PERIOD_TICKS = 10 * TICKS_PER_SECOND;

interface OwnAddress extends PoolAddress {
  readonly interface: string;
}

/** What of a service matters here. */
type PoolUser = Pick<Service, 'id' | 'family'>;

/** What the pools work with. */
export interface LocalPoolsOptions {
  readonly tables: PublishedTables;
  readonly timers: Timers;
  readonly onChange: () => void;
}

/** The pools as asked for; every change is in the tables when a call returns. */
export class LocalPools {
  readonly #tables: PublishedTables;
  readonly #timers: Timers;
  readonly #onChange: () => void;
  #director = DEFAULT_LOCAL_POOL;
  #services: ReadonlyMap<number, readonly OwnAddress[]> = new Map();
  #retired: ReadonlyMap<string, PoolAddress> = new Map();

  constructor({ tables, timers, onChange }: LocalPoolsOptions) {
    this.#tables = tables;
    this.#timers = timers;
    this.#onChange = onChange;
  }

  /**
   * Replaces the director's addresses and the ports.
   * @throws TableFullError, and nothing is changed
   */
  setDirector({ addresses, portRanges }: LocalPool): void {
    this.#change({ addresses, portRanges }, this.#services);
  }

  /**
   * Gives a service one more address.
   * @throws IpvsError EEXIST, ENOMEM, EINVAL for one that is no unicast address of the family
   */
  add({ id, family }: PoolUser, local: LocalAddress): void {
    const address = canonical(family, local.address);
    if (address === undefined) {
      throw new IpvsError('EINVAL', `${local.address} is no IPv${family} address to send from`);
    }
    const own = this.#services.get(id) ?? [];
    if (own.some((entry) => entry.address === address)) {
      throw new IpvsError('EEXIST', `the service has the local address ${address}`);
    }
    const added: OwnAddress = { family, address, interface: local.interface };
    this.#put(id, [...own, added]);
  }

  /**
   * Takes an address of a service away.
   * @throws IpvsError ENOENT
   */
  delete({ id, family }: PoolUser, local: LocalAddress): void {
    const address = canonical(family, local.address);
    const own = this.#services.get(id) ?? [];
    const left = own.filter((entry) => entry.address !== address);
    if (left.length === own.length) {
      throw new IpvsError('ENOENT', `the service has no local address ${local.address}`);
    }
    this.#put(id, left);
  }

  /** A service is gone. */
  forget({ id }: PoolUser): void {
    if (this.#services.has(id)) this.#put(id, []);
  }

  /** A service's addresses in the order they were added. */
  of({ id }: PoolUser): readonly LocalAddress[] {
    const own = this.#services.get(id) ?? [];
    return own.map(({ address, interface: name }) => ({ address, interface: name }));
  }

  #put(id: number, own: readonly OwnAddress[]): void {
    const services = new Map(this.#services);
    if (own.length === 0) services.delete(id);
    else services.set(id, own);
    try {
      this.#change(this.#director, services);
    } catch (error) {
      if (error instanceof TableFullError) throw new IpvsError('ENOMEM', error.message);
      throw error;
    }
  }

  #change(director: LocalPool, services: ReadonlyMap<number, readonly OwnAddress[]>): void {
    const retired = new Map(this.#retired);
    for (const entry of allAddresses(this.#director, this.#services)) {
      retired.set(entry.address, { family: entry.family, address: entry.address });
    }
    for (const { address } of allAddresses(director, services)) retired.delete(address);
    this.#write(director, services, retired);
    this.#director = director;
    this.#services = services;
    this.#retired = retired;
    if (retired.size > 0 && !this.#timers.isSet('local-pool')) this.#setTimer();
  }

  #write(
    { addresses, portRanges }: LocalPool,
    services: ReadonlyMap<number, readonly OwnAddress[]>,
    retired: ReadonlyMap<string, PoolAddress>,
  ): void {
    this.#tables.setLocalPool({ addresses, portRanges, services, retired: [...retired.values()] });
    this.#onChange();
  }

  #setTimer(): void {
    this.#timers.set('local-pool', RETIRED_PERIOD_TICKS, () => {
      const inUse = localAddressesInUse(this.#tables.memory);
      const still = new Map([...this.#retired].filter(([address]) => inUse.has(address)));
      const isLess = still.size < this.#retired.size;
      this.#retired = still;
      if (still.size > 0) this.#setTimer();
      if (isLess) this.#write(this.#director, this.#services, still);
    });
  }
}

function allAddresses(
  director: LocalPool,
  services: ReadonlyMap<number, readonly PoolAddress[]>,
): PoolAddress[] {
  return [...director.addresses, ...[...services.values()].flat()];
}

/** The canonical text of an address that packets can be sent from, or undefined. */
function canonical(family: Family, text: string): string | undefined {
  const bytes = parseFamilyAddress(family, text);
  if (bytes === undefined || !isUnicast(bytes)) return undefined;
  return formatAddress(bytes, 0, family === 4 ? 4 : 16);
}

/** The local addresses that full-nat connections have now. */
export function localAddressesInUse(memory: DataPlaneMemory): Set<string> {
  const { u8, u32 } = memory;
  const ipv4 = new Set<number>();
  const inUse = new Set<string>();
  visitConnections(memory, (index, hot, state) => {
    if ((state & STATE_FORWARD_MASK) >>> STATE_FORWARD_SHIFT !== FORWARD_FULL_NAT) return;
    // One text for each address, not for each of maybe millions of connections.
    const at = hot + CONNECTION_LOCAL;
    if (u8[hot + CONNECTION_FAMILY] === 4) ipv4.add(u32[at >>> 2]);
    else inUse.add(formatAddress(u8, memory.wide(index) + WIDE_LOCAL, 16));
  });
  for (const word of ipv4) inUse.add(ipv4Text(word));
  return inUse;
}

/** Text of an IPv4 address read as a little-endian word. */
function ipv4Text(word: number): string {
  return [word, word >>> 8, word >>> 16, word >>> 24].map((byte) => byte & 0xff).join('.');
}

/** Neither unspecified nor multicast nor the limited broadcast. */
function isUnicast(bytes: Uint8Array): boolean {
  if (bytes.every((byte) => byte === 0)) return false;
  if (bytes.length === 16) return bytes[0] !== 0xff;
  return bytes[0] !== 0 && bytes[0] < 224;
}
