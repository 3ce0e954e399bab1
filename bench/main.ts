// npm run bench [-- NAME ... --quick --compare REPORT --out REPORT --against WASM]

import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { formatTable } from '../host/cli/table.ts';
import { sourceRoot } from '../host/netns/processes.ts';
import { compileWasm } from '../host/worker/wasm.ts';
import type { Bench, BenchContext } from './bench.ts';
import { compareResults } from './compare.ts';
import { axes, hitPath, methods } from './data-plane/hit-path.ts';
import { newConnections } from './data-plane/new-connections.ts';
import { stages } from './data-plane/stages.ts';
import { workers } from './data-plane/workers.ts';
import { makeReport, type Report, type Result, readReport, writeReport } from './result.ts';
import { schedulers } from './schedulers.ts';
import { tables } from './tables.ts';

const BENCHES: readonly Bench[] = [
  hitPath,
  methods,
  axes,
  stages,
  newConnections,
  workers,
  schedulers,
  tables,
];

const USAGE = `usage: npm run bench -- [NAME ...] [options]

  --quick            small sizes, few rounds: under a minute
  --compare REPORT   what has become worse since that report, beyond the noise; exit 1 if anything
  --out REPORT       where the results go (bench/results/latest.json)
  --against WASM     another build of the data plane, measured in the same rounds
  --help

${BENCHES.map(({ name, about }) => `  ${name.padEnd(18)} ${about}`).join('\n')}
`;

const EXIT_WORSE = 1;
const EXIT_USAGE = 2;

interface Options {
  readonly benches: readonly Bench[];
  readonly quick: boolean;
  readonly compare: string | undefined;
  readonly out: string;
  readonly against: string | undefined;
}

class UsageError extends Error {}

/** @throws UsageError; undefined when help was asked for */
function readOptions(words: readonly string[]): Options | undefined {
  const string = { type: 'string' } as const;
  const boolean = { type: 'boolean', default: false } as const;
  const options = { quick: boolean, help: boolean, compare: string, out: string, against: string };
  try {
    const { values, positionals } = parseArgs({
      args: [...words],
      options,
      allowPositionals: true,
    });
    if (values.help) return undefined;
    const benches = positionals.map((name) => {
      const bench = BENCHES.find((each) => each.name === name);
      if (bench === undefined) throw new UsageError(`there is no bench ${name}`);
      return bench;
    });
    return {
      benches: benches.length === 0 ? BENCHES : benches,
      quick: values.quick,
      compare: values.compare,
      out: values.out ?? join(sourceRoot(), 'bench/results/latest.json'),
      against: values.against,
    };
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error));
  }
}

async function run(options: Options): Promise<number> {
  // Read first: the results may go to the same file.
  const earlier = options.compare === undefined ? undefined : readReport(options.compare);
  const { against, quick } = options;
  const context: BenchContext = {
    quick,
    module: await compileWasm('release'),
    otherModule:
      against === undefined ? undefined : await WebAssembly.compile(await readFile(against)),
    say: (text) => process.stderr.write(`  ${text}\n`),
  };
  const results: Result[] = [];
  for (const bench of options.benches) {
    process.stderr.write(`${bench.name}: ${bench.about}\n`);
    const found = await bench.run(context);
    results.push(...found);
    console.log(`\n${describeResults(found)}`);
  }
  const report = makeReport(results);
  writeReport(options.out, report);
  console.log(`${report.machine.cpu}, Linux ${report.machine.kernel}, Node ${report.machine.node}`);
  console.log(`written to ${options.out}`);
  return earlier === undefined ? 0 : compareReports(earlier, report);
}

function describeResults(results: readonly Result[]): string {
  const names = [...new Set(results.flatMap(({ params }) => Object.keys(params)))];
  const others = [...new Set(results.flatMap(({ against }) => Object.keys(against)))];
  const columns = [
    { heading: 'bench' },
    ...names.map((heading) => ({ heading, align: 'right' as const })),
    { heading: 'value', align: 'right' as const },
    { heading: 'spread', align: 'right' as const },
    { heading: 'unit' },
    ...others.flatMap((name) => [
      { heading: name, align: 'right' as const },
      { heading: 'ratio', align: 'right' as const },
      { heading: 'spread', align: 'right' as const },
    ]),
  ];
  const rows = results.map(({ name, unit, value, spread, params, against }) => [
    name,
    ...names.map((param) => String(params[param] ?? '')),
    short(value),
    spread.map(short).join('-'),
    unit,
    ...others.flatMap((other) => {
      const comparison = against[other];
      if (comparison === undefined) return ['', '', ''];
      const { ratio, ratioSpread } = comparison;
      return [short(comparison.value), ratio.toFixed(2), ratioSpread.map(toRatio).join('-')];
    }),
  ]);
  return formatTable(columns, rows);
}

function toRatio(value: number): string {
  return value.toFixed(2);
}

function short(value: number): string {
  const digits = Math.abs(value) >= 1000 ? 0 : Math.abs(value) >= 10 ? 1 : 2;
  return value.toFixed(digits);
}

function compareReports(before: Report, after: Report): number {
  const changes = compareResults(before.results, after.results);
  const moved = changes.filter(({ verdict }) => verdict !== 'same');
  console.log(`\n${changes.length} numbers compared with ${before.commit}: ${moved.length} moved`);
  const rows = moved.map((change) => [
    change.verdict,
    change.name,
    change.params,
    short(change.before),
    short(change.after),
    change.unit,
  ]);
  const headings = ['', 'bench', 'params', 'before', 'after', 'unit'];
  if (rows.length > 0) {
    console.log(
      formatTable(
        headings.map((heading) => ({ heading })),
        rows,
      ),
    );
  }
  return moved.some(({ verdict }) => verdict === 'worse') ? EXIT_WORSE : 0;
}

async function main(words: readonly string[]): Promise<number> {
  try {
    const options = readOptions(words);
    if (options !== undefined) return await run(options);
    process.stdout.write(USAGE);
    return 0;
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    process.stderr.write(`${error.message}\n\n${USAGE}`);
    return EXIT_USAGE;
  }
}

process.exitCode = await main(process.argv.slice(2));
