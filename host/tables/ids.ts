// Ids of services and destinations: indices into their tables, from 1. A freed id is given out again
// only after a generation without it was published and every worker has adopted that one, so no
// worker takes the new owner for the old.

import { TableFullError } from './rows.ts';

/** The ids of one table. */
export class Ids {
  readonly #table: string;
  readonly #limit: number;
  #fresh = 1;
  /** Freed and safe to use; the one freed first is used first. Those before `#next` are used up. */
  #free: number[] = [];
  #next = 0;
  /** Freed since the last publication, and freed before it. */
  #leaving: number[] = [];
  #published: number[] = [];

  constructor(table: string, records: number) {
    this.#table = table;
    this.#limit = records - 1;
  }

  /** Whether take() would succeed. */
  get available(): boolean {
    return this.#next < this.#free.length || this.#fresh <= this.#limit;
  }

  /**
   * An unused id.
   * @throws TableFullError
   */
  take(): number {
    // Fresh ids first: they have no past at all.
    if (this.#fresh <= this.#limit) return this.#fresh++;
    const id = this.#free[this.#next];
    if (id === undefined) throw new TableFullError(this.#table, this.#limit);
    this.#next++;
    return id;
  }

  /** Gives an id back. */
  release(id: number): void {
    this.#leaving.push(id);
  }

  /** A generation was published; what was released before is not in it. */
  onPublished(): void {
    this.#published = this.#published.concat(this.#leaving);
    this.#leaving = [];
  }

  /** Every worker has adopted the published generation. */
  onAdopted(): void {
    if (this.#published.length === 0) return;
    this.#free = this.#free.slice(this.#next).concat(this.#published);
    this.#next = 0;
    this.#published = [];
  }
}
