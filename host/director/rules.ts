// The configuration's words in the control core's: keys and options of services and destinations,
// mark rules, the full-nat source pool. Pure translation.

import {
  FORWARD_DIRECT_ROUTE,
  FORWARD_FULL_NAT,
  FORWARD_NAT,
  FORWARD_TUNNEL,
  PROTOCOL_SCTP,
  PROTOCOL_TCP,
  PROTOCOL_UDP,
  SERVICE_ONE_PACKET,
  SERVICE_PERSISTENT,
  SERVICE_SCHED1,
  SERVICE_SCHED2,
  TUNNEL_CHECKSUM,
  TUNNEL_GRE,
  TUNNEL_GUE,
  TUNNEL_IPIP,
  TUNNEL_NO_CHECKSUM,
  TUNNEL_REMOTE_CHECKSUM,
} from '../../assembly/shared/codes.ts';
import { MARK_PORTS_MAX } from '../../assembly/shared/limits.ts';
import { formatIpv4 } from '../config/address.ts';
import type {
  DestinationConfig,
  DirectorConfig,
  ForwardingMethod,
  Listen,
  MarkRule as MarkConfig,
  Protocol,
  SchedulerFlag,
  ServiceConfig,
  TunnelConfig,
} from '../config/types.ts';
import type {
  DestinationKey,
  DestinationOptions,
  ServiceKey,
  ServiceOptions,
} from '../ipvs/types.ts';
import type { LocalPool, MarkRule, PortRange } from '../tables/world.ts';

const PROTOCOLS: Readonly<Record<Protocol, number>> = {
  tcp: PROTOCOL_TCP,
  udp: PROTOCOL_UDP,
  sctp: PROTOCOL_SCTP,
};

const FORWARDING: Readonly<Record<ForwardingMethod, number>> = {
  nat: FORWARD_NAT,
  'direct-route': FORWARD_DIRECT_ROUTE,
  tunnel: FORWARD_TUNNEL,
  'full-nat': FORWARD_FULL_NAT,
};

/** The configuration's words for the control core's forwarding methods. */
export const FORWARDING_METHODS: ReadonlyMap<number, ForwardingMethod> = new Map(
  Object.entries(FORWARDING).map(([method, code]) => [code, method as ForwardingMethod]),
);

const TUNNEL_TYPES: Readonly<Record<TunnelConfig['type'], number>> = {
  ipip: TUNNEL_IPIP,
  gue: TUNNEL_GUE,
  gre: TUNNEL_GRE,
};

const TUNNEL_FLAGS: Readonly<Record<TunnelConfig['checksum'], number>> = {
  none: TUNNEL_NO_CHECKSUM,
  csum: TUNNEL_CHECKSUM,
  remcsum: TUNNEL_REMOTE_CHECKSUM,
};

const SCHEDULER_FLAGS: Readonly<Record<SchedulerFlag, number>> = {
  'sh-fallback': SERVICE_SCHED1,
  'sh-port': SERVICE_SCHED2,
  'mh-fallback': SERVICE_SCHED1,
  'mh-port': SERVICE_SCHED2,
};

/** A service's key is asked for with each of its servers; the control core knows the object again. */
const serviceKeys = new WeakMap<Listen, ServiceKey>();

/** What identifies a configured service. */
export function serviceKeyOf(listen: Listen): ServiceKey {
  const known = serviceKeys.get(listen);
  if (known !== undefined) return known;
  const key = newServiceKey(listen);
  serviceKeys.set(listen, key);
  return key;
}

function newServiceKey(listen: Listen): ServiceKey {
  if (listen.kind === 'mark') return { family: listen.family, mark: listen.mark };
  const { family, protocol, address, port } = listen;
  return { family, protocol, address, port };
}

/** What a configured service is asked to be. */
export function serviceOptionsOf(service: ServiceConfig): ServiceOptions {
  const { persistence, scheduler, schedulerFlags, onePacket, listen } = service;
  let flags = onePacket ? SERVICE_ONE_PACKET : 0;
  for (const flag of schedulerFlags) flags |= SCHEDULER_FLAGS[flag];
  if (persistence === undefined) {
    return { scheduler, flags, persistenceSeconds: 0, persistenceMask: '', engine: '' };
  }
  const { netmask, timeout, engine } = persistence;
  return {
    scheduler,
    flags: flags | SERVICE_PERSISTENT,
    persistenceSeconds: timeout / 1000,
    persistenceMask: listen.family === 4 ? formatIpv4(netmask) : String(netmask),
    engine: engine ?? '',
  };
}

/** What identifies a configured destination inside its service. */
export function destinationKeyOf({ family, address, port }: DestinationConfig): DestinationKey {
  return { family, address, port };
}

/** What a configured destination is asked to be. */
export function destinationOptionsOf(destination: DestinationConfig): DestinationOptions {
  const { forwarding, weight, upperThreshold, lowerThreshold, tunnel } = destination;
  return {
    forwarding: FORWARDING[forwarding],
    weight,
    upperThreshold,
    lowerThreshold,
    tunnelType: tunnel === undefined ? TUNNEL_IPIP : TUNNEL_TYPES[tunnel.type],
    tunnelPort: tunnel?.port ?? 0,
    tunnelFlags: tunnel === undefined ? TUNNEL_NO_CHECKSUM : TUNNEL_FLAGS[tunnel.checksum],
  };
}

/** The configured rules; one with more ports than a rule of the tables holds becomes several. */
export function markRulesOf(rules: readonly MarkConfig[]): MarkRule[] {
  return rules.flatMap(({ mark, destination, protocol, ports }) => {
    const { family, address, prefixLength } = destination;
    const base = {
      family,
      mark,
      protocol: protocol === undefined ? 0 : PROTOCOLS[protocol],
      destination: { address, prefixLength },
    };
    const ranges = ports.map(({ first, last }): PortRange => [first, last]);
    const count = Math.max(1, Math.ceil(ranges.length / MARK_PORTS_MAX));
    return Array.from({ length: count }, (_, index) => ({
      ...base,
      ports: ranges.slice(index * MARK_PORTS_MAX, (index + 1) * MARK_PORTS_MAX),
    }));
  });
}

const NO_PORTS: PortRange = [1, 0];

/**
 * The full-nat source pool. Ports that the director's own connections may get by chance are left
 * out, unless nothing else would be left.
 * @param ephemeral net.ipv4.ip_local_port_range
 */
export function localPoolOf(config: DirectorConfig, ephemeral: PortRange): LocalPool {
  const { first, last } = config.localPorts;
  const below: PortRange = [first, Math.min(last, ephemeral[0] - 1)];
  const above: PortRange = [Math.max(first, ephemeral[1] + 1), last];
  const isEmpty = (range: PortRange) => range[0] > range[1];
  const all: PortRange = [first, last];
  const portRanges: LocalPool['portRanges'] =
    isEmpty(below) && isEmpty(above) ? [all, NO_PORTS] : [below, above];
  return { addresses: config.localAddresses, portRanges };
}
