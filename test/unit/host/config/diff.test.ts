/** What changes from one configuration to the next, and in which order. */

import { describe, expect, test } from 'vitest';
import { describeChange, diffConfigs } from '../../../../host/config/diff.ts';
import { configOf, configWith, dedent } from './support.ts';

const BASE = `
  services:
    - name: web
      listen: 192.0.2.80:80/tcp
      scheduler: rr
      servers:
        - { address: 10.0.0.1 }
        - { address: 10.0.0.2 }
    - name: dns
      listen: 192.0.2.80:53/udp
      servers: [{ address: 10.0.0.3 }]
`;

function changes(after: string): string[] {
  return diffConfigs(configWith(BASE), configWith(after)).map(describeChange);
}

test('the same text: nothing', () => {
  expect(changes(BASE)).toEqual([]);
});

test('comments, order of services and spelling: nothing', () => {
  expect(
    changes(`
      # Moved around, so that every position is another one.
      services:
        - listen: 192.0.2.80:53/udp
          name: dns
          servers:
            - { address: '10.0.0.3:53', weight: 1 }

        - name: web
          listen: 192.0.2.80:80/tcp
          forwarding: dr
          scheduler: rr
          servers:
            - { address: 10.0.0.1 }
            - { address: 10.0.0.2 }
    `),
  ).toEqual([]);
});

test('servers in another order: schedulers go by it', () => {
  expect(
    changes(BASE.replace(/( +- \{ address: 10.0.0.1 \}\n)( +- \{ address: 10.0.0.2 \}\n)/, '$2$1')),
  ).toEqual(['~ service web (tcp 192.0.2.80:80): servers in another order']);
});

describe('one thing edited', () => {
  test.each([
    ['scheduler: rr', 'scheduler: wrr', '~ service web (tcp 192.0.2.80:80): scheduler rr -> wrr'],
    ['name: web', 'name: www', '~ service www (tcp 192.0.2.80:80): name web -> www'],
    [
      'scheduler: rr',
      'scheduler: rr\n    persistence: { timeout: 60s }',
      '~ service web (tcp 192.0.2.80:80): persistence',
    ],
    [
      'scheduler: rr',
      'scheduler: rr\n    sorryServer: 10.0.0.9',
      '~ service web (tcp 192.0.2.80:80): sorryServer',
    ],
    [
      '{ address: 10.0.0.2 }',
      '{ address: 10.0.0.2, weight: 0 }',
      '~ server 10.0.0.2:80 of web (tcp 192.0.2.80:80): weight 1 -> 0',
    ],
    [
      '{ address: 10.0.0.2 }',
      '{ address: 10.0.0.2, check: { type: tcp } }',
      '~ server 10.0.0.2:80 of web (tcp 192.0.2.80:80): checks',
    ],
  ])('%s -> %s', (before, after, change) => {
    expect(changes(dedent(BASE).replace(before, after))).toEqual([change]);
  });
});

test('what goes, what is edited, what comes: in this order', () => {
  expect(
    changes(`
      services:
        - { name: new, listen: '192.0.2.80:443/tcp', servers: [{ address: 10.0.0.1 }] }
        - name: web
          listen: 192.0.2.80:80/tcp
          scheduler: lc
          servers:
            - { address: 10.0.0.2, weight: 5 }
            - { address: 10.0.0.4 }
    `),
  ).toEqual([
    '- service dns (udp 192.0.2.80:53), 1 server',
    '~ service web (tcp 192.0.2.80:80): scheduler rr -> lc',
    '- server 10.0.0.1:80 of web (tcp 192.0.2.80:80)',
    '~ server 10.0.0.2:80 of web (tcp 192.0.2.80:80): weight 1 -> 5',
    '+ server 10.0.0.4:80 of web (tcp 192.0.2.80:80)',
    '+ service new (tcp 192.0.2.80:443), 1 server',
  ]);
});

test('another address is another service', () => {
  expect(changes(dedent(BASE).replace('192.0.2.80:80/tcp', '192.0.2.81:80/tcp'))).toEqual([
    '- service web (tcp 192.0.2.80:80), 2 servers',
    '+ service web (tcp 192.0.2.81:80), 2 servers',
  ]);
});

test('director: which keys a running one can take over', () => {
  const before = configOf('version: 1\ndirector: { ports: [{ name: wan }] }');
  const after = configOf(`
    version: 1
    director:
      ports: [{ name: wan, queues: 2 }]
      connections: 2048
      localAddresses: [10.0.0.1]
      sysctl: { drop_entry: 1 }
      timeouts: { tcp: 1m }
      busyPoll: true
  `);
  const found = diffConfigs(before, after);
  expect(
    found.map((change) => change.kind === 'director-changed' && [change.key, change.needsRestart]),
  ).toEqual([
    ['ports', true],
    ['connections', true],
    ['localAddresses', false],
    ['busyPoll', true],
    ['sysctl', false],
    ['timeouts', false],
  ]);
  expect(found.map(describeChange)[0]).toBe('~ director.ports (needs a restart)');
});

test('marks: another order is another meaning', () => {
  const withMarks = (marks: string) =>
    configOf(`version: 1\ndirector: { ports: [{ name: wan }] }\nmarks:\n${marks}`);
  const one = '  - { mark: 1, destination: 192.0.2.0/24 }\n';
  const two = '  - { mark: 2, destination: 192.0.2.80 }\n';
  expect(diffConfigs(withMarks(one + two), withMarks(`# moved\n${one}${two}`))).toEqual([]);
  expect(diffConfigs(withMarks(one + two), withMarks(two + one)).map(describeChange)).toEqual([
    '~ marks: 2 rules -> 2 rules',
  ]);
});
