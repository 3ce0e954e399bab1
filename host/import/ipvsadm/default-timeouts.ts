/** The timeouts of a kernel that nobody has told others, in seconds. */

import type { Timeouts } from '../../ipvs/types.ts';

export const DEFAULT_TIMEOUTS_S: Timeouts = { tcp: 900, tcpFin: 120, udp: 300 };
