// The schedulers once more, slow and plain: over lists of objects, with exact integers, without
// memory layouts, locks or shortcuts. They follow the rules of net/netfilter/ipvs step by step.

import {
  PROTOCOL_SCTP,
  PROTOCOL_TCP,
  PROTOCOL_UDP,
  SERVICE_SCHED1,
  SERVICE_SCHED2,
} from '../../../../assembly/shared/codes.ts';
import { PACKET_ICMP_ERROR } from '../../../../assembly/shared/layout.ts';
import type { ListChangeKind } from '../../../../host/scheduler/scheduler.ts';
import type { BedDestination, BedPacket } from './service-bed.ts';
import { slowFold, slowHash32, slowHsiphash } from './slow-hashes.ts';

export type Chosen = BedDestination | undefined;

export interface SlowScheduler {
  /** `list` is newest first and already changed; `changed` stood at `position`. */
  change(
    kind: ListChangeKind,
    list: readonly BedDestination[],
    changed: BedDestination | undefined,
    position: number,
  ): void;
  pick(list: readonly BedDestination[], packet: BedPacket, tick: number): Chosen;
}

function takes(destination: BedDestination): boolean {
  return destination.weight > 0 && !destination.overloaded;
}

function overhead(destination: BedDestination): bigint {
  return BigInt.asIntN(32, BigInt(destination.active) * 256n + BigInt(destination.inactive));
}

/** The first of the destinations with the least load / weight. */
function least(
  candidates: readonly BedDestination[],
  load: (destination: BedDestination) => bigint,
): Chosen {
  return candidates.reduce<Chosen>((best, candidate) => {
    if (best === undefined) return candidate;
    const better = load(candidate) * BigInt(best.weight) < load(best) * BigInt(candidate.weight);
    return better ? candidate : best;
  }, undefined);
}

const nothing = (): void => {};

export class SlowRoundRobin implements SlowScheduler {
  /** The list turned so that the next to be tried comes first is made from this. */
  #last: Chosen;

  change(
    kind: ListChangeKind,
    list: readonly BedDestination[],
    changed: BedDestination | undefined,
    position: number,
  ): void {
    if (kind === 'bind') this.#last = undefined;
    if (kind === 'delete' && changed === this.#last) this.#last = list[position - 1];
  }

  pick(list: readonly BedDestination[]): Chosen {
    const next = this.#last === undefined ? 0 : list.indexOf(this.#last) + 1;
    const chosen = [...list.slice(next), ...list.slice(0, next)].find(takes);
    if (chosen !== undefined) this.#last = chosen;
    return chosen;
  }
}

/** Level by level and destination by destination, as the kernel walks its ring with its head. */
export class SlowWeightedRoundRobin implements SlowScheduler {
  #cursor: BedDestination | 'head' = 'head';
  #level = 0;
  #highest = 0;
  #step = 1;

  change(kind: ListChangeKind, list: readonly BedDestination[]): void {
    const weights = list.map(({ weight }) => weight).filter((weight) => weight > 0);
    const greatest = Math.max(0, ...weights);
    let step = Math.min(greatest, ...weights);
    while (step > 1 && weights.some((weight) => weight % step !== 0)) step--;
    this.#step = step === 0 ? 1 : step;
    this.#highest = greatest - (this.#step - 1);
    this.#cursor = 'head';
    if (kind === 'bind' || this.#level > this.#highest || this.#level === 0) {
      this.#level = this.#highest;
    } else if (this.#step > 1) {
      this.#level = Math.trunc(this.#level / this.#step) * this.#step + 1;
    }
  }

  pick(list: readonly BedDestination[]): Chosen {
    if (this.#highest === 0) return undefined;
    const first = this.#cursor;
    let here = first;
    let stop: BedDestination | undefined;
    let lastPass = false;
    let restarted = false;
    for (;;) {
      for (here = after(list, here); here !== 'head'; here = after(list, here)) {
        if (!here.overloaded && here.weight >= this.#level) {
          this.#cursor = here;
          return here;
        }
        if (here === stop) {
          this.#cursor = here;
          return undefined;
        }
      }
      this.#level -= this.#step;
      if (this.#level <= 0) {
        this.#level = this.#highest;
        if (lastPass || first === 'head') {
          this.#cursor = 'head';
          return undefined;
        }
        restarted = true;
      }
      lastPass = this.#level <= this.#step;
      if (lastPass && restarted && first !== 'head') stop = first;
    }
  }
}

function after(
  list: readonly BedDestination[],
  here: BedDestination | 'head',
): BedDestination | 'head' {
  return list[here === 'head' ? 0 : list.indexOf(here) + 1] ?? 'head';
}

export class SlowLeastConnection implements SlowScheduler {
  change = nothing;

  pick(list: readonly BedDestination[]): Chosen {
    const load = (one: BedDestination) => Number(BigInt.asUintN(32, overhead(one)));
    const smallest = Math.min(...list.filter(takes).map(load));
    return list.filter(takes).find((one) => load(one) === smallest);
  }
}

export class SlowWeightedLeastConnection implements SlowScheduler {
  change = nothing;

  pick(list: readonly BedDestination[]): Chosen {
    return least(list.filter(takes), overhead);
  }
}

export class SlowShortestExpectedDelay implements SlowScheduler {
  change = nothing;

  pick(list: readonly BedDestination[]): Chosen {
    return least(list.filter(takes), ({ active }) => BigInt(active) + 1n);
  }
}

export class SlowNeverQueue implements SlowScheduler {
  change = nothing;

  pick(list: readonly BedDestination[]): Chosen {
    const idle = list.filter(takes).find(({ active }) => active === 0);
    return idle ?? least(list.filter(takes), ({ active }) => BigInt(active) + 1n);
  }
}

export class SlowWeightedFailover implements SlowScheduler {
  change = nothing;

  pick(list: readonly BedDestination[]): Chosen {
    return list.filter(takes).sort((a, b) => b.weight - a.weight)[0];
  }
}

export class SlowWeightedOverflow implements SlowScheduler {
  change = nothing;

  pick(list: readonly BedDestination[]): Chosen {
    const roomy = list.filter(takes).filter(({ active, weight }) => active <= weight);
    return roomy.sort((a, b) => b.weight - a.weight)[0];
  }
}

export class SlowDestinationHash implements SlowScheduler {
  #table: readonly BedDestination[] = [];

  change(kind: ListChangeKind, list: readonly BedDestination[]): void {
    if (kind !== 'update')
      this.#table = Array.from({ length: 256 }, (_, i) => list[i % list.length]);
  }

  pick(_list: readonly BedDestination[], packet: BedPacket): Chosen {
    const one = this.#table[slowHash32(slowFold(packet.destination ?? new Uint8Array(4)), 8)];
    return one?.available && takes(one) ? one : undefined;
  }
}

/** The client's address and, if asked for, port: of the source, or of what an error quotes. */
function client(packet: BedPacket, withPort: boolean): bigint {
  const quoted = ((packet.flags ?? 0) & PACKET_ICMP_ERROR) !== 0;
  const address = quoted ? packet.destination : packet.source;
  const port = quoted ? packet.destinationPort : packet.sourcePort;
  const protocol = packet.protocol ?? PROTOCOL_TCP;
  const hasPort = [PROTOCOL_TCP, PROTOCOL_UDP, PROTOCOL_SCTP].includes(protocol);
  return (
    BigInt(slowFold(address ?? new Uint8Array(4))) + BigInt(withPort && hasPort ? (port ?? 0) : 0)
  );
}

export class SlowSourceHash implements SlowScheduler {
  readonly #flags: number;
  #table: readonly BedDestination[] = [];

  constructor(flags: number) {
    this.#flags = flags;
  }

  change(_kind: ListChangeKind, list: readonly BedDestination[]): void {
    const round = list.flatMap((one) => Array(Math.min(256, Math.max(1, one.weight))).fill(one));
    this.#table = Array.from({ length: 256 }, (_, i) => round[i % round.length]);
  }

  pick(_list: readonly BedDestination[], packet: BedPacket): Chosen {
    const key = Number(client(packet, (this.#flags & SERVICE_SCHED2) !== 0) & 0xffffffffn);
    const hash = slowHash32(key, 8);
    const first = this.#table[hash];
    if (first === undefined) return undefined;
    if (takes(first)) return first;
    if ((this.#flags & SERVICE_SCHED1) === 0) return undefined;
    for (let offset = 0; offset < 256; offset++) {
      const moved = (offset + hash) % 256;
      const other = this.#table[(moved + slowHash32(key, 8)) & 255];
      if (takes(other)) return other;
    }
    return undefined;
  }
}

const MAGLEV = 4093;
const MAGLEV_HASH1 = 2654435761;
const MAGLEV_HASH2 = 2654446892;

export class SlowMaglev implements SlowScheduler {
  readonly #flags: number;
  table: (BedDestination | undefined)[] = [];

  constructor(flags: number) {
    this.#flags = flags;
  }

  change(_kind: ListChangeKind, list: readonly BedDestination[]): void {
    this.table = Array(MAGLEV).fill(undefined);
    const weights = list.map(({ lastWeight }) => lastWeight).filter((weight) => weight > 0);
    if (weights.length === 0) return;
    let divisor = Math.min(...weights);
    while (weights.some((weight) => weight % divisor !== 0)) divisor--;
    const bits = (Math.max(...weights) / divisor).toString(2).length;
    const shift = Math.max(0, bits - 6);
    const turnsOf = (weight: number) =>
      Math.max(weight === 0 ? 0 : 1, Math.floor(weight / divisor / 2 ** shift));
    const permutations = list.map((one) => permutation(one));
    let filled = 0;
    while (filled < MAGLEV) {
      for (const [index, one] of list.entries()) {
        for (let turn = 0; turn < turnsOf(one.lastWeight) && filled < MAGLEV; turn++) {
          const free = permutations[index].findIndex((slot) => this.table[slot] === undefined);
          this.table[permutations[index][free]] = one;
          permutations[index].splice(0, free + 1);
          filled++;
        }
      }
    }
  }

  pick(_list: readonly BedDestination[], packet: BedPacket): Chosen {
    const key = client(packet, (this.#flags & SERVICE_SCHED2) !== 0);
    const slotOf = (moved: number) =>
      slowHsiphash(Number((key + BigInt(moved)) & 0xffffffffn), MAGLEV_HASH1) % MAGLEV;
    const slot = slotOf(0);
    const first = this.table[slot];
    if (first === undefined || takes(first)) return first;
    if ((this.#flags & SERVICE_SCHED1) === 0) return undefined;
    // An exhausted search takes seconds here, so the tests keep one destination that takes.
    for (let offset = 0; offset < MAGLEV; offset++) {
      const other = this.table[slotOf((offset + slot) % MAGLEV)];
      if (other === undefined || takes(other)) return other;
    }
    return undefined;
  }
}

/** The slots in the order a destination would like them. */
function permutation(destination: BedDestination): number[] {
  const key = Number(
    (BigInt(slowFold(destination.address)) + BigInt(destination.port)) & 0xffffffffn,
  );
  const offset = slowHsiphash(key, MAGLEV_HASH1) % MAGLEV;
  const skip = (slowHsiphash(key, MAGLEV_HASH2) % (MAGLEV - 1)) + 1;
  return Array.from({ length: MAGLEV }, (_, index) => (offset + index * skip) % MAGLEV);
}

function isBusy(list: readonly BedDestination[], one: BedDestination): boolean {
  return one.active > one.weight && list.some(({ active, weight }) => active * 2 < weight);
}

export class SlowLocalityBased implements SlowScheduler {
  readonly cache = new Map<string, { destination: BedDestination; lastUse: number }>();
  change = nothing;

  pick(list: readonly BedDestination[], packet: BedPacket, tick: number): Chosen {
    const key = String(packet.destination);
    const entry = this.cache.get(key);
    if (entry !== undefined) {
      entry.lastUse = tick;
      const { destination } = entry;
      if (destination.available && destination.weight > 0 && !isBusy(list, destination)) {
        return destination;
      }
    }
    const chosen = least(list.filter(takes), overhead);
    if (chosen !== undefined) this.cache.set(key, { destination: chosen, lastUse: tick });
    return chosen;
  }
}

export class SlowLocalityBasedReplication implements SlowScheduler {
  readonly cache = new Map<string, { set: BedDestination[]; changed: number; lastUse: number }>();
  readonly #expiration: number;
  change = nothing;

  constructor(expiration: number) {
    this.#expiration = expiration;
  }

  pick(list: readonly BedDestination[], packet: BedPacket, tick: number): Chosen {
    const key = String(packet.destination);
    const entry = this.cache.get(key);
    if (entry !== undefined) {
      entry.lastUse = tick;
      const usable = entry.set.filter((one) => takes(one) && one.available);
      const member = least(usable, overhead);
      if (entry.set.length > 1 && tick > entry.changed + this.#expiration) {
        const most = mostLoaded(entry.set.filter(({ weight }) => weight > 0));
        if (most !== undefined) {
          entry.set = entry.set.filter((one) => one !== most);
          entry.changed = tick;
        }
      }
      if (member !== undefined && !isBusy(list, member)) return member;
    }
    const chosen = least(list.filter(takes), overhead);
    if (chosen === undefined) return undefined;
    if (entry === undefined) {
      this.cache.set(key, { set: [chosen], changed: tick, lastUse: tick });
    } else if (!entry.set.includes(chosen)) {
      entry.set.unshift(chosen);
      entry.changed = tick;
    }
    return chosen;
  }
}

function mostLoaded(set: readonly BedDestination[]): Chosen {
  return set.reduce<Chosen>((most, one) => {
    if (most === undefined) return one;
    const more = overhead(one) * BigInt(most.weight) > overhead(most) * BigInt(one.weight);
    return more ? one : most;
  }, undefined);
}
