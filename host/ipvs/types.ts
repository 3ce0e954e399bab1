// What the control interface of IPVS speaks of: the shapes that ipvsadm, the configuration and the
// recordings all use. They follow include/uapi/linux/ip_vs.h; addresses are canonical text.

export type Family = 4 | 6;

/** Names the kernel's protocol of a service; marks have none. */
export type ServiceProtocol = 'tcp' | 'udp' | 'sctp';

/** What identifies a virtual service. */
export type ServiceKey =
  | {
      readonly family: Family;
      readonly protocol: ServiceProtocol;
      readonly address: string;
      readonly port: number;
    }
  | { readonly family: Family; readonly mark: number };

/** A virtual service as it is asked for. */
export interface ServiceOptions {
  /** Name of a scheduler, e.g. "wlc". */
  readonly scheduler: string;
  /** SERVICE_* bits (assembly/shared/codes.ts). */
  readonly flags: number;
  /** Persistence timeout in seconds; used when SERVICE_PERSISTENT is set. */
  readonly persistenceSeconds: number;
  /** IPv4: dotted mask; IPv6: prefix length as text. */
  readonly persistenceMask: string;
  /** Persistence engine, "" for none. */
  readonly engine: string;
}

/** What identifies a destination inside its service. */
export interface DestinationKey {
  readonly family: Family;
  readonly address: string;
  readonly port: number;
}

/** A destination as it is asked for. */
export interface DestinationOptions {
  /** FORWARD_* (assembly/shared/codes.ts). */
  readonly forwarding: number;
  readonly weight: number;
  readonly upperThreshold: number;
  readonly lowerThreshold: number;
  /** TUNNEL_* type, port and checksum flags. */
  readonly tunnelType: number;
  readonly tunnelPort: number;
  readonly tunnelFlags: number;
}

/** Counters since the last zeroing, as of the estimator's last tick. */
export interface Statistics {
  readonly connections: bigint;
  readonly inPackets: bigint;
  readonly outPackets: bigint;
  readonly inBytes: bigint;
  readonly outBytes: bigint;
  readonly connectionRate: number;
  readonly inPacketRate: number;
  readonly outPacketRate: number;
  readonly inByteRate: number;
  readonly outByteRate: number;
}

/** A service as a listing shows it. */
export interface ServiceEntry extends ServiceOptions {
  readonly key: ServiceKey;
  readonly id: number;
  readonly destinationCount: number;
  readonly statistics: Statistics;
}

/** A destination as a listing shows it, newest first as the kernel lists them. */
export interface DestinationEntry extends DestinationOptions {
  readonly key: DestinationKey;
  readonly id: number;
  readonly activeConnections: number;
  readonly inactiveConnections: number;
  readonly persistentConnections: number;
  readonly statistics: Statistics;
}

/** A connection or template as /proc/net/ip_vs_conn shows it. */
export interface ConnectionEntry {
  /** IANA number; 0 (IP) for the template of a mark. */
  readonly protocol: number;
  readonly family: Family;
  readonly clientAddress: string;
  readonly clientPort: number;
  readonly virtualAddress: string;
  readonly virtualPort: number;
  readonly destinationFamily: Family;
  readonly destinationAddress: string;
  readonly destinationPort: number;
  /** "ESTABLISHED", "NONE", ... */
  readonly state: string;
  readonly expiresSeconds: number;
  /** Persistence engine and its data, "" for none. */
  readonly engine: string;
  readonly engineData: string;
  readonly origin: 'LOCAL' | 'SYNC';
}

/** An address that full-nat connections of a service are sent from. */
export interface LocalAddress {
  readonly address: string;
  /** The interface it was added for, "" for any. */
  readonly interface: string;
}

/** Timeouts in seconds. */
export interface Timeouts {
  readonly tcp: number;
  readonly tcpFin: number;
  readonly udp: number;
}

/** Errors the control interface answers with, by the kernel's names. */
export type IpvsErrorCode =
  | 'EEXIST'
  | 'ESRCH'
  | 'ENOENT'
  | 'EINVAL'
  | 'ERANGE'
  | 'ENOMEM'
  | 'EPERM'
  | 'EOPNOTSUPP'
  | 'EAFNOSUPPORT';

/** A refused control operation. */
export class IpvsError extends Error {
  readonly code: IpvsErrorCode;

  constructor(code: IpvsErrorCode, message: string) {
    super(message);
    this.name = 'IpvsError';
    this.code = code;
  }
}

/**
 * The control interface (net/netfilter/ipvs/ip_vs_ctl.c). Every change is published to the workers
 * before the call returns, unless it runs inside batch().
 */
export interface IpvsControl {
  addService(key: ServiceKey, options: ServiceOptions): void;
  editService(key: ServiceKey, options: ServiceOptions): void;
  deleteService(key: ServiceKey): void;
  /** Removes every service. */
  flush(): void;
  /** Zeroes one service's counters, or all. */
  zero(key?: ServiceKey): void;
  addDestination(service: ServiceKey, key: DestinationKey, options: DestinationOptions): void;
  editDestination(service: ServiceKey, key: DestinationKey, options: DestinationOptions): void;
  deleteDestination(service: ServiceKey, key: DestinationKey): void;
  /** 0 keeps a value. */
  setTimeouts(timeouts: Timeouts): void;
  timeouts(): Timeouts;
  /** Name without the "net.ipv4.vs." prefix; value as sysctl(8) writes it. */
  setSysctl(name: string, value: string): void;
  sysctl(name: string): string;
  sysctlNames(): readonly string[];
  /** In the order of the kernel's hash table walk. */
  services(): readonly ServiceEntry[];
  service(key: ServiceKey): ServiceEntry | undefined;
  destinations(service: ServiceKey): readonly DestinationEntry[];
  connections(): readonly ConnectionEntry[];
  totals(): Statistics;
  /** Size of the connection hash table as ipvsadm prints it (4096 unless configured). */
  readonly tableSize: number;
  /** Runs several changes and publishes once. */
  batch<T>(changes: () => T): T;
}
