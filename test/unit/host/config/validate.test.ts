/** The rules between keys: each with a configuration that breaks only that one. */

import { STEERING_MARK_RULES_MAX } from 'af-xdp-socket';
import { describe, expect, test } from 'vitest';
import { parseConfig } from '../../../../host/config/parse.ts';
import { MARKED_RANGES_MAX } from '../../../../host/config/validate-marks.ts';
import { dedent, errorsOf, textWith, warningsOf } from './support.ts';

function errorsIn(text: string): string[] {
  return errorsOf(parseConfig(dedent(text), 'wvs.yaml'));
}

describe('director', () => {
  const LAN = '{ name: lan, interface: eth0';
  test.each([
    [
      'two ports of one name',
      'ports: [{ name: a, interface: x }, { name: a, interface: y }]',
      '3:46 director.ports[1].name [duplicate-port] there is a port "a" already',
    ],
    [
      'two ports on one interface',
      'ports: [{ name: a, interface: x }, { name: b, interface: x }]',
      '3:60 director.ports[1].interface [duplicate-interface] interface "x" belongs to port "a" ' +
        'already',
    ],
    [
      'more workers than any port has queues',
      `ports: [${LAN}, queues: 2 }], workers: 3`,
      '3:64 director.workers [more-workers-than-queues] expected at most 2, the largest number ' +
        'of queues of a port, got 3: a worker without a queue has nothing to do',
    ],
    [
      'a world with a port that is none',
      `ports: [${LAN} }], world: { ports: { wan: { mac: '02:00:00:00:00:01' } } }`,
      '3:62 director.world.ports.wan [unknown-port] there is no port "wan"; the ports are lan',
    ],
    [
      'a neighbour on a port that is none',
      `ports: [${LAN} }], world: { neighbours: ` +
        `[{ port: wan, address: 10.0.0.1, mac: '02:00:00:00:00:01' }] }`,
      '3:74 director.world.neighbours[0].port [unknown-port] there is no port "wan"; ' +
        'the ports are lan',
    ],
    [
      'a route via the other family',
      `ports: [${LAN} }], world: { routes: [{ to: 10.0.0.0/8, via: '::1', port: lan }] }`,
      '3:85 director.world.routes[0].via [family-mismatch] an IPv4 route cannot go via an IPv6 ' +
        'address',
    ],
  ])('%s', (_, director, message) => {
    expect(errorsIn(`version: 1\ndirector: {\n  ${director} }\n`)).toEqual([message]);
  });

  test('workers are not judged while a port leaves its queues to the driver', () => {
    expect(
      errorsIn(
        'version: 1\ndirector: { ports: [{ name: a, queues: 1 }, { name: b }], workers: 4 }',
      ),
    ).toEqual([]);
  });
});

describe('one service', () => {
  test.each([
    [
      'every port without persistence',
      "listen: '192.0.2.80:0/tcp'",
      '4:15 services[0].listen [port-0-without-persistence] port 0 (every port) needs ' +
        'persistence: add `persistence: { timeout: 300s }`',
    ],
    [
      'one-packet scheduling of TCP',
      'listen: 192.0.2.80:80/tcp, onePacket: true',
      '4:45 services[0].onePacket [one-packet-not-udp] onePacket is for udp and mark services, ' +
        'not for tcp: leave it out, or listen on udp',
    ],
    [
      'the engine sip for TCP',
      'listen: 192.0.2.80:80/tcp, persistence: { engine: sip }',
      '4:57 services[0].persistence.engine [engine-not-udp] the engine sip is for udp and mark ' +
        'services, not for tcp: leave it out, or listen on udp',
    ],
    [
      "another scheduler's flag",
      'listen: 192.0.2.80:80/tcp, scheduler: sh, schedulerFlags: [sh-port, mh-port]',
      '4:65 services[0].schedulerFlags [flag-of-other-scheduler] "mh-port" is a flag of the ' +
        "scheduler mh, but this service's scheduler is sh, which has sh-fallback and sh-port",
    ],
    [
      'a prefix too long for IPv4',
      'listen: 192.0.2.80:80/tcp, persistence: { mask: 64 }',
      '4:55 services[0].persistence.mask [mask-of-other-family] expected a mask such as ' +
        '255.255.255.0 or a prefix length from 1 to 32 for an IPv4 service',
    ],
    [
      'a dotted mask for IPv6',
      "listen: '[2001:db8::80]:80/tcp', persistence: { mask: 255.0.0.0 }",
      '4:61 services[0].persistence.mask [mask-of-other-family] expected a prefix length from 1 ' +
        'to 128 for an IPv6 service',
    ],
    [
      'a hysteresis as large as the quorum',
      'listen: 192.0.2.80:80/tcp, quorum: 1, hysteresis: 1',
      '4:57 services[0].hysteresis [hysteresis-not-below-quorum] expected at most 0, less than ' +
        'the quorum, got 1',
    ],
    [
      'a multicast virtual address',
      'listen: 224.0.0.1:80/tcp',
      '4:15 services[0].listen [unusable-address] 224.0.0.1 is a multicast address and cannot be ' +
        'a virtual address',
    ],
    [
      'a virtual address of zeros',
      "listen: '[::]:80/tcp'",
      '4:15 services[0].listen [unusable-address] :: is the unspecified address and cannot be a ' +
        'virtual address',
    ],
  ])('%s', (_, service, message) => {
    const text = textWith(`services:\n  - { ${service} }\n`);
    expect(errorsOf(parseConfig(text, 'wvs.yaml'))).toEqual([message]);
  });

  test.each([
    "listen: '192.0.2.80:0/tcp', persistence: {}",
    'listen: mark 7, onePacket: true',
    'listen: 192.0.2.80:53/udp, onePacket: true, persistence: { engine: sip }',
    'listen: mark 7, quorum: 2, hysteresis: 1, servers: [{ address: 10.0.0.1, weight: 2 }]',
    "listen: '192.0.2.80:0/tcp', persistence: {}, servers: [{ address: '10.0.0.1:8080' }]",
    "listen: '192.0.2.80:80/tcp', forwarding: tun, servers: [{ address: '2001:db8::1' }]",
    "listen: '192.0.2.80:80/tcp', forwarding: nat, servers: [{ address: '10.0.0.1:8080' }]",
  ])('%s is fine', (service) => {
    const text = textWith(`services:\n  - { ${service} }\n`);
    expect(errorsOf(parseConfig(text, 'wvs.yaml'))).toEqual([]);
  });
});

describe('one server of a service on 192.0.2.80:80/tcp', () => {
  const at = 'services[0].servers[0]';
  test.each([
    [
      "address: '10.0.0.1:8080'",
      `5:26 ${at}.address [port-mapping] direct-route cannot change the port: expected 80, the ` +
        "service's, got 8080; only nat and full-nat can",
    ],
    [
      "address: '10.0.0.1:8080', forwarding: tunnel",
      `5:26 ${at}.address [port-mapping] tunnel cannot change the port: expected 80, the ` +
        "service's, got 8080; only nat and full-nat can",
    ],
    [
      "address: '10.0.0.1:0', forwarding: nat",
      `5:26 ${at}.address [server-port-0] expected a port from 1 to 65535, or none for the ` +
        "service's 80",
    ],
    [
      "address: '2001:db8::1', forwarding: nat",
      `5:26 ${at}.address [family-mismatch] nat cannot send IPv4 packets to an IPv6 server; only ` +
        'tunnel can',
    ],
    [
      "address: '2001:db8::1'",
      `5:26 ${at}.address [family-mismatch] direct-route cannot send IPv4 packets to an IPv6 ` +
        'server; only tunnel can',
    ],
    [
      "address: '10.0.0.1:81', forwarding: full-nat",
      `5:53 ${at}.forwarding [full-nat-without-local-address] full-nat needs an IPv4 address that ` +
        "servers answer to: add one of the director's own as `localAddresses: [192.0.2.10]` under " +
        '`director`',
    ],
    [
      'address: 10.0.0.1, upperThreshold: 5, lowerThreshold: 6',
      `5:71 ${at}.lowerThreshold [lower-threshold-above-upper] expected at most the upper ` +
        'threshold, 5, got 6',
    ],
    [
      'address: 10.0.0.1, lowerThreshold: 1',
      `5:52 ${at}.lowerThreshold [lower-threshold-above-upper] expected an upper threshold as ` +
        'well: add `upperThreshold: 2`',
    ],
    [
      'address: 0.0.0.0',
      `5:26 ${at}.address [unusable-address] 0.0.0.0 is the unspecified address and cannot be a ` +
        'server',
    ],
    [
      "address: 'fe80::1', forwarding: tunnel",
      `5:26 ${at}.address [unusable-address] fe80::1 is a link-local address and cannot ` +
        'be a server',
    ],
    [
      'address: 10.0.0.1, forwarding: tunnel, tunnel: { type: gue }',
      `5:64 ${at}.tunnel [tunnel-without-port] a gue tunnel needs a port: add \`port: 6080\``,
    ],
    [
      'address: 10.0.0.1, forwarding: tunnel, tunnel: { type: ipip, port: 6080 }',
      `5:84 ${at}.tunnel.port [tunnel-port] only a gue tunnel has a port, not ipip: leave ` +
        'it out, or say `type: gue`',
    ],
    [
      'address: 10.0.0.1, forwarding: tunnel, tunnel: { type: gre, checksum: remcsum }',
      `5:87 ${at}.tunnel.checksum [tunnel-checksum] expected one of none, csum for a tunnel of ` +
        'type gre, got "remcsum"',
    ],
    [
      'address: 10.0.0.1, forwarding: nat, check: { type: tcp, via: vip }',
      `5:78 ${at}.check.via [check-via-vip] \`via: vip\` is for direct-route and tunnel, ` +
        'not for nat: leave it out',
    ],
    [
      'address: 10.0.0.1, check: { type: tcp, via: vip, address: 10.0.0.2 }',
      `5:61 ${at}.check.via [check-via-vip] \`via: vip\` goes through the server itself: ` +
        'leave `address` out',
    ],
    [
      'address: 10.0.0.1, check: { type: udp, via: vip, send: a }',
      `5:61 ${at}.check.via [check-via-vip] \`via: vip\` needs an answer, or it would prove ` +
        'nothing: add `requireReply: true`',
    ],
    [
      'address: 10.0.0.1, check: { type: icmp, via: vip }',
      `5:57 ${at}.check.via [unknown-key] unknown key "via"; the keys here are type, interval, ` +
        'timeout, rise, fall, retryDelay, jitter, warmUp, alpha, damping, source',
    ],
    [
      "address: '2001:db8::1', forwarding: tunnel, check: { type: tcp, via: vip }",
      `5:86 ${at}.check.via [check-via-vip] \`via: vip\` cannot ask for an IPv4 address ` +
        'through an IPv6 tunnel',
    ],
    [
      'address: 10.0.0.1, forwarding: tunnel, tunnel: { type: gre, checksum: csum }, ' +
        'check: { type: tcp, via: vip }',
      `5:120 ${at}.check.via [check-via-vip] \`via: vip\` makes no tunnel checksums: expected ` +
        '`checksum: none`, got csum',
    ],
    [
      "address: 10.0.0.1, check: { type: udp, send: a, sendHex: '61' }",
      `5:74 ${at}.check.sendHex [check-sends-two-things] expected either send or sendHex, got both`,
    ],
  ])('%s', (server, message) => {
    const text = textWith(
      `services:\n  - listen: 192.0.2.80:80/tcp\n    servers: [{ ${server} }]\n`,
    );
    expect(errorsOf(parseConfig(text, 'wvs.yaml'))).toEqual([message]);
  });

  test('a mark has no virtual address that could be asked for', () => {
    const text = textWith(
      'services:\n  - listen: mark 1\n    servers: [{ address: 10.0.0.1 }]\n' +
        '    check: { type: tcp, via: vip }\n',
    );
    expect(errorsOf(parseConfig(text, 'wvs.yaml'))).toEqual([
      '6:30 services[0].check.via [check-via-vip] `via: vip` needs a virtual address; ' +
        'a mark has none',
    ]);
  });

  test('the same rules hold for the sorry server', () => {
    const text = textWith(
      "services:\n  - { listen: '192.0.2.80:80/tcp', sorryServer: '10.0.0.9:81' }\n",
    );
    expect(errorsOf(parseConfig(text, 'wvs.yaml'))).toEqual([
      '4:49 services[0].sorryServer [port-mapping] direct-route cannot change the port: ' +
        'expected 80, ' +
        "the service's, got 81; only nat and full-nat can",
    ]);
  });
});

test('one of several checks is wrong → told where that one stands', () => {
  const text = textWith(`
    services:
      - listen: 192.0.2.80:80/tcp
        forwarding: nat
        check:
          - { type: tcp }
          - { type: http, via: vip }
        servers:
          - { address: '10.0.0.1:80', check: [{ type: http, path: x }, { type: tpc }] }
          - { address: '10.0.0.2:80' }
  `);
  expect(errorsOf(parseConfig(text, 'wvs.yaml'))).toEqual([
    '10:63 services[0].servers[0].check[0].path [wrong-value] expected a path that starts with /, ' +
      'got "x"',
    '10:76 services[0].servers[0].check[1].type [wrong-value] expected one of none, icmp, tcp, ' +
      'http, https, udp, dns, smtp, grpc, command, file, got "tpc"; did you mean "tcp"?',
  ]);
  const right = text.replace('path: x', 'path: /x').replace('tpc', 'tcp');
  expect(errorsOf(parseConfig(right, 'wvs.yaml'))).toEqual([
    '8:28 services[0].check[1].via [check-via-vip] `via: vip` is for direct-route and tunnel, not ' +
      'for nat: leave it out',
  ]);
});

test('every rule broken at once → all are told, in the order of the file', () => {
  expect(
    errorsIn(`
      version: 1
      director: { ports: [{ name: wan }] }
      services:
        - listen: 192.0.2.80:80/tcp
          servers:
            - { address: '10.0.0.1:8080' }
            - { address: '2001:db8::1' }
            - { address: 10.0.0.2, upperThreshold: 10, lowerThreshold: 20 }
            - { address: 10.0.0.2 }
        - listen: 192.0.2.80:80/tcp
        - listen: 192.0.2.81:80/tcp
          forwarding: full-nat
          servers: [{ address: '10.0.0.3:8080' }, { address: '10.0.0.4:8080' }]
    `),
  ).toEqual([
    '6:20 services[0].servers[0].address [port-mapping] direct-route cannot change the port: ' +
      "expected 80, the service's, got 8080; only nat and full-nat can",
    '7:20 services[0].servers[1].address [family-mismatch] direct-route cannot send IPv4 packets ' +
      'to an IPv6 server; only tunnel can',
    '8:66 services[0].servers[2].lowerThreshold [lower-threshold-above-upper] expected at most the ' +
      'upper threshold, 10, got 20',
    '9:20 services[0].servers[3].address [duplicate-server] 10.0.0.2:80 is a server of this ' +
      'service already, at line 8',
    '10:13 services[1].listen [duplicate-service] tcp 192.0.2.80:80 is a service already, at line 4',
    '12:17 services[2].forwarding [full-nat-without-local-address] full-nat needs an IPv4 address ' +
      "that servers answer to: add one of the director's own as `localAddresses: [192.0.2.10]` " +
      'under `director`',
  ]);
});

test('full-nat is satisfied by a local address of its own family', () => {
  const withPool = (pool: string) =>
    errorsIn(`
      version: 1
      director: { ports: [{ name: wan }], localAddresses: [${pool}] }
      services:
        - listen: '[2001:db8::80]:80/tcp'
          forwarding: full-nat
          servers: [{ address: '[2001:db8::1]:8080' }]
    `);
  expect(withPool("'2001:db8::9'")).toEqual([]);
  expect(withPool('10.0.0.1')).toEqual([
    '5:17 services[0].forwarding [full-nat-without-local-address] full-nat needs an IPv6 address ' +
      "that servers answer to: add one of the director's own as `localAddresses: " +
      "['2001:db8::10']` under `director`",
  ]);
});

test('a mistake in the defaults is reported once, where it is', () => {
  expect(
    errorsIn(`
      version: 1
      director: { ports: [{ name: wan }] }
      defaults: { forwarding: tunnel, tunnel: { type: gue } }
      services:
        - { listen: '192.0.2.80:80/tcp', servers: [{ address: 10.0.0.1 }, { address: 10.0.0.2 }] }
        - { listen: '192.0.2.81:80/tcp', servers: [{ address: 10.0.0.1 }] }
    `),
  ).toEqual([
    '3:41 defaults.tunnel [tunnel-without-port] a gue tunnel needs a port: add `port: 6080`',
  ]);
});

describe('between services', () => {
  test('two on one address, spelled differently', () => {
    expect(
      errorsIn(`
        version: 1
        director: { ports: [{ name: wan }] }
        services:
          - listen: '[2001:db8::80]:80/tcp'
          - listen: '[2001:DB8:0::80]:80/tcp'
          - listen: '[2001:db8::80]:80/udp'
      `),
    ).toEqual([
      '5:13 services[1].listen [duplicate-service] tcp [2001:db8::80]:80 is a service already, ' +
        'at line 4',
    ]);
  });

  test('two of one name', () => {
    expect(
      errorsIn(`
        version: 1
        director: { ports: [{ name: wan }] }
        services:
          - { name: web, listen: '192.0.2.80:80/tcp' }
          - { name: web, listen: '192.0.2.81:80/tcp' }
      `),
    ).toEqual([
      '5:13 services[1].name [duplicate-service-name] there is a service named "web" already, ' +
        'at line 4',
    ]);
  });

  test('one server twice', () => {
    expect(
      errorsIn(`
        version: 1
        director: { ports: [{ name: wan }] }
        services:
          - listen: '192.0.2.80:80/tcp'
            servers:
              - { address: 10.0.0.1 }
              - { address: '10.0.0.1:80' }
      `),
    ).toEqual([
      '7:20 services[0].servers[1].address [duplicate-server] 10.0.0.1:80 is a server of this ' +
        'service already, at line 6',
    ]);
  });
});

describe('marks', () => {
  test('ports without a protocol', () => {
    expect(
      errorsIn(`
        version: 1
        director: { ports: [{ name: wan }] }
        marks: [{ mark: 1, destination: 192.0.2.80, ports: [80] }]
        services: [{ listen: mark 1 }]
      `),
    ).toEqual([
      '3:52 marks[0].ports [ports-without-protocol] ports need a protocol: add `protocol: tcp`, ' +
        'udp or sctp',
    ]);
  });

  test('more port ranges for one destination than the steering program can tell apart', () => {
    const withMarks = (...rules: string[]) => `
      version: 1
      director: { ports: [{ name: wan }] }
      marks:
        - { mark: 1, destination: 192.0.2.80, protocol: tcp, ports: [1, 3, 5, 7, 9] }
        ${rules.map((rule) => `- { mark: 1, protocol: tcp, ${rule} }`).join('\n        ')}
      services: [{ listen: mark 1 }]`;
    const ranges = (destination: string, ports: string) =>
      `destination: ${destination}, ports: [${ports}]`;
    expect(errorsIn(withMarks(ranges('192.0.2.0/24', '11, 13, 15, 16-17')))).toEqual([]);
    expect(errorsIn(withMarks(ranges('192.0.2.80', '1, 3, 5, 7, 9, 11, 13, 15')))).toEqual([]);
    expect(errorsIn(withMarks(ranges('192.0.3.80', '11, 13, 15, 17')))).toEqual([]);
    expect(errorsIn(withMarks(ranges('192.0.2.0/24', '11, 13, 15, 17')))).toEqual([
      '4:5 marks[0] [too-many-marked-ports] 192.0.2.80/32 has 9 different port ranges in all ' +
        'rules that concern it, but at most 8 can be told apart: write adjacent ports as ranges, ' +
        'or use fewer',
    ]);
    expect(MARKED_RANGES_MAX).toBe(STEERING_MARK_RULES_MAX);
  });

  test('a service on IPv4 with servers on IPv6 is told how to say so', () => {
    expect(
      errorsIn(`
        version: 1
        director: { ports: [{ name: wan }] }
        services: [{ listen: mark 1, servers: [{ address: '2001:db8::1' }] }]
      `),
    ).toEqual([
      '3:51 services[0].servers[0].address [family-mismatch] direct-route cannot send ' +
        'IPv4 packets ' +
        'to an IPv6 server; only tunnel can; for IPv6, `mark N/ipv6`',
    ]);
  });

  test('marks without a service, and services without a mark, are warnings', () => {
    const result = parseConfig(
      dedent(`
        version: 1
        director: { ports: [{ name: wan }] }
        marks:
          - { mark: 1, destination: 192.0.2.80 }
          - { mark: 2, destination: '2001:db8::/32' }
        services:
          - listen: mark 1
          - listen: mark 2
      `),
      'wvs.yaml',
    );
    expect(result.ok).toBe(true);
    expect(warningsOf(result)).toEqual([
      '5:13 marks[1].mark [mark-never-used] no service listens on `mark 2/ipv6`',
      '8:13 services[1].listen [mark-never-set] no rule under `marks` gives IPv4 packets ' +
        'the mark 2',
    ]);
  });

  test('a quorum that the servers cannot reach is a warning', () => {
    const text = textWith("services: [{ listen: '192.0.2.80:80/tcp', quorum: 2 }]");
    expect(warningsOf(parseConfig(text, 'wvs.yaml'))).toEqual([
      '3:51 services[0].quorum [quorum-never-reached] never reached: the weights of all servers ' +
        'add up to 0',
    ]);
  });
});
