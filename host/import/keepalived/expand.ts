/**
 * Files of keepalived's configuration -> the lines that are left when comments are off, files
 * included, conditions decided, parameters replaced and sequences repeated, each with the place
 * that it comes from.
 */

import { readFileSync, realpathSync, statSync } from 'node:fs';
import { basename, dirname, resolve } from 'node:path';
import { ImportLimitError, ImportReport, type Origin } from '../report.ts';
import { decomment } from './decomment.ts';
import { expandBraces, isWildcard, matchPaths } from './glob.ts';
import { EndlessSubstitutionError, Parameters } from './parameters.ts';
import { isRepeated, parseRepetition } from './sequences.ts';

/** A line with something in it. */
export interface ExpandedLine {
  readonly text: string;
  readonly origin: Origin;
}

/** What the configuration is read for. */
export interface ExpandOptions {
  /** What `@word` is compared with: the option -i of keepalived. */
  readonly configId: string;
  readonly random: () => number;
}

const LINES_MAX = 4_000_000;
const DEPTH_MAX = 64;
const FILE_BYTES_MAX = 64 * 1024 * 1024;

/** The checks of `include_check`, and of the letter behind `include`. */
type IncludeCheck = 'readable' | 'match' | 'wildcard_match' | 'brace_match';

const ALL_CHECKS: readonly IncludeCheck[] = ['readable', 'match', 'wildcard_match', 'brace_match'];
const CHECKS_BY_LETTER: Readonly<Record<string, readonly IncludeCheck[]>> = {
  '': [],
  r: ['readable'],
  m: ['readable', 'match'],
  w: ['readable', 'wildcard_match', 'match'],
  b: ['readable', 'brace_match'],
  a: ALL_CHECKS,
};

/**
 * Reads `text`, which is that of `file`, and the files it includes. What is wrong is in `report`
 * afterwards; throws ImportLimitError when there is no end to it.
 */
export function expandLines(
  { file, text }: { readonly file: string; readonly text: string },
  options: ExpandOptions,
  report: ImportReport,
): readonly ExpandedLine[] {
  const expander = new Expander(options, report);
  expander.readText(text, file);
  return expander.lines;
}

/** What a configuration depends on beside its own file. */
export interface IncludedSources {
  /** The files it includes, or would if they could be read. */
  readonly files: ReadonlySet<string>;
  /** Directories in which further ones may come up. */
  readonly directories: ReadonlySet<string>;
}

/** The files that `text`, which is that of `file`, includes, and those that they include. */
export function includedSources(
  { file, text }: { readonly file: string; readonly text: string },
  options: ExpandOptions,
): IncludedSources {
  const expander = new Expander(options, new ImportReport());
  try {
    expander.readText(text, file);
  } catch (error) {
    // A file that goes on and on is not loaded either; what it has led to so far is enough.
    if (!(error instanceof ImportLimitError)) throw error;
  }
  return { files: expander.files, directories: expander.directories };
}

class Expander {
  readonly lines: ExpandedLine[] = [];
  readonly files = new Set<string>();
  readonly directories = new Set<string>();
  readonly #report: ImportReport;
  readonly #configId: string;
  readonly #parameters: Parameters;
  readonly #openFiles: string[] = [];
  #includeChecks: ReadonlySet<IncludeCheck> = new Set();
  #steps = 0;

  constructor({ configId, random }: ExpandOptions, report: ImportReport) {
    this.#report = report;
    this.#configId = configId;
    this.#parameters = new Parameters({
      directory: () => this.#directory(),
      instance: configId,
      random,
    });
  }

  readText(text: string, file: string): void {
    const checks = this.#includeChecks;
    this.#openFiles.push(file);
    let append: ((line: string) => void) | undefined;
    for (const [index, line] of text.split('\n').entries()) {
      const physical = line.replace(/\r+$/, '');
      const { text: bare, column, isContinued } = decomment(physical);
      const origin = { file, line: index + 1, column };
      if (append !== undefined) {
        // A line that is really empty ends a definition, too.
        if (physical !== '') append(bare);
        if (!isContinued) append = undefined;
        continue;
      }
      if (bare === '' && !isContinued) continue;
      append = this.#startDefinition(bare, isContinued);
      if (append === undefined) this.#process(isContinued ? `${bare} \\` : bare, origin, 0);
    }
    this.#openFiles.pop();
    // What an included file demands of its own includes ends with it.
    if (this.#openFiles.length > 0) this.#includeChecks = checks;
  }

  /** A definition of several lines; only in a file, not inside of another definition. */
  #startDefinition(text: string, isContinued: boolean): ((line: string) => void) | undefined {
    if (!isContinued) return undefined;
    const wanted = text.startsWith('@') ? this.#decide(text) : text;
    const definition = DEFINITION.exec(wanted);
    if (definition !== null) return this.#parameters.defineLines(definition[1]!, definition[2]!);
    // The lines of a definition that is for other machines have to go with it.
    const isForOthers = wanted === '' && /^@\S+[ \t]+\$/.test(text);
    return isForOthers ? () => undefined : undefined;
  }

  #process(line: string, origin: Origin, depth: number): void {
    if (++this.#steps > LINES_MAX)
      throw new ImportLimitError(origin, 'more lines than anyone needs');
    if (depth > DEPTH_MAX) throw new ImportLimitError(origin, 'definitions inside of each other');
    let text = line;
    for (;;) {
      if (text.startsWith('@')) text = this.#decide(text);
      if (text === '') return;
      const definition = DEFINITION.exec(text);
      if (definition !== null) {
        this.#parameters.define(definition[1]!, definition[2]!);
        return;
      }
      if (isRepeated(text)) {
        this.#repeat(text, origin, depth);
        return;
      }
      const substitution = this.#substitute(text, origin);
      if (substitution === undefined) break;
      text = substitution.text.trim();
      if (substitution.following.length === 0) continue;
      for (const next of [text, ...substitution.following]) {
        this.#process(next.trim(), origin, depth + 1);
      }
      return;
    }
    this.#emit(text, origin);
  }

  /** What is left of a line that is for some machines only; nothing when not for this one. */
  #decide(text: string): string {
    const match = /^@(\^?)(\S*)[ \t]+(.*)$/.exec(text);
    if (match === null) return '';
    const [, negation, id, rest] = match;
    return (id === this.#configId) === (negation === '') ? rest! : '';
  }

  #substitute(text: string, origin: Origin): ReturnType<Parameters['substitute']> {
    try {
      return this.#parameters.substitute(text);
    } catch (error) {
      if (!(error instanceof EndlessSubstitutionError)) throw error;
      throw new ImportLimitError(origin, error.message);
    }
  }

  #repeat(text: string, origin: Origin, depth: number): void {
    const close = text.indexOf(')') + 1;
    const head = this.#substitute(text.slice(0, close), origin)?.text ?? text.slice(0, close);
    const repetition = parseRepetition(head + text.slice(close));
    if (repetition === undefined) {
      const form = text.startsWith('~LST')
        ? '~LST(NAME, VALUE, ...) LINE'
        : '~SEQ(NAME, START, STEP, END) LINE';
      this.#report.error(origin, `expected ${form}, got ${text}`);
      return;
    }
    for (const turn of repetition.turns) {
      for (const [name, value] of turn) this.#parameters.define(name, value);
      this.#process(repetition.line, origin, depth + 1);
    }
  }

  #emit(text: string, origin: Origin): void {
    const include = /^include([rmwba]?)[ \t]+(.*)$/.exec(text);
    if (include !== null) {
      this.#include(include[2]!, CHECKS_BY_LETTER[include[1]!]!, origin);
      return;
    }
    if (/^include_check(\s|$)/.test(text)) this.#setIncludeChecks(text, origin);
    this.lines.push({ text, origin });
  }

  #setIncludeChecks(text: string, origin: Origin): void {
    const words = text.split(/[ \t]+/).slice(1);
    const isChange = words.some((word) => /^[+-]/.test(word));
    const checks = new Set<IncludeCheck>(isChange ? this.#includeChecks : []);
    if (words.length === 0) for (const check of ALL_CHECKS) checks.add(check);
    let isAdded = true;
    for (const word of words) {
      const name = word.replace(/^[+-]/, '');
      if (/^[+-]/.test(word)) isAdded = word.startsWith('+');
      const check = ALL_CHECKS.find((candidate) => candidate === name);
      if (check === undefined) this.#report.lost(origin, `include_check has no "${name}"`);
      else if (isAdded) checks.add(check);
      else checks.delete(check);
    }
    this.#includeChecks = checks;
  }

  #include(target: string, own: readonly IncludeCheck[], origin: Origin): void {
    const checks = new Set([...this.#includeChecks, ...own]);
    const pattern = target.replace(/^"(.*)"$/, '$1');
    const alternatives = expandBraces(pattern);
    const note = (path: string) => this.directories.add(path);
    const matches = alternatives.map((one) => matchPaths(one, this.#directory(), note));
    const paths = matches.flat();
    for (const [index, found] of matches.entries()) {
      if (found.length > 0 || alternatives.length === 1) continue;
      const message = `no file matches ${alternatives[index]}`;
      this.#complain(message, { origin, isError: checks.has('brace_match') });
    }
    if (paths.length === 0) {
      const hasWildcard = isWildcard(pattern);
      const isError = checks.has('wildcard_match') || (checks.has('match') && !hasWildcard);
      const isExpected = hasWildcard || checks.has('readable');
      if (isError || !isExpected) this.#complain(`no file matches ${pattern}`, { origin, isError });
    }
    for (const path of paths) this.#includeFile(path, checks.has('readable'), origin);
  }

  #includeFile(path: string, isError: boolean, origin: Origin): void {
    if (this.#openFiles.length >= DEPTH_MAX) {
      throw new ImportLimitError(origin, 'too many files inside of each other');
    }
    this.files.add(path);
    try {
      const real = realpathSync(path, { encoding: 'utf8' });
      if (this.#openFiles.some((file) => sameFile(file, real))) {
        this.#report.error(origin, `${path} includes itself`);
        return;
      }
      const stat = statSync(path);
      if (!stat.isFile() || (stat.mode & 0o111) !== 0 || stat.size > FILE_BYTES_MAX) {
        const message = `${path} is no regular file without execute permission: not included`;
        this.#complain(message, { origin, isError });
        return;
      }
      this.readText(readFileSync(path, 'utf8'), path);
    } catch (error) {
      if (!(error instanceof Error && 'syscall' in error)) throw error;
      this.#complain(`${path} cannot be read: ${error.message}`, { origin, isError });
    }
  }

  #complain(message: string, { origin, isError }: { origin: Origin; isError: boolean }): void {
    if (isError) this.#report.error(origin, message);
    else this.#report.lost(origin, message);
  }

  #directory(): string {
    return dirname(resolve(this.#openFiles.at(-1) ?? '.'));
  }
}

/** `$NAME=VALUE`. */
const DEFINITION = /^\$([A-Za-z_]\w*)[ \t]*=[ \t]*(.*)$/;

function sameFile(file: string, real: string): boolean {
  if (basename(file) === basename(real) && resolve(file) === real) return true;
  try {
    return realpathSync(file) === real;
  } catch {
    // The text may have come from standard input, which is no file.
    return false;
  }
}
