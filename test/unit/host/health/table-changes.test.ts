import { expect, test } from 'vitest';
import { diffServices } from '../../../../host/config/diff.ts';
import { changesTables } from '../../../../host/health/table-changes.ts';
import { configWith } from '../config/support.ts';

const SERVICE = `
    services:
      - name: web
        listen: 192.0.2.80:80/tcp
        forwarding: nat
        scheduler: rr
        quorum: 1
        servers: [{ address: '10.0.0.1:80', weight: 1, check: { type: tcp } }]
`;

test.each([
  ['name: web', 'name: www', false],
  ['quorum: 1', 'quorum: 1\n        inhibitOnFailure: true', false],
  ['quorum: 1', 'quorum: 1\n        notify: { serverUp: [x] }', false],
  ['quorum: 1', "quorum: 1\n        sorryServer: '10.0.0.99:80'", false],
  ['type: tcp', 'type: icmp', false],
  ['scheduler: rr', 'scheduler: wrr', true],
  ['quorum: 1', 'quorum: 1\n        persistence: { timeout: 60s }', true],
  ['weight: 1', 'weight: 2', true],
  ['weight: 1', 'weight: 1, upperThreshold: 5', true],
  ['weight: 1', 'weight: 1, forwarding: tunnel', true],
  ['10.0.0.1:80', '10.0.0.2:80', true],
])('%j → %j: changes the tables: %s', (before, after, expected) => {
  const servicesOf = (text: string) => configWith(text).services;
  const text = SERVICE.replace(before, after);
  expect(text).not.toBe(SERVICE);
  const changes = diffServices(servicesOf(SERVICE), servicesOf(text));
  expect(changes.length).toBeGreaterThan(0);
  expect(changes.some(changesTables)).toBe(expected);
});
