// `wvs capture` inside the director: one capture at a time, which its client fetches bit by bit.
// A client that does not come back is as good as gone, and its capture ends by itself.

import { destinationKey } from '../config/keys.ts';
import type { CapturedPacket, CaptureRequest, CaptureResult } from '../control/api.ts';
import { ControlError } from '../control/handlers.ts';
import { serviceText } from '../director/status.ts';
import type { Control } from '../ipvs/control.ts';
import type { DataPlaneMemory } from '../memory/data-plane-memory.ts';
import { counterName } from '../stats/counter-names.ts';
import { type CaptureRecord, CaptureRings } from './capture-rings.ts';

/** The rings are looked at this often, which bounds what they have to hold. */
const DRAIN_MS = 10;
/** An answer is given after this time at the latest, with what there is. */
const WAIT_MS = 500;
/** Packets in one answer. */
const ANSWER_PACKETS_MAX = 512;
/** What waits for a slow client; what is more is lost, and counted. */
const WAITING_MAX = 65_536;
/** A client that has not asked for this long is gone. */
const ABANDONED_MS = 5_000;
const SNAP_LENGTH_DEFAULT = 65_535;

/** What captures need of the director. */
export interface CapturesOptions {
  readonly memory: DataPlaneMemory;
  readonly control: Control;
  /** Names of the configuration's services, by key. */
  readonly names: () => ReadonlyMap<string, string>;
  readonly ports: readonly string[];
  /** Date.now() at the director's start. */
  readonly startedAt: number;
}

/** The capture that runs, if one does. */
export class Captures {
  readonly #options: CapturesOptions;
  readonly #rings: CaptureRings;
  #session = 0;
  #isRunning = false;
  #waiting: CaptureRecord[] = [];
  #lost = 0;
  #askedAt = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor(options: CapturesOptions) {
    this.#options = options;
    this.#rings = new CaptureRings(options.memory);
  }

  /**
   * Begins a capture, goes on with one, or ends it.
   * @throws ControlError not-found, capture-busy
   */
  async handle(request: CaptureRequest): Promise<CaptureResult> {
    if (request.session === undefined) this.#begin(request);
    else this.#checkSession(request.session);
    this.#askedAt = performance.now();
    if (request.stop === true) {
      this.#drain();
      const result = this.#take();
      this.close();
      return result;
    }
    await this.#wait();
    return this.#take();
  }

  /** Ends whatever runs. */
  close(): void {
    clearInterval(this.#timer);
    this.#rings.end();
    this.#isRunning = false;
    this.#waiting = [];
  }

  #begin({ service, direction = 'both', snapLength = SNAP_LENGTH_DEFAULT }: CaptureRequest): void {
    if (this.#isRunning) {
      throw new ControlError('capture-busy', 'another capture is running; there is one at a time');
    }
    this.#rings.begin({ service: this.#serviceId(service), direction, snapLength });
    this.#isRunning = true;
    this.#session++;
    this.#lost = 0;
    this.#timer = setInterval(() => this.#tick(), DRAIN_MS);
    this.#timer.unref();
  }

  #serviceId(wanted: string | undefined): number {
    if (wanted === undefined) return 0;
    const names = this.#options.names();
    const found = this.#options.control.services().find(({ key }) => {
      const text = serviceText(key);
      return text === wanted || names.get(text) === wanted;
    });
    if (found !== undefined) return found.id;
    throw new ControlError('not-found', `there is no service "${wanted}"; wvs status lists them`);
  }

  #checkSession(session: number): void {
    if (this.#isRunning && session === this.#session) return;
    throw new ControlError('not-found', 'this capture has ended');
  }

  #tick(): void {
    this.#drain();
    if (performance.now() - this.#askedAt > ABANDONED_MS) this.close();
  }

  #drain(): void {
    const records = this.#rings.drain();
    const room = WAITING_MAX - this.#waiting.length;
    this.#lost += Math.max(0, records.length - room);
    for (const record of records.slice(0, room)) this.#waiting.push(record);
  }

  /** Until something has come, or the client should hear that nothing has. */
  async #wait(): Promise<void> {
    const deadline = performance.now() + WAIT_MS;
    const session = this.#session;
    while (this.#waiting.length === 0 && performance.now() < deadline) {
      await new Promise((resolve) => setTimeout(resolve, DRAIN_MS));
      if (!this.#isRunning || session !== this.#session) return;
    }
  }

  #take(): CaptureResult {
    const records = this.#waiting.splice(0, ANSWER_PACKETS_MAX);
    const names = this.#options.names();
    return {
      session: this.#session,
      ports: this.#options.ports,
      packets: records.map((record) => this.#describe(record, names)),
      lost: this.#rings.lost() + this.#lost,
    };
  }

  #describe(record: CaptureRecord, names: ReadonlyMap<string, string>): CapturedPacket {
    const { control, startedAt } = this.#options;
    const { packet, kind, port, direction, verdict, reason, frame } = record;
    const service = control.serviceById(record.service);
    const server = control.destinationById(record.destination);
    const key = service && serviceText(service.key);
    const name = key && (names.get(key) ?? key);
    return {
      packet,
      kind,
      time: (startedAt + record.milliseconds) / 1000,
      port,
      direction,
      verdict,
      ...(reason !== 0 && { reason: counterName(reason) }),
      ...(name && { service: name }),
      ...(server && { server: destinationKey(server.key.address, server.key.port) }),
      length: record.originalLength,
      frame: Buffer.from(frame).toString('base64'),
    };
  }
}
