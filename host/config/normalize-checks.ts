/**
 * Which checks a server has, and what each of them takes from the checks further out: those of its
 * service and those of `defaults`.
 *
 * The checks nearest to the server decide what is done. When they probe, from where, and what their
 * results lead to comes field by field from the nearest place that says so; of several checks
 * further out, one of the same type is asked before the others.
 */

import { CHECK_FIELDS, type CheckSection, INHERITED_CHECK_FIELDS } from './schema-checks.ts';
import type { CheckConfig, CheckTiming } from './types.ts';

/** The checks of one server, service or of `defaults`, as the file has them. */
export type CheckList = readonly CheckSection[];

/** What there is around a server. */
export interface OuterChecks {
  /** From the service outwards. */
  readonly lists: readonly (CheckList | undefined)[];
  /** Of the service: what its checks, but not those of `defaults`, say before it. */
  readonly alpha: boolean | undefined;
}

const DEFAULT_CHECK = { interval: 2_000, timeout: 1_000, rise: 2, fall: 3 };

/** Of a server that is not checked. Shared: there may be a hundred thousand of them. */
const NO_CHECKS: readonly CheckConfig[] = [];

type Inherited = Partial<Record<string, unknown>>;

/** The checks of a server with `own` ones, or of one that has none of its own. */
export function normalizeChecks(
  own: CheckList | undefined,
  { lists: [service, defaults], alpha }: OuterChecks,
): readonly CheckConfig[] {
  const levels = [own, service, defaults];
  const first = levels.findIndex((level) => level !== undefined);
  const checks = first < 0 ? [] : levels[first]!.filter(isCheck);
  if (checks.length === 0) return NO_CHECKS;
  return checks.map((check) => {
    const [ofServer, ofService, ofDefaults] = levels.map((level, index) =>
      index < first ? {} : inheritedFields(index === first ? check : nearest(level, check.type)),
    );
    const ofAlpha = alpha === undefined ? {} : { alpha };
    return normalizeCheck(check, { ...ofDefaults, ...ofAlpha, ...ofService, ...ofServer });
  });
}

type RealCheck = Exclude<CheckSection, { type: 'none' }>;

function isCheck(section: CheckSection): section is RealCheck {
  return section.type !== 'none';
}

function nearest(list: CheckList | undefined, type: CheckSection['type']): RealCheck | undefined {
  const checks = list?.filter(isCheck) ?? [];
  return checks.find((check) => check.type === type) ?? checks[0];
}

/** What of a check others may inherit, without what it leaves out. */
function inheritedFields(section: RealCheck | undefined): Inherited {
  const fields: Inherited = {};
  for (const key of INHERITED_CHECK_FIELDS) {
    const value: unknown = section && Reflect.get(section, key);
    if (value !== undefined) fields[key] = value;
  }
  return fields;
}

function normalizeCheck(section: RealCheck, inherited: Inherited): CheckConfig {
  const known = CHECK_FIELDS.get(section.type)!;
  const fields = Object.entries(inherited).filter(([key]) => known.has(key));
  const times: Partial<CheckTiming> = Object.fromEntries(fields);
  const { interval = DEFAULT_CHECK.interval } = times;
  return {
    ...section,
    ...DEFAULT_CHECK,
    retryDelay: interval,
    jitter: Math.round(interval / 10),
    warmUp: interval,
    ...times,
  };
}
