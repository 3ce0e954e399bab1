import type { SteeringTables } from 'af-xdp-socket';
import { beforeEach, describe, expect, test } from 'vitest';
import { SteeringOrder } from '../../../../host/director/steering-order.ts';

const server = (address: string) => ({ address, protocol: 'tcp', port: 80 }) as const;
const SERVICE = { address: '192.0.2.80', protocol: 'tcp', port: 80 } as const;
const OTHER = { ...SERVICE, port: 81 };

let published: SteeringTables[];
let order: SteeringOrder;
let works = true;

beforeEach(() => {
  published = [];
  works = true;
  order = new SteeringOrder((tables) => {
    if (works) published.push(tables);
    return works;
  });
});

/** What happens around one publication of the workers' tables. */
function change(next: SteeringTables): SteeringTables[] {
  const before = published.length;
  order.before(next);
  order.after(next);
  return published.slice(before);
}

describe('around the tables of the workers', () => {
  test('the first time: once, afterwards', () => {
    const tables = { services: [SERVICE], realServers: [server('10.0.0.1')] };
    expect(change(tables)).toEqual([tables]);
  });

  test('a new server: before, and that was it', () => {
    change({ services: [SERVICE], realServers: [server('10.0.0.1')] });
    const next = { services: [SERVICE], realServers: [server('10.0.0.1'), server('10.0.0.2')] };
    order.before(next);
    expect(published.at(-1)?.realServers).toEqual(next.realServers);
    const count = published.length;
    order.after({ ...next, tunnels: [], fullNat: [] });
    expect(published).toHaveLength(count);
  });

  test('a server goes: not before the workers know', () => {
    change({ services: [SERVICE], realServers: [server('10.0.0.1'), server('10.0.0.2')] });
    const next = { services: [SERVICE], realServers: [server('10.0.0.1')] };
    const count = published.length;
    order.before(next);
    expect(published).toHaveLength(count);
    order.after(next);
    expect(published.at(-1)).toEqual(next);
  });

  test('one for another, with a new service: both servers in between, the old services', () => {
    change({ services: [SERVICE], realServers: [server('10.0.0.1')], fullNat: [], tunnels: [] });
    const next = {
      services: [OTHER],
      realServers: [server('10.0.0.2')],
      fullNat: [],
      tunnels: [{ address: '10.0.0.3' }],
    };
    expect(change(next)).toEqual([
      {
        services: [SERVICE],
        realServers: [server('10.0.0.1'), server('10.0.0.2')],
        fullNat: [],
        tunnels: [{ address: '10.0.0.3' }],
      },
      next,
    ]);
  });

  test('nothing that is steered changed: nothing is published', () => {
    const tables = { services: [SERVICE], realServers: [server('10.0.0.1')] };
    change(tables);
    expect(change(structuredClone(tables))).toEqual([]);
  });

  test('it could not be published: it is tried again the next time', () => {
    works = false;
    const tables = { services: [SERVICE] };
    change(tables);
    works = true;
    expect(change(tables)).toEqual([tables]);
  });
});
