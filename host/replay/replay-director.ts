// A whole director under a virtual clock: data plane, control core, and the kernel beside them. It is
// the live director's code but for the ports, the clock and the simulated host. Nothing in here
// asks for the time, for randomness or for anything outside; the same calls give the same frames.

import {
  CONNECTION_DESTINATION_ID,
  CONTROL_REQUESTS,
  DESTINATION_SERVICE,
  PACKET_CONNECTION,
  PACKET_REASON,
  PACKET_SERVICE,
  PACKET_SIZE,
  PACKET_VERDICT,
  SERVICE_SCHEDULER,
  WORKER_PACKETS,
} from '../../assembly/shared/layout.ts';
import { Control } from '../ipvs/control.ts';
import { TICK_MS } from '../ipvs/timers.ts';
import { DataPlaneMemory } from '../memory/data-plane-memory.ts';
import type { MemorySizes } from '../memory/memory-map.ts';
import { collectLocality } from '../scheduler/locality-collection.ts';
import { schedulerByName } from '../scheduler/registry.ts';
import { PublishedTables } from '../tables/publish.ts';
import type { MarkRule } from '../tables/world.ts';
import { markOfPacket } from './marks.ts';
import { RECEIVED_FRAME_MAX } from './memory-port.ts';
import type { Link, Network } from './network.ts';
import { type PortFrame, SimulatedHost } from './simulated-host.ts';
import { type ChoiceHook, DataPlaneError, WasmWorker } from './wasm-worker.ts';
import { framePayload, isIpFrame, readIpHeader } from './wire.ts';

/** A frame that left, and when: milliseconds since the start. */
export interface SentFrame extends PortFrame {
  readonly milliseconds: number;
}

/** What became of a frame that the data plane received. */
export interface FrameTrace {
  /** VERDICT_*. */
  readonly verdict: number;
  /** Drop reason, an index of assembly/shared/counters.ts; 0 when it was not dropped. */
  readonly reason: number;
  /** Ids of the service and the destination, 0 when there are none. */
  readonly service: number;
  readonly destination: number;
}

/** What a replayed director is made of. */
export interface ReplayDirectorOptions {
  readonly module: WebAssembly.Module;
  readonly network: Network;
  /** Workers that share the packets; 1 unless given. */
  readonly workers?: number;
  /** The tick at which the director's kernel booted: its own timers run from here. */
  readonly bootTick: number;
  /** The tick at which the replay starts. */
  readonly startTick: number;
  readonly sizes?: Partial<MemorySizes>;
  readonly chooseBy?: ChoiceHook;
}

/** Small enough that a suite of replays is quick, large enough for any recording. */
const SIZES: Partial<MemorySizes> = {
  connections: 65_536,
  services: 256,
  destinations: 4096,
  framesPerWorker: 4096,
  ringEntries: 256,
  schedulerTableBytes: 4 * 1024 * 1024,
};
const HASH_SEED = 0x5eed;
const RANDOM_SEED = 0x5eed;
/**
 * Ticks at which the control core's timers can fire: its delays are a second and longer, and the
 * wheel rounds those up to multiples of this.
 */
const TIMER_STEP = 8;
/** What a command sets going within this many ticks is timed to the tick. */
const FINE_TICKS = 16;
/** Ticks between two looks for stale entries of lblc and lblcr. */
const LOCALITY_TICKS = 104;
const TICKS_PER_SECOND = 100;

export class ReplayDirector {
  readonly memory: DataPlaneMemory;
  readonly tables: PublishedTables;
  readonly control: Control;
  readonly host: SimulatedHost;
  readonly network: Network;
  readonly workers: readonly WasmWorker[];
  readonly #ports: readonly Link[];
  readonly #sent: SentFrame[] = [];
  #marks: readonly MarkRule[] = [];
  #tick: number;
  #milliseconds = 0;
  #fineUntil: number;
  #frames = 0;
  readonly #startTick: number;

  constructor(options: ReplayDirectorOptions) {
    const { module, network, bootTick, startTick, chooseBy, workers = 1 } = options;
    this.network = network;
    this.#ports = network.ports();
    this.#tick = bootTick;
    this.#startTick = startTick;
    this.#fineUntil = startTick;
    const ports = this.#ports.length;
    const sizes = { ...SIZES, workers, links: ports + 1, ...options.sizes };
    const seeds = { hashSeed: HASH_SEED, randomSeed: RANDOM_SEED };
    this.memory = DataPlaneMemory.create(sizes, seeds);
    this.tables = new PublishedTables(this.memory, { wakeWorkers: () => this.#adopt() });
    this.workers = Array.from({ length: workers }, (_, worker) => {
      const hook = chooseBy === undefined ? {} : { chooseBy };
      return new WasmWorker({
        memory: this.memory,
        module,
        worker,
        ports,
        tick: startTick,
        ...hook,
      });
    });
    this.control = new Control({
      tables: this.tables,
      schedulerByName,
      startMs: bootTick * TICK_MS,
      timerPrecision: 'wheel',
      // A machine that never runs short of memory.
      availablePages: () => Number.MAX_SAFE_INTEGER,
    });
    this.host = new SimulatedHost({
      network,
      markOf: (packet) => markOfPacket(this.#marks, packet),
      neighbourChanged: () => this.#publishNeighbours(),
      sendOwn: (frame) => this.#sendOwn(frame),
    });
    this.control.tick(startTick * TICK_MS);
    this.#tick = startTick;
    this.networkChanged();
  }

  /** The tick that the clock shows. */
  get tick(): number {
    return this.#tick;
  }

  /** Firewall mark rules, as they are in force. */
  get marks(): readonly MarkRule[] {
    return this.#marks;
  }

  setMarks(rules: readonly MarkRule[]): void {
    this.#marks = rules;
    this.control.setMarks(rules);
  }

  /** Publishes ports, addresses, routes and neighbours after the network was changed. */
  networkChanged(): void {
    this.control.setWorld(this.network.world());
    this.#publishNeighbours();
  }

  /** What comes next may set timers that are due within a few ticks. */
  commandFollows(): void {
    this.#fineUntil = this.#tick + FINE_TICKS;
  }

  /**
   * Moves the clock; what is due on the way happens in its order.
   * @param tick kernel ticks
   * @param milliseconds since the start, for what is counted in them
   */
  advance(tick: number, milliseconds: number): void {
    while (this.#tick < tick) {
      const isFine = this.#tick < this.#fineUntil;
      const step = isFine ? 1 : TIMER_STEP - (this.#tick % TIMER_STEP);
      this.#tick = Math.min(this.#tick + step, tick);
      this.#milliseconds = (this.#tick - this.#startTick) * TICK_MS;
      this.#runTimers();
    }
    this.#milliseconds = milliseconds;
  }

  #runTimers(): void {
    this.#adopt();
    this.control.tick(this.#tick * TICK_MS);
    // Workers look at the host's requests in their turns.
    if (this.memory.u32[CONTROL_REQUESTS >>> 2] !== 0) this.#adopt();
    const due = this.host.nextDue();
    if (due !== undefined && due <= this.#tick) {
      this.host.advance(this.#tick);
      this.#takeFromHost();
    }
    if (this.#tick % LOCALITY_TICKS === 0) this.#collectLocality();
  }

  #collectLocality(): void {
    const ticks = (name: string) => Number(this.control.sysctl(name)) * TICKS_PER_SECOND;
    collectLocality(this.memory, this.#tick, {
      lblc: ticks('lblc_expiration'),
      lblcr: ticks('lblcr_expiration'),
    });
  }

  /**
   * Receives a frame on a port and does all that follows from it at once.
   * @returns what became of it in the data plane; undefined when it did not get there, because it
   * is not IP or does not fit in a chunk
   */
  receive(port: string, frame: Uint8Array): FrameTrace | undefined {
    this.host.advance(this.#tick);
    const number = this.#ports.findIndex((link) => link.name === port);
    if (number < 0) throw new RangeError(`no port ${port}`);
    if (frame.length > RECEIVED_FRAME_MAX) return undefined;
    // The steering program passes what is not IP to the kernel.
    if (!isIpFrame(frame)) {
      this.host.receive(port, frame);
      this.#takeFromHost();
      return undefined;
    }
    const worker = this.workers[this.#workerFor(frame)];
    this.#clearTrace(worker);
    if (!worker.ports[number].receive(frame)) {
      throw new DataPlaneError(`port ${port} has no free frame`);
    }
    worker.work(this.#tick, Math.floor(this.#milliseconds));
    const trace = this.#trace(worker);
    this.#collect();
    return trace;
  }

  /** The record of the only packet of a turn is the first one. */
  #clearTrace(worker: WasmWorker): void {
    const packet = worker.block + WORKER_PACKETS;
    this.memory.u8.fill(0, packet, packet + PACKET_SIZE);
  }

  #trace(worker: WasmWorker): FrameTrace {
    const { u8, u32 } = this.memory;
    const packet = worker.block + WORKER_PACKETS;
    const connection = u32[(packet + PACKET_CONNECTION) >>> 2];
    const destination =
      connection === 0 ? 0 : u32[(this.memory.hot(connection) + CONNECTION_DESTINATION_ID) >>> 2];
    return {
      verdict: u8[packet + PACKET_VERDICT],
      reason: u8[packet + PACKET_REASON],
      service: u32[(packet + PACKET_SERVICE) >>> 2] || this.#serviceOf(destination),
      destination,
    };
  }

  /** Id of the service that lists a destination, 0 for one in the trash. */
  #serviceOf(destination: number): number {
    const bank = this.memory.bank(this.memory.generation());
    const at = this.memory.destination(bank, destination);
    return destination === 0 ? 0 : this.memory.u32[(at + DESTINATION_SERVICE) >>> 2];
  }

  /** A frame of the host's own goes out through the first worker, after what it has sent so far. */
  #sendOwn(frame: Uint8Array): void {
    const worker = this.workers[0];
    if (!worker.receiveOwn(frame, this.#tick, Math.floor(this.#milliseconds))) {
      throw new DataPlaneError('the exception link has no free frame');
    }
    this.#takeSent(worker);
  }

  #takeSent(worker: WasmWorker): void {
    for (const [number, port] of worker.ports.entries()) {
      const { name } = this.#ports[number];
      for (const { frame } of port.transmit()) this.#send({ port: name, frame });
    }
  }

  #takeFromHost(): void {
    for (const sent of this.host.take()) this.#send(sent);
  }

  #send(sent: PortFrame): void {
    this.#sent.push({ ...sent, milliseconds: this.#milliseconds });
  }

  /** Takes the frames sent since it was last asked, in the order they were sent. */
  take(): readonly SentFrame[] {
    return this.#sent.splice(0);
  }

  /** Round robin, but all fragments of a datagram go to one worker, as hardware steers them. */
  #workerFor(frame: Uint8Array): number {
    const header = readIpHeader(framePayload(frame));
    const isFragment = header && (header.moreFragments || header.fragmentOffset > 0);
    const key = isFragment ? header.identification : this.#frames++;
    return key % this.workers.length;
  }

  /** Gathers what the workers sent, and gives the host what they passed. */
  #collect(): void {
    for (const worker of this.workers) {
      this.#takeSent(worker);
      for (const { frame, options } of worker.takePassed()) {
        this.host.receive(this.#ports[options].name, frame);
      }
    }
    for (const { port, address } of this.tables.nextHops.drainWanted()) {
      this.host.provoke(this.#ports[port].name, address);
    }
    this.#takeFromHost();
  }

  #publishNeighbours(): void {
    for (const neighbour of this.network.worldNeighbours()) this.tables.nextHops.set(neighbour);
  }

  #adopt(): void {
    for (const worker of this.workers ?? []) {
      worker.idle(this.#tick, Math.floor(this.#milliseconds));
    }
  }

  /** SCHEDULER_* of a service in a bank. */
  schedulerOf(bank: number, service: number): number {
    return this.memory.u8[this.memory.service(bank, service) + SERVICE_SCHEDULER];
  }
}
