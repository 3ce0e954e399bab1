import { parseDecimal } from './numbers.ts';
import type { Output } from './output.ts';
import type { Resolver } from './resolver.ts';

/** What reading a command line needs besides it. */
export interface ParseContext {
  readonly resolver: Resolver;
  readonly output: Output;
}

/** 31 days, in seconds. */
const TIMEOUT_MAX = 86_400 * 31;

/** Seconds from `min` up to 31 days; anything else ends the run. */
export function parseTimeout(text: string, min: number, output: Output): number {
  const seconds = parseDecimal(text, min, TIMEOUT_MAX);
  if (seconds === undefined) output.fail(`invalid timeout value \`${text}' specified`);
  return seconds;
}
