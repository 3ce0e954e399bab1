/**
 * A parser that remembers: of a large file with a small edit it parses only the services that were
 * edited, and answers the very same objects for the others. A file with anything to complain of, be
 * it a warning, is parsed as a whole, so that what is said about it does not depend on the past.
 */

import { checkSections } from './check-sections.ts';
import { type ConfigResult, findMisfitMasks, normalize, parseConfig } from './parse.ts';
import { PlainYaml } from './plain-yaml.ts';
import { Problems } from './problems.ts';
import { type ServiceSlice, sliceServices, type TextSlices } from './reload-slices.ts';
import type { DirectorConfig, MarkRule, ServiceConfig } from './types.ts';
import { validateAllButServices } from './validate.ts';
import { validateService } from './validate-service.ts';
import { YamlSource } from './yaml-source.ts';

/** Lines in front of a slice when it is parsed by itself. */
const SLICE_PREFIX = 'services:\n';
const SLICE_LINES = 1;

/** A service as it was last answered, and the line its slice was at when it was parsed. */
interface Remembered {
  readonly parsed: ServiceConfig;
  readonly line: number;
  readonly last: ServiceConfig;
}

/** What services depend on beside their own text. */
interface Frame {
  readonly value: Readonly<Record<string, unknown>>;
  readonly source: YamlSource;
  readonly director: DirectorConfig;
  readonly marks: readonly MarkRule[];
}

/** Parses one version of a configuration after the other. */
export class RememberingParser {
  #context = '';
  #services = new Map<string, Remembered>();

  /** As parseConfig(). */
  parse(text: string, file: string): ConfigResult {
    const slices = sliceServices(text);
    return (slices && this.#parseSlices(slices, file)) ?? parseConfig(text, file);
  }

  #parseSlices(slices: TextSlices, file: string): ConfigResult | undefined {
    const frame = parseFrame(slices.frame, file);
    if (frame === undefined) return undefined;
    const context = JSON.stringify([frame.value.director, frame.value.defaults]);
    const before = context === this.#context ? this.#services : new Map<string, Remembered>();
    const after = new Map<string, Remembered>();
    const services: ServiceConfig[] = [];
    for (const slice of slices.services) {
      const remembered = before.get(slice.text) ?? parseSlice(slice, frame);
      if (remembered === undefined) return undefined;
      const moved = atLine(remembered, slice.line);
      after.set(slice.text, moved);
      services.push(moved.last);
    }
    const { director, marks } = frame;
    const problems = new Problems(frame.source);
    validateAllButServices({ director, marks, services }, problems);
    if (hasAny(problems)) return undefined;
    this.#context = context;
    this.#services = after;
    return { ok: true, config: { file, director, marks, services }, warnings: [] };
  }
}

function parseFrame(text: string, file: string): Frame | undefined {
  const source = new YamlSource(text, file);
  const { value } = source;
  if (source.problems.length > 0 || typeof value !== 'object' || value === null) return undefined;
  const problems = new Problems(source);
  const { director, marks } = normalize(checkSections(value, problems), source);
  if (hasAny(problems) || director === undefined) return undefined;
  const known = marks.filter((rule) => rule !== undefined);
  return { value: value as Record<string, unknown>, source, director, marks: known };
}

function parseSlice(slice: ServiceSlice, frame: Frame): Remembered | undefined {
  const text = `${SLICE_PREFIX}${slice.text}`;
  const source = PlainYaml.read(text) ?? new YamlSource(text, '');
  if (source.problems.length > 0) return undefined;
  const { services: items } = source.value as { services: unknown };
  if (!Array.isArray(items) || items.length !== 1) return undefined;
  const { version, director: directorSection, defaults } = frame.value;
  const value = {
    version,
    director: directorSection,
    ...(defaults !== undefined && { defaults }),
    services: items,
  };
  const problems = new Problems(source);
  const sections = checkSections(value, problems);
  findMisfitMasks(sections, problems);
  const [service] = normalize(sections, source).services;
  if (service === undefined) return undefined;
  validateService(service, { index: 0, director: frame.director, problems });
  if (hasAny(problems)) return undefined;
  // Positions count from the slice's start; the shift makes lines of the file of them.
  const line = 1 + SLICE_LINES;
  return { parsed: service, line, last: service };
}

/** The same service at another line. The servers are the same objects wherever it stands. */
function atLine(remembered: Remembered, line: number): Remembered {
  const { parsed, last } = remembered;
  const shift = line - remembered.line;
  if (last.lineShift === shift) return remembered;
  const { position } = parsed;
  const moved = {
    ...parsed,
    ...(position && { position: { ...position, line: position.line + shift } }),
    lineShift: shift,
  };
  return { ...remembered, last: moved };
}

function hasAny(problems: Problems): boolean {
  return problems.errors().length + problems.warnings().length > 0;
}
