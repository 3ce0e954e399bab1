// The rule about all marks together: the steering program looks one destination up and then goes
// through its port ranges, of which there is room for few.

import { addressBytes } from './address.ts';
import type { Problems } from './problems.ts';
import type { MarkRule, PortRange, PrefixConfig } from './types.ts';

/** Port ranges of one destination, those of prefixes around it included (STEERING_MARK_RULES_MAX). */
export const MARKED_RANGES_MAX = 8;

/** Reports the rules whose destination has too many different port ranges. */
export function validateMarkRanges(
  rules: readonly (MarkRule | undefined)[],
  problems: Problems,
): void {
  const known = rules.filter((rule) => rule !== undefined);
  const reported = new Set<string>();
  for (const [index, rule] of rules.entries()) {
    if (rule === undefined) continue;
    const { address, prefixLength } = rule.destination;
    const name = `${address}/${prefixLength}`;
    if (reported.has(name)) continue;
    const around = known.filter(({ destination }) => covers(destination, rule.destination));
    const ranges = new Set(around.flatMap(({ ports }) => rangeNames(ports)));
    if (ranges.size <= MARKED_RANGES_MAX) continue;
    reported.add(name);
    const message =
      `${name} has ${ranges.size} different port ranges in all rules that concern it, but at most ` +
      `${MARKED_RANGES_MAX} can be told apart: write adjacent ports as ranges, or use fewer`;
    problems.error({ path: ['marks', index], code: 'too-many-marked-ports', message });
  }
}

function covers(outer: PrefixConfig, inner: PrefixConfig): boolean {
  if (outer.family !== inner.family || outer.prefixLength > inner.prefixLength) return false;
  const [one, other] = [addressBytes(outer.address), addressBytes(inner.address)];
  return one.every((byte, index) => {
    const bits = Math.min(8, Math.max(0, outer.prefixLength - index * 8));
    const mask = 0xff00 >>> bits;
    return (byte & mask & 0xff) === (other[index]! & mask & 0xff);
  });
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
