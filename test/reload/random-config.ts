/** Random configuration files over a few addresses, so that edits meet each other. */

import { SCHEDULERS } from '../../host/config/schema.ts';
import type { Random } from '../support/random.ts';

const LISTENS = [
  '192.0.2.80:80/tcp',
  '192.0.2.80:443/tcp',
  '192.0.2.81:53/udp',
  "'[2001:db8::80]:80/tcp'",
  'mark 7',
  '192.0.2.82:0/tcp',
];
const FORWARDING = ['nat', 'direct-route', 'tunnel'];
const CHECKS = [
  '{ type: none }',
  '{ type: tcp }',
  '{ type: tcp, alpha: true }',
  '[{ type: icmp }, { type: tcp, port: 81 }]',
];
const SERVERS = 6;

/** A whole file. */
export function randomConfig(random: Random): string {
  const pick = <Item>(items: readonly Item[]) => items[random.below(items.length)]!;
  const listens = shuffled(LISTENS, random).slice(0, random.below(LISTENS.length + 1));
  const drain = pick(['', '  drain: off\n', '  drain: { timeout: 60s }\n']);
  const sysctl = pick(['', '  sysctl: { expire_nodest_conn: 1, drop_entry: 0 }\n']);
  const timeouts = pick(['', '  timeouts: { tcp: 60s, udp: 10s }\n']);
  const marks = pick(['', 'marks:\n  - { mark: 7, destination: 192.0.2.90 }\n']);
  const services = listens.map((listen) => randomService(listen, random));
  return (
    `version: 1\ndirector:\n  ports: [{ name: wan }]\n${drain}${sysctl}${timeouts}${marks}` +
    `${services.length === 0 ? '' : 'services:\n'}${services.join('')}`
  );
}

function randomService(listen: string, random: Random): string {
  const pick = <Item>(items: readonly Item[]) => items[random.below(items.length)]!;
  const isIpv6 = listen.includes('[');
  const scheduler = pick(SCHEDULERS);
  const needsPersistence = listen.includes(':0/');
  const persistence =
    needsPersistence || random.below(3) === 0
      ? `    persistence: { timeout: ${pick([60, 300])}s }\n`
      : '';
  const numbers = shuffled([...Array(SERVERS).keys()], random).slice(0, random.below(SERVERS + 1));
  const port = listen.startsWith('mark') || needsPersistence ? '' : portOf(listen);
  const servers = numbers.map((number) => {
    const address = isIpv6
      ? `'[2001:db8:10::${number + 1}]${port}'`
      : `'10.0.0.${number + 1}${port}'`;
    const upper = pick([0, 0, 100]);
    return (
      `      - { address: ${address}, weight: ${1 + random.below(4)}, upperThreshold: ${upper}, ` +
      `forwarding: ${pick(FORWARDING)} }\n`
    );
  });
  const inhibit = pick(['true', 'false']);
  const sorry =
    isIpv6 || random.below(3) > 0
      ? ''
      : `    sorryServer: { address: '10.0.0.9${port}', inhibit: ${inhibit} }\n`;
  return (
    `  - listen: ${listen}\n    scheduler: ${scheduler}\n    check: ${pick(CHECKS)}\n` +
    `    alpha: ${pick(['true', 'false'])}\n    omega: ${pick(['true', 'false'])}\n` +
    `    quorum: ${1 + random.below(3)}\n${persistence}${sorry}` +
    `    drain: ${pick(['off', '{ timeout: 30s }'])}\n` +
    (servers.length === 0 ? '' : `    servers:\n${servers.join('')}`)
  );
}

function portOf(listen: string): string {
  return /:\d+(?=\/)/.exec(listen)?.[0] ?? '';
}

function shuffled<Item>(items: readonly Item[], random: Random): Item[] {
  const keyed = items.map((item) => ({ item, key: random.u32() }));
  return keyed.sort((a, b) => a.key - b.key).map(({ item }) => item);
}
