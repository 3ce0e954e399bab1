// All of IPVS's schedulers, by the names ipvsadm and the configuration use and by the codes of the
// published tables.

import { destinationHash } from './destination-hash.ts';
import { leastConnection } from './least-connection.ts';
import { localityBased } from './locality-based.ts';
import { localityBasedReplication } from './locality-based-replication.ts';
import { maglev } from './maglev.ts';
import { neverQueue } from './never-queue.ts';
import { powerOfTwo } from './power-of-two.ts';
import { roundRobin } from './round-robin.ts';
import type { Scheduler } from './scheduler.ts';
import { shortestExpectedDelay } from './shortest-expected-delay.ts';
import { sourceHash } from './source-hash.ts';
import { weightedFailover } from './weighted-failover.ts';
import { weightedLeastConnection } from './weighted-least-connection.ts';
import { weightedOverflow } from './weighted-overflow.ts';
import { weightedRoundRobin } from './weighted-round-robin.ts';

/** In the order of their codes, which is the order `ipvsadm -h` names them in. */
const SCHEDULERS: readonly Scheduler[] = [
  roundRobin,
  weightedRoundRobin,
  leastConnection,
  weightedLeastConnection,
  localityBased,
  localityBasedReplication,
  destinationHash,
  sourceHash,
  shortestExpectedDelay,
  neverQueue,
  weightedFailover,
  weightedOverflow,
  maglev,
  powerOfTwo,
];

const BY_NAME = new Map(SCHEDULERS.map((scheduler) => [scheduler.name, scheduler]));
const BY_CODE: readonly (Scheduler | undefined)[] = [undefined, ...SCHEDULERS];

/** The scheduler of a name such as "wlc", or undefined. */
export function schedulerByName(name: string): Scheduler | undefined {
  return BY_NAME.get(name);
}

/** The scheduler of a SCHEDULER_* code, or undefined. Workers ask per connection. */
export function schedulerByCode(code: number): Scheduler | undefined {
  return BY_CODE[code];
}

/** Names of all schedulers, in the order of `ipvsadm -h`. */
export const schedulerNames: readonly string[] = SCHEDULERS.map((scheduler) => scheduler.name);
