// sed: the destination with the fewest active connections for its weight, the new one counted in;
// the newest of equals. Linux: net/netfilter/ipvs/ip_vs_sed.c.

import { SCHEDULER_SED } from '../../assembly/shared/codes.ts';
import { shortestExpectedDelay as pick } from './load.ts';
import { noChange } from './no-change.ts';
import type { Scheduler } from './scheduler.ts';

export const shortestExpectedDelay: Scheduler = {
  name: 'sed',
  code: SCHEDULER_SED,
  pick,
  change: noChange,
};
