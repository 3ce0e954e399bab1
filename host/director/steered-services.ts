// What the services have steered, kept up to date service by service: what a change costs is what the
// changed services have, not what all have.

import type { ServiceWays } from '../ipvs/control.ts';
import { serviceName } from '../ipvs/model.ts';
import type { ServiceKey } from '../ipvs/types.ts';
import { CountedItems, endpointKind, tunnelKind } from './counted-items.ts';
import { type SteeredMark, type SteeredParts, steeredParts } from './steered-parts.ts';
import type { SteeringUse } from './steering-tables.ts';

/** Parts of services, added up. */
export class SteeredServices {
  readonly services = new CountedItems(endpointKind);
  readonly realServers = new CountedItems(endpointKind);
  readonly tunnels = new CountedItems(tunnelKind);
  readonly #waysOf: (key: ServiceKey) => ServiceWays | undefined;
  /** By serviceName(). */
  readonly #parts = new Map<string, SteeredParts>();
  readonly #changed = new Map<string, ServiceKey>();
  /** How many services are for each mark. */
  readonly #marksInUse = new Map<string, number>();
  /** Those that take something besides themselves. */
  readonly #withMarks = new Set<SteeredParts>();
  #fullNatServices = 0;

  /** @param waysOf a service as it is now, undefined when it is gone */
  constructor(waysOf: (key: ServiceKey) => ServiceWays | undefined) {
    this.#waysOf = waysOf;
  }

  /** A service came, went, or has other servers, or other ways to them. */
  note(key: ServiceKey): void {
    this.#changed.set(serviceName(key), key);
  }

  /** Takes over what has changed. */
  update(): void {
    for (const [name, key] of this.#changed) {
      const before = this.#parts.get(name);
      const ways = this.#waysOf(key);
      // What both have is there all the time, so that it is no change.
      if (ways !== undefined) this.#put(name, steeredParts(ways));
      else this.#parts.delete(name);
      if (before !== undefined) this.#takeOff(before);
    }
    this.#changed.clear();
  }

  get use(): SteeringUse {
    return {
      marksInUse: this.#marksInUse,
      marks: this.#marks(),
      usesFullNat: this.#fullNatServices > 0,
    };
  }

  *#marks(): Generator<SteeredMark> {
    for (const { marks } of this.#withMarks) yield* marks;
  }

  #put(name: string, parts: SteeredParts): void {
    this.#parts.set(name, parts);
    for (const endpoint of parts.services) this.services.add(endpoint);
    for (const endpoint of parts.realServers) this.realServers.add(endpoint);
    for (const tunnel of parts.tunnels) this.tunnels.add(tunnel);
    if (parts.mark !== undefined) this.#countMark(parts.mark, 1);
    if (parts.marks.length > 0) this.#withMarks.add(parts);
    if (parts.usesFullNat) this.#fullNatServices += 1;
  }

  #takeOff(parts: SteeredParts): void {
    for (const endpoint of parts.services) this.services.remove(endpoint);
    for (const endpoint of parts.realServers) this.realServers.remove(endpoint);
    for (const tunnel of parts.tunnels) this.tunnels.remove(tunnel);
    if (parts.mark !== undefined) this.#countMark(parts.mark, -1);
    this.#withMarks.delete(parts);
    if (parts.usesFullNat) this.#fullNatServices -= 1;
  }

  #countMark(mark: string, step: number): void {
    const count = (this.#marksInUse.get(mark) ?? 0) + step;
    if (count === 0) this.#marksInUse.delete(mark);
    else this.#marksInUse.set(mark, count);
  }
}
