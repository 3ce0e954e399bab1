import { describe, expect, test } from 'vitest';
import { imported, notesOf, outcome, virtualServer, yamlOf } from './support.ts';

test('a web service: exactly this file', () => {
  const text = [
    'virtual_server 192.0.2.80 80 {',
    '    delay_loop 6',
    '    lb_algo wrr',
    '    lb_kind NAT',
    '    persistence_timeout 50',
    '    persistence_granularity 255.255.255.0',
    '    protocol TCP',
    '    virtualhost www.example.com',
    '    sorry_server 10.0.0.99 81',
    '    quorum 2',
    '    hysteresis 1',
    '    inhibit_on_failure',
    '    snmp_name web',
    '',
    '    real_server 10.0.0.11 8080 {',
    '        weight 3',
    '        uthreshold 100',
    '        lthreshold 80',
    '        HTTP_GET {',
    '            url {',
    '              path /health',
    '              status_code 200-204 301',
    '            }',
    '            connect_timeout 2.5',
    '            retry 2',
    '        }',
    '    }',
    '    real_server 10.0.0.12 8080 {',
    '        HTTP_GET {',
    '            url {',
    '              path /health',
    '              status_code 200-204 301',
    '            }',
    '            connect_timeout 2.5',
    '            retry 2',
    '        }',
    '    }',
    '}',
  ];
  const result = imported(text.join('\n'));
  expect(notesOf(result)).toEqual([]);
  expect(result.yaml).toBe(`# Imported from in.conf by wvs import. Numbers behind # are lines there.

version: 1
director:
  ports: [ { name: lan } ]
services:
  # in.conf:1
  - name: web
    listen: 192.0.2.80:80/tcp
    scheduler: wrr
    forwarding: nat
    persistence: { timeout: 50s, mask: 255.255.255.0 }
    quorum: 2
    hysteresis: 1
    inhibitOnFailure: true
    sorryServer: 10.0.0.99:81 # 9
    check:
      type: http
      path: /health
      host: www.example.com
      status: 200-204,301
      interval: 6s
      timeout: 2500ms
      rise: 1
      fall: 3
      retryDelay: 3s
      jitter: 0s
      warmUp: 6s
    servers:
      - { address: 10.0.0.11:8080, weight: 3, upperThreshold: 100, lowerThreshold: 80 } # 15
      - { address: 10.0.0.12:8080, weight: 1 } # 28
`);
});

test('a group: its services are written once, and differ in where they listen', () => {
  const text = [
    'virtual_server_group G {',
    '  192.0.2.250-192.0.3.1 80',
    '  198.51.100.8/31 80',
    '  203.0.113.1-2 80',
    '  fwmark 7',
    '}',
    'virtual_server group G {',
    '  protocol TCP',
    '  lvs_sched rr',
    '  lvs_method DR',
    '  real_server 10.0.0.11 {',
    '    PING_CHECK {',
    '    }',
    '  }',
    '}',
  ];
  const { config, yaml } = imported(text.join('\n'));
  const places = ['192.0.2.250', '192.0.2.251', '192.0.2.252', '192.0.2.253', '192.0.2.254'];
  places.push('192.0.2.255', '192.0.3.0', '192.0.3.1', '198.51.100.8', '198.51.100.9');
  places.push('203.0.113.1', '203.0.113.2');
  expect(config.services.map(({ key }) => key)).toEqual([
    ...places.map((address) => `tcp ${address}:80`),
    'mark 7',
  ]);
  for (const { name, servers, scheduler } of config.services) {
    expect(name).toMatch(/^G (\d+\.\d+\.\d+\.\d+:80\/tcp|mark 7)$/);
    expect({ scheduler, count: servers.length }).toEqual({ scheduler: 'rr', count: 1 });
  }
  expect(yaml.match(/10\.0\.0\.11/g)).toHaveLength(1);
  expect(yaml).toContain(`
  # in.conf:2
  - <<: *group1
    name: G 192.0.2.251:80/tcp
    listen: 192.0.2.251:80/tcp
`);
});

test.each([
  ['10.0.0.8/29 80', '10.0.0.8-10.0.0.15'],
  ['10.0.0.1-3 80', '10.0.0.1-10.0.0.3'],
  ['2001:db8::fffe-2001:db8::1:1 80', '2001:db8::fffe-2001:db8::1:1'],
  ['2001:db8::8-b 80', '2001:db8::8-2001:db8::b'],
  ['2001:db8::10/126 80', '2001:db8::10-2001:db8::13'],
])('the range %s is %s', (entry, ends) => {
  const family = entry.includes(':') ? '2001:db8:1::1' : '10.1.0.1';
  const text = `virtual_server_group G {\n${entry}\n}\nvirtual_server group G {\nprotocol TCP\nreal_server ${family} 80 {\n}\n}`;
  const { services } = imported(text).config;
  const address = (index: number) => {
    const { listen } = services.at(index)!;
    return listen.kind === 'address' ? listen.address : '';
  };
  expect(`${address(0)}-${address(-1)}`).toBe(ends);
  expect(services.length).toBeLessThanOrEqual(8);
});

test.each([
  ['10.0.0.9/29 80', 'expected an address, a range of addresses or fwmark, got "10.0.0.9/29"'],
  [
    '10.0.0.250-300 80',
    'expected an address, a range of addresses or fwmark, got "10.0.0.250-300"',
  ],
  ['10.0.0.9-3 80', '10.0.0.9-3 is left out: the range ends before it starts'],
  ['10.0.0.0/8 80', '10.0.0.0/8 is left out: the range has more than 65536 addresses'],
  ['10.0.0.1 http', '10.0.0.1: expected a port from 1 to 65535, got "http"'],
  ['fwmark x', 'fwmark: expected a number from 1 to 4294967295, got "x"'],
])('the entry %s of a group: %s', (entry, message) => {
  const text = `virtual_server_group G {\n${entry}\n192.0.2.1 80\n}\nvirtual_server group G {\nprotocol TCP\nreal_server 10.0.0.1 80 {\n}\n}`;
  expect(notesOf(imported(text))).toEqual([`2: ${message}`]);
});

test('nothing is said: the defaults of keepalived, which are not those of ipvsadm', () => {
  const text = 'virtual_server 192.0.2.80 53 {\nreal_server 10.0.0.1 53 {\n}\n}';
  const result = imported(text);
  expect(notesOf(result)).toEqual([
    '1: there is no protocol: it is UDP, which keepalived takes then',
  ]);
  expect(yamlOf(result)).toContain(`
  - listen: 192.0.2.80:53/udp
    scheduler: wlc
    forwarding: nat
    servers:
      - { address: 10.0.0.1:53, weight: 1 } # 2
`);
});

describe('persistence', () => {
  test.each([
    ['persistence_timeout', { timeout: 360_000, netmask: 0xffffffff }],
    ['persistence_timeout 50', { timeout: 50_000, netmask: 0xffffffff }],
    ['persistence_granularity 255.255.255.0', { timeout: 360_000, netmask: 0xffffff00 }],
    [
      'persistence_timeout 9\npersistence_granularity 255.0.0.0',
      { timeout: 9_000, netmask: 0xff000000 },
    ],
  ])('%j', (statements, persistence) => {
    const { services } = imported(virtualServer(statements)).config;
    expect(services[0]!.persistence).toMatchObject(persistence);
  });

  test('of SIP, with its engine', () => {
    const text = virtualServer('persistence_engine sip').replace('TCP', 'UDP');
    expect(imported(text).config.services[0]!.persistence).toMatchObject({
      engine: 'sip',
      timeout: 360_000,
    });
  });

  test('the engine of SIP for TCP: left out, the rest stays', () => {
    const result = imported(virtualServer('persistence_engine sip'));
    expect(result.config.services[0]!.persistence).toMatchObject({ engine: undefined });
    expect(notesOf(result)).toEqual([
      expect.stringMatching(/^1: the persistence engine is left out: the engine sip is for udp/),
    ]);
  });

  test('a mask of IPv6 is a number of bits', () => {
    const text =
      'virtual_server 2001:db8::1 80 {\nprotocol TCP\npersistence_granularity 64\nreal_server 2001:db8::2 80 {\n}\n}';
    expect(imported(text).config.services[0]!.persistence).toMatchObject({ netmask: 64 });
  });

  test('all ports: persistent, because others cannot be', () => {
    const text =
      'virtual_server 192.0.2.80 {\nprotocol TCP\nlvs_method DR\nreal_server 10.0.0.1 {\n}\n}';
    const result = imported(text);
    expect(result.config.services[0]!.persistence).toMatchObject({ timeout: 360_000 });
    expect(notesOf(result)).toEqual([
      '1: there is no port: persistence_timeout is 360, as in keepalived',
    ]);
  });
});

describe('forwarding', () => {
  test.each([
    ['NAT', { forwarding: 'nat', tunnel: undefined }],
    ['DR', { forwarding: 'direct-route', tunnel: undefined }],
    ['TUN', { forwarding: 'tunnel', tunnel: { type: 'ipip', port: 0, checksum: 'none' } }],
    [
      'TUN type gre csum',
      { forwarding: 'tunnel', tunnel: { type: 'gre', port: 0, checksum: 'csum' } },
    ],
    [
      'TUN type gue port 6080 remcsum',
      { forwarding: 'tunnel', tunnel: { type: 'gue', port: 6080, checksum: 'remcsum' } },
    ],
  ])('lvs_method %s', (method, expected) => {
    const { services } = imported(virtualServer(`lvs_method ${method}`)).config;
    expect(services[0]!.servers[0]).toMatchObject(expected);
  });

  test.each([
    ['X', 'lvs_method: expected NAT, DR or TUN, got "X"'],
    ['TUN type gue', 'lvs_method is left out: a tunnel of type gue has a port, others have none'],
    [
      'TUN type gre port 5',
      'lvs_method is left out: a tunnel of type gue has a port, others have none',
    ],
    ['TUN type gre remcsum', 'lvs_method is left out: a tunnel of type gre has no remcsum'],
    ['TUN csum', 'lvs_method is left out: a tunnel of type ipip has no checksum'],
    ['TUN type x', 'lvs_method is left out: expected type ipip, gue or gre, got "x"'],
    ['TUN type gue port 0', 'lvs_method is left out: expected a port from 1 to 65535, got "0"'],
    ['TUN fast', 'lvs_method is left out: a tunnel has no option "fast"'],
  ])('lvs_method %s: %s', (method, message) => {
    expect(notesOf(imported(virtualServer(`lvs_method ${method}`)))).toEqual([`3: ${message}`]);
  });

  test('servers that differ say so, and the sorry server as well', () => {
    const text = [
      'virtual_server 192.0.2.80 80 {',
      'protocol TCP',
      'lvs_method TUN type gue port 6080',
      'sorry_server 10.0.0.9 80',
      'sorry_server_lvs_method NAT',
      'real_server 10.0.0.1 80 {',
      '}',
      'real_server 10.0.0.2 80 {',
      'lvs_method TUN',
      '}',
      'real_server 10.0.0.3 80 {',
      'lvs_method DR',
      '}',
      '}',
    ];
    expect(yamlOf(imported(text.join('\n')))).toContain(`
    forwarding: tunnel
    tunnel: { type: gue, port: 6080 }
    sorryServer: { address: 10.0.0.9:80, forwarding: nat } # 4
    servers:
      - { address: 10.0.0.1, weight: 1 } # 6
      - { address: 10.0.0.2, weight: 1, tunnel: { type: ipip } } # 8
      - { address: 10.0.0.3, weight: 1, forwarding: direct-route } # 11
`);
  });

  test('without NAT a server has the port of the service; its check keeps its own', () => {
    const result = imported(virtualServer('lvs_method DR', 'TCP_CHECK {\n}'));
    expect(result.config.services[0]!.servers[0]).toMatchObject({
      key: '10.0.0.11:80',
      checks: [{ type: 'tcp', port: 8080 }],
    });
    expect(notesOf(result)).toEqual([
      "4: port 8080 is left out: without NAT a packet keeps its port, the service's, 80",
    ]);
  });
});

describe('marks', () => {
  test('a service for IPv4 or IPv6, as its servers are; rules come from #wvs comments', () => {
    const text = [
      '#wvs marks: [{ mark: 6, destination: "2001:db8::/64" }]',
      'virtual_server fwmark 6 {',
      'lvs_method DR',
      'real_server 2001:db8::2 {',
      'TCP_CHECK {',
      'connect_port 80',
      '}',
      '}',
      'real_server 2001:db8::3 {',
      'TCP_CHECK {',
      '}',
      '}',
      '}',
    ];
    const result = imported(text.join('\n'));
    expect(result.config.services[0]).toMatchObject({
      key: 'mark 6 ipv6',
      servers: [{ checks: [{ type: 'tcp', port: 80 }] }, { checks: [] }],
    });
    expect(notesOf(result)).toEqual([
      '10: TCP_CHECK is left out: no connect_port says where to probe',
    ]);
  });

  test.each([
    ['lvs_method TUN', '2001:db8::1', 'mark 5 ipv6'],
    ['lvs_method TUN\nip_family inet', '2001:db8::1', 'mark 5'],
    ['lvs_method NAT', '10.0.0.1', 'mark 5'],
  ])('%j with %s: %s', (statements, address, key) => {
    const text = `virtual_server fwmark 5 {\n${statements}\nreal_server ${address} {\n}\n}`;
    expect(imported(text).config.services[0]!.key).toBe(key);
  });
});

describe('flags of schedulers', () => {
  test.each([
    ['lvs_sched sh\nsh-port\nsh-fallback', ['sh-fallback', 'sh-port']],
    ['sh-port\nlvs_sched sh', ['sh-port']],
    ['lvs_sched mh\nflag-1\nflag-2', ['mh-fallback', 'mh-port']],
    ['lvs_sched rr\nhashed', []],
  ])('%j', (statements, flags) => {
    const result = imported(virtualServer(statements));
    expect(result.config.services[0]!.schedulerFlags).toEqual(flags);
    expect(notesOf(result)).toEqual([]);
  });

  test('flags of other schedulers are reported', () => {
    expect(notesOf(imported(virtualServer('lvs_sched rr\nsh-port\nflag-3')))).toEqual([
      '4: sh-port is left out: it says nothing to rr',
      '5: flag-3 is left out: it says nothing to rr',
    ]);
  });
});

describe('quorum', () => {
  test('more than all servers, and a hysteresis that is too large: as keepalived corrects them', () => {
    const result = imported(virtualServer('quorum 9\nhysteresis 5\nweight 4'));
    expect(result.config.services[0]).toMatchObject({ quorum: 4, hysteresis: 3 });
    expect(notesOf(result)).toEqual([
      '1: quorum is 4, the weight of all servers, as in keepalived',
      '1: hysteresis is 3, less than the quorum, as in keepalived',
    ]);
  });

  test('commands, with arguments in quotes', () => {
    const statements = `quorum_up "/bin/up 'a b' c"\nquorum_down /bin/down`;
    expect(imported(virtualServer(statements)).config.services[0]!.notify).toEqual({
      quorumUp: ['/bin/up', 'a b', 'c'],
      quorumDown: ['/bin/down'],
    });
  });
});

describe('commands of servers', () => {
  const text = (second: string) =>
    [
      'virtual_server 192.0.2.80 80 {',
      'protocol TCP',
      'real_server 10.0.0.1 80 {',
      'notify_up /bin/up',
      'inhibit_on_failure',
      '}',
      'real_server 10.0.0.2 80 {',
      second,
      '}',
      '}',
    ].join('\n');

  test('omega, and a sorry server that is inhibited', () => {
    const statements = 'omega\nsorry_server 10.0.0.99 80\nsorry_server_inhibit';
    const result = imported(virtualServer(statements));
    expect(result.config.services[0]).toMatchObject({
      omega: true,
      sorryServer: { key: '10.0.0.99:80' },
      sorryServerInhibit: true,
    });
    expect(notesOf(result)).toEqual([]);
  });

  test('all the same: the command of the service', () => {
    const result = imported(text('notify_up /bin/up\ninhibit_on_failure yes'));
    expect(result.config.services[0]).toMatchObject({
      notify: { serverUp: ['/bin/up'] },
      inhibitOnFailure: true,
    });
    expect(notesOf(result)).toEqual([]);
  });

  test('not all the same: each server has its own', () => {
    const result = imported(text('notify_up /bin/other\nnotify_down /bin/down 2'));
    expect(result.config.services[0]).toMatchObject({
      notify: {},
      inhibitOnFailure: false,
      servers: [
        { inhibitOnFailure: true, notify: { serverUp: ['/bin/up'] } },
        { notify: { serverUp: ['/bin/other'], serverDown: ['/bin/down'] } },
      ],
    });
    expect(yamlOf(result)).toContain('inhibitOnFailure: true, notify: { serverUp: [ /bin/up ] }');
    expect(notesOf(result)).toEqual(['9: notify_down: WVS runs it as its own user, not as 2']);
  });

  test('one has what the others do not have', () => {
    const result = imported(text('notify_down /bin/down'));
    const { notify, servers } = result.config.services[0]!;
    expect(notify).toEqual({});
    expect(servers.map((server) => server.notify)).toEqual([
      { serverUp: ['/bin/up'] },
      { serverDown: ['/bin/down'] },
    ]);
  });
});

test.each([
  [
    'virtual_server 192.0.2.300 80 {\n}',
    '1: virtual_server: expected an IP address, got "192.0.2.300"',
  ],
  [
    'virtual_server 192.0.2.1 80 {\n}',
    '1: virtual_server is left out, as keepalived does: no real_server',
  ],
  [
    'virtual_server group X {\nreal_server 10.0.0.1 80 {\n}\n}',
    '1: there is no virtual_server_group "X"',
  ],
  ['virtual_server_group X {\n}', '1: virtual_server_group has no entries'],
  ['bogus {\na b\n}', '1: unknown keyword "bogus"'],
  ['vrrp_instance VI_1 {\nx\n}', '1: vrrp_instance VI_1 is left out: WVS has no VRRP'],
  [
    'static_routes {\nx\n}',
    '1: static_routes is left out: WVS sets no addresses, routes and rules',
  ],
  ['track_file x {\nfile /x\n}', '1: track_file x is left out: no FILE_CHECK uses it'],
  ['global_defs {\nbogus 1\n}', '2: unknown keyword "bogus" in global_defs'],
  [
    'global_defs {\nlvs_sync_daemon eth0\n}',
    '2: lvs_sync_daemon is left out: WVS does not synchronize connections',
  ],
  ['global_defs {\nvrrp_version 3\n}', '2: vrrp_version is left out: WVS has no VRRP'],
  [
    virtualServer('ha_suspend'),
    '3: ha_suspend is left out: WVS probes servers whether or not it has the virtual address',
  ],
  [virtualServer('ops'), '3: ops is left out: it is for UDP, not for tcp'],
  [
    virtualServer('sorry_server_inhibit'),
    '3: sorry_server_inhibit is left out: it has no sorry_server before it',
  ],
  [virtualServer('delay_loop 0'), '3: delay_loop: expected seconds, more than 0, got "0"'],
  [
    virtualServer('quorum_up /bin/x root'),
    '3: quorum_up: WVS runs it as its own user, not as root',
  ],
  [
    virtualServer('lvs_sched foo'),
    expect.stringMatching(/^3: lvs_sched: expected one of rr, .*, got "foo"$/),
  ],
  [virtualServer('protocol QQ'), '3: protocol: expected TCP, UDP or SCTP, got "QQ"'],
  [
    virtualServer('persistence_granularity 255.0.255.0'),
    expect.stringContaining('3: persistence_granularity: expected a mask'),
  ],
  [virtualServer('', 'weight 70000'), '5: weight is 65535, the most that WVS has'],
  [
    virtualServer('', 'weight -1'),
    '5: weight: expected a whole number from 0 to 2147483647, got "-1"',
  ],
  [
    virtualServer('', 'lthreshold 3'),
    '4: lthreshold is left out: IPVS refuses one that is above uthreshold',
  ],
  [virtualServer('', 'bogus'), '5: unknown keyword "bogus" in real_server'],
  [virtualServer('alpha off'), '3: alpha is on, as in keepalived, whatever follows: "off"'],
  [virtualServer('omega off'), '3: omega is on, as in keepalived, whatever follows: "off"'],
  [
    virtualServer('inhibit_on_failure no'),
    '3: inhibit_on_failure is on, as in keepalived, whatever follows: "no"',
  ],
  [virtualServer('', 'SMTP_CHECK {\nhelo_name\n}'), '6: helo_name has no value'],
  [
    `global_defs {\nlvs_flush_on_stop X\n}\n${virtualServer()}`,
    '2: lvs_flush_on_stop: expected VS or nothing, got "X"',
  ],
  [virtualServer('', 'alpha maybe'), '5: alpha: expected on or off, got "maybe"'],
])('%j: the one note %s', (text, note) => {
  expect(notesOf(imported(text))).toEqual([note]);
});

test('what validation refuses is left out with the line it is from, all else stays', () => {
  const text = [
    virtualServer(),
    virtualServer().replace('10.0.0.11', '2001:db8::1').replace('192.0.2.80 80', '192.0.2.81 80'),
    virtualServer('sorry_server 224.0.0.1 80').replace('192.0.2.80 80', '192.0.2.82 80'),
    virtualServer(),
  ];
  const result = imported(text.join(''));
  expect(result.config.services.map(({ key, servers }) => [key, servers.length])).toEqual([
    ['tcp 192.0.2.80:80', 1],
    ['tcp 192.0.2.81:80', 0],
    ['tcp 192.0.2.82:80', 1],
  ]);
  expect(notesOf(result)).toEqual([
    expect.stringMatching(/^11: this server is left out: nat cannot send IPv4 packets to an IPv6/),
    expect.stringMatching(/^17: the sorry server is left out: 224.0.0.1 is a multicast address/),
    expect.stringMatching(/^22: this service is left out: tcp 192.0.2.80:80 is a service already/),
  ]);
});

describe('the director', () => {
  test('timeouts of connections', () => {
    const result = imported('global_defs {\nlvs_timeouts tcp 100 udp 20\n}');
    expect(result.config.director.timeouts).toEqual({ tcp: 100_000, tcpfin: 120_000, udp: 20_000 });
  });

  test('its interfaces: those of VRRP, those that reach the servers, or the one of the default route', () => {
    const names = (
      text: string,
      machine = {
        networks: [] as { name: string; prefix: string }[],
        defaultInterface: undefined as string | undefined,
      },
    ) => {
      const result = imported(text, { interfaces: undefined, machine });
      expect(notesOf(result)).toContainEqual(
        expect.stringMatching(/^1: director.ports is a guess/),
      );
      return result.config.director.ports.map((port) => port.interface);
    };
    const networks = [
      { name: 'wan', prefix: '192.0.2.1/24' },
      { name: 'lan', prefix: '10.0.0.1/24' },
      { name: 'other', prefix: '172.16.0.1/24' },
    ];
    expect(names(virtualServer(), { networks, defaultInterface: 'other' })).toEqual(['wan', 'lan']);
    expect(names(virtualServer(), { networks: [], defaultInterface: 'other' })).toEqual(['other']);
    expect(names(virtualServer())).toEqual(['eth0']);
    expect(names('vrrp_instance V {\ninterface eth7\n}')).toEqual(['eth7']);
  });

  test('what #wvs comments say of it', () => {
    const text = `#wvs director:\n#wvs   ports: [{ name: a, interface: eth3 }]\n#wvs   connections: 5000\n${virtualServer()}`;
    const result = imported(text, { interfaces: undefined });
    expect(result.config.director).toMatchObject({
      connections: 5000,
      ports: [{ interface: 'eth3' }],
    });
    expect(notesOf(result)).toEqual([]);
  });

  test('#wvs comments that are wrong: errors', () => {
    const messages = (text: string) => {
      const result = outcome(text);
      return result.ok ? [] : result.errors.map(({ line, message }) => `${line}: ${message}`);
    };
    expect(messages('\n#wvs services: []')).toEqual([
      '2: expected `director:` or `marks:` behind #wvs, got `services:`',
    ]);
    expect(messages('\n#wvs director: { connections: 1 }')).toEqual([
      '2: director.connections: expected a whole number from 1024 to 16777216, got 1',
    ]);
    expect(messages('\n#wvs director: {')).toEqual([expect.stringContaining('not valid YAML')]);
    expect(messages('#wvs 5')).toEqual(['1: expected `director:` or `marks:` behind #wvs']);
  });
});
