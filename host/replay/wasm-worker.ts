// One worker of a replay: a WASM instance on the replay's own thread, with a memory port for each
// port and one more for the frames that the data plane leaves to the director's own stack.

import {
  LINK_FLAGS,
  LINK_FROM_HOST,
  WORKER_EXCEPTION_LINK,
  WORKER_IDENTIFICATION,
  WORKER_LINK_COUNT,
  WORKER_PORT_LINKS,
  WORKER_SEEN_GENERATION,
  WORKER_WHEEL_CLOCK,
} from '../../assembly/shared/layout.ts';
import { type DataPlaneMemory, NO_LINK } from '../memory/data-plane-memory.ts';
import { createSchedule } from '../worker/schedule.ts';
import { type DataPlane, instantiateWasm, type ScheduleFunction } from '../worker/wasm.ts';
import { MemoryPort, type TransmittedFrame } from './memory-port.ts';

/** Stands around a scheduler's choice, to log it or to steer what it draws at random. */
export type ChoiceHook = (choice: Choice) => number;

/** A choice that is about to be made. */
export interface Choice {
  /** Id of the service. */
  readonly service: number;
  /** Start of the bank the worker has adopted. */
  readonly bank: number;
  /** Start of the worker's block. */
  readonly worker: number;
  /** Makes it: a destination id, or SCHEDULE_NONE. Each call is a choice of its own. */
  pick(): number;
}

/** How a worker is set up. */
export interface WasmWorkerOptions {
  readonly memory: DataPlaneMemory;
  readonly module: WebAssembly.Module;
  /** Number of the worker. */
  readonly worker: number;
  /** How many ports there are; port N is link N. */
  readonly ports: number;
  /** The tick at which the clock starts. */
  readonly tick: number;
  readonly chooseBy?: ChoiceHook;
}

/** First identification of packets a worker makes itself, far from those that clients count. */
const FIRST_IDENTIFICATION = 0xc000;

/** Most turns that a single step of work can take before something is wrong. */
const TURNS_MAX = 100_000;

/** The data plane does not do what it must. */
export class DataPlaneError extends Error {
  readonly code = 'DATA_PLANE';
}

/** A worker on this thread. */
export class WasmWorker {
  readonly ports: readonly MemoryPort[];
  readonly #exception: MemoryPort;
  readonly #dataPlane: DataPlane;
  readonly #number: number;
  /** Start of the worker's block. */
  readonly block: number;

  constructor(options: WasmWorkerOptions) {
    const { memory, module, worker, ports, tick } = options;
    this.#number = worker;
    this.block = memory.worker(worker);
    this.ports = Array.from({ length: ports }, (_, port) => {
      return new MemoryPort(memory, { worker, link: port, port });
    });
    this.#exception = new MemoryPort(memory, { worker, link: ports, port: NO_LINK });
    memory.u8[memory.link(worker, ports) + LINK_FLAGS] = LINK_FROM_HOST;
    const { block } = this;
    memory.u32[(block + WORKER_LINK_COUNT) >>> 2] = ports + 1;
    for (let port = 0; port < ports; port++) memory.u8[block + WORKER_PORT_LINKS + port] = port;
    memory.u32[(block + WORKER_EXCEPTION_LINK) >>> 2] = ports;
    memory.u32[(block + WORKER_IDENTIFICATION) >>> 2] = FIRST_IDENTIFICATION;
    memory.u32[(block + WORKER_WHEEL_CLOCK) >>> 2] = tick;
    this.#dataPlane = instantiateWasm(module, memory.memory, this.#schedule(options));
    this.#dataPlane.initialise(worker);
    // The first turn fills the ports' fill rings.
    this.#dataPlane.turn(tick, 0);
  }

  #schedule({ memory, worker, chooseBy }: WasmWorkerOptions): ScheduleFunction {
    const schedule = createSchedule(memory, worker);
    if (chooseBy === undefined) return schedule;
    return (service, packet) => {
      const bank = memory.bank(memory.u32[(this.block + WORKER_SEEN_GENERATION) >>> 2]);
      const pick = () => schedule(service, packet);
      return chooseBy({ service: service >>> 0, bank, worker: this.block, pick });
    };
  }

  /** Runs turns until nothing is left to receive. */
  work(tick: number, milliseconds: number): void {
    for (let turn = 0; turn < TURNS_MAX; turn++) {
      this.#dataPlane.turn(tick, milliseconds);
      if (this.ports.every((port) => port.waitingFrames === 0)) return;
    }
    throw new DataPlaneError(`worker ${this.#number} does not come to an end`);
  }

  /** Runs due timers, then a turn without frames: adopts new tables, does what the host asked for. */
  idle(tick: number, milliseconds: number): void {
    this.#dataPlane.runTimers(tick);
    this.#dataPlane.turn(tick, milliseconds);
  }

  /** Takes a frame that the director's own stack sends. @returns false when there is no room */
  receiveOwn(frame: Uint8Array, tick: number, milliseconds: number): boolean {
    if (!this.#exception.receive(frame)) return false;
    this.#dataPlane.turn(tick, milliseconds);
    return true;
  }

  /** Frames for the director's own stack; the options name the port each came in on. */
  takePassed(): readonly TransmittedFrame[] {
    return this.#exception.transmit();
  }
}
