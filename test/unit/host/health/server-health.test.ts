import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type CheckerRecord, unknownRecord } from '../../../../host/health/checker-state.ts';
import {
  type CheckerFinding,
  decidingChecker,
  weightOf,
} from '../../../../host/health/server-health.ts';
import { checkOf } from './support.ts';

function finding(record: Partial<CheckerRecord>, alpha = false): CheckerFinding {
  return {
    check: checkOf({ type: 'tcp', ...(alpha && { alpha }) }),
    record: { ...unknownRecord(0), ...record },
  };
}

describe('the check that decides', () => {
  test('no checks → none', () => {
    expect(decidingChecker([])).toBeUndefined();
  });

  test('one is down → the server is, since the first of them went down', () => {
    const first = finding({ state: 'down', since: 5 });
    const later = finding({ state: 'down', since: 7 });
    const up = finding({ state: 'up', since: 1 });
    expect(decidingChecker([up, later, first, finding({})])).toBe(first);
  });

  test('none is down, one is unknown → unknown; one in alpha mode says so', () => {
    const unknown = finding({});
    const alpha = finding({}, true);
    const up = finding({ state: 'up', since: 1 }, true);
    expect(decidingChecker([up, unknown])).toBe(unknown);
    expect(decidingChecker([up, unknown, alpha])).toBe(alpha);
  });

  test('all are up → up since the last of them', () => {
    const last = finding({ state: 'up', since: 9 });
    expect(decidingChecker([finding({ state: 'up', since: 3 }), last])).toBe(last);
  });

  test('any states in any order → down before unknown before up', () => {
    const states = fc.array(fc.constantFrom('unknown', 'up', 'down'), { minLength: 1 });
    fc.assert(
      fc.property(states, (all) => {
        const findings = all.map((state, since) => finding({ state, since }));
        const expected = ['down', 'unknown', 'up'].find((state) => all.some((s) => s === state));
        expect(decidingChecker(findings)!.record.state).toBe(expected);
      }),
    );
  });
});

describe('the weight', () => {
  test.each([
    ['no check says anything', [{}, {}], undefined],
    ['one names it', [{ weight: 8 }], 8],
    ['one names it, one says nothing', [{}, { weight: 0 }], 0],
    // keepalived.conf(5): the weight is increased by (exit status - 2 - configured weight).
    ['two name it', [{ weight: 8 }, { weight: 6 }], 9],
    ['one adds to it', [{ weightChange: 4 }], 9],
    ['one takes from it', [{ weightChange: -9 }], 0],
    ['one names it, one adds to it', [{ weight: 20 }, { weightChange: -3 }], 17],
    ['more than there is', [{ weightChange: 2_000_000 }], 65_535],
  ])('%s: 5 and %j → %s', (_, records, expected) => {
    expect(
      weightOf(
        records.map((record) => finding(record)),
        5,
      ),
    ).toBe(expected);
  });
});
