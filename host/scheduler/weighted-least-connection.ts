// wlc: the destination with the least overhead for its weight; the newest of equals.
// Linux: net/netfilter/ipvs/ip_vs_wlc.c.

import { SCHEDULER_WLC } from '../../assembly/shared/codes.ts';
import { leastLoaded } from './load.ts';
import { noChange } from './no-change.ts';
import type { Scheduler } from './scheduler.ts';

export const weightedLeastConnection: Scheduler = {
  name: 'wlc',
  code: SCHEDULER_WLC,
  pick: leastLoaded,
  change: noChange,
};
