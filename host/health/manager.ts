// Health checking of a director: checkers probe, services draw their conclusions, the target
// carries them out. One pass of a result:
//
//   Checker -> #onResult: log it; the services that share the checker are stale
//     -> a moment later #update(): stepService() for each stale one, all changes in one apply(),
//        then their events: log lines and notify commands
//
// A reload goes through the same states: prepare() says what the services of another configuration
// should be in the tables given what is known of their servers, commit() makes it the running one.

import type { Change } from '../config/diff.ts';
import { diffServices } from '../config/diff.ts';
import type { CheckConfig, Config, DestinationConfig, ServiceConfig } from '../config/types.ts';
import { servicesViaVip } from '../config/via-vip.ts';
import type { Logger } from '../log.ts';
import type { Checker } from './checker.ts';
import { CheckerPool, type CheckerSet, NO_CHECKERS } from './checker-pool.ts';
import type { CheckerRecord } from './checker-state.ts';
import { type Cancel, type Chance, type HealthClock, systemClock } from './clock.ts';
import { describeError } from './describe-error.ts';
import { logResult, logServiceEvent } from './health-events.ts';
import {
  type HealthStatus,
  type ServerHealthStatus,
  serverStatus,
  serviceStatus,
} from './health-status.ts';
import type { HealthTarget } from './health-target.ts';
import { InFlight } from './in-flight.ts';
import { type Notification, Notifier } from './notifier.ts';
import type { Probe, ProbeTarget } from './probe.ts';
import { createProbe } from './probes.ts';
import { decidingChecker, weightOf } from './server-health.ts';
import {
  closingEvents,
  isSorryServerIn,
  type ServerInput,
  type ServiceEvent,
  type ServiceState,
  type ServiceStep,
  serviceChanges,
  stepService,
} from './service-state.ts';
import { changesTables } from './table-changes.ts';
import type { VipWays } from './vip-ways.ts';

/** Results that come within this time are applied together. */
const COALESCE_MS = 5;
/** After this time a change that could not be applied is tried again. */
const RETRY_MS = 1_000;
const LATE_WARNING_MS = 60_000;
/** How long stop() waits for notify commands. */
const NOTIFY_WAIT_MS = 5_000;

/** What health checking works with. */
export interface HealthOptions {
  readonly config: Config;
  readonly target: HealthTarget;
  readonly log: Logger;
  readonly clock?: HealthClock;
  readonly chance?: Chance;
  readonly createProbe?: (target: ProbeTarget, check: CheckConfig) => Probe;
  /** For checks with `via: vip`; without them these are not possible. */
  readonly vipWays?: VipWays;
  /** Runs notify commands. */
  readonly notify?: (notification: Notification) => void;
}

/** Another configuration, ready to be taken over. */
export interface PreparedHealth {
  /** The configuration with its services as they should be in the tables. */
  readonly effective: Config;
  /** To be called when `effective` is in the tables. */
  commit(): void;
}

/** Health checking of a director. */
export class HealthManager {
  readonly #log: Logger;
  readonly #target: HealthTarget;
  readonly #clock: HealthClock;
  readonly #notifier: Notifier;
  readonly #notify: (notification: Notification) => void;
  readonly #inFlight: InFlight;
  readonly #pool: CheckerPool;
  readonly #vipWays: VipWays | undefined;
  #config: Config;
  #checkers: CheckerSet = NO_CHECKERS;
  /** By key, in the order of the configuration. */
  #services: Map<string, ServiceState> = new Map();
  /** `SERVICE SERVER` of those an operator has drained. */
  readonly #drained = new Set<string>();
  readonly #stale = new Set<string>();
  /** Events of the first states, until start(). */
  #initialSteps: readonly ServiceStep[];
  /** Goes up with everything that states are computed from. */
  #inputVersion = 0;
  #cancelUpdate: Cancel | undefined;
  #lateWarnedAt = Number.NEGATIVE_INFINITY;
  #isRunning = false;
  /** Checkers that are being stopped. */
  readonly #stopping = new Set<Promise<void>>();

  private constructor(options: HealthOptions) {
    this.#log = options.log;
    this.#target = options.target;
    this.#clock = options.clock ?? systemClock;
    this.#notifier = new Notifier(options.log, this.#clock);
    this.#notify = options.notify ?? ((notification) => this.#notifier.notify(notification));
    this.#inFlight = new InFlight(options.config.director.healthMaxInFlight);
    this.#vipWays = options.vipWays;
    this.#pool = new CheckerPool({
      clock: this.#clock,
      chance: options.chance ?? Math.random,
      inFlight: this.#inFlight,
      createProbe:
        options.createProbe ?? ((target, check) => createProbe(target, check, options.vipWays)),
      onResult: (checker, before) => this.#onResult(checker, before),
      onLate: (_, milliseconds) => this.#onLate(milliseconds),
    });
    this.#config = options.config;
    this.#checkers = this.#pool.prepare(options.config.services, NO_CHECKERS);
    this.#initialSteps = this.#steps(options.config, this.#checkers);
    this.#services = statesOf(this.#initialSteps);
  }

  /** Nothing is probed before start(), nothing was given to the target yet. */
  static create(options: HealthOptions): HealthManager {
    return new HealthManager(options);
  }

  /** The running configuration with its services as they are in the tables. */
  effective(): Config {
    return effectiveConfig(this.#config, this.#services);
  }

  /** Starts to probe; the services are in the tables as effective() says. */
  start(): void {
    if (this.#isRunning) return;
    this.#isRunning = true;
    this.#warnAboutVip(this.#config);
    for (const step of this.#initialSteps) this.#report(step.state, step.events);
    this.#initialSteps = [];
    for (const checker of this.#checkers.all()) checker.start();
  }

  /** Ends all probes and, in omega mode, says goodbye to services. The tables stay as they are. */
  async stop(): Promise<void> {
    if (!this.#isRunning) return;
    this.#isRunning = false;
    this.#cancelUpdate?.();
    this.#cancelUpdate = undefined;
    for (const state of this.#services.values()) {
      this.#report(state, closingEvents(state, 'stop'));
    }
    await Promise.all([...this.#stopping, ...this.#checkers.all().map((each) => each.stop())]);
    await this.#notifier.finish(NOTIFY_WAIT_MS);
  }

  /**
   * What `config` should be in the tables, given what is known. Changes nothing. Whoever puts it
   * there calls commit() right afterwards, or forgets it.
   */
  prepare(config: Config): PreparedHealth {
    const checkers = this.#pool.prepare(config.services, this.#checkers);
    const steps = this.#steps(config, checkers);
    const services = statesOf(steps);
    const version = this.#inputVersion;
    return {
      effective: effectiveConfig(config, services),
      commit: () => {
        const before = this.#services;
        this.#config = config;
        this.#services = services;
        this.#inFlight.setMax(config.director.healthMaxInFlight);
        this.#takeOver(checkers);
        this.#forgetDrained();
        if (!this.#isRunning) {
          this.#initialSteps = steps;
          return;
        }
        this.#warnAboutVip(config);
        for (const [key, state] of before) {
          if (!services.has(key)) this.#report(state, closingEvents(state, 'reload'));
        }
        for (const { state, events } of steps) this.#report(state, events);
        // What came in since prepare() is not in the tables yet.
        if (version !== this.#inputVersion) this.#markStale(services.keys());
      },
    };
  }

  /**
   * Takes another configuration's services over, all of them or none. What else there is in a
   * configuration is not the target's business: a director that has more to change puts
   * prepare()'s `effective` into its own transaction instead.
   * @throws what the target does
   */
  reload(config: Config): void {
    const prepared = this.prepare(config);
    const before = this.effective().services;
    const changes = tableChanges(before, prepared.effective.services);
    try {
      if (changes.length > 0) this.#target.apply(changes);
    } catch (error) {
      this.#undo(tableChanges(prepared.effective.services, before));
      throw error;
    }
    prepared.commit();
  }

  #undo(changes: readonly Change[]): void {
    try {
      this.#target.apply(changes);
    } catch (error) {
      this.#logNotApplied(error, changes);
    }
  }

  /**
   * No new connections for a server of a service, until undrain(); reloads keep it drained.
   * @returns false when there is no such server
   */
  drain(serviceKey: string, serverKey: string): boolean {
    return this.#setDrained(serviceKey, serverKey, true);
  }

  /** The other way round. */
  undrain(serviceKey: string, serverKey: string): boolean {
    return this.#setDrained(serviceKey, serverKey, false);
  }

  #setDrained(serviceKey: string, serverKey: string, isDrained: boolean): boolean {
    const state = this.#services.get(serviceKey);
    if (state?.servers.has(serverKey) !== true) return false;
    const word = drainedWord(serviceKey, serverKey);
    if (this.#drained.has(word) === isDrained) return true;
    if (isDrained) this.#drained.add(word);
    else this.#drained.delete(word);
    const event = isDrained ? 'server-drained' : 'server-undrained';
    this.#log.info({ event, service: state.service.name, server: serverKey });
    this.#inputVersion++;
    this.#markStale([serviceKey]);
    return true;
  }

  /** All there is to know. */
  status(): HealthStatus {
    const now = this.#clock.now();
    return {
      checkers: this.#checkers.size,
      probesInFlight: this.#inFlight.running,
      probesWaiting: this.#inFlight.waiting,
      services: [...this.#services].map(([key, state]) =>
        serviceStatus(state, (server) => this.#checkers.of(key, server), now),
      ),
    };
  }

  /** One server's health, or undefined for a server that is none of the file's. */
  server(serviceKey: string, serverKey: string): ServerHealthStatus | undefined {
    const state = this.#services.get(serviceKey);
    const standing = state?.servers.get(serverKey);
    if (state === undefined || standing === undefined) return undefined;
    return serverStatus(standing, {
      checkers: this.#checkers.of(serviceKey, serverKey),
      isSorryIn: isSorryServerIn(state),
      now: this.#clock.now(),
    });
  }

  #steps({ services }: Config, checkers: CheckerSet): ServiceStep[] {
    return services.map((service) => {
      const before = this.#services.get(service.key);
      // A reload of a large file that edits a little has the same objects for all the rest.
      if (before?.service === service && !this.#stale.has(service.key)) {
        return { state: before, events: [] };
      }
      return stepService(before, service, (server) => this.#inputOf(checkers, service.key, server));
    });
  }

  #inputOf(checkers: CheckerSet, serviceKey: string, server: DestinationConfig): ServerInput {
    const own = checkers.of(serviceKey, server.key);
    const deciding = decidingChecker(own);
    return {
      state: deciding?.record.state ?? 'unchecked',
      alpha: deciding?.check.alpha === true,
      weight: weightOf(own, server.weight),
      isDrained: this.#isDrained(serviceKey, server.key),
    };
  }

  #isDrained(serviceKey: string, serverKey: string): boolean {
    // Mostly there are none, and to make a hundred thousand words for nothing takes time.
    return this.#drained.size > 0 && this.#drained.has(drainedWord(serviceKey, serverKey));
  }

  #onResult(checker: Checker, before: CheckerRecord): void {
    logResult(this.#log, checker, before, () => this.#checkers.usesOf(checker));
    if (!isNews(before, checker.record)) return;
    this.#inputVersion++;
    this.#markStale(this.#checkers.servicesOf(checker));
  }

  #onLate(lateMs: number): void {
    const now = this.#clock.now();
    if (now - this.#lateWarnedAt < LATE_WARNING_MS) return;
    this.#lateWarnedAt = now;
    const { running: inFlight, waiting } = this.#inFlight;
    this.#log.warn(
      { event: 'probes-late', lateMs: Math.round(lateMs), inFlight, waiting },
      'probes start late: raise director.health.maxInFlight, or probe less often',
    );
  }

  #markStale(serviceKeys: Iterable<string>, delay = COALESCE_MS): void {
    for (const key of serviceKeys) this.#stale.add(key);
    if (this.#stale.size === 0 || this.#cancelUpdate !== undefined || !this.#isRunning) return;
    this.#cancelUpdate = this.#clock.after(delay, () => {
      this.#cancelUpdate = undefined;
      this.#update();
    });
  }

  /** Brings all stale services up to date. */
  #update(): void {
    const steps: ServiceStep[] = [];
    for (const key of this.#stale) {
      const before = this.#services.get(key);
      if (before === undefined) continue;
      steps.push(
        stepService(before, before.service, (server) => this.#inputOf(this.#checkers, key, server)),
      );
    }
    this.#stale.clear();
    // One service that cannot be brought up to date must not keep the others from it.
    if (!this.#applySteps(steps) && steps.length > 1) {
      for (const step of steps) this.#applySteps([step]);
    }
    this.#markStale([], RETRY_MS);
  }

  /** @returns false when it was not possible; the services are stale again then */
  #applySteps(steps: readonly ServiceStep[]): boolean {
    const changes = steps.flatMap(({ state }) =>
      serviceChanges(this.#services.get(state.service.key)!, state),
    );
    try {
      if (changes.length > 0) this.#target.apply(changes);
    } catch (error) {
      this.#logNotApplied(error, changes);
      for (const { state } of steps) this.#stale.add(state.service.key);
      return false;
    }
    for (const { state, events } of steps) {
      this.#stale.delete(state.service.key);
      this.#services.set(state.service.key, state);
      this.#report(state, events);
    }
    return true;
  }

  #logNotApplied(error: unknown, changes: readonly Change[]): void {
    const reason = describeError(error);
    this.#log.error(
      { event: 'health-not-applied', reason, changes: changes.length },
      `health of servers was not applied: ${reason}`,
    );
  }

  #takeOver(checkers: CheckerSet): void {
    const before = this.#checkers;
    this.#checkers = checkers;
    if (!this.#isRunning) return;
    for (const checker of before.all()) {
      if (checkers.byKey(checker.key) === checker) continue;
      const stopped = checker.stop();
      this.#stopping.add(stopped);
      void stopped.finally(() => this.#stopping.delete(stopped));
    }
    for (const checker of checkers.all()) checker.start();
  }

  #forgetDrained(): void {
    if (this.#drained.size === 0) return;
    const words = new Set<string>();
    for (const [key, { servers }] of this.#services) {
      for (const server of servers.keys()) words.add(drainedWord(key, server));
    }
    for (const word of this.#drained) {
      if (!words.has(word)) this.#drained.delete(word);
    }
  }

  #report({ service }: ServiceState, events: readonly ServiceEvent[]): void {
    for (const event of events) {
      logServiceEvent(this.#log, service, event);
      const notification = this.#notificationOf(service, event);
      if (notification !== undefined) this.#notify(notification);
    }
  }

  #notificationOf(
    { key, name, notify }: ServiceState['service'],
    event: ServiceEvent,
  ): Notification | undefined {
    const common = { serviceKey: key, serviceName: name };
    switch (event.kind) {
      case 'server-available':
      case 'server-unavailable': {
        const isUp = event.kind === 'server-available';
        const when = isUp ? 'serverUp' : 'serverDown';
        const command = event.server.notify?.[when] ?? notify[when];
        if (command === undefined) return undefined;
        const serverKey = event.server.key;
        const isFound = event.cause === 'check';
        const deciding = decidingChecker(this.#checkers.of(key, serverKey));
        const detail = deciding?.record.lastResult?.detail;
        const reason = isFound ? (detail ?? event.cause) : event.cause;
        return { event: isUp ? 'server-up' : 'server-down', command, ...common, serverKey, reason };
      }
      case 'quorum-up':
      case 'quorum-down': {
        const command = event.kind === 'quorum-up' ? notify.quorumUp : notify.quorumDown;
        if (command === undefined || !event.notifies) return undefined;
        return { event: event.kind, command, ...common };
      }
      default:
        return undefined;
    }
  }

  #warnAboutVip({ services }: Config): void {
    const names = servicesViaVip(services).map(({ name }) => name);
    if (names.length === 0 || this.#vipWays === undefined) return;
    const reason = this.#vipWays.whyNot();
    if (reason === undefined) return;
    this.#log.error(
      { event: 'check-via-vip', reason, services: names.slice(0, 10), serviceCount: names.length },
      `via: vip is not possible, and such checks find nothing out: ${reason}`,
    );
  }
}

/** Whether a result says something of the server that was not known before. */
function isNews(before: CheckerRecord, after: CheckerRecord): boolean {
  return (
    after.state !== before.state ||
    after.weight !== before.weight ||
    after.weightChange !== before.weightChange
  );
}

function drainedWord(serviceKey: string, serverKey: string): string {
  return `${serviceKey} ${serverKey}`;
}

function tableChanges(before: readonly ServiceConfig[], after: readonly ServiceConfig[]): Change[] {
  return diffServices(before, after).filter(changesTables);
}

function statesOf(steps: readonly ServiceStep[]): Map<string, ServiceState> {
  return new Map(steps.map(({ state }) => [state.service.key, state]));
}

function effectiveConfig(config: Config, states: ReadonlyMap<string, ServiceState>): Config {
  const services = config.services.map((service) => states.get(service.key)?.effective ?? service);
  const isAsConfigured = services.every((service, index) => service === config.services[index]);
  return isAsConfigured ? config : { ...config, services };
}
