// The running configuration and the way to another one, the only one there is: `wvs reload`,
// SIGHUP and a changed file all end here.
//
//   load -> diff -> prepare (health, drains) -> plan -> apply in one publication -> commit
//
// Nothing before `apply` changes anything, and what cannot be applied is undone. Between reloads,
// the results of health checks and servers that have drained change the same tables.

import { type Change, describeChange, diffConfigs, type KnownChanges } from '../config/diff.ts';
import { loadConfig } from '../config/load.ts';
import type { ConfigResult } from '../config/parse.ts';
import type { Config, ConfigProblem, ServiceConfig } from '../config/types.ts';
import type { AffectedServer, ReloadResult } from '../control/api.ts';
import { ControlError } from '../control/handlers.ts';
import { HealthManager, type HealthOptions, type PreparedHealth } from '../health/manager.ts';
import type { ControlChange } from '../ipvs/control.ts';
import type { ServiceKey } from '../ipvs/types.ts';
import type { Logger } from '../log.ts';
import { type ApplyContext, applyChanges, applyConfig } from './apply.ts';
import { DrainKeeper } from './drain-keeper.ts';
import { type Drains, drainsAfter } from './drains.ts';
import type { ChangeOrigin } from './events.ts';
import { byKey, only, placeServices, replaceServices, type Services } from './placed.ts';
import { affectedServers, placedChanges, repairs, reportChanges } from './plan.ts';
import { sentenceOf } from './start-error.ts';
import { serviceText } from './status.ts';

type HealthKey = 'clock' | 'chance' | 'createProbe' | 'notify' | 'vipWays';

/** What a running configuration works with. */
export interface RunningOptions {
  readonly context: ApplyContext;
  readonly log: Logger;
  readonly load?: (file: string) => Promise<ConfigResult>;
  /** What is odd about a configuration on this machine. */
  readonly warnings?: (config: Config) => readonly ConfigProblem[];
  /** Milliseconds that never go back. */
  readonly now?: () => number;
  /** The ways of probes; for tests the clock, the probes. */
  readonly health?: Partial<Pick<HealthOptions, HealthKey>>;
}

/** What a file would change. */
interface Plan {
  readonly config: Config;
  readonly fileChanges: readonly Change[];
  /** In the order in which they are made. */
  readonly changes: readonly Change[];
  readonly effective: Map<string, ServiceConfig>;
  readonly placed: Map<string, ServiceConfig>;
  readonly drains: Drains;
  readonly health: PreparedHealth;
  readonly affected: readonly AffectedServer[];
  readonly result: ReloadResult;
}

/** The running configuration. */
export class RunningConfig {
  readonly context: ApplyContext;
  readonly health: HealthManager;
  readonly #options: RunningOptions;
  readonly #load: (file: string) => Promise<ConfigResult>;
  readonly #now: () => number;
  readonly #drains: DrainKeeper;
  #config: Config;
  #loadedAt = new Date();
  #takeOverMs = 0;
  /** The services as health wants them. */
  #effective: Map<string, ServiceConfig>;
  /** What is in the tables on the file's behalf: these, and what drains. */
  #placed: Map<string, ServiceConfig>;
  /** Services of the file that somebody else has changed since the last reload, by key. */
  readonly #foreign = new Set<string>();
  #origin: ChangeOrigin = 'ipvsadm';
  /** Settles when the reload before is done: each compares with what the last one left. */
  #last: Promise<unknown> = Promise.resolve();

  constructor(config: Config, options: RunningOptions) {
    const { context, log } = options;
    this.#config = config;
    this.#options = options;
    this.context = context;
    this.#load = options.load ?? loadConfig;
    this.#now = options.now ?? (() => performance.now());
    const target = { apply: (changes: readonly Change[]) => this.#applyHealth(changes) };
    this.health = HealthManager.create({ ...options.health, config, log, target });
    this.#effective = byKey(this.health.effective().services);
    this.#placed = new Map(this.#effective);
    this.#drains = new DrainKeeper({ control: context.control, log, now: this.#now });
  }

  get config(): Config {
    return this.#config;
  }

  get loadedAt(): Date {
    return this.#loadedAt;
  }

  /** How long the last reload took from the plan to its publication, in milliseconds. */
  get takeOverMs(): number {
    return this.#takeOverMs;
  }

  /** What drains. */
  get drains(): DrainKeeper {
    return this.#drains;
  }

  /** Who makes the changes of this moment. */
  get origin(): ChangeOrigin {
    return this.#origin;
  }

  /** What is in the tables on the file's behalf. */
  get placed(): Services {
    return this.#placed;
  }

  /** Puts the whole configuration into a control core that has none. */
  applyAll(): void {
    const config = this.health.effective();
    this.#as('start', () => applyConfig(config, this.context));
  }

  /** What a change of the control core means for the next reload. */
  noteChange({ kind, service }: ControlChange): void {
    if (this.#origin !== 'ipvsadm' || kind === 'destination-forgotten') return;
    const key = serviceText(service as ServiceKey);
    if (this.#placed.has(key)) this.#foreign.add(key);
  }

  /**
   * What a reload to a file would change; without a file, to the one that runs.
   * @throws ControlError config-invalid with all that is wrong with the file
   */
  async plan(file = this.#config.file): Promise<ReloadResult> {
    return this.#plan(await this.#read(file)).result;
  }

  /**
   * Takes a file over.
   * @throws ControlError config-invalid, needs-restart, or not-applied; nothing has changed then
   */
  reload(file?: string): Promise<ReloadResult> {
    const result = this.#last.then(async () =>
      this.#takeOver(await this.#read(file ?? this.#config.file)),
    );
    this.#last = result.catch(() => undefined);
    return result;
  }

  /** Removes what has drained. To be called a few times a second. */
  tick(): void {
    const gone = this.#drains.finished();
    if (gone.length === 0) return;
    const drains = this.#drains.without(gone);
    const keys = new Set(gone.map(({ service }) => service));
    const after = new Map<string, ServiceConfig>();
    placeServices(after, keys, { effective: this.#effective, drains });
    const changes = placedChanges(only(this.#placed, keys), after);
    this.#as('drain', () => applyChanges(changes, this.context, { restores: false }));
    replaceServices(this.#placed, keys, after);
    this.#drains.commit(drains, gone);
  }

  async #read(file: string): Promise<Extract<ConfigResult, { ok: true }>> {
    const result = await this.#load(file);
    if (result.ok) return result;
    const { length } = result.errors;
    const message = `${file}: ${length} ${length === 1 ? 'problem' : 'problems'}`;
    throw new ControlError('config-invalid', message, result.errors);
  }

  #plan({ config, warnings }: Extract<ConfigResult, { ok: true }>): Plan {
    const { control } = this.context;
    const known: KnownChanges = new Map();
    const fileChanges = diffConfigs(this.#config, config, known);
    const health = this.health.prepare(config);
    const effective = byKey(health.effective.services);
    const drains = drainsAfter({
      drains: this.#drains.all,
      placed: this.#placed,
      wanted: byKey(config.services),
      drainTimeout: config.director.drainTimeout,
      now: this.#now(),
    });
    const placed = new Map(effective);
    placeServices(placed, drains.keys(), { effective, drains });
    const foreign = repairs(only(placed, this.#foreign).values(), control);
    const tableChanges = placedChanges(this.#placed, placed, known);
    const affected = affectedServers(tableChanges, control);
    const told = [...fileChanges, ...withoutTold(foreign, fileChanges)];
    const more = this.#options.warnings?.(config) ?? [];
    return {
      config,
      fileChanges,
      changes: [...fileChanges.filter(isGlobal), ...tableChanges, ...foreign],
      effective,
      placed,
      drains,
      health,
      affected,
      result: {
        file: config.file,
        changes: reportChanges(told, affected),
        affected,
        warnings: [...warnings, ...more],
      },
    };
  }

  #takeOver(loaded: Extract<ConfigResult, { ok: true }>): ReloadResult {
    const start = performance.now();
    const plan = this.#plan(loaded);
    const fixed = plan.fileChanges.filter(
      (change) => change.kind === 'director-changed' && change.needsRestart,
    );
    if (fixed.length > 0) {
      const keys = fixed.map((change) => describeChange(change).slice(2)).join(', ');
      throw new ControlError(
        'needs-restart',
        `nothing was changed, for a running director: ${keys}`,
      );
    }
    this.#apply(plan);
    this.#config = plan.config;
    this.#effective = plan.effective;
    this.#placed = plan.placed;
    this.#foreign.clear();
    this.#drains.commit(plan.drains);
    plan.health.commit();
    this.#loadedAt = new Date();
    this.#takeOverMs = performance.now() - start;
    return plan.result;
  }

  /** Undoes what was done when something cannot be, such as one service too many. */
  #apply(plan: Plan): void {
    if (plan.changes.length === 0) return;
    try {
      this.#as('reload', () => applyChanges(plan.changes, this.context));
    } catch (error) {
      const back = diffConfigs(plan.config, this.#config).filter(isGlobal);
      const undo = [...back, ...placedChanges(plan.placed, this.#placed)];
      try {
        this.#as('reload', () => applyChanges(undo, this.context));
      } catch (undoing) {
        const sentence = `${sentenceOf(error)}; undoing it failed too: ${sentenceOf(undoing)}`;
        throw new ControlError('not-applied', sentence);
      }
      throw new ControlError('not-applied', `nothing was changed: ${sentenceOf(error)}`);
    }
  }

  /** Each change has the service it belongs to as health wants it now. */
  #applyHealth(changes: readonly Change[]): void {
    const effective = new Map<string, ServiceConfig>();
    for (const change of changes) {
      if (isGlobal(change) || change.kind === 'service-removed') continue;
      const service = change.kind === 'service-edited' ? change.after : change.service;
      effective.set(service.key, service);
    }
    const keys = [...effective.keys()];
    const before = only(this.#placed, keys);
    const after = new Map<string, ServiceConfig>();
    placeServices(after, keys, { effective, drains: this.#drains.all });
    try {
      const wanted = placedChanges(before, after);
      this.#as('health', () => applyChanges(wanted, this.context, { restores: false }));
    } catch (error) {
      const undo = placedChanges(after, before);
      this.#as('health', () => applyChanges(undo, this.context, { restores: false }));
      throw error;
    }
    replaceServices(this.#effective, keys, effective);
    replaceServices(this.#placed, keys, after);
  }

  /** Nothing else can happen meanwhile: the control core answers when all is done. */
  #as(origin: ChangeOrigin, act: () => void): void {
    const before = this.#origin;
    this.#origin = origin;
    try {
      act();
    } finally {
      this.#origin = before;
    }
  }
}

type GlobalChange = Extract<Change, { kind: 'director-changed' | 'marks-changed' }>;

function isGlobal(change: Change): change is GlobalChange {
  return change.kind === 'director-changed' || change.kind === 'marks-changed';
}

/** Changes of what the file's own changes do not speak of already. */
function withoutTold(changes: readonly Change[], fileChanges: readonly Change[]): Change[] {
  if (changes.length === 0) return [];
  const told = new Set(fileChanges.map(subjectOf));
  return changes.filter((change) => !told.has(subjectOf(change)));
}

function subjectOf(change: Change): string | undefined {
  if (isGlobal(change)) return undefined;
  switch (change.kind) {
    case 'destination-edited':
      return `${change.service.key} ${change.after.key}`;
    case 'destination-added':
    case 'destination-removed':
      return `${change.service.key} ${change.destination.key}`;
    case 'service-edited':
      return change.after.key;
    default:
      return change.service.key;
  }
}
