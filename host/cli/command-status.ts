/** `wvs status`: the running director, as tables for people or JSON for programs. */

import {
  type DirectorStatus,
  isUp,
  type LoadStatus,
  type ServerStatus,
  type ServiceStatus,
} from '../control/api.ts';
import { askDirector } from '../control/client.ts';
import { DROP_PREFIX } from '../stats/counter-names.ts';
import { type CommandInput, type CommandIo, EXIT_OK } from './command.ts';
import { socketPath } from './socket-option.ts';
import { type Column, formatAge, formatCount, formatShort, formatTable } from './table.ts';

/** Asks the director how it is and prints the answer. */
export async function statusCommand(input: CommandInput, io: CommandIo): Promise<number> {
  const status = await askDirector(socketPath(input, io), 'status');
  const { json } = input.options;
  io.stdout.write(json ? `${JSON.stringify(status, undefined, 2)}\n` : formatStatus(status));
  return EXIT_OK;
}

/** The whole status as text. */
export function formatStatus(status: DirectorStatus): string {
  const sections = [
    formatHead(status),
    formatWorkers(status),
    formatPorts(status),
    formatServices(status.services),
    ...formatCounters(status.counters),
  ];
  return sections.filter((section) => section !== '').join('\n');
}

function formatHead({ version, pid, uptime, config, connections }: DirectorStatus): string {
  return [
    `wvs ${version}, process ${pid}, up ${formatAge(uptime)}`,
    `configuration ${config.file}, generation ${config.generation}, loaded ${config.loadedAt}`,
    `connections ${formatCount(connections.used)} of ${formatCount(connections.capacity)}`,
    '',
  ].join('\n');
}

function formatWorkers({ workers }: DirectorStatus): string {
  const columns: Column[] = [
    { heading: 'WORKER' },
    { heading: 'STATE' },
    { heading: 'BUSY', align: 'right' },
    { heading: 'PACKETS/BURST', align: 'right' },
    { heading: 'RECEIVED', align: 'right' },
    { heading: 'SENT', align: 'right' },
    { heading: 'DROPPED', align: 'right' },
    { heading: 'RESTARTS', align: 'right' },
  ];
  const rows = workers.map((worker) => [
    String(worker.id),
    worker.state,
    `${Math.round(worker.busy * 100)}%`,
    worker.packetsPerBurst.toFixed(1),
    formatCount(worker.received),
    formatCount(worker.transmitted),
    formatCount(worker.dropped),
    String(worker.restarts),
  ]);
  return formatTable(columns, rows);
}

function formatPorts({ ports }: DirectorStatus): string {
  const columns: Column[] = [
    { heading: 'PORT' },
    { heading: 'INTERFACE' },
    { heading: 'LINK' },
    { heading: 'MODE' },
    { heading: 'QUEUES', align: 'right' },
    { heading: 'RX/S', align: 'right' },
    { heading: 'RX BIT/S', align: 'right' },
    { heading: 'TX/S', align: 'right' },
    { heading: 'TX BIT/S', align: 'right' },
  ];
  const rows = ports.map(({ name, interface: device, link, mode, queues, receive, transmit }) => [
    name,
    device,
    link,
    mode,
    String(queues),
    formatShort(receive.packetsPerSecond),
    formatShort(receive.bytesPerSecond * 8),
    formatShort(transmit.packetsPerSecond),
    formatShort(transmit.bytesPerSecond * 8),
  ]);
  return formatTable(columns, rows);
}

function formatServices(services: readonly ServiceStatus[]): string {
  if (services.length === 0) return 'no services\n';
  const columns: Column[] = [
    { heading: 'SERVICE' },
    { heading: 'HOW' },
    { heading: 'FROM' },
    { heading: 'WEIGHT', align: 'right' },
    { heading: 'HEALTH' },
    { heading: 'ACTIVE', align: 'right' },
    { heading: 'INACTIVE', align: 'right' },
    { heading: 'CONN/S', align: 'right' },
    { heading: 'IN/S', align: 'right' },
    { heading: 'OUT/S', align: 'right' },
  ];
  return formatTable(columns, services.flatMap(serviceRows));
}

function serviceRows(service: ServiceStatus): string[][] {
  const { name, key, scheduler, source, servers, load } = service;
  const up = servers.filter(isUp).length;
  const head = [
    name === key ? key : `${name} ${key}`,
    scheduler,
    source,
    '',
    serviceHealthText(service, up),
    formatCount(servers.reduce((sum, server) => sum + server.activeConnections, 0)),
    formatCount(servers.reduce((sum, server) => sum + server.inactiveConnections, 0)),
    ...rates(load),
  ];
  const rows = servers.map((server) => [
    `  -> ${server.key}`,
    server.forwarding,
    server.source ?? '',
    String(server.weight),
    healthText(server),
    formatCount(server.activeConnections),
    formatCount(server.inactiveConnections),
    ...rates(server.load),
  ]);
  return [head, ...rows];
}

function serviceHealthText(service: ServiceStatus, up: number): string {
  if (service.isDraining === true) return 'draining';
  const { quorum, sorryServer, servers } = service;
  const words = [`${up}/${servers.length} up`];
  if (quorum === 'down') words.push('no quorum');
  if (sorryServer === 'in') words.push('sorry server in');
  return words.join(', ');
}

function healthText({ health, reason, drain }: ServerStatus): string {
  if (drain !== undefined) {
    return `drains (${formatCount(drain.open)} open, ${formatAge(drain.remaining)} left)`;
  }
  return reason === undefined ? health : `${health} (${reason})`;
}

function rates({ connectionsPerSecond, incoming, outgoing }: LoadStatus): string[] {
  return [
    formatShort(connectionsPerSecond),
    formatShort(incoming.packetsPerSecond),
    formatShort(outgoing.packetsPerSecond),
  ];
}

/** The steering program's counters begin with one of these. */
const STEERING_PREFIXES = ['steered-', 'passed-'];

/** Counters in three tables: drops by reason, what the steering program did, all others. */
function formatCounters(counters: Readonly<Record<string, number>>): string[] {
  const entries = Object.entries(counters).filter(([, value]) => value > 0);
  const isDrop = (name: string) => name.startsWith(DROP_PREFIX);
  const isSteering = (name: string) => STEERING_PREFIXES.some((prefix) => name.startsWith(prefix));
  const table = (heading: string, rows: readonly (readonly [string, number])[]) => {
    if (rows.length === 0) return '';
    const columns: Column[] = [{ heading }, { heading: 'PACKETS', align: 'right' }];
    return formatTable(
      columns,
      rows.map(([name, value]) => [name, formatCount(value)]),
    );
  };
  const drops = entries
    .filter(([name]) => isDrop(name))
    .map(([name, value]) => [name.slice(DROP_PREFIX.length), value] as const)
    .sort(([, a], [, b]) => b - a);
  const others = entries.filter(([name]) => !isDrop(name) && !isSteering(name));
  return [
    table('DROPPED BECAUSE OF', drops),
    table(
      'STEERING',
      entries.filter(([name]) => isSteering(name)),
    ),
    table('COUNTER', others),
  ];
}
