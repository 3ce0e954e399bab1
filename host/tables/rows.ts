// What the published tables are made from: one row per service and destination, as the control core
// keeps them. Rows are replaced, never changed in place, so that a bank can be written at any time.

import type { Family } from './hash.ts';

/** A virtual service. */
export interface ServiceRow {
  readonly id: number;
  readonly family: Family;
  /** IANA number, 0 for a mark. */
  readonly protocol: number;
  /** Host order. */
  readonly port: number;
  /** 0 for none. */
  readonly mark: number;
  /** 4 or 16 bytes in network order; all zero for a mark. */
  readonly address: Uint8Array;
  /** SCHEDULER_*, 0 for none. */
  readonly scheduler: number;
  /** SERVICE_* bits. */
  readonly flags: number;
  readonly persistenceTicks: number;
  /** IPv4: the mask's bytes in network order, loaded as a little-endian u32. IPv6: prefix length. */
  readonly persistenceMask: number;
  /** Destination ids in kernel order: newest first. */
  readonly destinations: readonly number[];
  /** The scheduler's table of destination ids, if it has one. */
  readonly schedulerTable: Uint32Array | undefined;
}

/** A destination, in its service's list or in the trash. */
export interface DestinationRow {
  readonly id: number;
  readonly family: Family;
  /** FORWARD_*, TUNNEL_* */
  readonly forwarding: number;
  readonly tunnelType: number;
  readonly tunnelFlags: number;
  /** Host order, as the other ports. */
  readonly tunnelPort: number;
  readonly port: number;
  readonly weight: number;
  readonly lastWeight: number;
  readonly upperThreshold: number;
  readonly lowerThreshold: number;
  /** 0 while in the trash. */
  readonly serviceId: number;
  /** The service's protocol, port and address. */
  readonly protocol: number;
  readonly virtualPort: number;
  readonly virtualAddress: Uint8Array;
  readonly address: Uint8Array;
}

/** A table of fixed size is full; `table` names it for the operator. */
export class TableFullError extends Error {
  readonly code = 'TABLE_FULL';

  constructor(table: string, limit: number) {
    super(`no room for more ${table}: the limit is ${limit}`);
    this.name = 'TableFullError';
  }
}
