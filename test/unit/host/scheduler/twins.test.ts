// Every scheduler against its slow twin, over random lives of a service: connections come and go,
// thresholds are passed, weights are edited, destinations are added, deleted and added again.

import { describe, expect, test } from 'vitest';
import {
  PROTOCOL_ESP,
  PROTOCOL_SCTP,
  PROTOCOL_TCP,
  PROTOCOL_UDP,
  SERVICE_SCHED1,
  SERVICE_SCHED2,
} from '../../../../assembly/shared/codes.ts';
import { PACKET_ICMP_ERROR, SYSCTL_LBLCR_EXPIRATION } from '../../../../assembly/shared/layout.ts';
import { schedulerByName } from '../../../../host/scheduler/registry.ts';
import { type SeededRandom, withSeeds } from './seeded.ts';
import { BedMemory, type BedPacket, ServiceBed } from './service-bed.ts';
import {
  SlowDestinationHash,
  SlowLeastConnection,
  SlowLocalityBased,
  SlowLocalityBasedReplication,
  SlowMaglev,
  SlowNeverQueue,
  SlowRoundRobin,
  type SlowScheduler,
  SlowShortestExpectedDelay,
  SlowSourceHash,
  SlowWeightedFailover,
  SlowWeightedLeastConnection,
  SlowWeightedOverflow,
  SlowWeightedRoundRobin,
} from './slow-schedulers.ts';

const LBLCR_EXPIRATION = 500;

interface Case {
  readonly name: string;
  readonly flags?: number;
  readonly seeds: number;
  readonly steps: number;
  readonly twin: () => SlowScheduler;
}

const BOTH = SERVICE_SCHED1 | SERVICE_SCHED2;

const CASES: readonly Case[] = [
  { name: 'rr', seeds: 30, steps: 300, twin: () => new SlowRoundRobin() },
  { name: 'wrr', seeds: 60, steps: 300, twin: () => new SlowWeightedRoundRobin() },
  { name: 'lc', seeds: 30, steps: 200, twin: () => new SlowLeastConnection() },
  { name: 'wlc', seeds: 30, steps: 200, twin: () => new SlowWeightedLeastConnection() },
  { name: 'sed', seeds: 30, steps: 200, twin: () => new SlowShortestExpectedDelay() },
  { name: 'nq', seeds: 30, steps: 200, twin: () => new SlowNeverQueue() },
  { name: 'fo', seeds: 20, steps: 200, twin: () => new SlowWeightedFailover() },
  { name: 'ovf', seeds: 20, steps: 200, twin: () => new SlowWeightedOverflow() },
  { name: 'dh', seeds: 20, steps: 200, twin: () => new SlowDestinationHash() },
  { name: 'sh', seeds: 20, steps: 200, twin: () => new SlowSourceHash(0) },
  {
    name: 'sh',
    flags: SERVICE_SCHED1,
    seeds: 20,
    steps: 200,
    twin: () => new SlowSourceHash(SERVICE_SCHED1),
  },
  {
    name: 'sh',
    flags: SERVICE_SCHED2,
    seeds: 20,
    steps: 200,
    twin: () => new SlowSourceHash(SERVICE_SCHED2),
  },
  { name: 'sh', flags: BOTH, seeds: 20, steps: 200, twin: () => new SlowSourceHash(BOTH) },
  { name: 'mh', seeds: 4, steps: 60, twin: () => new SlowMaglev(0) },
  { name: 'mh', flags: BOTH, seeds: 4, steps: 60, twin: () => new SlowMaglev(BOTH) },
  { name: 'lblc', seeds: 40, steps: 300, twin: () => new SlowLocalityBased() },
  {
    name: 'lblcr',
    seeds: 40,
    steps: 300,
    twin: () => new SlowLocalityBasedReplication(LBLCR_EXPIRATION),
  },
];

const WEIGHTS: readonly (readonly number[])[] = [
  [1, 2, 3, 4],
  [0, 0, 1],
  [2, 4, 6, 0],
  [10, 50, 100],
  [1, 65535, 0],
  [2147483647, 1, 1000],
];

describe.each(CASES)('$name (flags $flags) against its slow twin', (each) => {
  test.each([4, 6] as const)('random lives of an IPv%i service: the same choices', (family) => {
    const scheduler = schedulerByName(each.name);
    if (scheduler === undefined) throw new Error(`no scheduler ${each.name}`);
    const ids = new BedMemory();
    withSeeds(each.seeds, (random) => {
      const bed = new ServiceBed(ids, scheduler, { flags: each.flags ?? 0, family });
      bed.memory.u32[(bed.tables.bank + SYSCTL_LBLCR_EXPIRATION) >>> 2] = LBLCR_EXPIRATION;
      live(bed, each, random);
    });
  });
});

function live(bed: ServiceBed, { twin, steps, name }: Case, random: SeededRandom): void {
  const slow = twin();
  // The slow walk over all levels of wrr needs levels that can be walked.
  const choices = name === 'wrr' ? WEIGHTS.slice(0, 4) : WEIGHTS;
  const weights = random.of(choices);
  const serverCount = 1 + random.below(random.once(2) ? 3 : 12);
  // Restless lives pass thresholds so often that at times nobody takes connections.
  const quiet = random.of([8, 40]);
  const big = random.once(4);
  const addresses = Array.from({ length: 12 }, () => random.bytes(bed.family === 6 ? 16 : 4));
  const deleted: typeof bed.destinations = [];
  let tick = random.below(2 ** 31);
  slow.change('bind', [], undefined, -1);
  for (let step = 0; step < steps; step++) {
    const some = random.of(bed.destinations);
    const kind = random.below(bed.destinations.length < serverCount ? 8 : quiet);
    if (kind <= 2 && bed.destinations.length < serverCount) {
      const again = random.once(2) ? deleted.pop() : undefined;
      if (again === undefined) {
        const address = random.bytes(bed.family === 6 ? 16 : 4);
        bed.add(random.of(weights), { address, port: random.below(65536) });
      } else bed.addAgain(again);
      slow.change('add', bed.destinations, bed.destinations[0], 0);
    } else if (kind === 3 && some !== undefined && bed.destinations.length > 1) {
      const position = bed.destinations.indexOf(some);
      bed.delete(some);
      deleted.push(some);
      slow.change('delete', bed.destinations, some, position);
    } else if (kind === 4 && some !== undefined) {
      const weight = random.of(weights);
      bed.edit(some, weight);
      slow.change('update', bed.destinations, some, bed.destinations.indexOf(some));
    } else if (kind === 5 && some !== undefined) {
      bed.overload(some, random.once(2));
    } else if (kind === 6 && some !== undefined) {
      bed.load(some, random.below(big ? 2 ** 24 : 12), random.below(big ? 2 ** 30 : 1000));
    } else {
      tick = (tick + random.below(50)) >>> 0;
      bed.setTick(tick);
      // mh's twin would hash for seconds when nobody takes connections.
      if (name === 'mh' && !bed.destinations.some((one) => one.weight > 0 && !one.overloaded)) {
        continue;
      }
      const packet = randomPacket(random, addresses);
      const expected = slow.pick(bed.destinations, packet, tick);
      const chosen = bed.pick(packet);
      expect(chosen, `step ${step}`).toBe(expected?.id ?? 0);
      if (expected !== undefined) bed.load(expected, expected.active + 1, expected.inactive);
    }
  }
}

function randomPacket(random: SeededRandom, addresses: readonly Uint8Array[]): BedPacket {
  return {
    source: random.of(addresses),
    destination: random.of(addresses),
    sourcePort: random.below(65536),
    destinationPort: random.below(65536),
    protocol: random.of([PROTOCOL_TCP, PROTOCOL_UDP, PROTOCOL_SCTP, PROTOCOL_ESP]),
    flags: random.once(5) ? PACKET_ICMP_ERROR : 0,
  };
}
