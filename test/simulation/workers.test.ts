/**
 * Two workers in threads of their own over one memory, hammering the same few connections while the
 * host edits servers and asks for work on the whole table. In the end the memory is sound: no entry
 * and no frame is lost, counts match, nothing is locked; and when all timeouts have passed, nothing
 * is left.
 */

import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { SERVICE_PERSISTENT } from '../../assembly/shared/codes.ts';
import {
  CONNECTION_DESTINATION,
  CONNECTION_LOCAL,
  CONNECTION_LOCAL_PORT,
  CONNECTION_PROTOCOL,
  CONTROL_REQUESTS,
  REQUEST_DROP_ENTRIES,
  REQUEST_EXPIRE_UNAVAILABLE,
  REQUEST_FLUSH,
} from '../../assembly/shared/layout.ts';
import { Control } from '../../host/ipvs/control.ts';
import { DataPlaneMemory } from '../../host/memory/data-plane-memory.ts';
import { schedulerByName } from '../../host/scheduler/registry.ts';
import { PublishedTables } from '../../host/tables/publish.ts';
import { createSchedule } from '../../host/worker/schedule.ts';
import { instantiateWasm } from '../../host/worker/wasm.ts';
import { bundleThread, runThread } from '../support/bundle-thread.ts';
import { checkMemory } from '../support/check-bed.ts';
import {
  type BedService,
  CLIENT_PORT_MAC,
  destinationOptions,
  knownNeighbours,
  SERVER_PORT_MAC,
  serviceKey,
  splitEndpoint,
  twoArmedWorld,
} from '../support/director-bed.ts';
import { Random, seedFromEnvironment } from '../support/random.ts';
import { freshBuild } from '../support/wasm.ts';
import type { HammerResult, HammerTask } from './hammer-thread.ts';

const SEED = seedFromEnvironment(4242);
const WORKERS = 2;
const MILLISECONDS = 1500;
const START = 1000;
const METHODS = ['nat', 'direct-route', 'full-nat', 'nat', 'nat'] as const;

/** Ports 80 to 83 of TCP, the last one persistent, and 84 of UDP; two servers each. */
const SERVICES: readonly BedService[] = METHODS.map((method, nth) => ({
  at: `${nth === 4 ? 'udp' : 'tcp'} 192.0.2.80:${80 + nth}`,
  ...(nth === 3 ? { flags: SERVICE_PERSISTENT, persistenceSeconds: 1 } : {}),
  servers: ['10.0.0.11', '10.0.0.12'].map((address) => ({ at: `${address}:${80 + nth}`, method })),
}));

function createDirector(memory: DataPlaneMemory): Control {
  const tables = new PublishedTables(memory);
  const control = new Control({ tables, schedulerByName, startMs: START * 10 });
  const world = twoArmedWorld();
  control.batch(() => {
    control.setWorld(world);
    control.setLocalPool({
      addresses: [{ family: 4, address: '10.0.0.200' }],
      portRanges: [
        [5000, 5007],
        [1, 0],
      ],
    });
    // Short, so that timers of both workers end what the other one is using.
    control.setTimeouts({ tcp: 1, tcpFin: 1, udp: 1 });
    for (const service of SERVICES) {
      const key = serviceKey(service.at);
      control.addService(key, {
        scheduler: 'rr',
        flags: service.flags ?? 0,
        persistenceSeconds: service.persistenceSeconds ?? 0,
        persistenceMask: '255.255.255.255',
        engine: '',
      });
      for (const server of service.servers) {
        control.addDestination(key, splitEndpoint(server.at), destinationOptions(server));
      }
    }
  });
  for (const neighbour of knownNeighbours(world)) tables.nextHops.set(neighbour);
  return control;
}

/** One change of the host's, chosen at random. */
function disturb(random: Random, control: Control, memory: DataPlaneMemory): void {
  const request = (work: number) => Atomics.or(memory.u32, CONTROL_REQUESTS >>> 2, work);
  const service = random.pick(SERVICES);
  const key = serviceKey(service.at);
  const [server] = service.servers;
  const at = splitEndpoint(server.at);
  const isListed = control.destinations(key).some(({ key: { address } }) => address === at.address);
  switch (random.below(8)) {
    case 0:
      request(REQUEST_FLUSH);
      break;
    case 1:
      request(REQUEST_EXPIRE_UNAVAILABLE);
      break;
    case 2:
      request(REQUEST_DROP_ENTRIES);
      break;
    case 3:
      control.setSysctl('expire_nodest_conn', String(random.below(2)));
      break;
    case 4:
      if (!isListed) break;
      control.editDestination(key, at, destinationOptions({ ...server, weight: random.below(3) }));
      break;
    default:
      if (isListed) control.deleteDestination(key, at);
      else control.addDestination(key, at, destinationOptions(server));
  }
}

describe.each(['release', 'debug'] as const)('%s', (on) => {
  test(`two threads on one memory, seed ${SEED}`, async () => {
    const memory = DataPlaneMemory.create(
      {
        connections: 300,
        services: 16,
        destinations: 64,
        workers: WORKERS,
        links: 3,
        framesPerWorker: 512,
        ringEntries: 64,
        schedulerTableBytes: 4096,
      },
      { hashSeed: SEED, randomSeed: SEED },
    );
    const control = createDirector(memory);
    const module = new WebAssembly.Module(readFileSync(freshBuild(on)));
    const source = await bundleThread(new URL('./hammer-thread.ts', import.meta.url));
    const clock = new SharedArrayBuffer(12);
    const words = new Int32Array(clock);
    words[0] = START;
    const common = {
      memory: memory.memory,
      module,
      seed: SEED,
      startTick: START,
      ticksPerMillisecond: 5,
      clock,
      clientMac: CLIENT_PORT_MAC,
      serverMac: SERVER_PORT_MAC,
    };
    let running = true;
    const threads = Promise.all(
      Array.from({ length: WORKERS }, (_, worker) => {
        const task: HammerTask = { ...common, worker };
        return runThread<HammerResult>(source, task).finally(() => {
          running = false;
        });
      }),
    );
    const random = new Random(SEED);
    while (running && Atomics.load(words, 2) < WORKERS) await sleep(1);
    const end = performance.now() + MILLISECONDS;
    while (running && performance.now() < end) {
      await sleep(3);
      disturb(random, control, memory);
    }
    // Only now: who waits for the workers to adopt tables must not meet one that has ended.
    Atomics.store(words, 1, 1);
    const results = await threads;
    for (const { received, sent, turns } of results) {
      expect(received).toBeGreaterThan(1000);
      expect(sent).toBeGreaterThan(100);
      expect(turns).toBeGreaterThan(100);
    }
    const { live } = checkMemory(memory);
    expect(checkLocalEnds(memory, live)).toBe(true);
    drain(memory, module, words[0]);
    expect(checkMemory(memory).live).toEqual([]);
  });
});

/** No two full-nat connections have the same local end, server and protocol. */
function checkLocalEnds(memory: DataPlaneMemory, live: readonly number[]): boolean {
  const ends = new Set<string>();
  for (const index of live) {
    const hot = memory.hot(index);
    const word = (field: number) => memory.u32[(hot + field) >>> 2];
    if (word(CONNECTION_LOCAL) === 0) continue;
    // The ports of both ends stand in one word.
    const fields = [CONNECTION_LOCAL, CONNECTION_DESTINATION, CONNECTION_LOCAL_PORT];
    const end = [...fields.map(word), memory.u8[hot + CONNECTION_PROTOCOL]].join();
    if (ends.has(end)) return false;
    ends.add(end);
  }
  return true;
}

/** Other instances take the workers' places, as after a restart, and run all timers. */
function drain(memory: DataPlaneMemory, module: WebAssembly.Module, from: number): void {
  const planes = Array.from({ length: WORKERS }, (_, worker) => {
    const plane = instantiateWasm(module, memory.memory, createSchedule(memory, worker));
    plane.initialise(worker);
    return plane;
  });
  for (let tick = from; tick < from + 60_000; tick += 500) {
    for (const plane of planes) plane.turn(tick, tick * 10);
  }
}
