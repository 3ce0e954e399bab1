// Taking over another configuration while running: load, compare, apply; all of it or nothing.

import { type Change, describeChange, diffConfigs } from '../config/diff.ts';
import { loadConfig } from '../config/load.ts';
import type { Config, ConfigProblem } from '../config/types.ts';
import type { ChangeReport, ReloadResult } from '../control/api.ts';
import { ControlError } from '../control/handlers.ts';
import { type ApplyContext, applyChanges } from './apply.ts';
import { destinationKeyOf, serviceKeyOf } from './rules.ts';
import { sentenceOf } from './start-error.ts';

/** What a file would change. */
interface Plan {
  readonly config: Config;
  readonly changes: readonly Change[];
  readonly warnings: readonly ConfigProblem[];
}

/** The running configuration, and the way to another one. */
export class RunningConfig {
  readonly #context: ApplyContext;
  #config: Config;
  #loadedAt = new Date();
  /** Settles when the reload before is done: each compares with what the last one left. */
  #last: Promise<unknown> = Promise.resolve();

  constructor(config: Config, context: ApplyContext) {
    this.#config = config;
    this.#context = context;
  }

  get context(): ApplyContext {
    return this.#context;
  }

  get config(): Config {
    return this.#config;
  }

  get loadedAt(): Date {
    return this.#loadedAt;
  }

  /**
   * What a reload to a file would change; without a file, to the one that runs.
   * @throws ControlError config-invalid with all that is wrong with the file
   */
  async plan(file = this.#config.file): Promise<ReloadResult> {
    const { changes, warnings } = await this.#compare(file);
    return { file, changes: changes.map((change) => this.#report(change)), warnings };
  }

  /**
   * Takes a file over.
   * @throws ControlError config-invalid, needs-restart, or not-applied; nothing has changed then
   */
  reload(file?: string): Promise<ReloadResult> {
    const result = this.#last.then(() => this.#takeOver(file ?? this.#config.file));
    this.#last = result.catch(() => undefined);
    return result;
  }

  async #takeOver(file: string): Promise<ReloadResult> {
    const { config, changes, warnings } = await this.#compare(file);
    const reports = changes.map((change) => this.#report(change));
    const fixed = changes.filter(
      (change) => change.kind === 'director-changed' && change.needsRestart,
    );
    if (fixed.length > 0) {
      const keys = fixed.map((change) => describeChange(change).slice(2)).join(', ');
      throw new ControlError(
        'needs-restart',
        `nothing was changed, for a running director: ${keys}`,
      );
    }
    this.#apply(changes, config);
    this.#config = config;
    this.#loadedAt = new Date();
    return { file, changes: reports, warnings };
  }

  async #compare(file: string): Promise<Plan> {
    const result = await loadConfig(file);
    if (!result.ok) {
      const message = `${file}: ${result.errors.length} problems`;
      throw new ControlError('config-invalid', message, result.errors);
    }
    const { config, warnings } = result;
    return { config, changes: diffConfigs(this.#config, config), warnings };
  }

  /** Undoes what was done when something cannot be, such as one service too many. */
  #apply(changes: readonly Change[], config: Config): void {
    try {
      applyChanges(changes, this.#context);
    } catch (error) {
      try {
        applyChanges(diffConfigs(config, this.#config), this.#context);
      } catch (undoing) {
        const sentence = `${sentenceOf(error)}; undoing it failed too: ${sentenceOf(undoing)}`;
        throw new ControlError('not-applied', sentence);
      }
      throw new ControlError('not-applied', `nothing was changed: ${sentenceOf(error)}`);
    }
  }

  #report(change: Change): ChangeReport {
    const connections = this.#affectedConnections(change);
    const report = { kind: change.kind, text: describeChange(change) };
    return connections === 0 ? report : { ...report, connections };
  }

  /** Connections whose destination goes. */
  #affectedConnections(change: Change): number {
    const { control } = this.#context;
    if (change.kind !== 'service-removed' && change.kind !== 'destination-removed') return 0;
    const key = serviceKeyOf(change.service.listen);
    if (control.service(key) === undefined) return 0;
    const all = control.destinations(key);
    const removed =
      change.kind === 'service-removed' ? undefined : destinationKeyOf(change.destination);
    return all
      .filter(({ key: { address, port } }) => {
        return removed === undefined || (address === removed.address && port === removed.port);
      })
      .reduce((sum, entry) => sum + entry.activeConnections + entry.inactiveConnections, 0);
  }
}
