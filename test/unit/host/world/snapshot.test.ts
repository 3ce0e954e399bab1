import { describe, expect, test } from 'vitest';
import {
  type AddressMessage,
  type LinkMessage,
  NUD_FAILED,
  NUD_INCOMPLETE,
  NUD_REACHABLE,
  NUD_STALE,
  type RouteMessage,
  TABLE_LOCAL,
  TABLE_MAIN,
} from '../../../../host/world/rtnetlink.ts';
import {
  buildNeighbour,
  buildWorld,
  type KernelSnapshot,
  type PortInterface,
} from '../../../../host/world/snapshot.ts';

const PORTS: readonly PortInterface[] = [
  { name: 'wan', ifindex: 3, partialChecksums: true },
  { name: 'lan', ifindex: 5, partialChecksums: false },
];
const MAC = Uint8Array.of(2, 0, 0, 0, 0, 1);

function link(ifindex: number, fields: Partial<LinkMessage> = {}): LinkMessage {
  return {
    ifindex,
    name: `if${ifindex}`,
    mac: MAC,
    mtu: 1500,
    flags: 0x10043,
    counts: undefined,
    ...fields,
  };
}

function address(text: string, fields: Partial<AddressMessage> = {}): AddressMessage {
  const family = text.includes(':') ? 6 : 4;
  return { ifindex: 3, family, address: text, prefixLength: 24, flags: 0, scope: 0, ...fields };
}

function route(prefix: string, fields: Partial<RouteMessage> = {}): RouteMessage {
  return {
    family: prefix.includes(':') ? 6 : 4,
    prefix,
    prefixLength: 24,
    table: TABLE_MAIN,
    type: 1,
    tos: 0,
    priority: 0,
    flags: 0,
    hops: [{ ifindex: 3, gateway: undefined, isDead: false }],
    source: undefined,
    mtu: 0,
    ...fields,
  };
}

function world(snapshot: Partial<KernelSnapshot>) {
  return buildWorld({ links: [link(3)], addresses: [], routes: [], ...snapshot }, PORTS);
}

const hop = (ifindex: number, gateway?: string, isDead = false) => ({ ifindex, gateway, isDead });

describe('ports', () => {
  test('an interface that is there: its MAC and MTU, up with its carrier', () => {
    expect(world({}).ports[0]).toEqual({
      index: 0,
      name: 'wan',
      ifindex: 3,
      mac: MAC,
      mtu: 1500,
      up: true,
      partialChecksums: true,
    });
  });

  test('up without a carrier: down', () => {
    expect(world({ links: [link(3, { flags: 0x1043 & ~0x10000 })] }).ports[0]?.up).toBe(false);
  });

  test('an interface that is gone: the port stays, down', () => {
    expect(world({}).ports[1]).toMatchObject({ index: 1, name: 'lan', up: false, mtu: 0 });
  });

  test('several addresses: a primary one of its own network before a single one', () => {
    const addresses = [
      address('198.51.100.80', { prefixLength: 32 }),
      address('192.0.2.2', { flags: 1 }),
      address('192.0.2.1'),
      address('fe80::1', { scope: 253, prefixLength: 64 }),
      address('2001:db8::5', { flags: 0x40, prefixLength: 64 }),
      address('2001:db8::1', { prefixLength: 64 }),
    ];
    expect(world({ addresses }).ports[0]).toMatchObject({ ipv4: '192.0.2.1', ipv6: '2001:db8::1' });
  });

  test('nothing but a link-local address: that one', () => {
    const addresses = [address('fe80::1', { scope: 253, prefixLength: 64 })];
    expect(world({ addresses }).ports[0]?.ipv6).toBe('fe80::1');
    expect(world({ addresses }).ports[0]?.ipv4).toBeUndefined();
  });
});

describe('addresses', () => {
  test('on a port and elsewhere: both are ours', () => {
    const addresses = [address('192.0.2.1'), address('127.0.0.1', { ifindex: 1, prefixLength: 8 })];
    expect(world({ addresses }).addresses).toEqual([
      { family: 4, address: '192.0.2.1', prefixLength: 24, port: 0 },
      { family: 4, address: '127.0.0.1', prefixLength: 8 },
    ]);
  });

  test('one that somebody else has: not ours', () => {
    expect(world({ addresses: [address('2001:db8::1', { flags: 8 })] }).addresses).toEqual([]);
  });
});

describe('routes', () => {
  const only = (routes: RouteMessage[]) => {
    const built = world({ routes }).routes;
    expect(built).toHaveLength(1);
    return built[0];
  };

  test('on-link', () => {
    expect(only([route('192.0.2.0', { source: '192.0.2.1', mtu: 1400 })])).toEqual({
      family: 4,
      prefix: '192.0.2.0',
      prefixLength: 24,
      port: 0,
      kind: 'on-link',
      source: '192.0.2.1',
      mtu: 1400,
    });
  });

  test('several hops: the first that lives and leads out of a port', () => {
    const hops = [hop(3, '192.0.2.1', true), hop(9, '192.0.2.2'), hop(5, '10.0.0.3')];
    expect(only([route('0.0.0.0', { prefixLength: 0, hops })])).toMatchObject({
      kind: 'via',
      via: '10.0.0.3',
      port: 1,
    });
  });

  test('out of an interface that is no port: unreachable, not the next shorter prefix', () => {
    const routes = [route('10.0.0.0', { hops: [hop(9)] }), route('0.0.0.0', { prefixLength: 0 })];
    expect(world({ routes }).routes).toMatchObject([
      { prefix: '10.0.0.0', kind: 'unreachable' },
      { prefix: '0.0.0.0', kind: 'on-link' },
    ]);
  });

  test.each([
    ['local', 2, 'local'],
    ['broadcast', 3, 'unreachable'],
    ['anycast', 4, 'local'],
    ['multicast', 5, 'unreachable'],
    ['blackhole', 6, 'unreachable'],
  ])('of type %s: %s', (_, type, kind) => {
    expect(only([route('192.0.2.1', { type, prefixLength: 32, table: TABLE_LOCAL })]).kind).toBe(
      kind,
    );
  });

  test('of one prefix: the local table first, then the lowest metric', () => {
    const dear = route('192.0.2.0', { priority: 20, hops: [hop(5)] });
    const cheap = route('192.0.2.0', { priority: 10 });
    expect(only([dear, cheap])).toMatchObject({ port: 0 });
    const local = route('192.0.2.0', { table: TABLE_LOCAL, type: 2, priority: 99 });
    expect(only([cheap, local, dear])).toMatchObject({ kind: 'local' });
  });

  test('of one prefix written in two ways: still one', () => {
    expect(only([route('192.0.2.0'), route('192.0.2.77', { priority: 5 })]).port).toBe(0);
  });

  test('link-local networks of all interfaces: that of a port', () => {
    const routes = [9, 5].map((ifindex) => route('fe80::', { hops: [hop(ifindex)] }));
    expect(only(routes)).toMatchObject({ kind: 'on-link', port: 1 });
  });

  test('without a preferred source: the address beside the gateway or the destination', () => {
    const addresses = [
      address('198.51.100.1'),
      address('192.0.2.77', { flags: 1 }),
      address('192.0.2.1'),
      address('fe80::5', { scope: 253, prefixLength: 64 }),
      address('2001:db8::1', { prefixLength: 64 }),
    ];
    const routes = [
      route('10.0.0.0', { hops: [hop(3, '192.0.2.9')] }),
      route('192.0.2.0'),
      route('10.1.0.0'),
      route('2001:db8::', { prefixLength: 64 }),
      route('::', { prefixLength: 0, hops: [hop(3, 'fe80::1')] }),
    ];
    const sources = world({ addresses, routes }).routes.map(({ source }) => source);
    expect(sources).toEqual(['192.0.2.1', '192.0.2.1', undefined, '2001:db8::1', undefined]);
  });

  test('of other tables, of a type of service, and copies: ignored', () => {
    const routes = [
      route('10.1.0.0', { table: 100 }),
      route('10.2.0.0', { tos: 8 }),
      route('10.3.0.0', { flags: 0x200 }),
    ];
    expect(world({ routes }).routes).toEqual([]);
  });
});

describe('neighbours', () => {
  const message = { ifindex: 5, family: 4, address: '10.0.0.11', mac: MAC } as const;

  test.each([
    ['reachable', NUD_REACHABLE, 'reachable'],
    ['stale', NUD_STALE, 'reachable'],
    ['being resolved', NUD_INCOMPLETE, 'incomplete'],
    ['failed', NUD_FAILED, 'failed'],
    ['none', 0, 'incomplete'],
  ])('%s', (_, state, expected) => {
    expect(buildNeighbour({ ...message, state }, PORTS)).toMatchObject({
      port: 1,
      address: '10.0.0.11',
      state: expected,
    });
  });

  test('reachable without a MAC: nothing to send to', () => {
    const noMac = { ...message, mac: undefined, state: NUD_REACHABLE };
    expect(buildNeighbour(noMac, PORTS)?.state).toBe('incomplete');
  });

  test('on an interface that is no port: none of ours', () => {
    expect(buildNeighbour({ ...message, ifindex: 1, state: NUD_STALE }, PORTS)).toBeUndefined();
  });
});
