/** A configuration as the rules of ipvsadm that make the same services. */

import { formatEndpoint } from '../../../../../host/config/address.ts';
import type { Config, DestinationConfig, ServiceConfig } from '../../../../../host/config/types.ts';

/** The rules of a configuration, for `ipvsadm -R`. */
export function rulesOf({ services, director }: Config): string {
  const { tcp, tcpfin, udp } = director.timeouts;
  const lines = services.flatMap((service) => {
    const name = serviceName(service);
    const servers = service.servers.map((server) => `-a ${name} ${serverRule(server)}`);
    return [`-A ${name} ${serviceRule(service)}`, ...servers];
  });
  return [`--set ${tcp / 1_000} ${tcpfin / 1_000} ${udp / 1_000}`, ...lines, ''].join('\n');
}

function serviceName({ listen }: ServiceConfig): string {
  if (listen.kind === 'mark') return `-f ${listen.mark}${listen.family === 6 ? ' -6' : ''}`;
  const option = { tcp: '-t', udp: '-u', sctp: '--sctp-service' }[listen.protocol];
  return `${option} ${formatEndpoint(listen.address, listen.port)}`;
}

function serviceRule(service: ServiceConfig): string {
  const { scheduler, schedulerFlags, persistence, onePacket, listen } = service;
  const flags = schedulerFlags.length > 0 ? ` -b ${schedulerFlags.join(',')}` : '';
  const mask = persistence === undefined ? '' : maskOf(persistence.netmask, listen.family);
  const timeout = persistence === undefined ? '' : ` -p ${persistence.timeout / 1_000} -M ${mask}`;
  return `-s ${scheduler}${flags}${timeout}${onePacket ? ' -o' : ''}`;
}

function maskOf(netmask: number, family: 4 | 6): string {
  if (family === 6) return String(netmask);
  return [24, 16, 8, 0].map((shift) => (netmask >>> shift) & 255).join('.');
}

function serverRule(server: DestinationConfig): string {
  const { address, port, forwarding, weight, upperThreshold, lowerThreshold, tunnel } = server;
  const method = { nat: '-m', 'direct-route': '-g', tunnel: '-i', 'full-nat': '-b' }[forwarding];
  const type = tunnel === undefined || tunnel.type === 'ipip' ? '' : ` --tun-type ${tunnel.type}`;
  const tunnelPort = tunnel?.type === 'gue' ? ` --tun-port ${tunnel.port}` : '';
  const option = { none: '--tun-nocsum', csum: '--tun-csum', remcsum: '--tun-remcsum' };
  const checksum = type === '' || tunnel === undefined ? '' : ` ${option[tunnel.checksum]}`;
  const place = formatEndpoint(address, port);
  const thresholds = ` -x ${upperThreshold} -y ${lowerThreshold}`;
  return `-r ${place} ${method} -w ${weight}${thresholds}${type}${tunnelPort}${checksum}`;
}
