// The worker threads: as many as were asked for, each with one task that never ends. A worker that
// dies is reported, cleaned up after and started again, with pauses that grow when it dies again
// and again; the others go on, and the sockets stay open, for they belong to the main thread.

import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { EventDescriptor } from 'af-xdp-socket';
import { Piscina } from 'piscina';
import { CONTROL_STOP } from '../../assembly/shared/layout.ts';
import type { Logger } from '../log.ts';
import type { DataPlaneMemory } from '../memory/data-plane-memory.ts';
import { createGauges, GAUGE_TURNS } from './gauges.ts';
import { type FrameAccount, recoverFrames, releaseDeadWorker } from './recovery.ts';
import type { WorkerTask } from './worker-task.ts';

const START_TIMEOUT_MS = 10_000;
const START_CHECK_MS = 2;
const STOP_TIMEOUT_MS = 1000;
/** A worker whose loop stands still for so long is ended and started again. */
const STUCK_MS = 5000;
const STUCK_CHECK_MS = 1000;
/** Pause before a restart: the kernel sends what it has, then frames can be counted. */
const RESTART_PAUSE_MS = 100;
const RESTART_PAUSE_MAX_MS = 10_000;
/** A worker that ran for so long starts again without the pauses of earlier deaths. */
const FORGIVEN_AFTER_MS = 60_000;
/** Tries to count the frames while the kernel still sends. */
const RECOVERY_TRIES = 20;
const RECOVERY_RETRY_MS = 50;

export type WorkerState = 'starting' | 'running' | 'failed' | 'stopped';

/** What the pool is made from. */
export interface WorkerPoolOptions {
  readonly memory: DataPlaneMemory;
  readonly module: WebAssembly.Module;
  /** monotonicMs() at the director's start. */
  readonly epoch: number;
  /** Descriptors of each worker's links. */
  readonly links: readonly (readonly number[])[];
  readonly busyPoll: boolean;
  /** The kernel holds frames outside the rings, so they cannot be counted. */
  readonly isZeroCopy: boolean;
  readonly log: Logger;
}

/** A worker as status shows it. */
export interface WorkerReport {
  readonly id: number;
  readonly state: WorkerState;
  readonly restarts: number;
  readonly gauges: Float64Array;
}

interface Worker {
  readonly id: number;
  readonly links: readonly number[];
  readonly gauges: Float64Array<SharedArrayBuffer>;
  readonly event: EventDescriptor;
  state: WorkerState;
  restarts: number;
  /** Deaths since it last ran for long. */
  deaths: number;
  startedAt: number;
  /** Ends the thread when it is stuck. */
  controller: AbortController;
  turnsSeen: number;
  movedAt: number;
  done: Promise<void>;
}

/** The threads. */
export class WorkerPool {
  readonly #options: WorkerPoolOptions;
  readonly #piscina: Piscina;
  readonly #workers: Worker[];
  #watch: NodeJS.Timeout | undefined;
  #stopping = false;
  /** Set when all workers have started; before that a death ends the start. */
  #started = false;
  #startFailure: Error | undefined;

  private constructor(options: WorkerPoolOptions) {
    this.#options = options;
    const threads = options.links.length;
    this.#piscina = new Piscina({
      filename: taskFile(),
      name: 'runWorker',
      minThreads: threads,
      maxThreads: threads,
      concurrentTasksPerWorker: 1,
      atomics: 'disabled',
      idleTimeout: Number.POSITIVE_INFINITY,
      recordTiming: false,
    });
    // A thread without a task that dies is replaced; there is nothing to do but to say so.
    this.#piscina.on('error', (error: Error) => {
      options.log.error({ event: 'worker-thread-failed', reason: error.message });
    });
    this.#workers = options.links.map((links, id) => createWorker(id, links));
  }

  /**
   * Starts the threads; resolves when each has done its first turn.
   * @throws when one of them cannot start
   */
  static async start(options: WorkerPoolOptions): Promise<WorkerPool> {
    const pool = new WorkerPool(options);
    Atomics.store(options.memory.u32, CONTROL_STOP >>> 2, 0);
    try {
      for (const worker of pool.#workers) pool.#run(worker);
      await pool.#waitForFirstTurns();
    } catch (error) {
      await pool.stop();
      throw error;
    }
    pool.#started = true;
    pool.#watch = setInterval(() => pool.#findStuck(), STUCK_CHECK_MS);
    return pool;
  }

  /** Ends the workers' sleep. */
  wake(): void {
    for (const { event } of this.#workers) event.signal();
  }

  reports(): WorkerReport[] {
    return this.#workers.map(({ id, state, restarts, gauges }) => ({
      id,
      state,
      restarts,
      gauges,
    }));
  }

  /** Lets the loops end, and ends by force what does not. */
  async stop(): Promise<void> {
    if (this.#stopping) return;
    this.#stopping = true;
    clearInterval(this.#watch);
    Atomics.store(this.#options.memory.u32, CONTROL_STOP >>> 2, 1);
    this.wake();
    const timer = setTimeout(() => {
      for (const { controller } of this.#workers) controller.abort();
    }, STOP_TIMEOUT_MS);
    await Promise.all(this.#workers.map(({ done }) => done));
    clearTimeout(timer);
    await this.#piscina.destroy();
    for (const { event } of this.#workers) event.close();
  }

  #run(worker: Worker): void {
    worker.state = 'starting';
    worker.startedAt = performance.now();
    worker.movedAt = worker.startedAt;
    worker.turnsSeen = worker.gauges[GAUGE_TURNS];
    worker.controller = new AbortController();
    const { memory, module, epoch, busyPoll } = this.#options;
    const task: WorkerTask = {
      worker: worker.id,
      memory: memory.memory,
      module,
      epoch,
      links: worker.links,
      event: worker.event.fd,
      gauges: worker.gauges,
      busyPoll,
    };
    worker.done = this.#piscina.run(task, { signal: worker.controller.signal }).then(
      () => {
        worker.state = 'stopped';
      },
      (error: unknown) => this.#onDeath(worker, error),
    );
  }

  #onDeath(worker: Worker, error: unknown): void {
    const { log } = this.#options;
    if (this.#stopping) {
      worker.state = 'stopped';
      return;
    }
    worker.state = 'failed';
    if (!this.#started) {
      this.#startFailure = error instanceof Error ? error : new Error(String(error));
      return;
    }
    const heldLock = this.#release(worker.id);
    if (performance.now() - worker.startedAt > FORGIVEN_AFTER_MS) worker.deaths = 0;
    const pause = Math.min(RESTART_PAUSE_MS * 2 ** worker.deaths, RESTART_PAUSE_MAX_MS);
    worker.deaths++;
    const { reason, stack } = describe(error);
    log.error(
      { event: 'worker-died', worker: worker.id, reason, heldLock, restartInMs: pause, stack },
      `worker ${worker.id} died: ${reason}`,
    );
    setTimeout(() => void this.#restart(worker), pause);
  }

  async #restart(worker: Worker): Promise<void> {
    const frames = await this.#recoverFrames(worker.id);
    if (this.#stopping) return;
    worker.restarts++;
    this.#run(worker);
    this.#options.log.info(
      { event: 'worker-restarted', worker: worker.id, restarts: worker.restarts, frames },
      `worker ${worker.id} started again`,
    );
  }

  #release(worker: number): boolean {
    try {
      return releaseDeadWorker(this.#options.memory, worker);
    } catch (error) {
      this.#options.log.warn({ event: 'lock-not-released', worker, ...describe(error) });
      return false;
    }
  }

  /** Finds the worker's frames once the kernel has sent what it had, if that can be known. */
  async #recoverFrames(worker: number): Promise<FrameAccount | undefined> {
    const { memory, isZeroCopy, log } = this.#options;
    if (isZeroCopy) return undefined;
    for (let tries = 0; !this.#stopping && tries < RECOVERY_TRIES; tries++) {
      try {
        const frames = recoverFrames(memory, worker);
        if (frames !== undefined) return frames;
      } catch (error) {
        // Whatever killed the worker may have left nothing to go by: then it goes on as it is.
        log.warn({ event: 'frames-not-recovered', worker, ...describe(error) });
        return undefined;
      }
      await new Promise((resolve) => setTimeout(resolve, RECOVERY_RETRY_MS));
    }
    return undefined;
  }

  #findStuck(): void {
    const now = performance.now();
    for (const worker of this.#workers) {
      const turns = worker.gauges[GAUGE_TURNS];
      if (turns !== worker.turnsSeen) {
        worker.turnsSeen = turns;
        worker.movedAt = now;
        if (worker.state === 'starting') worker.state = 'running';
        continue;
      }
      const isAlive = worker.state === 'running' || worker.state === 'starting';
      if (!isAlive || now - worker.movedAt < STUCK_MS) continue;
      worker.movedAt = now;
      worker.controller.abort(new Error(`its loop stood still for ${STUCK_MS / 1000} s`));
    }
  }

  async #waitForFirstTurns(): Promise<void> {
    const deadline = performance.now() + START_TIMEOUT_MS;
    for (const worker of this.#workers) {
      while (worker.gauges[GAUGE_TURNS] === 0) {
        if (this.#startFailure !== undefined) throw this.#startFailure;
        if (performance.now() > deadline) {
          throw new Error(`worker ${worker.id} did not start within ${START_TIMEOUT_MS} ms`);
        }
        await new Promise((resolve) => setTimeout(resolve, START_CHECK_MS));
      }
      worker.state = 'running';
    }
  }
}

/** An aborted task tells why in its cause. */
function describe(error: unknown): { reason: string; stack: string | undefined } {
  if (!(error instanceof Error)) return { reason: String(error), stack: undefined };
  const { cause } = error;
  return { reason: cause instanceof Error ? cause.message : error.message, stack: error.stack };
}

function createWorker(id: number, links: readonly number[]): Worker {
  return {
    id,
    links,
    gauges: createGauges(),
    event: new EventDescriptor(),
    state: 'starting',
    restarts: 0,
    deaths: 0,
    startedAt: 0,
    controller: new AbortController(),
    turnsSeen: 0,
    movedAt: 0,
    done: Promise.resolve(),
  };
}

/** Threads run under Node, which reads no TypeScript: the built file, also when this one is not. */
function taskFile(): string {
  const own = fileURLToPath(import.meta.url);
  if (own.endsWith('.js')) return join(dirname(own), 'worker-task.js');
  let directory = dirname(own);
  while (!existsSync(join(directory, 'package.json'))) directory = dirname(directory);
  return join(directory, 'dist/host/worker/worker-task.js');
}
