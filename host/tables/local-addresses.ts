// The director's own addresses: those on its interfaces, every virtual service's address (configured
// on an interface or not), and the full-nat source pool. One record each, whatever the reasons.

import {
  LOCAL_ADDRESS,
  LOCAL_FAMILY,
  LOCAL_FILTER_BYTES,
  LOCAL_FLAGS,
  LOCAL_POOL,
  LOCAL_PORT,
  LOCAL_SIZE,
  LOCAL_VIRTUAL,
} from '../../assembly/shared/layout.ts';
import { LOCAL_SLOTS } from '../../assembly/shared/limits.ts';
import { addressBytes } from '../config/address.ts';
import type { DataPlaneMemory } from '../memory/data-plane-memory.ts';
import { type Family, localHash } from './hash.ts';
import { RecordTable } from './record-table.ts';
import { TableFullError } from './rows.ts';

/** LOCAL_PORT of an address that is on no port. */
export const LOCAL_NO_PORT = 255;

/** Addresses that fit: a table that is at most half full keeps its searches short. */
export const LOCAL_ADDRESSES_MAX = LOCAL_SLOTS >>> 1;

/** Why an address is the director's. */
interface Reasons {
  /** Port index, LOCAL_NO_PORT, or undefined when no interface has the address. */
  port: number | undefined;
  /** Virtual services with this address. */
  services: number;
  pool: boolean;
}

/** An address's bytes as a map key: one character a byte, so the length tells the family. */
export type AddressKey = string;

/** The key of an address of 4 or 16 bytes. */
export function addressKey(bytes: Uint8Array): AddressKey {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('latin1');
}

/** The set of own addresses, with what changed since each bank was last written. */
export class LocalAddresses {
  readonly #reasons = new Map<AddressKey, Reasons>();
  readonly #dirty: readonly [Set<AddressKey>, Set<AddressKey>] = [new Set(), new Set()];

  get size(): number {
    return this.#reasons.size;
  }

  /** Whether an interface or a service has the address. */
  has(bytes: Uint8Array): boolean {
    return this.#reasons.has(addressKey(bytes));
  }

  /** Whether an interface has the address. */
  isConfigured(bytes: Uint8Array): boolean {
    return this.#reasons.get(addressKey(bytes))?.port !== undefined;
  }

  /** Replaces the addresses of the interfaces. */
  setInterfaces(addresses: readonly { readonly address: string; readonly port?: number }[]): void {
    for (const [key, reasons] of this.#reasons) {
      if (reasons.port !== undefined) this.#change(key, (changed) => clearPort(changed));
    }
    for (const { address, port } of addresses) {
      const key = addressKey(addressBytes(address));
      this.#change(key, (changed) => {
        changed.port = port ?? LOCAL_NO_PORT;
      });
    }
  }

  /** Replaces the full-nat source pool. */
  setPool(addresses: readonly { readonly address: string }[]): void {
    for (const [key, reasons] of this.#reasons) {
      if (!reasons.pool) continue;
      this.#change(key, (changed) => {
        changed.pool = false;
      });
    }
    for (const { address } of addresses) {
      this.#change(addressKey(addressBytes(address)), (changed) => {
        changed.pool = true;
      });
    }
  }

  /**
   * A virtual service with this address came.
   * @throws TableFullError when there are LOCAL_ADDRESSES_MAX addresses
   */
  addService(bytes: Uint8Array): void {
    this.#change(addressKey(bytes), (changed) => {
      changed.services++;
    });
  }

  /** A virtual service with this address went. */
  removeService(bytes: Uint8Array): void {
    this.#change(addressKey(bytes), (changed) => {
      changed.services--;
    });
  }

  #change(key: AddressKey, change: (reasons: Reasons) => void): void {
    let reasons = this.#reasons.get(key);
    if (reasons === undefined) {
      if (this.#reasons.size >= LOCAL_ADDRESSES_MAX) {
        throw new TableFullError('own addresses', LOCAL_ADDRESSES_MAX);
      }
      reasons = { port: undefined, services: 0, pool: false };
      this.#reasons.set(key, reasons);
    }
    change(reasons);
    if (reasons.port === undefined && reasons.services === 0 && !reasons.pool) {
      this.#reasons.delete(key);
    }
    this.#dirty[0].add(key);
    this.#dirty[1].add(key);
  }

  /** Brings a bank's records up to date. */
  write(memory: DataPlaneMemory, which: 0 | 1): void {
    const bank = memory.bank(which);
    const table = localTable(memory, bank);
    const { u8 } = memory;
    for (const key of this.#dirty[which]) {
      const bytes = Buffer.from(key, 'latin1');
      const at = probeLocal(memory, bank, bytes);
      const reasons = this.#reasons.get(key);
      if (reasons === undefined) {
        if (u8[at + LOCAL_FAMILY] !== 0) table.remove(at);
        continue;
      }
      u8.fill(0, at, at + LOCAL_SIZE);
      u8[at + LOCAL_FAMILY] = bytes.length === 4 ? 4 : 6;
      u8[at + LOCAL_PORT] = reasons.port ?? LOCAL_NO_PORT;
      const virtual = reasons.services > 0 ? LOCAL_VIRTUAL : 0;
      u8[at + LOCAL_FLAGS] = virtual | (reasons.pool ? LOCAL_POOL : 0);
      u8.set(bytes, at + LOCAL_ADDRESS);
    }
    if (this.#dirty[which].size > 0) this.#writeFilter(memory, bank);
    this.#dirty[which].clear();
  }

  /** One bit for each address, by the upper half of its hash. */
  #writeFilter({ u8, u32, map }: DataPlaneMemory, bank: number): void {
    const filter = bank + map.bank.locals + LOCAL_SLOTS * LOCAL_SIZE;
    u8.fill(0, filter, filter + LOCAL_FILTER_BYTES);
    for (const key of this.#reasons.keys()) {
      const bytes = Buffer.from(key, 'latin1');
      const hash = localHash(bytes.length === 4 ? 4 : 6, bytes);
      u32[(filter >>> 2) + (hash >>> 21)] |= 1 << ((hash >>> 16) & 31);
    }
  }
}

function clearPort(reasons: Reasons): void {
  reasons.port = undefined;
}

function localTable(memory: DataPlaneMemory, bank: number): RecordTable {
  const { u8 } = memory;
  return new RecordTable(u8, bank + memory.map.bank.locals, {
    size: LOCAL_SIZE,
    slots: LOCAL_SLOTS,
    isUsed: (at) => u8[at + LOCAL_FAMILY] !== 0,
    hash: (at) => localHash(u8[at + LOCAL_FAMILY] as Family, u8, at + LOCAL_ADDRESS),
  });
}

/** Byte offset of an address's record in a bank, or of the free record where it belongs. */
export function probeLocal(memory: DataPlaneMemory, bank: number, bytes: Uint8Array): number {
  const { u8 } = memory;
  const family = bytes.length === 4 ? 4 : 6;
  return localTable(memory, bank).probe(localHash(family, bytes), (at) => {
    return u8[at + LOCAL_FAMILY] === family && sameBytes(u8, at + LOCAL_ADDRESS, bytes);
  });
}

/** Whether the bytes at an offset equal others. */
export function sameBytes(u8: Uint8Array, at: number, bytes: Uint8Array): boolean {
  for (let index = 0; index < bytes.length; index++) {
    if (u8[at + index] !== bytes[index]) return false;
  }
  return true;
}
