// What a bench says, and the file that keeps it.

import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { cpus, loadavg, release, totalmem } from 'node:os';
import { dirname } from 'node:path';
import { sourceRoot } from '../host/netns/processes.ts';
import { ratioOf, type Sample, type Summary, summarize } from './measure.ts';

/** Read when the program starts, before it makes load itself. */
const LOAD_AT_START = loadavg()[0];

/** The same number of somebody else, in the same rounds. */
export interface Comparison {
  readonly value: number;
  /** Ours over theirs. */
  readonly ratio: number;
  readonly ratioSpread: readonly [min: number, max: number];
}

export type Params = Readonly<Record<string, string | number>>;

/** One number. */
export interface Result extends Summary {
  readonly name: string;
  readonly unit: string;
  readonly params: Params;
  readonly against: Readonly<Record<string, Comparison>>;
}

/** What could not be measured, and why. */
export interface Missing {
  /** The bench's name. */
  readonly name: string;
  /** Who or what. */
  readonly what: string;
  readonly why: string;
}

/** Where and when numbers were made. */
export interface Machine {
  readonly cpu: string;
  readonly cores: number;
  readonly memoryBytes: number;
  readonly kernel: string;
  readonly node: string;
  readonly compiler: string;
  readonly transparentHugePages: string;
  /** Processes that wanted a processor in the last minute, when the run began. */
  readonly loadAtStart: number;
}

/** The results file. */
export interface Report {
  readonly machine: Machine;
  readonly date: string;
  readonly commit: string;
  /** The command that made it. */
  readonly command: string;
  readonly results: readonly Result[];
  readonly missing: readonly Missing[];
}

/** A result from its rounds, and how it compares with others in the same rounds. */
export function makeResult(
  about: { readonly name: string; readonly unit: string; readonly params: Params },
  sample: Sample,
  against: readonly Sample[] = [],
): Result {
  const comparisons = against.map((other): [string, Comparison] => {
    const ratio = ratioOf(sample, other);
    const { value } = summarize(other.values);
    return [other.name, { value, ratio: ratio.value, ratioSpread: ratio.spread }];
  });
  return { ...about, ...summarize(sample.values), against: Object.fromEntries(comparisons) };
}

/** A number that is computed, or measured once: its spread is itself. */
export function exactResult(
  about: { readonly name: string; readonly unit: string; readonly params: Params },
  value: number,
): Result {
  return { ...about, value, spread: [value, value], against: {} };
}

export function makeReport(made: Pick<Report, 'command' | 'results' | 'missing'>): Report {
  const { command, results, missing } = made;
  return {
    machine: describeMachine(),
    date: new Date().toISOString(),
    commit: describeCommit(),
    command,
    results,
    missing,
  };
}

export function writeReport(path: string, report: Report): void {
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, `${JSON.stringify(report, undefined, 2)}\n`);
}

/** @throws Error when the file is no report */
export function readReport(path: string): Report {
  const report = JSON.parse(readFileSync(path, 'utf8')) as Partial<Report>;
  if (!Array.isArray(report.results)) throw new Error(`${path} holds no results of a bench`);
  return report as Report;
}

function describeMachine(): Machine {
  const [cpu] = cpus();
  return {
    cpu: cpu?.model ?? 'unknown',
    cores: cpus().length,
    memoryBytes: totalmem(),
    kernel: release(),
    node: process.version,
    compiler: firstLine('cc', ['--version']),
    transparentHugePages: chosenHugePages(),
    loadAtStart: LOAD_AT_START,
  };
}

/** The word in brackets: always, madvise or never. */
function chosenHugePages(): string {
  try {
    const text = readFileSync('/sys/kernel/mm/transparent_hugepage/enabled', 'utf8');
    return /\[(\w+)\]/.exec(text)?.[1] ?? 'unknown';
  } catch {
    return 'none';
  }
}

function describeCommit(): string {
  const commit = firstLine('git', ['rev-parse', 'HEAD']);
  const isDirty = firstLine('git', ['status', '--porcelain', '--untracked-files=no']) !== '';
  return isDirty ? `${commit} and changes` : commit;
}

function firstLine(command: string, words: readonly string[]): string {
  try {
    const options = { cwd: sourceRoot(), encoding: 'utf8', stdio: 'pipe' } as const;
    return execFileSync(command, words, options).split('\n')[0];
  } catch {
    return 'unknown';
  }
}
