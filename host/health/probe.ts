// What a probe is: one try of one check on one server, with one result. A probe never throws and
// never outlives its result: whatever it opened or started is gone when the promise resolves, be it
// with an answer, at the timeout or because the signal was given.

import { formatEndpoint } from '../config/address.ts';
import type { AddressFamily, CheckConfig, TunnelConfig } from '../config/types.ts';

/** What a probe found. */
export interface ProbeResult {
  readonly ok: boolean;
  /** What was seen, in a few words for an operator: `HTTP 503, expected 200-299`. */
  readonly detail: string;
  readonly latencyMs: number;
  /** The weight the server shall have, from checks that name one. */
  readonly weight?: number;
  /** What its weight shall be more than the configured one, or less. */
  readonly weightChange?: number;
  /**
   * The try failed for want of something on our side (no file descriptors, a source address that is
   * not ours), and says nothing about the server. `ok` is false then, but it counts as no failure.
   */
  readonly isOurs?: boolean;
  /** Ours, and because of the local port: another one may do. */
  readonly isPortTaken?: boolean;
}

/** Where a probe goes. */
export interface ProbeTarget {
  readonly family: AddressFamily;
  readonly address: string;
  readonly port: number;
  /** Asked in place of the address, through the server that has it. */
  readonly virtual?: VirtualTarget;
}

/** A virtual address, and how its packets get to the server. */
export interface VirtualTarget {
  readonly address: string;
  /** undefined: by direct routing. */
  readonly tunnel: TunnelConfig | undefined;
}

/** The address and port that are asked, as in a URL. */
export function askedEndpoint({ address, port, virtual }: ProbeTarget): string {
  return formatEndpoint(virtual?.address ?? address, port);
}

/**
 * One try. The signal ends it early; what it finds does not matter then. A probe over the network
 * comes from `localPort`, if there is one.
 */
export type Probe = (signal: AbortSignal, localPort?: number) => Promise<ProbeResult>;

/** The checks of one type. */
export type CheckOf<Type extends CheckConfig['type']> = Extract<
  CheckConfig,
  { readonly type: Type }
>;
