// A replay of captures in a few lines: verdicts, reasons, and who got what.

import { plural } from '../cli/table.ts';
import type { CaptureReplay, FrameReport } from './replay-captures.ts';

/** The summary as text, with an empty line between its parts. */
export function summarize({ reports, output }: CaptureReplay): string {
  const parts = [
    [`${plural(reports.length, 'frame')} in`, ...tally(reports.map((report) => report.verdict))],
    reasons(reports),
    servers(reports),
    ['out', ...[...output].map(([port, frames]) => `  ${port.padEnd(28)} ${frames.length}`)],
  ];
  return parts
    .filter((lines) => lines.length > 1)
    .map((lines) => lines.map((line) => `${line}\n`).join(''))
    .join('\n');
}

function reasons(reports: readonly FrameReport[]): string[] {
  const named = reports.map(({ reason }) => reason).filter((reason) => reason !== null);
  return ['not forwarded', ...tally(named)];
}

function servers(reports: readonly FrameReport[]): string[] {
  const named = reports
    .filter(({ server }) => server !== null)
    .map(({ service, server }) => `${service ?? 'no service'} -> ${server}`);
  return ['frames by real server', ...tally(named)];
}

/** Counts equal texts; most first, equal counts by name. */
function tally(texts: readonly string[]): string[] {
  const counts = new Map<string, number>();
  for (const text of texts) counts.set(text, (counts.get(text) ?? 0) + 1);
  const sorted = [...counts].sort(([a, x], [b, y]) => y - x || (a < b ? -1 : 1));
  const width = Math.max(28, ...sorted.map(([text]) => text.length));
  return sorted.map(([text, count]) => `  ${text.padEnd(width)} ${count}`);
}
