// The commands between a recording's packets, as a shell would run them: pipelines, `&&` and `||`,
// redirections to files that exist only in the replay, and the few tools that recordings use.
// ipvsadm, sysctl, iptables and ip are given from outside.

import { parseShell, type ShellCommand, type ShellList } from './shell-syntax.ts';

/** What a command wrote: to both streams in the order seen through one pipe, and to stdout alone. */
export interface CommandResult {
  readonly code: number;
  /** Standard output and error together. */
  readonly merged: string;
  readonly stdout: string;
  readonly stderr: string;
}

/** A program: its arguments without its name, and what it reads. */
export type Program = (words: readonly string[], stdin: string) => CommandResult;

/** The result of a program that writes to standard output only. */
export function printed(stdout: string, code = 0): CommandResult {
  return { code, merged: stdout, stdout, stderr: '' };
}

/** The result of a program that only complains. */
export function complained(stderr: string, code: number): CommandResult {
  return { code, merged: stderr, stdout: '', stderr };
}

const NOT_FOUND = 127;
const NULL_DEVICE = '/dev/null';
const LINES_DEFAULT = 10;

/** A shell with a file system of its own. */
export class Shell {
  readonly #programs: Readonly<Record<string, Program>>;
  readonly #readFile: (path: string) => string | undefined;
  readonly #files = new Map<string, string>();

  /**
   * @param programs by name; they go before the built-in ones
   * @param readFile the content of a file such as /proc/net/ip_vs, undefined when there is none
   */
  constructor(
    programs: Readonly<Record<string, Program>>,
    readFile: (path: string) => string | undefined,
  ) {
    this.#programs = programs;
    this.#readFile = readFile;
  }

  /** Runs a command line; the text is what both streams wrote to one pipe. */
  run(line: string): { readonly code: number; readonly text: string } {
    const parsed = parseShell(line);
    if (typeof parsed === 'string') return { code: 2, text: `sh: 1: Syntax error: ${parsed}\n` };
    return this.#runList(parsed);
  }

  #runList(list: ShellList): { code: number; text: string } {
    let code = 0;
    let text = '';
    for (const { operator, pipeline } of list) {
      if (operator === '&&' && code !== 0) continue;
      if (operator === '||' && code === 0) continue;
      const result = this.#runPipeline(pipeline);
      code = result.code;
      text += result.text;
    }
    return { code, text };
  }

  #runPipeline(pipeline: readonly ShellCommand[]): { code: number; text: string } {
    let text = '';
    let stdin = '';
    let code = 0;
    for (const [index, command] of pipeline.entries()) {
      const result = this.#runCommand(command, stdin);
      code = result.code;
      stdin = result.stdout;
      text += index === pipeline.length - 1 ? result.merged : result.stderr;
    }
    return { code, text };
  }

  #runCommand(command: ShellCommand, piped: string): CommandResult {
    const { words, input, output, errors } = command;
    const stdin = input === undefined ? piped : this.#file(input);
    if (stdin === undefined) {
      return complained(`sh: 1: cannot open ${input}: No such file\n`, 2);
    }
    let result = this.#call(words, stdin);
    if (errors !== undefined) {
      this.#write(errors, result.stderr);
      result = { ...result, merged: result.stdout, stderr: '' };
    }
    if (output === undefined) return result;
    this.#write(output, result.stdout);
    return { ...result, merged: result.stderr, stdout: '' };
  }

  #call(words: readonly string[], stdin: string): CommandResult {
    const [name, ...rest] = words;
    if (name === undefined) return printed('');
    const program = this.#programs[name];
    if (program !== undefined) return program(rest, stdin);
    switch (name) {
      case 'cat':
        return this.#cat(rest, stdin);
      case 'ls':
        return this.#list(rest);
      case 'diff':
        return this.#diff(rest, stdin);
      default: {
        const tool = TOOLS[name];
        if (tool !== undefined) return tool(rest, stdin);
        return complained(`sh: 1: ${name}: not found\n`, NOT_FOUND);
      }
    }
  }

  #file(path: string): string | undefined {
    return path === NULL_DEVICE ? '' : (this.#files.get(path) ?? this.#readFile(path));
  }

  #write(path: string, text: string): void {
    if (path !== NULL_DEVICE) this.#files.set(path, text);
  }

  #cat(paths: readonly string[], stdin: string): CommandResult {
    if (paths.length === 0) return printed(stdin);
    let stdout = '';
    let merged = '';
    let stderr = '';
    for (const path of paths) {
      const text = path === '-' ? stdin : this.#file(path);
      if (text === undefined) {
        const complaint = `cat: ${path}: No such file or directory\n`;
        stderr += complaint;
        merged += complaint;
      } else {
        stdout += text;
        merged += text;
      }
    }
    return { code: stderr === '' ? 0 : 1, merged, stdout, stderr };
  }

  /** Lists directories that a replay has: those whose names readFile() gives for `DIRECTORY/`. */
  #list(words: readonly string[]): CommandResult {
    const paths = words.filter((word) => !word.startsWith('-'));
    const files: string[] = [];
    const directories: [string, string][] = [];
    for (const path of paths) {
      const names = this.#readFile(`${path.replace(/\/$/, '')}/`);
      if (names !== undefined) directories.push([path, names]);
      else if (path.includes('*')) files.push(...this.#expand(path));
      else files.push(path);
    }
    const blocks = files.length > 0 ? [files.map((file) => `${file}\n`).join('')] : [];
    const isAlone = paths.length === 1 && files.length === 0;
    for (const [path, names] of directories) {
      blocks.push(isAlone ? names : `${path}:\n${names}`);
    }
    return printed(blocks.join('\n'));
  }

  #expand(pattern: string): readonly string[] {
    const at = pattern.lastIndexOf('/');
    const names = this.#readFile(pattern.slice(0, at + 1)) ?? '';
    const [before, after] = pattern.slice(at + 1).split('*');
    return names
      .split('\n')
      .filter((name) => name !== '' && name.startsWith(before!) && name.endsWith(after ?? ''))
      .map((name) => pattern.slice(0, at + 1) + name);
  }

  /** Tells only whether two files are the same: what recordings ask. */
  #diff(words: readonly string[], stdin: string): CommandResult {
    const [one, other] = words.map((path) => (path === '-' ? stdin : this.#file(path)));
    if (one === undefined || other === undefined) {
      return complained('diff: No such file or directory\n', 2);
    }
    return one === other ? printed('') : printed(`Files ${words.join(' and ')} differ\n`, 1);
  }
}

const TOOLS: Readonly<Record<string, Program>> = {
  echo: (words) => printed(`${words.join(' ')}\n`),
  true: () => printed(''),
  false: () => printed('', 1),
  printf,
  grep,
  head: (words, stdin) => takeLines(words, stdin, (lines, count) => lines.slice(0, count)),
  tail: (words, stdin) => takeLines(words, stdin, (lines, count) => lines.slice(-count)),
};

function linesOf(text: string): string[] {
  const lines = text.split('\n');
  if (lines.at(-1) === '') lines.pop();
  return lines;
}

function takeLines(
  words: readonly string[],
  stdin: string,
  take: (lines: string[], count: number) => string[],
): CommandResult {
  const option = words.find((word) => /^-n?\d+$/.test(word));
  const following = words.indexOf('-n') + 1;
  const given = option?.replace(/^-n?/, '') ?? (following > 0 ? words[following] : undefined);
  const kept = take(linesOf(stdin), given === undefined ? LINES_DEFAULT : Number(given));
  return printed(kept.map((line) => `${line}\n`).join(''));
}

/** grep with fixed texts as patterns, `.` standing for any character; -v and -e. */
function grep(words: readonly string[], stdin: string): CommandResult {
  const isInverted = words.includes('-v');
  const patterns = words.filter((word, index) => {
    return words[index - 1] === '-e' || (!word.startsWith('-') && !words.includes('-e'));
  });
  const matches = (line: string) => patterns.some((pattern) => hasPattern(line, pattern));
  const kept = linesOf(stdin).filter((line) => matches(line) !== isInverted);
  return printed(kept.map((line) => `${line}\n`).join(''), kept.length > 0 ? 0 : 1);
}

function hasPattern(line: string, pattern: string): boolean {
  const escaped = pattern.replaceAll(/[*+?^${}()|[\]\\]/g, '\\$&');
  return new RegExp(escaped).test(line);
}

/** printf with %s, %d and the usual escapes; the format is used again while words are left. */
function printf(words: readonly string[]): CommandResult {
  const [format = '', ...values] = words;
  const plain = format.replaceAll('\\n', '\n').replaceAll('\\t', '\t');
  const places = plain.match(/%[sd]/g)?.length ?? 0;
  let text = '';
  let at = 0;
  do {
    text += plain.replaceAll(/%[sd]/g, () => values[at++] ?? '').replaceAll('%%', '%');
  } while (places > 0 && at < values.length);
  return printed(text);
}
