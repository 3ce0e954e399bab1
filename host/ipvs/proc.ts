// The text of /proc/net/ip_vs, ip_vs_conn, ip_vs_conn_sync, ip_vs_stats and ip_vs_stats_percpu, to the
// byte as Linux 6.1 prints it. Addresses and counters are hexadecimal there.

import {
  FORWARD_DIRECT_ROUTE,
  FORWARD_FULL_NAT,
  FORWARD_LOCAL,
  FORWARD_TUNNEL,
  SERVICE_ONE_PACKET,
  SERVICE_PERSISTENT,
} from '../../assembly/shared/codes.ts';
import { TICKS_PER_SECOND } from '../../assembly/shared/limits.ts';
import { formatHexadecimal } from '../tables/address-text.ts';
import type {
  ConnectionEntry,
  DestinationEntry,
  Family,
  IpvsControl,
  ServiceEntry,
  Statistics,
} from './types.ts';

/** Files of /proc/net that exist, by name. */
export const PROC_FILES = [
  'ip_vs',
  'ip_vs_conn',
  'ip_vs_conn_sync',
  'ip_vs_stats',
  'ip_vs_stats_percpu',
] as const;
export type ProcFile = (typeof PROC_FILES)[number];

/** Connections, packets in and out, bytes in and out. */
export type RawCounts = readonly [number, number, number, number, number];

/** What the files are made from. */
export interface ProcSource {
  readonly control: IpvsControl;
  /** Counters of each worker at this moment, for ip_vs_stats_percpu. */
  workerCounts(): readonly RawCounts[];
}

const TABLE_HEADER =
  'Prot LocalAddress:Port Scheduler Flags\n' +
  '  -> RemoteAddress:Port Forward Weight ActiveConn InActConn\n';

/** The whole text of one file. */
export function procText(source: ProcSource, file: ProcFile): string {
  const { control } = source;
  switch (file) {
    case 'ip_vs':
      return serviceTable(control);
    case 'ip_vs_conn':
      return connectionTable(control);
    case 'ip_vs_conn_sync':
      return connectionSyncTable(control);
    case 'ip_vs_stats':
      return totalStatistics(control.totals());
    case 'ip_vs_stats_percpu':
      return workerStatistics(source.workerCounts(), control.totals());
  }
}

function serviceTable(control: IpvsControl): string {
  const lines = [`IP Virtual Server version 1.2.1 (size=${control.tableSize})\n`, TABLE_HEADER];
  for (const service of control.services()) {
    lines.push(serviceLine(service));
    for (const destination of control.destinations(service.key)) {
      lines.push(destinationLine(destination));
    }
  }
  return lines.join('');
}

function serviceLine(service: ServiceEntry): string {
  const { key, scheduler, flags } = service;
  const onePacket = (flags & SERVICE_ONE_PACKET) === 0 ? '' : 'ops ';
  let head: string;
  if ('mark' in key) {
    head = `FWM  ${hex(key.mark, 8)} ${scheduler} ${onePacket}`;
  } else if (key.family === 6) {
    head = `${protocolName(key.protocol)}  ${endpoint(6, key.address, key.port)} ${scheduler} `;
  } else {
    const where = endpoint(4, key.address, key.port);
    head = `${protocolName(key.protocol)}  ${where} ${scheduler} ${onePacket} `;
  }
  if ((flags & SERVICE_PERSISTENT) === 0) return `${head}\n`;
  const ticks = service.persistenceSeconds * TICKS_PER_SECOND;
  return `${head}persistent ${ticks} ${maskHexadecimal(key.family, service.persistenceMask)}\n`;
}

/** ntohl() of the mask: of IPv6's prefix length too, which the kernel keeps in host order. */
function maskHexadecimal(family: Family, mask: string): string {
  return family === 4 ? formatHexadecimal(mask) : hex(Number(mask) * 2 ** 24, 8);
}

function destinationLine(destination: DestinationEntry): string {
  const { key } = destination;
  const where = endpoint(key.family, key.address, key.port);
  const forward = forwardName(destination.forwarding).padEnd(7);
  const weight = String(destination.weight).padEnd(6);
  const active = String(destination.activeConnections).padEnd(10);
  const inactive = String(destination.inactiveConnections).padEnd(10);
  return `  -> ${where}      ${forward} ${weight} ${active} ${inactive}\n`;
}

function forwardName(forwarding: number): string {
  switch (forwarding) {
    case FORWARD_LOCAL:
      return 'Local';
    case FORWARD_TUNNEL:
      return 'Tunnel';
    case FORWARD_DIRECT_ROUTE:
      return 'Route';
    case FORWARD_FULL_NAT:
      return 'FullNat';
    default:
      return 'Masq';
  }
}

function connectionTable(control: IpvsControl): string {
  const lines = [
    'Pro FromIP   FPrt ToIP     TPrt DestIP   DPrt State       Expires PEName PEData\n',
  ];
  for (const entry of control.connections()) {
    const engine = entry.engine === '' ? '' : ` ${entry.engine} ${entry.engineData}`;
    lines.push(`${connectionHead(entry)} ${expiry(entry)}${engine}\n`);
  }
  return lines.join('');
}

function connectionSyncTable(control: IpvsControl): string {
  const lines = ['Pro FromIP   FPrt ToIP     TPrt DestIP   DPrt State       Origin Expires\n'];
  for (const entry of control.connections()) {
    lines.push(`${connectionHead(entry)} ${entry.origin.padEnd(6)} ${expiry(entry)}\n`);
  }
  return lines.join('');
}

function connectionHead(entry: ConnectionEntry): string {
  const words = [
    numberedProtocolName(entry.protocol).padEnd(3),
    formatHexadecimal(entry.clientAddress),
    hex(entry.clientPort, 4),
    formatHexadecimal(entry.virtualAddress),
    hex(entry.virtualPort, 4),
    formatHexadecimal(entry.destinationAddress),
    hex(entry.destinationPort, 4),
    entry.state.padEnd(11),
  ];
  return words.join(' ');
}

function expiry(entry: ConnectionEntry): string {
  return String(entry.expiresSeconds).padStart(7);
}

/** ip_vs_proto_name(). */
function numberedProtocolName(protocol: number): string {
  switch (protocol) {
    case 0:
      return 'IP';
    case 1:
      return 'ICMP';
    case 6:
      return 'TCP';
    case 17:
      return 'UDP';
    case 58:
      return 'ICMPv6';
    case 132:
      return 'SCTP';
    default:
      return `IP_${protocol}`;
  }
}

function protocolName(protocol: string): string {
  return protocol.toUpperCase();
}

function totalStatistics(totals: Statistics): string {
  return (
    '   Total Incoming Outgoing         Incoming         Outgoing\n' +
    '   Conns  Packets  Packets            Bytes            Bytes\n' +
    `${countColumns(countsOf(totals))}\n\n` +
    ' Conns/s   Pkts/s   Pkts/s          Bytes/s          Bytes/s\n' +
    `${countColumns(ratesOf(totals))}\n`
  );
}

function workerStatistics(workers: readonly RawCounts[], totals: Statistics): string {
  const rows = workers.map((counts, worker) => {
    return `${hex(worker, 0).padStart(3)} ${countColumns(counts)}\n`;
  });
  return (
    '       Total Incoming Outgoing         Incoming         Outgoing\n' +
    'CPU    Conns  Packets  Packets            Bytes            Bytes\n' +
    rows.join('') +
    `  ~ ${countColumns(countsOf(totals))}\n\n` +
    '     Conns/s   Pkts/s   Pkts/s          Bytes/s          Bytes/s\n' +
    `    ${countColumns(ratesOf(totals))}\n`
  );
}

type Counts = readonly (number | bigint)[];

function countsOf(totals: Statistics): Counts {
  const { connections, inPackets, outPackets, inBytes, outBytes } = totals;
  return [connections, inPackets, outPackets, inBytes, outBytes];
}

function ratesOf(totals: Statistics): Counts {
  const { connectionRate, inPacketRate, outPacketRate, inByteRate, outByteRate } = totals;
  return [connectionRate, inPacketRate, outPacketRate, inByteRate, outByteRate];
}

/** Three columns of 8 and two of 16, hexadecimal. */
function countColumns(counts: Counts): string {
  const widths = [8, 8, 8, 16, 16];
  return counts.map((count, column) => hex(count, 0).padStart(widths[column])).join(' ');
}

function endpoint(family: Family, address: string, port: number): string {
  const digits = formatHexadecimal(address);
  return `${family === 6 ? `[${digits}]` : digits}:${hex(port, 4)}`;
}

function hex(value: number | bigint, width: number): string {
  return value.toString(16).toUpperCase().padStart(width, '0');
}
