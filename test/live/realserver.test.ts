// wvs realserver on a real server: silent about the virtual address, reachable by it, and undone.

import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import { directorProgram } from '../../host/netns/director.ts';
import { CommandError, type Namespace, NamespaceSet } from '../../host/netns/namespaces.ts';
import { skipWhere } from '../support/skip.ts';
import { reason } from './live-bed.ts';

const VIP = '10.30.0.80';
const OTHER_VIP = '10.30.0.81';
const VIP6 = '2001:db8:30::80';

describe('wvs realserver', () => {
  let set: NamespaceSet;
  let server: Namespace;
  let client: Namespace;
  let state: string;

  beforeAll(() => {
    if (reason !== undefined) return;
    set = new NamespaceSet();
    server = set.create('server');
    client = set.create('client');
    server.ip([`link add eth0 type veth peer name eth0 netns ${client.name}`, 'link set eth0 up']);
    client.ip(['link set eth0 up', 'address add 10.30.0.1/24 dev eth0']);
    client.ip(['address add 2001:db8:30::1/64 dev eth0']);
    server.ip(['address add 10.30.0.11/24 dev eth0', 'address add 2001:db8:30::11/64 dev eth0']);
    state = join(set.directory, 'state');
    mkdirSync(state);
  });
  afterAll(() => set?.close());

  skipWhere(() => reason);

  function hasDummies(): boolean {
    try {
      client.ip(['link add dummy99 type dummy', 'link del dummy99']);
      return true;
    } catch {
      return false;
    }
  }

  function realserver(...parameters: readonly string[]): string {
    const environment = ['env', `WVS_REALSERVER_STATE=${join(state, 'used')}`];
    const command = [process.execPath, directorProgram(), 'realserver', ...parameters];
    return server.run([...environment, ...command]);
  }

  /** Whether the client's packets reach the address, with whatever it knows of its neighbours. */
  function answers(address: string): boolean {
    try {
      client.run(['ping', '-c', '1', '-W', '1', address]);
      return true;
    } catch (error) {
      if (error instanceof CommandError) return false;
      throw error;
    }
  }

  function forget(): void {
    client.run(['sh', '-c', 'ip neigh flush dev eth0; ip -6 neigh flush dev eth0']);
  }

  /** What the machine is like, apart from counters: addresses, links, settings, routes. */
  function picture(): string {
    return server.run([
      'sh',
      '-c',
      'ip -brief address; ip route; ip -6 route; cat /proc/sys/net/ipv4/conf/all/arp_*; ' +
        'cat /proc/sys/net/ipv4/conf/*/accept_redirects',
    ]);
  }

  test('an address on lo alone is answered for: that is what has to be prevented', () => {
    server.ip([`address add ${VIP}/32 dev lo`]);
    expect(answers(VIP)).toBe(true);
    server.ip([`address del ${VIP}/32 dev lo`]);
    forget();
  });

  for (const device of ['lo', 'dummy30']) {
    const title = `direct-route on ${device}: silent, but there for who sends it the frame`;
    test(title, (context) => {
      if (device !== 'lo' && !hasDummies()) context.skip('this kernel has no dummy interfaces');
      const before = picture();
      const command = ['--method', 'dr', '--vip', VIP, '--vip', VIP6, '--interface', device];
      realserver(...command, '--apply');
      // Neither ARP nor neighbour discovery is answered ...
      for (const vip of [VIP, VIP6]) {
        expect(answers(vip)).toBe(false);
        expect(client.run(['ip', 'neigh', 'show', vip])).not.toMatch(/lladdr/);
      }
      // ... the server's own addresses go on as before ...
      expect(answers('10.30.0.11')).toBe(true);
      expect(answers('2001:db8:30::11')).toBe(true);
      // ... and a director's frames, to the server's MAC, are taken and answered.
      const links = server.run(['cat', '/sys/class/net/eth0/address']).trim();
      for (const vip of [VIP, VIP6]) {
        client.ip([`neigh replace ${vip} lladdr ${links} dev eth0 nud permanent`]);
        expect(answers(vip)).toBe(true);
        client.ip([`neigh del ${vip} dev eth0`]);
      }
      const applied = picture();
      realserver(...command, '--apply');
      expect(picture(), 'a second time changes nothing').toBe(applied);
      realserver(...command, '--undo');
      expect(picture(), 'undone').toBe(before);
      forget();
    });
  }

  test('two virtual addresses: silence lasts until the last one is gone', () => {
    const before = picture();
    realserver('--method', 'dr', '--vip', VIP, '--apply');
    realserver('--method', 'dr', '--vip', OTHER_VIP, '--apply');
    realserver('--method', 'dr', '--vip', VIP, '--undo');
    expect(answers(OTHER_VIP)).toBe(false);
    realserver('--method', 'dr', '--vip', OTHER_VIP, '--undo');
    expect(picture()).toBe(before);
  });

  test('nat: the default route leads to the director, and back afterwards', () => {
    server.ip(['route add default via 10.30.0.254']);
    const before = picture();
    const command = ['--method', 'nat', '--vip', VIP, '--director', '10.30.0.1'];
    realserver(...command, '--apply');
    realserver(...command, '--apply');
    expect(server.run(['ip', 'route', 'show', 'default'])).toMatch(/^default via 10\.30\.0\.1 /);
    realserver(...command, '--undo');
    expect(picture()).toBe(before);
    // Nothing to undo: nothing happens, to a route of the same words either.
    server.ip(['route replace default via 10.30.0.1']);
    realserver(...command, '--undo');
    expect(server.run(['ip', 'route', 'show', 'default'])).toMatch(/via 10\.30\.0\.1 /);
  });

  test('an interface that is on a wire is refused', () => {
    const apply = () =>
      realserver('--method', 'dr', '--vip', VIP, '--interface', 'eth0', '--apply');
    expect(apply).toThrow(/eth0 is on a wire/);
    realserver('--method', 'dr', '--vip', VIP, '--undo');
    expect(server.run(['cat', '/proc/sys/net/ipv4/conf/all/arp_ignore']).trim()).toBe('0');
  });

  test('the printed script does the same', () => {
    const before = picture();
    const script = realserver('--method', 'dr', '--vip', VIP);
    const run = (action: string) =>
      server.run(['env', `WVS_REALSERVER_STATE=${join(state, 'used')}`, 'sh', '-s', action], {
        input: script,
      });
    run('apply');
    expect(answers(VIP)).toBe(false);
    run('undo');
    expect(picture()).toBe(before);
  });
});
