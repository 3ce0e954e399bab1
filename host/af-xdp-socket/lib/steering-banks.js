// The two banks of the steering program's tables, in the kernel's maps. One is in force, and holds the
// published configuration; the other is one publish behind, and what it holds instead is known.

import { emptyTables, TABLE_NAMES } from './steering-book.js';
import { constants } from './steering-bytecode.js';

const { KEY_BANK } = constants;
/** Which bit of which byte of a table's key is the bank. */
const BANK_BITS = {
  services: { at: constants['endpoint_key.bank_and_family'], bit: KEY_BANK },
  real_servers: { at: constants['endpoint_key.bank_and_family'], bit: KEY_BANK },
  addresses: { at: constants['address_key.bank_and_family'], bit: KEY_BANK },
  // An index of four bytes, little-endian, whose halves are the banks.
  address_slots: { at: 1, bit: constants.ADDRESS_SLOTS >> 8 },
  marks: { at: constants['prefix_key.bank_and_family'], bit: KEY_BANK },
};

/** What an entry holds after a publish broke off. */
const UNKNOWN = Symbol('unknown');

/** Packs keys of one bank: the entry's key with the bank bit set where it belongs. */
function packKeys(keys, table, bank, keyLength) {
  const { at, bit } = BANK_BITS[table];
  const packed = Buffer.alloc(keys.length * keyLength);
  for (const [index, key] of keys.entries()) {
    packed.latin1Write(key, index * keyLength, keyLength);
    if (bank === 1) packed[index * keyLength + at] |= bit;
  }
  return packed;
}

function packValues(values, valueLength) {
  const packed = Buffer.alloc(values.length * valueLength);
  for (const [index, value] of values.entries()) {
    packed.latin1Write(value, index * valueLength, valueLength);
  }
  return packed;
}

/** What has to be done where entries are as `held` says, and shall be as `wanted`. */
function difference(held, wanted) {
  const removed = [];
  const keys = [];
  const values = [];
  for (const [key, was] of held) {
    const value = wanted.get(key);
    if (value === was) continue;
    if (value === undefined) removed.push(key);
    else {
      keys.push(key);
      values.push(value);
    }
  }
  return { removed, keys, values };
}

/** By table, what entries of `before` that are others in `after` are there. */
export function differingEntries(before, after) {
  const differing = emptyTables();
  for (const table of TABLE_NAMES) {
    let kept = 0;
    for (const [key, value] of after[table]) {
      const was = before[table].get(key);
      if (was !== undefined) kept += 1;
      if (was !== value) differing[table].set(key, was);
    }
    // Most publishes only add, change or remove little; then one walk is enough.
    if (kept === before[table].size) continue;
    for (const [key, was] of before[table]) {
      if (!after[table].has(key)) differing[table].set(key, was);
    }
  }
  return differing;
}

/** The banks in a program's maps. */
export class SteeringBanks {
  #maps;
  #inForce = 0;
  /** By table: entries of the idle bank that are not as in the one in force, and what they are. */
  #behind = emptyTables();

  constructor(maps) {
    this.#maps = maps;
  }

  get inForce() {
    return this.#inForce;
  }

  get idle() {
    return 1 - this.#inForce;
  }

  /**
   * Makes the idle bank hold `tables` and then lets `exchange` put it in force.
   * @param before by table, what the entries that have changed since the last time were then
   * @throws what the kernel refuses, and what `exchange` throws; nothing else is in force then
   */
  bring(tables, before, exchange) {
    for (const table of TABLE_NAMES) addMissing(this.#behind[table], before[table]);
    try {
      const done = this.#write(tables);
      exchange(this.idle);
      this.#inForce = this.idle;
      this.#behind = before;
      return done;
    } catch (error) {
      for (const table of TABLE_NAMES) forgetValues(this.#behind[table]);
      throw error;
    }
  }

  // Deletes first, so that the old and the new entries of a full bank never meet.
  #write(tables) {
    const done = { written: 0, deleted: 0 };
    for (const table of TABLE_NAMES) {
      const map = this.#maps[table];
      const { removed, keys, values } = difference(this.#behind[table], tables[table]);
      remove(map, packKeys(removed, table, this.idle, map.keyLength), removed.length);
      map.updateBatch(
        packKeys(keys, table, this.idle, map.keyLength),
        packValues(values, map.valueLength),
        keys.length,
      );
      done.deleted += removed.length;
      done.written += keys.length;
    }
    return done;
  }
}

/** From an array nothing can be deleted: what is not there is all zeroes. */
function remove(map, keys, count) {
  if (map.type !== 'array') map.deleteBatch(keys, count);
  else map.updateBatch(keys, Buffer.alloc(count * map.valueLength), count);
}

function addMissing(entries, more) {
  for (const [key, value] of more) if (!entries.has(key)) entries.set(key, value);
}

function forgetValues(entries) {
  for (const key of entries.keys()) entries.set(key, UNKNOWN);
}
