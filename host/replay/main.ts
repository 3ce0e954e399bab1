// `wvs replay`: a recording, or captures through a configuration, without root and without a clock.

import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import {
  type CommandInput,
  type CommandIo,
  EXIT_FAILURE,
  EXIT_OK,
  EXIT_USAGE,
} from '../cli/command.ts';
import { loadConfig } from '../config/load.ts';
import { formatProblem, formatWarning } from '../config/problems.ts';
import { compileWasm, WasmError } from '../worker/wasm.ts';
import { CaptureError, formatCapture, parseCapture } from './pcap.ts';
import { formatRecording, parseRecording, RecordingError } from './recording.ts';
import { playRecording } from './replay.ts';
import { type CaptureInput, CaptureReplayError, playCaptures } from './replay-captures.ts';
import { summarize } from './summary.ts';

/** A file that cannot be read or written, or the user's own mistake. */
class ReplayError extends Error {
  readonly exitCode: number;

  constructor(message: string, exitCode: number) {
    super(message);
    this.exitCode = exitCode;
  }
}

/**
 * Carries `wvs replay` out, in both its forms: `TRACE.jsonl [--out FILE]`, and
 * `--config FILE --in PORT=FILE.pcap ... [--out DIR]`.
 */
export async function replayMain(input: CommandInput, io: CommandIo): Promise<number> {
  try {
    return await run(input, io);
  } catch (error) {
    const isExpected =
      error instanceof ReplayError ||
      error instanceof RecordingError ||
      error instanceof CaptureError ||
      error instanceof CaptureReplayError ||
      error instanceof WasmError;
    if (!isExpected) throw error;
    io.stderr.write(`${error.message}\n`);
    return error instanceof ReplayError ? error.exitCode : EXIT_FAILURE;
  }
}

async function run(input: CommandInput, io: CommandIo): Promise<number> {
  const [trace, ...more] = input.arguments;
  const { config, in: captures = [], out } = input.options;
  if (more.length > 0) throw usage(`one recording at a time: what is ${more[0]}?`);
  if (trace !== undefined) {
    if (config !== undefined || captures.length > 0) {
      throw usage('a recording brings its own configuration: no --config and no --in with it');
    }
    return await replayRecording(trace, out, io);
  }
  if (config === undefined) throw usage('give a recording, or --config FILE and --in PORT=FILE');
  if (captures.length === 0) throw usage('--config needs at least one --in PORT=FILE');
  return await replayCaptures(config, captures.map(parseInput), out, io);
}

function usage(message: string): ReplayError {
  return new ReplayError(message, EXIT_USAGE);
}

async function replayRecording(
  file: string,
  out: string | undefined,
  io: CommandIo,
): Promise<number> {
  const recording = parseRecording((await read(file)).toString('utf8'), file);
  const module = await compileWasm('release');
  // What a scheduler drew at random when the recording was made is part of what is played again.
  const options = { module, file, followsRandomChoices: true };
  const text = formatRecording(playRecording(recording, options));
  if (out === undefined) io.stdout.write(text);
  else await write(out, text);
  return EXIT_OK;
}

interface InputOption {
  readonly port: string;
  readonly file: string;
}

function parseInput(option: string): InputOption {
  const at = option.indexOf('=');
  if (at <= 0 || at === option.length - 1) throw usage(`--in takes PORT=FILE, not '${option}'`);
  return { port: option.slice(0, at), file: option.slice(at + 1) };
}

async function replayCaptures(
  file: string,
  options: readonly InputOption[],
  out: string | undefined,
  io: CommandIo,
): Promise<number> {
  const loaded = await loadConfig(file);
  for (const warning of loaded.warnings) io.stderr.write(`${formatWarning(warning)}\n`);
  if (!loaded.ok) {
    for (const problem of loaded.errors) io.stderr.write(`${formatProblem(problem)}\n`);
    return EXIT_FAILURE;
  }
  const inputs: CaptureInput[] = [];
  for (const { port, file: capture } of options) {
    inputs.push({ port, frames: parseCapture(await read(capture), capture) });
  }
  const replay = playCaptures(loaded.config, inputs, await compileWasm('release'));
  if (out !== undefined) {
    await makeDirectory(out);
    for (const [port, frames] of replay.output) {
      await write(join(out, `${port}.pcap`), formatCapture(frames));
    }
    const report = { config: file, inputs: options, frames: replay.reports };
    await write(join(out, 'report.json'), `${JSON.stringify(report, undefined, 2)}\n`);
  }
  io.stdout.write(summarize(replay));
  return EXIT_OK;
}

// -- files, with errors that name them ------------------------------------------------------------

async function read(file: string): Promise<Buffer> {
  try {
    return await readFile(file);
  } catch (error) {
    throw new ReplayError(`${file}: ${reason(error)}`, EXIT_FAILURE);
  }
}

async function write(file: string, content: string | Uint8Array): Promise<void> {
  try {
    await writeFile(file, content);
  } catch (error) {
    throw new ReplayError(`${file}: ${reason(error)}`, EXIT_FAILURE);
  }
}

async function makeDirectory(path: string): Promise<void> {
  try {
    await mkdir(path, { recursive: true });
  } catch (error) {
    throw new ReplayError(`${path}: ${reason(error)}`, EXIT_FAILURE);
  }
}

function reason(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
