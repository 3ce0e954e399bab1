// Every metric, once: name, type, labels, what it means, and where its values come from. The
// registry is filled from this table, docs, dashboard and alerts are tested against it.
//
// Labels are bounded by what is configured: workers, ports, services, servers, and fixed lists of
// reasons and outcomes. Nothing that a packet says becomes a label.

import {
  COUNTER_CHECKSUMS_COMPLETED,
  COUNTER_CONNECTIONS_CREATED,
  COUNTER_CONNECTIONS_EXPIRED,
  COUNTER_FRAGMENTS_MADE,
  COUNTER_HELD,
  COUNTER_ICMP_RELAYED,
  COUNTER_ICMP_SENT,
  COUNTER_PASSED,
  COUNTER_RECEIVED,
  COUNTER_RESETS_SENT,
  COUNTER_TIMERS_LATE,
  COUNTER_TRANSMITTED,
  COUNTERS_END,
  DROP_FIRST,
} from '../../assembly/shared/counters.ts';
import {
  type DirectorStatus,
  isUp,
  type LoadStatus,
  type PortStatus,
  type ServerStatus,
  type ServiceStatus,
} from '../control/api.ts';
import { counterName, DROP_PREFIX } from '../stats/counter-names.ts';
import {
  GAUGE_ASLEEP_MS,
  GAUGE_BUSY_TURNS,
  GAUGE_PACKETS,
  GAUGE_TRANSMIT_WAKEUPS,
  GAUGE_TURNS,
} from '../worker/gauges.ts';

/** What one scrape is made from. */
export interface Snapshot {
  readonly isReady: boolean;
  readonly status: DirectorStatus;
  readonly workers: readonly WorkerNumbers[];
  /** Frames by the steering program's outcome. */
  readonly steering: Readonly<Record<string, number>>;
  readonly reloads: { readonly taken: number; readonly refused: number };
}

/** One worker's numbers that the status does not show. */
export interface WorkerNumbers {
  readonly id: number;
  /** By index of assembly/shared/counters.ts. */
  readonly counters: readonly number[];
  /** By GAUGE_*. */
  readonly gauges: ArrayLike<number>;
}

/** Takes one value of a metric; the labels' values in the order of their names. */
export type Take = (value: number, ...labels: readonly string[]) => void;

/** One metric. */
export interface MetricDefinition {
  readonly name: string;
  readonly type: 'gauge' | 'counter';
  readonly help: string;
  readonly labels: readonly string[];
  readonly read: (snapshot: Snapshot, take: Take) => void;
}

/** More servers than this are not shown one by one: a scrape must stay a matter of milliseconds. */
export const SERVERS_SHOWN_MAX = 10_000;
export const SERVICES_SHOWN_MAX = 10_000;

type Values = MetricDefinition['read'];

function gauge(name: string, help: string, labels: readonly string[], read: Values) {
  return { name, type: 'gauge', help, labels, read } as const;
}

function counter(name: string, help: string, labels: readonly string[], read: Values) {
  return { name, type: 'counter', help, labels, read } as const;
}

// --- the director --------------------------------------------------------------------------------

const DIRECTOR: readonly MetricDefinition[] = [
  gauge('wvs_build_info', 'Always 1; the version is a label.', ['version'], (snapshot, take) => {
    take(1, snapshot.status.version);
  }),
  gauge('wvs_ready', 'Whether packets flow.', [], ({ isReady }, take) => take(Number(isReady))),
  gauge(
    'wvs_config_loaded_timestamp_seconds',
    'When the running configuration was taken over.',
    [],
    ({ status }, take) => take(Date.parse(status.config.loadedAt) / 1000),
  ),
  counter(
    'wvs_config_reloads_total',
    'Reloads that were asked for, by result: taken or refused.',
    ['result'],
    ({ reloads }, take) => {
      take(reloads.taken, 'taken');
      take(reloads.refused, 'refused');
    },
  ),
  gauge('wvs_tables_generation', 'Sets of tables published.', [], ({ status }, take) => {
    take(status.config.generation);
  }),
  gauge('wvs_connections', 'Connections and templates in the table.', [], ({ status }, take) => {
    take(status.connections.used);
  }),
  gauge('wvs_connections_limit', 'Entries of the table.', [], ({ status }, take) => {
    take(status.connections.capacity);
  }),
  counter(
    'wvs_steering_packets_total',
    'Frames seen by the steering program, by what it did with them.',
    ['outcome'],
    ({ steering }, take) => {
      for (const [outcome, frames] of Object.entries(steering)) take(frames, outcome);
    },
  ),
  gauge(
    'wvs_series_omitted',
    'Services and servers that have no series of their own, because there are too many.',
    [],
    ({ status }, take) => {
      const servers = status.services.reduce((sum, service) => sum + service.servers.length, 0);
      const services = Math.max(0, status.services.length - SERVICES_SHOWN_MAX);
      take(services + Math.max(0, servers - SERVERS_SHOWN_MAX));
    },
  ),
];

// --- workers -------------------------------------------------------------------------------------

/** The data plane's counters that are no drops. */
const WORKER_COUNTERS: readonly (readonly [index: number, name: string, help: string])[] = [
  [COUNTER_RECEIVED, 'wvs_packets_received_total', 'Packets received.'],
  [COUNTER_TRANSMITTED, 'wvs_packets_transmitted_total', 'Packets sent.'],
  [COUNTER_PASSED, 'wvs_packets_passed_total', "Packets left to the director's own stack."],
  [COUNTER_HELD, 'wvs_packets_held_total', 'Fragments kept until the others come.'],
  [COUNTER_CONNECTIONS_CREATED, 'wvs_connections_created_total', 'Connections made.'],
  [COUNTER_CONNECTIONS_EXPIRED, 'wvs_connections_expired_total', 'Connections ended.'],
  [COUNTER_RESETS_SENT, 'wvs_resets_sent_total', 'TCP resets sent to clients.'],
  [COUNTER_ICMP_SENT, 'wvs_icmp_errors_sent_total', 'ICMP errors the director sent.'],
  [COUNTER_ICMP_RELAYED, 'wvs_icmp_errors_relayed_total', 'ICMP errors passed on to their side.'],
  [COUNTER_CHECKSUMS_COMPLETED, 'wvs_checksums_completed_total', 'Partial checksums completed.'],
  [COUNTER_FRAGMENTS_MADE, 'wvs_fragments_made_total', 'Fragments that packets were cut into.'],
  [COUNTER_TIMERS_LATE, 'wvs_timers_late_total', 'Timers put off so that packets need not wait.'],
];

function workerGauge(name: string, help: string, index: number, scale = 1): MetricDefinition {
  return counter(name, help, ['worker'], ({ workers }, take) => {
    for (const { id, gauges } of workers) take(gauges[index] * scale, String(id));
  });
}

/** A drop's reason as a label: the counter's name without its prefix. */
export function dropReason(index: number): string {
  const name = counterName(index);
  return name.startsWith(DROP_PREFIX) ? name.slice(DROP_PREFIX.length) : name;
}

const WORKERS: readonly MetricDefinition[] = [
  gauge('wvs_worker_up', 'Whether the worker runs.', ['worker'], ({ status }, take) => {
    for (const { id, state } of status.workers) take(Number(state === 'running'), String(id));
  }),
  counter(
    'wvs_worker_restarts_total',
    'Times the worker died and was started again.',
    ['worker'],
    ({ status }, take) => {
      for (const { id, restarts } of status.workers) take(restarts, String(id));
    },
  ),
  workerGauge(
    'wvs_worker_asleep_seconds_total',
    'Time the worker waited for packets; its busy share is 1 less the rate of this.',
    GAUGE_ASLEEP_MS,
    1 / 1000,
  ),
  workerGauge('wvs_worker_turns_total', 'Turns of its loop, also without packets.', GAUGE_TURNS),
  workerGauge('wvs_worker_bursts_total', 'Turns that found packets.', GAUGE_BUSY_TURNS),
  workerGauge('wvs_worker_burst_packets_total', 'Packets these turns found.', GAUGE_PACKETS),
  workerGauge(
    'wvs_worker_transmit_wakeups_total',
    'System calls that made the kernel send.',
    GAUGE_TRANSMIT_WAKEUPS,
  ),
  ...WORKER_COUNTERS.map(([index, name, help]) => {
    return counter(name, help, ['worker'], ({ workers }, take) => {
      for (const { id, counters } of workers) take(counters[index], String(id));
    });
  }),
  counter(
    'wvs_packets_dropped_total',
    'Packets dropped, by reason.',
    ['worker', 'reason'],
    ({ workers }, take) => {
      for (const { id, counters } of workers) {
        for (let index = DROP_FIRST; index < COUNTERS_END; index++) {
          take(counters[index], String(id), dropReason(index));
        }
      }
    },
  ),
];

// --- ports ---------------------------------------------------------------------------------------

function portCounter(name: string, help: string, pick: (port: PortStatus) => number) {
  return counter(name, help, ['port'], ({ status }, take) => {
    for (const port of status.ports) take(pick(port), port.name);
  });
}

const PORTS: readonly MetricDefinition[] = [
  gauge('wvs_port_up', 'Whether the link is up.', ['port'], ({ status }, take) => {
    for (const { name, link } of status.ports) take(Number(link === 'up'), name);
  }),
  portCounter(
    'wvs_port_received_packets_total',
    "Packets the interface received, the kernel's included.",
    ({ receive }) => receive.packets,
  ),
  portCounter('wvs_port_received_bytes_total', 'Bytes of these.', ({ receive }) => receive.bytes),
  portCounter(
    'wvs_port_transmitted_packets_total',
    "Packets the interface sent, the kernel's included.",
    ({ transmit }) => transmit.packets,
  ),
  portCounter(
    'wvs_port_transmitted_bytes_total',
    'Bytes of these.',
    ({ transmit }) => transmit.bytes,
  ),
];

// --- services and servers ------------------------------------------------------------------------

/** What listings count, for services and servers alike. */
const LOADS: readonly (readonly [suffix: string, help: string, (load: LoadStatus) => number])[] = [
  ['connections_total', 'Connections scheduled', ({ connections }) => connections],
  ['incoming_packets_total', 'Packets from clients', ({ incoming }) => incoming.packets],
  ['incoming_bytes_total', 'Bytes from clients', ({ incoming }) => incoming.bytes],
  [
    'outgoing_packets_total',
    'Packets to clients (nat, full-nat)',
    ({ outgoing }) => outgoing.packets,
  ],
  ['outgoing_bytes_total', 'Bytes to clients (nat, full-nat)', ({ outgoing }) => outgoing.bytes],
];

/** Services with what labels call them: the name, and where two share one, the key as well. */
function* shownServices({ status }: Snapshot): Generator<readonly [string, ServiceStatus]> {
  const times = new Map<string, number>();
  for (const { name } of status.services) times.set(name, (times.get(name) ?? 0) + 1);
  for (const service of status.services.slice(0, SERVICES_SHOWN_MAX)) {
    const { name, key } = service;
    yield [times.get(name) === 1 ? name : `${name} ${key}`, service];
  }
}

function* shownServers(snapshot: Snapshot): Generator<readonly [string, ServerStatus]> {
  let shown = 0;
  for (const [label, { servers }] of shownServices(snapshot)) {
    for (const server of servers) {
      if (++shown > SERVERS_SHOWN_MAX) return;
      yield [label, server];
    }
  }
}

function serverGauge(name: string, help: string, pick: (server: ServerStatus) => number) {
  return gauge(name, help, ['service', 'server'], (snapshot, take) => {
    for (const [label, server] of shownServers(snapshot)) take(pick(server), label, server.key);
  });
}

const HEALTH_STATES: readonly ServerStatus['health'][] = [
  'unchecked',
  'unknown',
  'up',
  'down',
  'drained',
];

const SERVICES: readonly MetricDefinition[] = [
  gauge(
    'wvs_service_info',
    'Always 1; what the service is stands in the labels.',
    ['service', 'listen', 'scheduler', 'source'],
    (snapshot, take) => {
      for (const [label, { key, scheduler, source }] of shownServices(snapshot)) {
        take(1, label, key, scheduler, source);
      }
    },
  ),
  gauge(
    'wvs_service_servers',
    'Servers of the service, by what health checks say.',
    ['service', 'health'],
    (snapshot, take) => {
      for (const [label, { servers }] of shownServices(snapshot)) {
        for (const health of HEALTH_STATES) {
          const count = servers.filter((server) => server.health === health).length;
          // States that no server is in would make five times as many series.
          if (count > 0) take(count, label, health);
        }
      }
    },
  ),
  ...LOADS.map(([suffix, help, pick]) => {
    return counter(`wvs_service_${suffix}`, `${help}.`, ['service'], (snapshot, take) => {
      for (const [label, { load }] of shownServices(snapshot)) take(pick(load), label);
    });
  }),
  serverGauge('wvs_server_up', 'Whether the server takes connections.', (server) =>
    Number(isUp(server)),
  ),
  serverGauge('wvs_server_weight', 'Its weight now; 0 is quiesced.', ({ weight }) => weight),
  serverGauge(
    'wvs_server_active_connections',
    'Established connections.',
    ({ activeConnections }) => activeConnections,
  ),
  serverGauge(
    'wvs_server_inactive_connections',
    'Connections in any other state.',
    ({ inactiveConnections }) => inactiveConnections,
  ),
  ...LOADS.map(([suffix, help, pick]) => {
    const labels = ['service', 'server'];
    return counter(`wvs_server_${suffix}`, `${help}.`, labels, (snapshot, take) => {
      for (const [label, server] of shownServers(snapshot)) {
        take(pick(server.load), label, server.key);
      }
    });
  }),
];

/** All of them, in the order in which they are shown. */
export const METRICS: readonly MetricDefinition[] = [
  ...DIRECTOR,
  ...WORKERS,
  ...PORTS,
  ...SERVICES,
];
