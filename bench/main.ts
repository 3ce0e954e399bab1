// npm run bench [-- NAME ... --quick --compare REPORT --out REPORT --against WASM]

import { readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { parseArgs } from 'node:util';
import { sourceRoot } from '../host/netns/processes.ts';
import { compileWasm } from '../host/worker/wasm.ts';
import type { Bench, BenchContext } from './bench.ts';
import { compareResults } from './compare.ts';
import { axes, hitPath, methods } from './data-plane/hit-path.ts';
import { newConnections } from './data-plane/new-connections.ts';
import { stages } from './data-plane/stages.ts';
import { workers } from './data-plane/workers.ts';
import { ecmp } from './ecmp.ts';
import { changes } from './end-to-end/changes.ts';
import { http } from './end-to-end/http.ts';
import { packets } from './end-to-end/packets.ts';
import { writePlots } from './plots.ts';
import {
  type Missing,
  makeReport,
  type Report,
  type Result,
  readReport,
  writeReport,
} from './result.ts';
import { schedulers } from './schedulers.ts';
import { steering } from './steering.ts';
import { describeChanges, describeResults } from './table.ts';
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
  steering,
  packets,
  http,
  changes,
  ecmp,
];

const USAGE = `usage: npm run bench -- [NAME ...] [options]

  --quick            small sizes, few rounds: under a minute
  --compare REPORT   what has become worse since that report, beyond the noise; exit 1 if anything
  --out REPORT       where the results go (bench/results/latest.json); plots go beside it
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
  const missing: Missing[] = [];
  const context: BenchContext = {
    quick,
    module: await compileWasm('release'),
    otherModule:
      against === undefined ? undefined : await WebAssembly.compile(await readFile(against)),
    say: (text) => process.stderr.write(`  ${text}\n`),
    miss: (one) => missing.push(one),
  };
  const results: Result[] = [];
  for (const bench of options.benches) {
    process.stderr.write(`${bench.name}: ${bench.about}\n`);
    const known = missing.length;
    const found = await bench.run(context);
    results.push(...found);
    console.log(`\n${describeResults(found, missing.slice(known))}`);
  }
  const report = makeReport({ command: commandOf(process.argv.slice(2)), results, missing });
  writeReport(options.out, report);
  const plots = await writePlots(dirname(options.out), report);
  console.log(`${report.machine.cpu}, Linux ${report.machine.kernel}, Node ${report.machine.node}`);
  console.log(`written to ${[options.out, ...plots].join(', ')}`);
  return earlier === undefined ? 0 : compareReports(earlier, report);
}

function commandOf(words: readonly string[]): string {
  return words.length === 0 ? 'npm run bench' : `npm run bench -- ${words.join(' ')}`;
}

function compareReports(before: Report, after: Report): number {
  const changes = compareResults(before.results, after.results);
  const moved = changes.filter(({ verdict }) => verdict !== 'same');
  console.log(`\n${changes.length} numbers compared with ${before.commit}: ${moved.length} moved`);
  if (moved.length > 0) console.log(describeChanges(moved));
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
