/** Text of a configuration file -> Config, or every reason why it is none. */

import { type CheckedSections, checkSections } from './check-sections.ts';
import { netmaskOf, normalizeDirector, normalizeMark, normalizeService } from './normalize.ts';
import { Problems } from './problems.ts';
import type { Config, ConfigProblem } from './types.ts';
import { type PartialConfig, validateConfig } from './validate.ts';
import { type TextSource, YamlSource } from './yaml-source.ts';

/** A configuration that can be used, or all the errors that keep it from being used. */
export type ConfigResult =
  | { readonly ok: true; readonly config: Config; readonly warnings: readonly ConfigProblem[] }
  | {
      readonly ok: false;
      readonly errors: readonly ConfigProblem[];
      readonly warnings: readonly ConfigProblem[];
    };

/** Parses and validates `text`; `file` is only the name that messages give it. */
export function parseConfig(text: string, file: string): ConfigResult {
  const source = new YamlSource(text, file);
  if (source.problems.length > 0) return { ok: false, errors: source.problems, warnings: [] };
  const problems = new Problems(source);
  const sections = checkSections(source.value, problems);
  findMisfitMasks(sections, problems);
  const partial = normalize(sections, source);
  validateConfig(partial, problems);
  const errors = problems.errors();
  const warnings = problems.warnings();
  const { director } = partial;
  if (errors.length > 0 || director === undefined) return { ok: false, errors, warnings };
  const marks = partial.marks.filter((rule) => rule !== undefined);
  const services = partial.services.filter((service) => service !== undefined);
  return { ok: true, config: freeze({ file, director, marks, services }), warnings };
}

/** Fills in what the sections leave out; what is wrong in itself stays undefined. */
export function normalize(sections: CheckedSections, source: TextSource): PartialConfig {
  const defaults = { drain: sections.director?.drain, ...sections.defaults };
  return {
    director: sections.director && normalizeDirector(sections.director),
    marks: sections.marks.map(
      (section, index) => section && normalizeMark(section, source.positionOf(['marks', index])),
    ),
    services: sections.services.map((section, index) => {
      if (section === undefined) return undefined;
      const path = ['services', index];
      const servers = (section.servers ?? []).map((_, server) =>
        source.positionOf([...path, 'servers', server]),
      );
      const positions = { service: source.positionOf(path), servers };
      return normalizeService(section, defaults, positions);
    }),
  };
}

/** Only here both are known, the mask as it is written and the family it has to fit. */
export function findMisfitMasks({ services }: CheckedSections, problems: Problems): void {
  for (const [index, service] of services.entries()) {
    const mask = service?.persistence?.mask;
    if (service === undefined || mask === undefined) continue;
    const { family } = service.listen;
    if (netmaskOf(mask, family) !== undefined) continue;
    const expected =
      family === 4
        ? 'a mask such as 255.255.255.0 or a prefix length from 1 to 32'
        : 'a prefix length from 1 to 128';
    const message = `expected ${expected} for an IPv${family} service`;
    const path = ['services', index, 'persistence', 'mask'];
    problems.error({ path, code: 'mask-of-other-family', message });
  }
}

function freeze<Value>(value: Value): Value {
  if (typeof value === 'object' && value !== null && !Object.isFrozen(value)) {
    Object.freeze(value);
    for (const child of Object.values(value)) freeze(child);
  }
  return value;
}
