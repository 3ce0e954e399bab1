import type { DestinationEntry, Family, ServiceEntry, ServiceProtocol } from '../ipvs/types.ts';
import { addressWords } from './address-text.ts';

// ipvsadm sorts by differences of 32 bits that are taken as signed: 192.0.2.80 comes before
// 1.2.3.4. Such an order has circles, so what comes out depends on the way of sorting too.

const FAMILY_NUMBERS: Readonly<Record<Family, number>> = { 4: 2, 6: 10 };
const PROTOCOL_NUMBERS: Readonly<Record<ServiceProtocol, number>> = { tcp: 6, udp: 17, sctp: 132 };

/** Services in the order of ipvsadm's listings. */
export function sortServices(services: readonly ServiceEntry[]): ServiceEntry[] {
  return mergeSort(services.map(serviceSortKey), compareServices).map(({ entry }) => entry);
}

/** Servers in the order of ipvsadm's listings. */
export function sortServers(servers: readonly DestinationEntry[]): DestinationEntry[] {
  const keys = servers.map((entry) => ({ entry, words: addressWords(entry.key.address) }));
  return mergeSort(keys, compareServers).map(({ entry }) => entry);
}

interface ServiceSortKey {
  readonly entry: ServiceEntry;
  readonly mark: number;
  readonly family: number;
  readonly protocol: number;
  readonly words: readonly number[];
  readonly port: number;
}

function serviceSortKey(entry: ServiceEntry): ServiceSortKey {
  const { key } = entry;
  const family = FAMILY_NUMBERS[key.family];
  if ('mark' in key) {
    return { entry, mark: key.mark, family, protocol: 0, words: [0, 0, 0, 0], port: 0 };
  }
  return {
    entry,
    mark: 0,
    family,
    protocol: PROTOCOL_NUMBERS[key.protocol],
    words: addressWords(key.address),
    port: key.port,
  };
}

function compareServices(a: ServiceSortKey, b: ServiceSortKey): number {
  return (
    signedDifference(a.mark, b.mark) ||
    a.family - b.family ||
    a.protocol - b.protocol ||
    compareWords(a.words, b.words) ||
    a.port - b.port
  );
}

interface ServerSortKey {
  readonly entry: DestinationEntry;
  readonly words: readonly number[];
}

function compareServers(a: ServerSortKey, b: ServerSortKey): number {
  // The family of the first decides; the first word of an IPv6 address meets IPv4 addresses.
  const difference =
    a.entry.key.family === 6
      ? compareWords(a.words, b.words)
      : signedDifference(a.words[0]!, b.words[0]!);
  return difference || a.entry.key.port - b.entry.key.port;
}

/** IPv4 addresses have zeros in the last three words. */
function compareWords(a: readonly number[], b: readonly number[]): number {
  for (const [i, word] of a.entries()) {
    const difference = signedDifference(word, b[i]!);
    if (difference !== 0) return difference;
  }
  return 0;
}

/** a - b of two unsigned 32-bit numbers, as C keeps it in an int. */
export function signedDifference(a: number, b: number): number {
  return (a - b) | 0;
}

/**
 * The merge sort behind glibc's qsort() up to version 2.36: halves, the first one the shorter,
 * and of two equal items the one from the first half first.
 */
export function mergeSort<T>(items: readonly T[], compare: (a: T, b: T) => number): T[] {
  if (items.length <= 1) return [...items];
  const half = items.length >> 1;
  const first = mergeSort(items.slice(0, half), compare);
  const second = mergeSort(items.slice(half), compare);
  const merged: T[] = [];
  let i = 0;
  let j = 0;
  while (i < first.length && j < second.length) {
    if (compare(first[i]!, second[j]!) <= 0) merged.push(first[i++]!);
    else merged.push(second[j++]!);
  }
  return [...merged, ...first.slice(i), ...second.slice(j)];
}
