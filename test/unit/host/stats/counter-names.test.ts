import { describe, expect, it } from 'vitest';
import * as counters from '../../../../assembly/shared/counters.ts';
import { DataPlaneMemory } from '../../../../host/memory/data-plane-memory.ts';
import {
  COUNTER_NAMES,
  counterName,
  namedCounters,
  readCounters,
} from '../../../../host/stats/counter-names.ts';

const MARKS = new Set(['DROP_FIRST', 'COUNTERS_END']);
const CONSTANTS = Object.entries(counters).filter(([name]) => !MARKS.has(name));

describe('counter names', () => {
  it('there is one for each counter and none for anything else', () => {
    expect(COUNTER_NAMES).toHaveLength(counters.COUNTERS_END);
    const named = COUNTER_NAMES.flatMap((name, index) => (name === '' ? [] : [index]));
    expect(named).toEqual(CONSTANTS.map(([, index]) => index).sort((a, b) => a - b));
  });

  it('no two are the same, and each is lower-case words', () => {
    const names = COUNTER_NAMES.filter((name) => name !== '');
    expect(new Set(names).size).toBe(names.length);
    for (const name of names) expect(name).toMatch(/^[a-z0-9]+(-[a-z0-9]+)*$/);
  });

  it.each(CONSTANTS)('%s is named as a drop exactly when it is one', (constant, index) => {
    expect(counterName(index).startsWith('drop-')).toBe(constant.startsWith('DROP_'));
  });

  it('a number without a counter', () => {
    expect(counterName(20)).toBe('unknown-20');
    expect(counterName(5000)).toBe('unknown-5000');
  });
});

it('counters are summed over all workers', () => {
  const memory = DataPlaneMemory.create({
    connections: 8,
    services: 4,
    destinations: 4,
    workers: 3,
  });
  for (let worker = 0; worker < 3; worker++) {
    memory.u64[memory.counters(worker) / 8 + counters.DROP_NO_ROUTE] = 2n ** 33n + BigInt(worker);
  }
  expect(readCounters(memory)[counters.DROP_NO_ROUTE]).toBe(3 * 2 ** 33 + 3);
  expect(namedCounters(memory).get('drop-no-route-to-destination')).toBe(3 * 2 ** 33 + 3);
  expect(namedCounters(memory).get('packets-received')).toBe(0);
});
