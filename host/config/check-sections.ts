/**
 * Holds a parsed YAML value against the schema, part by part, and turns what zod says into
 * sentences: what was expected, what is there instead, and the word that was probably meant.
 */

import type { z } from 'zod';
import type { Finding, Problems } from './problems.ts';
import {
  type DefaultsSection,
  type DirectorSection,
  type MarkSection,
  type ServiceSection,
  sections,
} from './schema.ts';
import { SENTENCE_SEPARATOR } from './schema-leaves.ts';
import { suggest } from './suggest.ts';
import type { Path } from './yaml-source.ts';

/** The parts of a file; undefined in place of each that is wrong in itself. */
export interface CheckedSections {
  readonly director: DirectorSection | undefined;
  readonly defaults: DefaultsSection;
  readonly marks: readonly (MarkSection | undefined)[];
  readonly services: readonly (ServiceSection | undefined)[];
}

type Issue = z.core.$ZodIssue;

/** Checks every part of `value`; whatever is wrong is in `problems` afterwards. */
export function checkSections(value: unknown, problems: Problems): CheckedSections {
  checkSection({ schema: sections.frame, value, path: [] }, problems);
  const parts = isMapping(value) ? value : {};
  const director = { schema: sections.director, value: parts.director, path: ['director'] };
  const defaults = { schema: sections.defaults, value: parts.defaults, path: ['defaults'] };
  return {
    // A file that is no mapping at all has been reported as that already.
    director: isMapping(value) ? checkSection(director, problems) : undefined,
    defaults: parts.defaults === undefined ? {} : (checkSection(defaults, problems) ?? {}),
    marks: itemsOf(parts.marks).map((item, index) =>
      checkSection({ schema: sections.mark, value: item, path: ['marks', index] }, problems),
    ),
    services: itemsOf(parts.services).map((item, index) =>
      checkSection({ schema: sections.service, value: item, path: ['services', index] }, problems),
    ),
  };
}

function checkSection<Section>(
  { schema, value, path }: { schema: z.ZodType<Section>; value: unknown; path: Path },
  problems: Problems,
): Section | undefined {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  for (const issue of result.error.issues) {
    for (const finding of findingsOf(issue, { value, path })) problems.error(finding);
  }
  return undefined;
}

/** The value a schema was held against, and where in the file it is. */
interface Root {
  readonly value: unknown;
  readonly path: Path;
}

function findingsOf(issue: Issue, root: Root): Finding[] {
  const path = [...root.path, ...issue.path];
  if (issue.code === 'unrecognized_keys') {
    const sentences = issue.message.split(SENTENCE_SEPARATOR);
    return issue.keys.map((key, index) => ({
      path: [...path, key],
      code: 'unknown-key',
      message: sentences[index]!,
      atKey: true,
    }));
  }
  const value = valueAt(root.value, issue.path);
  const branch = issue.code === 'invalid_union' ? meantBranch(issue) : undefined;
  if (branch !== undefined) {
    return branch.flatMap((inner) => {
      return findingsOf({ ...inner, path: [...issue.path, ...inner.path] }, root);
    });
  }
  if (value === undefined && path.length > 0) {
    const message = `missing key "${String(path.at(-1))}": ${expectation(issue)}`;
    return [{ path, code: 'missing-key', message }];
  }
  const code = issue.code === 'invalid_type' ? 'wrong-type' : 'wrong-value';
  const message = `${expectation(issue)}, got ${describe(value)}${hint(issue, value)}`;
  return [{ path, code, message }];
}

/**
 * The alternative of a union that a value was probably meant as: the only one that has nothing
 * against the value as a whole, but only against things inside it.
 */
function meantBranch(issue: z.core.$ZodIssueInvalidUnion): Issue[] | undefined {
  const candidates = issue.errors.filter((branch) => branch.every(isAboutTheInside));
  return candidates.length === 1 ? candidates[0] : undefined;
}

function isAboutTheInside(issue: Issue): boolean {
  return issue.path.length > 0 || issue.code === 'unrecognized_keys';
}

function expectation(issue: Issue): string {
  const words = issue.code === 'invalid_union' ? wordsOf(issue) : [];
  // zod finds the alternative by a key such as `type`; its own sentence would not say so.
  const isDiscriminated = issue.code === 'invalid_union' && issue.errors.length === 0;
  return isDiscriminated ? `expected one of ${words.join(', ')}` : issue.message;
}

function hint(issue: Issue, value: unknown): string {
  const nearest = typeof value === 'string' ? suggest(value, wordsOf(issue)) : undefined;
  return nearest === undefined ? '' : `; did you mean "${nearest}"?`;
}

function wordsOf(issue: Issue): string[] {
  if (issue.code === 'invalid_value') return issue.values.map(String);
  if (issue.code !== 'invalid_union') return [];
  const options = 'options' in issue && Array.isArray(issue.options) ? issue.options : [];
  return [...options.map(String), ...issue.errors.flat().flatMap(wordsOf)];
}

const SHOWN_MAX = 60;

function describe(value: unknown): string {
  if (value === null || value === undefined) return 'nothing';
  if (Array.isArray(value)) return `a list of ${value.length}`;
  if (typeof value === 'object') return 'a mapping';
  const text = JSON.stringify(value);
  return text.length > SHOWN_MAX ? `${text.slice(0, SHOWN_MAX)}...` : text;
}

function valueAt(root: unknown, path: Path): unknown {
  let value = root;
  for (const step of path) {
    if (typeof value !== 'object' || value === null) return undefined;
    value = Reflect.get(value, step);
  }
  return value;
}

function isMapping(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function itemsOf(value: unknown): unknown[] {
  return Array.isArray(value) ? value : [];
}
