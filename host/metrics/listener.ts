// The metrics listener of a running director: where the configuration says, and after a reload
// where the new one says. Counts the reloads, too, for nobody else remembers them.

import { formatEndpoint } from '../config/address.ts';
import type { EndpointConfig } from '../config/types.ts';
import type { DirectorStatus } from '../control/api.ts';
import type { Logger } from '../log.ts';
import type { DataPlaneMemory } from '../memory/data-plane-memory.ts';
import { readWorkerCounters } from '../stats/counter-names.ts';
import type { WorkerReport } from '../worker/pool.ts';
import type { Snapshot } from './definitions.ts';
import { type MetricsServer, openMetricsServer } from './server.ts';

/** What the metrics are made from. */
export interface MetricsListenerOptions {
  readonly memory: DataPlaneMemory;
  readonly log: Logger;
  readonly isReady: () => boolean;
  readonly status: () => DirectorStatus | Promise<DirectorStatus>;
  readonly workers: () => readonly WorkerReport[];
  readonly steering: () => Readonly<Record<string, number>>;
}

/** The listener, open or not. */
export class MetricsListener {
  readonly #options: MetricsListenerOptions;
  #server: MetricsServer | undefined;
  #endpoint: EndpointConfig | undefined;
  #taken = 0;
  #refused = 0;

  constructor(options: MetricsListenerOptions) {
    this.#options = options;
  }

  /**
   * Listens there from now on; undefined: nowhere.
   * @throws when that is not possible (EADDRINUSE and others); it listens nowhere then
   */
  async listen(endpoint: EndpointConfig | undefined): Promise<void> {
    if (endpointText(endpoint) === endpointText(this.#endpoint)) return;
    await this.close();
    if (endpoint === undefined) return;
    const { address, port } = endpoint;
    this.#server = await openMetricsServer({
      address,
      port,
      source: {
        snapshot: () => this.#snapshot(),
        isReady: () => this.#options.isReady(),
        isAlive: () => this.#isAlive(),
      },
      onError: (error) => this.#logFailure('metrics-request-failed', error),
    });
    this.#endpoint = endpoint;
  }

  /** As listen() after a reload, which a port that is taken must not undo. */
  async follow(endpoint: EndpointConfig | undefined): Promise<void> {
    try {
      await this.listen(endpoint);
    } catch (error) {
      this.#logFailure('metrics-not-opened', error);
    }
  }

  /** Counts how a reload ends, and gives what it gives. */
  async countReload<Result>(reload: Promise<Result>): Promise<Result> {
    try {
      const result = await reload;
      this.#taken++;
      return result;
    } catch (error) {
      this.#refused++;
      throw error;
    }
  }

  async close(): Promise<void> {
    const server = this.#server;
    this.#server = undefined;
    this.#endpoint = undefined;
    await server?.close();
  }

  /** A director whose workers all fail forwards nothing and will not recover by waiting. */
  #isAlive(): boolean {
    const workers = this.#options.workers();
    return workers.length === 0 || workers.some(({ state }) => state !== 'failed');
  }

  async #snapshot(): Promise<Snapshot> {
    const { memory, isReady, status, workers, steering } = this.#options;
    return {
      isReady: isReady(),
      status: await status(),
      workers: workers().map(({ id, gauges }) => ({
        id,
        gauges,
        counters: readWorkerCounters(memory, id),
      })),
      steering: steering(),
      reloads: { taken: this.#taken, refused: this.#refused },
    };
  }

  #logFailure(event: string, error: unknown): void {
    const reason = error instanceof Error ? error.message : String(error);
    this.#options.log.error({ event, reason });
  }
}

function endpointText(endpoint: EndpointConfig | undefined): string {
  return endpoint === undefined ? '' : formatEndpoint(endpoint.address, endpoint.port);
}
