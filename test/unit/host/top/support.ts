/** Statuses for tests of top: the one of test/unit/host/control/support.ts, larger. */

import type { DirectorStatus } from '../../../../host/control/api.ts';
import { LOAD, STATUS } from '../control/support.ts';

/** A director with many services and servers. */
export function largeStatus(services: number, servers: number): DirectorStatus {
  const [web] = STATUS.services;
  return {
    ...STATUS,
    services: Array.from({ length: services }, (_, number) => ({
      ...web!,
      key: `tcp [2001:db8:ffff:eeee:dddd:cccc:bbbb:${number}]:443`,
      name: `service-with-a-long-name-${number}`,
      load: { ...LOAD, connectionsPerSecond: number },
      servers: Array.from({ length: servers }, (_, index) => ({
        ...web!.servers[0]!,
        key: `[2001:db8:ffff:eeee:dddd:cccc:bbbb:${index}]:8443`,
        activeConnections: index,
      })),
    })),
  };
}
