// A worker that dies is noticed, logged with its reason and started again, and the others go on. The
// director's linear memory is a file in memory, so a test can break things in it from outside.

import { closeSync, openSync, readdirSync, readlinkSync, readSync, writeSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import {
  CONTROL_FREE_LOCK,
  CONTROL_REGION_WORKERS,
  LINK_SIZE,
  LINK_TRANSMIT,
  RING_DESCRIPTORS,
  WORKER_LINKS,
  WORKER_SIZE,
} from '../../assembly/shared/layout.ts';
import type { DirectorStatus } from '../../host/control/api.ts';
import { skipWhere } from '../support/skip.ts';
import { LAN, LiveBed, natService, reason, until, VIP } from './live-bed.ts';

/** Beyond the end of any linear memory of this test. */
const NOWHERE = 0xfffff000;

/** The linear memory of a process, by the file behind it. */
class ForeignMemory {
  readonly #fd: number;

  constructor(pid: number) {
    const directory = `/proc/${pid}/fd`;
    const name = readdirSync(directory).find((each) => {
      return readlinkSync(`${directory}/${each}`).startsWith('/memfd:wvs');
    });
    if (name === undefined) throw new Error('the director has no memory file');
    this.#fd = openSync(`${directory}/${name}`, 'r+');
  }

  read(at: number): number {
    const bytes = Buffer.alloc(4);
    readSync(this.#fd, bytes, 0, 4, at);
    return bytes.readUInt32LE();
  }

  write(at: number, value: number): void {
    const bytes = Buffer.alloc(4);
    bytes.writeUInt32LE(value);
    writeSync(this.#fd, bytes, 0, 4, at);
  }

  close(): void {
    closeSync(this.#fd);
  }
}

describe('a worker that dies', () => {
  let bed: LiveBed;
  let memory: ForeignMemory;

  beforeAll(async () => {
    if (reason !== undefined) return;
    bed = new LiveBed({ arms: 2, queues: 2, servers: 2 });
    await bed.startServers();
    const servers = LAN.servers.slice(0, 2).map((address) => `${address}:8080`);
    bed.write({ services: natService(80, servers) });
    const director = await bed.start();
    memory = new ForeignMemory(director.child.pid!);
  });
  afterAll(async () => {
    memory?.close();
    await bed?.close();
  });

  skipWhere(() => reason);

  const url = `http://${VIP}`;
  const workers = () => (bed.director!.status() as DirectorStatus).workers;
  const block = (worker: number) => memory.read(CONTROL_REGION_WORKERS) + worker * WORKER_SIZE;
  const link = (worker: number, number: number) =>
    block(worker) + WORKER_LINKS + number * LINK_SIZE;
  test('traps: logged with its reason, the other worker goes on, all frames are found', async () => {
    expect(await bed.http(url)).toEqual({ 'web-1': 4, 'web-2': 4 });
    // It dies with packets in its hands, in the middle of putting them into a TX ring.
    const entries = [0, 1].map((number) => link(0, number) + LINK_TRANSMIT + RING_DESCRIPTORS);
    const whole = entries.map((at) => memory.read(at));
    for (const at of entries) memory.write(at, NOWHERE);
    const load = bed.http(url, 50).catch(() => undefined);
    const died = await bed.logged('worker-died');
    expect(died).toMatchObject({
      level: 'error',
      worker: 0,
      reason: expect.stringMatching(/bounds/),
    });
    expect(workers()[1]?.state).toBe('running');
    for (const [index, at] of entries.entries()) memory.write(at, whole[index]!);
    await until(() => workers()[0]?.state === 'running', 'the worker', 15_000);
    expect(workers()[0]!.restarts).toBeGreaterThan(0);
    expect(workers()[1]!.restarts).toBe(0);
    await load;
    // The packets it had are lost, their frames are not.
    const { frames } = bed.log('worker-restarted')[0]!;
    expect(frames).toMatchObject({ found: expect.any(Number) });
    expect((frames as { found: number }).found).toBeGreaterThan(0);
    const { counters } = bed.director!.status() as DirectorStatus;
    expect(counters['drop-data-plane-trapped']).toBeGreaterThan(0);
    expect(await bed.http(url, 20)).toEqual({ 'web-1': 20, 'web-2': 20 });
  });

  test('hangs on a lock that nobody holds: ended, the lock released, started again', async () => {
    const before = bed.log('worker-died').length;
    memory.write(CONTROL_FREE_LOCK, 1);
    // Connections need a lock once the workers' own stores of entries are used up.
    const load = bed.http(url, 200).catch(() => undefined);
    await until(() => bed.log('worker-died').length > before, 'the end of the worker', 20_000);
    const died = bed.log('worker-died').at(-1);
    expect(died).toMatchObject({ reason: expect.stringMatching(/stood still/) });
    await load;
    await until(() => workers().every(({ state }) => state === 'running'), 'the workers', 20_000);
    expect(memory.read(CONTROL_FREE_LOCK)).toBe(0);
    expect(await bed.http(url, 20)).toEqual({ 'web-1': 20, 'web-2': 20 });
  });

  test('and the director still stops as it should', async () => {
    expect(await bed.director!.stop()).toBe(0);
    expect(bed.attached()).toBe('');
  });
});
