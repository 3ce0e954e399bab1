import { describe, expect, test } from 'vitest';
import {
  FORWARD_DIRECT_ROUTE,
  FORWARD_FULL_NAT,
  FORWARD_NAT,
  FORWARD_TUNNEL,
  TUNNEL_GUE,
} from '../../../../assembly/shared/codes.ts';
import { type SteeringInput, steeringTables } from '../../../../host/director/steering-tables.ts';
import type { DestinationEntry, ServiceEntry, ServiceKey } from '../../../../host/ipvs/types.ts';

const WEB: ServiceKey = { family: 4, protocol: 'tcp', address: '192.0.2.80', port: 80 };

function server(address: string, port: number, fields: Partial<DestinationEntry> = {}) {
  return {
    key: { family: address.includes(':') ? 6 : 4, address, port },
    forwarding: FORWARD_NAT,
    tunnelType: 0,
    tunnelPort: 0,
    ...fields,
  } as DestinationEntry;
}

function tables(
  services: readonly (readonly [ServiceKey, readonly DestinationEntry[]])[],
  rest: Partial<SteeringInput> = {},
) {
  return steeringTables({
    services: services.map(([key, destinations]) => ({
      service: { key } as ServiceEntry,
      destinations,
    })),
    marks: [],
    pool: {
      addresses: [],
      portRanges: [
        [1024, 32767],
        [1, 0],
      ],
    },
    addresses: [],
    ...rest,
  });
}

describe('services and their servers', () => {
  test('nat: the service, and the replies of its server', () => {
    const result = tables([[WEB, [server('10.0.0.11', 8080)]]]);
    expect(result.services).toEqual([{ address: '192.0.2.80', protocol: 'tcp', port: 80 }]);
    expect(result.realServers).toEqual([{ address: '10.0.0.11', protocol: 'tcp', port: 8080 }]);
    expect(result.tunnels).toEqual([]);
    expect(result.fullNat).toEqual([]);
  });

  test('direct-route: the servers do not answer by us', () => {
    const direct = server('10.0.0.11', 80, { forwarding: FORWARD_DIRECT_ROUTE });
    expect(tables([[WEB, [direct]]]).realServers).toEqual([]);
  });

  test('a server of two services on one port: once', () => {
    const other: ServiceKey = { ...WEB, port: 81 };
    const shared = [server('10.0.0.11', 8080)];
    const result = tables([
      [WEB, shared],
      [other, shared],
    ]);
    expect(result.services).toHaveLength(2);
    expect(result.realServers).toHaveLength(1);
  });

  test('a service for every port: the server answers from every port', () => {
    const any: ServiceKey = { ...WEB, port: 0 };
    expect(tables([[any, [server('10.0.0.11', 0)]]]).realServers).toEqual([
      { address: '10.0.0.11', protocol: 'tcp', port: 0 },
    ]);
  });

  test('tunnels: errors about them, with the port of GUE', () => {
    const tunnel = { forwarding: FORWARD_TUNNEL };
    const gue = { ...tunnel, tunnelType: TUNNEL_GUE, tunnelPort: 6080 };
    const result = tables([[WEB, [server('10.0.0.11', 80, tunnel), server('10.0.0.12', 80, gue)]]]);
    expect(result.tunnels).toEqual([
      { address: '10.0.0.11' },
      { address: '10.0.0.12', guePort: 6080 },
    ]);
  });
});

describe('marks', () => {
  const rule = {
    family: 4,
    mark: 7,
    protocol: 0,
    destination: { address: '192.0.2.0', prefixLength: 24 },
    ports: [],
  } as const;
  const byMark: ServiceKey = { family: 4, mark: 7 };

  test('without a service of that mark: the packets stay with the kernel', () => {
    expect(tables([[WEB, []]], { marks: [rule] }).marks).toEqual([]);
    expect(tables([[{ family: 6, mark: 7 }, []]], { marks: [rule] }).marks).toEqual([]);
  });

  test('with one: the prefix, every protocol', () => {
    expect(tables([[byMark, []]], { marks: [rule] }).marks).toEqual([
      { destination: '192.0.2.0/24', protocol: 'any' },
    ]);
  });

  test('ports of every protocol: those that have ports', () => {
    const withPorts = { ...rule, ports: [[80, 81]] as [number, number][] };
    const { marks } = tables([[byMark, []]], { marks: [withPorts] });
    expect(marks?.map(({ protocol }) => protocol)).toEqual(['tcp', 'udp', 'sctp']);
  });

  test("a mark's server: of whatever protocol the client speaks", () => {
    expect(tables([[byMark, [server('10.0.0.11', 0)]]]).realServers).toEqual([
      { address: '10.0.0.11', protocol: 'any', port: 0 },
    ]);
  });
});

test('full-nat: the pool is ours once a server is reached that way', () => {
  const pool = {
    addresses: [{ family: 4 as const, address: '10.0.0.2' }],
    portRanges: [
      [1024, 32767],
      [1, 0],
    ] as [[number, number], [number, number]],
  };
  const fullNat = server('10.0.0.11', 80, { forwarding: FORWARD_FULL_NAT });
  expect(tables([[WEB, [fullNat]]], { pool }).fullNat).toEqual([
    { address: '10.0.0.2', ports: [[1024, 32767]] },
  ]);
  expect(tables([[WEB, [server('10.0.0.11', 80)]]], { pool }).fullNat).toEqual([]);
});

test('full-nat: addresses of services are ours too, each once; of retired ones only answers', () => {
  const address = (last: number) => ({ family: 4 as const, address: `10.0.0.${last}` });
  const pool = {
    addresses: [address(2)],
    services: new Map([
      [1, [address(3), address(2)]],
      [2, [address(3)]],
    ]),
    retired: [address(4)],
    portRanges: [
      [1024, 32767],
      [1, 0],
    ] as [[number, number], [number, number]],
  };
  const steered = (forwarding: number) =>
    tables([[WEB, [server('10.0.0.11', 80, { forwarding })]]], { pool }).fullNat?.map((each) => {
      return each.address;
    });
  expect(steered(FORWARD_FULL_NAT)).toEqual(['10.0.0.2', '10.0.0.3', '10.0.0.4']);
  expect(steered(FORWARD_NAT)).toEqual(['10.0.0.4']);
});

test('own addresses: each once, wherever it is', () => {
  const addresses = [
    { family: 4 as const, address: '192.0.2.1', prefixLength: 24, port: 0 },
    { family: 4 as const, address: '192.0.2.1', prefixLength: 32 },
    { family: 6 as const, address: '::1', prefixLength: 128 },
  ];
  expect(tables([], { addresses }).localAddresses).toEqual(['192.0.2.1', '::1']);
});
