/** File name patterns of `include`: csh's braces, and `*`, `?` and `[...]` as glob(3) has them. */

import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';

const EXPANSIONS_MAX = 10_000;

/** Whether `pattern` has characters that stand for others. */
export function isWildcard(pattern: string): boolean {
  return /[*?[]/.test(pattern);
}

/** `{foo/{,cat,dog},bar}` as `foo/`, `foo/cat`, `foo/dog` and `bar`. */
export function expandBraces(pattern: string): string[] {
  const open = pattern.indexOf('{');
  if (open < 0) return [pattern];
  const parts: string[] = [];
  let depth = 0;
  let start = open + 1;
  for (let i = open; i < pattern.length; i++) {
    const char = pattern[i];
    if (char === '{') depth++;
    if (char === ',' && depth === 1) {
      parts.push(pattern.slice(start, i));
      start = i + 1;
    }
    if (char !== '}' || --depth > 0) continue;
    parts.push(pattern.slice(start, i));
    const head = pattern.slice(0, open);
    const tails = expandBraces(pattern.slice(i + 1));
    const middles = parts.flatMap((part) => expandBraces(part));
    return middles
      .flatMap((middle) => tails.map((tail) => head + middle + tail))
      .slice(0, EXPANSIONS_MAX);
  }
  // A brace that is not closed stands for itself.
  return [pattern];
}

/**
 * The existing paths that match `pattern`, which has no braces, in the order of their names.
 * @param noteDirectory told each directory in which another match may come up
 */
export function matchPaths(
  pattern: string,
  directory: string,
  noteDirectory: (path: string) => void = () => undefined,
): string[] {
  const isAbsolute = pattern.startsWith('/');
  let paths = [isAbsolute ? '/' : directory];
  for (const part of pattern.split('/').filter((text) => text !== '')) {
    paths = paths.flatMap((path) => {
      if (!isWildcard(part)) {
        if (exists(join(path, part))) return [join(path, part)];
        noteDirectory(path);
        return [];
      }
      noteDirectory(path);
      const matcher = matcherOf(part);
      return namesIn(path)
        .filter((name) => matcher.test(name))
        .map((name) => join(path, name));
    });
  }
  return paths;
}

function matcherOf(part: string): RegExp {
  // A leading dot has to be written.
  let source = part.startsWith('.') ? '^' : '^(?!\\.)';
  for (let i = 0; i < part.length; i++) {
    const char = part[i]!;
    const set = char === '[' ? /^\[([!^]?)(\]?[^\]]*)\]/.exec(part.slice(i)) : null;
    if (set !== null) {
      source += `[${set[1] === '' ? '' : '^'}${set[2]!.replace(/[\\\]]/g, '\\$&')}]`;
      i += set[0].length - 1;
    } else if (char === '*') source += '.*';
    else if (char === '?') source += '.';
    else source += char.replace(/[\\^$.|+()[\]{}/-]/g, '\\$&');
  }
  return new RegExp(`${source}$`);
}

function exists(path: string): boolean {
  try {
    return statSync(path, { throwIfNoEntry: false }) !== undefined;
  } catch {
    // What cannot be the name of a file, or goes through one, names none.
    return false;
  }
}

function namesIn(directory: string): string[] {
  try {
    return readdirSync(directory).sort();
  } catch {
    return [];
  }
}
