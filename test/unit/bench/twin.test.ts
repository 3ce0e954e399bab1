// The C twin is a fair measure only if it does the same work: on the same packets it must leave the
// same bytes as the data plane, in every frame, ring, connection and counter.

import { readFile } from 'node:fs/promises';
import { beforeAll, describe, expect, it } from 'vitest';
import {
  RING_ROOM,
  WORKER_LINK_COUNT,
  WORKER_PACKETS,
  WORKER_WHEEL,
  WORKER_WHEEL_CLOCK,
} from '../../../assembly/shared/layout.ts';
import { FRAME_HEADROOM } from '../../../assembly/shared/limits.ts';
import { type Engine, twinEngine, wasmEngine } from '../../../bench/data-plane/engine.ts';
import { type Direction, TCP_ACK, type Transport } from '../../../bench/data-plane/flows.ts';
import { HitLane, ServerEnds } from '../../../bench/data-plane/hits.ts';
import { Rig } from '../../../bench/data-plane/rig.ts';
import { WorkerRings } from '../../../bench/data-plane/rings.ts';
import { DataPlaneMemory } from '../../../host/memory/data-plane-memory.ts';
import { Random, seedFromEnvironment } from '../../support/random.ts';
import { freshBuild } from '../../support/wasm.ts';

const SEED = seedFromEnvironment(20);
const FLOWS = 500;
const FRAMES = 64;
const BATCHES = 12;
const NETWORK = FRAME_HEADROOM + 14;

let module: WebAssembly.Module;
let twin: Engine;

beforeAll(async () => {
  module = await WebAssembly.compile(new Uint8Array(await readFile(freshBuild('release'))));
  twin = twinEngine();
});

/** Another memory with the same bytes. */
function copyOf(memory: DataPlaneMemory): DataPlaneMemory {
  const { pages } = memory.map;
  const copy = new WebAssembly.Memory({ initial: pages, maximum: pages, shared: true });
  new Uint8Array(copy.buffer).set(memory.u8);
  return DataPlaneMemory.attach(copy);
}

/** Changes what the data plane must not take for granted, and keeps the packet a hit. */
function vary(random: Random, memory: DataPlaneMemory, chunk: number, protocol: Transport): void {
  const view = new DataView(memory.memory.buffer);
  const network = chunk + NETWORK;
  const transport = network + 20;
  const length = view.getUint16(network + 2);
  for (let at = transport + (protocol === 'tcp' ? 20 : 8); at < network + length; at++) {
    view.setUint8(at, random.u32() & 0xff);
  }
  view.setUint8(network + 1, random.u32() & 0xff);
  view.setUint16(network + 4, random.u16());
  view.setUint8(network + 8, random.between(2, 255));
  view.setUint16(transport + (protocol === 'tcp' ? 16 : 6), random.corner16());
  if (protocol === 'tcp') view.setUint8(transport + 13, TCP_ACK | (random.u32() & 0xe8));
  view.setUint16(network + 10, 0);
  let sum = 0;
  for (let at = 0; at < 20; at += 2) sum += view.getUint16(network + at);
  sum = (sum & 0xffff) + (sum >>> 16);
  view.setUint16(network + 10, ~((sum & 0xffff) + (sum >>> 16)) & 0xffff);
}

/** The first byte that differs outside the worker's scratch space, or undefined. */
function difference(a: DataPlaneMemory, b: DataPlaneMemory): string | undefined {
  const block = a.worker(0);
  const scratch = [block + WORKER_PACKETS, block + WORKER_WHEEL] as const;
  if (Buffer.compare(a.u8.subarray(0, scratch[0]), b.u8.subarray(0, scratch[0])) === 0) {
    const rest = [a, b].map(({ u8 }) => u8.subarray(scratch[1])) as [Uint8Array, Uint8Array];
    if (Buffer.compare(...rest) === 0) return undefined;
  }
  for (let at = 0; at < a.u8.length; at++) {
    if (a.u8[at] === b.u8[at] || (at >= scratch[0] && at < scratch[1])) continue;
    const { regions } = a.map;
    const region = Object.entries(regions).findLast(([, start]) => start <= at);
    const [name, start] = region ?? ['control', 0];
    return `byte ${at - start} of ${name}: ${a.u8[at]}, the twin has ${b.u8[at]}`;
  }
  return undefined;
}

const CASES = (['tcp', 'udp'] as const).flatMap((protocol) =>
  (['in', 'out'] as const).map((direction) => ({ protocol, direction })),
);

describe(`twin (seed ${SEED})`, () => {
  it.each(CASES)('$protocol, $direction: leaves the same bytes', ({ protocol, direction }) => {
    run(protocol, direction);
  });
});

function run(protocol: Transport, direction: Direction): void {
  const random = new Random(SEED);
  const rig = new Rig({
    module,
    connections: FLOWS,
    protocol,
    frames: FRAMES,
    hugePages: false,
  });
  rig.connect(FLOWS);
  const other = copyOf(rig.memory);
  const ends = direction === 'out' ? new ServerEnds(rig.memory, FLOWS, false, 4) : undefined;
  const common = { flows: FLOWS, workers: 1, ends, seed: SEED };
  for (let batch = 0; batch < BATCHES; batch++) {
    const shape = rig.frameShape(direction, { size: random.between(60, 1514) });
    const burst = random.pick([1, 4, 32, 64]);
    const options = { ...common, shape, burst, tick: rig.tick + batch, seed: SEED + batch };
    const rings = rig.rings[0];
    const wasm = new HitLane({ ...options, memory: rig.memory, rings });
    const c = new HitLane({ ...options, memory: other, rings: new WorkerRings(other, 0) });
    wasm.prepare();
    for (let frame = 0; frame < FRAMES; frame++) {
      vary(random, rig.memory, rings.chunk(frame), protocol);
    }
    other.u8.set(rig.memory.u8.subarray(rig.memory.map.regions.frames), other.map.regions.frames);
    wasm.forward(wasmEngine(rig.dataPlanes[0]));
    c.forward(twin);
    copyWheelClock(rig.memory, other);
    copyRoom(rig.memory, other);
    expect(difference(rig.memory, other)).toBeUndefined();
  }
}

/** The twin runs no timers, and none is due here; the module's wheel has moved on all the same. */
function copyWheelClock(from: DataPlaneMemory, to: DataPlaneMemory): void {
  const at = (from.worker(0) + WORKER_WHEEL_CLOCK) >>> 2;
  to.u32[at] = from.u32[at];
}

/** The twin asks how much room a TX ring has in every turn; the module remembers what it was told. */
function copyRoom(from: DataPlaneMemory, to: DataPlaneMemory): void {
  for (let link = 0; link < from.u32[(from.worker(0) + WORKER_LINK_COUNT) >>> 2]; link++) {
    const at = (from.ring(0, link, 'transmit') + RING_ROOM) >>> 2;
    to.u32[at] = from.u32[at];
  }
}
