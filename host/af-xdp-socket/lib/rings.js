// Sizes of rings, and the placement of one ring in somebody's memory.

import {
  rangeError,
  requireBytes,
  requireInteger,
  requireObject,
  requireOneOf,
} from './arguments.js';
import { binding } from './binding.js';
import { check } from './errors.js';
import { PAGE_SIZE, RING_ENTRIES_MAX, RING_ENTRIES_MIN } from './limits.js';

/** In the order of enum ring_kind in src/rings.h. */
export const RING_KINDS = ['fill', 'completion', 'rx', 'tx'];

const FRAME_ADDRESS_LENGTH = 8;
const DESCRIPTOR_LENGTH = 16;
// The kernel puts producer, consumer and flags on cache lines of their own, 320 bytes with lines of
// 64 and 640 with lines of 128. Entries are a power of two, so any number up to half a page gives
// the same count of pages; mapping checks the result against what the kernel says.
const RING_HEADER_LENGTH = 640;
const OFFSETS_PER_RING = 4;

export function descriptorLength(kind) {
  return kind === 'fill' || kind === 'completion' ? FRAME_ADDRESS_LENGTH : DESCRIPTOR_LENGTH;
}

function pages(length) {
  return Math.ceil(length / PAGE_SIZE) * PAGE_SIZE;
}

export function requireEntries(entries, name) {
  requireInteger(entries, name, RING_ENTRIES_MIN, RING_ENTRIES_MAX);
  if ((entries & (entries - 1)) !== 0) {
    throw rangeError(
      `${name} must be a power of two, not ${entries}: the kernel masks ring indexes.`,
    );
  }
  return entries;
}

export function ringLength(kind, entries) {
  requireOneOf(kind, 'The ring kind', RING_KINDS);
  requireEntries(entries, 'entries');
  return pages(RING_HEADER_LENGTH + entries * descriptorLength(kind));
}

/** Checks everything about a placement that can be known before there is a socket. */
export function requirePlacement(placement, kind) {
  const name = `rings.${kind}`;
  requireObject(placement, name);
  requireBytes(placement.memory, `${name}.memory`);
  requireEntries(placement.entries, `${name}.entries`);
  requireInteger(placement.byteOffset, `${name}.byteOffset`, 0, placement.memory.length);
  const length = ringLength(kind, placement.entries);
  if (placement.byteOffset + length > placement.memory.length) {
    throw rangeError(`${name} needs ${length} bytes behind byteOffset; the memory ends before.`);
  }
  if ((binding.pageRemainder(placement.memory) + placement.byteOffset) % PAGE_SIZE !== 0) {
    throw rangeError(
      `${name} must start on a page: memory and byteOffset together, ${PAGE_SIZE} bytes.`,
    );
  }
  return { kind, length, ...placement };
}

function absoluteStart(region) {
  return region.memory.byteOffset + region.byteOffset;
}

/** Rings over each other or over frames would let the kernel write over its own cursors. */
export function requireDisjoint(regions) {
  for (const [index, one] of regions.entries()) {
    for (const other of regions.slice(index + 1)) {
      if (one.memory.buffer !== other.memory.buffer) continue;
      const apart =
        absoluteStart(one) + one.length <= absoluteStart(other) ||
        absoluteStart(other) + other.length <= absoluteStart(one);
      if (!apart) throw rangeError(`${one.kind} and ${other.kind} overlap in memory.`);
    }
  }
}

export function createRing(fd, placement) {
  const kindNumber = RING_KINDS.indexOf(placement.kind);
  check(
    binding.createRing(fd, kindNumber, placement.entries),
    `setsockopt(${placement.kind} ring)`,
    (code) =>
      code === 'ENOMEM' || code === 'EOVERFLOW'
        ? `The kernel has no memory for a ring of ${placement.entries} entries.`
        : '',
  );
}

/** Returns the public description and the native handle that takes the ring out again. */
export function mapRing(fd, placement) {
  const { kind, entries, memory, byteOffset, length } = placement;
  const kindNumber = RING_KINDS.indexOf(kind);
  const offsets = new Int32Array(RING_KINDS.length * OFFSETS_PER_RING);
  check(binding.ringOffsets(fd, offsets), 'getsockopt(XDP_MMAP_OFFSETS)');
  const [producer, consumer, descriptors, flags] = offsets.subarray(kindNumber * OFFSETS_PER_RING);
  const needed = pages(descriptors + entries * descriptorLength(kind));
  if (needed !== length) {
    throw new Error(
      `The kernel's ${kind} ring is ${needed} bytes, not the ${length} reserved for it.`,
    );
  }
  const mapping = check(
    binding.mapRing(fd, kindNumber, memory, byteOffset, length),
    `mmap(${kind} ring)`,
    (code) =>
      code === 'EINVAL'
        ? 'Memory backed by huge pages of a hugetlb file can hold a ring only on whole huge pages.'
        : '',
  );
  const ring = {
    kind,
    entries,
    byteOffset,
    length,
    producer,
    consumer,
    flags,
    descriptors,
    descriptorLength: descriptorLength(kind),
  };
  return { ring: Object.freeze(ring), mapping };
}
