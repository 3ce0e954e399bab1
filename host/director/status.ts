// What `wvs status` shows, gathered from everywhere.

import {
  COUNTER_RECEIVED,
  COUNTER_TRANSMITTED,
  DROP_FIRST,
} from '../../assembly/shared/counters.ts';
import { formatEndpoint } from '../config/address.ts';
import { destinationKey } from '../config/keys.ts';
import type {
  LoadStatus,
  PortStatus,
  ServerStatus,
  TrafficStatus,
  WorkerStatus,
} from '../control/api.ts';
import type { DestinationEntry, ServiceKey, Statistics } from '../ipvs/types.ts';
import type { DataPlaneMemory } from '../memory/data-plane-memory.ts';
import { namedCounters, readWorkerCounters } from '../stats/counter-names.ts';
import { GAUGE_ASLEEP_MS, GAUGE_BUSY_TURNS, GAUGE_PACKETS } from '../worker/gauges.ts';
import type { WorkerReport } from '../worker/pool.ts';
import type { LinkCounts } from '../world/rtnetlink.ts';
import { FORWARDING_METHODS } from './rules.ts';

/** A service's key as the configuration and the status spell it: `tcp 192.0.2.80:80`, `mark 1`. */
export function serviceText(key: ServiceKey): string {
  if ('mark' in key) return key.family === 6 ? `mark ${key.mark} ipv6` : `mark ${key.mark}`;
  return `${key.protocol} ${formatEndpoint(key.address, key.port)}`;
}

/** What a worker has done with packets since the start. */
export function workerPackets(
  memory: DataPlaneMemory,
  worker: number,
): Pick<WorkerStatus, 'received' | 'transmitted' | 'dropped'> {
  const counts = readWorkerCounters(memory, worker);
  return {
    received: counts[COUNTER_RECEIVED],
    transmitted: counts[COUNTER_TRANSMITTED],
    dropped: counts.slice(DROP_FIRST).reduce((sum, value) => sum + value, 0),
  };
}

/** Counters that are not 0, by name. */
export function nonZeroCounters(
  memory: DataPlaneMemory,
  steering: Readonly<Record<string, number>>,
): Record<string, number> {
  const all = [...namedCounters(memory), ...Object.entries(steering)];
  return Object.fromEntries(all.filter(([, value]) => value > 0));
}

/** What the control core knows of a server. */
export function serverStatus(entry: DestinationEntry): ServerStatus {
  return {
    key: destinationKey(entry.key.address, entry.key.port),
    forwarding: FORWARDING_METHODS.get(entry.forwarding) ?? 'nat',
    weight: entry.weight,
    health: 'unchecked',
    activeConnections: entry.activeConnections,
    inactiveConnections: entry.inactiveConnections,
    load: loadOf(entry.statistics),
  };
}

/** Statistics as the status shows them. */
export function loadOf(statistics: Statistics): LoadStatus {
  return {
    connections: Number(statistics.connections),
    connectionsPerSecond: statistics.connectionRate,
    incoming: {
      packets: Number(statistics.inPackets),
      bytes: Number(statistics.inBytes),
      packetsPerSecond: statistics.inPacketRate,
      bytesPerSecond: statistics.inByteRate,
    },
    outgoing: {
      packets: Number(statistics.outPackets),
      bytes: Number(statistics.outBytes),
      packetsPerSecond: statistics.outPacketRate,
      bytesPerSecond: statistics.outByteRate,
    },
  };
}

/** A measurement of everything that becomes a rate by comparing it with the one before. */
interface Sample {
  readonly atMs: number;
  readonly ports: readonly (LinkCounts | undefined)[];
  readonly workers: readonly Float64Array[];
}

/** Rates of ports and workers, from two measurements some seconds apart. */
export class RateMeter {
  #last: Sample;
  #before: Sample;

  constructor(nowMs: number) {
    this.#last = { atMs: nowMs, ports: [], workers: [] };
    this.#before = this.#last;
  }

  /** Adds a measurement. */
  measure(
    nowMs: number,
    ports: readonly (LinkCounts | undefined)[],
    workers: readonly WorkerReport[],
  ): void {
    this.#before = this.#last;
    const gauges = workers.map((worker) => worker.gauges.slice());
    this.#last = { atMs: nowMs, ports, workers: gauges };
  }

  /** A worker's share of time spent awake, and packets it found at once. */
  worker({
    id,
    state,
    restarts,
    gauges,
  }: WorkerReport): Omit<WorkerStatus, 'received' | 'transmitted' | 'dropped'> {
    const last = this.#last.workers[id] ?? gauges;
    // Without two measurements there is no rate yet.
    const before = this.#before.workers[id] ?? last;
    const change = (gauge: number) => last[gauge] - before[gauge];
    const elapsed = this.#last.atMs - this.#before.atMs;
    const awake = elapsed <= 0 || before === last ? 0 : 1 - change(GAUGE_ASLEEP_MS) / elapsed;
    const bursts = change(GAUGE_BUSY_TURNS);
    return {
      id,
      state,
      busy: Math.min(1, Math.max(0, awake)),
      packetsPerBurst: bursts === 0 ? 0 : change(GAUGE_PACKETS) / bursts,
      restarts,
    };
  }

  /** What went through a port, both ways; the totals are those given, the rates the measured ones. */
  port(index: number, counts: LinkCounts | undefined): Pick<PortStatus, 'receive' | 'transmit'> {
    const traffic = (packets: keyof LinkCounts, bytes: keyof LinkCounts): TrafficStatus => ({
      packets: counts?.[packets] ?? 0,
      bytes: counts?.[bytes] ?? 0,
      packetsPerSecond: this.#rate(index, packets),
      bytesPerSecond: this.#rate(index, bytes),
    });
    return {
      receive: traffic('receivedPackets', 'receivedBytes'),
      transmit: traffic('transmittedPackets', 'transmittedBytes'),
    };
  }

  #rate(index: number, count: keyof LinkCounts): number {
    const last = this.#last.ports[index];
    const before = this.#before.ports[index];
    if (last === undefined || before === undefined) return 0;
    const seconds = (this.#last.atMs - this.#before.atMs) / 1000;
    return seconds <= 0 ? 0 : Math.round((last[count] - before[count]) / seconds);
  }
}
