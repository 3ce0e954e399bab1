// wvs doctor beside a topology: nothing wrong, then something wrong, then its own line run.

import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Finding } from '../../host/doctor/finding.ts';
import { directorProgram } from '../../host/netns/director.ts';
import { CommandError } from '../../host/netns/namespaces.ts';
import { skipWhere } from '../support/skip.ts';
import { LAN, LiveBed, natService, reason, VIP } from './live-bed.ts';

describe('wvs doctor', () => {
  let bed: LiveBed;

  beforeAll(() => {
    if (reason === undefined) bed = new LiveBed({ arms: 2, queues: 2, servers: 1 });
  });
  afterAll(() => bed?.close());

  skipWhere(() => reason);

  /** Runs doctor in the director's namespace. */
  function doctor(): Finding[] {
    const command = [process.execPath, directorProgram(), 'doctor', '--json'];
    try {
      return JSON.parse(bed.topology.director.run([...command, '--config', bed.file])) as Finding[];
    } catch (error) {
      // With something wrong it exits with 1, after the same output.
      if (!(error instanceof CommandError)) throw error;
      return JSON.parse(error.output) as Finding[];
    }
  }

  function wrong(): Finding[] {
    return doctor().filter(({ level }) => level === 'fail');
  }

  test('nothing wrong: addresses, routes, neighbours, native XDP', () => {
    bed.write({ services: natService(80, [LAN.servers[0]!]) });
    const findings = doctor();
    expect(findings.filter(({ level }) => level === 'fail')).toEqual([]);
    const ok = findings.filter(({ level }) => level === 'ok').map(({ check }) => check);
    expect(ok).toEqual(expect.arrayContaining(['virtual-address', 'neighbour', 'queues', 'route']));
    const xdp = findings.filter(({ check }) => check === 'xdp');
    expect(xdp.map(({ saw }) => saw)).toEqual([
      expect.stringMatching(/^veth has native XDP/),
      expect.stringMatching(/^veth has native XDP/),
    ]);
  });

  test('the virtual address is gone: its line puts it back', () => {
    const { director } = bed.topology;
    director.ip([`address del ${VIP}/32 dev wan`]);
    const [finding, ...others] = wrong();
    expect(others).toEqual([]);
    expect(finding).toMatchObject({ check: 'virtual-address', subject: 'service web-80' });
    director.run(['sh', '-c', finding!.fix!]);
    expect(wrong()).toEqual([]);
  });

  test('a port that is down, and a server that does not answer', () => {
    const { director } = bed.topology;
    bed.write({ services: natService(80, [LAN.servers[0]!, '10.20.0.99']) });
    expect(wrong()).toMatchObject([{ check: 'neighbour', subject: 'server 10.20.0.99' }]);
    director.ip(['link set wan down']);
    const down = wrong().find(({ check }) => check === 'link');
    expect(down).toMatchObject({ subject: 'port wan', fix: 'ip link set wan up' });
    director.run(['sh', '-c', down!.fix!]);
    expect(wrong().map(({ check }) => check)).toEqual(['neighbour']);
  });

  test('a foreign XDP program, and the line that takes it off', async () => {
    bed.write({ services: natService(80, [LAN.servers[0]!]) });
    const director = await bed.start();
    // The running director's program is its own business ...
    expect(wrong()).toEqual([]);
    expect(doctor().find(({ check }) => check === 'director')?.saw).toMatch(/process \d+/);
    // ... and a foreign one to a configuration with another socket.
    bed.write({ services: natService(80, [LAN.servers[0]!]), control: `${bed.socket}.other` });
    expect(new Set(wrong().map(({ check }) => check))).toEqual(new Set(['xdp-attached']));
    expect(await director.stop()).toBe(0);
    expect(wrong()).toEqual([]);
  });
});
