// Full-nat's local addresses in a running director: they come and go while clients are served.

import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import type { DirectorStatus } from '../../host/control/api.ts';
import { skipWhere } from '../support/skip.ts';
import { LAN, LiveBed, reason, until, VIP } from './live-bed.ts';

const OWN = LAN.fullNatSource.replace(/\d+$/, '3');
const URL = `http://${VIP}:81`;

describe('local addresses at run time', () => {
  let bed: LiveBed;
  const [server] = LAN.servers;

  beforeAll(async () => {
    if (reason !== undefined) return;
    bed = new LiveBed({ arms: 2, queues: 2, servers: 1 });
    await bed.startServers();
    bed.topology.director.ip([`address add ${OWN}/24 dev lan`]);
    // The configuration itself has no pool: all of it comes from ipvsadm.
    bed.write();
    await bed.start();
  });
  afterAll(() => bed?.close());

  skipWhere(() => reason);

  function ipvsadm(line: string): string {
    const { code, stdout, stderr } = bed.wvs('ipvsadm', ...line.split(' '));
    expect(stderr).toBe('');
    expect(code).toBe(0);
    return stdout;
  }

  test('a service with an address of its own is served, and saved', async () => {
    ipvsadm(`-A -t ${VIP}:81 -s rr`);
    ipvsadm(`-P -t ${VIP}:81 -z ${OWN} -F lan`);
    ipvsadm(`-a -t ${VIP}:81 -r ${server}:8080 -b`);
    expect(await bed.http(URL)).toEqual({ 'web-1': 8 });
    expect(ipvsadm('-Ln')).toMatch(/FullNat/);
    expect(ipvsadm('-Sn')).toContain(`-P -t ${VIP}:81 -z ${OWN} -F lan\n`);
    await bed.logged('local-address-added');
  });

  test('what is saved is restored, and serves again', async () => {
    const saved = ipvsadm('-Sn');
    ipvsadm('-C');
    for (const line of saved.trimEnd().split('\n')) ipvsadm(line);
    expect(ipvsadm('-Sn')).toBe(saved);
    expect(await bed.http(URL)).toEqual({ 'web-1': 8 });
  });

  test('taken out: new connections are refused and counted', async () => {
    ipvsadm(`-Q -t ${VIP}:81 -z ${OWN}`);
    // These wait until they give up, which is longer than the test needs.
    void bed.http(URL).catch(() => undefined);
    const drops = () => (bed.director!.status() as DirectorStatus).counters;
    await until(() => (drops()['drop-no-free-local-address-and-port'] ?? 0) > 0, 'refusals');
  });
});
