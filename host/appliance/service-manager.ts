/**
 * What a service manager is told, as sd_notify(3) has it: ready, reloading, stopping, still alive.
 * Without one, which is when $NOTIFY_SOCKET is not set, all of this does nothing.
 */

import { notifyServiceManager } from 'af-xdp-socket';
import { monotonicMs } from '../worker/clock.ts';

/** Twice within the time after which the manager loses patience. */
const PINGS_PER_TIMEOUT = 2;

/** How a service manager is reached. */
export interface ServiceManagerOptions {
  readonly environment?: NodeJS.ProcessEnv;
  readonly send?: (path: string, text: string) => void;
  /** Told when the manager cannot be reached. */
  readonly onError?: (error: Error) => void;
}

/** The service manager this process was started by, or none. */
export class ServiceManager {
  readonly #path: string | undefined;
  readonly #pingMs: number | undefined;
  readonly #send: (path: string, text: string) => void;
  readonly #onError: ((error: Error) => void) | undefined;
  #timer: NodeJS.Timeout | undefined;

  constructor(options: ServiceManagerOptions = {}) {
    const environment = options.environment ?? process.env;
    this.#path = environment.NOTIFY_SOCKET || undefined;
    this.#pingMs = pingInterval(environment);
    this.#send = options.send ?? notifyServiceManager;
    this.#onError = options.onError;
  }

  /**
   * Packets flow. From now on the manager hears of it while `isAlive` says so: when the event loop
   * stands still, or the director is dead inside, it hears nothing, and starts it again.
   */
  ready(status: string, isAlive: () => boolean): void {
    this.#notify('READY=1', `STATUS=${status}`);
    if (this.#path === undefined || this.#pingMs === undefined) return;
    this.#timer = setInterval(() => {
      if (isAlive()) this.#notify('WATCHDOG=1');
    }, this.#pingMs);
    this.#timer.unref();
  }

  /** A configuration is being taken over; reloaded() ends it. */
  reloading(): void {
    // The time tells this notice from one that was on its way before the request.
    this.#notify('RELOADING=1', `MONOTONIC_USEC=${Math.round(monotonicMs() * 1000)}`);
  }

  reloaded(status: string): void {
    this.#notify('READY=1', `STATUS=${status}`);
  }

  stopping(): void {
    clearInterval(this.#timer);
    this.#notify('STOPPING=1');
  }

  #notify(...lines: readonly string[]): void {
    if (this.#path === undefined) return;
    try {
      // A line in a status would be another variable.
      this.#send(this.#path, lines.map((line) => line.replaceAll('\n', ' ')).join('\n'));
    } catch (error) {
      this.#onError?.(error as Error);
    }
  }
}

/** WATCHDOG_PID keeps a child that inherited the environment from answering for its parent. */
function pingInterval({ WATCHDOG_USEC, WATCHDOG_PID }: NodeJS.ProcessEnv): number | undefined {
  if (WATCHDOG_PID !== undefined && Number(WATCHDOG_PID) !== process.pid) return undefined;
  const microseconds = Number(WATCHDOG_USEC);
  if (!(microseconds > 0)) return undefined;
  return Math.max(1, Math.floor(microseconds / 1000 / PINGS_PER_TIMEOUT));
}
