// The steering program, which the kernel runs for every frame before the data plane sees it: ns a frame,
// by the kernel's own test run, so without driver, redirection and socket.

import { join } from 'node:path';
import { NamespaceSet } from '../host/netns/namespaces.ts';
import { sourceRoot } from '../host/netns/processes.ts';
import type { Bench } from './bench.ts';
import { whyNotHere } from './end-to-end/stage.ts';
import { makeResult, type Result } from './result.ts';
import type { SteeringRun, SteeringTimes } from './steering-run.ts';

const BENCH = 'steering';

export const steering: Bench = {
  name: BENCH,
  about: 'ns a frame of the program that hands frames over, by number of services',
  async run(context) {
    const obstacle = whyNotHere();
    if (obstacle !== undefined) {
      context.miss({ name: BENCH, what: 'everything', why: obstacle });
      return [];
    }
    const effort = context.quick
      ? { rounds: 3, repeat: 100_000 }
      : { rounds: 15, repeat: 1_000_000 };
    const set = new NamespaceSet();
    try {
      const namespace = set.create('steering');
      const results: Result[] = [];
      for (const services of context.quick ? [10] : [1, 100, 10_000]) {
        const request: SteeringRun = { services, ...effort };
        const program = join(sourceRoot(), 'dist/bench/steering-run.js');
        const command = [process.execPath, program, JSON.stringify(request)];
        const times = JSON.parse(namespace.run(command)) as SteeringTimes;
        for (const [frame, values] of Object.entries(times)) {
          const params = { frame, services };
          const about = { name: BENCH, unit: 'ns/frame', params };
          results.push(makeResult(about, { name: frame, values }));
        }
      }
      return results;
    } finally {
      await set.close();
    }
  },
};
