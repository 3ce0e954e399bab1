/**
 * The timer wheel against two slow twins: one computes the tick at which Linux's wheel would run a
 * timer, the other keeps all timers in a list. Every timer fires at exactly its tick, or at the
 * tick at which the wheel gets to run when it was idle, and never again.
 */

import { describe, expect, test } from 'vitest';
import {
  COLD_TIMER_SLOT,
  WORKER_WHEEL_CLOCK,
  WORKER_WHEEL_LEFT,
} from '../../../assembly/shared/layout.ts';
import { DataPlaneMemory } from '../../../host/memory/data-plane-memory.ts';
import { linuxTick } from '../../support/ipvs-states.ts';
import { Random, seedFromEnvironment } from '../../support/random.ts';
import { instantiate, PROBE_BUILDS, type WasmInstance } from '../../support/wasm.ts';

const SEED = seedFromEnvironment(5821);
const CONNECTIONS = 256;
const U32 = 2 ** 32;

interface Fired {
  readonly index: number;
  readonly tick: number;
}

/** Wheels of one or more workers, and the list that says when each timer is due. */
class Wheels {
  readonly memory: DataPlaneMemory;
  readonly #workers: readonly WasmInstance[];
  /** What both twins share: where the frames are, which are not used here, the due ticks lie. */
  readonly #due: number;
  readonly #notes: number;
  /** The slow twin: all timers that are set. */
  readonly #list = new Map<number, { tick: number; worker: number }>();

  constructor(memory: DataPlaneMemory, workers: readonly WasmInstance[]) {
    this.memory = memory;
    this.#workers = workers;
    this.#due = memory.frames(0);
    this.#notes = this.#due + 4 * (CONNECTIONS + 1);
  }

  set(worker: number, index: number, tick: number): void {
    this.memory.u32[(this.#due >>> 2) + index] = tick;
    this.#workers[worker].call('armTimer', index, tick >>> 0);
    this.#list.set(index, { tick: tick >>> 0, worker });
  }

  cancel(worker: number, index: number): void {
    this.#workers[worker].call('cancelTimer', index);
    this.#list.delete(index);
  }

  end(worker: number, index: number): void {
    this.#workers[worker].call('endTimer', index);
    this.#list.delete(index);
  }

  firingTick(armed: number, timeout: number): number {
    return this.#workers[0].call('firingTick', armed, timeout);
  }

  /** Changes when a timer is due, which the wheel finds out when it comes up. */
  putOff(index: number, tick: number): void {
    this.memory.u32[(this.#due >>> 2) + index] = tick;
  }

  /** Runs no more timers of a worker's wheel than a turn may. */
  runAtMost(worker: number, until: number, limit: number): Fired[] {
    const wasm = this.#workers[worker];
    const count = wasm.call('runWheelNoting', until >>> 0, limit, this.#due, this.#notes);
    return Array.from({ length: count }, (_, nth) => ({
      index: this.memory.u32[(this.#notes >>> 2) + 2 * nth],
      tick: this.memory.u32[(this.#notes >>> 2) + 2 * nth + 1],
    }));
  }

  /** Whether a turn left timers that were due. */
  isBehind(worker: number): boolean {
    return this.memory.u32[(this.memory.worker(worker) + WORKER_WHEEL_LEFT) >>> 2] !== 0;
  }

  /** Runs a worker's wheel, whose clock shows `from`, and compares it with the list. */
  run(worker: number, from: number, until: number): Fired[] {
    const fired = this.runAtMost(worker, until, U32 - 1);
    const expected: string[] = [];
    for (const [index, timer] of this.#list) {
      if (timer.worker !== worker || isAfter(timer.tick, until)) continue;
      // What was set for the past fires with the first tick that runs.
      expected.push(`${index} ${isAfter(from, timer.tick) ? from : timer.tick}`);
      this.#list.delete(index);
    }
    expect(fired.map(({ index, tick }) => `${index} ${tick}`).sort()).toEqual(expected.sort());
    expect(fired.filter(({ index }) => this.slot(index) !== 0)).toEqual([]);
    expect([...this.#list.keys()].filter((index) => this.slot(index) === 0)).toEqual([]);
    return fired;
  }

  slot(index: number): number {
    return this.memory.u32[(this.memory.cold(index) + COLD_TIMER_SLOT) >>> 2];
  }
}

/** Ticks wrap: what is less than half a turn ahead is later. */
function isAfter(tick: number, other: number): boolean {
  return ((tick - other) | 0) > 0;
}

async function createWheels(
  build: (typeof PROBE_BUILDS)[number],
  start: number,
  workers = 1,
): Promise<Wheels> {
  const sizes = { connections: CONNECTIONS, services: 2, destinations: 2, workers, links: 1 };
  const memory = DataPlaneMemory.create(
    { ...sizes, framesPerWorker: 64, ringEntries: 8, schedulerTableBytes: 0 },
    { hashSeed: 1, randomSeed: 1 },
  );
  const instances: WasmInstance[] = [];
  for (let worker = 0; worker < workers; worker++) {
    memory.u32[(memory.worker(worker) + WORKER_WHEEL_CLOCK) >>> 2] = start;
    const wasm = await instantiate(build, memory.memory, { host: { schedule: () => 0 } });
    expect(wasm.call('initialise', worker)).toBe(1);
    instances.push(wasm);
  }
  return new Wheels(memory, instances);
}

describe.each(PROBE_BUILDS)('%s', (build) => {
  test(`a firing tick is Linux's, seed ${SEED}`, async () => {
    const wheels = await createWheels(build, 0);
    const random = new Random(SEED);
    const timeouts = [0, 1, 62, 63, 64, 503, 504, 505, 4031, 4032, 32255, 32256, 90000, 132120575];
    for (let round = 0; round < 4000; round++) {
      const armed = random.below(2 ** 30);
      const timeout = random.oneIn(3)
        ? random.pick(timeouts)
        : random.below(2 ** random.between(1, 26));
      const found = wheels.firingTick(armed, timeout);
      if (found !== linuxTick(armed, timeout))
        expect(found, `${armed} ${timeout}`).toBe(linuxTick(armed, timeout));
    }
  });

  test.each([
    ['from the start', 1],
    ['at a boundary of every level', 2 ** 21 - 5],
    ['across the wrap of the clock', U32 - 3000],
  ])(`each timer fires once and at its tick, %s, seed ${SEED}`, async (_, start) => {
    const wheels = await createWheels(build, start);
    const random = new Random(SEED);
    let clock = start;
    for (let round = 0; round < 2000; round++) {
      const index = random.between(1, CONNECTIONS);
      if (random.oneIn(6)) wheels.cancel(0, index);
      else wheels.set(0, index, clock - 3 + random.below(2 ** random.between(0, 16)));
      if (random.oneIn(2)) continue;
      const until = clock + (random.oneIn(30) ? random.below(9000) : random.below(12));
      wheels.run(0, clock >>> 0, until);
      clock = until + 1;
    }
    expect(clock).toBeGreaterThan(start + 10_000);
    wheels.run(0, clock >>> 0, clock + 200_000);
  });

  test(`a connection's timer fires at Linux's tick however long the wheel was idle`, async () => {
    const wheels = await createWheels(build, 1);
    const random = new Random(SEED);
    const due = new Map<number, number>();
    let now = 0;
    for (let round = 0; round < 1500; round++) {
      const index = random.between(1, CONNECTIONS);
      const timeout = random.pick([1, 100, 200, 300, 400, 1000, 3000, 6000, 6100, 12000, 90000]);
      wheels.set(0, index, wheels.firingTick(now, timeout));
      due.set(index, linuxTick(now, timeout));
      const until = now + random.below(random.oneIn(50) ? 20000 : 40);
      for (const fired of wheels.run(0, now + 1, until)) {
        expect(fired.tick, `seed ${SEED}`).toBe(due.get(fired.index));
      }
      now = until;
    }
  });

  test(`timers move between the wheels of workers, seed ${SEED}`, async () => {
    const wheels = await createWheels(build, 1, 3);
    const random = new Random(SEED);
    const clocks = [1, 1, 1];
    let now = 0;
    for (let round = 0; round < 3000; round++) {
      const worker = random.below(3);
      const index = random.between(1, 40);
      if (random.oneIn(5)) wheels.cancel(worker, index);
      else wheels.set(worker, index, now + random.between(1, 300));
      if (!random.oneIn(4)) continue;
      now += random.below(20);
      // A worker that sleeps for a while is behind the others.
      const which = random.below(3);
      wheels.run(which, clocks[which], now);
      clocks[which] = now + 1;
    }
  });

  test('a timer put off by a whole round of the finest level waits for it', async () => {
    const wheels = await createWheels(build, 1);
    wheels.set(0, 7, 10);
    wheels.putOff(7, 10 + 64);
    expect(wheels.runAtMost(0, 73, U32 - 1)).toEqual([]);
    expect(wheels.runAtMost(0, 500, U32 - 1)).toEqual([{ index: 7, tick: 74 }]);
  });

  test.each([1, 5, 16, 17, 40])('turns of %i timers: order and ticks of one', async (limit) => {
    const random = new Random(SEED + limit);
    const [whole, limited] = [await createWheels(build, 1), await createWheels(build, 1)];
    let until = 0;
    for (let round = 0; round < 60; round++) {
      for (let times = random.below(200); times > 0; times--) {
        const index = random.between(1, CONNECTIONS);
        const tick = until + 1 + random.below(2 ** random.between(0, 12));
        // Many on one coarse step.
        const fires = random.oneIn(3) ? tick : (tick | 63) + 1;
        for (const wheels of [whole, limited]) wheels.set(0, index, fires);
      }
      until += random.below(200);
      const expected = whole.runAtMost(0, until, U32 - 1);
      expect(whole.isBehind(0)).toBe(false);
      const fired: Fired[] = [];
      do {
        const some = limited.runAtMost(0, until, limit);
        expect(some.length).toBeLessThanOrEqual(limit);
        fired.push(...some);
      } while (limited.isBehind(0));
      expect(fired, `seed ${SEED}`).toEqual(expected);
    }
  });

  test('a timer that has ended is set by nobody', async () => {
    const wheels = await createWheels(build, 1, 2);
    wheels.set(0, 7, 10);
    wheels.end(1, 7);
    for (const worker of [0, 1]) {
      wheels.set(worker, 7, 11);
      wheels.end(worker, 7);
      wheels.run(worker, 1, 500);
    }
    expect(wheels.slot(7)).toBe(U32 - 1);
  });
});
