/**
 * Files of keepalived, ipvsadm and iptables -> one configuration of WVS that `wvs check` takes,
 * and a report of all that is not in it.
 */

import { hostname } from 'node:os';
import { type ConfigResult, parseConfig } from '../config/parse.ts';
import type { Config, ConfigProblem } from '../config/types.ts';
import { detectKind, type ImportKind, isOwnConfig } from './detect.ts';
import { interfacesOf, type MachineNetworks, machineNetworks } from './interfaces.ts';
import { convertRules } from './ipvsadm/convert.ts';
import { convertKeepalived } from './keepalived/convert.ts';
import { type ConfigDraft, emptyDraft } from './model.ts';
import { type OwnComments, readOwnComments } from './own-comments.ts';
import { removeTargets, targetOf } from './prune.ts';
import { ImportLimitError, type ImportNote, ImportReport, type Origin } from './report.ts';
import { type WrittenConfig, writeYaml } from './write-yaml.ts';

/** A file to import, already read; what it includes is read from where it is. */
export interface ImportSource {
  readonly file: string;
  readonly text: string;
}

/** What an import depends on besides the files. */
export interface ImportOptions {
  /** Decides `@word` lines and is ${_INSTANCE}. Default: the host's name up to its first dot. */
  readonly configId?: string | undefined;
  /** The interfaces of the director. Default: what the files say, or a guess. */
  readonly interfaces?: readonly string[] | undefined;
  /** What a guess is made from. Default: this machine's networks. */
  readonly machine?: MachineNetworks;
  /** For ${_RANDOM}; from 0 up to, not including, 1. */
  readonly random?: () => number;
}

/** A configuration with its text, or the errors because of which there is none. */
export type ImportResult =
  | {
      readonly ok: true;
      readonly yaml: string;
      readonly config: Config;
      /** What could not be expressed. */
      readonly notes: readonly ImportNote[];
      readonly originOf: (path: string) => Origin;
    }
  | {
      readonly ok: false;
      readonly errors: readonly ImportNote[];
      readonly notes: readonly ImportNote[];
    };

/** Imports files as one configuration. */
export function importConfig(
  sources: readonly ImportSource[],
  options: ImportOptions = {},
): ImportResult {
  const report = new ImportReport();
  const draft = emptyDraft();
  const own = { director: {}, marks: [] as unknown[], origin: undefined as Origin | undefined };
  try {
    for (const source of sources) {
      const comments = readOwnComments(source.file, source.text, report);
      Object.assign(own.director, comments.director);
      own.marks.push(...comments.marks);
      own.origin ??= comments.origin;
      convert(source, { draft, report, options });
    }
  } catch (error) {
    if (!(error instanceof ImportLimitError)) throw error;
    report.error(error.origin, `this leads to ${error.message}`);
  }
  if (report.errors.length > 0) return failure(report);
  return finish({ draft, own, report, options, file: sources[0]?.file ?? '' });
}

function failure(report: ImportReport): ImportResult {
  return { ok: false, errors: report.errors, notes: report.notes };
}

interface Conversion {
  readonly draft: ConfigDraft;
  readonly report: ImportReport;
  readonly options: ImportOptions;
}

function convert(source: ImportSource, { draft, report, options }: Conversion): void {
  const start = { file: source.file, line: 1, column: 1 };
  if (isOwnConfig(source.text)) {
    report.error(start, 'this is a configuration of WVS already');
    return;
  }
  const converters: Record<ImportKind, () => void> = {
    rules: () => convertRules(source, draft, report),
    keepalived: () => {
      const { configId = hostname().split('.')[0]!, random = Math.random } = options;
      convertKeepalived(source, draft, { configId, random, report });
    },
  };
  converters[detectKind(source.text) ?? 'keepalived']();
}

interface Finishing extends Conversion {
  readonly own: OwnComments;
  readonly file: string;
}

/** Rounds of taking out what is wrong; each one takes out all that it sees. */
const ROUNDS_MAX = 20;

function finish(input: Finishing): ImportResult {
  const { draft, own, report, file } = input;
  const interfaces = interfacesFor(input);
  for (let round = 0; round < ROUNDS_MAX; round++) {
    const written = writeYaml({ draft, own, interfaces });
    const originOf = locator(written, file);
    const result = parseConfig(written.yaml, file);
    if (result.ok) {
      for (const { path, message } of result.warnings) report.lost(originOf(path), message);
      const { config } = result;
      return { ok: true, yaml: written.yaml, config, notes: report.notes, originOf };
    }
    prune(result.errors, { draft, report, originOf });
    if (report.errors.length > 0) return failure(report);
  }
  throw new Error('an import does not come to an end');
}

/** Where a part of the configuration comes from: the smallest part around it that is known. */
function locator({ origins }: WrittenConfig, file: string): (path: string) => Origin {
  return (path) => {
    for (let part = path; part !== ''; part = part.replace(/(\.\w+|\[\d+\]|^\w+)$/, '')) {
      const origin = origins.get(part);
      if (origin !== undefined) return origin;
    }
    return { file, line: 1, column: 1 };
  };
}

interface Pruning {
  readonly draft: ConfigDraft;
  readonly report: ImportReport;
  readonly originOf: (path: string) => Origin;
}

function prune(problems: readonly ConfigProblem[], { draft, report, originOf }: Pruning): void {
  const targets = problems.flatMap(({ path, message }) => {
    const target = targetOf(path);
    const isOurs = target?.mark === undefined || target.mark < draft.marks.length;
    if (target === undefined || !isOurs) {
      report.error(originOf(path), `${path}: ${message}`);
      return [];
    }
    report.lost(originOf(path), `${nameOf(target.kind)} is left out: ${message}`);
    return [target];
  });
  removeTargets(draft, targets);
}

const NAMES: Readonly<Record<string, string>> = {
  service: 'this service',
  server: 'this server',
  check: 'this check',
  mark: 'this rule',
  sorryServer: 'the sorry server',
  engine: 'the persistence engine',
  forwarding: 'each server of this forwarding method',
};

function nameOf(kind: string): string {
  return NAMES[kind] ?? kind;
}

function interfacesFor({ draft, own, report, options, file }: Finishing): readonly string[] {
  if (options.interfaces !== undefined && options.interfaces.length > 0) return options.interfaces;
  if ('ports' in own.director) return [];
  const machine = options.machine ?? machineNetworks();
  const found = new Set([
    ...draft.director.interfaces,
    ...(draft.services.length > 0 ? interfacesOf(draft.services, machine) : []),
  ]);
  const usable = [...found].filter((name) => /^[A-Za-z0-9_][A-Za-z0-9_.-]{0,14}$/.test(name));
  const names = usable.length > 0 ? usable.slice(0, 16) : ['eth0'];
  const message =
    `director.ports is a guess (${names.join(', ')}): ` +
    'say which with --interface, or with `#wvs director: { ports: [{ name: eth0 }] }`';
  report.lost({ file, line: 1, column: 1 }, message);
  return names;
}

/**
 * Imports a file for those who want a configuration, not a file. Problems and positions are those
 * of the imported file; what could not be expressed are warnings.
 */
export function importedConfig(source: ImportSource, options: ImportOptions = {}): ConfigResult {
  const result = importConfig([source], options);
  const warnings = result.notes.map((note) => problemOf(note, 'not-imported'));
  if (!result.ok) {
    const errors = result.errors.map((note) => problemOf(note, 'import-error'));
    return { ok: false, errors, warnings };
  }
  const { config, originOf } = result;
  const services = config.services.map((service, index) => ({
    ...service,
    position: originOf(`services[${index}]`),
    servers: service.servers.map((server, number) => ({
      ...server,
      position: originOf(`services[${index}].servers[${number}]`),
    })),
  }));
  const marks = config.marks.map((mark, index) => ({
    ...mark,
    position: originOf(`marks[${index}]`),
  }));
  return { ok: true, config: Object.freeze({ ...config, services, marks }), warnings };
}

function problemOf({ file, line, column, message }: ImportNote, code: string): ConfigProblem {
  return { file, line, column, path: '', code, message };
}
