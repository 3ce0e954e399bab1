// The kernel's side of a worker's rings, at the least cost: frames lie in the same chunks for the
// whole bench, so the descriptors of the RX ring and the addresses of the completion ring are
// written once, and a turn costs the harness a few stores to cursors. bench/twin/twin.c does the
// same between its turns.
//
//   RX           descriptor i names chunk i; the producer moves by a burst before each turn
//   TX           what a turn sent counts as sent when it returns
//   completion   entry i names chunk i, as frames leave in the order in which they came
//   fill         the consumer moves with RX's producer: chunks come back and go out again

import {
  DESCRIPTOR_ADDRESS,
  DESCRIPTOR_LENGTH,
  DESCRIPTOR_SIZE,
  RING_CONSUMER,
  RING_PRODUCER,
  WORKER_LINK_COUNT,
  WORKER_PORT_LINKS,
} from '../../assembly/shared/layout.ts';
import { FRAME_HEADROOM, FRAME_SIZE } from '../../assembly/shared/limits.ts';
import type { DataPlaneMemory } from '../../host/memory/data-plane-memory.ts';
import type { RingKind } from '../../host/memory/memory-map.ts';
import { MemoryPort } from '../../host/replay/memory-port.ts';

/** Ports of the bench's director; port N is link N of every worker. */
export const PORT_WAN = 0;
export const PORT_LAN = 1;
export const PORTS = 2;

/** Cursors of one ring, as word indices. */
interface Cursors {
  readonly producer: number;
  readonly consumer: number;
}

/** One worker's links, as the harness drives them. */
export class WorkerRings {
  readonly memory: DataPlaneMemory;
  readonly worker: number;
  /** Frames in circulation: entries of a ring. */
  readonly frames: number;
  readonly #transmit: readonly Cursors[];
  readonly #completion: readonly Cursors[];
  readonly #receive: readonly Cursors[];
  readonly #fill: readonly Cursors[];

  /** Attaches to rings that layOutRings() has laid out. */
  constructor(memory: DataPlaneMemory, worker: number) {
    this.memory = memory;
    this.worker = worker;
    this.frames = memory.map.sizes.ringEntries;
    const cursors = (kind: RingKind) =>
      Array.from({ length: PORTS }, (_, link) => {
        const record = memory.ring(worker, link, kind);
        const { u32 } = memory;
        return {
          producer: u32[(record + RING_PRODUCER) >>> 2] >>> 2,
          consumer: u32[(record + RING_CONSUMER) >>> 2] >>> 2,
        };
      });
    this.#receive = cursors('receive');
    this.#transmit = cursors('transmit');
    this.#fill = cursors('fill');
    this.#completion = cursors('completion');
  }

  /** Start of the chunk that RX descriptor `index` names. */
  chunk(index: number): number {
    return this.memory.frames(this.worker) + index * FRAME_SIZE;
  }

  /** Index of the descriptor that a link receives next. */
  position(link: number): number {
    return this.memory.u32[this.#receive[link].consumer] % this.frames;
  }

  /** Sets the length of every frame. */
  setLength(bytes: number): void {
    const { u32, map } = this.memory;
    for (let link = 0; link < PORTS; link++) {
      const area = this.memory.ringArea(this.worker, link, 'receive');
      const first = (area.offset + map.sizes.ringHeaderBytes + DESCRIPTOR_LENGTH) >>> 2;
      const step = DESCRIPTOR_SIZE >>> 2;
      for (let index = 0; index < this.frames; index++) u32[first + index * step] = bytes;
    }
  }

  /** Receives `burst` frames on a link: call it before a turn. */
  receive(link: number, burst: number): void {
    const { u32 } = this.memory;
    u32[this.#receive[link].producer] += burst;
    u32[this.#fill[link].consumer] += burst;
  }

  /** Sends what a turn left in the TX rings: call it after the turn. @returns frames sent */
  send(): number {
    const { u32 } = this.memory;
    let sent = 0;
    for (let link = 0; link < PORTS; link++) {
      const { producer, consumer } = this.#transmit[link];
      const frames = u32[producer] - u32[consumer];
      u32[consumer] = u32[producer];
      u32[this.#completion[link].producer] += frames;
      sent += frames;
    }
    return sent;
  }

  /** Frames sent on a link since the memory was made, modulo 2^32. */
  sent(link: number): number {
    return this.memory.u32[this.#transmit[link].producer];
  }
}

/** Lays out a worker's links and writes what the rings will always hold. */
export function layOutRings(memory: DataPlaneMemory, worker: number): WorkerRings {
  const { u8, u32, map } = memory;
  const block = memory.worker(worker);
  for (let link = 0; link < PORTS; link++) {
    new MemoryPort(memory, { worker, link, port: link });
    u8[block + WORKER_PORT_LINKS + link] = link;
  }
  u32[(block + WORKER_LINK_COUNT) >>> 2] = PORTS;
  const header = map.sizes.ringHeaderBytes;
  for (let link = 0; link < PORTS; link++) {
    const receive = memory.ringArea(worker, link, 'receive').offset + header;
    const completion = memory.ringArea(worker, link, 'completion').offset + header;
    for (let index = 0; index < map.sizes.ringEntries; index++) {
      const address = index * FRAME_SIZE + FRAME_HEADROOM;
      u32[(receive + index * DESCRIPTOR_SIZE + DESCRIPTOR_ADDRESS) >>> 2] = address;
      u32[(completion + index * 8) >>> 2] = address;
    }
  }
  return new WorkerRings(memory, worker);
}
