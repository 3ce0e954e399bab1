// What is steered: all that is known of each address, and the entries of the steering program's maps
// that follow from it. Pure: no system calls.
//
// Keys and values are kept as strings of one character per byte, because strings are what a Map
// compares by content.

import { requireObject } from './arguments.js';
import { addressKey, encodeAddress, SteeredAddress } from './steering-addresses.js';
import { mapDefinitions } from './steering-bytecode.js';
import {
  FACT_FULL_NAT,
  FACT_LOCAL,
  FACT_SERVER,
  FACT_SERVICE,
  FACT_TUNNEL,
  fullNatFacts,
  listFacts,
  localFacts,
} from './steering-facts.js';
import { encodeMarks } from './steering-marks.js';
import { AddressSlots, slotOf } from './steering-slots.js';

/** The order in which a bank is brought up to date. */
export const TABLE_NAMES = ['services', 'real_servers', 'addresses', 'address_slots', 'marks'];
/** The value of an endpoint's entry. */
const PRESENT = '\0'.repeat(mapDefinitions.services.valueLength);

/** Empty tables, by name: key without bank, to value. */
export function emptyTables() {
  return Object.fromEntries(TABLE_NAMES.map((table) => [table, new Map()]));
}

/** A configuration and its tables. */
export class SteeringBook {
  /** By key. */
  #addresses = new Map();
  #slots = new AddressSlots();
  /** The facts that hold of the lists which are only ever replaced as a whole, by key. */
  #local = new Map();
  #fullNat = new Map();
  #tables = emptyTables();

  /** A book of whole tables. */
  static of(tables) {
    requireObject(tables, 'tables');
    const book = new SteeringBook();
    for (const fact of listFacts(tables, true)) book.#apply(fact);
    for (const fact of localFacts(tables.localAddresses)) book.#apply(fact);
    for (const fact of fullNatFacts(tables.fullNat)) book.#apply(fact);
    book.#encodeAll();
    book.#tables.marks = encodeMarks(tables.marks);
    return book;
  }

  /** By name: key without bank, to value. To be read only. */
  get tables() {
    return this.#tables;
  }

  /**
   * Changes what is steered, by what is taken away and then what is added.
   * @returns {{before: object, undo: () => void}} `before`: by table, what changed entries were
   *   before, undefined for those that are new; `undo` takes all back
   * @throws when something is wrong with it; then nothing has changed
   */
  change(changes) {
    requireObject(changes, 'changes');
    const { facts, marks } = this.#read(changes);
    const made = { before: emptyTables(), facts: [] };
    try {
      this.#make(facts, made);
    } catch (error) {
      this.#undo(made);
      throw error;
    }
    if (marks !== null) this.#replaceMarks(marks, made.before);
    return { before: made.before, undo: () => this.#undo(made) };
  }

  /** Finds all that is wrong with single values, before anything is changed. */
  #read({ added = {}, removed = {}, localAddresses, fullNat, marks }) {
    requireObject(added, 'added');
    requireObject(removed, 'removed');
    const facts = [...listFacts(removed, false, 'removed.'), ...listFacts(added, true, 'added.')];
    if (localAddresses !== undefined) {
      facts.push(...replaced(this.#local, localFacts(localAddresses)));
    }
    if (fullNat !== undefined) facts.push(...replaced(this.#fullNat, fullNatFacts(fullNat)));
    return { facts, marks: marks === undefined ? null : encodeMarks(marks) };
  }

  /** Notes in `made` what was a change, also when it throws. */
  #make(facts, made) {
    const touched = new Set();
    try {
      for (const fact of facts) {
        if (!this.#apply(fact, made.before)) continue;
        made.facts.push(fact);
        touched.add(addressKey(fact.text, fact.ipv6));
      }
    } finally {
      for (const key of touched) this.#encode(key, made.before);
    }
  }

  #undo({ before, facts }) {
    const backwards = facts.map((fact) => ({ ...fact, isThere: !fact.isThere })).reverse();
    this.#make(backwards, { before: emptyTables(), facts: [] });
    for (const [key, value] of before.marks) put(this.#tables.marks, key, value);
  }

  #replaceMarks(marks, before) {
    for (const key of [...this.#tables.marks.keys()]) {
      if (!marks.has(key)) this.#set('marks', key, undefined, before);
    }
    for (const [key, value] of marks) this.#set('marks', key, value, before);
  }

  /** Writes or deletes an entry; its value before goes to `before`, where there is one. */
  #set(table, key, value, before) {
    const entries = this.#tables[table];
    const was = entries.get(key);
    if (was === value) return;
    if (before !== undefined && !before[table].has(key)) before[table].set(key, was);
    put(entries, key, value);
  }

  #encodeAll() {
    const { addresses, address_slots: entries } = this.#tables;
    for (const [key, address] of this.#addresses) {
      addresses.set(key, encodeAddress(address));
      this.#slots.add(key);
    }
    for (const slot of this.#slots.used()) entries.set(...this.#slots.entry(slot, addresses));
  }

  #encode(key, before) {
    const { addresses } = this.#tables;
    const address = this.#addresses.get(key);
    const isThere = !address.isNothing;
    if (!isThere) this.#addresses.delete(key);
    if (isThere && !addresses.has(key)) this.#slots.add(key);
    if (!isThere && addresses.has(key)) this.#slots.delete(key);
    this.#set('addresses', key, isThere ? encodeAddress(address) : undefined, before);
    const [slot, value] = this.#slots.entry(slotOf(key), addresses);
    this.#set('address_slots', slot, value, before);
  }

  // --- facts ---

  /** Takes a fact in. The address's own entry is left to be encoded. @returns whether it was news */
  #apply(fact, before) {
    const key = addressKey(fact.text, fact.ipv6);
    let address = this.#addresses.get(key);
    if (address === undefined) {
      if (!fact.isThere) return false;
      address = new SteeredAddress(fact.text);
      this.#addresses.set(key, address);
    }
    switch (fact.kind) {
      case FACT_SERVICE:
        return this.#applyEndpoint(fact, address, { which: 'services', table: 'services', before });
      case FACT_SERVER:
        return this.#applyEndpoint(fact, address, {
          which: 'servers',
          table: 'real_servers',
          before,
        });
      case FACT_TUNNEL:
        return address.setTunnel(fact.detail, fact.isThere, fact.name);
      case FACT_LOCAL:
        put(this.#local, key, fact.isThere ? fact : undefined);
        return address.setLocal(fact.isThere);
      case FACT_FULL_NAT:
        put(this.#fullNat, key, fact.isThere ? fact : undefined);
        return address.setRanges(fact.detail, fact.isThere);
    }
  }

  /** Endpoints of an address that has too many for its own entry are in a table. */
  #applyEndpoint({ detail: suffix, isThere }, address, { which, table, before }) {
    const endpoints = address.endpoints(which);
    const wasListed = endpoints.isListed;
    if (!(isThere ? endpoints.add(suffix) : endpoints.delete(suffix))) return false;
    const { isListed } = endpoints;
    if (wasListed && isListed) return true;
    this.#set(table, address.text + suffix, isThere ? PRESENT : undefined, before);
    if (wasListed === isListed) return true;
    const value = isListed ? undefined : PRESENT;
    for (const each of endpoints) this.#set(table, address.text + each, value, before);
    return true;
  }
}

function put(entries, key, value) {
  if (value === undefined) entries.delete(key);
  else entries.set(key, value);
}

/** From the facts of a list to those of another: the old ones hold no more, then the new ones do. */
function replaced(now, next) {
  const gone = Array.from(now.values(), (fact) => ({ ...fact, isThere: false }));
  return [...gone, ...next];
}
