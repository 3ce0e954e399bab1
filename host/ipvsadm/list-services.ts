import {
  FORWARD_DIRECT_ROUTE,
  FORWARD_FULL_NAT,
  FORWARD_LOCAL,
  FORWARD_NAT,
  FORWARD_TUNNEL,
  SERVICE_ONE_PACKET,
  SERVICE_PERSISTENT,
  TUNNEL_GRE,
  TUNNEL_GUE,
} from '../../assembly/shared/codes.ts';
import type { DestinationEntry, ServiceEntry, ServiceProtocol, Statistics } from '../ipvs/types.ts';
import { type Columns, endpointName, type Format, largeNumber } from './format.ts';
import type { FullNatControl } from './full-nat-control.ts';
import { TUNNEL_TYPES } from './options.ts';
import type { Output } from './output.ts';
import type { Resolver } from './resolver.ts';
import { hasSchedulerFlags, printedSchedulerFlags } from './scheduler-flags.ts';
import { sortServers, sortServices } from './sort.ts';

/** What a listing needs. */
export interface ListContext {
  readonly control: FullNatControl;
  readonly resolver: Resolver;
  readonly output: Output;
}

/** The version of IPVS that WVS behaves like. */
const IPVS_VERSION = '1.2.1';

/** Columns of an IPv4 service and of an IPv4 server; IPv6 names may run over. */
const SERVICE_WIDTH = 33;
const SERVER_WIDTH = 28;

const PLAIN_TITLE = `Prot LocalAddress:Port Scheduler Flags
  -> RemoteAddress:Port           Forward Weight ActiveConn InActConn
`;
const TITLES: Readonly<Record<Columns, string>> = {
  plain: PLAIN_TITLE,
  'tun-info': PLAIN_TITLE.replace('Weight', 'TunnelInfo    Weight'),
  stats: title([8, 8, 8, 8, 8], ['Conns', 'InPkts', 'OutPkts', 'InBytes', 'OutBytes']),
  rate: title([8, 8, 8, 8, 8], ['CPS', 'InPPS', 'OutPPS', 'InBPS', 'OutBPS']),
  thresholds: title([-10, -10, -10, -10], ['Uthreshold', 'Lthreshold', 'ActiveConn', 'InActConn']),
  'persistent-conn': title(
    [-9, -11, -10, -10],
    ['Weight', 'PersistConn', 'ActiveConn', 'InActConn'],
  ),
};

/** Negative widths are of columns that start at the left. */
function title(widths: readonly number[], names: readonly string[]): string {
  const columns = names.map((name, i) => cell(name, widths[i]!));
  const first = cell('Prot LocalAddress:Port', -SERVICE_WIDTH);
  return `${[first, ...columns].join(' ')}\n  -> RemoteAddress:Port\n`;
}

function cell(value: string | number, width: number): string {
  return width < 0 ? String(value).padEnd(-width) : String(value).padStart(width);
}

/** Lists all services with their servers: -L without a service. */
export function listServices(context: ListContext, format: Format): void {
  const { control, output } = context;
  output.print(`IP Virtual Server version ${IPVS_VERSION} (size=${control.tableSize})\n`);
  output.print(TITLES[format.columns]);
  const services = control.services();
  for (const entry of format.isSorted ? sortServices(services) : services) {
    printService(entry, format, context);
  }
}

/** Lists one service with its servers. */
export function listService(entry: ServiceEntry, context: ListContext, format: Format): void {
  context.output.print(TITLES[format.columns]);
  printService(entry, format, context);
}

function printService(entry: ServiceEntry, format: Format, context: ListContext): void {
  const { control, resolver, output } = context;
  const name = serviceName(entry, format, resolver);
  output.print(`${serviceLine(entry, name, format)}\n`);
  const servers = control.destinations(entry.key);
  const protocol = 'mark' in entry.key ? undefined : entry.key.protocol;
  for (const server of format.isSorted ? sortServers(servers) : servers) {
    output.print(`${serverLine(server, protocol, format, resolver)}\n`);
  }
}

function serviceName({ key }: ServiceEntry, format: Format, resolver: Resolver): string {
  // Marks are printed as signed numbers.
  if ('mark' in key) return `FWM  ${key.mark | 0}${key.family === 6 ? ' IPv6' : ''}`;
  const endpoint = endpointName(key, key.protocol, format.isNumeric, resolver);
  const name = `${key.protocol.toUpperCase().padEnd(4)} ${endpoint}`;
  return key.family === 6 ? name : name.slice(0, SERVICE_WIDTH);
}

function serviceLine(entry: ServiceEntry, name: string, format: Format): string {
  const { columns, isExact } = format;
  if (columns === 'stats' || columns === 'rate') {
    const values = columns === 'stats' ? totals(entry.statistics) : rates(entry.statistics);
    return name.padEnd(SERVICE_WIDTH) + values.map((value) => largeNumber(value, isExact)).join('');
  }
  return `${name} ${entry.scheduler}${serviceFlags(entry)}`;
}

function serviceFlags(entry: ServiceEntry): string {
  const { flags, scheduler, key, persistenceSeconds, persistenceMask, engine } = entry;
  let text = '';
  if (hasSchedulerFlags(flags)) text += ` (${printedSchedulerFlags(flags, scheduler)})`;
  if ((flags & SERVICE_PERSISTENT) !== 0) {
    text += ` persistent ${persistenceSeconds}`;
    if (persistenceMask !== defaultMask(key.family)) text += ` mask ${persistenceMask}`;
    if (engine !== '') text += ` pe ${engine}`;
  }
  if ((flags & SERVICE_ONE_PACKET) !== 0) text += ' ops';
  return text;
}

/** The mask that makes every client one of its own; it is not printed. */
export function defaultMask(family: 4 | 6): string {
  return family === 4 ? '255.255.255.255' : '128';
}

function totals(statistics: Statistics): readonly bigint[] {
  const { connections, inPackets, outPackets, inBytes, outBytes } = statistics;
  return [connections, inPackets, outPackets, inBytes, outBytes];
}

function rates(statistics: Statistics): readonly bigint[] {
  const { connectionRate, inPacketRate, outPacketRate, inByteRate, outByteRate } = statistics;
  return [connectionRate, inPacketRate, outPacketRate, inByteRate, outByteRate].map(BigInt);
}

function serverLine(
  entry: DestinationEntry,
  protocol: ServiceProtocol | undefined,
  format: Format,
  resolver: Resolver,
): string {
  const endpoint = endpointName(entry.key, protocol, format.isNumeric, resolver);
  const short = entry.key.family === 6 ? endpoint : endpoint.slice(0, SERVER_WIDTH);
  const name = `  -> ${short.padEnd(SERVER_WIDTH)}`;
  const active = entry.activeConnections;
  const inactive = entry.inactiveConnections;
  switch (format.columns) {
    case 'stats':
      return name + serverTotals(entry.statistics, format.isExact);
    case 'rate':
      return name + serverRates(entry.statistics, format.isExact);
    case 'thresholds':
      return row(name, [entry.upperThreshold, entry.lowerThreshold, active, inactive], TENS);
    case 'persistent-conn':
      return row(name, [entry.weight, entry.persistentConnections, active, inactive], PERSISTENT);
    case 'tun-info': {
      const forward = forwardName(entry.forwarding);
      return row(name, [forward, tunnelInfo(entry), entry.weight, active, inactive], TUNNEL);
    }
    case 'plain':
      return row(name, [forwardName(entry.forwarding), entry.weight, active, inactive], PLAIN);
  }
}

const PLAIN = [7, 6, 10, 10];
const TUNNEL = [7, 13, 6, 10, 10];
const TENS = [10, 10, 10, 10];
const PERSISTENT = [9, 11, 10, 10];

function row(
  name: string,
  values: readonly (string | number)[],
  widths: readonly number[],
): string {
  return [name, ...values.map((value, i) => cell(value, -widths[i]!))].join(' ');
}

/**
 * ipvsadm reads a server's connections and packets as 32-bit numbers and so starts anew at 2^32;
 * those of a service, and all bytes, it shows in full.
 */
function serverTotals(statistics: Statistics, isExact: boolean): string {
  const [connections, inPackets, outPackets, inBytes, outBytes] = totals(statistics);
  const cut = [connections!, inPackets!, outPackets!].map((value) => BigInt.asUintN(32, value));
  return [...cut, inBytes!, outBytes!].map((value) => largeNumber(value, isExact)).join('');
}

/** The first three rates are never shortened. */
function serverRates(statistics: Statistics, isExact: boolean): string {
  const [connections, inPackets, outPackets, inBytes, outBytes] = rates(statistics);
  const plain = [connections!, inPackets!, outPackets!].map((value) => ` ${cell(`${value}`, 8)}`);
  return [...plain, largeNumber(inBytes!, isExact), largeNumber(outBytes!, isExact)].join('');
}

const FORWARD_NAMES: ReadonlyMap<number, string> = new Map([
  [FORWARD_NAT, 'Masq'],
  [FORWARD_LOCAL, 'Local'],
  [FORWARD_TUNNEL, 'Tunnel'],
  [FORWARD_DIRECT_ROUTE, 'Route'],
  [FORWARD_FULL_NAT, 'FullNat'],
]);

function forwardName(forwarding: number): string {
  return FORWARD_NAMES.get(forwarding) ?? '(null)';
}

/** Without, with and with remote checksum, by TUNNEL_*CHECKSUM. */
const CHECKSUM_NAMES = ['-c', '+c', 'r+c'];

function tunnelInfo(entry: DestinationEntry): string {
  if (entry.forwarding !== FORWARD_TUNNEL) return 'n/a';
  const type = TUNNEL_TYPES[entry.tunnelType]?.name ?? 'n/a';
  const checksum = CHECKSUM_NAMES[entry.tunnelFlags] ?? '';
  if (entry.tunnelType === TUNNEL_GUE) return `${type}:${entry.tunnelPort}:${checksum}`;
  return entry.tunnelType === TUNNEL_GRE ? `${type}:${checksum}` : type;
}
