import { describe, expect, test } from 'vitest';
import {
  Iptables,
  IptablesError,
  type IptablesRule,
  parseIptables,
  parsePolicyRouting,
} from '../../../../host/ipvsadm/iptables.ts';

const MANGLE = 'iptables -t mangle -A PREROUTING';

/** The rules of one command that appends. */
function rulesOf(line: string): readonly IptablesRule[] {
  const iptables = new Iptables();
  iptables.run(line.split(' '));
  return iptables.rules;
}

const ANY: IptablesRule = {
  family: 4,
  protocol: 0,
  ports: [],
  inputInterface: undefined,
  mark: 3,
  mask: 0xffff_ffff,
};

describe('parseIptables', () => {
  test.each<[string, IptablesRule]>([
    [
      '-d 192.0.2.81 -j MARK --set-mark 3',
      { ...ANY, destination: { address: '192.0.2.81', prefixLength: 32 } },
    ],
    [
      '-i cli -p tcp --dport 80 -j MARK --set-mark 7',
      { ...ANY, inputInterface: 'cli', protocol: 6, ports: [[80, 80]], mark: 7 },
    ],
    [
      '-d 192.0.2.80 -p tcp -m multiport --dports 80,443,1000:2000 -j MARK --set-mark 1',
      {
        ...ANY,
        protocol: 6,
        destination: { address: '192.0.2.80', prefixLength: 32 },
        ports: [
          [80, 80],
          [443, 443],
          [1000, 2000],
        ],
        mark: 1,
      },
    ],
    [
      '-s 10.1.2.3/255.255.0.0 -d 192.0.2.80/25 -p udp -m udp --dport :53 -j MARK --set-mark 3',
      {
        ...ANY,
        protocol: 17,
        source: { address: '10.1.0.0', prefixLength: 16 },
        destination: { address: '192.0.2.0', prefixLength: 25 },
        ports: [[0, 53]],
      },
    ],
    ['-j MARK --set-xmark 0x3/0xff', { ...ANY, mask: 0xff }],
    ['-j MARK --set-mark 3/0xf0', { ...ANY, mask: 0xf3 }],
    ['-w 5 -p all -j MARK --set-mark 3', ANY],
    ['-p tcp --dport http: -j MARK --set-mark 3', { ...ANY, protocol: 6, ports: [[80, 65_535]] }],
  ])('%s', (rest, rule) => {
    expect(rulesOf(`${MANGLE} ${rest}`)).toEqual([rule]);
  });

  test('several addresses make several rules, IPv6 prefixes are cut', () => {
    const line =
      'ip6tables -t mangle -A PREROUTING -d 2001:db8:1:ff::80/61,::1 -j MARK --set-mark 3';
    expect(rulesOf(line)).toEqual([
      { ...ANY, family: 6, destination: { address: '2001:db8:1:f8::', prefixLength: 61 } },
      { ...ANY, family: 6, destination: { address: '::1', prefixLength: 128 } },
    ]);
  });

  test.each([
    ['nft list', 'not an iptables command: nft'],
    ['iptables -A PREROUTING -j MARK --set-mark 3', 'table filter is not supported'],
    ['iptables -t mangle -A OUTPUT -j MARK --set-mark 3', 'chain OUTPUT is not supported'],
    [`${MANGLE} -j ACCEPT`, 'target ACCEPT is not supported'],
    [`${MANGLE} -p tcp`, 'target  is not supported'],
    [`${MANGLE} -j MARK`, 'MARK needs --set-mark'],
    [`${MANGLE} -j MARK --set-mark x`, 'not a mark: x'],
    [`${MANGLE} -j MARK --set-mark 4294967296`, 'not a mark'],
    [`${MANGLE} -p tcp --sport 80 -j MARK --set-mark 3`, '--sport is not supported'],
    [`${MANGLE} --dport 80 -j MARK --set-mark 3`, '--dport needs -p'],
    [`${MANGLE} -p tcp --dport 90:80 -j MARK --set-mark 3`, 'not ports: 90:80'],
    [`${MANGLE} -p tcp --dport 65536 -j MARK --set-mark 3`, 'not a port: 65536'],
    [`${MANGLE} -p sctp --dport http -j MARK --set-mark 3`, 'not a port: http'],
    [`${MANGLE} ! -d 192.0.2.80 -j MARK --set-mark 3`, '! is not supported'],
    [`${MANGLE} -d ! 192.0.2.80 -j MARK --set-mark 3`, '-d cannot be negated'],
    [`${MANGLE} -d 192.0.2.80/33 -j MARK --set-mark 3`, 'not an address or prefix'],
    [`${MANGLE} -d 192.0.2.80/255.0.255.0 -j MARK --set-mark 3`, 'not an address or prefix'],
    [`${MANGLE} -d host -j MARK --set-mark 3`, 'not an address or prefix'],
    [`${MANGLE} -p icmp -j MARK --set-mark 3`, 'protocol icmp is not supported'],
    [`${MANGLE} -m state -j MARK --set-mark 3`, 'match state is not supported'],
    [`${MANGLE} -d`, '-d needs an argument'],
    ['iptables -t mangle -j MARK --set-mark 3', 'nothing to do'],
  ])('%s: %s', (line, message) => {
    expect(() => parseIptables(line.split(' '))).toThrow(IptablesError);
    expect(() => parseIptables(line.split(' '))).toThrow(message);
  });
});

describe('Iptables', () => {
  function marksAfter(...lines: readonly string[]): readonly number[] {
    const iptables = new Iptables();
    for (const line of lines) iptables.run(line.split(' '));
    return iptables.rules.map(({ mark }) => mark);
  }
  const append = (mark: number) => `${MANGLE} -j MARK --set-mark ${mark}`;

  test('-A appends, -I inserts in front or at a place', () => {
    const insert = 'iptables -t mangle -I PREROUTING';
    expect(
      marksAfter(
        append(1),
        append(2),
        `${insert} -j MARK --set-mark 3`,
        `${insert} 2 -j MARK --set-mark 4`,
      ),
    ).toEqual([3, 4, 1, 2]);
  });

  test('-D deletes by rule and by number, -F all of one family', () => {
    const six = append(9).replace('iptables', 'ip6tables');
    const remove = 'iptables -t mangle -D PREROUTING';
    expect(marksAfter(append(1), append(2), `${remove} -j MARK --set-mark 1`)).toEqual([2]);
    expect(marksAfter(append(1), six, append(2), `${remove} 2`)).toEqual([1, 9]);
    expect(marksAfter(append(1), six, 'iptables -t mangle -F PREROUTING')).toEqual([9]);
  });

  test('what is not there cannot be deleted', () => {
    const remove = 'iptables -t mangle -D PREROUTING';
    expect(() => marksAfter(append(1), `${remove} 2`)).toThrow('no rule has this number');
    expect(() => marksAfter(`${remove} -j MARK --set-mark 1`)).toThrow('no such rule');
    expect(() => marksAfter(`${remove} 0`)).toThrow('counted from 1');
  });
});

describe('parsePolicyRouting', () => {
  test('marked packets go to a table, and a table to the director', () => {
    expect(parsePolicyRouting('ip rule add fwmark 7 lookup 100'.split(' '))).toEqual({
      kind: 'rule',
      family: 4,
      isAdded: true,
      mark: 7,
      table: '100',
    });
    const route = 'ip -6 route add local default dev lo table 100';
    expect(parsePolicyRouting(route.split(' '))).toEqual({
      kind: 'local-route',
      family: 6,
      isAdded: true,
      destination: { address: '::', prefixLength: 0 },
      device: 'lo',
      table: '100',
    });
  });

  test.each(['ip link set srv mtu 1000', 'ip rule add from all lookup 5', 'ip route flush'])(
    '%s is not understood',
    (line) => {
      expect(() => parsePolicyRouting(line.split(' '))).toThrow(IptablesError);
    },
  );
});
