// A checker: probes one target with one check again and again, and keeps what it knows of it. It is
// shared by all services whose server is that target and whose check is the same.

import type { CheckConfig } from '../config/types.ts';
import { addResult, type CheckerRecord, unknownRecord } from './checker-state.ts';
import type { Cancel, Chance, HealthClock } from './clock.ts';
import type { InFlight } from './in-flight.ts';
import type { Probe, ProbeResult, ProbeTarget } from './probe.ts';
import { firstDelay, nextDelay, PROBE_GAP_MIN_MS } from './probe-times.ts';

/** What checkers share. */
export interface CheckerSurroundings {
  readonly clock: HealthClock;
  readonly chance: Chance;
  readonly inFlight: InFlight;
  readonly createProbe: (target: ProbeTarget, check: CheckConfig) => Probe;
  /** Told about every result, with what was known before. */
  readonly onResult: (checker: Checker, before: CheckerRecord, result: ProbeResult) => void;
  /** A probe started this much later than it should, because others were under way. */
  readonly onLate: (checker: Checker, milliseconds: number) => void;
}

/** A checker of one target. */
export class Checker {
  readonly key: string;
  readonly target: ProbeTarget;
  readonly check: CheckConfig;
  readonly #surroundings: CheckerSurroundings;
  readonly #probe: Probe;
  #record: CheckerRecord;
  #cancel: Cancel = () => undefined;
  #abort: AbortController | undefined;
  #probing: Promise<void> = Promise.resolve();
  #isStopped = true;

  constructor(
    { key, target, check }: Pick<Checker, 'key' | 'target' | 'check'>,
    surroundings: CheckerSurroundings,
    /** What another check has found out about the same server. */
    inherited?: CheckerRecord,
  ) {
    this.key = key;
    this.target = target;
    this.check = check;
    this.#surroundings = surroundings;
    this.#probe = surroundings.createProbe(target, check);
    this.#record = inherited ?? unknownRecord(surroundings.clock.wall());
  }

  get record(): CheckerRecord {
    return this.#record;
  }

  /** Starts to probe. */
  start(): void {
    if (!this.#isStopped) return;
    this.#isStopped = false;
    this.#schedule(firstDelay(this.check, this.#surroundings.chance));
  }

  /** Stops, and resolves when nothing of a probe under way is left. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    this.#cancel();
    this.#abort?.abort();
    await this.#probing;
  }

  #schedule(delay: number): void {
    const { clock, inFlight } = this.#surroundings;
    const dueAt = clock.now() + delay;
    this.#cancel = clock.after(delay, () => {
      this.#cancel = inFlight.run(() => {
        this.#probing = this.#try(dueAt);
        return this.#probing;
      });
    });
  }

  async #try(dueAt: number): Promise<void> {
    const { clock, chance, onResult, onLate } = this.#surroundings;
    const startedAt = clock.now();
    if (startedAt - dueAt >= this.check.interval) onLate(this, startedAt - dueAt);
    const abort = new AbortController();
    this.#abort = abort;
    const result = await this.#probe(abort.signal);
    this.#abort = undefined;
    if (this.#isStopped) return;
    const before = this.#record;
    const now = clock.now();
    this.#record = addResult(before, result, this.check, { now, wall: clock.wall() });
    onResult(this, before, result);
    // onResult() may have stopped this one.
    if (this.#isStopped) return;
    const next = startedAt + nextDelay(this.check, this.#record, chance);
    this.#schedule(Math.max(PROBE_GAP_MIN_MS, next - now));
  }
}
