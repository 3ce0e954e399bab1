// Packets of known connections, batch after batch: frames of random flows are written into the UMEM
// (not measured), then the turns that forward them are (measured). A batch goes once round the ring.

import { COUNTER_TRANSMITTED } from '../../assembly/shared/counters.ts';
import {
  CONNECTION_CLIENT,
  CONNECTION_DESTINATION,
  CONNECTION_DESTINATION_PORT,
  CONNECTION_LOCAL,
  CONNECTION_LOCAL_PORT,
  CONTROL_FREE_FRESH,
  STATS_IN_PACKETS,
  STATS_OUT_PACKETS,
  WIDE_CLIENT,
  WIDE_DESTINATION,
  WIDE_LOCAL,
} from '../../assembly/shared/layout.ts';
import type { DataPlaneMemory } from '../../host/memory/data-plane-memory.ts';
import { swapPort } from '../../host/tables/hash.ts';
import type { Engine } from './engine.ts';
import {
  clientOf,
  clientPortOf,
  type End,
  FlowSource,
  type FrameShape,
  FrameWriter,
  flowOf,
} from './flows.ts';
import { PORT_LAN, PORT_WAN, type WorkerRings } from './rings.ts';

/** What packets to send. */
export interface HitOptions {
  readonly memory: DataPlaneMemory;
  readonly rings: WorkerRings;
  readonly shape: FrameShape;
  readonly burst: number;
  readonly tick: number;
  /** Flows 0 to flows - 1 are connected. */
  readonly flows: number;
  /** A worker sees only its own share of the flows, as a card spreads them over its queues. */
  readonly workers: number;
  /** Where servers send to and from; needed for the way out. */
  readonly ends?: ServerEnds | undefined;
  readonly seed: number;
}

/** Batches of hits on one worker. */
export class HitLane {
  readonly #options: HitOptions;
  readonly #writer: FrameWriter;
  readonly #flows: FlowSource;
  readonly #link: number;
  /** Word indices of the frames sent and of the packets counted for connections. */
  readonly #sentAt: number;
  readonly #countedAt: number;

  constructor(options: HitOptions) {
    this.#options = options;
    const { memory, shape, rings, seed } = options;
    this.#writer = new FrameWriter(memory.memory.buffer, shape);
    this.#flows = new FlowSource(seed + rings.worker);
    const isIn = shape.direction === 'in';
    this.#link = isIn ? PORT_WAN : PORT_LAN;
    const { worker } = rings;
    this.#sentAt = (memory.counters(worker) + COUNTER_TRANSMITTED * 8) >>> 2;
    const packets = isIn ? STATS_IN_PACKETS : STATS_OUT_PACKETS;
    this.#countedAt = (memory.totalStatistics(worker) + packets) >>> 2;
    rings.setLength(shape.size);
  }

  get shape(): FrameShape {
    return this.#options.shape;
  }

  /** Connections that packets are of. */
  get flows(): number {
    return this.#options.flows;
  }

  /** Frames of a batch. */
  get frames(): number {
    return this.#options.rings.frames;
  }

  /** Writes the frames of the next batch. */
  prepare(): void {
    const { rings, flows, workers, shape } = this.#options;
    const mine = Math.max(1, Math.floor(flows / workers));
    for (let index = 0; index < rings.frames; index++) {
      const flow = this.#flows.below(mine) * workers + rings.worker;
      if (shape.direction === 'in') this.#writer.fromClient(rings.chunk(index), flow);
      else this.#answer(rings.chunk(index), flow);
    }
  }

  #answer(chunk: number, flow: number): void {
    const { ends } = this.#options;
    if (ends === undefined) throw new TypeError('the servers are not known');
    ends.read(flow, server, client);
    this.#writer.fromServer(chunk, server, client);
  }

  /**
   * Forwards the prepared frames.
   * @returns milliseconds
   * @throws Error when not every frame was sent, for a connection
   */
  forward(engine: Engine): number {
    const { rings, burst, tick } = this.#options;
    const counts = [this.#sentAt, this.#countedAt];
    const countsBefore = counts.map((at) => rings.memory.u32[at]);
    const turns = rings.frames / burst;
    const before = performance.now();
    engine.run({ rings, link: this.#link, burst, turns, tick });
    const spent = performance.now() - before;
    for (const [index, at] of counts.entries()) {
      const counted = (rings.memory.u32[at] - countsBefore[index]) >>> 0;
      if (counted === rings.frames) continue;
      const what = index === 0 ? 'sent' : 'knew the connection of';
      throw new Error(`${engine.name} ${what} ${counted} of ${rings.frames} frames`);
    }
    return spent;
  }
}

/** Filled anew for every packet. */
const server: End = { address: 0, port: 0 };
const client: End = { address: 0, port: 0 };

/**
 * The ends that a flow's server uses, read from the connection table once: reading an entry just
 * before its packet comes would warm the caches that are measured.
 */
export class ServerEnds {
  readonly #servers: Uint32Array;
  readonly #serverPorts: Uint16Array;
  /** What the server believes to be the client: the local end of full-nat. */
  readonly #clients: Uint32Array | undefined;
  readonly #clientPorts: Uint16Array | undefined;

  constructor(memory: DataPlaneMemory, flows: number, isFullNat: boolean, family: 4 | 6) {
    this.#servers = new Uint32Array(flows);
    this.#serverPorts = new Uint16Array(flows);
    this.#clients = isFullNat ? new Uint32Array(flows) : undefined;
    this.#clientPorts = isFullNat ? new Uint16Array(flows) : undefined;
    const { u16, u32, u8 } = memory;
    const wordBe = (at: number) =>
      ((u8[at] << 24) | (u8[at + 1] << 16) | (u8[at + 2] << 8) | u8[at + 3]) >>> 0;
    // Of an IPv6 address the last four bytes tell ends apart.
    const address = (index: number, hot: number, wide: number) =>
      family === 4 ? wordBe(memory.hot(index) + hot) : wordBe(memory.wide(index) + wide + 12);
    const end = u32[CONTROL_FREE_FRESH >>> 2];
    for (let index = 1; index < end; index++) {
      const from = address(index, CONNECTION_CLIENT, WIDE_CLIENT);
      const flow = flowOf(from);
      // Entries at hand that are not in use yet hold no flow's address.
      if (flow >= flows || from !== clientOf(flow)) continue;
      const entry = memory.hot(index);
      this.#servers[flow] = address(index, CONNECTION_DESTINATION, WIDE_DESTINATION);
      this.#serverPorts[flow] = swapPort(u16[(entry + CONNECTION_DESTINATION_PORT) >>> 1]);
      if (this.#clients === undefined || this.#clientPorts === undefined) continue;
      this.#clients[flow] = address(index, CONNECTION_LOCAL, WIDE_LOCAL);
      this.#clientPorts[flow] = swapPort(u16[(entry + CONNECTION_LOCAL_PORT) >>> 1]);
    }
  }

  read(flow: number, from: End, to: End): void {
    from.address = this.#servers[flow];
    from.port = this.#serverPorts[flow];
    to.address = this.#clients?.[flow] ?? clientOf(flow);
    to.port = this.#clientPorts?.[flow] ?? clientPortOf(flow);
  }
}
