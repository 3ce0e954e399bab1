// The control core against lists and maps, through random commands: what it lists and what it
// publishes must be what the commands that were accepted say.

import { describe, expect, it } from 'vitest';
import { DESTINATION_AVAILABLE } from '../../../../assembly/shared/codes.ts';
import {
  DESTINATION_FAMILY,
  DESTINATION_SERVICE,
  DESTINATION_STATE_FLAGS,
  DESTINATION_WEIGHT,
  SERVICE_DESTINATION_COUNT,
  SERVICE_DESTINATION_LIST,
} from '../../../../assembly/shared/layout.ts';
import type { ServiceKey } from '../../../../host/ipvs/types.ts';
import { Random, seedFromEnvironment } from '../../../support/random.ts';
import { codeOf, Fixture, OPTIONS, SERVER, server } from './control-fixture.ts';

const seed = seedFromEnvironment(31);

/** Newest first, as the commands left it. */
type Twin = Map<number, { number: number; weight: number }[]>;

function serviceKey(index: number): ServiceKey {
  if (index < 2) return { family: 4, mark: index + 1 };
  return {
    family: 4,
    protocol: index % 2 === 0 ? 'tcp' : 'udp',
    address: '192.0.2.80',
    port: index,
  };
}

/** One random command, given to the control core and to the twin; their answers must agree. */
function command(fixture: Fixture, twin: Twin, random: Random): void {
  const index = random.below(6);
  const key = serviceKey(index);
  const list = twin.get(index);
  const number = random.between(1, 5);
  const at = list?.findIndex((entry) => entry.number === number) ?? -1;
  const weight = random.below(4);
  const { control } = fixture;
  switch (random.below(7)) {
    case 0:
      expect(codeOf(() => control.addService(key, OPTIONS))).toBe(list ? 'EEXIST' : '');
      if (list === undefined) twin.set(index, []);
      break;
    case 1:
      if (!random.oneIn(4)) break;
      expect(codeOf(() => control.deleteService(key))).toBe(list ? '' : 'ESRCH');
      twin.delete(index);
      break;
    case 2:
    case 3:
    case 4: {
      const expected = list === undefined ? 'ESRCH' : at < 0 ? '' : 'EEXIST';
      const add = () => control.addDestination(key, server(number), { ...SERVER, weight });
      expect(codeOf(add)).toBe(expected);
      if (list !== undefined && at < 0) list.unshift({ number, weight });
      break;
    }
    case 5: {
      const expected = list === undefined ? 'ESRCH' : at < 0 ? 'ENOENT' : '';
      const edit = () => control.editDestination(key, server(number), { ...SERVER, weight });
      expect(codeOf(edit)).toBe(expected);
      if (list !== undefined && at >= 0) list[at].weight = weight;
      break;
    }
    default: {
      const expected = list === undefined ? 'ESRCH' : at < 0 ? 'ENOENT' : '';
      expect(codeOf(() => control.deleteDestination(key, server(number)))).toBe(expected);
      if (list !== undefined && at >= 0) list.splice(at, 1);
    }
  }
}

function check(fixture: Fixture, twin: Twin): void {
  const { memory, control } = fixture;
  const bank = memory.activeBank();
  expect(control.services()).toHaveLength(twin.size);
  const listed = new Set<number>();
  for (const [index, list] of twin) {
    const key = serviceKey(index);
    expect(fixture.list(key)).toEqual(list.map(({ number }) => number));
    const entries = control.destinations(key);
    const { id } = control.service(key)!;
    const record = memory.service(bank, id);
    const count = memory.u32[(record + SERVICE_DESTINATION_COUNT) >>> 2];
    const start = (bank + memory.u32[(record + SERVICE_DESTINATION_LIST) >>> 2]) >>> 2;
    expect([...memory.u32.subarray(start, start + count)]).toEqual(
      entries.map((entry) => entry.id),
    );
    for (const [position, entry] of entries.entries()) {
      const destination = memory.destination(bank, entry.id);
      expect(memory.u32[(destination + DESTINATION_SERVICE) >>> 2]).toBe(id);
      expect(memory.i32[(destination + DESTINATION_WEIGHT) >>> 2]).toBe(list[position].weight);
      expect(listed.has(entry.id)).toBe(false);
      listed.add(entry.id);
    }
  }
  const ids = Array.from({ length: memory.map.destinationRecords - 1 }, (_, index) => index + 1);
  const available = ids.filter((id) => {
    const flags = memory.u32[(memory.destinationState(id) + DESTINATION_STATE_FLAGS) >>> 2];
    return (flags & DESTINATION_AVAILABLE) !== 0;
  });
  expect(available).toEqual([...listed].sort((a, b) => a - b));
  const published = ids.filter((id) => {
    return memory.u8[memory.destination(bank, id) + DESTINATION_FAMILY] !== 0;
  });
  expect(published).toEqual(ids.filter((id) => control.destinationById(id) !== undefined));
}

describe(`random commands (seed ${seed})`, () => {
  for (let round = 0; round < 10; round++) {
    it(`round ${round}`, () => {
      const random = new Random(seed + round);
      const fixture = new Fixture();
      const twin: Twin = new Map();
      let now = 0;
      for (let step = 0; step < 300; step++) {
        if (random.oneIn(5)) {
          fixture.control.batch(() => {
            for (let count = 0; count < 5; count++) command(fixture, twin, random);
          });
        } else {
          command(fixture, twin, random);
        }
        if (random.oneIn(10)) {
          now += random.below(100_000);
          fixture.control.tick(now);
        }
        if (random.oneIn(8)) check(fixture, twin);
      }
    });
  }
});
