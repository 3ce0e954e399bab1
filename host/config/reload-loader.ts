/**
 * Loads the running configuration again and again. A small file is read on the spot; for a large
 * one there is a thread, which stays, because it remembers what it has parsed.
 */

import { stat } from 'node:fs/promises';
import { Worker } from 'node:worker_threads';
import type { ConfigResult } from './parse.ts';
import { ReloadReader } from './reload-reader.ts';
import { ConfigReceiver, type LoadMessage } from './reload-transfer.ts';

/** A file of this size takes some 100 ms to parse; larger ones are left to the thread. */
export const THREAD_BYTES = 128 * 1024;

/** How to load. */
export interface LoaderOptions {
  /** Default THREAD_BYTES. */
  readonly threadBytes?: number;
  /** Starts the thread; for tests, which have no JavaScript of it. */
  readonly startThread?: () => Worker;
}

/** Loads one version of a configuration after the other, one at a time. */
export class ReloadLoader {
  readonly #threadBytes: number;
  readonly #startThread: () => Worker;
  readonly #reader = new ReloadReader();
  #thread: LoaderThread | undefined;
  #last: Promise<unknown> = Promise.resolve();

  constructor(options: LoaderOptions = {}) {
    this.#threadBytes = options.threadBytes ?? THREAD_BYTES;
    this.#startThread = options.startThread ?? startThread;
  }

  /** Loads a file, or says everything that is wrong with it. */
  load(file: string): Promise<ConfigResult> {
    const result = this.#last.then(() => this.#load(file));
    this.#last = result.catch(() => undefined);
    return result;
  }

  /** Ends the thread, if there is one. */
  async close(): Promise<void> {
    await this.#thread?.worker.terminate();
  }

  async #load(file: string): Promise<ConfigResult> {
    const size = await stat(file).then(
      (found) => found.size,
      () => 0,
    );
    if (size < this.#threadBytes) return await this.#reader.load(file);
    this.#thread ??= { worker: this.#startThread(), receiver: new ConfigReceiver() };
    try {
      return await ask(this.#thread, file);
    } catch (error) {
      // Without the thread, its memory is gone as well: the next one starts anew.
      this.#thread = undefined;
      throw error;
    }
  }
}

interface LoaderThread {
  readonly worker: Worker;
  readonly receiver: ConfigReceiver;
}

function ask({ worker, receiver }: LoaderThread, file: string): Promise<ConfigResult> {
  return new Promise((resolve, reject) => {
    const end = () => {
      worker.off('message', take).off('error', fail).off('exit', exit);
      worker.unref();
    };
    const take = (message: LoadMessage) => {
      const result = receiver.take(message);
      if (result === undefined) return;
      end();
      resolve(result);
    };
    const fail = (error: Error) => {
      end();
      reject(error);
    };
    const exit = () => fail(new Error('the thread that reads configurations ended'));
    worker.on('message', take).on('error', fail).on('exit', exit);
    worker.ref();
    worker.postMessage(file);
  });
}

function startThread(): Worker {
  const worker = new Worker(new URL('./reload-thread.js', import.meta.url));
  worker.unref();
  return worker;
}
