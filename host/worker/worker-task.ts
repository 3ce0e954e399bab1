// What a worker thread runs: one task that ends when the director stops.

import { DataPlaneMemory } from '../memory/data-plane-memory.ts';
import { createClock } from './clock.ts';
import { runPollLoop } from './poll-loop.ts';
import { createSchedule } from './schedule.ts';
import { instantiateWasm, WasmError } from './wasm.ts';

/** All that a worker thread gets; everything else it finds in the memory. */
export interface WorkerTask {
  readonly worker: number;
  readonly memory: WebAssembly.Memory;
  readonly module: WebAssembly.Module;
  /** monotonicMs() at the director's start. */
  readonly epoch: number;
  readonly links: readonly number[];
  readonly event: number;
  readonly gauges: Float64Array;
  readonly busyPoll: boolean;
}

/** Attaches to the memory and runs the worker's loop. */
export function runWorker(task: WorkerTask): void {
  const { worker } = task;
  const memory = DataPlaneMemory.attach(task.memory);
  const dataPlane = instantiateWasm(task.module, task.memory, createSchedule(memory, worker));
  if (!dataPlane.initialise(worker)) {
    throw new WasmError('the memory is not laid out for the WebAssembly module');
  }
  runPollLoop({
    memory,
    worker,
    dataPlane,
    links: task.links,
    event: task.event,
    gauges: task.gauges,
    clock: createClock(task.epoch),
    busyPoll: task.busyPoll,
  });
}
