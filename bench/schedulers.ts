// What a pick of each scheduler costs, by number of servers.

import { schedulerNames } from '../host/scheduler/registry.ts';
import type { Bench, BenchContext } from './bench.ts';
import { FlowSource } from './data-plane/flows.ts';
import { effortOf } from './data-plane/hit-path.ts';
import { interleave } from './measure.ts';
import { makeResult, type Result } from './result.ts';
import { SchedulerRig } from './scheduler-rig.ts';

const WEIGHT_MAX = 100;
const INACTIVE_MAX = 1000;
/** Addresses in the packets are taken from here, so that making them up costs little. */
const ADDRESSES = 4096;
const SEED = 99;

/** Weights and connections at random; below the weight, or ovf would find no server. */
function addLoadedService(
  rig: SchedulerRig,
  random: FlowSource,
  scheduler: string,
  [port, servers]: readonly [number, number],
): number {
  const weights = Array.from({ length: servers }, () => 1 + random.below(WEIGHT_MAX));
  const service = rig.addService(scheduler, port, weights);
  for (const { id, weight } of rig.servers(port)) {
    rig.setConnections(id, random.below(weight), random.below(INACTIVE_MAX));
  }
  return service;
}

export const schedulers: Bench = {
  name: 'schedulers',
  about: 'ns a pick by scheduler and number of servers',
  async run(context: BenchContext) {
    const { rounds } = effortOf(context);
    const random = new FlowSource(SEED);
    const addresses = Uint32Array.from({ length: ADDRESSES }, () => random.below(2 ** 32));
    const results: Result[] = [];
    for (const servers of context.quick ? [1, 16] : [1, 16, 256, 1024]) {
      const rig = new SchedulerRig(servers * schedulerNames.length);
      // As many picks of each as take about the same time, whether a scheduler walks the list.
      const picks = Math.max(200, Math.round(40_000 / servers));
      const competitors = schedulerNames.map((name, index) => {
        const service = addLoadedService(rig, random, name, [1 + index, servers]);
        return { name, slice: () => (rig.pick(service, addresses, picks) * 1e6) / picks };
      });
      for (const { slice } of competitors) for (let turn = 0; turn < 10; turn++) slice();
      for (const sample of await interleave(competitors, rounds)) {
        const params = { scheduler: sample.name, servers };
        results.push(makeResult({ name: 'schedulers', unit: 'ns/pick', params }, sample));
      }
    }
    return results;
  },
};
