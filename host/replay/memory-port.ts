// A port without a network card: it plays the kernel's side of a link's four rings in linear
// memory, so that the data plane cannot tell it from an AF_XDP socket.
//
//   fill        data plane → port   free chunks to receive into
//   receive     port → data plane   descriptors of received frames, at chunk + FRAME_HEADROOM
//   transmit    data plane → port   descriptors of frames to send
//   completion  port → data plane   chunks whose frames have been sent
//
// Cursors are free-running u32 counters, masked when used, as in <linux/if_xdp.h>. Addresses in
// the rings count from the start of the worker's frames, as they do in a UMEM.
// A port runs on its worker's thread: nobody else touches the rings meanwhile.

import {
  DESCRIPTOR_ADDRESS,
  DESCRIPTOR_LENGTH,
  DESCRIPTOR_OPTIONS,
  DESCRIPTOR_SIZE,
  LINK_PORT,
  LINK_QUEUE,
  RING_CONSUMER,
  RING_DESCRIPTORS,
  RING_FLAGS,
  RING_MASK,
  RING_PRODUCER,
} from '../../assembly/shared/layout.ts';
import { FRAME_HEADROOM, FRAME_SIZE } from '../../assembly/shared/limits.ts';
import type { DataPlaneMemory } from '../memory/data-plane-memory.ts';
import { RING_KINDS, type RingKind } from '../memory/memory-map.ts';

/** Most bytes a received frame can have: what is left of a chunk behind the headroom. */
export const RECEIVED_FRAME_MAX = FRAME_SIZE - FRAME_HEADROOM;

/** Bytes of a ring's cursors, each on a cache line of its own, as the kernel places them. */
const PRODUCER_AT = 0;
const CONSUMER_AT = 64;
const FLAGS_AT = 128;
const ADDRESS_BYTES = 8;

/** A frame taken from the transmit ring. */
export interface TransmittedFrame {
  /** A copy. */
  readonly frame: Uint8Array;
  /** The descriptor's options: on the exception link, the port the frame had come in on. */
  readonly options: number;
}

/** Where to attach, and what the link stands for. */
export interface MemoryPortOptions {
  readonly worker: number;
  /** Index of the link in the worker's block. */
  readonly link: number;
  /** Number of the port, written to the link's record. */
  readonly port: number;
  readonly queue?: number;
}

/** One ring, seen from the kernel's side. Indices of the views are words. */
interface Ring {
  readonly producer: number;
  readonly consumer: number;
  /** Byte offset of the entries. */
  readonly entries: number;
  readonly mask: number;
}

/** The kernel's side of one link. */
export class MemoryPort {
  readonly #memory: DataPlaneMemory;
  readonly #frames: number;
  readonly #rings: Readonly<Record<RingKind, Ring>>;

  /** Lays out the link's rings in the pages reserved for them, and writes the link's record. */
  constructor(memory: DataPlaneMemory, options: MemoryPortOptions) {
    const { worker, link, port, queue = 0 } = options;
    this.#memory = memory;
    this.#frames = memory.frames(worker);
    const rings = RING_KINDS.map((kind) => [kind, this.#layOut(worker, link, kind)] as const);
    this.#rings = Object.fromEntries(rings) as Record<RingKind, Ring>;
    const record = memory.link(worker, link);
    memory.u8[record + LINK_PORT] = port;
    memory.u16[(record + LINK_QUEUE) >>> 1] = queue;
  }

  #layOut(worker: number, link: number, kind: RingKind): Ring {
    const { u32, map } = this.#memory;
    const area = this.#memory.ringArea(worker, link, kind);
    const record = this.#memory.ring(worker, link, kind);
    const entries = area.offset + map.sizes.ringHeaderBytes;
    u32[(record + RING_PRODUCER) >>> 2] = area.offset + PRODUCER_AT;
    u32[(record + RING_CONSUMER) >>> 2] = area.offset + CONSUMER_AT;
    u32[(record + RING_FLAGS) >>> 2] = area.offset + FLAGS_AT;
    u32[(record + RING_DESCRIPTORS) >>> 2] = entries;
    u32[(record + RING_MASK) >>> 2] = area.entries - 1;
    u32[(area.offset + PRODUCER_AT) >>> 2] = 0;
    u32[(area.offset + CONSUMER_AT) >>> 2] = 0;
    u32[(area.offset + FLAGS_AT) >>> 2] = 0;
    return {
      producer: (area.offset + PRODUCER_AT) >>> 2,
      consumer: (area.offset + CONSUMER_AT) >>> 2,
      entries,
      mask: area.entries - 1,
    };
  }

  /**
   * Receives a frame into a chunk of the fill ring.
   * @returns false when there is no free chunk or no room in the receive ring: the card drops it
   * @throws RangeError when the frame is longer than RECEIVED_FRAME_MAX
   */
  receive(frame: Uint8Array): boolean {
    if (frame.length > RECEIVED_FRAME_MAX) {
      throw new RangeError(`a frame of ${frame.length} bytes does not fit in a chunk`);
    }
    const { u8, u32 } = this.#memory;
    const { fill, receive } = this.#rings;
    const isFull = this.#used(receive) > receive.mask;
    if (isFull || this.#used(fill) === 0) return false;
    const from = u32[fill.consumer] & fill.mask;
    const chunk = u32[(fill.entries + from * ADDRESS_BYTES) >>> 2];
    u32[fill.consumer] = u32[fill.consumer] + 1;
    // The chunk may be named by any address inside it.
    const address = chunk - (chunk % FRAME_SIZE) + FRAME_HEADROOM;
    u8.set(frame, this.#frames + address);
    const at = receive.entries + (u32[receive.producer] & receive.mask) * DESCRIPTOR_SIZE;
    u32[(at + DESCRIPTOR_ADDRESS) >>> 2] = address;
    u32[(at + DESCRIPTOR_ADDRESS + 4) >>> 2] = 0;
    u32[(at + DESCRIPTOR_LENGTH) >>> 2] = frame.length;
    u32[(at + DESCRIPTOR_OPTIONS) >>> 2] = 0;
    u32[receive.producer] = u32[receive.producer] + 1;
    return true;
  }

  /** Sends what the transmit ring holds and hands the chunks back through the completion ring. */
  transmit(): readonly TransmittedFrame[] {
    const { u8, u32 } = this.#memory;
    const { transmit, completion } = this.#rings;
    const sent: TransmittedFrame[] = [];
    while (this.#used(transmit) > 0 && this.#used(completion) <= completion.mask) {
      const at = transmit.entries + (u32[transmit.consumer] & transmit.mask) * DESCRIPTOR_SIZE;
      const address = u32[(at + DESCRIPTOR_ADDRESS) >>> 2];
      const length = u32[(at + DESCRIPTOR_LENGTH) >>> 2];
      const start = this.#frames + address;
      // Copied: slice() of a view over shared memory makes a view over memory of its own.
      const frame = Uint8Array.from(u8.subarray(start, start + length));
      sent.push({ frame, options: u32[(at + DESCRIPTOR_OPTIONS) >>> 2] });
      u32[transmit.consumer] = u32[transmit.consumer] + 1;
      this.#complete(address);
    }
    return sent;
  }

  #complete(address: number): void {
    const { u32 } = this.#memory;
    const { completion } = this.#rings;
    const to = u32[completion.producer] & completion.mask;
    u32[(completion.entries + to * ADDRESS_BYTES) >>> 2] = address;
    u32[(completion.entries + to * ADDRESS_BYTES + 4) >>> 2] = 0;
    u32[completion.producer] = u32[completion.producer] + 1;
  }

  /** Chunks that wait in the fill ring. */
  get freeChunks(): number {
    return this.#used(this.#rings.fill);
  }

  /** Received frames that the data plane has not taken yet. */
  get waitingFrames(): number {
    return this.#used(this.#rings.receive);
  }

  #used(ring: Ring): number {
    const { u32 } = this.#memory;
    return (u32[ring.producer] - u32[ring.consumer]) >>> 0;
  }
}
