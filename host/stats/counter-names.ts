// A name for each counter of the data plane, as logs, metrics and reports show it. A drop's name is
// its reason: it ends the sentence "this packet was dropped because of ...".

import { COUNTERS_END } from '../../assembly/shared/counters.ts';
import { readU64 } from '../ipvs/estimator.ts';
import type { DataPlaneMemory } from '../memory/data-plane-memory.ts';

/** The name of a drop's counter begins with this, and goes on with the reason. */
export const DROP_PREFIX = 'drop-';

/** Names by index; indices without a counter have "". In the order of assembly/shared/counters.ts. */
export const COUNTER_NAMES: readonly string[] = [
  'none',
  'packets-received',
  'packets-transmitted',
  'packets-passed-to-the-director',
  'packets-held-as-fragments',
  'connections-created',
  'connections-expired',
  'resets-sent-to-clients',
  'icmp-errors-sent',
  'partial-checksums-completed',
  'fragments-made',
  'icmp-errors-relayed',
  'timers-late',
  ...new Array<string>(19).fill(''),
  'drop-frame-too-short',
  'drop-not-an-ip-packet',
  'drop-ipv4-header-too-short',
  'drop-ipv4-version-not-4',
  'drop-ipv4-length-beyond-frame',
  'drop-ipv4-header-checksum-wrong',
  'drop-ipv6-header-too-short',
  'drop-ipv6-length-beyond-frame',
  'drop-too-many-ipv6-extension-headers',
  'drop-tcp-header-too-short',
  'drop-udp-header-too-short',
  'drop-sctp-header-too-short',
  'drop-icmp-message-too-short',
  'drop-icmp-checksum-wrong',
  'drop-fragment-table-full',
  'drop-fragments-overlap',
  'drop-fragments-incomplete-in-time',
  'drop-not-for-a-service-or-connection',
  'drop-no-destination-available',
  'drop-destination-of-connection-removed',
  'drop-connection-table-full',
  'drop-no-free-local-address-and-port',
  'drop-ttl-exceeded',
  'drop-packet-too-big-for-the-way',
  'drop-no-route-to-destination',
  'drop-neighbour-not-resolved',
  'drop-transmit-ring-full',
  'drop-no-free-frame',
  'drop-port-down',
  'drop-rescheduled-with-conntrack',
  'drop-by-defence-mode',
  'drop-persistence-engine-found-no-call-id',
  'drop-transport-checksum-wrong',
  'drop-icmp-not-related-to-a-connection',
  'drop-no-exception-path',
  'drop-reset-without-connection',
  'drop-data-plane-trapped',
  'drop-refused-by-ftp-helper',
  'drop-multicast-or-broadcast',
  'drop-frame-too-long',
];

/**
 * All counters, summed over the workers.
 * @returns values by index of assembly/shared/counters.ts
 */
export function readCounters(memory: DataPlaneMemory): number[] {
  const sums = new Array<number>(COUNTERS_END).fill(0);
  for (let worker = 0; worker < memory.map.sizes.workers; worker++) {
    const counts = readWorkerCounters(memory, worker);
    for (let counter = 0; counter < COUNTERS_END; counter++) sums[counter] += counts[counter];
  }
  return sums;
}

/** One worker's counters, by index of assembly/shared/counters.ts. */
export function readWorkerCounters(memory: DataPlaneMemory, worker: number): number[] {
  const at = memory.counters(worker);
  return Array.from({ length: COUNTERS_END }, (_, counter) => readU64(memory, at + counter * 8));
}

/** All counters by name; those without a name are left out. */
export function namedCounters(memory: DataPlaneMemory): Map<string, number> {
  const values = readCounters(memory);
  const named = new Map<string, number>();
  for (const [counter, name] of COUNTER_NAMES.entries()) {
    if (counter > 0 && name !== '') named.set(name, values[counter]);
  }
  return named;
}

/** The name of a counter or drop reason; "unknown-N" for a number without one. */
export function counterName(counter: number): string {
  const name = COUNTER_NAMES[counter] ?? '';
  return name === '' ? `unknown-${counter}` : name;
}
