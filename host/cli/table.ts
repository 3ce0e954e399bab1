/** Text in columns, for people. */

/** A column: its heading, and on which side its cells are flush. */
export interface Column {
  readonly heading: string;
  readonly align?: 'left' | 'right';
}

const GAP = '  ';

/** The rows under their headings; a row may be shorter than the headings. */
export function formatTable(
  columns: readonly Column[],
  rows: readonly (readonly string[])[],
): string {
  const widths = columns.map(({ heading }, index) =>
    rows.reduce((width, row) => Math.max(width, row[index]?.length ?? 0), heading.length),
  );
  const headings = columns.map(({ heading }) => heading);
  const lines = [headings, ...rows].map((row) =>
    columns
      .map(({ align }, index) => {
        const cell = row[index] ?? '';
        return align === 'right' ? cell.padStart(widths[index]!) : cell.padEnd(widths[index]!);
      })
      .join(GAP)
      .trimEnd(),
  );
  return `${lines.join('\n')}\n`;
}

const STEPS = ['', 'k', 'M', 'G', 'T', 'P'];

/** A number in four characters or a few more: 0.5, 12, 1.2k, 34M. */
export function formatShort(value: number): string {
  let scaled = value;
  let step = 0;
  while (scaled >= 1_000 && step < STEPS.length - 1) {
    scaled /= 1_000;
    step++;
  }
  const digits = scaled < 10 && !Number.isInteger(scaled) ? 1 : 0;
  return `${scaled.toFixed(digits)}${STEPS[step]}`;
}

/** A whole number with its thousands apart: 1,000,000. */
export function formatCount(value: number): string {
  return value.toLocaleString('en-US');
}

/** A number of things: `1 service`, `2 services`. */
export function plural(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? '' : 's'}`;
}

/** Seconds as the two largest units: `3d 2h`, `5m 1s`. */
export function formatAge(seconds: number): string {
  const units = [
    ['d', 86_400],
    ['h', 3_600],
    ['m', 60],
    ['s', 1],
  ] as const;
  let rest = Math.floor(seconds);
  const parts: string[] = [];
  for (const [unit, size] of units) {
    const amount = Math.floor(rest / size);
    rest %= size;
    if (amount > 0 || parts.length > 0 || unit === 's') parts.push(`${amount}${unit}`);
  }
  return parts.slice(0, 2).join(' ');
}
