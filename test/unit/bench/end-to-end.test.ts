// What the benches end to end make of the programs they run, and how results become tables and plots.

import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readWrk } from '../../../bench/end-to-end/programs.ts';
import { addedBy, resultsBy } from '../../../bench/end-to-end/stage.ts';
import { interleave } from '../../../bench/measure.ts';
import { writePlots } from '../../../bench/plots.ts';
import { makeReport, makeResult } from '../../../bench/result.ts';
import { describeResults } from '../../../bench/table.ts';

const WRK = `Running 1s test @ http://10.6.1.80:80/
  1 threads and 64 connections
  Latency Distribution
     50%  313.00us
     75%  667.00us
     90%    3.69ms
     99%   11.31ms
  67799 requests in 1.03s, 5.04MB read
Requests/sec:  66056.11
Transfer/sec:      4.91MB
`;

const SAMPLES = [
  { name: 'direct', values: [10, 20] },
  { name: 'nginx', values: [30, 30] },
  { name: 'wvs', values: [15, 30] },
];
const ABOUT = { name: 'http-latency', unit: 'us', params: { load: 'half' } };

describe('wrk', () => {
  it('a rate and a percentile are found, whatever the unit', () => {
    expect(readWrk(WRK)).toEqual({ rate: 66_056.11, p99: 11_310 });
    expect(readWrk(WRK.replace('11.31ms', '1.20s')).p99).toBe(1_200_000);
  });

  it('answers that are errors, or no figures at all: refused', () => {
    expect(() => readWrk(`${WRK}  Non-2xx or 3xx responses: 3\n`)).toThrow(/not every answer/);
    expect(() => readWrk('unable to connect')).toThrow(/wrk said/);
  });
});

describe('contestants', () => {
  it('each has a result; ours is compared with all the others, round by round', () => {
    const results = resultsBy(ABOUT, SAMPLES);
    expect(results.map(({ params }) => params.by)).toEqual(['direct', 'nginx', 'wvs']);
    expect(results[0].against).toEqual({});
    expect(results[2].against.nginx).toEqual({ value: 30, ratio: 0.75, ratioSpread: [0.5, 1] });
  });

  it('what is added is the difference of the same round', () => {
    expect(addedBy(SAMPLES)).toEqual([
      { name: 'nginx', values: [20, 10] },
      { name: 'wvs', values: [5, 10] },
    ]);
  });

  it('rounds before the first that counts can be left out', async () => {
    let slices = 0;
    const competitor = { name: 'one', slice: () => ({ slice: ++slices }) };
    expect(await interleave([competitor], 2, 0)).toEqual([
      { name: 'one', values: [{ slice: 1 }, { slice: 2 }] },
    ]);
  });
});

describe('tables', () => {
  it('whose number it is has a line, with our ratio to it; what is missing is named', () => {
    const missing = [{ name: 'http', what: 'haproxy', why: 'haproxy is not installed' }];
    const lines = describeResults(resultsBy(ABOUT, SAMPLES), missing).split('\n');
    expect(lines.find((line) => line.includes('nginx'))).toMatch(/30\.0.*us\s+0\.75\s+0\.50-1\.00/);
    expect(lines.find((line) => line.includes('haproxy'))).toMatch(/haproxy is not installed/);
  });

  it('a ratio to nothing, or to less, is left out', () => {
    const samples = [
      { name: 'nginx', values: [0] },
      { name: 'wvs', values: [1] },
    ];
    expect(describeResults(resultsBy(ABOUT, samples), [])).not.toMatch(/Infinity|NaN/);
  });
});

describe('plots', () => {
  let directory: string;
  beforeAll(() => {
    directory = mkdtempSync(join(tmpdir(), 'wvs-plots-'));
  });
  afterAll(() => rmSync(directory, { recursive: true }));

  function reportOf(results: Parameters<typeof makeReport>[0]['results']) {
    return makeReport({ command: 'npm run bench -- hit-path', results, missing: [] });
  }

  it('without results that belong together, none is made', async () => {
    expect(await writePlots(directory, reportOf([]))).toEqual([]);
  });

  it('a line over connections against the twin, with machine and command', async () => {
    const results = [1000, 100_000].map((connections) => {
      const about = { name: 'hit-path', unit: 'ns/packet' };
      const sample = { name: 'wasm', values: [20, 22] };
      return makeResult({ ...about, params: { direction: 'in', connections } }, sample, [
        { name: 'twin', values: [16, 17] },
      ]);
    });
    const [path] = await writePlots(directory, reportOf(results));
    const svg = readFileSync(path, 'utf8');
    expect(svg).toMatch(/^<svg/);
    for (const text of ['twin', 'wvs', '100k', 'npm run bench -- hit-path', process.version]) {
      expect(svg).toContain(text);
    }
  });

  it('bars of everybody who took part', async () => {
    const params = { connections: 'stay', client: 'own' };
    const results = resultsBy({ name: 'http', unit: 'requests/s', params }, SAMPLES);
    const [path] = await writePlots(directory, reportOf(results));
    const svg = readFileSync(path, 'utf8');
    for (const { name } of SAMPLES) expect(svg).toContain(name);
  });
});
