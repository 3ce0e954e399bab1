// The trash: destinations that no service lists any more. Connections may still refer to them, and one
// that is added again is taken back, with its connections. Every 60 seconds the trash is looked
// through; what has had no reference for 120 seconds is gone. Linux: ip_vs_dest_trash_expire().

import { TICKS_PER_SECOND } from '../../assembly/shared/limits.ts';
import type { Destination, Service } from './model.ts';

/** Ticks without a reference after which a destination goes. */
export const TRASH_TICKS = 120 * TICKS_PER_SECOND;
/** Ticks between two looks through the trash. */
export const TRASH_PERIOD_TICKS = 60 * TICKS_PER_SECOND;

/** Destinations in the trash, newest first under each name. */
export class Trash {
  readonly #byName = new Map<string, Destination[]>();
  #size = 0;

  get size(): number {
    return this.#size;
  }

  /** Puts in a destination that was taken out of its service's list. */
  add(destination: Destination): void {
    destination.idleSince = undefined;
    const name = trashName(destination);
    const same = this.#byName.get(name);
    if (same === undefined) this.#byName.set(name, [destination]);
    else same.unshift(destination);
    this.#size++;
  }

  /**
   * Takes out the destination a service had at an address and port, if there is one: it need not
   * be the same service, only one with the same address, port and protocol, or the same mark.
   */
  take(service: Service, address: string, port: number): Destination | undefined {
    if (this.#size === 0) return undefined;
    const name = nameOf(
      service.protocol,
      service.mark,
      service.address,
      service.port,
      address,
      port,
    );
    const same = this.#byName.get(name);
    const destination = same?.shift();
    if (destination === undefined) return undefined;
    if (same!.length === 0) this.#byName.delete(name);
    this.#size--;
    return destination;
  }

  /**
   * One look through the trash.
   * @param references how many connections refer to a destination
   * @returns the destinations that are gone now
   */
  expire(now: number, references: (destination: Destination) => number): Destination[] {
    const gone: Destination[] = [];
    for (const [name, same] of this.#byName) {
      const left = same.filter((destination) => {
        if (references(destination) > 0) return true;
        if (destination.idleSince === undefined) {
          destination.idleSince = now;
          return true;
        }
        if (now < destination.idleSince + TRASH_TICKS) return true;
        gone.push(destination);
        return false;
      });
      if (left.length === 0) this.#byName.delete(name);
      else if (left.length < same.length) this.#byName.set(name, left);
    }
    this.#size -= gone.length;
    return gone;
  }
}

function trashName(destination: Destination): string {
  const { protocol, mark, virtualAddress, virtualPort, key } = destination;
  return nameOf(protocol, mark, virtualAddress, virtualPort, key.address, key.port);
}

/** A mark's destinations are told apart by the mark alone: it has no address and port. */
function nameOf(
  protocol: number,
  mark: number,
  virtualAddress: Uint8Array,
  virtualPort: number,
  address: string,
  port: number,
): string {
  const bytes = String.fromCharCode(...virtualAddress);
  const virtual = mark === 0 ? `${bytes} ${virtualPort}` : `mark ${mark}`;
  return `${protocol} ${virtual} ${address} ${port}`;
}
