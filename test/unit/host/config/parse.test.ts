/** What a good configuration becomes. */

import { describe, expect, test } from 'vitest';
import { FORWARDING_SPELLINGS, SCHEDULERS } from '../../../../host/config/schema.ts';
import { configOf, configWith, DIRECTOR } from './support.ts';

/** The example that the reference of the configuration shows. */
const EXAMPLE = `
  version: 1
  director:
    ports:
      - { name: wan, interface: eth0 }
      - { name: lan, interface: eth1, queues: 2, xdp: generic, zeroCopy: on }
    workers: auto
    connections: 1_000_000
    localAddresses: [10.0.0.1, 2001:DB8::1]
    control: /run/wvs/wvs.sock
    metrics: 127.0.0.1:9464
    sysctl: { expire_nodest_conn: 1 }
    timeouts: { tcp: 15m, tcpfin: 120s, udp: 300 }
  marks:
    - { mark: 6666, destination: 192.0.2.80, protocol: tcp, ports: [80, 8000-8100] }
  defaults:
    scheduler: wlc
    forwarding: direct-route
    check: { type: tcp, interval: 2s, timeout: 500ms, rise: 2, fall: 4 }
  services:
    - name: web
      listen: 192.0.2.80:80/tcp
      scheduler: wrr
      forwarding: nat
      persistence: { timeout: 360s, mask: 255.255.255.0 }
      quorum: 1
      sorryServer: 10.0.0.99:80
      check: { type: http, path: /health, status: 200-299 }
      servers:
        - { address: '10.0.0.11:8080', weight: 3, upperThreshold: 100, lowerThreshold: 80 }
        - { address: '10.0.0.12', forwarding: tunnel, tunnel: { type: gue, port: 6080 } }
    - listen: mark 6666
`;

describe('the example', () => {
  const config = configOf(EXAMPLE);

  test('director: every default filled in', () => {
    expect(config.director).toEqual({
      ports: [
        { name: 'wan', interface: 'eth0', queues: undefined, xdp: 'auto', zeroCopy: 'auto' },
        { name: 'lan', interface: 'eth1', queues: 2, xdp: 'generic', zeroCopy: 'on' },
      ],
      workers: 'auto',
      connections: 1_000_000,
      localAddresses: [
        { family: 4, address: '10.0.0.1' },
        { family: 6, address: '2001:db8::1' },
      ],
      localPorts: { first: 1024, last: 65535 },
      control: '/run/wvs/wvs.sock',
      metrics: { family: 4, address: '127.0.0.1', port: 9464 },
      busyPoll: false,
      hz: 100,
      healthMaxInFlight: 1024,
      drainTimeout: 300_000,
      watch: true,
      sysctl: expect.objectContaining({ expire_nodest_conn: 1, sync_threshold: '3 50' }),
      timeouts: { tcp: 900_000, tcpfin: 120_000, udp: 300_000 },
      world: undefined,
    });
  });

  test('marks: destination and ports as ranges', () => {
    expect(config.marks).toMatchObject([
      {
        mark: 6666,
        destination: { family: 4, address: '192.0.2.80', prefixLength: 32 },
        protocol: 'tcp',
        ports: [
          { first: 80, last: 80 },
          { first: 8000, last: 8100 },
        ],
      },
    ]);
  });

  test('service: its own settings, then the defaults', () => {
    const [web, marked] = config.services;
    expect(web).toMatchObject({
      key: 'tcp 192.0.2.80:80',
      name: 'web',
      listen: { kind: 'address', protocol: 'tcp', family: 4, address: '192.0.2.80', port: 80 },
      scheduler: 'wrr',
      schedulerFlags: [],
      persistence: { timeout: 360_000, netmask: 0xffffff00, engine: undefined },
      onePacket: false,
      quorum: 1,
      hysteresis: 0,
      position: { line: 20, column: 5 },
    });
    expect(marked).toMatchObject({
      key: 'mark 6666',
      name: 'mark 6666',
      listen: { kind: 'mark', mark: 6666, family: 4 },
      scheduler: 'wlc',
      persistence: undefined,
      servers: [],
      sorryServer: undefined,
    });
  });

  test("servers: the port and the check's times come from further out", () => {
    const [first, second] = config.services[0]!.servers;
    const check = {
      type: 'http',
      path: '/health',
      status: [{ first: 200, last: 299 }],
      interval: 2_000,
      timeout: 500,
      rise: 2,
      fall: 4,
      retryDelay: 2_000,
      jitter: 200,
      warmUp: 2_000,
    };
    expect(first).toEqual({
      key: '10.0.0.11:8080',
      family: 4,
      address: '10.0.0.11',
      port: 8080,
      weight: 3,
      upperThreshold: 100,
      lowerThreshold: 80,
      forwarding: 'nat',
      tunnel: undefined,
      checks: [check],
      position: { line: 29, column: 9 },
    });
    expect(second).toMatchObject({
      key: '10.0.0.12:80',
      weight: 1,
      forwarding: 'tunnel',
      tunnel: { type: 'gue', port: 6080, checksum: 'none' },
      checks: [check],
    });
  });

  test('sorry server: forwarded like the service, never checked', () => {
    expect(config.services[0]!.sorryServer).toMatchObject({
      key: '10.0.0.99:80',
      forwarding: 'nat',
      weight: 1,
      checks: [],
    });
  });

  test('sorry server: inhibited only when its mapping says so', () => {
    const inhibitOf = (sorryServer: string) =>
      configWith(`
        services:
          - { listen: '192.0.2.80:80/tcp', sorryServer: ${sorryServer} }
      `).services[0]!.sorryServerInhibit;
    expect(inhibitOf('10.0.0.99:80')).toBe(false);
    expect(inhibitOf("{ address: '10.0.0.99:80' }")).toBe(false);
    expect(inhibitOf("{ address: '10.0.0.99:80', inhibit: true }")).toBe(true);
  });

  test('everything is frozen', () => {
    const isFrozen = (value: unknown): boolean =>
      typeof value !== 'object' ||
      value === null ||
      (Object.isFrozen(value) && Object.values(value).every(isFrozen));
    expect(isFrozen(config)).toBe(true);
  });
});

test('sysctls: all of the kernel names with their defaults', () => {
  expect(configWith('services: []').director.sysctl).toEqual({
    am_droprate: 10,
    amemthresh: 1024,
    backup_only: 0,
    cache_bypass: 0,
    conn_reuse_mode: 1,
    conntrack: 0,
    debug_level: 0,
    drop_entry: 0,
    drop_packet: 0,
    expire_nodest_conn: 0,
    expire_quiescent_template: 0,
    ignore_tunneled: 0,
    lblc_expiration: 86400,
    lblcr_expiration: 86400,
    nat_icmp_send: 0,
    pmtu_disc: 1,
    run_estimation: 1,
    schedule_icmp: 0,
    secure_tcp: 0,
    sloppy_sctp: 0,
    sloppy_tcp: 0,
    snat_reroute: 1,
    sync_persist_mode: 0,
    sync_ports: 1,
    sync_qlen_max: 1895,
    sync_refresh_period: 0,
    sync_retries: 0,
    sync_sock_size: 0,
    sync_threshold: '3 50',
    sync_version: 1,
  });
});

test.each([
  ['192.0.2.80:80/tcp', 'tcp 192.0.2.80:80'],
  ['192.0.2.80:53/udp', 'udp 192.0.2.80:53'],
  ['192.0.2.80:9/sctp', 'sctp 192.0.2.80:9'],
  ["'[2001:0DB8::0080]:443/tcp'", 'tcp [2001:db8::80]:443'],
  ['mark 1', 'mark 1'],
  ['mark 4294967295', 'mark 4294967295'],
  ['mark 7/ipv6', 'mark 7 ipv6'],
])('listen %s has the key %s', (listen, key) => {
  expect(configWith(`services:\n  - listen: ${listen}`).services[0]!.key).toBe(key);
});

test.each(Object.entries(FORWARDING_SPELLINGS))('forwarding %s means %s', (spelling, method) => {
  const config = configOf(`
    version: 1
    director: { ports: [{ name: wan }], localAddresses: [10.0.0.1] }
    services:
      - { listen: '192.0.2.80:80/tcp', forwarding: ${spelling}, servers: [{ address: 10.0.0.2 }] }
  `);
  expect(config.services[0]!.servers[0]!.forwarding).toBe(method);
});

test.each(SCHEDULERS)('scheduler %s is known', (scheduler) => {
  const config = configWith(`
    services:
      - { listen: '192.0.2.80:80/tcp', scheduler: ${scheduler} }
  `);
  expect(config.services[0]!.scheduler).toBe(scheduler);
});

test('nothing said: wlc, direct-route, weight 1, no check, as ipvsadm', () => {
  const [service] = configWith(`
    services:
      - { listen: '192.0.2.80:80/tcp', servers: [{ address: 10.0.0.2 }] }
  `).services;
  expect(service).toMatchObject({ scheduler: 'wlc', name: 'tcp 192.0.2.80:80' });
  expect(service!.servers[0]).toMatchObject({
    forwarding: 'direct-route',
    weight: 1,
    upperThreshold: 0,
    checks: [],
  });
});

describe('persistence', () => {
  test.each([
    ['192.0.2.80:80/tcp', '{}', 300_000, 0xffffffff],
    ['192.0.2.80:80/tcp', '{ mask: 24 }', 300_000, 0xffffff00],
    ['192.0.2.80:80/tcp', '{ mask: 255.255.0.0 }', 300_000, 0xffff0000],
    ['192.0.2.80:80/tcp', '{ mask: 255.0.255.0 }', 300_000, 0xff00ff00],
    ["'[2001:db8::80]:80/tcp'", '{ timeout: 1h }', 3_600_000, 128],
    ["'[2001:db8::80]:80/tcp'", '{ mask: 64 }', 300_000, 64],
    ['mark 1/ipv6', '{ mask: 48 }', 300_000, 48],
  ])('%s %s', (listen, persistence, timeout, netmask) => {
    const config = configWith(`services:\n  - { listen: ${listen}, persistence: ${persistence} }`);
    expect(config.services[0]!.persistence).toEqual({ timeout, netmask, engine: undefined });
  });
});

describe('checks', () => {
  function checkOf(service: string, defaults = '{}') {
    const config = configOf(`
      version: 1
      ${DIRECTOR}
      defaults: ${defaults}
      services:
        - { listen: '192.0.2.80:80/tcp', ${service} }
    `);
    return config.services[0]!.servers[0]!.checks[0];
  }

  test('none at the server overrides all others', () => {
    const servers = 'servers: [{ address: 10.0.0.1, check: { type: none } }]';
    expect(checkOf(`check: { type: tcp }, ${servers}`, '{ check: { type: tcp } }')).toBeUndefined();
  });

  test('none at the service overrides the defaults', () => {
    const service = 'check: { type: none }, servers: [{ address: 10.0.0.1 }]';
    expect(checkOf(service, '{ check: { type: tcp } }')).toBeUndefined();
  });

  test("the server's times come first, then the service's", () => {
    const servers = 'servers: [{ address: 10.0.0.1, check: { type: icmp, interval: 5s } }]';
    expect(checkOf(`check: { type: tcp, interval: 9s, fall: 7 }, ${servers}`)).toMatchObject({
      type: 'icmp',
      interval: 5_000,
      fall: 7,
      rise: 2,
      jitter: 500,
    });
  });

  test.each([
    '{ type: icmp }',
    '{ type: tcp, port: 81, via: vip, warmUp: 10s, jitter: 0 }',
    '{ type: http, path: /x, host: a.example, status: "200, 301-302", body: "^ok$" }',
    '{ type: http, digest: 640205b7b0fc66c1ea91c463fac6334d, headers: { X-A: b }, method: HEAD }',
    '{ type: https, sni: a.example, verify: true, ca: /etc/ca.pem }',
    '{ type: udp, sendHex: 00ff, requireReply: true, expect: "." }',
    '{ type: dns, name: a.example, record: AAAA }',
    '{ type: smtp, helo: a.example }',
    '{ type: grpc, service: a, tls: true }',
    '{ type: command, command: [/bin/true, x], weightFromExitCode: true, timeout: 5s }',
    '{ type: file, path: /run/weight, factor: 10 }',
    '{ type: tcp, damping: { changes: 4, within: 1m, hold: 5m } }',
  ])('%s', (check) => {
    expect(checkOf(`check: ${check}, servers: [{ address: 10.0.0.1 }]`)).toMatchObject({
      rise: 2,
      fall: 3,
    });
  });
});

test('scheduler flags come sorted, and only with their scheduler from the defaults', () => {
  const config = configOf(`
    version: 1
    ${DIRECTOR}
    defaults: { scheduler: sh, schedulerFlags: [sh-port] }
    services:
      - { listen: '192.0.2.80:80/tcp' }
      - { listen: '192.0.2.80:81/tcp', scheduler: rr }
      - { listen: '192.0.2.80:82/tcp', scheduler: mh, schedulerFlags: [mh-port, mh-fallback] }
  `);
  expect(config.services.map((service) => service.schedulerFlags)).toEqual([
    ['sh-port'],
    [],
    ['mh-fallback', 'mh-port'],
  ]);
});

test('anchors and merge keys: one text for many services', () => {
  const config = configWith(`
    services:
      - &web { listen: '192.0.2.80:80/tcp', scheduler: rr, servers: &farm [{ address: 10.0.0.1 }] }
      - { <<: *web, listen: '192.0.2.80:81/tcp' }
      - { listen: '192.0.2.80:82/tcp', servers: *farm }
  `);
  expect(config.services.map((service) => service.servers[0]!.key)).toEqual([
    '10.0.0.1:80',
    '10.0.0.1:81',
    '10.0.0.1:82',
  ]);
  expect(config.services[1]!.scheduler).toBe('rr');
});

test('the world of a replay', () => {
  const { world } = configOf(`
    version: 1
    director:
      ports: [{ name: cli }, { name: srv }]
      world:
        ports:
          cli: { mac: '02:00:00:00:00:01', addresses: [192.0.2.1/24, '2001:db8:1::1/64'] }
          srv: { mac: '02:00:00:00:01:0A', mtu: 9000 }
        neighbours: [{ port: cli, address: 192.0.2.254, mac: '02:00:00:00:00:02' }]
        routes:
          - { to: default, via: 192.0.2.254, port: cli }
          - { to: default, via: 'fe80::1', port: cli }
          - { to: 10.1.0.0/16, port: srv }
  `).director;
  expect(world).toEqual({
    ports: [
      {
        name: 'cli',
        mac: '02:00:00:00:00:01',
        mtu: 1500,
        addresses: [
          { family: 4, address: '192.0.2.1', prefixLength: 24 },
          { family: 6, address: '2001:db8:1::1', prefixLength: 64 },
        ],
      },
      { name: 'srv', mac: '02:00:00:00:01:0a', mtu: 9000, addresses: [] },
    ],
    neighbours: [{ port: 'cli', family: 4, address: '192.0.2.254', mac: '02:00:00:00:00:02' }],
    routes: [
      {
        to: { family: 4, address: '0.0.0.0', prefixLength: 0 },
        via: { family: 4, address: '192.0.2.254' },
        port: 'cli',
      },
      {
        to: { family: 6, address: '::', prefixLength: 0 },
        via: { family: 6, address: 'fe80::1' },
        port: 'cli',
      },
      { to: { family: 4, address: '10.1.0.0', prefixLength: 16 }, via: undefined, port: 'srv' },
    ],
  });
});
