// Finding connections as the data plane does (assembly/connection-table.ts), from a thread that is
// no worker: nothing keeps an entry from being used again while it is looked at. So every entry's
// own chain is checked before its link is followed, and whoever found himself elsewhere starts
// again.

import { FORWARD_FULL_NAT, FORWARD_NAT } from '../../assembly/shared/codes.ts';
import {
  CONNECTION_CLIENT,
  CONNECTION_CLIENT_PORT,
  CONNECTION_DESTINATION,
  CONNECTION_DESTINATION_PORT,
  CONNECTION_FAMILY,
  CONNECTION_LOCAL,
  CONNECTION_LOCAL_PORT,
  CONNECTION_NEXT,
  CONNECTION_NEXT_LOCAL,
  CONNECTION_PROTOCOL,
  CONNECTION_STATE,
  CONNECTION_VIRTUAL,
  CONNECTION_VIRTUAL_PORT,
  CONTROL_HASH_SEED,
  STATE_FORWARD_MASK,
  STATE_FORWARD_SHIFT,
  STATE_NO_CLIENT_PORT,
  STATE_TEMPLATE,
  WIDE_CLIENT,
  WIDE_DESTINATION,
  WIDE_LOCAL,
  WIDE_VIRTUAL,
} from '../../assembly/shared/layout.ts';
import type { DataPlaneMemory } from '../memory/data-plane-memory.ts';
import { mix, swapPort, wordAt } from '../tables/hash.ts';
import { sameBytes } from '../tables/local-addresses.ts';
import type { Question } from './question.ts';

/** The lock bit of a chain's head, above the node. */
const NODE_MASK = 0x7fffffff;
/** Walks begun anew when an entry was used again underneath. */
const RESTARTS_MAX = 16;
/** A chain has one entry on average: one this long is a ring that changed under our eyes. */
const STEPS_MAX = 100_000;

/** One end of a connection, or the masked client of a template. */
interface Place {
  readonly bytes: Uint8Array;
  /** Host order. */
  readonly port: number;
}

const CLIENT = [CONNECTION_CLIENT, WIDE_CLIENT] as const;
const VIRTUAL = [CONNECTION_VIRTUAL, WIDE_VIRTUAL] as const;
const DESTINATION = [CONNECTION_DESTINATION, WIDE_DESTINATION] as const;
const LOCAL = [CONNECTION_LOCAL, WIDE_LOCAL] as const;

/** What a template is found by; a mark's has protocol 0 and the mark as an IPv4 address. */
export interface TemplateKey {
  readonly family: 4 | 6;
  readonly protocol: number;
  readonly client: Uint8Array;
  readonly virtual: Uint8Array;
  readonly virtualPort: number;
}

/** Looks connections up; changes nothing and takes no lock. */
export class ConnectionLookup {
  readonly #memory: DataPlaneMemory;

  constructor(memory: DataPlaneMemory) {
    this.#memory = memory;
  }

  /** Index of the connection of a packet from a client, or 0 (ip_vs_conn_in_get). */
  fromClient({ family, protocolNumber, source, destination }: Question): number {
    const search = (clientPort: number) => {
      const client = { bytes: source.bytes, port: clientPort };
      const hash = this.#hash(client, protocolNumber);
      return this.#search(hash, (index, isLocalEnd) => {
        if (isLocalEnd || !this.#isOf(index, family, protocolNumber)) return false;
        const portKnown = (this.#state(index) & STATE_NO_CLIENT_PORT) === 0;
        return (
          portKnown === (clientPort !== 0) &&
          this.#has(index, CONNECTION_CLIENT_PORT, CLIENT, client) &&
          this.#has(index, CONNECTION_VIRTUAL_PORT, VIRTUAL, destination)
        );
      });
    };
    return search(source.port) || search(0);
  }

  /** Index of the connection of a packet from a real server, or 0 (ip_vs_conn_out_get). */
  fromServer({ family, protocolNumber, source, destination }: Question): number {
    const hash = this.#hash(destination, protocolNumber);
    return this.#search(hash, (index, isLocalEnd) => {
      if (!this.#isOf(index, family, protocolNumber)) return false;
      const forwarding = this.forwarding(index);
      const isFullNat = forwarding === FORWARD_FULL_NAT;
      // The real server of a full-nat connection knows the local end only.
      if (isFullNat !== isLocalEnd) return false;
      const reaches = isLocalEnd
        ? this.#has(index, CONNECTION_LOCAL_PORT, LOCAL, destination)
        : this.#has(index, CONNECTION_CLIENT_PORT, CLIENT, destination);
      if (!reaches) return false;
      return forwarding === FORWARD_NAT || isFullNat
        ? this.#has(index, CONNECTION_DESTINATION_PORT, DESTINATION, source)
        : this.#has(index, CONNECTION_VIRTUAL_PORT, VIRTUAL, source);
    });
  }

  /** Index of a persistence template, or 0 (ip_vs_ct_in_get). */
  template({ family, protocol, client, virtual, virtualPort }: TemplateKey): number {
    const masked = { bytes: client, port: 0 };
    return this.#search(this.#hash(masked, protocol), (index, isLocalEnd) => {
      return (
        !isLocalEnd &&
        this.#isOf(index, family, protocol) &&
        (this.#state(index) & STATE_TEMPLATE) !== 0 &&
        this.#has(index, CONNECTION_CLIENT_PORT, CLIENT, masked) &&
        this.#has(index, CONNECTION_VIRTUAL_PORT, VIRTUAL, { bytes: virtual, port: virtualPort })
      );
    });
  }

  /** FORWARD_* of a connection. */
  forwarding(index: number): number {
    return (this.#state(index) & STATE_FORWARD_MASK) >>> STATE_FORWARD_SHIFT;
  }

  #search(hash: number, fits: (index: number, isLocalEnd: boolean) => boolean): number {
    const { u32, map } = this.#memory;
    const head = (map.regions.chains >>> 2) + (hash & (map.chains - 1));
    for (let restart = 0; restart < RESTARTS_MAX; restart++) {
      let node = Atomics.load(u32, head) & NODE_MASK;
      let isAstray = false;
      for (let steps = 0; node !== 0 && steps < STEPS_MAX; steps++) {
        const index = node >>> 1;
        const isLocalEnd = (node & 1) !== 0;
        isAstray = !this.#isInChain(index, isLocalEnd, hash);
        if (isAstray) break;
        if (fits(index, isLocalEnd)) return index;
        const next = isLocalEnd ? CONNECTION_NEXT_LOCAL : CONNECTION_NEXT;
        node = u32[(this.#memory.hot(index) + next) >>> 2];
      }
      if (!isAstray) return 0;
    }
    return 0;
  }

  #isInChain(index: number, isLocalEnd: boolean, hash: number): boolean {
    const { u8, u16, map } = this.#memory;
    const hot = this.#memory.hot(index);
    const isWide = u8[hot + CONNECTION_FAMILY] === 6;
    const [hotField, wideField] = isLocalEnd ? LOCAL : CLIENT;
    const at = isWide ? this.#memory.wide(index) + wideField : hot + hotField;
    const portField = isLocalEnd ? CONNECTION_LOCAL_PORT : CONNECTION_CLIENT_PORT;
    const port = swapPort(u16[(hot + portField) >>> 1]);
    const bytes = u8.subarray(at, at + (isWide ? 16 : 4));
    const own = this.#hash({ bytes, port }, u8[hot + CONNECTION_PROTOCOL]);
    return ((own ^ hash) & (map.chains - 1)) === 0;
  }

  /** hashEnd() of assembly/hash.ts. */
  #hash({ bytes, port }: Place, protocol: number): number {
    let hash = this.#memory.u32[CONTROL_HASH_SEED >>> 2];
    for (let at = 0; at < bytes.length; at += 4) hash = mix(hash, wordAt(bytes, at));
    return mix(hash, (swapPort(port) | (protocol << 16)) >>> 0);
  }

  #isOf(index: number, family: number, protocol: number): boolean {
    const { u8 } = this.#memory;
    const hot = this.#memory.hot(index);
    return u8[hot + CONNECTION_FAMILY] === family && u8[hot + CONNECTION_PROTOCOL] === protocol;
  }

  #state(index: number): number {
    return Atomics.load(this.#memory.u32, (this.#memory.hot(index) + CONNECTION_STATE) >>> 2);
  }

  #has(
    index: number,
    portField: number,
    [hotField, wideField]: readonly [number, number],
    { bytes, port }: Place,
  ): boolean {
    const { u8, u16 } = this.#memory;
    const hot = this.#memory.hot(index);
    if (u16[(hot + portField) >>> 1] !== swapPort(port)) return false;
    const at = bytes.length === 4 ? hot + hotField : this.#memory.wide(index) + wideField;
    return sameBytes(u8, at, bytes);
  }
}
