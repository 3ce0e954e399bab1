// Every recording of the kernel's IPVS, played against this director: frames, listings, messages and
// exit codes must be equal. With two workers every packet goes to another worker than the one before
// it. What the kernel draws at random is left out of the comparison (compare.ts), and the choices of
// `twos` are drawn until they are the recorded ones, as far as draws can lead there.

import { beforeAll, describe, expect, it } from 'vitest';
import { formatRecording } from '../../host/replay/recording.ts';
import { playRecording } from '../../host/replay/replay.ts';
import { compileWasm } from '../../host/worker/wasm.ts';
import { compareRecordings, formatDifferences } from './compare.ts';
import { isLeftOut, readRecording, recordingNames } from './recordings.ts';

const names = recordingNames();
const compared = names.filter((name) => !isLeftOut(name));

function playAndCompare(name: string, module: WebAssembly.Module, workers: number): void {
  const recording = readRecording(name);
  const played = playRecording(recording, {
    module,
    workers,
    file: name,
    followsRandomChoices: true,
  });
  const differences = compareRecordings(recording, played);
  expect(differences.length, `${name}:\n${formatDifferences(differences)}`).toBe(0);
}

it('the recordings are all there', () => {
  expect(names.length).toBe(163);
});

describe.each([
  ['release', 1],
  ['release', 2],
  ['debug', 1],
] as const)('%s build, %i worker(s): a recording is played as the kernel did', (build, workers) => {
  let module: WebAssembly.Module;

  beforeAll(async () => {
    module = await compileWasm(build);
  });

  it.each(compared)('%s', (name) => {
    playAndCompare(name, module, workers);
  });
});

it('a recording played twice: the same to the bit', async () => {
  const module = await compileWasm('release');
  const recording = readRecording('edit-twos');
  const play = () => formatRecording(playRecording(recording, { module, file: 'edit-twos' }));
  expect(play()).toBe(play());
});
