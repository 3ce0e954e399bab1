import type { SteeredEndpoint, SteeringChanges } from 'af-xdp-socket';
import { beforeEach, describe, expect, test } from 'vitest';
import {
  FORWARD_DIRECT_ROUTE,
  FORWARD_FULL_NAT,
  FORWARD_NAT,
  FORWARD_TUNNEL,
  TUNNEL_GUE,
} from '../../../../assembly/shared/codes.ts';
import { SteeringOrder } from '../../../../host/director/steering-order.ts';
import {
  type SteeringSurroundings,
  steeringTables,
} from '../../../../host/director/steering-tables.ts';
import type { DestinationWay, ServiceWays } from '../../../../host/ipvs/control.ts';
import { serviceName } from '../../../../host/ipvs/model.ts';
import type { ServiceKey } from '../../../../host/ipvs/types.ts';
import { Random, seedFromEnvironment } from '../../../support/random.ts';

const SEED = seedFromEnvironment(20_261_122);
const LISTS = ['services', 'realServers', 'tunnels'] as const;

const WEB: ServiceKey = { family: 4, protocol: 'tcp', address: '192.0.2.80', port: 80 };
const OTHER: ServiceKey = { ...WEB, port: 81 };
const POOL: SteeringSurroundings['pool'] = {
  addresses: [{ family: 4, address: '10.0.0.9' }],
  portRanges: [
    [1024, 32767],
    [1, 0],
  ],
};

function server(address: string, fields: Partial<DestinationWay> = {}): DestinationWay {
  const key = { family: 4, address, port: 80 } as const;
  return { key, forwarding: FORWARD_NAT, tunnelType: 0, tunnelPort: 0, ...fields };
}

const endpoint = (address: string) => ({ address, protocol: 'tcp', port: 80 }) as SteeredEndpoint;

/** What is configured, by serviceName(). */
let configured: Map<string, ServiceWays>;
let surroundings: SteeringSurroundings;
/** What has been published, the last last, and what it has come to. */
let published: SteeringChanges[];
let inForce: Record<string, unknown[]>;
let order: SteeringOrder;
let works: boolean;

beforeEach(() => {
  configured = new Map();
  surroundings = { marks: [], pool: POOL, addresses: [] };
  published = [];
  inForce = {};
  works = true;
  order = new SteeringOrder({
    waysOf: (key) => configured.get(serviceName(key)),
    surroundings: () => surroundings,
    publish: (changes) => {
      if (!works) return false;
      published.push(changes);
      inForce = withChanges(inForce, changes);
      return true;
    },
  });
});

/** Lists after a change, each in the order of its items' words. */
function withChanges(
  tables: Record<string, unknown[]>,
  { added = {}, removed = {}, ...replaced }: SteeringChanges,
): Record<string, unknown[]> {
  const next = { ...tables, ...(replaced as Record<string, unknown[]>) };
  for (const list of LISTS) {
    const gone = new Set((removed[list] ?? []).map((item) => JSON.stringify(item)));
    const kept = (tables[list] ?? []).filter((item) => !gone.has(JSON.stringify(item)));
    next[list] = sorted([...kept, ...(added[list] ?? [])]);
  }
  return next;
}

function sorted(items: readonly unknown[]): unknown[] {
  const word = (item: unknown) => JSON.stringify(item);
  return items.toSorted((one, other) => (word(one) < word(other) ? -1 : 1));
}

function put(key: ServiceKey, destinations: readonly DestinationWay[] | undefined): void {
  if (destinations === undefined) configured.delete(serviceName(key));
  else configured.set(serviceName(key), { service: { key }, destinations });
  order.note(key);
}

/** What is published around one publication of the workers' tables. */
function publication(): SteeringChanges[] {
  const before = published.length;
  order.before();
  order.after();
  return published.slice(before);
}

describe('around the tables of the workers', () => {
  beforeEach(() => {
    put(WEB, [server('10.0.0.1')]);
    order.before();
    expect(published).toEqual([]);
    order.after();
  });

  test('the first time: once, afterwards', () => {
    const { address, port } = WEB as { address: string; port: number };
    expect(published).toEqual([
      {
        added: {
          services: [{ address, protocol: 'tcp', port }],
          realServers: [endpoint('10.0.0.1')],
        },
      },
    ]);
  });

  test('a new server: before, and that was it', () => {
    put(WEB, [server('10.0.0.2'), server('10.0.0.1')]);
    order.before();
    expect(published.at(-1)?.added?.realServers).toEqual([endpoint('10.0.0.2')]);
    const count = published.length;
    order.after();
    expect(published).toHaveLength(count);
  });

  test('a server goes: not before the workers know', () => {
    put(WEB, []);
    const count = published.length;
    order.before();
    expect(published).toHaveLength(count);
    order.after();
    expect(published.at(-1)).toEqual({ removed: { realServers: [endpoint('10.0.0.1')] } });
  });

  test('one for another, with a new service: both servers in between, the old services', () => {
    put(WEB, undefined);
    put(OTHER, [server('10.0.0.2'), server('10.0.0.3', { forwarding: FORWARD_TUNNEL })]);
    expect(publication()).toEqual([
      { added: { realServers: [endpoint('10.0.0.2')], tunnels: [{ address: '10.0.0.3' }] } },
      {
        added: { services: [{ ...endpoint('192.0.2.80'), port: 81 }] },
        removed: { services: [endpoint('192.0.2.80')], realServers: [endpoint('10.0.0.1')] },
      },
    ]);
  });

  test('the first server by full-nat: the pool comes before; the last goes: it goes after', () => {
    put(WEB, [server('10.0.0.1', { forwarding: FORWARD_FULL_NAT })]);
    const fullNat = [{ address: '10.0.0.9', ports: [[1024, 32767]] }];
    expect(publication()).toEqual([{ added: { realServers: [], tunnels: [] }, fullNat }]);
    put(WEB, [server('10.0.0.1')]);
    order.before();
    expect(inForce.fullNat).toEqual(fullNat);
    order.after();
    expect(inForce.fullNat).toEqual([]);
  });

  test('a server of another service as well: it stays until the last of them goes', () => {
    put(OTHER, [server('10.0.0.1')]);
    publication();
    put(WEB, undefined);
    publication();
    expect(inForce.realServers).toEqual([endpoint('10.0.0.1')]);
    put(OTHER, undefined);
    publication();
    expect(inForce.realServers).toEqual([]);
  });

  test('nothing that is steered changed: nothing is published', () => {
    put(WEB, [server('10.0.0.1')]);
    expect(publication()).toEqual([]);
  });

  test('it could not be published: it is tried again the next time', () => {
    works = false;
    put(WEB, [server('10.0.0.2')]);
    expect(publication()).toEqual([]);
    works = true;
    expect(publication()).toHaveLength(2);
    expect(inForce.realServers).toEqual([endpoint('10.0.0.2')]);
  });
});

const KEYS: readonly ServiceKey[] = [
  WEB,
  OTHER,
  { ...WEB, port: 21 },
  { ...WEB, port: 0 },
  { family: 4, mark: 7 },
  { family: 6, mark: 7 },
];
const METHODS = [FORWARD_NAT, FORWARD_DIRECT_ROUTE, FORWARD_TUNNEL, FORWARD_FULL_NAT];

function randomServers(random: Random): DestinationWay[] {
  const addresses = ['10.0.0.1', '10.0.0.2', '10.0.0.3', '10.0.0.4'];
  return addresses
    .filter(() => random.oneIn(2))
    .map((address) => {
      const gue = random.oneIn(2) ? { tunnelType: TUNNEL_GUE, tunnelPort: 6080 } : {};
      return server(address, { forwarding: random.pick(METHODS), ...gue });
    });
}

test(`after any changes, what is published is what the whole comes to (seed ${SEED})`, () => {
  const random = new Random(SEED);
  for (let round = 0; round < 500; round++) {
    for (let count = random.below(4); count > 0; count--) {
      put(random.pick(KEYS), random.oneIn(4) ? undefined : randomServers(random));
    }
    if (random.oneIn(4)) {
      const rule = { family: 4, mark: 7, protocol: 6, ports: [] } as const;
      surroundings = { ...surroundings, marks: random.oneIn(2) ? [rule] : [] };
    }
    works = !random.oneIn(4);
    const earlier = inForce;
    order.before();
    const wanted = steeringTables({ services: [...configured.values()], ...surroundings });
    const message = JSON.stringify({ seed: SEED, round });
    const isSteered = (list: 'realServers' | 'tunnels') =>
      expect(inForce[list], message).toEqual(expect.arrayContaining([...wanted[list]!]));
    if (works && earlier.services !== undefined) {
      isSteered('realServers');
      isSteered('tunnels');
      expect(inForce.realServers).toEqual(expect.arrayContaining(earlier.realServers ?? []));
      expect(inForce.services, message).toEqual(earlier.services);
    }
    order.after();
    if (!works) continue;
    for (const list of [...LISTS, 'localAddresses', 'fullNat', 'marks'] as const) {
      expect(sorted(inForce[list] ?? []), message).toEqual(sorted(wanted[list]!));
    }
  }
});
