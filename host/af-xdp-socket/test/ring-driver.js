// Drives the four rings of a socket from JavaScript, the way a poll loop in WASM would: through
// linear memory only. Slow and plain; for tests and as an example.

import { createUmem, openSocket, RING_NEED_WAKEUP, ringLength } from '../index.js';

const PAGE = 65536;

/** One producer or consumer side of a mapped ring. */
class Ring {
  constructor(memory, ring) {
    const start = memory.byteOffset + ring.byteOffset;
    const word = (offset) => new Int32Array(memory.buffer, start + offset, 1);
    this.producer = word(ring.producer);
    this.consumer = word(ring.consumer);
    this.flags = word(ring.flags);
    this.entries = ring.entries;
    this.entryLength = ring.descriptorLength;
    const bytes = ring.entries * ring.descriptorLength;
    this.view = new DataView(memory.buffer, start + ring.descriptors, bytes);
  }

  at(cursor) {
    return (cursor & (this.entries - 1)) * this.entryLength;
  }

  needsWakeup() {
    return (Atomics.load(this.flags, 0) & RING_NEED_WAKEUP) !== 0;
  }

  /** Consumer side: hands every entry to `take`. */
  consume(take) {
    const end = Atomics.load(this.producer, 0);
    let cursor = Atomics.load(this.consumer, 0);
    for (; cursor !== end; cursor = (cursor + 1) | 0) take(this.at(cursor));
    Atomics.store(this.consumer, 0, cursor);
  }

  /** Producer side: `put` writes each of `count` entries; false when they do not fit. */
  produce(count, put) {
    const start = Atomics.load(this.producer, 0);
    if (count > this.entries - ((start - Atomics.load(this.consumer, 0)) | 0)) return false;
    for (let index = 0; index < count; index++) put(this.at((start + index) | 0), index);
    Atomics.store(this.producer, 0, (start + count) | 0);
    return true;
  }
}

export class RingDriver {
  constructor(socket, memory) {
    this.socket = socket;
    this.fillRing = new Ring(memory, socket.rings.fill);
    this.completionRing = new Ring(memory, socket.rings.completion);
    this.rxRing = socket.rings.rx && new Ring(memory, socket.rings.rx);
    this.txRing = socket.rings.tx && new Ring(memory, socket.rings.tx);
  }

  fill(addresses) {
    return this.fillRing.produce(addresses.length, (at, index) =>
      this.fillRing.view.setBigUint64(at, BigInt(addresses[index]), true),
    );
  }

  receive() {
    const frames = [];
    this.rxRing.consume((at) => {
      const { view } = this.rxRing;
      frames.push({
        address: Number(view.getBigUint64(at, true)),
        length: view.getUint32(at + 8, true),
      });
    });
    return frames;
  }

  transmit(frames) {
    return this.txRing.produce(frames.length, (at, index) => {
      const { view } = this.txRing;
      view.setBigUint64(at, BigInt(frames[index].address), true);
      view.setUint32(at + 8, frames[index].length, true);
      view.setUint32(at + 12, 0, true);
    });
  }

  complete() {
    const addresses = [];
    this.completionRing.consume((at) =>
      addresses.push(Number(this.completionRing.view.getBigUint64(at, true))),
    );
    return addresses;
  }
}

/**
 * A shared linear memory with room for the rings of `ports` sockets and, behind them, a UMEM.
 * `back` may put a file behind the memory before anything is pinned.
 */
export class Bench {
  constructor({ frames = 256, frameSize = 2048, entries = 64, ports = 4, back = () => {} } = {}) {
    const ringBytes = ports * (2 * ringLength('fill', entries) + 2 * ringLength('rx', entries));
    const start = Math.ceil(ringBytes / PAGE) * PAGE;
    const pages = start / PAGE + (frames * frameSize) / PAGE;
    this.wasm = new WebAssembly.Memory({ initial: pages, maximum: pages, shared: true });
    this.bytes = new Uint8Array(this.wasm.buffer);
    this.shared = back(this.bytes);
    this.frames = this.bytes.subarray(start);
    this.frameSize = frameSize;
    this.entries = entries;
    this.nextRing = 0;
    this.umem = createUmem({ memory: this.frames, frameSize });
  }

  place(kind, entries = this.entries) {
    const placement = { memory: this.bytes, byteOffset: this.nextRing, entries };
    this.nextRing += ringLength(kind, entries);
    return placement;
  }

  placements() {
    return {
      fill: this.place('fill'),
      completion: this.place('completion'),
      rx: this.place('rx'),
      tx: this.place('tx'),
    };
  }

  open(interfaceName, queue = 0, options = {}) {
    const socket = openSocket({
      umem: this.umem,
      interface: interfaceName,
      queue,
      rings: this.placements(),
      ...options,
    });
    return new RingDriver(socket, this.bytes);
  }

  /** Addresses of `count` frames from frame `first` on. */
  addresses(first, count) {
    return Array.from({ length: count }, (_, index) => (first + index) * this.frameSize);
  }

  /** Writes a frame's bytes and returns its descriptor. */
  write(address, content) {
    this.frames.set(content, address);
    return { address, length: content.length };
  }

  read({ address, length }) {
    return this.frames.slice(address, address + length);
  }
}
