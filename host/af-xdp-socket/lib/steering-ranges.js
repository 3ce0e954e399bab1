// Ranges of ports: [first, last], both included.

import { rangeError, requireInteger, typeError } from './arguments.js';

export const PORT_MAX = 65535;
export const EVERY_PORT = [0, PORT_MAX];

export function requireRange(range, name) {
  if (!Array.isArray(range) || range.length !== 2) throw typeError(name, '[first, last]', range);
  const [first, last] = range;
  requireInteger(first, `${name}[0]`, 0, PORT_MAX);
  requireInteger(last, `${name}[1]`, 0, PORT_MAX);
  if (first > last)
    throw rangeError(`${name} must not end before it starts (${first} to ${last}).`);
}

/** Sorts, and joins what touches. */
export function joinRanges(ranges) {
  const joined = [];
  for (const [first, last] of [...ranges].sort((one, other) => one[0] - other[0])) {
    const previous = joined.at(-1);
    if (previous !== undefined && first <= previous[1] + 1) {
      previous[1] = Math.max(previous[1], last);
    } else {
      joined.push([first, last]);
    }
  }
  return joined;
}

// Host order, which is little-endian wherever the bytecode runs.
export function writeRange(value, at, [first, last]) {
  value.writeUInt16LE(first, at);
  value.writeUInt16LE(last, at + 2);
}
