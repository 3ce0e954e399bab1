/**
 * Durations as a configuration spells them: `300s`, `2m`, `100ms`, `1h30m`, or a number of
 * seconds. Inside WVS every duration is a number of milliseconds.
 */

const MILLISECONDS: Readonly<Record<string, number>> = {
  ms: 1,
  s: 1_000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
};

/** What a duration looks like; the JSON Schema shows this pattern to editors. */
export const DURATION_PATTERN = /^(\d+(\.\d+)?(ms|s|m|h|d))+$|^\d+(\.\d+)?$/;

/** The duration in whole milliseconds, or undefined when the text is no duration. */
export function parseDuration(text: string): number | undefined {
  if (!DURATION_PATTERN.test(text)) return undefined;
  if (/^[\d.]+$/.test(text)) return Math.round(Number(text) * 1_000);
  let total = 0;
  for (const [, amount, unit] of text.matchAll(/(\d+(?:\.\d+)?)(ms|s|m|h|d)/g)) {
    total += Number(amount) * MILLISECONDS[unit!]!;
  }
  return Math.round(total);
}

/** The shortest exact spelling of a number of milliseconds. */
export function formatDuration(milliseconds: number): string {
  if (milliseconds === 0) return '0s';
  for (const unit of ['d', 'h', 'm', 's']) {
    const size = MILLISECONDS[unit]!;
    if (milliseconds % size === 0) return `${milliseconds / size}${unit}`;
  }
  return `${milliseconds}ms`;
}
