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
import type { DestinationEntry, LocalAddress, ServiceEntry } from '../ipvs/types.ts';
import { endpointName, type Format } from './format.ts';
import { defaultMask, type ListContext } from './list-services.ts';
import { TUNNEL_TYPES } from './options.ts';
import { allSchedulerFlags, hasSchedulerFlags, printedSchedulerFlags } from './scheduler-flags.ts';
import { sortServers, sortServices } from './sort.ts';

/** The options for the checksum of a tunnel, by TUNNEL_*CHECKSUM. */
const CHECKSUM_OPTIONS = ['--tun-nocsum', '--tun-csum', '--tun-remcsum'];

const FORWARD_OPTIONS: ReadonlyMap<number, string> = new Map([
  [FORWARD_NAT, '-m'],
  [FORWARD_TUNNEL, '-i'],
  [FORWARD_LOCAL, '-g'],
  [FORWARD_DIRECT_ROUTE, '-g'],
  [FORWARD_FULL_NAT, '-b'],
]);

/**
 * Prints the commands that make all services and servers anew: -S. They are what ipvsadm 1.31
 * prints, which leaves out thresholds and the timeouts, and mangles large marks; a lossless save
 * has all that, in options that ipvsadm 1.31 reads.
 */
export function saveServices(context: ListContext, format: Format): void {
  const { control, output } = context;
  if (format.isLossless) {
    const { tcp, tcpFin, udp } = control.timeouts();
    output.print(`--set ${tcp} ${tcpFin} ${udp}\n`);
  }
  for (const entry of sortServices(control.services())) saveService(entry, format, context);
}

function saveService(entry: ServiceEntry, format: Format, context: ListContext): void {
  const { control, resolver, output } = context;
  const { key } = entry;
  const service = serviceArguments(entry, format, context);
  const flags = format.isLossless ? losslessFlags(entry) : serviceFlags(entry);
  output.print(`-A ${service} -s ${entry.scheduler}${flags}\n`);
  for (const local of control.localAddresses?.(key) ?? []) {
    output.print(`-P ${service}${localArguments(local)}\n`);
  }
  const protocol = 'mark' in key ? undefined : key.protocol;
  for (const server of sortServers(control.destinations(key))) {
    const name = endpointName(server.key, protocol, format.isNumeric, resolver);
    const rest = serverArguments(server) + (format.isLossless ? thresholds(server) : '');
    output.print(`-a ${service} -r ${name} ${rest}\n`);
  }
}

function serviceArguments(
  { key }: ServiceEntry,
  { isNumeric, isLossless }: Format,
  { resolver }: ListContext,
): string {
  if ('mark' in key) {
    const mark = isLossless ? key.mark : key.mark | 0;
    return `-f ${mark}${key.family === 6 ? ' -6' : ''}`;
  }
  const name = endpointName(key, key.protocol, isNumeric, resolver);
  const option = key.protocol === 'tcp' ? '-t' : key.protocol === 'udp' ? '-u' : '--sctp-service';
  return `${option} ${name}`;
}

function serviceFlags(entry: ServiceEntry): string {
  const { flags, scheduler } = entry;
  const list = hasSchedulerFlags(flags) ? ` -b ${printedSchedulerFlags(flags, scheduler)}` : '';
  return persistence(entry) + engineAndOnePacket(entry) + list;
}

function losslessFlags(entry: ServiceEntry): string {
  const { flags, scheduler } = entry;
  const isPersistent = (flags & SERVICE_PERSISTENT) !== 0;
  const list = hasSchedulerFlags(flags) ? ` -b ${allSchedulerFlags(flags, scheduler)}` : '';
  const mask = isPersistent ? persistence(entry) : maskArgument(entry);
  return mask + engineAndOnePacket(entry) + list;
}

function persistence(entry: ServiceEntry): string {
  if ((entry.flags & SERVICE_PERSISTENT) === 0) return '';
  return ` -p ${entry.persistenceSeconds}${maskArgument(entry)}`;
}

function maskArgument({ key, persistenceMask }: ServiceEntry): string {
  return persistenceMask === defaultMask(key.family) ? '' : ` -M ${persistenceMask}`;
}

function engineAndOnePacket({ engine, flags }: ServiceEntry): string {
  const onePacket = (flags & SERVICE_ONE_PACKET) !== 0 ? ' -o' : '';
  return (engine === '' ? '' : ` --pe ${engine}`) + onePacket;
}

function serverArguments(entry: DestinationEntry): string {
  const forward = FORWARD_OPTIONS.get(entry.forwarding) ?? '(null)';
  const tunnel = entry.forwarding === FORWARD_TUNNEL ? tunnelArguments(entry) : '';
  return `${forward} -w ${entry.weight}${tunnel}`;
}

function tunnelArguments({ tunnelType, tunnelPort, tunnelFlags }: DestinationEntry): string {
  const type = ` --tun-type ${TUNNEL_TYPES[tunnelType]!.name}`;
  const checksum = CHECKSUM_OPTIONS[tunnelFlags] ?? CHECKSUM_OPTIONS[0]!;
  if (tunnelType === TUNNEL_GUE) return `${type} --tun-port ${tunnelPort} ${checksum}`;
  return tunnelType === TUNNEL_GRE ? `${type} ${checksum}` : type;
}

function thresholds({ upperThreshold, lowerThreshold }: DestinationEntry): string {
  const upper = upperThreshold === 0 ? '' : ` -x ${upperThreshold}`;
  return upper + (lowerThreshold === 0 ? '' : ` -y ${lowerThreshold}`);
}

function localArguments({ address, interface: name }: LocalAddress): string {
  return ` -z ${address}${name === '' ? '' : ` -F ${name}`}`;
}
