// The log lines about what changes while a director runs. Each has a stable `event`, and the names of
// what it is about in fields of their own.

import { destinationKey } from '../config/keys.ts';
import type { ControlChange } from '../ipvs/control.ts';
import type { ServiceKey } from '../ipvs/types.ts';
import type { Logger } from '../log.ts';
import type { World, WorldNeighbour, WorldPort } from '../tables/world.ts';
import { serviceText } from './status.ts';

/** Who made a change. */
export type ChangeOrigin = 'start' | 'reload' | 'ipvsadm' | 'health' | 'drain';

/** More changes than these at once are summed up in one line. */
const CHANGE_LINES_MAX = 100;

/** The log of changes; one that takes ten thousand services over must not write as many lines. */
export class ChangeLog {
  readonly #log: Logger;
  #count = 0;

  constructor(log: Logger) {
    this.#log = log;
  }

  /** Tells of a change, or that there were more of them. */
  add(change: ControlChange, origin: ChangeOrigin): void {
    // A removed destination without connections is history only for ourselves.
    if (change.kind === 'destination-forgotten') return;
    if (this.#count === 0) setImmediate(() => this.#sumUp(origin));
    this.#count++;
    if (this.#count <= CHANGE_LINES_MAX) logControlChange(this.#log, change, origin);
  }

  #sumUp(origin: ChangeOrigin): void {
    const more = this.#count - CHANGE_LINES_MAX;
    this.#count = 0;
    if (more <= 0) return;
    this.#log.info({ event: 'changes-not-listed', more, origin }, `and ${more} more changes`);
  }
}

/** A service, a server or a local address came, changed or went. */
function logControlChange(log: Logger, change: ControlChange, origin: ChangeOrigin): void {
  const service = serviceText(change.service as ServiceKey);
  const { destination, localAddress } = change;
  const server = destination && destinationKey(destination.address, destination.port);
  const part = server ?? localAddress;
  const fields = {
    event: change.kind,
    service,
    ...(server && { server }),
    ...(localAddress && { localAddress }),
    origin,
  };
  const text = change.kind.replace('destination', 'server').replaceAll('-', ' ');
  log.info(fields, part === undefined ? `${text}: ${service}` : `${text}: ${part} of ${service}`);
}

/** What of the ports changed between two worlds. @returns the ports with another MAC address */
export function logPortChanges(log: Logger, before: World, after: World): WorldPort[] {
  const moved: WorldPort[] = [];
  for (const port of after.ports) {
    const old = before.ports[port.index];
    if (old === undefined) continue;
    if (old.up !== port.up) {
      const event = port.up ? 'port-up' : 'port-down';
      const level = port.up ? 'info' : 'warn';
      log[level]({ event, port: port.name }, `port ${port.name} is ${port.up ? 'up' : 'down'}`);
    }
    if (old.mtu !== port.mtu) {
      log.info({ event: 'port-mtu', port: port.name, mtu: port.mtu, before: old.mtu });
    }
    if (!Buffer.from(old.mac).equals(port.mac)) moved.push(port);
  }
  return moved;
}

/** Says when a neighbour that a real server or a gateway is fails, and when it comes back. */
export class NeighbourEvents {
  readonly #log: Logger;
  readonly #failed = new Set<string>();

  constructor(log: Logger) {
    this.#log = log;
  }

  /** @param isTarget whether it is one of these */
  onNeighbour({ address, state }: WorldNeighbour, port: string, isTarget: boolean): void {
    const key = `${port} ${address}`;
    if (state === 'failed' && isTarget && !this.#failed.has(key)) {
      this.#failed.add(key);
      this.#log.warn(
        { event: 'neighbour-failed', neighbour: address, port },
        `${address} does not answer on port ${port}`,
      );
    }
    if (state === 'reachable' && this.#failed.delete(key)) {
      this.#log.info(
        { event: 'neighbour-reachable', neighbour: address, port },
        `${address} answers again on port ${port}`,
      );
    }
  }
}
