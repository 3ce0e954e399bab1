// The scheduler's way into the data plane: what the WebAssembly module calls for every connection to
// be made, on the worker's own thread.

import { SCHEDULE_NONE } from '../../assembly/shared/codes.ts';
import { SERVICE_SCHEDULER, WORKER_SEEN_GENERATION } from '../../assembly/shared/layout.ts';
import type { DataPlaneMemory } from '../memory/data-plane-memory.ts';
import { schedulerByCode } from '../scheduler/registry.ts';
import type { ScheduleFunction } from './wasm.ts';

/** Makes the function for one worker. It never throws and never allocates. */
export function createSchedule(memory: DataPlaneMemory, worker: number): ScheduleFunction {
  const block = memory.worker(worker);
  const seenAt = (block + WORKER_SEEN_GENERATION) >>> 2;
  const tables = { memory, bank: memory.bank(0), worker: block };
  return (service, packet) => {
    // The worker's own word: a bank published meanwhile is not the one it works with.
    const bank = memory.bank(memory.u32[seenAt]);
    tables.bank = bank;
    // WebAssembly's numbers arrive signed.
    const id = service >>> 0;
    const scheduler = schedulerByCode(memory.u8[memory.service(bank, id) + SERVICE_SCHEDULER]);
    return scheduler === undefined ? SCHEDULE_NONE : scheduler.pick(tables, id, packet >>> 0);
  };
}
