/** Findings as text for people. */

import type { Finding, Level } from './finding.ts';

const LEVEL_WIDTH = 4;

/** One line for each finding, and one more for what changes it. */
export function formatFindings(findings: readonly Finding[]): string {
  const width = findings.reduce((most, { check }) => Math.max(most, check.length), 0);
  const indent = ' '.repeat(LEVEL_WIDTH + 2 + width + 2);
  const lines = findings.flatMap(({ check, level, subject, saw, fix }) => {
    const what = subject === undefined ? saw : `${subject}: ${saw}`;
    const line = `${level.padEnd(LEVEL_WIDTH)}  ${check.padEnd(width)}  ${what}`;
    return fix === undefined ? [line] : [line, `${indent}fix: ${fix}`];
  });
  return `${[...lines, '', summary(findings)].join('\n')}\n`;
}

function summary(findings: readonly Finding[]): string {
  const count = (wanted: Level) => findings.filter(({ level }) => level === wanted).length;
  return `${count('ok')} ok, ${count('warn')} to look at, ${count('fail')} wrong`;
}
