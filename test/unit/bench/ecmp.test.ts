// Directors behind a router: what a hash promises about connections when one of them leaves.

import { beforeAll, describe, expect, it } from 'vitest';
import type { BenchContext } from '../../../bench/bench.ts';
import { ecmp } from '../../../bench/ecmp.ts';
import type { Params, Result } from '../../../bench/result.ts';

let results: readonly Result[];

beforeAll(async () => {
  const context = { quick: true } as BenchContext;
  results = await ecmp.run(context);
});

function share(unit: string, wanted: Params): number {
  const found = results.filter(({ unit: its, params }) => {
    const isWanted = Object.entries(wanted).every(([key, value]) => params[key] === value);
    return its.startsWith(unit) && isWanted;
  });
  expect(found).toHaveLength(1);
  return found[0].value;
}

describe('one of four directors leaves', () => {
  it('flows rerouted: as much as each way to spread them must', () => {
    expect(share('% of flows', { router: 'resilient' })).toBeCloseTo(25, -0.5);
    // RFC 2992: (N-1)/N with modulo; between 1/4 and 1/2 with regions.
    expect(share('% of flows', { router: 'modulo-n' })).toBeCloseTo(75, -0.5);
    const regions = share('% of flows', { router: 'hash-threshold' });
    expect(regions).toBeGreaterThan(25);
    expect(regions).toBeLessThan(50);
  });

  it.each(['mh', 'sh'])(
    '%s, the same servers everywhere: no connection is cut off',
    (scheduler) => {
      for (const router of ['modulo-n', 'hash-threshold', 'resilient']) {
        expect(share('% of connections', { scheduler, router, change: 'none' })).toBe(0);
      }
    },
  );

  it('rr and wlc: nearly every rerouted connection is cut off', () => {
    for (const scheduler of ['rr', 'wlc']) {
      const cut = share('% of connections', { scheduler, router: 'resilient', change: 'none' });
      expect(cut).toBeGreaterThan(20);
    }
  });

  it('a server was added before: mh cuts off a fraction of what sh does', () => {
    const of = (scheduler: string) => {
      const change = 'a server added';
      return share('% of connections', { scheduler, router: 'resilient', change });
    };
    expect(of('mh')).toBeGreaterThan(0);
    expect(of('mh')).toBeLessThan(of('sh') / 4);
  });
});
