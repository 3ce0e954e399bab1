import { describe, expect, it } from 'vitest';
import {
  DESCRIPTOR_ADDRESS,
  DESCRIPTOR_LENGTH,
  DESCRIPTOR_OPTIONS,
  DESCRIPTOR_SIZE,
  LINK_PORT,
  RING_CONSUMER,
  RING_DESCRIPTORS,
  RING_MASK,
  RING_PRODUCER,
} from '../../../../assembly/shared/layout.ts';
import { FRAME_HEADROOM, FRAME_SIZE } from '../../../../assembly/shared/limits.ts';
import { DataPlaneMemory } from '../../../../host/memory/data-plane-memory.ts';
import type { RingKind } from '../../../../host/memory/memory-map.ts';
import { MemoryPort, RECEIVED_FRAME_MAX } from '../../../../host/replay/memory-port.ts';

const SIZES = {
  connections: 64,
  services: 4,
  destinations: 4,
  framesPerWorker: 64,
  links: 2,
  ringEntries: 8,
  schedulerTableBytes: 4096,
};

/** The data plane's side of a link, as slow and plain as can be. */
class OtherSide {
  readonly #memory: DataPlaneMemory;

  constructor(memory: DataPlaneMemory) {
    this.#memory = memory;
  }

  #word(kind: RingKind, field: number): number {
    return this.#memory.u32[(this.#memory.ring(0, 1, kind) + field) >>> 2];
  }

  #bump(kind: RingKind, field: number): number {
    const at = this.#word(kind, field) >>> 2;
    return this.#memory.u32[at]++ & this.#word(kind, RING_MASK);
  }

  count(kind: RingKind): number {
    const { u32 } = this.#memory;
    const producer = u32[this.#word(kind, RING_PRODUCER) >>> 2];
    return (producer - u32[this.#word(kind, RING_CONSUMER) >>> 2]) >>> 0;
  }

  fill(chunk: number): void {
    const slot = this.#bump('fill', RING_PRODUCER);
    this.#memory.u32[(this.#word('fill', RING_DESCRIPTORS) + slot * 8) >>> 2] = chunk;
  }

  received(): { address: number; bytes: number[] } {
    const slot = this.#bump('receive', RING_CONSUMER);
    const at = this.#word('receive', RING_DESCRIPTORS) + slot * DESCRIPTOR_SIZE;
    const address = this.#memory.u32[(at + DESCRIPTOR_ADDRESS) >>> 2];
    const length = this.#memory.u32[(at + DESCRIPTOR_LENGTH) >>> 2];
    const start = this.#memory.frames(0) + address;
    return { address, bytes: [...this.#memory.u8.subarray(start, start + length)] };
  }

  send(address: number, bytes: readonly number[], options = 0): void {
    this.#memory.u8.set(bytes, this.#memory.frames(0) + address);
    const slot = this.#bump('transmit', RING_PRODUCER);
    const at = this.#word('transmit', RING_DESCRIPTORS) + slot * DESCRIPTOR_SIZE;
    this.#memory.u32[(at + DESCRIPTOR_ADDRESS) >>> 2] = address;
    this.#memory.u32[(at + DESCRIPTOR_LENGTH) >>> 2] = bytes.length;
    this.#memory.u32[(at + DESCRIPTOR_OPTIONS) >>> 2] = options;
  }

  completed(): number {
    const slot = this.#bump('completion', RING_CONSUMER);
    return this.#memory.u32[(this.#word('completion', RING_DESCRIPTORS) + slot * 8) >>> 2];
  }
}

function setUp(): { memory: DataPlaneMemory; port: MemoryPort; other: OtherSide } {
  const memory = DataPlaneMemory.create(SIZES, { hashSeed: 1, randomSeed: 1 });
  const port = new MemoryPort(memory, { worker: 0, link: 1, port: 3 });
  return { memory, port, other: new OtherSide(memory) };
}

describe('MemoryPort', () => {
  it('a new port: the link record names the port', () => {
    const { memory } = setUp();
    expect(memory.u8[memory.link(0, 1) + LINK_PORT]).toBe(3);
  });

  it('no chunk in the fill ring: a frame is not received', () => {
    const { port, other } = setUp();
    expect(port.receive(Uint8Array.of(1, 2, 3))).toBe(false);
    expect(other.count('receive')).toBe(0);
  });

  it('a frame: stands behind the headroom of the chunk that was filled', () => {
    const { port, other } = setUp();
    other.fill(5 * FRAME_SIZE);
    expect(port.receive(Uint8Array.of(1, 2, 3))).toBe(true);
    expect(other.received()).toEqual({
      address: 5 * FRAME_SIZE + FRAME_HEADROOM,
      bytes: [1, 2, 3],
    });
  });

  it('a chunk named by an address inside it: is used from its start', () => {
    const { port, other } = setUp();
    other.fill(2 * FRAME_SIZE + 300);
    port.receive(Uint8Array.of(9));
    expect(other.received().address).toBe(2 * FRAME_SIZE + FRAME_HEADROOM);
  });

  it('a frame longer than a chunk: is an error of the caller', () => {
    const { port } = setUp();
    expect(() => port.receive(new Uint8Array(RECEIVED_FRAME_MAX + 1))).toThrow(RangeError);
  });

  it('a full receive ring: further frames are not received', () => {
    const { port, other } = setUp();
    for (let chunk = 0; chunk < 8; chunk++) other.fill(chunk * FRAME_SIZE);
    for (let frame = 0; frame < 8; frame++) expect(port.receive(Uint8Array.of(frame))).toBe(true);
    other.received();
    other.fill(8 * FRAME_SIZE);
    expect(port.receive(Uint8Array.of(8))).toBe(true);
    other.fill(9 * FRAME_SIZE);
    expect(port.receive(Uint8Array.of(9))).toBe(false);
  });

  it('frames to transmit: come out in order, with their options, and are completed', () => {
    const { port, other } = setUp();
    other.send(FRAME_HEADROOM, [1, 2], 7);
    other.send(FRAME_SIZE + 100, [3]);
    const sent = port.transmit();
    expect(sent.map(({ frame, options }) => [[...frame], options])).toEqual([
      [[1, 2], 7],
      [[3], 0],
    ]);
    expect(other.count('completion')).toBe(2);
    expect([other.completed(), other.completed()]).toEqual([FRAME_HEADROOM, FRAME_SIZE + 100]);
    expect(port.transmit()).toEqual([]);
  });

  it('rings gone round many times: nothing is lost', () => {
    const { port, other } = setUp();
    for (let turn = 0; turn < 100; turn++) {
      other.fill((turn % 16) * FRAME_SIZE);
      expect(port.receive(Uint8Array.of(turn))).toBe(true);
      const { address, bytes } = other.received();
      other.send(address, bytes);
      expect([...port.transmit()[0].frame]).toEqual([turn]);
      other.completed();
    }
  });
});
