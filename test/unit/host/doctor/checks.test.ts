// Each check on facts in which one thing is wrong.

import { describe, expect, test } from 'vitest';
import { diagnose } from '../../../../host/doctor/checks.ts';
import { MTU_MAX } from '../../../../host/doctor/checks-ports.ts';
import type { Facts } from '../../../../host/doctor/facts.ts';
import { config, facts, NETWORK, of } from './facts.ts';

/** The one finding of a check that is not well; throws when there are more or none. */
function complaint(check: string, spoilt: Facts): { level: string; saw: string; fix?: string } {
  const found = of(check, diagnose(spoilt)).filter(({ level }) => level !== 'ok');
  expect(found).toHaveLength(1);
  return found[0]!;
}

describe('a machine in which nothing is wrong', () => {
  test('every check says ok', () => {
    const findings = diagnose(facts());
    expect(findings.filter(({ level }) => level !== 'ok')).toEqual([]);
    expect(findings.length).toBeGreaterThan(20);
  });

  test('nothing known: no check fails for want of a fact', () => {
    const unknown: Facts = {
      ...facts({
        machine: {
          capabilities: undefined,
          lockableBytes: undefined,
          availableBytes: undefined,
          hasAfXdp: undefined,
          steering: undefined,
          probePaths: undefined,
          bpfJit: undefined,
          hugePages: undefined,
        },
        port: {
          driver: undefined,
          xdp: undefined,
          offloads: undefined,
          rpFilter: undefined,
          arpIgnore: undefined,
        },
      }),
      network: undefined,
      plan: undefined,
      configuration: undefined,
    };
    expect(diagnose(unknown).filter(({ level }) => level === 'fail')).toEqual([]);
  });
});

describe('the machine', () => {
  test.each<[string, Partial<Facts['machine']>, string, RegExp, RegExp]>([
    ['kernel', { kernel: '5.10.0-28' }, 'fail', /5\.10/, /Linux 5\.11/],
    ['kernel', { kernel: '4.19.1' }, 'fail', /4\.19/, /5\.11/],
    ['node', { node: 'v18.1.0' }, 'fail', /v18/, /Node 20/],
    ['node', { isLittleEndian: false }, 'fail', /big-endian/, /x86-64/],
    [
      'capabilities',
      { capabilities: 1n << 12n },
      'fail',
      /lacks CAP_NET_RAW, CAP_BPF, CAP_PERFMON$/,
      /\+bpf/,
    ],
    ['addon', { addon: { error: 'no such file', fix: 'make' } }, 'fail', /no such file/, /^make$/],
    ['af-xdp', { hasAfXdp: false }, 'fail', /without AF_XDP/, /CONFIG_XDP_SOCKETS=y/],
    ['steering-program', { steering: { error: 'EPERM', fix: 'root' } }, 'fail', /EPERM/, /root/],
    ['bpf-jit', { bpfJit: 0 }, 'warn', /interpreted/, /^sysctl -w net\.core\.bpf_jit_enable=1$/],
    [
      'huge-pages',
      { hugePages: 'never' },
      'warn',
      /never/,
      /^echo advise > \/sys\/.*shmem_enabled$/,
    ],
    ['memory', { availableBytes: 2 ** 28 }, 'warn', /256 MiB/, /director\.connections/],
    ['memory', { availableBytes: 2 ** 20 }, 'fail', /1 MiB/, /director\.workers/],
    ['kernel-ipvs', { kernelServices: 2 }, 'warn', /2 services/, /^ipvsadm --clear$/],
  ])('%s: %o', (check, machine, level, saw, fix) => {
    const found = complaint(check, facts({ machine }));
    expect(found.level).toBe(level);
    expect(found.saw).toMatch(saw);
    expect(found.fix).toMatch(fix);
  });

  test('no tcx: a complaint only when a check wants it', () => {
    const machine = { probePaths: { error: 'tcx needs Linux 6.6.' } };
    expect(of('via-vip', diagnose(facts({ machine })))).toMatchObject([{ level: 'ok' }]);
    const wanting = config('address: 10.0.0.1', 'check: { type: tcp, via: vip },');
    const configuration = { file: 'a.yaml', config: wanting, errors: 0 };
    const found = complaint('via-vip', facts({ machine, rest: { configuration } }));
    expect(found).toMatchObject({ level: 'fail', saw: expect.stringContaining('tcx needs Linux') });
    expect(found.fix).toMatch(/6\.6/);
  });

  test('CAP_SYS_ADMIN stands in for CAP_BPF and CAP_PERFMON', () => {
    const capabilities = (1n << 12n) | (1n << 13n) | (1n << 21n);
    expect(of('capabilities', diagnose(facts({ machine: { capabilities } })))[0]?.level).toBe('ok');
  });

  test('without CAP_IPC_LOCK frames must fit the limit', () => {
    const capabilities = (1n << 12n) | (1n << 13n) | (1n << 38n) | (1n << 39n);
    const found = complaint('locked-memory', facts({ machine: { capabilities } }));
    expect(found).toMatchObject({ level: 'fail', saw: expect.stringMatching(/8 MiB.*32 MiB/) });
    const enough = facts({ machine: { capabilities, lockableBytes: 2 ** 26 } });
    expect(of('locked-memory', diagnose(enough))[0]?.level).toBe('ok');
    const none = facts({ machine: { capabilities, lockableBytes: Number.POSITIVE_INFINITY } });
    expect(of('locked-memory', diagnose(none))[0]?.level).toBe('ok');
  });

  test('a director that runs is no complaint; something else at its socket is one', () => {
    const socket = '/run/wvs/wvs.sock';
    const running = facts({ rest: { director: { socket, pid: 7, isAnswered: true } } });
    expect(of('director', diagnose(running))[0]?.saw).toMatch(/process 7/);
    const other = facts({ rest: { director: { socket, pid: undefined, isAnswered: true } } });
    expect(complaint('director', other).fix).toMatch(/director\.control/);
  });

  test('a file with errors is named with the command that lists them', () => {
    const configuration = { file: 'a.yaml', config: undefined, errors: 3 };
    const found = complaint('configuration', facts({ rest: { configuration } }));
    expect(found).toMatchObject({ saw: 'a.yaml has 3 errors', fix: 'wvs check --config a.yaml' });
  });
});

describe('a port', () => {
  test('no such interface', () => {
    const found = complaint('interface', facts({ port: { info: undefined } }));
    expect(found.saw).toMatch(/no interface eth1/);
  });

  test.each<[string, Parameters<typeof facts>[0], string, RegExp, RegExp]>([
    ['link', { info: { up: false } }, 'fail', /down/, /^ip link set eth1 up$/],
    ['link', { info: { mac: null } }, 'fail', /no Ethernet/, /another/],
    ['mtu', { info: { mtu: 9000 } }, 'fail', /9000/, /^ip link set eth1 mtu 1500$/],
    [
      'xdp',
      { port: { xdp: { native: false, redirect: false, transmit: false, zeroCopy: false } } },
      'warn',
      /no native XDP \(the kernel says\)/,
      /another|has it/,
    ],
    [
      'xdp',
      { port: { xdp: undefined, driver: 'vlan', wanted: { queues: undefined, mode: 'native' } } },
      'fail',
      /vlan has no native XDP \(from the driver's name\)/,
      /xdp: auto/,
    ],
    [
      'xdp-attached',
      { info: { xdp: { mode: 'native', programId: 12 } } },
      'fail',
      /program 12/,
      /^ip link set dev eth1 xdp off$/,
    ],
    [
      'queues',
      { info: { rxQueues: 8, txQueues: 8 }, port: { wanted: { queues: 2, mode: 'auto' } } },
      'warn',
      /of which 2 are served/,
      /^ethtool -L eth1 combined 2$/,
    ],
    [
      'queues',
      { port: { wanted: { queues: 4, mode: 'auto' } } },
      'fail',
      /4 queues are configured, 2/,
      /^ethtool -L eth1 combined 4$/,
    ],
    [
      'queues',
      {
        info: { combinedQueues: 0, rxQueues: 4, txQueues: 4 },
        port: { wanted: { queues: 2, mode: 'auto' } },
      },
      'warn',
      /4 receive/,
      /^ethtool -L eth1 rx 2 tx 2$/,
    ],
    ['queues', { machine: { cpus: 1 } }, 'warn', /2 workers on 1 CPUs/, /workers: 1/],
    ['queues', { info: { rxQueues: 3, txQueues: 3 } }, 'warn', /more queues/, /combined 2$/],
    [
      'offloads',
      { port: { offloads: new Set(['rx-lro', 'rx-gro-hw']) } },
      'warn',
      /rx-lro, rx-gro-hw is on/,
      /^ethtool -K eth1 rx-lro off rx-gro-hw off$/,
    ],
    [
      'offloads',
      { port: { offloads: new Set(['rx-gro']), wanted: { queues: undefined, mode: 'generic' } } },
      'warn',
      /before generic XDP/,
      /^ethtool -K eth1 gro off$/,
    ],
  ])('%s: %o', (check, spoilt, level, saw, fix) => {
    const found = complaint(check, facts(spoilt));
    expect(found.level).toBe(level);
    expect(found.saw).toMatch(saw);
    expect(found.fix).toMatch(fix);
  });

  test('the largest MTU that fits is no complaint', () => {
    expect(of('mtu', diagnose(facts({ info: { mtu: MTU_MAX } })))[0]?.level).toBe('ok');
  });

  test("a running director's own program is no complaint", () => {
    const director = { socket: '/s', pid: 7, isAnswered: true };
    const spoilt = facts({ info: { xdp: { mode: 'native', programId: 12 } }, rest: { director } });
    expect(of('xdp-attached', diagnose(spoilt))[0]?.level).toBe('ok');
  });

  test('a driver nobody knows: only the attachment can tell', () => {
    const found = complaint('xdp', facts({ port: { xdp: undefined, driver: 'novel' } }));
    expect(found).toMatchObject({ level: 'warn', saw: expect.stringMatching(/novel/) });
  });
});

describe('virtual addresses', () => {
  const vip = { address: '192.0.2.80', interface: 'lo', isDuplicate: false, isTentative: false };

  test('absent: the line adds it to the port that leads there', () => {
    const found = complaint('virtual-address', facts({ network: { addresses: [] } }));
    expect(found.level).toBe('fail');
    expect(found.fix).toBe('ip address add 192.0.2.80/32 dev eth1');
  });

  test('IPv6, absent: without duplicate address detection', () => {
    const spoilt = {
      config: config("address: '2001:db8::11'", "listen: '[2001:db8::80]:80/tcp', "),
    };
    const found = complaint('virtual-address', facts(spoilt));
    expect(found.fix).toBe('ip address add 2001:db8::80/128 dev eth1 nodad');
  });

  test('on lo: ARP is answered, unless arp_ignore forbids it', () => {
    const network = { addresses: [vip] };
    expect(of('virtual-address', diagnose(facts({ network })))[0]?.saw).toMatch(/ARP is answered/);
    const found = complaint('virtual-address', facts({ network, port: { arpIgnore: 1 } }));
    expect(found.saw).toMatch(/arp_ignore keeps eth1/);
    expect(found.fix).toBe(
      'ip address del 192.0.2.80/32 dev lo; ip address add 192.0.2.80/32 dev eth1',
    );
  });

  test('IPv6 on lo is answered by nobody', () => {
    const spoilt = {
      config: config("address: '2001:db8::11'", "listen: '[2001:db8::80]:80/tcp', "),
      network: { addresses: [{ ...vip, address: '2001:db8::80' }] },
    };
    expect(complaint('virtual-address', facts(spoilt)).saw).toMatch(/neighbour discovery/);
  });

  test('another machine has it', () => {
    const addresses = [{ ...vip, interface: 'eth1', isDuplicate: true }];
    expect(complaint('virtual-address', facts({ network: { addresses } }))).toMatchObject({
      level: 'fail',
      fix: 'ip address del 192.0.2.80/32 dev eth1',
    });
  });

  test('thirty missing: twenty lines, and one for the rest', () => {
    const base = config();
    const services = Array.from({ length: 30 }, (_, index) => ({
      ...base.services[0]!,
      name: `web-${index}`,
      listen: { ...base.services[0]!.listen, address: `203.0.113.${index}` },
    })) as typeof base.services;
    const found = of('virtual-address', diagnose(facts({ config: { ...base, services } })));
    expect(found).toHaveLength(21);
    expect(found.at(-1)).toMatchObject({ level: 'fail', saw: '10 more like these' });
  });
});

describe('real servers', () => {
  test('no route', () => {
    const world = { ...NETWORK.world, routes: [] };
    const found = complaint('route', facts({ network: { world } }));
    expect(found.fix).toBe('ip route add 10.0.0.11 via GATEWAY dev eth1');
  });

  test('the longest prefix decides', () => {
    const routes = [
      ...NETWORK.world.routes,
      { family: 4, prefix: '10.0.0.8', prefixLength: 29, port: 0, kind: 'unreachable' } as const,
    ];
    const world = { ...NETWORK.world, routes };
    expect(complaint('route', facts({ network: { world } })).level).toBe('fail');
  });

  test('a neighbour that does not answer', () => {
    const found = complaint('neighbour', facts({ network: { neighbours: [] } }));
    expect(found.saw).toBe('10.0.0.11 does not answer on eth1');
    expect(found.fix).toMatch(/^arping -c 3 -I eth1 10\.0\.0\.11/);
  });

  test('behind a gateway: the gateway is what must answer', () => {
    const spoilt = {
      config: config("address: '172.16.0.1:80', forwarding: nat"),
      network: { neighbours: [] },
    };
    expect(complaint('neighbour', facts(spoilt)).saw).toBe('10.0.0.254 does not answer on eth1');
  });

  test('direct routing through a router cannot work', () => {
    const spoilt = { config: config("address: '172.16.0.1:80', forwarding: dr") };
    const found = complaint('neighbour', facts(spoilt));
    expect(found.level).toBe('fail');
    expect(found.fix).toMatch(/forwarding: tunnel/);
  });
});

describe('tunnels', () => {
  const tunnel = (type: string, extra = '') =>
    config(`address: '10.0.0.11', forwarding: tunnel, tunnel: { type: ${type}${extra} }`);

  test.each([
    ['ipip', '', 20],
    ['gre', '', 24],
    ['gre', ', checksum: csum', 28],
    ['gue', ', port: 6080', 32],
    ['gue', ', port: 6080, checksum: remcsum', 40],
  ])('%s%s adds %i bytes', (type, extra, bytes) => {
    const found = complaint('tunnel-mtu', facts({ config: tunnel(type, extra) }));
    expect(found.saw).toMatch(new RegExp(`adds ${bytes} bytes: packets of up to ${1500 - bytes} `));
    expect(found.fix).toMatch(new RegExp(`^ip link set eth1 mtu ${1500 + bytes} `));
  });

  test('room enough', () => {
    const findings = diagnose(facts({ config: tunnel('ipip'), info: { mtu: 1600 } }));
    expect(of('tunnel-mtu', findings)[0]?.level).toBe('ok');
  });
});

describe('full-nat', () => {
  const fullNat = (director: string) =>
    config("address: '10.0.0.11:80', forwarding: full-nat", '', director);

  test('source addresses that are not on the machine', () => {
    const spoilt = { config: fullNat('  localAddresses: [10.0.0.1, 10.0.0.2]') };
    const found = complaint('full-nat-addresses', facts(spoilt));
    expect(found.fix).toBe('ip address add 10.0.0.2/32 dev eth1');
  });

  test('the ports that remain beside the ephemeral ones are counted', () => {
    const spoilt = { config: fullNat('  localAddresses: [10.0.0.1]') };
    const found = of('full-nat-ports', diagnose(facts(spoilt)))[0];
    expect(found).toMatchObject({ level: 'ok', saw: expect.stringMatching(/36280 remain/) });
  });

  test('none remain: they must be reserved', () => {
    const director = '  localAddresses: [10.0.0.1]\n  localPorts: 40000-50000';
    const spoilt = { config: fullNat(director) };
    const found = complaint('full-nat-ports', facts(spoilt));
    expect(found.fix).toBe('sysctl -w net.ipv4.ip_local_reserved_ports=40000-50000');
    const reserved = facts({ ...spoilt, network: { reservedPorts: [[40_000, 50_000]] } });
    expect(of('full-nat-ports', diagnose(reserved))[0]?.level).toBe('ok');
  });

  test('no service uses it: nothing to say', () => {
    expect(of('full-nat-ports', diagnose(facts()))).toEqual([]);
  });
});
