// Numbers as the C library reads them from arguments: white space and a sign may come first.

const DECIMAL = /^[ \t\n\v\f\r]*([+-]?\d+)$/;
const LEADING_DECIMAL = /^[ \t\n\v\f\r]*([+-]?\d+)/;
const MARK_MAX = 0xffff_ffff;

/** A decimal number within the limits, or undefined. */
export function parseDecimal(text: string, min: number, max: number): number | undefined {
  const digits = DECIMAL.exec(text)?.[1];
  if (digits === undefined) return undefined;
  const value = BigInt(digits.replace('+', ''));
  return value >= BigInt(min) && value <= BigInt(max) ? Number(value) : undefined;
}

/** A firewall mark, 1 to 4294967295, or undefined. */
export function parseMark(text: string): number | undefined {
  return parseDecimal(text, 1, MARK_MAX);
}

/** The number a text starts with, 0 when there is none: atoi(). */
export function parseLeadingDecimal(text: string): number {
  const digits = LEADING_DECIMAL.exec(text)?.[1];
  return digits === undefined ? 0 : Number(digits);
}
