// Several workers on one shared table, each on a thread of its own, against one of them alone. The
// threads begin every batch together; the time of a batch is that of the slowest.

import { availableParallelism } from 'node:os';
import { Worker } from 'node:worker_threads';
import type { Bench, BenchContext } from '../bench.ts';
import { type Competitor, interleave, median, type Sample } from '../measure.ts';
import { makeResult, type Result } from '../result.ts';
import { effortOf } from './hit-path.ts';
import { Rig } from './rig.ts';
import type { LaneReply, LaneRequest, LaneStart } from './worker-lane.ts';

/** A worker's thread, which answers every request once. */
class LaneThread {
  readonly #worker: Worker;
  #resolve: ((reply: LaneReply) => void) | undefined;
  #reject: ((error: Error) => void) | undefined;

  constructor(start: LaneStart) {
    this.#worker = new Worker(new URL('./worker-lane.js', import.meta.url), { workerData: start });
    this.#worker.on('message', (reply: LaneReply) => this.#resolve?.(reply));
    this.#worker.on('error', (error) => this.#reject?.(error));
  }

  run(request: LaneRequest): Promise<LaneReply> {
    return new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
      this.#worker.postMessage(request);
    });
  }

  async close(): Promise<void> {
    await this.#worker.terminate();
  }
}

/** ns a packet of so many workers together. */
async function slice(threads: readonly LaneThread[], batches: number): Promise<number> {
  const request = { batches, together: threads.length };
  const replies = await Promise.all(threads.map((thread) => thread.run(request)));
  const times = Array.from({ length: batches }, (_, batch) => {
    const slowest = Math.max(...replies.map((reply) => reply.times[batch]));
    return (slowest * 1e6) / (replies[0].frames * threads.length);
  });
  return median(times);
}

async function measureWorkers(
  context: BenchContext,
  connections: number,
  workers: number,
): Promise<readonly Sample[]> {
  const { rounds, batches } = effortOf(context);
  const rig = new Rig({ module: context.module, connections, workers });
  rig.connect(connections);
  rig.rest();
  const gate = new Int32Array(new SharedArrayBuffer(8));
  const threads = Array.from({ length: workers }, (_, worker) => {
    const shape = rig.frameShape('in');
    const { tick } = rig;
    const { memory } = rig.memory;
    const { module } = context;
    return new LaneThread({ memory, module, worker, workers, connections, shape, tick, gate });
  });
  try {
    const competitors: Competitor[] = [1, workers].map((count) => {
      const some = threads.slice(0, count);
      return { name: `${count}`, slice: () => slice(some, batches) };
    });
    // Every thread compiles the path for itself.
    for (let turn = 0; turn < 3; turn++) await slice(threads, 40);
    return await interleave(competitors, rounds);
  } finally {
    await Promise.all(threads.map((thread) => thread.close()));
  }
}

export const workers: Bench = {
  name: 'workers',
  about: 'how much faster several workers on one shared table are than one',
  async run(context) {
    const most = Math.min(8, availableParallelism());
    const counts = [2, 4, 8].filter((count) => count <= most);
    if (counts.length === 0) context.say('there is one processor only: nothing to measure');
    const results: Result[] = [];
    for (const connections of context.quick ? [100_000] : [1_000, 100_000, 1_000_000]) {
      for (const count of counts) {
        context.say(`${count} workers on ${connections} connections`);
        const [one, all] = await measureWorkers(context, connections, count);
        const params = { workers: count, connections, method: 'nat', family: 4, burst: 64 };
        const gains = all.values.map((value, round) => one.values[round] / value);
        results.push(
          makeResult({ name: 'workers', unit: 'ns/packet', params }, all, [
            { ...one, name: 'one worker' },
          ]),
          makeResult(
            { name: 'workers', unit: 'x one worker', params },
            { name: 'gain', values: gains },
          ),
        );
      }
    }
    return results;
  },
};
