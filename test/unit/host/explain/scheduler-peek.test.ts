// A look at what a scheduler would choose, against the choice itself: for every scheduler, beds
// that change at random. The look comes first and must leave the memory as it was.

import { describe, expect, test } from 'vitest';
import { parseQuestion } from '../../../../host/explain/question.ts';
import { SchedulerPeek } from '../../../../host/explain/scheduler-peek.ts';
import { schedulerByName, schedulerNames } from '../../../../host/scheduler/registry.ts';
import { formatAddress } from '../../../../host/tables/address-text.ts';
import { Random, seedFromEnvironment } from '../../../support/random.ts';
import { BedMemory, ServiceBed } from '../scheduler/service-bed.ts';

const SEED = seedFromEnvironment(20_261_122);
const BEDS = 6;
const STEPS = 150;

const memory = new BedMemory();
const peek = new SchedulerPeek(memory.memory);

/** A few addresses, so that the caches of lblc and lblcr are asked again. */
function address(family: 4 | 6, number: number): Uint8Array {
  const bytes = new Uint8Array(family === 4 ? 4 : 16);
  bytes.set([192, 0, 2, number]);
  return bytes;
}

function endText(bytes: Uint8Array, port: number): string {
  const text = formatAddress(bytes, 0, bytes.length === 4 ? 4 : 16);
  return bytes.length === 4 ? `${text}:${port}` : `[${text}]:${port}`;
}

function change(bed: ServiceBed, random: Random): void {
  const destination = bed.destinations.length > 0 ? random.pick(bed.destinations) : undefined;
  const what = random.below(destination === undefined ? 1 : 6);
  if (what === 0 && bed.destinations.length < 14) bed.add(random.below(6));
  if (destination === undefined) return;
  if (what === 1 && bed.destinations.length > 2) bed.delete(destination);
  if (what === 2) bed.edit(destination, random.below(6));
  if (what >= 3) bed.load(destination, random.below(12), random.below(50));
  if (what === 5) bed.overload(destination, random.oneIn(2));
}

describe.each(schedulerNames)(`%s, seed ${SEED}`, (name) => {
  test('the look sees what the next choice is, and moves nothing', () => {
    const chosen = new Set<number>();
    for (let number = 0; number < BEDS; number++) {
      const random = new Random(SEED + number);
      const family = random.pick([4, 6] as const);
      const flags = random.below(4) * 8;
      const bed = new ServiceBed(memory, schedulerByName(name)!, { family, flags });
      for (let step = 0; step < STEPS; step++) {
        change(bed, random);
        bed.setTick(step * random.pick([1, 1000]));
        const source = address(family, random.below(40));
        const destination = address(family, random.below(4));
        const sourcePort = random.u16();
        const question = parseQuestion({
          protocol: 'tcp',
          client: endText(source, sourcePort),
          virtual: endText(destination, 80),
        });
        const before = snapshot(bed);
        const seen = peek.choose(bed.service, question);
        expect(snapshot(bed).equals(before)).toBe(true);
        const picked = bed.pick({ source, destination, sourcePort, destinationPort: 80 });
        expect(seen, `bed ${number}, step ${step}`).toBe(picked);
        chosen.add(picked);
      }
    }
    expect(chosen.size).toBeGreaterThan(3);
  });
});

/** What a choice could move: the service's state, the worker's, the destinations', the caches. */
function snapshot(bed: ServiceBed): Buffer {
  const { u8, map } = memory.memory;
  const state = memory.memory.serviceState(bed.service);
  const worker = memory.memory.worker(0);
  const { locality, side, destinationState } = map.regions;
  return Buffer.concat([
    u8.slice(state, state + 64),
    u8.slice(worker, worker + 256),
    u8.slice(destinationState, destinationState + 64 * 1024),
    u8.slice(locality, Math.min(side, locality + 64 * 512)),
  ]);
}
