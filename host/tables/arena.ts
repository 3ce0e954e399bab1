// Places for arrays of different lengths inside one region. Both banks use the same places, so one
// arena serves both. Freed places are kept by capacity; when none fits and the rest is too small,
// the owner lays everything out anew (reset, then allocate again).

/** Units are the caller's: entries, words or bytes. */
export class Arena {
  readonly #size: number;
  #next = 0;
  readonly #free = new Map<number, number[]>();

  constructor(size: number) {
    this.#size = size;
  }

  /** A place of `capacity` units, or undefined when there is none. */
  allocate(capacity: number): number | undefined {
    const place = this.#free.get(capacity)?.pop();
    if (place !== undefined) return place;
    if (this.#next + capacity > this.#size) return undefined;
    this.#next += capacity;
    return this.#next - capacity;
  }

  /** Gives a place back. */
  release(place: number, capacity: number): void {
    const places = this.#free.get(capacity);
    if (places === undefined) this.#free.set(capacity, [place]);
    else places.push(place);
  }

  /** Forgets every place. */
  reset(): void {
    this.#next = 0;
    this.#free.clear();
  }
}
