/**
 * A configuration on its way from another program's words to a WVS configuration file: the values
 * as the file will spell them, each part with the line it comes from.
 */

import type { ForwardingMethod, Protocol, SchedulerFlag, TunnelConfig } from '../config/types.ts';
import type { Origin } from './report.ts';

/** A value as YAML writes it. */
export type PlainValue =
  | string
  | number
  | boolean
  | readonly PlainValue[]
  | { readonly [key: string]: PlainValue | undefined };

/** Keys and values in the order in which the file will have them. */
export type PlainMapping = Readonly<Record<string, PlainValue | undefined>>;

/** A check: the fields of the schema's `check`, with `type` first. */
export interface CheckDraft {
  readonly origin: Origin;
  readonly fields: PlainMapping;
}

/** How packets reach a server. `tunnel` is set for, and only for, the method of that name. */
export interface ForwardingDraft {
  readonly method: ForwardingMethod;
  readonly tunnel?: TunnelDraft;
}

export type TunnelDraft = TunnelConfig;

export interface ServerDraft {
  readonly origin: Origin;
  /** `ADDRESS:PORT`, or the address alone for the service's port. */
  readonly address: string;
  readonly weight: number;
  readonly upperThreshold: number;
  readonly lowerThreshold: number;
  readonly forwarding: ForwardingDraft;
  checks: readonly CheckDraft[];
  /** Where the servers of a service differ. */
  readonly inhibitOnFailure?: boolean | undefined;
  readonly notify?: Readonly<Record<string, readonly string[]>> | undefined;
}

export interface SorryServerDraft {
  readonly origin: Origin;
  readonly address: string;
  readonly forwarding: ForwardingDraft;
  readonly inhibit?: boolean;
}

export interface PersistenceDraft {
  /** As `300s`. */
  readonly timeout: string;
  readonly mask?: string | number | undefined;
  engine?: string | undefined;
}

export interface ServiceDraft {
  readonly origin: Origin;
  readonly name?: string | undefined;
  readonly listen: string;
  readonly scheduler: string;
  schedulerFlags: readonly SchedulerFlag[];
  /** For a service without servers; those that there are say it themselves. */
  readonly forwarding: ForwardingDraft;
  persistence?: PersistenceDraft | undefined;
  onePacket: boolean;
  quorum: number;
  hysteresis: number;
  inhibitOnFailure: boolean;
  readonly omega?: boolean;
  notify?: Readonly<Record<string, readonly string[]>> | undefined;
  sorryServer?: SorryServerDraft | undefined;
  servers: readonly ServerDraft[];
  /** Services of one group differ in where they listen, and are written as one with others. */
  readonly group?: string | undefined;
}

export interface MarkDraft {
  readonly origin: Origin;
  readonly mark: number;
  /** As `192.0.2.80` or `192.0.2.0/24`. */
  readonly destination: string;
  readonly protocol?: Protocol | undefined;
  readonly ports: readonly (number | string)[];
}

/** What the files say about the director itself. */
export interface DirectorDraft {
  readonly interfaces: Set<string>;
  readonly localAddresses: Set<string>;
  timeouts?: Readonly<{ tcp?: string; tcpfin?: string; udp?: string }> | undefined;
}

/** All of it. */
export interface ConfigDraft {
  readonly director: DirectorDraft;
  readonly marks: MarkDraft[];
  readonly services: ServiceDraft[];
}

export function emptyDraft(): ConfigDraft {
  return {
    director: { interfaces: new Set(), localAddresses: new Set() },
    marks: [],
    services: [],
  };
}
