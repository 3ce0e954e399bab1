import { describe, expect, it } from 'vitest';
import { addressBytes } from '../../../../host/config/address.ts';
import { Network } from '../../../../host/replay/network.ts';
import { applyIpLines, runIp } from '../../../../host/replay/world-from-ip.ts';

const LINES = [
  'link add cli address 02:00:00:00:00:01 type veth peer name cli netns peers',
  'link add srv address 02:00:00:00:01:01 type veth peer name srv netns peers',
  'link set cli addrgenmode none',
  'link set cli up',
  'link set srv up',
  'addr add 192.0.2.1/24 dev cli',
  'addr add 2001:db8:1::1/64 dev cli nodad',
  'addr add 10.0.0.1/24 dev srv',
  'neigh add 192.0.2.254 lladdr 02:00:00:00:00:02 dev cli',
  'neigh add 2001:db8:1::fe lladdr 02:00:00:00:00:02 dev cli',
  'route add default via 192.0.2.254',
  'route add default via 2001:db8:1::fe',
  'addr add 192.0.2.80 dev cli',
];

function built(): Network {
  const network = new Network();
  applyIpLines(network, LINES, (index, problem) => {
    throw new Error(`${LINES[index]}: ${problem}`);
  });
  return network;
}

function ip(network: Network, command: string): { code: number; text: string } {
  return runIp(network, command.split(' '));
}

describe('runIp', () => {
  it('the lines of a header: become a world', () => {
    const world = built().world();
    expect(
      world.ports.map(({ index, name, mtu, up, ipv4, ipv6 }) => [index, name, mtu, up, ipv4, ipv6]),
    ).toEqual([
      [0, 'cli', 1500, true, '192.0.2.1', '2001:db8:1::1'],
      [1, 'srv', 1500, true, '10.0.0.1', undefined],
    ]);
    expect(world.addresses.map(({ address, port }) => [address, port])).toContainEqual([
      '192.0.2.80',
      0,
    ]);
    expect(world.addresses.map(({ address, port }) => [address, port])).toContainEqual([
      '127.0.0.1',
      undefined,
    ]);
    expect(
      world.routes.map(({ prefix, prefixLength, kind, via }) => [prefix, prefixLength, kind, via]),
    ).toEqual([
      ['0.0.0.0', 0, 'via', '192.0.2.254'],
      ['::', 0, 'via', '2001:db8:1::fe'],
      ['192.0.2.1', 24, 'on-link', undefined],
      ['2001:db8:1::1', 64, 'on-link', undefined],
      ['10.0.0.1', 24, 'on-link', undefined],
    ]);
  });

  it('the ways to addresses: on link, by the gateway, or to the director itself', () => {
    const network = built();
    const way = (address: string) => {
      const found = network.way(addressBytes(address));
      return found && [found.link.name, [...found.nextHop].join('.')];
    };
    expect(way('10.0.0.99')).toEqual(['srv', '10.0.0.99']);
    expect(way('198.51.100.1')).toEqual(['cli', '192.0.2.254']);
    expect(network.isOwn(addressBytes('192.0.2.80'))).toBe(true);
    expect(network.isLocal(addressBytes('198.51.100.1'), 7)).toBe(false);
  });

  it('a rule by mark and a local route in its table: marked packets are delivered locally', () => {
    const network = built();
    expect(ip(network, 'rule add fwmark 7 lookup 100').code).toBe(0);
    expect(ip(network, 'route add local default dev lo table 100').code).toBe(0);
    expect(network.isLocal(addressBytes('198.51.100.1'), 7)).toBe(true);
    expect(network.isLocal(addressBytes('198.51.100.1'), 8)).toBe(false);
  });

  it("another MTU: is the port's, and that of its routes", () => {
    const network = built();
    expect(ip(network, 'link set srv mtu 1000').code).toBe(0);
    expect(network.way(addressBytes('10.0.0.11'))?.mtu).toBe(1000);
    expect(network.world().ports[1].mtu).toBe(1000);
  });

  it('a port that is down: has no connected routes', () => {
    const network = built();
    ip(network, 'link set srv down');
    expect(network.way(addressBytes('10.0.0.11'))?.link.name).toBe('cli');
  });

  it.each([
    ['link set nowhere up', 1, 'Cannot find device "nowhere"\n'],
    ['addr add 192.0.2.1/24 dev cli', 2, 'RTNETLINK answers: File exists\n'],
    ['addr del 192.0.2.9/24 dev cli', 2, 'RTNETLINK answers: Cannot assign requested address\n'],
    [
      'addr add 192.0.2.300/24 dev cli',
      255,
      'Error: any valid prefix is expected rather than "192.0.2.300/24".\n',
    ],
    [
      'neigh add 192.0.2.254 lladdr 02:00:00:00:00:02 dev cli',
      2,
      'RTNETLINK answers: File exists\n',
    ],
    ['neigh add 192.0.2.9 lladdr 02 dev cli', 255, '"02" is invalid lladdr.\n'],
    ['route add default via 192.0.2.254', 2, 'RTNETLINK answers: File exists\n'],
    ['route del 203.0.113.0/24 via 192.0.2.254', 2, 'RTNETLINK answers: No such process\n'],
    ['link set cli mtu 10', 2, 'Error: mtu out of range.\n'],
    ['link set cli mtu', 255, 'Command line is not complete. Try option "help" (mtu)\n'],
    ['tunnel add x', 255, 'ip tunnel add x: not known to the replay\n'],
  ])('%s: is refused as iproute2 does', (command, code, text) => {
    expect(ip(built(), command)).toEqual({ code, text });
  });

  it('addresses and neighbours: can be taken away and replaced', () => {
    const network = built();
    expect(ip(network, 'addr del 192.0.2.80/32 dev cli').code).toBe(0);
    expect(network.isOwn(addressBytes('192.0.2.80'))).toBe(false);
    expect(ip(network, 'neigh replace 192.0.2.254 lladdr 02:00:00:00:00:09 dev cli').code).toBe(0);
    expect(
      network
        .worldNeighbours()
        .filter(({ address }) => address === '192.0.2.254')
        .map(({ mac }) => mac?.[5]),
    ).toEqual([9]);
  });
});
