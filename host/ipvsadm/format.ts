import type { ServiceProtocol } from '../ipvs/types.ts';
import { printedAddress } from './address-text.ts';
import type { CheckedOption } from './options.ts';
import type { Resolver } from './resolver.ts';

/** ipvsadm's room for an address with its port. */
const NAME_LENGTH_MAX = 59;

/** How a listing is to look. */
export interface Format {
  readonly isNumeric: boolean;
  /** Lines for -R to read. */
  readonly isRule: boolean;
  /** Rules that keep what ipvsadm's lose. */
  readonly isLossless: boolean;
  readonly isExact: boolean;
  readonly isSorted: boolean;
  readonly columns: Columns;
}

/** Which columns a listing has. */
export type Columns = 'plain' | 'stats' | 'rate' | 'thresholds' | 'persistent-conn' | 'tun-info';

/** In the order in which one hides the others. */
const COLUMN_OPTIONS = ['stats', 'rate', 'thresholds', 'persistent-conn', 'tun-info'] as const;

/** The format that options ask for. */
export function formatOf(given: ReadonlySet<CheckedOption>, isRule: boolean): Format {
  return {
    isNumeric: given.has('numeric'),
    isRule,
    isLossless: given.has('lossless'),
    isExact: given.has('exact'),
    isSorted: !given.has('nosort'),
    columns: COLUMN_OPTIONS.find((option) => given.has(option)) ?? 'plain',
  };
}

/** An address with its port, in numbers or by names. */
export function endpointName(
  endpoint: { readonly address: string; readonly port: number },
  protocol: ServiceProtocol | undefined,
  isNumeric: boolean,
  resolver: Resolver,
): string {
  const { address, port } = endpoint;
  const host = isNumeric ? undefined : resolver.hostOfAddress(address);
  const service =
    isNumeric || protocol === undefined ? undefined : resolver.serviceOfPort(port, protocol);
  const place = host ?? printedAddress(address);
  const bracketed = address.includes(':') ? `[${place}]` : place;
  return `${bracketed}:${service ?? port}`.slice(0, NAME_LENGTH_MAX);
}

const THOUSAND = 1_000n;
const MILLION = 1_000_000n;
const BILLION = 1_000_000_000n;
const TRILLION = 1_000_000_000_000n;

/** A counter in its column of 9, with a letter from 100 million on unless it is to be exact. */
export function largeNumber(value: bigint, isExact: boolean): string {
  const exact = String(value);
  if (isExact) return exact.padStart(exact.length <= 8 ? 9 : exact.length + 1);
  if (value < 100n * MILLION) return exact.padStart(9);
  if (value < BILLION) return `${String(value / THOUSAND).padStart(8)}K`;
  if (value < 100n * BILLION) return `${String(value / MILLION).padStart(8)}M`;
  if (value < 100n * TRILLION) return `${String(value / BILLION).padStart(8)}G`;
  return `${String(value / TRILLION).padStart(8)}T`;
}
