// The rule about all marks together: the steering program looks one destination up and then goes
// through its port ranges, of which there is room for few.

import { maskedPrefix } from './address.ts';
import type { Problems } from './problems.ts';
import type { MarkRule, PortRange, PrefixConfig } from './types.ts';

/** Port ranges of one destination, those of prefixes around it included (STEERING_MARK_RULES_MAX). */
export const MARKED_RANGES_MAX = 8;

/** Reports the rules whose destination has too many different port ranges. */
export function validateMarkRanges(
  rules: readonly (MarkRule | undefined)[],
  problems: Problems,
): void {
  const rangesOf = new Map<string, Set<string>>();
  const lengths = new Set<number>();
  for (const rule of rules) {
    if (rule === undefined) continue;
    lengths.add(rule.destination.prefixLength);
    const prefix = prefixName(rule.destination);
    const ranges = rangesOf.get(prefix) ?? new Set();
    rangesOf.set(prefix, ranges);
    for (const name of rangeNames(rule.ports)) ranges.add(name);
  }
  const seen = new Set<string>();
  for (const [index, rule] of rules.entries()) {
    if (rule === undefined) continue;
    const { address, prefixLength } = rule.destination;
    const name = `${address}/${prefixLength}`;
    if (seen.has(name)) continue;
    seen.add(name);
    const around = [...lengths].filter((length) => length <= prefixLength);
    const ranges = new Set(
      around.flatMap((length) => [
        ...(rangesOf.get(prefixName({ address, prefixLength: length })) ?? []),
      ]),
    );
    if (ranges.size <= MARKED_RANGES_MAX) continue;
    const message =
      `${name} has ${ranges.size} different port ranges in all rules that concern it, but at most ` +
      `${MARKED_RANGES_MAX} can be told apart: write adjacent ports as ranges, or use fewer`;
    problems.error({ path: ['marks', index], code: 'too-many-marked-ports', message });
  }
}

/** The same for all spellings of one prefix; its bytes tell the families apart. */
function prefixName(prefix: Pick<PrefixConfig, 'address' | 'prefixLength'>): string {
  return `${prefix.prefixLength} ${maskedPrefix(prefix)}`;
}

/** The ranges of one rule with those that touch joined; a rule without ports has one for all. */
function rangeNames(ports: readonly PortRange[]): string[] {
  if (ports.length === 0) return ['0-65535'];
  const joined: { first: number; last: number }[] = [];
  for (const { first, last } of ports.toSorted((a, b) => a.first - b.first)) {
    const before = joined.at(-1);
    if (before !== undefined && first <= before.last + 1) {
      before.last = Math.max(before.last, last);
    } else {
      joined.push({ first, last });
    }
  }
  return joined.map(({ first, last }) => `${first}-${last}`);
}
