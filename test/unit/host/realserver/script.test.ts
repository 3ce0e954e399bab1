// The scripts as text, and as a shell reads them. What they do is proved in test/live.

import { spawnSync } from 'node:child_process';
import { describe, expect, test } from 'vitest';
import { parseRequest } from '../../../../host/realserver/request.ts';
import { realServerScript } from '../../../../host/realserver/script.ts';
import { wvs } from '../cli/support.ts';

const V4 = '192.0.2.80';
const V6 = '2001:db8::80';

/** Every method, type and mixture of families. */
const ALL = [
  { method: 'nat', vip: [V4], director: ['10.0.0.1'] },
  { method: 'nat', vip: [V4, V6], director: ['10.0.0.1', '2001:db8::1'] },
  { method: 'full-nat', vip: [V4] },
  ...['lo', 'dummy0'].flatMap((device) =>
    [[V4], [V6], [V4, V6]].map((vip) => ({ method: 'direct-route', vip, interface: device })),
  ),
  ...['ipip', 'gue', 'gre'].flatMap((type) =>
    ['ipv4', 'ipv6'].flatMap((outer) =>
      [[V4], [V6], [V4, V6]].map((vip) => ({ method: 'tunnel', vip, type, outer })),
    ),
  ),
];

describe('the scripts', () => {
  test.each(ALL)('%o: a shell takes it', (options) => {
    const input = realServerScript(parseRequest(options));
    const run = spawnSync('sh', ['-n'], { input, encoding: 'utf8' });
    expect([run.status, run.stderr]).toEqual([0, '']);
    expect(input).toMatch(/^#!\/bin\/sh\n/);
    for (const vip of options.vip) expect(input).toContain(vip);
  });

  test('silence comes before the address', () => {
    const script = realServerScript(parseRequest({ method: 'dr', vip: [V4] }));
    expect(script.indexOf('arp_announce')).toBeLessThan(script.indexOf('ip address replace'));
    expect(script.indexOf('arp_announce')).toBeGreaterThan(0);
  });

  test.each([
    ['ipip', 'ipv4', [V4], ['tunl0']],
    ['ipip', 'ipv4', [V6], ['sit0']],
    ['ipip', 'ipv4', [V4, V6], ['tunl0', 'sit0']],
    ['ipip', 'ipv6', [V6], ['ip6tnl0']],
    ['ipip', 'ipv6', [V4], ['wvs6']],
    ['gre', 'ipv4', [V4, V6], ['gre0']],
    ['gre', 'ipv6', [V4], ['ip6gre0']],
    ['gue', 'ipv4', [V4], ['tunl0']],
  ])('%s in %s for %o comes out of %o', (type, outer, vip, devices) => {
    const script = realServerScript(parseRequest({ method: 'tunnel', type, outer, vip }));
    const up = [...script.matchAll(/^ +ip link set (\S+) up$/gm)].map(([, device]) => device);
    expect(up).toEqual(devices);
    for (const device of devices) expect(script).toContain(`conf/${device}/rp_filter 2`);
    expect(script.includes('ip fou add')).toBe(type === 'gue');
  });

  test('wvs realserver prints it; contradictions are wrong usage', async () => {
    const command = ['realserver', '--method', 'dr', '--vip', V4];
    expect(await wvs(command)).toEqual({
      code: 0,
      stdout: realServerScript(parseRequest({ method: 'dr', vip: [V4] })),
      stderr: '',
    });
    const both = await wvs([...command, '--apply', '--undo']);
    expect([both.code, both.stderr]).toEqual([2, expect.stringMatching(/not both/)]);
    const wrong = await wvs(['realserver', '--method', 'x', '--vip', V4]);
    expect([wrong.code, wrong.stderr]).toEqual([2, expect.stringMatching(/^wvs: --method x/)]);
  });
});
