// Keeps the neighbours that packets go to resolved. The kernel only resolves whom its own stack sends
// to, and forgets whom it does not hear of; the data plane's packets are none of its business. So
// the host uses a neighbour in the kernel's eyes when a worker asks for it, and again and again
// while it is of use.

import { addressBytes } from '../config/address.ts';
import type { NextHops } from '../tables/next-hops.ts';
import { TableFullError } from '../tables/rows.ts';
import type { NeighbourState, WorldNeighbour } from '../tables/world.ts';

/** A neighbour that does not answer is asked for at most this often. */
const PROVOKE_INTERVAL_MS = 500;
/**
 * How long after a neighbour was used it is used again. The kernel thinks of one as reachable for
 * 15 to 45 s without confirmation; one that failed it asks no more by itself.
 */
const CONFIRM_INTERVALS_MS: Readonly<Record<NeighbourState, number>> = {
  reachable: 20_000,
  incomplete: 1000,
  failed: 5000,
};
/** A neighbour on whom nobody insists is confirmed no more after it failed to answer. */
const FORGET_AFTER_MS = 60_000;

/** A neighbour, by port and address (4 or 16 bytes). */
export interface NeighbourKey {
  readonly port: number;
  readonly address: Uint8Array;
}

/** What the keeper works on. */
export interface NeighbourKeeperOptions {
  readonly nextHops: NextHops;
  /** Makes the kernel resolve or confirm a neighbour. */
  readonly use: (port: number, address: Uint8Array) => void;
  readonly mtu: (port: number) => number;
  readonly onFull: (error: TableFullError) => void;
  /** Milliseconds, monotonic. */
  readonly now?: () => number;
}

interface Kept extends NeighbourKey {
  /** Gateways and real servers: kept whether they answer or not. */
  isTarget: boolean;
  usedAt: number;
  wantedAt: number;
  state: NeighbourState;
}

/** Keeps neighbours resolved. */
export class NeighbourKeeper {
  readonly #options: NeighbourKeeperOptions;
  readonly #now: () => number;
  readonly #kept = new Map<string, Kept>();

  constructor(options: NeighbourKeeperOptions) {
    this.#options = options;
    this.#now = options.now ?? (() => performance.now());
  }

  /** Neighbours that are kept now. */
  get size(): number {
    return this.#kept.size;
  }

  /** Whether a neighbour is one of those set by setTargets(). */
  isTarget(port: number, address: string): boolean {
    const kept = this.#kept.get(keyOf({ port, address: addressBytes(address) }));
    return kept?.isTarget === true;
  }

  /** Replaces the neighbours that must be resolved before the first packet goes there. */
  setTargets(targets: readonly NeighbourKey[]): void {
    for (const kept of this.#kept.values()) kept.isTarget = false;
    for (const target of targets) {
      const kept = this.#keep(target);
      if (kept !== undefined) kept.isTarget = true;
    }
  }

  /** Takes what the workers asked for since the last call. @returns how many that were */
  drainWanted(): number {
    const wanted = this.#options.nextHops.drainWanted();
    for (const neighbour of wanted) this.#keep(neighbour);
    return wanted.length;
  }

  /** Takes over what the kernel says about a neighbour. */
  onNeighbour(neighbour: WorldNeighbour): void {
    try {
      this.#options.nextHops.set(neighbour);
    } catch (error) {
      this.#onError(error);
      return;
    }
    const address = addressBytes(neighbour.address);
    const kept = this.#kept.get(keyOf({ port: neighbour.port, address }));
    if (kept === undefined) return;
    kept.state = neighbour.state;
    // The kernel let it go although packets go there: ask again at once, but not over and over.
    const isLost = neighbour.state === 'incomplete';
    if (isLost && this.#now() - kept.usedAt >= PROVOKE_INTERVAL_MS) this.#use(kept);
  }

  /** Confirms what was not confirmed for a while, and lets go what nobody needs. */
  confirm(): void {
    const now = this.#now();
    for (const [key, kept] of this.#kept) {
      if (now - kept.usedAt < CONFIRM_INTERVALS_MS[kept.state]) continue;
      const isForgotten = kept.state !== 'reachable' && now - kept.wantedAt > FORGET_AFTER_MS;
      if (isForgotten && !kept.isTarget) this.#kept.delete(key);
      else this.#use(kept);
    }
  }

  #keep({ port, address }: NeighbourKey): Kept | undefined {
    const key = keyOf({ port, address });
    const now = this.#now();
    let kept = this.#kept.get(key);
    if (kept === undefined) {
      try {
        this.#options.nextHops.findOrInsert(port, address, this.#options.mtu(port));
      } catch (error) {
        this.#onError(error);
        return undefined;
      }
      kept = {
        port,
        address,
        isTarget: false,
        usedAt: -Infinity,
        wantedAt: now,
        state: 'incomplete',
      };
      this.#kept.set(key, kept);
    }
    kept.wantedAt = now;
    if (now - kept.usedAt >= PROVOKE_INTERVAL_MS) this.#use(kept);
    return kept;
  }

  #use(kept: Kept): void {
    kept.usedAt = this.#now();
    this.#options.use(kept.port, kept.address);
  }

  #onError(error: unknown): void {
    if (!(error instanceof TableFullError)) throw error;
    this.#options.onFull(error);
  }
}

function keyOf({ port, address }: NeighbourKey): string {
  return `${port} ${Buffer.from(address).toString('latin1')}`;
}
