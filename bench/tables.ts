// The tables: what it costs to put a connection in and to take it out, the bytes it takes, and how long
// it takes to publish a configuration of 10,000 services with 10 servers each.

import { readFileSync } from 'node:fs';
import {
  CHAIN_HEAD_SIZE,
  CONNECTION_COLD_SIZE,
  CONNECTION_HOT_SIZE,
  CONNECTION_WIDE_SIZE,
} from '../assembly/shared/layout.ts';
import { Control } from '../host/ipvs/control.ts';
import type { ServiceKey } from '../host/ipvs/types.ts';
import { DataPlaneMemory } from '../host/memory/data-plane-memory.ts';
import { DEFAULT_SIZES, planMemory } from '../host/memory/memory-map.ts';
import { schedulerByName } from '../host/scheduler/registry.ts';
import { PublishedTables } from '../host/tables/publish.ts';
import type { Bench, BenchContext } from './bench.ts';
import type { Family } from './data-plane/flows.ts';
import { effortOf } from './data-plane/hit-path.ts';
import { destinationOptions, Rig, serviceOptions, worldOf } from './data-plane/rig.ts';
import { interleave } from './measure.ts';
import { exactResult, makeResult, type Result } from './result.ts';

/** Ticks of every state's timeout while connections are put in and taken out. */
const TIMEOUT_TICKS = 400;
/** Ticks after which the wheel's coarsest step has let the last of them go. */
const GONE_TICKS = 512;

const SERVICES = 10_000;
const SERVERS = 10;

/** Fills a table and lets it run empty: ns for each connection. */
function fillAndExpire(rig: Rig, count: number): { insert: number; expire: number } {
  const insert = rig.connect(count);
  const filled = performance.now();
  // A turn for every tick, as a director that has nothing else to do would have it.
  const end = rig.tick + TIMEOUT_TICKS + GONE_TICKS;
  while (rig.tick < end) {
    rig.tick++;
    rig.idle();
  }
  // A turn runs a limited number of timers.
  for (let turn = 0; rig.connectionCount !== 0 && turn < count; turn++) rig.idle();
  const emptied = performance.now();
  if (rig.connectionCount !== 0) throw new Error(`${rig.connectionCount} connections are left`);
  return { insert: (insert * 1e6) / count, expire: ((emptied - filled) * 1e6) / count };
}

async function measureConnections(context: BenchContext): Promise<readonly Result[]> {
  const count = context.quick ? 100_000 : 1_000_000;
  const { rounds } = effortOf(context);
  const results: Result[] = [];
  for (const family of [4, 6] as const) {
    context.say(`filling and emptying a table of ${count} IPv${family} connections`);
    // Entries come back in bursts' lists, so a few more than are in use at once.
    const rig = new Rig({ module: context.module, connections: count + 1024, family });
    rig.setTimeouts(TIMEOUT_TICKS);
    fillAndExpire(rig, count);
    const times = Array.from({ length: Math.min(rounds, 7) }, () => fillAndExpire(rig, count));
    for (const name of ['insert', 'expire'] as const) {
      const about = { name: `table-${name}`, unit: 'ns/connection', params: { family, count } };
      const values = times.map((time) => time[name]);
      results.push(makeResult(about, { name, values }));
    }
  }
  return results;
}

/** Resident bytes of this process. */
function residentBytes(): number {
  const match = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync('/proc/self/status', 'utf8'));
  return Number(match?.[1] ?? 0) * 1024;
}

function measureBytes(context: BenchContext, family: Family): readonly Result[] {
  const count = context.quick ? 200_000 : 2_000_000;
  const map = planMemory({ ...DEFAULT_SIZES, connections: count });
  const chains = (map.chains * CHAIN_HEAD_SIZE) / count;
  const wide = family === 6 ? CONNECTION_WIDE_SIZE : 0;
  const computed = CONNECTION_HOT_SIZE + CONNECTION_COLD_SIZE + wide + chains;
  // Small pages: a huge one is resident as a whole, touched or not.
  const { module } = context;
  const rig = new Rig({ module, connections: count, family, hugePages: false });
  rig.connect(4096);
  const before = residentBytes();
  rig.connect(count - 4096, 4096);
  const resident = (residentBytes() - before) / (count - 4096);
  const reserved = CONNECTION_HOT_SIZE + CONNECTION_COLD_SIZE + CONNECTION_WIDE_SIZE + chains;
  return [
    ['computed', computed],
    ['resident', resident],
    ['reserved address space', reserved],
  ].map(([how, bytes]) => {
    const params = { family, count, how: String(how) };
    const about = { name: 'table-bytes', unit: 'bytes/connection', params };
    return exactResult(about, Number(bytes));
  });
}

function serviceKey(index: number): ServiceKey {
  const address = `198.18.${index >> 8}.${index & 255}`;
  return { family: 4, protocol: 'tcp', address, port: 80 };
}

function serverKey(service: number, server: number) {
  const address = `10.${service >> 8}.${service & 255}.${server + 1}`;
  return { family: 4, address, port: 8080 } as const;
}

/** A control core over tables of its own, without workers. */
function makeControl(): Control {
  const memory = DataPlaneMemory.create({ ...DEFAULT_SIZES, connections: 1024 });
  const tables = new PublishedTables(memory);
  const control = new Control({ tables, schedulerByName, availablePages: () => 2 ** 40 });
  control.setWorld(worldOf(4));
  return control;
}

function addServices(control: Control, services: number): void {
  control.batch(() => {
    for (let service = 0; service < services; service++) {
      control.addService(serviceKey(service), serviceOptions('wlc', 4));
      for (let server = 0; server < SERVERS; server++) {
        const at = serverKey(service, server);
        control.addDestination(serviceKey(service), at, destinationOptions('nat'));
      }
    }
  });
}

async function measurePublishing(context: BenchContext): Promise<readonly Result[]> {
  const services = context.quick ? 1_000 : SERVICES;
  context.say(`publishing ${services} services of ${SERVERS} servers`);
  let control = makeControl();
  let weight = 1;
  const timed = (work: () => void) => {
    const before = performance.now();
    work();
    return performance.now() - before;
  };
  const setWeight = (service: number) => {
    const at = serverKey(service, 0);
    control.editDestination(serviceKey(service), at, destinationOptions('nat', weight));
  };
  const editEach = () => {
    for (let service = 0; service < services; service++) setWeight(service);
  };
  const slices: Readonly<Record<string, () => number>> = {
    'all new': () => {
      control = makeControl();
      return timed(() => addServices(control, services));
    },
    'one server of each service edited': () => {
      weight++;
      return timed(() => control.batch(editEach));
    },
    'one server edited': () => {
      weight++;
      return timed(() => setWeight(services >> 1));
    },
  };
  const competitors = Object.entries(slices).map(([name, slice]) => ({ name, slice }));
  addServices(control, services);
  const samples = await interleave(competitors, context.quick ? 3 : 7);
  return samples.map((sample) => {
    const params = { services, servers: SERVERS, change: sample.name };
    return makeResult({ name: 'publish', unit: 'ms', params }, sample);
  });
}

export const tables: Bench = {
  name: 'tables',
  about: 'connections in and out, bytes a connection, publishing 10,000 services',
  async run(context) {
    const connections = await measureConnections(context);
    const bytes = ([4, 6] as const).flatMap((family) => measureBytes(context, family));
    return [...connections, ...bytes, ...(await measurePublishing(context))];
  },
};
