// The thread of one worker in the bench of several: it waits at the gate before every batch until all
// the others have written their frames too.

import { parentPort, workerData } from 'node:worker_threads';
import { DataPlaneMemory } from '../../host/memory/data-plane-memory.ts';
import { createSchedule } from '../../host/worker/schedule.ts';
import { instantiateWasm } from '../../host/worker/wasm.ts';
import { wasmEngine } from './engine.ts';
import type { FrameShape } from './flows.ts';
import { HitLane } from './hits.ts';
import { WorkerRings } from './rings.ts';

export interface LaneStart {
  readonly memory: WebAssembly.Memory;
  readonly module: WebAssembly.Module;
  readonly worker: number;
  readonly workers: number;
  readonly connections: number;
  readonly shape: FrameShape;
  readonly tick: number;
  /** How many have arrived, and which batch is open. */
  readonly gate: Int32Array;
}

export interface LaneRequest {
  readonly batches: number;
  /** Threads that take part. */
  readonly together: number;
}

export interface LaneReply {
  /** Milliseconds of each batch. */
  readonly times: readonly number[];
  readonly frames: number;
}

const ARRIVED = 0;
const OPENED = 1;
const BURST = 64;

/** Waits, hot, until all have come: sleeping would cost more than a batch. */
function passGate(gate: Int32Array, together: number): void {
  const opened = Atomics.load(gate, OPENED);
  if (Atomics.add(gate, ARRIVED, 1) + 1 === together) {
    Atomics.store(gate, ARRIVED, 0);
    Atomics.add(gate, OPENED, 1);
    return;
  }
  while (Atomics.load(gate, OPENED) === opened);
}

function start(options: LaneStart): void {
  const { module, worker, workers, connections, shape, tick, gate } = options;
  const memory = DataPlaneMemory.attach(options.memory);
  const dataPlane = instantiateWasm(module, options.memory, createSchedule(memory, worker));
  dataPlane.initialise(worker);
  const engine = wasmEngine(dataPlane);
  const rings = new WorkerRings(memory, worker);
  const common = { memory, rings, shape, tick, workers, flows: connections };
  const lane = new HitLane({ ...common, burst: BURST, seed: 11 });
  parentPort?.on('message', ({ batches, together }: LaneRequest) => {
    const times: number[] = [];
    for (let batch = 0; batch < batches; batch++) {
      lane.prepare();
      passGate(gate, together);
      times.push(lane.forward(engine));
    }
    dataPlane.rest();
    const reply: LaneReply = { times, frames: lane.frames };
    parentPort?.postMessage(reply);
  });
}

start(workerData as LaneStart);
