/** Ids that changed since a bank was last written: a flag a id, and the list of those flagged. */
export class DirtyIds {
  readonly #flags: Uint8Array;
  #ids: number[] = [];

  constructor(records: number) {
    this.#flags = new Uint8Array(records);
  }

  /** Notes a change; noting it twice is the same. */
  add(id: number): void {
    if (this.#flags[id] === 1) return;
    this.#flags[id] = 1;
    this.#ids.push(id);
  }

  /** Gives the ids in the order they changed first, and forgets them. */
  take(): number[] {
    const ids = this.#ids;
    for (const id of ids) this.#flags[id] = 0;
    this.#ids = [];
    return ids;
  }
}
