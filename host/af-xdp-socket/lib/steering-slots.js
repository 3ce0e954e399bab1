// The array in front of the table of addresses: where an address stands in it, and what is written
// there. Pure: no system calls.

import { constants, mapDefinitions } from './steering-bytecode.js';

const { ADDRESS_SLOTS, ADDRESS_SLOT_SHIFT, ADDRESS_SLOT_SINGLE, ADDRESS_SLOT_SHARED } = constants;
const FACTORS = [0, 1, 2, 3].map((word) => constants[`ADDRESS_SLOT_FACTOR_${word}`]);
/** An address's key less the bank, in words: the address and its family. */
const KEY_WORDS = 5;
const ADDRESS_BYTES = 16;
const ADDRESS_AT = constants['address_slot.address'];

const START_OF_SINGLE = String.fromCharCode(ADDRESS_SLOT_SINGLE);
const SHARED = String.fromCharCode(ADDRESS_SLOT_SHARED).padEnd(
  mapDefinitions.address_slots.valueLength,
  '\0',
);

function wordAt(text, at) {
  return (
    text.charCodeAt(at) |
    (text.charCodeAt(at + 1) << 8) |
    (text.charCodeAt(at + 2) << 16) |
    (text.charCodeAt(at + 3) << 24)
  );
}

function textOf(word) {
  return String.fromCharCode(word & 0xff, (word >> 8) & 0xff, (word >> 16) & 0xff, word >>> 24);
}

/** The place of an address, by its key. */
export function slotOf(key) {
  const hash =
    Math.imul(wordAt(key, 0), FACTORS[0]) +
    Math.imul(wordAt(key, 4), FACTORS[1]) +
    Math.imul(wordAt(key, 8), FACTORS[2]) +
    Math.imul(wordAt(key, 12), FACTORS[3]);
  return (hash >>> 0) >>> ADDRESS_SLOT_SHIFT;
}

/** Which addresses stand where. */
export class AddressSlots {
  #counts = new Uint32Array(ADDRESS_SLOTS);
  /** By place, the exclusive or of the keys there: where one is left, it is that one. */
  #keys = new Int32Array(ADDRESS_SLOTS * KEY_WORDS);

  /** An address that was not there is. */
  add(key) {
    this.#toggle(key, 1);
  }

  /** One that was there is not. */
  delete(key) {
    this.#toggle(key, -1);
  }

  #toggle(key, step) {
    const slot = slotOf(key);
    this.#counts[slot] += step;
    const at = slot * KEY_WORDS;
    for (let word = 0; word < KEY_WORDS; word++) this.#keys[at + word] ^= wordAt(key, word * 4);
  }

  /**
   * A place's entry in the array.
   * @param addresses values by key
   * @returns its key less the bank, and its value, undefined for none
   */
  entry(slot, addresses) {
    const index = textOf(slot);
    const count = this.#counts[slot];
    if (count !== 1) return [index, count === 0 ? undefined : SHARED];
    const key = this.#keyAt(slot);
    const start = START_OF_SINGLE + key[ADDRESS_BYTES];
    return [
      index,
      start.padEnd(ADDRESS_AT, '\0') + key.slice(0, ADDRESS_BYTES) + addresses.get(key),
    ];
  }

  #keyAt(slot) {
    const at = slot * KEY_WORDS;
    return Array.from(this.#keys.subarray(at, at + KEY_WORDS), textOf).join('');
  }

  /** The places where something is. */
  *used() {
    for (const [slot, count] of this.#counts.entries()) if (count > 0) yield slot;
  }
}
