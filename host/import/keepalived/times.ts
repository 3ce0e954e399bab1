/**
 * When keepalived probes. Each time may be said of a virtual server, of a real server and of a
 * checker; the innermost one holds, and each checker has defaults of its own.
 */

import { formatDuration } from '../../config/duration.ts';
import type { PlainMapping } from '../model.ts';
import type { Statement } from './blocks.ts';
import type { Handlers, Values } from './values.ts';

/** What one block says; times are in milliseconds. */
export interface CheckTimes {
  connectTimeout?: number | undefined;
  retry?: number | undefined;
  delayBeforeRetry?: number | undefined;
  warmup?: number | undefined;
  delayLoop?: number | undefined;
  /** A server is down until its first success. */
  alpha?: boolean | undefined;
}

/** What holds for a checker when nobody says anything. */
export interface CheckDefaults {
  readonly retry: number;
  /** undefined: the delay_loop. */
  readonly delayBeforeRetry: number | undefined;
}

const DEFAULT_DELAY_LOOP = 60_000;
const DEFAULT_CONNECT_TIMEOUT = 5_000;
const RETRY_MAX = 0xffff_ffff;
const DAY = 86_400_000;
/** The limits of keepalived, in milliseconds; it keeps microseconds. */
const POSITIVE = { min: 0.001, max: Number.MAX_SAFE_INTEGER };
const NOT_NEGATIVE = { min: 0, max: Number.MAX_SAFE_INTEGER };

/** The keywords that fill in `times`. */
export function timeHandlers(times: CheckTimes, values: Values): Handlers {
  return {
    connect_timeout: (statement) => {
      const limits = { min: 0.001, max: 4_294_967 };
      times.connectTimeout = values.time(statement, limits) ?? times.connectTimeout;
    },
    retry: (statement) => {
      times.retry = values.number(statement, { min: 0, max: RETRY_MAX }) ?? times.retry;
    },
    delay_before_retry: (statement) => {
      times.delayBeforeRetry = values.time(statement, NOT_NEGATIVE) ?? times.delayBeforeRetry;
    },
    warmup: (statement) => {
      times.warmup = values.time(statement, NOT_NEGATIVE) ?? times.warmup;
    },
    delay_loop: (statement) => {
      times.delayLoop = values.time(statement, POSITIVE) ?? times.delayLoop;
    },
    alpha: (statement) => {
      times.alpha = values.flag(statement) ?? times.alpha;
    },
  };
}

/** What to make of the times of a checker. */
export interface TimesInput {
  /** From the innermost block outwards. */
  readonly blocks: readonly CheckTimes[];
  readonly defaults: CheckDefaults;
  /** Instead of connect_timeout, for checkers that do not connect. */
  readonly timeout?: number | undefined;
  readonly statement: Statement;
}

/** The times of a check as WVS spells them. */
export function timingOf(input: TimesInput, values: Values): PlainMapping {
  const { blocks, defaults, statement } = input;
  const first = (key: Exclude<keyof CheckTimes, 'alpha'>) =>
    blocks.find((times) => times[key] !== undefined)?.[key];
  const isAlpha = blocks.find(({ alpha }) => alpha !== undefined)?.alpha;
  const clamp = (name: string, milliseconds: number, min: number) => {
    const kept = Math.min(DAY, Math.max(min, milliseconds));
    if (kept !== milliseconds) {
      values.lost(statement, `${name} is ${formatDuration(kept)}, the nearest that WVS has`);
    }
    return formatDuration(kept);
  };
  const delayLoop = first('delayLoop') ?? DEFAULT_DELAY_LOOP;
  const timeout = input.timeout ?? first('connectTimeout') ?? DEFAULT_CONNECT_TIMEOUT;
  const delay = first('delayBeforeRetry') ?? defaults.delayBeforeRetry ?? delayLoop;
  const failures = (first('retry') ?? defaults.retry) + 1;
  const fall = Math.min(failures, 1_000);
  if (fall !== failures) values.lost(statement, 'retry is 999, the most that WVS has');
  return {
    interval: clamp('delay_loop', delayLoop, 100),
    timeout: clamp('the timeout', timeout, 10),
    rise: 1,
    fall,
    retryDelay: clamp('delay_before_retry', delay, 10),
    jitter: '0s',
    warmUp: clamp('warmup', first('warmup') ?? delayLoop, 0),
    alpha: isAlpha || undefined,
  };
}
