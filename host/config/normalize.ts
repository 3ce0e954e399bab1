/**
 * Fills in what a file leaves out: a server takes from its service, a service from `defaults`,
 * and all from what an LVS administrator expects (wlc, direct-route, weight 1, as ipvsadm).
 */

import { addressBits, parsePrefix } from './address.ts';
import { destinationKey, serviceKey } from './keys.ts';
import { normalizeChecks, type OuterChecks } from './normalize-checks.ts';
import type {
  DefaultsSection,
  DirectorSection,
  MarkSection,
  ParsedMask,
  ServerSection,
  ServiceSection,
  TunnelSection,
} from './schema.ts';
import { DEFAULT_DRAIN_TIMEOUT_MS, sysctlSchema, timeoutsSchema } from './schema.ts';
import type {
  AddressFamily,
  CheckConfig,
  DestinationConfig,
  DirectorConfig,
  ForwardingMethod,
  Listen,
  MarkRule,
  PersistenceConfig,
  PrefixConfig,
  ServiceConfig,
  SourcePosition,
  TunnelConfig,
  WorldConfig,
} from './types.ts';

export const DEFAULT_CONTROL_SOCKET = '/run/wvs/wvs.sock';
export const DEFAULT_CONNECTIONS = 1_000_000;
export const DEFAULT_HZ = 100;
export const DEFAULT_PERSISTENCE_TIMEOUT_MS = 300_000;
export const DEFAULT_LOCAL_PORTS = { first: 1024, last: 65535 };
export const DEFAULT_MTU = 1500;
const DEFAULT_MAX_IN_FLIGHT = 1024;

/** The director, with the defaults filled in. */
export function normalizeDirector(section: DirectorSection): DirectorConfig {
  return {
    ports: section.ports.map((port) => ({
      name: port.name,
      interface: port.interface ?? port.name,
      queues: port.queues,
      xdp: port.xdp ?? 'auto',
      zeroCopy: port.zeroCopy ?? 'auto',
    })),
    workers: section.workers ?? 'auto',
    connections: section.connections ?? DEFAULT_CONNECTIONS,
    localAddresses: section.localAddresses ?? [],
    localPorts: section.localPorts ?? DEFAULT_LOCAL_PORTS,
    control: section.control ?? DEFAULT_CONTROL_SOCKET,
    metrics: section.metrics,
    busyPoll: section.busyPoll ?? false,
    hz: section.hz ?? DEFAULT_HZ,
    healthMaxInFlight: section.health?.maxInFlight ?? DEFAULT_MAX_IN_FLIGHT,
    drainTimeout: section.drain ?? DEFAULT_DRAIN_TIMEOUT_MS,
    watch: section.watch ?? true,
    sysctl: section.sysctl ?? sysctlSchema.parse({}),
    timeouts: section.timeouts ?? timeoutsSchema.parse({}),
    world: section.world && normalizeWorld(section.world),
  };
}

function normalizeWorld(world: NonNullable<DirectorSection['world']>): WorldConfig {
  return {
    ports: Object.entries(world.ports ?? {}).map(([name, port]) => ({
      name,
      mac: port.mac,
      mtu: port.mtu ?? DEFAULT_MTU,
      addresses: port.addresses ?? [],
    })),
    neighbours: (world.neighbours ?? []).map(({ port, address, mac }) => ({
      port,
      ...address,
      mac,
    })),
    routes: (world.routes ?? []).map(({ to, via, port }) => ({
      to: to === 'default' ? defaultRoute(via?.family ?? 4) : to,
      via,
      port,
    })),
  };
}

function defaultRoute(family: AddressFamily): PrefixConfig {
  return parsePrefix(family === 4 ? '0.0.0.0/0' : '::/0')!;
}

/** A rule that marks packets. */
export function normalizeMark(section: MarkSection, position: SourcePosition): MarkRule {
  return {
    mark: section.mark,
    destination: section.destination,
    protocol: section.protocol,
    ports: section.ports ?? [],
    position,
  };
}

/** Where the parts of a service stand in the file. */
export interface ServicePositions {
  readonly service: SourcePosition;
  readonly servers: readonly SourcePosition[];
}

/** A service, with whatever it does not say taken from `defaults`. */
export function normalizeService(
  section: ServiceSection,
  defaults: DefaultsSection,
  positions: ServicePositions,
): ServiceConfig {
  const { listen } = section;
  const key = serviceKey(listen);
  const outer: OuterChecks = {
    lists: [section.check, defaults.check],
    alpha: section.alpha,
  };
  const common: ServerDefaults = {
    listen,
    forwarding: section.forwarding ?? defaults.forwarding ?? 'direct-route',
    tunnel: section.tunnel ?? defaults.tunnel,
    weight: defaults.weight ?? 1,
    outerChecks: outer,
    checks: normalizeChecks(undefined, outer),
  };
  return {
    key,
    name: section.name ?? key,
    listen,
    scheduler: section.scheduler ?? defaults.scheduler ?? 'wlc',
    schedulerFlags: schedulerFlags(section, defaults),
    persistence: section.persistence && normalizePersistence(section.persistence, listen.family),
    onePacket: section.onePacket ?? false,
    quorum: section.quorum ?? 1,
    hysteresis: section.hysteresis ?? 0,
    sorryServer: section.sorryServer && normalizeSorryServer(section.sorryServer, common),
    sorryServerInhibit: isInhibited(section.sorryServer),
    inhibitOnFailure: section.inhibitOnFailure ?? false,
    omega: section.omega ?? false,
    notify: section.notify ?? {},
    drainTimeout: section.drain ?? defaults.drain ?? DEFAULT_DRAIN_TIMEOUT_MS,
    servers: (section.servers ?? []).map((server, index) => ({
      ...normalizeServer(server, common),
      position: positions.servers[index]!,
    })),
    position: positions.service,
  };
}

function schedulerFlags(section: ServiceSection, defaults: DefaultsSection) {
  if (section.schedulerFlags !== undefined) return [...new Set(section.schedulerFlags)].sort();
  // Flags belong to a scheduler: a service with another one does not inherit them.
  const isInherited = section.scheduler === undefined || section.scheduler === defaults.scheduler;
  return isInherited ? [...new Set(defaults.schedulerFlags)].sort() : [];
}

interface ServerDefaults {
  readonly listen: Listen;
  readonly forwarding: ForwardingMethod;
  readonly tunnel: TunnelSection | undefined;
  readonly weight: number;
  readonly outerChecks: OuterChecks;
  /** What these checks amount to, for all servers that have none of their own. */
  readonly checks: readonly CheckConfig[];
}

function normalizeServer(server: ServerSection, defaults: ServerDefaults): DestinationConfig {
  const { family, address } = server.address;
  const port = server.address.port ?? defaultPort(defaults.listen);
  const forwarding = server.forwarding ?? defaults.forwarding;
  return {
    key: destinationKey(address, port),
    family,
    address,
    port,
    weight: server.weight ?? defaults.weight,
    upperThreshold: server.upperThreshold ?? 0,
    lowerThreshold: server.lowerThreshold ?? 0,
    forwarding,
    tunnel: normalizeTunnel(forwarding, server.tunnel ?? defaults.tunnel),
    checks:
      server.check === undefined
        ? defaults.checks
        : normalizeChecks(server.check, defaults.outerChecks),
    inhibitOnFailure: server.inhibitOnFailure,
    notify: server.notify,
  };
}

/** As ipvsadm: a server without a port has the service's. */
function defaultPort(listen: Listen): number {
  return listen.kind === 'mark' ? 0 : listen.port;
}

function normalizeSorryServer(
  section: NonNullable<ServiceSection['sorryServer']>,
  defaults: ServerDefaults,
): DestinationConfig {
  const server: ServerSection = 'family' in section ? { address: section } : section;
  return normalizeServer(server, { ...defaults, weight: 1, checks: [] });
}

function isInhibited(section: ServiceSection['sorryServer']): boolean {
  return section !== undefined && 'inhibit' in section && section.inhibit === true;
}

function normalizeTunnel(
  forwarding: ForwardingMethod,
  section: TunnelSection | undefined,
): TunnelConfig | undefined {
  if (forwarding !== 'tunnel') return undefined;
  return {
    type: section?.type ?? 'ipip',
    port: section?.port ?? 0,
    checksum: section?.checksum ?? 'none',
  };
}

function normalizePersistence(
  section: NonNullable<ServiceSection['persistence']>,
  family: AddressFamily,
): PersistenceConfig {
  return {
    timeout: section.timeout ?? DEFAULT_PERSISTENCE_TIMEOUT_MS,
    netmask: netmaskOf(section.mask, family) ?? 0,
    engine: section.engine,
  };
}

/**
 * The mask as persistence keeps it, or undefined when it does not fit the family: a dotted
 * mask means nothing to IPv6, and no IPv4 prefix is longer than 32.
 */
export function netmaskOf(mask: ParsedMask | undefined, family: AddressFamily): number | undefined {
  const bits = addressBits(family);
  if (mask === undefined) return family === 4 ? 0xffffffff : bits;
  if (mask.kind === 'dotted') return family === 4 ? mask.netmask : undefined;
  if (mask.prefixLength > bits) return undefined;
  return family === 4 ? (0xffffffff << (32 - mask.prefixLength)) >>> 0 : mask.prefixLength;
}
