/**
 * A configuration as the rest of the director sees it: every default filled in, addresses in
 * canonical spelling, ports as numbers, durations in milliseconds, all of it frozen. What a
 * file may contain is defined in schema.ts, from which these types take their leaves.
 *
 * Nothing here is running state: health, counters and connections are other types, joined to
 * these by the keys of services and destinations.
 */

import type { AddressFamily } from './address.ts';
import type {
  FORWARDING_METHODS,
  Listen,
  NotifySection,
  PROTOCOLS,
  SCHEDULER_FLAGS,
  SCHEDULERS,
  SysctlSection,
  TimeoutsSection,
} from './schema.ts';
import type { CheckSection } from './schema-checks.ts';
import type { PortRange } from './schema-leaves.ts';

export type { AddressFamily } from './address.ts';
export type { Listen } from './schema.ts';
export type { PortRange } from './schema-leaves.ts';

export type SchedulerName = (typeof SCHEDULERS)[number];
export type SchedulerFlag = (typeof SCHEDULER_FLAGS)[number];
export type Protocol = (typeof PROTOCOLS)[number];
export type ForwardingMethod = (typeof FORWARDING_METHODS)[number];
export type SysctlSettings = Readonly<SysctlSection>;
export type SysctlName = keyof SysctlSection;
/** The timeouts of `ipvsadm --set`, in milliseconds. */
export type Timeouts = Readonly<TimeoutsSection>;
export type NotifyCommands = Readonly<NotifySection>;

/** A place in a configuration file; both numbers start at 1. */
export interface SourcePosition {
  readonly line: number;
  readonly column: number;
}

/** Something wrong, or for a warning something odd, in a configuration file. */
export interface ConfigProblem extends SourcePosition {
  readonly file: string;
  /** The key it is about, as in `services[0].servers[1].weight`; empty for the whole file. */
  readonly path: string;
  /** A stable name of the kind of problem, for programs. */
  readonly code: string;
  readonly message: string;
}

/** A whole configuration. */
export interface Config {
  readonly file: string;
  readonly director: DirectorConfig;
  readonly marks: readonly MarkRule[];
  readonly services: readonly ServiceConfig[];
}

/** The director itself. */
export interface DirectorConfig {
  readonly ports: readonly PortConfig[];
  readonly workers: number | 'auto';
  readonly connections: number;
  readonly localAddresses: readonly AddressConfig[];
  readonly localPorts: PortRange;
  readonly control: string;
  readonly metrics: EndpointConfig | undefined;
  readonly busyPoll: boolean;
  readonly hz: number;
  readonly healthMaxInFlight: number;
  /** For services that do not say otherwise. */
  readonly drainTimeout: number;
  /** Take the file over when it changes. */
  readonly watch: boolean;
  readonly sysctl: SysctlSettings;
  readonly timeouts: Timeouts;
  readonly world: WorldConfig | undefined;
}

/** An address in canonical spelling. */
export interface AddressConfig {
  readonly family: AddressFamily;
  readonly address: string;
}

/** An address and a port. */
export interface EndpointConfig extends AddressConfig {
  readonly port: number;
}

/** An address and the length of its network's prefix. */
export interface PrefixConfig extends AddressConfig {
  readonly prefixLength: number;
}

/** A network interface the director owns queues of. */
export interface PortConfig {
  readonly name: string;
  readonly interface: string;
  /** How many queues to use; undefined: as many as the interface has. */
  readonly queues: number | undefined;
  readonly xdp: 'auto' | 'native' | 'generic';
  readonly zeroCopy: 'auto' | 'on' | 'off';
}

/** What replay has instead of the kernel's addresses, neighbours and routes. */
export interface WorldConfig {
  readonly ports: readonly WorldPort[];
  readonly neighbours: readonly WorldNeighbour[];
  readonly routes: readonly WorldRoute[];
}

export interface WorldPort {
  readonly name: string;
  readonly mac: string;
  readonly mtu: number;
  readonly addresses: readonly PrefixConfig[];
}

export interface WorldNeighbour extends AddressConfig {
  readonly port: string;
  readonly mac: string;
}

export interface WorldRoute {
  readonly to: PrefixConfig;
  readonly via: AddressConfig | undefined;
  readonly port: string;
}

/** Packets to `destination` get `mark`. */
export interface MarkRule {
  readonly mark: number;
  readonly destination: PrefixConfig;
  /** undefined: every protocol. */
  readonly protocol: Protocol | undefined;
  /** Destination ports; empty: all of them. */
  readonly ports: readonly PortRange[];
  readonly position?: SourcePosition;
}

/** A virtual service with its destinations. */
export interface ServiceConfig {
  /** `tcp 192.0.2.80:80` or `mark 6666`: what the service is, whatever its name. */
  readonly key: string;
  readonly name: string;
  readonly listen: Listen;
  readonly scheduler: SchedulerName;
  readonly schedulerFlags: readonly SchedulerFlag[];
  readonly persistence: PersistenceConfig | undefined;
  readonly onePacket: boolean;
  readonly quorum: number;
  readonly hysteresis: number;
  readonly sorryServer: DestinationConfig | undefined;
  /** The sorry server keeps a place with weight 0 while it is not needed. */
  readonly sorryServerInhibit: boolean;
  readonly inhibitOnFailure: boolean;
  /** When the director stops, notify commands run for what was up. */
  readonly omega: boolean;
  readonly notify: NotifyCommands;
  /** How long a server taken out of the file may drain; 0: it is removed at once. */
  readonly drainTimeout: number;
  readonly servers: readonly DestinationConfig[];
  readonly position?: SourcePosition;
  /** Lines to add to the positions of the servers: text above the service has come or gone. */
  readonly lineShift?: number;
}

/** Persistence of a service. */
export interface PersistenceConfig {
  readonly timeout: number;
  /** IPv4: the mask as a number in host order; IPv6: the length of the prefix. */
  readonly netmask: number;
  readonly engine: 'sip' | undefined;
}

/** A real server as used by one service. */
export interface DestinationConfig extends EndpointConfig {
  /** `10.0.0.11:80`: what the destination is within its service. */
  readonly key: string;
  readonly weight: number;
  readonly upperThreshold: number;
  readonly lowerThreshold: number;
  readonly forwarding: ForwardingMethod;
  /** Only for the forwarding method `tunnel`, and then always. */
  readonly tunnel: TunnelConfig | undefined;
  /** All of them must succeed; without any the server is not checked, and counts as up. */
  readonly checks: readonly CheckConfig[];
  /** undefined: as the service. */
  readonly inhibitOnFailure: boolean | undefined;
  /** In place of the service's. */
  readonly notify: Pick<NotifyCommands, 'serverUp' | 'serverDown'> | undefined;
  readonly position?: SourcePosition;
}

/** The outer header of a tunnel. */
export interface TunnelConfig {
  readonly type: 'ipip' | 'gue' | 'gre';
  /** Destination port of GUE, otherwise 0. */
  readonly port: number;
  readonly checksum: 'none' | 'csum' | 'remcsum';
}

/** When a check probes, and how often it must succeed or fail to change a state. */
export interface CheckTiming {
  readonly interval: number;
  readonly timeout: number;
  readonly rise: number;
  readonly fall: number;
  readonly retryDelay: number;
  readonly jitter: number;
  readonly warmUp: number;
}

type CheckedSection = Exclude<CheckSection, { type: 'none' }>;

/** A check with its timing filled in; told apart by `type`. */
export type CheckConfig = CheckedSection extends infer Check
  ? Check extends CheckedSection
    ? Readonly<Omit<Check, keyof CheckTiming>> & CheckTiming
    : never
  : never;
