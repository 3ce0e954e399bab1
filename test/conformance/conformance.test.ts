// Every recording of the kernel's IPVS, played against this director: frames, listings, messages and
// exit codes must be equal. With two workers every packet goes to another worker than the one before
// it. What the kernel draws at random is left out of the comparison (compare.ts), and the choices of
// `twos` are drawn until they are the recorded ones, as far as draws can lead there.

import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { formatRecording } from '../../host/replay/recording.ts';
import { playRecording } from '../../host/replay/replay.ts';
import { compileWasm, type WasmBuild } from '../../host/worker/wasm.ts';
import { compareRecordings, formatDifferences } from './compare.ts';
import { isLeftOut, readRecording, recordingNames } from './recordings.ts';
import { formatTable, type Outcome } from './table.ts';

const PAGE = join(import.meta.dirname, '../../host/docs/conformance.md');

/** A way of playing the recordings, and its column in the table. */
interface Way {
  readonly title: string;
  readonly build: WasmBuild;
  readonly workers: number;
}

const WAYS: readonly Way[] = [
  { title: 'release', build: 'release', workers: 1 },
  { title: 'two workers', build: 'release', workers: 2 },
  { title: 'debug', build: 'debug', workers: 1 },
];

const names = recordingNames();
const outcomes = new Map(names.map((name) => [name, new Map<string, Outcome>()]));

it('the recordings are all there', () => {
  expect(names.length).toBe(163);
});

describe.each(WAYS)('$title: a recording is played as the kernel did', (way) => {
  let module: WebAssembly.Module;

  beforeAll(async () => {
    module = await compileWasm(way.build);
  });

  it.each(names.filter((name) => !isLeftOut(name)))('%s', (name) => {
    outcomes.get(name)!.set(way.title, 'fail');
    const recording = readRecording(name);
    const played = playRecording(recording, {
      module,
      workers: way.workers,
      file: name,
      followsRandomChoices: true,
    });
    const differences = compareRecordings(recording, played);
    expect(differences.length, `${name}:\n${formatDifferences(differences)}`).toBe(0);
    outcomes.get(name)!.set(way.title, 'pass');
  });
});

it.each(['edit-twos', 'random-1'])('%s played twice: the same to the bit', async (name) => {
  const module = await compileWasm('release');
  const recording = readRecording(name);
  const play = () => formatRecording(playRecording(recording, { module, file: name }));
  expect(play()).toBe(play());
});

afterAll(() => {
  if (process.env.UPDATE_DOCS === undefined) return;
  const rows = names.map((name) => ({
    name,
    recording: readRecording(name),
    outcomes: isLeftOut(name) ? undefined : outcomes.get(name)!,
  }));
  mkdirSync(join(PAGE, '..'), { recursive: true });
  const titles = WAYS.map((way) => way.title);
  writeFileSync(PAGE, formatTable(titles, rows));
});
