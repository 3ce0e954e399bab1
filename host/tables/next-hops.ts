// The neighbours, one live table outside the banks: workers read it at every packet, and only the host
// writes it. What may change, MAC and state, lies in one 64-bit word that is stored at once; records
// are never removed, so a cached index stays good. Workers that miss a neighbour put it into the
// provoke ring, which the host drains.

import {
  CONTROL_NEIGHBOUR_GENERATION,
  CONTROL_PROVOKE,
  CONTROL_PROVOKE_HEAD,
  CONTROL_PROVOKE_SLOTS,
  NEXT_HOP_ADDRESS,
  NEXT_HOP_FAILED,
  NEXT_HOP_FAMILY,
  NEXT_HOP_INCOMPLETE,
  NEXT_HOP_MTU,
  NEXT_HOP_PORT,
  NEXT_HOP_REACHABLE,
  NEXT_HOP_STATE,
  PROVOKE_ADDRESS,
  PROVOKE_FAMILY,
  PROVOKE_PORT,
  PROVOKE_SIZE,
  PROVOKE_TURN,
} from '../../assembly/shared/layout.ts';
import { NEXT_HOPS_MAX } from '../../assembly/shared/limits.ts';
import { addressBytes } from '../config/address.ts';
import type { DataPlaneMemory } from '../memory/data-plane-memory.ts';
import { nextHopHash } from './hash.ts';
import { sameBytes } from './local-addresses.ts';
import { TableFullError } from './rows.ts';
import type { NeighbourState, WorldNeighbour } from './world.ts';

/** Neighbours that fit. Beyond this, searches for unknown ones get long. */
export const NEXT_HOPS_LIMIT = (NEXT_HOPS_MAX >>> 2) * 3;

const STATE_CODES: Readonly<Record<NeighbourState, number>> = {
  incomplete: NEXT_HOP_INCOMPLETE,
  reachable: NEXT_HOP_REACHABLE,
  failed: NEXT_HOP_FAILED,
};

/** A neighbour a worker wants. */
export interface WantedNeighbour {
  readonly port: number;
  /** 4 or 16 bytes in network order. */
  readonly address: Uint8Array;
}

/** The host's hand on the table. */
export class NextHops {
  readonly #memory: DataPlaneMemory;
  #count = 0;
  #ticket: number;

  constructor(memory: DataPlaneMemory) {
    this.#memory = memory;
    this.#ticket = Atomics.load(memory.u32, CONTROL_PROVOKE_HEAD >>> 2);
    for (let index = 1; index < NEXT_HOPS_MAX; index++) {
      if (memory.u8[memory.nextHop(index) + NEXT_HOP_FAMILY] !== 0) this.#count++;
    }
  }

  /** Index of a neighbour, or 0. */
  find(port: number, address: Uint8Array): number {
    const index = this.#probe(port, address);
    return this.#memory.u8[this.#memory.nextHop(index) + NEXT_HOP_FAMILY] === 0 ? 0 : index;
  }

  /**
   * Index of a neighbour, made (incomplete) if it is new.
   * @param mtu of the port
   * @throws TableFullError
   */
  findOrInsert(port: number, address: Uint8Array, mtu = 0): number {
    const { u8, u16 } = this.#memory;
    const index = this.#probe(port, address);
    const at = this.#memory.nextHop(index);
    if (u8[at + NEXT_HOP_FAMILY] !== 0) return index;
    if (this.#count >= NEXT_HOPS_LIMIT) throw new TableFullError('neighbours', NEXT_HOPS_LIMIT);
    this.#count++;
    u16[(at + NEXT_HOP_MTU) >>> 1] = mtu;
    u8.set(address, at + NEXT_HOP_ADDRESS);
    this.#store(at, port, 'incomplete', undefined);
    // The family goes last and atomically: it is what makes the record visible.
    Atomics.store(u8, at + NEXT_HOP_FAMILY, address.length === 4 ? 4 : 6);
    return index;
  }

  /** Takes over what the kernel knows of a neighbour; returns its index. */
  set(neighbour: WorldNeighbour): number {
    const index = this.findOrInsert(neighbour.port, addressBytes(neighbour.address));
    const at = this.#memory.nextHop(index);
    this.#store(at, neighbour.port, neighbour.state, neighbour.mac);
    Atomics.add(this.#memory.u32, CONTROL_NEIGHBOUR_GENERATION >>> 2, 1);
    return index;
  }

  /** State of the neighbour at an index (NEXT_HOP_*). */
  state(index: number): number {
    return this.#memory.u8[this.#memory.nextHop(index) + NEXT_HOP_STATE];
  }

  /**
   * Neighbours that workers asked for since the last call, oldest first. The ring is lossy: a
   * request that was overwritten comes again with the next packet.
   */
  drainWanted(): WantedNeighbour[] {
    const { u32 } = this.#memory;
    const head = Atomics.load(u32, CONTROL_PROVOKE_HEAD >>> 2);
    const wanted: WantedNeighbour[] = [];
    if ((head - this.#ticket) >>> 0 > CONTROL_PROVOKE_SLOTS) {
      this.#ticket = (head - CONTROL_PROVOKE_SLOTS) >>> 0;
    }
    for (; this.#ticket !== head; this.#ticket = (this.#ticket + 1) >>> 0) {
      const slot = this.#ticket & (CONTROL_PROVOKE_SLOTS - 1);
      const at = CONTROL_PROVOKE + slot * PROVOKE_SIZE;
      const turn = (this.#ticket + 1) >>> 0;
      const before = Atomics.load(u32, (at + PROVOKE_TURN) >>> 2);
      const request = this.#readWanted(at);
      const after = Atomics.load(u32, (at + PROVOKE_TURN) >>> 2);
      if (before === turn && after === turn) {
        wanted.push(request);
      } else if (((before - turn) | 0) < 0) {
        // The worker has taken the ticket but not finished writing: it will be there next time.
        break;
      }
    }
    return wanted;
  }

  #readWanted(at: number): WantedNeighbour {
    const { u8, u32 } = this.#memory;
    const bytes = u32[(at + PROVOKE_FAMILY) >>> 2] === 4 ? 4 : 16;
    const address = u8.slice(at + PROVOKE_ADDRESS, at + PROVOKE_ADDRESS + bytes);
    return { port: u32[(at + PROVOKE_PORT) >>> 2], address };
  }

  #store(at: number, port: number, state: NeighbourState, mac: Uint8Array | undefined): void {
    let word = (BigInt(STATE_CODES[state]) << 56n) | (BigInt(port) << 48n);
    if (state === 'reachable' && mac !== undefined) {
      for (let index = 0; index < 6; index++) word |= BigInt(mac[index]) << BigInt(8 * index);
    }
    Atomics.store(this.#memory.u64, at >>> 3, word);
  }

  /** Index of the neighbour, or of the free record where it belongs. Index 0 is "none". */
  #probe(port: number, address: Uint8Array): number {
    const { u8 } = this.#memory;
    const family = address.length === 4 ? 4 : 6;
    const mask = NEXT_HOPS_MAX - 1;
    let index = nextHopHash(family, port, address) & mask;
    for (; ; index = (index + 1) & mask) {
      if (index === 0) continue;
      const at = this.#memory.nextHop(index);
      const found = u8[at + NEXT_HOP_FAMILY];
      if (found === 0) return index;
      if (found !== family || u8[at + NEXT_HOP_PORT] !== port) continue;
      if (sameBytes(u8, at + NEXT_HOP_ADDRESS, address)) return index;
    }
  }
}
