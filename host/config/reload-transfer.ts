/**
 * A configuration on its way from the thread that parses to the main thread. Services that the main
 * thread has already are only named, so that they stay the same objects there; the others come in
 * portions, each small enough not to hold the main thread up.
 */

import type { ConfigResult } from './parse.ts';
import type { ConfigProblem, DirectorConfig, MarkRule, ServiceConfig } from './types.ts';

/** Services in one message. */
const PORTION = 500;

/** A service the receiver has: its place in the list before, and where it stands now. */
export interface KnownService {
  readonly index: number;
  readonly position?: ServiceConfig['position'];
  readonly lineShift?: number;
}

/** A message from the thread; a `done` or `failed` is the last one about a request. */
export type LoadMessage =
  | { readonly kind: 'services'; readonly services: readonly (ServiceConfig | KnownService)[] }
  | {
      readonly kind: 'done';
      readonly file: string;
      readonly director: DirectorConfig;
      readonly marks: readonly MarkRule[];
      readonly warnings: readonly ConfigProblem[];
    }
  | {
      readonly kind: 'failed';
      readonly errors: readonly ConfigProblem[];
      readonly warnings: readonly ConfigProblem[];
    };

/** The sending side: remembers what the receiver has. */
export class ConfigSender {
  /** The index of a service by its list of servers, which is the same object as long as it is. */
  #known = new Map<unknown, number>();

  /** The messages that carry a result. */
  *messages(result: ConfigResult): Generator<LoadMessage> {
    if (!result.ok) {
      yield { kind: 'failed', errors: result.errors, warnings: result.warnings };
      return;
    }
    const { config, warnings } = result;
    const known = this.#known;
    this.#known = new Map(config.services.map(({ servers }, index) => [servers, index]));
    for (let from = 0; from < config.services.length; from += PORTION) {
      const portion = config.services.slice(from, from + PORTION).map((service) => {
        const index = known.get(service.servers);
        if (index === undefined) return service;
        const { position, lineShift } = service;
        return { index, ...(position && { position }), ...(lineShift && { lineShift }) };
      });
      yield { kind: 'services', services: portion };
    }
    const { file, director, marks } = config;
    yield { kind: 'done', file, director, marks, warnings };
  }
}

/** The receiving side. */
export class ConfigReceiver {
  #before: readonly ServiceConfig[] = [];
  #services: ServiceConfig[] = [];

  /** Takes a message; the last one about a request gives the result. */
  take(message: LoadMessage): ConfigResult | undefined {
    if (message.kind === 'services') {
      for (const service of message.services) {
        this.#services.push('index' in service ? this.#moved(service) : service);
      }
      return undefined;
    }
    if (message.kind === 'failed') {
      this.#services = [];
      return { ok: false, errors: message.errors, warnings: message.warnings };
    }
    const { file, director, marks, warnings } = message;
    const services = this.#services;
    this.#before = services;
    this.#services = [];
    return { ok: true, config: { file, director, marks, services }, warnings };
  }

  #moved({ index, position, lineShift = 0 }: KnownService): ServiceConfig {
    const before = this.#before[index]!;
    if ((before.lineShift ?? 0) === lineShift) return before;
    return { ...before, ...(position && { position }), lineShift };
  }
}
