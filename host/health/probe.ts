// What a probe is: one try of one check on one server, with one result. A probe never throws and
// never outlives its result: whatever it opened or started is gone when the promise resolves, be it
// with an answer, at the timeout or because the signal was given.

import type { AddressFamily, CheckConfig } from '../config/types.ts';

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
}

/** Where a probe goes. */
export interface ProbeTarget {
  readonly family: AddressFamily;
  readonly address: string;
  readonly port: number;
}

/** One try. The signal ends it early; what it finds does not matter then. */
export type Probe = (signal: AbortSignal) => Promise<ProbeResult>;

/** The checks of one type. */
export type CheckOf<Type extends CheckConfig['type']> = Extract<
  CheckConfig,
  { readonly type: Type }
>;
