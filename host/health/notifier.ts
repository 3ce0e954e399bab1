// Runs the notify commands of services. Those of one service run one after the other, in the order
// of what happened, so that the last one to end tells the present state.

import type { Logger } from '../log.ts';
import { type Cancel, type HealthClock, systemClock } from './clock.ts';
import { InFlight } from './in-flight.ts';
import { runProgram } from './process-group.ts';

/** A command to run, and what it is told in its environment. */
export interface Notification {
  readonly event: 'server-up' | 'server-down' | 'quorum-up' | 'quorum-down';
  readonly command: readonly string[];
  readonly serviceKey: string;
  readonly serviceName: string;
  /** Of servers' events. */
  readonly serverKey?: string;
  readonly reason?: string;
}

const PARALLEL_MAX = 16;
const WAITING_MAX = 10_000;
const RUN_MAX_MS = 60_000;

/** Runs notify commands. */
export class Notifier {
  readonly #log: Logger;
  readonly #clock: HealthClock;
  readonly #inFlight = new InFlight(PARALLEL_MAX);
  /** The last run of each service, by its key. */
  readonly #tails = new Map<string, Promise<void>>();
  readonly #kills = new Set<() => void>();
  #unfinished = 0;

  constructor(log: Logger, clock: HealthClock = systemClock) {
    this.#log = log;
    this.#clock = clock;
  }

  /** Runs a command after those of the same service before it. */
  notify(notification: Notification): void {
    const { serviceKey, event } = notification;
    if (this.#unfinished >= WAITING_MAX) {
      this.#log.error({ event: 'notify-dropped', service: serviceKey, notifies: event });
      return;
    }
    this.#unfinished++;
    const before = this.#tails.get(serviceKey) ?? Promise.resolve();
    const tail = before.then(() => this.#runInTurn(notification));
    this.#tails.set(serviceKey, tail);
    void tail.then(() => {
      this.#unfinished--;
      if (this.#tails.get(serviceKey) === tail) this.#tails.delete(serviceKey);
    });
  }

  /** Resolves when all commands have ended; after `milliseconds` those that run are killed. */
  async finish(milliseconds: number): Promise<void> {
    let cancel: Cancel = () => undefined;
    const deadline = new Promise<void>((resolve) => {
      cancel = this.#clock.after(milliseconds, resolve);
    });
    await Promise.race([Promise.all(this.#tails.values()), deadline]);
    cancel();
    for (const kill of this.#kills) kill();
  }

  #runInTurn(notification: Notification): Promise<void> {
    return new Promise((resolve) => {
      this.#inFlight.run(async () => {
        await this.#run(notification);
        resolve();
      });
    });
  }

  #run(notification: Notification): Promise<void> {
    const { command, serviceKey, event } = notification;
    const complain = (reason: string) => {
      this.#log.error(
        { event: 'notify-failed', service: serviceKey, notifies: event, command, reason },
        `notify command ${command[0]!} for ${event}: ${reason}`,
      );
    };
    return new Promise((resolve) => {
      let cancel: Cancel = () => undefined;
      let kill: () => void = () => undefined;
      const end = (reason?: string) => {
        cancel();
        this.#kills.delete(kill);
        if (reason !== undefined) complain(reason);
        resolve();
      };
      try {
        kill = runProgram({
          command,
          environment: environmentOf(notification),
          onError: (error) => end(error.message),
          onExit: ({ code, signal }) => {
            end(code === 0 ? undefined : code === undefined ? `${signal}` : `exit code ${code}`);
          },
        });
        this.#kills.add(kill);
        cancel = this.#clock.after(RUN_MAX_MS, kill);
      } catch (error) {
        end(error instanceof Error ? error.message : String(error));
      }
    });
  }
}

function environmentOf(notification: Notification): Record<string, string> {
  const { event, serviceKey, serviceName, serverKey, reason } = notification;
  return {
    WVS_EVENT: event,
    WVS_SERVICE: serviceName,
    WVS_SERVICE_KEY: serviceKey,
    ...(serverKey !== undefined && { WVS_SERVER: serverKey }),
    ...(reason !== undefined && { WVS_REASON: reason }),
  };
}
