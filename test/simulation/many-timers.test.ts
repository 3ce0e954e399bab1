/**
 * More than a million connections whose timers come up at one tick. However many there are, a turn
 * runs only so many of them, and all connections end at last.
 */

import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import {
  COUNTER_CONNECTIONS_EXPIRED,
  COUNTER_TIMERS_LATE,
} from '../../assembly/shared/counters.ts';
import {
  CONNECTION_LAST_SEEN,
  WORKER_LINK_COUNT,
  WORKER_WHEEL_LEFT,
} from '../../assembly/shared/layout.ts';
import { TIMERS_PER_LINK_MAX } from '../../assembly/shared/limits.ts';
import { Rig } from '../../bench/data-plane/rig.ts';
import { freshBuild } from '../support/wasm.ts';

const CONNECTIONS = 1_050_000;
/** Those that a later packet has renewed: their timers come up with the others' and are put off. */
const RENEWED = 350_000;
const RENEWED_TICKS = 300;
const TIMEOUT_TICKS = 700;
/** A step of the wheel's level that holds the timers, and more than that. */
const STEP_TICKS = 100;

test('a million timers of one tick: a turn runs its share, all connections end', async () => {
  const module = await WebAssembly.compile(readFileSync(freshBuild('release')));
  const rig = new Rig({ module, connections: CONNECTIONS + 1024, hugePages: false });
  const { memory } = rig;
  rig.setTimeouts(TIMEOUT_TICKS);
  rig.connect(CONNECTIONS);
  for (let index = 1; index <= RENEWED; index++) {
    memory.u32[(memory.hot(index) + CONNECTION_LAST_SEEN) >>> 2] += RENEWED_TICKS;
  }
  const limit = TIMERS_PER_LINK_MAX * memory.u32[(memory.worker(0) + WORKER_LINK_COUNT) >>> 2];
  const counter = (index: number) => memory.u32[(memory.counters(0) + index * 8) >>> 2];
  const isBehind = () => memory.u32[(memory.worker(0) + WORKER_WHEEL_LEFT) >>> 2] !== 0;

  /** Turns at one tick until no timer is left. @returns how many, and the most that one ran */
  function catchUp(): { turns: number; most: number } {
    let turns = 0;
    let most = 0;
    do {
      const expired = counter(COUNTER_CONNECTIONS_EXPIRED);
      const late = counter(COUNTER_TIMERS_LATE);
      rig.idle();
      turns++;
      const ended = counter(COUNTER_CONNECTIONS_EXPIRED) - expired;
      most = Math.max(most, ended, counter(COUNTER_TIMERS_LATE) - late);
    } while (isBehind());
    return { turns, most };
  }

  rig.tick += TIMEOUT_TICKS + STEP_TICKS;
  const first = catchUp();
  expect(first.most).toBe(limit);
  expect(first.turns).toBe(Math.ceil(CONNECTIONS / limit));
  expect(counter(COUNTER_TIMERS_LATE)).toBe(CONNECTIONS - limit);
  expect(rig.connectionCount).toBe(RENEWED);

  rig.tick += RENEWED_TICKS;
  const second = catchUp();
  expect(second.most).toBe(limit);
  expect(rig.connectionCount).toBe(0);
});
