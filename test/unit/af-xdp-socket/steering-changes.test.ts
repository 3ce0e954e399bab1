// Changes of what is steered against a slow twin: after any sequence of changes, refused ones and
// ones that break off among them, the kernel's maps hold what a publish of the whole puts there.

import type {
  SteeredEndpoint,
  SteeringCapacity,
  SteeringChanges,
  SteeringTables,
} from 'af-xdp-socket';
import { beforeAll, expect, test } from 'vitest';
import { Random, seedFromEnvironment } from '../../support/random.ts';
import {
  type Helpers,
  Namespace,
  removeNamespacesAfterwards,
  skipUnlessPossible,
} from './namespace.ts';

const possible = skipUnlessPossible();
removeNamespacesAfterwards();

const SEED = seedFromEnvironment(20_261_121);
const SEQUENCES = 8;
const CHANGES = 20;
// Few addresses with many ports: they go from their own entries into the table and back.
// The second and the third share a place in the array in front of that, as do the first and the last.
const ADDRESSES = ['10.0.0.1', '10.0.0.2', '10.0.81.49', '2001:db8::1', 'a00:1::'];
const PORTS = [0, 1, 2, 3, 4, 5, 6];
const CAPACITY = { services: 20, realServers: 20, addresses: 5, marks: 2 };

type List = 'services' | 'realServers' | 'tunnels';

/** What happens to a program: changes, and how many writes to its maps work before one fails. */
interface Step {
  readonly changes: SteeringChanges;
  readonly writes?: number;
}

function endpoint(random: Random): SteeredEndpoint {
  const address = random.pick(ADDRESSES);
  if (random.oneIn(6)) return { address, protocol: 'any', port: 0 };
  return { address, protocol: random.pick(['tcp', 'udp'] as const), port: random.pick(PORTS) };
}

function lists(random: Random, most: number): Pick<SteeringTables, List> {
  return {
    services: random.several(most, () => endpoint(random)),
    realServers: random.several(most, () => endpoint(random)),
    tunnels: random.several(2, () => {
      const address = random.pick(ADDRESSES);
      return random.oneIn(2) ? { address } : { address, guePort: random.pick([80, 81]) };
    }),
  };
}

function randomStep(random: Random): Step {
  const most = random.pick([1, 3, 12]);
  const changes: SteeringChanges = { added: lists(random, most), removed: lists(random, most) };
  if (random.oneIn(4)) {
    changes.localAddresses = random.several(3, () => random.pick(ADDRESSES));
  }
  if (random.oneIn(4)) {
    changes.fullNat = random.several(2, () => ({
      address: random.pick(ADDRESSES),
      ports: [random.pick([[1, 2] as const, [5, 9] as const])],
    }));
  }
  if (random.oneIn(4)) {
    const destinations = ['10.0.0.0/8', '10.0.0.0/24', '2001:db8::/32'];
    changes.marks = random.several(3, () => ({
      destination: random.pick(destinations),
      protocol: 'tcp' as const,
    }));
  }
  if (random.oneIn(8)) changes.added = { realServers: [{ ...endpoint(random), port: -1 }] };
  return random.oneIn(5) ? { changes, writes: random.below(6) } : { changes };
}

let net: Namespace;
beforeAll(() => {
  if (possible) net = new Namespace();
});

test(`changes come to the same as the whole (seed ${SEED})`, { timeout: 60_000 }, async () => {
  const random = new Random(SEED);
  const sequences = Array.from({ length: SEQUENCES }, () =>
    Array.from({ length: CHANGES }, () => randomStep(random)),
  );
  const results = await net.run(compare, { addresses: ADDRESSES, capacity: CAPACITY, sequences });
  for (const { index, found, wanted } of results.flat()) {
    expect(found, JSON.stringify({ seed: SEED, index })).toEqual(wanted);
  }
  // Otherwise the changes would not reach what they should test.
  const kinds = new Set(results.flat().map(({ kind }) => kind));
  expect(kinds).toEqual(new Set(['published', 'refused', 'broken off']));
  const tables = new Set(results.flat().flatMap(({ found }) => found.map(([table]) => table)));
  expect(tables).toEqual(
    new Set(['services', 'real_servers', 'addresses', 'address_slots', 'marks']),
  );
});

/** Runs in the namespace. What the program's maps hold after each step, and what they should. */
function compare(
  { xdp, thrown }: Helpers,
  {
    addresses,
    capacity,
    sequences,
  }: { addresses: string[]; capacity: SteeringCapacity; sequences: Step[][] },
) {
  type Program = ReturnType<typeof xdp.Steering.load>;
  type List = 'services' | 'realServers' | 'tunnels';
  const bankAt = { services: 19, real_servers: 19, addresses: 16, marks: 4 };
  const written = [...Object.keys(bankAt), 'address_slots'];
  const places = usedPlaces();

  /** Where the addresses of these tests stand in the array in front of their table. */
  function usedPlaces(): readonly number[] {
    const steering = xdp.Steering.load();
    steering.publish({ localAddresses: addresses });
    const half = steering.program.maps.address_slots!.maxEntries / 2;
    const indexes = Array.from({ length: half }, (_, index) => index);
    const used = indexes.filter((index) => placeOf(steering, index) !== undefined);
    steering.close();
    return used;
  }

  /** What is at a place in the bank in force, undefined for nothing. */
  function placeOf({ program: { maps } }: Program, index: number): string | undefined {
    const slots = maps.address_slots!;
    const key = Buffer.alloc(4);
    key.writeUInt32LE(index + bankOf(maps) * (slots.maxEntries / 2));
    const value = Buffer.from(slots.lookup(key)!);
    return value.every((byte) => byte === 0) ? undefined : value.toString('hex');
  }

  function bankOf(maps: Program['program']['maps']): number {
    return maps.control!.lookup(new Uint8Array(4))![0]! & 1;
  }

  /** Entries of the bank in force. */
  function contents(steering: Program): [string, string, string][] {
    const { maps } = steering.program;
    const bank = bankOf(maps);
    const slots = places.flatMap((index): [string, string, string][] => {
      const value = placeOf(steering, index);
      return value === undefined ? [] : [['address_slots', String(index), value]];
    });
    const others = Object.entries(bankAt).flatMap(([name, at]) => {
      const keys = Array.from(maps[name]!.keys()).filter((key) => (key[at]! & 1) === bank);
      const entries = keys.map((key): [string, string, string] => {
        const value = Buffer.from(maps[name]!.lookup(key)!).toString('hex');
        key[at]! &= ~1;
        return [name, Buffer.from(key).toString('hex'), value];
      });
      return entries.sort(([, one], [, other]) => (one < other ? -1 : 1));
    });
    return [...slots, ...others];
  }

  /** Lets that many writes through, and fails after half of the next one. */
  function breaking({ program: { maps } }: Program, writes: number, act: () => unknown): unknown {
    let left = writes;
    for (const name of written) {
      const map = maps[name]!;
      const { updateBatch } = map;
      map.updateBatch = (keys, values, count) => {
        const some = left > 0 ? count : count >> 1;
        const [keyBytes, valueBytes] = [some * map.keyLength, some * map.lookupLength];
        updateBatch.call(map, keys.subarray(0, keyBytes), values.subarray(0, valueBytes), some);
        if (left-- === 0) throw new Error('broken off');
      };
    }
    try {
      return act();
    } finally {
      for (const name of written) Reflect.deleteProperty(maps[name]!, 'updateBatch');
    }
  }

  /** The slow way: the whole tables after a change. */
  function applied(tables: SteeringTables, changes: SteeringChanges): SteeringTables {
    const { added = {}, removed = {}, ...replaced } = changes;
    const next: SteeringTables = { ...tables, ...replaced };
    for (const list of ['services', 'realServers', 'tunnels'] as List[]) {
      const gone = new Set((removed[list] ?? []).map((item) => JSON.stringify(item)));
      const now: readonly unknown[] = tables[list] ?? [];
      const kept = now.filter((item) => !gone.has(JSON.stringify(item)));
      Object.assign(next, { [list]: [...kept, ...(added[list] ?? [])] });
    }
    return next;
  }

  return sequences.map((steps) => {
    const steering = xdp.Steering.load({ capacity });
    const twin = xdp.Steering.load({ capacity });
    let tables: SteeringTables = {};
    const results = steps.map(({ changes, writes }, index) => {
      const next = applied(tables, changes);
      const publish = () => steering.publishChanges(changes);
      const act = writes === undefined ? publish : () => breaking(steering, writes, publish);
      const error = thrown(act);
      const breaksOff = error?.message === 'broken off';
      // Whatever is refused as a change is refused as a whole, and the other way round.
      const refusal = breaksOff ? null : thrown(() => twin.publish(next));
      const isSame = breaksOff || (error === null) === (refusal === null);
      if (error === null) tables = next;
      return {
        index,
        kind: error === null ? 'published' : breaksOff ? 'broken off' : 'refused',
        found: contents(steering),
        wanted: isSame ? contents(twin) : [error?.message, refusal?.message],
      };
    });
    steering.close();
    twin.close();
    return results;
  });
}
