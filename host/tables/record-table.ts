// Open addressing with linear probing over records in linear memory, as the data plane searches it:
// slot hash & mask, then the next one, until a free record ends the search. Removal moves later
// records back instead of leaving tombstones, so a search never gets longer than it has to be.

/** How a kind of record is laid out and hashed. */
export interface RecordKind {
  /** Bytes of one record. */
  readonly size: number;
  /** Records, a power of two. */
  readonly slots: number;
  /** Whether a record is in use. */
  isUsed(at: number): boolean;
  /** Hash of the record's own key. */
  hash(at: number): number;
}

/** The slots of one table, at a byte offset of linear memory. */
export class RecordTable {
  readonly #u8: Uint8Array;
  readonly #base: number;
  readonly #kind: RecordKind;

  constructor(u8: Uint8Array, base: number, kind: RecordKind) {
    this.#u8 = u8;
    this.#base = base;
    this.#kind = kind;
  }

  /** Byte offset of a slot's record. */
  at(slot: number): number {
    return this.#base + slot * this.#kind.size;
  }

  /**
   * Searches for a key.
   * @returns byte offset of the record, or of the free one where it belongs
   */
  probe(hash: number, isKey: (at: number) => boolean): number {
    const mask = this.#kind.slots - 1;
    for (let slot = hash & mask; ; slot = (slot + 1) & mask) {
      const at = this.at(slot);
      if (!this.#kind.isUsed(at) || isKey(at)) return at;
    }
  }

  /** Frees a record and closes the gap behind it. */
  remove(at: number): void {
    const { size, slots } = this.#kind;
    const mask = slots - 1;
    let gap = (at - this.#base) / size;
    for (let slot = (gap + 1) & mask; ; slot = (slot + 1) & mask) {
      const record = this.at(slot);
      if (!this.#kind.isUsed(record)) break;
      const home = this.#kind.hash(record) & mask;
      // A record may move back only as far as its home slot, distances taken around the end.
      if (((slot - home) & mask) < ((slot - gap) & mask)) continue;
      this.#u8.copyWithin(this.at(gap), record, record + size);
      gap = slot;
    }
    this.#u8.fill(0, this.at(gap), this.at(gap) + size);
  }

  /** Frees every record. */
  clear(): void {
    this.#u8.fill(0, this.#base, this.#base + this.#kind.slots * this.#kind.size);
  }
}
