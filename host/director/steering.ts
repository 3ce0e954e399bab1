// The steering program's life: loaded, told what is ours, attached to every port, and given the
// sockets at the very end, so that no packet is taken before somebody is there to handle it.

import { Steering, type SteeringChanges, type SteeringOutcome } from 'af-xdp-socket';
import type { Config } from '../config/types.ts';
import type { Logger } from '../log.ts';
import type { WorldPort } from '../tables/world.ts';
import type { Link } from './links.ts';
import type { Port } from './ports.ts';
import { StartError, sentenceOf } from './start-error.ts';

/** The least that the program's tables hold; they grow with the configuration at start. */
const CAPACITY_MIN = { services: 16_384, realServers: 65_536, addresses: 65_536 };
const GROWTH = 2;

/** The steering program on all ports. */
export class PortSteering {
  readonly #steering: Steering;
  readonly #modes = new Map<number, 'native' | 'generic'>();
  #hasPublished = false;
  readonly #log: Logger;

  /** @throws StartError */
  constructor(config: Config, log: Logger) {
    this.#log = log;
    const servers = config.services.reduce((sum, service) => sum + service.servers.length, 0);
    const { services, realServers, addresses } = CAPACITY_MIN;
    try {
      this.#steering = Steering.load({
        capacity: {
          services: Math.max(services, GROWTH * config.services.length),
          realServers: Math.max(realServers, GROWTH * servers),
          addresses: Math.max(addresses, GROWTH * (servers + config.services.length)),
        },
      });
    } catch (error) {
      throw new StartError(`the steering program cannot be loaded: ${sentenceOf(error)}`, {
        cause: error,
      });
    }
  }

  /**
   * Attaches the program to a port.
   * @throws StartError
   */
  attach({ config, info }: Port): void {
    try {
      const link = this.#steering.attach(info.index, config.xdp);
      this.#modes.set(info.index, link.mode);
      const { nativeRefusal } = link;
      if (nativeRefusal === null) return;
      this.#log.warn(
        { event: 'xdp-generic', port: config.name, reason: sentenceOf(nativeRefusal) },
        `port ${config.name} works in generic mode, which is slower`,
      );
    } catch (error) {
      throw new StartError(`port ${config.name} (interface ${info.name}): ${sentenceOf(error)}`, {
        cause: error,
      });
    }
  }

  /** How the program is attached to an interface. */
  mode(ifindex: number): 'native' | 'generic' | undefined {
    return this.#modes.get(ifindex);
  }

  /** From now on the frames of these queues go to the sockets. */
  setSockets(links: readonly Link[]): void {
    for (const { port, queue, socket } of links) {
      this.#steering.setSocket(port.info.index, queue, socket.fd);
    }
  }

  /**
   * Changes what is steered; what was in force stays when it cannot be.
   * @returns whether it could
   */
  publish(changes: SteeringChanges): boolean {
    try {
      this.#steering.publishChanges(changes);
      // Everything goes into the other bank as well, which the first change would have to wait for.
      if (!this.#hasPublished) this.#steering.publishChanges({});
      this.#hasPublished = true;
      return true;
    } catch (error) {
      this.#log.error(
        { event: 'steering-not-published', reason: sentenceOf(error) },
        'what the steering program takes could not be brought up to date',
      );
      return false;
    }
  }

  /** A port's address changed. */
  refresh(port: WorldPort): void {
    try {
      this.#steering.refreshPort(port.ifindex);
    } catch (error) {
      this.#log.warn({ event: 'port-not-refreshed', port: port.name, reason: sentenceOf(error) });
    }
  }

  counters(): Record<SteeringOutcome, number> {
    return this.#steering.counters();
  }

  close(): void {
    this.#steering.close();
  }
}
