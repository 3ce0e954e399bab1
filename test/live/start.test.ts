// A director that cannot start says why in one sentence, exits with 1, and leaves nothing attached.

import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';

import type { Child } from '../../host/netns/namespaces.ts';
import { sourceRoot, waitForExit, waitForLine } from '../../host/netns/processes.ts';
import { skipWhere } from '../support/skip.ts';
import { LiveBed, natService, reason, VIP } from './live-bed.ts';

/** Holds a queue of an interface with a socket of its own, until it is killed. */
const HOLDER = `
  import { createUmem, openSocket, ringLength } from '${sourceRoot()}/host/af-xdp-socket/index.js';
  const entries = 64;
  const kinds = ['fill', 'completion', 'rx', 'tx'];
  const lengths = kinds.map((kind) => ringLength(kind, entries));
  const bytes = new Uint8Array(new WebAssembly.Memory({ initial: 64, maximum: 64, shared: true }).buffer);
  const umem = createUmem({ memory: bytes.subarray(0, 131072), frameSize: 2048 });
  let byteOffset = 131072;
  const rings = {};
  for (const [index, kind] of kinds.entries()) {
    rings[kind] = { memory: bytes, byteOffset, entries };
    byteOffset += lengths[index];
  }
  const socket = openSocket({ umem, interface: 'wan', queue: 0, rings });
  console.log('holding', socket.fd);
  setInterval(() => socket.fd, 1000);
`;

describe('a director that cannot start', () => {
  let bed: LiveBed;

  beforeAll(() => {
    if (reason === undefined) bed = new LiveBed({ arms: 2, queues: 2, servers: 1 });
  });
  afterAll(() => bed?.close());
  afterEach(() => {
    if (reason === undefined) expect(bed.attached()).toBe('');
  });

  skipWhere(() => reason);

  async function expectRefused(sentence: RegExp, prefix: readonly string[] = []): Promise<void> {
    const { code, stderr } = await bed.runToEnd(prefix);
    expect(stderr).toMatch(sentence);
    expect(stderr.trimEnd().split('\n')).toHaveLength(1);
    expect(stderr).toMatch(/^wvs: /);
    expect(code).toBe(1);
  }

  test('no such interface', async () => {
    bed.write({ ports: '[{ name: wan, interface: nowhere0 }]' });
    await expectRefused(/port wan \(interface nowhere0\): .*no interface nowhere0/);
  });

  test('without its capabilities', async () => {
    bed.write();
    const prefix = ['setpriv', '--bounding-set', '-all'];
    await expectRefused(/lacks CAP_NET_ADMIN, CAP_NET_RAW, CAP_BPF/, prefix);
  });

  test('an interface that is down', async () => {
    bed.topology.director.ip(['link add down0 type veth peer name down1']);
    bed.write({ ports: '[{ name: wan, interface: down0 }]' });
    await expectRefused(/is down: run ip link set down0 up/);
  });

  test('more queues than the interface has', async () => {
    bed.write({ ports: '[{ name: wan, interface: wan, queues: 3 }]' });
    await expectRefused(/3 queues are configured, but the interface has 2/);
  });

  test('more workers than queues', async () => {
    bed.write({ director: '  workers: 3' });
    await expectRefused(/3 workers are configured, but port wan has only 2 queues/);
  });

  test('native mode where the driver has none; the first port is let go again', async () => {
    bed.topology.director.ip(['link add plain0 type bridge', 'link set plain0 up']);
    bed.write({
      ports:
        '[{ name: wan, interface: wan, queues: 1 }, ' +
        '{ name: odd, interface: plain0, xdp: native }]',
    });
    await expectRefused(/port odd \(interface plain0\): .*native/);
  });

  test('a queue that somebody else holds', async () => {
    const holder: Child = bed.topology.director.spawn([
      process.execPath,
      '--input-type=module',
      '--eval',
      HOLDER,
    ]);
    await waitForLine(holder, /^holding/, { what: 'the holder of the queue' });
    bed.write();
    await expectRefused(/port wan \(interface wan\), queue 0: .*taken/);
    holder.kill('SIGKILL');
    await waitForExit(holder, { what: 'the holder', timeout: 5000 });
  });

  test('another director on the same control socket, which goes on', async () => {
    bed.write({ services: natService(80, ['10.20.0.11:8080']) });
    const director = await bed.start();
    const { code, stderr } = await bed.runToEnd();
    expect(code).toBe(1);
    expect(stderr.trimEnd().split('\n')).toHaveLength(1);
    expect(stderr).toContain(bed.socket);
    expect(bed.attached()).not.toBe('');
    expect(await director.stop()).toBe(0);
  });

  test('another XDP program on the interface', async () => {
    bed.write({ director: '' });
    const first = await bed.start();
    const own = bed.socket;
    bed.write({ ports: '[{ name: wan, interface: wan }]' });
    const file = bed.file;
    bed.topology.director.run(['sed', '-i', `s#${own}#${own}2#`, file]);
    await expectRefusedBeside(/port wan \(interface wan\): .*(XDP|EBUSY)/);
    expect(await first.stop()).toBe(0);
  });

  /** The first director stays attached meanwhile. */
  async function expectRefusedBeside(sentence: RegExp): Promise<void> {
    const { code, stderr } = await bed.runToEnd();
    expect(stderr).toMatch(sentence);
    expect(code).toBe(1);
    expect(bed.attached()).not.toBe('');
  }

  test('a wrong configuration: every error, with its place', async () => {
    bed.write({
      director: '  workers: none',
      services: `  - { listen: '${VIP}:80' }\n  - { listen: '${VIP}:81/tcp', scheduler: best }\n`,
    });
    const { code, stderr } = await bed.runToEnd();
    expect(code).toBe(1);
    const lines = stderr.trimEnd().split('\n');
    expect(lines).toHaveLength(3);
    for (const line of lines) expect(line).toMatch(/^\/.*wvs\.yaml:\d+:\d+: /);
  });
});
