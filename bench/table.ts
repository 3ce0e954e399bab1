// Results as tables for people. Where the same number is measured of several ("by"), each has a line,
// and ours is compared with it there; elsewhere whoever we are compared with has columns.

import { type Column, formatTable } from '../host/cli/table.ts';
import type { Change } from './compare.ts';
import type { Comparison, Missing, Result } from './result.ts';

/** The parameter that says whose number it is. */
const BY = 'by';

/** What one bench found, and what it could not measure. */
export function describeResults(results: readonly Result[], missing: readonly Missing[]): string {
  const shapes = [...new Set(results.map(groupOf))];
  const tables = shapes.map((shape) => {
    return describeGroup(results.filter((result) => groupOf(result) === shape));
  });
  return [...tables, ...(missing.length > 0 ? [describeMissing(missing)] : [])].join('\n');
}

/** Results of one shape: one table. */
function groupOf({ unit, params }: Result): string {
  return BY in params ? unit : '';
}

function describeGroup(group: readonly Result[]): string {
  const isBy = BY in group[0].params;
  const names = [...new Set(group.flatMap(({ params }) => Object.keys(params)))];
  const others = isBy ? [] : [...new Set(group.flatMap(({ against }) => Object.keys(against)))];
  const columns: Column[] = [
    { heading: 'bench' },
    ...names.map((heading) => ({ heading, align: heading === BY ? 'left' : 'right' }) as const),
    { heading: 'value', align: 'right' },
    { heading: 'spread', align: 'right' },
    { heading: 'unit' },
    ...(isBy ? comparisonColumns('wvs / this') : others.flatMap(comparisonsWith)),
  ];
  const rows = group.map((result) => [
    result.name,
    ...names.map((name) => String(result.params[name] ?? '')),
    short(result.value),
    result.spread.map(short).join('-'),
    result.unit,
    ...(isBy
      ? ratioCells(oursAgainst(group, result))
      : others.flatMap((other) => comparisonCells(result.against[other]))),
  ]);
  return formatTable(columns, rows);
}

function comparisonsWith(name: string): readonly Column[] {
  return [{ heading: name, align: 'right' }, ...comparisonColumns('ratio')];
}

function comparisonColumns(heading: string): readonly Column[] {
  return [
    { heading, align: 'right' },
    { heading: 'spread', align: 'right' },
  ];
}

/** What our result of the same parameters says about this one. */
function oursAgainst(group: readonly Result[], { name, params }: Result): Comparison | undefined {
  const by = String(params[BY]);
  const ours = group.find((other) => {
    const isSame = Object.entries(params).every(
      ([key, value]) => key === BY || other.params[key] === value,
    );
    return other.name === name && isSame && by in other.against;
  });
  return ours?.against[by];
}

function comparisonCells(comparison: Comparison | undefined): readonly string[] {
  const value = comparison === undefined ? '' : short(comparison.value);
  return [value, ...ratioCells(comparison)];
}

/** A ratio to nothing is none: what was added may be 0, or less by chance. */
function ratioCells(comparison: Comparison | undefined): readonly string[] {
  if (comparison === undefined) return ['', ''];
  const { ratio, ratioSpread } = comparison;
  if (![ratio, ...ratioSpread].every((one) => Number.isFinite(one) && one >= 0)) return ['', ''];
  return [ratio.toFixed(2), ratioSpread.map((one) => one.toFixed(2)).join('-')];
}

function describeMissing(missing: readonly Missing[]): string {
  const rows = missing.map(({ name, what, why }) => [name, what, why]);
  return formatTable([{ heading: 'bench' }, { heading: 'not measured' }, { heading: 'why' }], rows);
}

/** Changes beyond the noise. */
export function describeChanges(changes: readonly Change[]): string {
  const columns = ['', 'bench', 'params', 'before', 'after', 'unit'];
  const rows = changes.map((change) => [
    change.verdict,
    change.name,
    change.params,
    short(change.before),
    short(change.after),
    change.unit,
  ]);
  return formatTable(
    columns.map((heading) => ({ heading })),
    rows,
  );
}

function short(value: number): string {
  const digits = Math.abs(value) >= 1000 ? 0 : Math.abs(value) >= 10 ? 1 : 2;
  return value.toFixed(digits);
}
