// How many probes are under way at the same time, and the queue of those that have to wait.

import type { Cancel } from './clock.ts';

interface Waiting {
  start: (() => Promise<void>) | undefined;
}

/** Starts at most so many tasks at a time, first come first served. */
export class InFlight {
  #max: number;
  #running = 0;
  #waiting: Waiting[] = [];
  /** Where the queue begins: to shift a long array for each of its items would take too long. */
  #head = 0;

  constructor(max: number) {
    this.#max = max;
  }

  get running(): number {
    return this.#running;
  }

  get waiting(): number {
    let count = 0;
    for (let i = this.#head; i < this.#waiting.length; i++) {
      if (this.#waiting[i]!.start !== undefined) count++;
    }
    return count;
  }

  /** A larger limit lets waiting ones start at once; a smaller one ends nothing. */
  setMax(max: number): void {
    this.#max = max;
    this.#startWaiting();
  }

  /** Starts a task when there is room. @returns takes it out of the queue again */
  run(start: () => Promise<void>): Cancel {
    const entry: Waiting = { start };
    this.#waiting.push(entry);
    this.#startWaiting();
    return () => {
      entry.start = undefined;
    };
  }

  #startWaiting(): void {
    while (this.#running < this.#max && this.#head < this.#waiting.length) {
      const { start } = this.#waiting[this.#head]!;
      this.#head++;
      if (start !== undefined) this.#start(start);
    }
    if (this.#head < 1024 && this.#head < this.#waiting.length) return;
    this.#waiting = this.#waiting.slice(this.#head);
    this.#head = 0;
  }

  #start(start: () => Promise<void>): void {
    this.#running++;
    void start().finally(() => {
      this.#running--;
      this.#startWaiting();
    });
  }
}
