/**
 * Every kind of mistake within one value, with the exact message and place that a user gets.
 */

import { describe, expect, test } from 'vitest';
import { parseConfig } from '../../../../host/config/parse.ts';
import { formatProblem } from '../../../../host/config/problems.ts';
import { dedent, errorsOf, textWith } from './support.ts';

const ENDPOINT = "ADDRESS:PORT such as 10.0.0.11:80 or '[2001:db8::11]:80'";
const LISTEN =
  "ADDRESS:PORT/PROTOCOL such as 192.0.2.80:80/tcp or '[2001:db8::80]:53/udp', or mark N";
const SECONDS = 'a duration of whole seconds such as 300s or 2m, from 1s to 31d';

function errorsIn(text: string): string[] {
  return errorsOf(parseConfig(dedent(text), 'wvs.yaml'));
}

describe('the file as a whole', () => {
  test.each([
    ['empty', '', '1:1  [wrong-type] expected a mapping, got nothing'],
    ['a word', 'hello', '1:1  [wrong-type] expected a mapping, got "hello"'],
    ['a list', '- a\n- b', '1:1  [wrong-type] expected a mapping, got a list of 2'],
    [
      'not YAML',
      'version: 1\nservices: [\n',
      '3:1  [yaml-syntax] not valid YAML: Flow sequence in block collection must be ' +
        'sufficiently indented and end with a ]',
    ],
    ['a key twice', 'version: 1\nversion: 1', '2:1  [duplicate-key] this key is already there'],
    [
      'an IPv6 address without quotes',
      'version: 1\nservices:\n  - listen: [2001:db8::80]:80/tcp\n',
      "3:13  [yaml-syntax] an address in brackets needs quotes: '[2001:db8::80]:80/tcp'",
    ],
  ])('%s', (_, text, message) => {
    expect(errorsIn(text)).toEqual([message]);
  });

  test('nothing but a mapping', () => {
    expect(errorsIn('{}')).toEqual([
      '1:1 version [missing-key] missing key "version": expected 1, the version of this format',
      '1:1 director [missing-key] missing key "director": expected a mapping',
    ]);
  });

  test('an alias bomb is refused', () => {
    const levels = 'abcdefghi'.split('').map((name, index, names) => {
      const content =
        index === 0
          ? 'x'
          : Array(10)
              .fill(`*${names[index - 1]}`)
              .join(', ');
      return `${name}: &${name} [${content}]`;
    });
    expect(errorsIn(levels.join('\n'))).toEqual([
      '1:1  [yaml-syntax] not valid YAML: Excessive alias count indicates a resource ' +
        'exhaustion attack',
    ]);
  });
});

describe('the director', () => {
  test.each([
    ['{}', '2:11 director.ports [missing-key] missing key "ports": expected a list'],
    [
      '{ ports: [] }',
      '2:20 director.ports [wrong-value] expected at least one port, got a list of 0',
    ],
    [
      '{ ports: [{ interface: eth0 }] }',
      '2:21 director.ports[0].name [missing-key] missing key "name": expected a name of up to ' +
        '15 letters, digits, dots, dashes and underscores',
    ],
    [
      '{ ports: [{ name: "a b" }] }',
      '2:29 director.ports[0].name [wrong-value] expected a name of up to 15 letters, digits, ' +
        'dots, dashes and underscores, got "a b"',
    ],
    [
      '{ ports: [{ name: a, queue: 2 }] }',
      '2:32 director.ports[0].queue [unknown-key] unknown key "queue"; did you mean "queues"?',
    ],
    [
      '{ ports: [{ name: a, xdp: nativ }] }',
      '2:37 director.ports[0].xdp [wrong-value] expected one of auto, native, generic, ' +
        'got "nativ"; did you mean "native"?',
    ],
    [
      '{ ports: [{ name: a, zeroCopy: yes }] }',
      '2:42 director.ports[0].zeroCopy [wrong-value] expected one of auto, on, off, got "yes"',
    ],
    [
      '{ ports: [{ name: a }], workers: 0 }',
      '2:44 director.workers [wrong-value] expected auto or a whole number from 1 to 32, got 0',
    ],
    [
      '{ ports: [{ name: a }], connections: 1_0 }',
      '2:48 director.connections [wrong-value] expected a whole number from 1024 to 16777216, ' +
        'got "1_0"',
    ],
    [
      '{ ports: [{ name: a }], localAddresses: 10.0.0.1 }',
      '2:51 director.localAddresses [wrong-type] expected a list, got "10.0.0.1"',
    ],
    [
      '{ ports: [{ name: a }], control: wvs.sock }',
      '2:44 director.control [wrong-value] expected an absolute path, got "wvs.sock"',
    ],
    [
      '{ ports: [{ name: a }], metrics: 127.0.0.1 }',
      '2:44 director.metrics [wrong-value] expected ADDRESS:PORT such as 127.0.0.1:9464 or ' +
        '\'[::1]:9464\', got "127.0.0.1"',
    ],
    [
      '{ ports: [{ name: a }], sysctl: { expire_nodest_con: 1 } }',
      '2:45 director.sysctl.expire_nodest_con [unknown-key] unknown key "expire_nodest_con"; ' +
        'did you mean "expire_nodest_conn"?',
    ],
    [
      '{ ports: [{ name: a }], timeouts: { tcp: 1500ms } }',
      `2:52 director.timeouts.tcp [wrong-value] expected ${SECONDS}, got "1500ms"`,
    ],
    [
      '{ ports: [{ name: a }], timeouts: { udp: 32d } }',
      `2:52 director.timeouts.udp [wrong-value] expected ${SECONDS}, got "32d"`,
    ],
    [
      '{ ports: [{ name: a }], hz: 5 }',
      '2:39 director.hz [wrong-value] expected 100, or nothing: the timers of the data plane have this rate, got 5',
    ],
    [
      '{ ports: [{ name: a }], world: { ports: { a: { mac: 02-00 } } } }',
      '2:63 director.world.ports.a.mac [wrong-value] expected a hardware address such as ' +
        '02:00:00:00:00:01, got "02-00"',
    ],
  ])('%s', (director, message) => {
    expect(errorsIn(`version: 1\ndirector: ${director}\n`)).toEqual([message]);
  });
});

describe('services', () => {
  const listen = 'listen: 192.0.2.80:80/tcp';
  test.each([
    ['', '4:5 services[0] [wrong-type] expected a mapping, got nothing'],
    ['{}', `4:5 services[0].listen [missing-key] missing key "listen": expected ${LISTEN}`],
    [
      '{ listen: 192.0.2.80:80 }',
      `4:15 services[0].listen [wrong-value] expected ${LISTEN}, got "192.0.2.80:80"`,
    ],
    [
      '{ listen: 192.0.2.80/tcp }',
      `4:15 services[0].listen [wrong-value] expected ${LISTEN}, got "192.0.2.80/tcp"`,
    ],
    [
      '{ listen: 192.0.2.80:80/icmp }',
      `4:15 services[0].listen [wrong-value] expected ${LISTEN}, got "192.0.2.80:80/icmp"`,
    ],
    [
      '{ listen: mark 0 }',
      `4:15 services[0].listen [wrong-value] expected ${LISTEN}, got "mark 0"`,
    ],
    [
      '{ listen: mark 4294967296 }',
      `4:15 services[0].listen [wrong-value] expected ${LISTEN}, got "mark 4294967296"`,
    ],
    [
      `{ ${listen}, sheduler: rr }`,
      '4:34 services[0].sheduler [unknown-key] unknown key "sheduler"; did you mean "scheduler"?',
    ],
    [
      `{ ${listen}, scheduler: wllc }`,
      '4:45 services[0].scheduler [wrong-value] expected one of rr, wrr, lc, wlc, sed, nq, lblc, ' +
        'lblcr, dh, sh, mh, fo, ovf, twos, got "wllc"; did you mean "wlc"?',
    ],
    [
      `{ ${listen}, forwarding: dsr }`,
      '4:46 services[0].forwarding [wrong-value] expected one of nat, direct-route, tunnel, ' +
        'full-nat, got "dsr"; did you mean "dr"?',
    ],
    [
      `{ ${listen}, onePacket: yes }`,
      '4:45 services[0].onePacket [wrong-type] expected true or false, got "yes"',
    ],
    [
      `{ ${listen}, persistence: { mask: 0.0.0.0 } }`,
      '4:55 services[0].persistence.mask [wrong-value] expected an IPv4 mask such as ' +
        '255.255.255.0 or a prefix length such as 64, got "0.0.0.0"',
    ],
    [
      `{ ${listen}, persistence: { engine: ftp } }`,
      '4:57 services[0].persistence.engine [wrong-value] expected one of sip, got "ftp"',
    ],
    [
      `{ ${listen}, check: { type: htttp } }`,
      '4:49 services[0].check.type [wrong-value] expected one of none, icmp, tcp, http, https, ' +
        'udp, dns, smtp, grpc, command, file, got "htttp"; did you mean "http"?',
    ],
    [
      `{ ${listen}, check: { interval: 2s } }`,
      '4:41 services[0].check.type [missing-key] missing key "type": expected one of none, icmp, ' +
        'tcp, http, https, udp, dns, smtp, grpc, command, file',
    ],
    [
      `{ ${listen}, check: tcp }`,
      '4:41 services[0].check [wrong-value] expected a mapping with a type, or a list of such ' +
        'mappings, got "tcp"',
    ],
    [
      `{ ${listen}, check: { type: tcp, path: / } }`,
      '4:54 services[0].check.path [unknown-key] unknown key "path"; the keys here are type, ' +
        'interval, timeout, rise, fall, retryDelay, jitter, warmUp, alpha, damping, source, ' +
        'address, port, via',
    ],
    [
      `{ ${listen}, check: { type: http, status: 99-200 } }`,
      '4:63 services[0].check.status [wrong-value] expected status codes such as 200, 200-299 or ' +
        '"200-299, 301", got "99-200"',
    ],
    [
      `{ ${listen}, sorryServer: nix }`,
      '4:47 services[0].sorryServer [wrong-value] expected ADDRESS:PORT such as 10.0.0.99:80, or ' +
        'a mapping with an address, got "nix"',
    ],
    [
      `{ ${listen}, sorryServer: { address: nix } }`,
      `4:58 services[0].sorryServer.address [wrong-value] expected ${ENDPOINT}, got "nix"`,
    ],
    [
      `{ ${listen}, servers: { address: 10.0.0.1 } }`,
      '4:43 services[0].servers [wrong-type] expected a list, got a mapping',
    ],
    [
      `{ ${listen}, servers: ['10.0.0.1:80'] }`,
      '4:44 services[0].servers[0] [wrong-type] expected a mapping, got "10.0.0.1:80"',
    ],
    [
      `{ ${listen}, servers: [{ address: web1 }] }`,
      `4:55 services[0].servers[0].address [wrong-value] expected ${ENDPOINT}, got "web1"`,
    ],
    [
      `{ ${listen}, servers: [{ address: 10.0.0.1, weight: 65536 }] }`,
      '4:73 services[0].servers[0].weight [wrong-value] expected a whole number from 0 to 65535, ' +
        'got 65536',
    ],
    [
      `{ ${listen}, servers: [{ address: 10.0.0.1, weight: 1.5 }] }`,
      '4:73 services[0].servers[0].weight [wrong-type] expected a whole number from 0 to 65535, ' +
        'got 1.5',
    ],
  ])('%s', (service, message) => {
    const text = textWith(`services:\n  - ${service}\n`);
    expect(errorsOf(parseConfig(text, 'wvs.yaml'))).toEqual([message]);
  });
});

test('all errors of a file come at once, in its order', () => {
  const errors = errorsIn(`
    version: 2
    directr: {}
    director:
      ports: [{ name: wan }, { name: wan }]
    marks:
      - { mark: 0, destination: 192.0.2.80 }
    services:
      - listen: 192.0.2.80:80/tcp
        colour: red
        shape: round
      - listen: 192.0.2.81:80/tcp
        servers: [{ address: '10.0.0.1:8080' }]
      - listen: 192.0.2.81:80/tcp
  `);
  expect(errors).toEqual([
    '1:10 version [wrong-value] expected 1, the version of this format, got 2',
    '2:1 directr [unknown-key] unknown key "directr"; did you mean "director"?',
    '4:34 director.ports[1].name [duplicate-port] there is a port "wan" already',
    '6:13 marks[0].mark [wrong-value] expected a whole number from 1 to 4294967295, got 0',
    expect.stringMatching(
      /^9:5 services\[0\]\.colour \[unknown-key\] unknown key "colour"; the keys/,
    ),
    expect.stringMatching(
      /^10:5 services\[0\]\.shape \[unknown-key\] unknown key "shape"; the keys/,
    ),
    '12:26 services[1].servers[0].address [port-mapping] direct-route cannot change the port: ' +
      "expected 80, the service's, got 8080; only nat and full-nat can",
    '13:13 services[2].listen [duplicate-service] tcp 192.0.2.81:80 is a service already, ' +
      'at line 11',
  ]);
});

test('a problem is printed as FILE:LINE:COLUMN: path: message', () => {
  const result = parseConfig('version: 1\ndirector: {}\n', '/etc/wvs.yaml');
  expect(result.ok ? [] : result.errors.map(formatProblem)).toEqual([
    '/etc/wvs.yaml:2:11: director.ports: missing key "ports": expected a list',
  ]);
});
