import type {
  RingKind,
  RingPlacement,
  SharedMemory,
  SocketOptions,
  Umem,
  XdpSocket,
} from '../index.js';

export interface Frame {
  address: number;
  length: number;
}

export class RingDriver {
  constructor(socket: XdpSocket, memory: Uint8Array);
  readonly socket: XdpSocket;
  readonly fillRing: { needsWakeup(): boolean };
  readonly txRing: { needsWakeup(): boolean };
  fill(addresses: readonly number[]): boolean;
  receive(): Frame[];
  transmit(frames: readonly Frame[]): boolean;
  complete(): number[];
}

export interface BenchOptions {
  frames?: number;
  frameSize?: 2048 | 4096;
  entries?: number;
  ports?: number;
  back?: (memory: Uint8Array) => SharedMemory;
}

export class Bench {
  constructor(options?: BenchOptions);
  readonly wasm: WebAssembly.Memory;
  readonly bytes: Uint8Array;
  readonly frames: Uint8Array;
  readonly shared: SharedMemory | undefined;
  /** Where place() puts the next ring. */
  nextRing: number;
  readonly umem: Umem;
  place(kind: RingKind, entries?: number): RingPlacement;
  placements(): SocketOptions['rings'];
  open(interfaceName: string, queue?: number, options?: Partial<SocketOptions>): RingDriver;
  addresses(first: number, count: number): number[];
  write(address: number, content: Uint8Array): Frame;
  read(frame: Frame): Uint8Array;
}
