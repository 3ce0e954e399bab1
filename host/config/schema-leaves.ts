/**
 * The building blocks of the schema: single values such as an address, a duration or a choice
 * of words. Each says what it expects in one phrase; parse.ts adds what it got instead.
 */

import { z } from 'zod';
import { parseAddress, parseEndpoint, parsePort, parsePrefix } from './address.ts';
import { DURATION_PATTERN, formatDuration, parseDuration } from './duration.ts';
import { suggest } from './suggest.ts';

/** The longest timeout ipvsadm accepts, and with it WVS: 31 days. */
export const TIMEOUT_MAX_MS = 31 * 86_400_000;

/** Separates the sentences of one issue that speaks of several keys, in the keys' order. */
export const SENTENCE_SEPARATOR = '\n';

const SECOND_MS = 1_000;

/** A mapping that refuses keys it does not know, each with the known key it resembles. */
export function mapping<Shape extends z.core.$ZodLooseShape>(shape: Shape) {
  const known = Object.keys(shape);
  return z.strictObject(shape, {
    error: (issue) => {
      if (issue.code !== 'unrecognized_keys') return 'expected a mapping';
      return issue.keys.map((key) => unknownKeySentence(key, known)).join(SENTENCE_SEPARATOR);
    },
  });
}

function unknownKeySentence(key: string, known: readonly string[]): string {
  const nearest = suggest(key, known);
  const hint =
    nearest === undefined
      ? `; the keys here are ${known.join(', ')}`
      : `; did you mean "${nearest}"?`;
  return `unknown key "${key}"${hint}`;
}

/** A list of `element`. */
export function list<Element extends z.core.SomeType>(element: Element) {
  return z.array(element, { error: 'expected a list' });
}

/** true or false. */
export function flag() {
  return z.boolean({ error: 'expected true or false' });
}

/** Any text that is not empty. */
export function text(expected: string) {
  const error = `expected ${expected}`;
  return z.string({ error }).min(1, { error });
}

/** Text that matches `pattern` as a whole. */
export function matching(expected: string, pattern: RegExp) {
  const error = `expected ${expected}`;
  return z.string({ error }).regex(pattern, { error });
}

/** A whole number from `min` to `max`, both included. */
export function integer(min: number, max: number) {
  const error = `expected a whole number from ${min} to ${max}`;
  return z.int({ error }).min(min, { error }).max(max, { error });
}

/** A whole number that may be written with underscores between its digits: 1_000_000. */
export function count(min: number, max: number) {
  const expected = `a whole number from ${min} to ${max}`;
  return scalar(expected, /^\d+(_\d+)*$/, (value) => {
    const number = Number(value.replaceAll('_', ''));
    return Number.isInteger(number) && number >= min && number <= max ? number : undefined;
  });
}

/** One of `words`. */
export function choice<const Words extends readonly [string, ...string[]]>(words: Words) {
  return z.enum(words, { error: `expected one of ${words.join(', ')}` });
}

/** One of the words that are keys of `meanings`, turned into what it means. */
export function aliasedChoice<Meaning extends string>(meanings: Readonly<Record<string, Meaning>>) {
  const canonical = [...new Set(Object.values(meanings))];
  return z
    .enum(Object.keys(meanings), { error: `expected one of ${canonical.join(', ')}` })
    .transform((word): Meaning => meanings[word]!);
}

/**
 * A value written as text or as a bare number, which YAML turns into a number by itself.
 * `pattern` is what editors check through the JSON Schema; `parse` has the last word.
 */
export function scalar<Value>(
  expected: string,
  pattern: RegExp,
  parse: (value: string) => Value | undefined,
) {
  const error = `expected ${expected}`;
  return z
    .union([z.string({ error }).regex(pattern, { error }), z.number({ error })], { error })
    .transform((value, context): Value => parseInto(String(value), parse, { error, context }));
}

/** A value that only text can express. */
export function parsedText<Value>(expected: string, parse: (value: string) => Value | undefined) {
  const error = `expected ${expected}`;
  return z
    .string({ error })
    .transform((value, context): Value => parseInto(value, parse, { error, context }));
}

function parseInto<Value>(
  value: string,
  parse: (value: string) => Value | undefined,
  { error, context }: { error: string; context: z.core.$RefinementCtx },
): Value {
  const parsed = parse(value);
  if (parsed !== undefined) return parsed;
  context.addIssue({ code: 'custom', message: error, input: value });
  return z.NEVER;
}

/** A duration in milliseconds, from `min` to `max`. */
export function duration(min = 0, max = TIMEOUT_MAX_MS) {
  const expected =
    `a duration such as 300s, 2m or 100ms, ` +
    `from ${formatDuration(min)} to ${formatDuration(max)}`;
  return scalar(expected, DURATION_PATTERN, (value) => {
    const milliseconds = parseDuration(value);
    const isInRange = milliseconds !== undefined && milliseconds >= min && milliseconds <= max;
    return isInRange ? milliseconds : undefined;
  });
}

/** A duration as IPVS keeps it: whole seconds, one at least. The value is in milliseconds. */
export function wholeSeconds() {
  const expected = 'a duration of whole seconds such as 300s or 2m, from 1s to 31d';
  return scalar(expected, DURATION_PATTERN, (value) => {
    const milliseconds = parseDuration(value);
    if (milliseconds === undefined || milliseconds % SECOND_MS !== 0) return undefined;
    return milliseconds >= SECOND_MS && milliseconds <= TIMEOUT_MAX_MS ? milliseconds : undefined;
  });
}

/** An IPv4 or IPv6 address. */
export function address() {
  return parsedText('an IPv4 or IPv6 address', parseAddress);
}

/** An address with a prefix length; a bare address is a single host. */
export function prefix() {
  return parsedText('an address with a prefix length such as 192.0.2.0/24', parsePrefix);
}

/** An address with an optional port. */
export function endpoint() {
  return parsedText("ADDRESS:PORT such as 10.0.0.11:80 or '[2001:db8::11]:80'", parseEndpoint);
}

/** An address with a port that must be there and not be 0. */
export function fullEndpoint() {
  return parsedText("ADDRESS:PORT such as 127.0.0.1:9464 or '[::1]:9464'", (value) => {
    const parsed = parseEndpoint(value);
    if (parsed?.port === undefined || parsed.port === 0) return undefined;
    return { family: parsed.family, address: parsed.address, port: parsed.port };
  });
}

/** First and last port of a range; a single port is a range of one. */
export interface PortRange {
  readonly first: number;
  readonly last: number;
}

/** A port, or two of them with a dash between. */
export function portRange() {
  return scalar('a port such as 80 or a range such as 8000-8100', /^\d+(-\d+)?$/, parsePortRange);
}

function parsePortRange(value: string): PortRange | undefined {
  const [firstText, lastText = firstText] = value.split('-');
  const first = parsePort(firstText!);
  const last = parsePort(lastText!);
  if (first === undefined || last === undefined) return undefined;
  return first >= 1 && first <= last ? { first, last } : undefined;
}

/** A hardware address, in lower case with colons. */
export function macAddress() {
  return parsedText('a hardware address such as 02:00:00:00:00:01', (value) => {
    const isMac = /^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/i.test(value);
    return isMac ? value.toLowerCase() : undefined;
  });
}
