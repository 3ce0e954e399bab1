// A worker thread that picks destinations as a worker of the director does.

import { parentPort, workerData } from 'node:worker_threads';
import {
  PACKET_DESTINATION,
  PACKET_FAMILY,
  WORKER_PACKETS,
} from '../../../../assembly/shared/layout.ts';
import { DataPlaneMemory } from '../../../../host/memory/data-plane-memory.ts';
import { schedulerByCode } from '../../../../host/scheduler/registry.ts';

export interface PickingTask {
  readonly memory: WebAssembly.Memory;
  readonly worker: number;
  readonly code: number;
  readonly service: number;
  readonly picks: number;
  /** Virtual addresses to go round in, 1 for none but one. */
  readonly addresses: number;
  /** Byte offset of a u32 that counts the threads that are ready. */
  readonly ready: number;
  readonly threads: number;
}

/** Picks by destination id. */
export type PickingResult = Map<number, number>;

run(workerData as PickingTask);

function run(task: PickingTask): void {
  const memory = DataPlaneMemory.attach(task.memory);
  const scheduler = schedulerByCode(task.code);
  if (scheduler === undefined) throw new Error(`no scheduler ${task.code}`);
  const worker = memory.worker(task.worker);
  const tables = { memory, bank: memory.activeBank(), worker };
  const packet = worker + WORKER_PACKETS;
  memory.u8[packet + PACKET_FAMILY] = 4;
  const result: PickingResult = new Map();
  // All begin at once, or the first is done before the second has started.
  Atomics.add(memory.u32, task.ready >>> 2, 1);
  while (Atomics.load(memory.u32, task.ready >>> 2) < task.threads) {}
  for (let pick = 0; pick < task.picks; pick++) {
    const address = (pick * 7919 + task.worker * 13) % task.addresses;
    memory.u32[(packet + PACKET_DESTINATION) >>> 2] = address;
    const chosen = scheduler.pick(tables, task.service, packet);
    result.set(chosen, (result.get(chosen) ?? 0) + 1);
  }
  parentPort?.postMessage(result);
}
