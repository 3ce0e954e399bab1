/** `~SEQ(...)` and `~LST(...)`: a line that is there once for each value of a list. */

/** What is assigned in each turn, and the line that is repeated. */
export interface Repetition {
  readonly turns: readonly (readonly (readonly [name: string, value: string])[])[];
  readonly line: string;
}

const TURNS_MAX = 65_536;
const NAME = /^[A-Za-z_]\w*$/;
const NUMBER = /^-?(0[xX][0-9a-fA-F]+|\d+)$/;

/** Whether a line starts with one of the two. */
export function isRepeated(line: string): boolean {
  return /^~(SEQ|LST)/.test(line);
}

/** Reads a line that isRepeated(), its parameters between the parentheses already replaced. */
export function parseRepetition(line: string): Repetition | undefined {
  const match = /^~(SEQx?|LST)\(([^)]*)\)[ \t]*(.*)$/.exec(line);
  if (match === null) return undefined;
  const [, keyword, inner, rest] = match;
  const turns = keyword === 'LST' ? listTurns(inner!) : sequenceTurns(inner!, keyword === 'SEQx');
  return turns === undefined || rest === '' ? undefined : { turns, line: rest! };
}

function sequenceTurns(inner: string, isHex: boolean): Repetition['turns'] | undefined {
  const [name, ...texts] = inner.split(',').map((part) => part.trim());
  if (!NAME.test(name!) || texts.length < 1 || texts.length > 3) return undefined;
  if (!texts.every((text) => NUMBER.test(text))) return undefined;
  const numbers = texts.map(parseNumber);
  const end = numbers.at(-1)!;
  const start = numbers.length > 1 ? numbers[0]! : end > 0 ? 1 : -1;
  const step = numbers.length > 2 ? numbers[1]! : end >= start ? 1 : -1;
  const isBackward = (end > start && step < 0) || (end < start && step > 0);
  const count = step === 0 ? Number.POSITIVE_INFINITY : Math.floor((end - start) / step) + 1;
  if (step === 0 || isBackward || count > TURNS_MAX) return undefined;
  if (isHex && (start < 0 || end < 0)) return undefined;
  return Array.from({ length: count }, (_, index) => {
    const value = start + index * step;
    return [[name!, value.toString(isHex ? 16 : 10)]];
  });
}

function parseNumber(text: string): number {
  return text.startsWith('-') ? -Number(text.slice(1)) : Number(text);
}

function listTurns(inner: string): Repetition['turns'] | undefined {
  const items = inner.match(/\{[^{}]*\}|[^,{}]+/g)?.map((item) => item.trim());
  const [head, ...values] = (items ?? []).filter((item) => item !== '');
  if (head === undefined || values.length === 0) return undefined;
  const names = fieldsOf(head);
  if (!names.every((name) => NAME.test(name))) return undefined;
  const turns = values.map((value) => fieldsOf(value));
  const isValid = turns.every(
    (fields) => fields.length === names.length && fields.every((field) => /^\S+$/.test(field)),
  );
  if (!isValid) return undefined;
  return turns.map((fields) => names.map((name, index) => [name, fields[index]!] as const));
}

function fieldsOf(item: string): string[] {
  if (!item.startsWith('{')) return [item];
  return item
    .slice(1, -1)
    .split(',')
    .map((field) => field.trim());
}
