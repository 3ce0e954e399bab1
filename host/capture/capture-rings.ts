// The host's end of the workers' capture rings (assembly/capture-tap.ts): says what is wanted, and
// takes what has come.

import {
  VERDICT_DROP,
  VERDICT_HOLD,
  VERDICT_PASS,
  VERDICT_TRANSMIT,
} from '../../assembly/shared/codes.ts';
import {
  CAPTURE_CONNECTION,
  CAPTURE_DATA,
  CAPTURE_DESTINATION,
  CAPTURE_DIRECTION,
  CAPTURE_HEAD,
  CAPTURE_IN,
  CAPTURE_KIND,
  CAPTURE_KIND_CAME,
  CAPTURE_LENGTH,
  CAPTURE_LOST,
  CAPTURE_MILLISECONDS,
  CAPTURE_ORIGINAL_LENGTH,
  CAPTURE_OUT,
  CAPTURE_PACKET,
  CAPTURE_PORT,
  CAPTURE_REASON,
  CAPTURE_SERVICE,
  CAPTURE_SLOT_SIZE,
  CAPTURE_SLOTS,
  CAPTURE_SLOTS_AT,
  CAPTURE_TAIL,
  CAPTURE_VERDICT,
  CONTROL_CAPTURE,
  CONTROL_CAPTURE_DIRECTIONS,
  CONTROL_CAPTURE_PACKETS,
  CONTROL_CAPTURE_SERVICE,
  CONTROL_CAPTURE_SNAP_LENGTH,
} from '../../assembly/shared/layout.ts';
import type { DataPlaneMemory } from '../memory/data-plane-memory.ts';

/** Which packets to copy, and how much of each. */
export interface CaptureFilter {
  /** Service id; 0: packets of all services and of none. */
  readonly service: number;
  readonly direction: 'in' | 'out' | 'both';
  /** Bytes kept of each frame. */
  readonly snapLength: number;
}

export type CaptureVerdict = 'transmit' | 'drop' | 'pass' | 'hold';

/** One frame, as a packet came or as it left. */
export interface CaptureRecord {
  /**
   * Joins a packet that came with the frames that left because of it, and counts the packets of
   * all workers in the order in which they were handled.
   */
  readonly packet: number;
  readonly kind: 'before' | 'after';
  /** Milliseconds since the director's start. */
  readonly milliseconds: number;
  /** Number of the port. */
  readonly port: number;
  readonly direction: 'in' | 'out';
  readonly verdict: CaptureVerdict;
  /** Counter of a drop's reason, otherwise 0. */
  readonly reason: number;
  readonly service: number;
  readonly destination: number;
  readonly connection: number;
  readonly originalLength: number;
  readonly frame: Uint8Array;
}

const DIRECTIONS = { in: CAPTURE_IN, out: CAPTURE_OUT, both: CAPTURE_IN | CAPTURE_OUT } as const;

const VERDICTS: ReadonlyMap<number, CaptureVerdict> = new Map([
  [VERDICT_DROP, 'drop'],
  [VERDICT_TRANSMIT, 'transmit'],
  [VERDICT_PASS, 'pass'],
  [VERDICT_HOLD, 'hold'],
]);

/** All workers' rings. */
export class CaptureRings {
  readonly #memory: DataPlaneMemory;
  #lostBefore = 0;

  constructor(memory: DataPlaneMemory) {
    this.#memory = memory;
  }

  /** From the next burst on packets are copied. What a capture before this one left is forgotten. */
  begin({ service, direction, snapLength }: CaptureFilter): void {
    const { u32 } = this.#memory;
    for (const ring of this.#rings()) {
      const head = Atomics.load(u32, (ring + CAPTURE_HEAD) >>> 2);
      Atomics.store(u32, (ring + CAPTURE_TAIL) >>> 2, head);
    }
    this.#lostBefore = this.#lostEver();
    u32[CONTROL_CAPTURE_SERVICE >>> 2] = service;
    u32[CONTROL_CAPTURE_DIRECTIONS >>> 2] = DIRECTIONS[direction];
    u32[CONTROL_CAPTURE_SNAP_LENGTH >>> 2] = snapLength;
    Atomics.store(u32, CONTROL_CAPTURE >>> 2, 1);
  }

  end(): void {
    Atomics.store(this.#memory.u32, CONTROL_CAPTURE >>> 2, 0);
  }

  /** What has come since the last time, in the order of the packets' numbers. */
  drain(): CaptureRecord[] {
    const { u32 } = this.#memory;
    // A packet without a number yet may answer one that is looked for in vain: it waits for the
    // next time. All that came before a packet with a number has been published.
    const end = Atomics.load(u32, CONTROL_CAPTURE_PACKETS >>> 2);
    const records = this.#rings().flatMap((ring) => this.#drainRing(ring, end));
    return records.sort((one, other) => comparePackets(one.packet, other.packet));
  }

  #drainRing(ring: number, end: number): CaptureRecord[] {
    const { u32 } = this.#memory;
    const records: CaptureRecord[] = [];
    const head = Atomics.load(u32, (ring + CAPTURE_HEAD) >>> 2);
    let tail = Atomics.load(u32, (ring + CAPTURE_TAIL) >>> 2);
    for (; tail !== head; tail = (tail + 1) >>> 0) {
      const slot = ring + CAPTURE_SLOTS_AT + (tail % CAPTURE_SLOTS) * CAPTURE_SLOT_SIZE;
      if (comparePackets(u32[(slot + CAPTURE_PACKET) >>> 2], end) >= 0) break;
      records.push(this.#read(slot));
    }
    Atomics.store(u32, (ring + CAPTURE_TAIL) >>> 2, tail);
    return records;
  }

  /** Packets of this capture that found the rings full. */
  lost(): number {
    return this.#lostEver() - this.#lostBefore;
  }

  #lostEver(): number {
    const { u32 } = this.#memory;
    return this.#rings().reduce((sum, ring) => sum + u32[(ring + CAPTURE_LOST) >>> 2], 0);
  }

  #rings(): number[] {
    const workers = this.#memory.map.sizes.workers;
    return Array.from({ length: workers }, (_, worker) => this.#memory.capture(worker));
  }

  #read(slot: number): CaptureRecord {
    const { u8, u32 } = this.#memory;
    const word = (field: number) => u32[(slot + field) >>> 2];
    const data = slot + CAPTURE_DATA;
    return {
      packet: word(CAPTURE_PACKET),
      kind: u8[slot + CAPTURE_KIND] === CAPTURE_KIND_CAME ? 'before' : 'after',
      milliseconds: word(CAPTURE_MILLISECONDS),
      port: u8[slot + CAPTURE_PORT],
      direction: word(CAPTURE_DIRECTION) === CAPTURE_IN ? 'in' : 'out',
      verdict: VERDICTS.get(u8[slot + CAPTURE_VERDICT]) ?? 'drop',
      reason: u8[slot + CAPTURE_REASON],
      service: word(CAPTURE_SERVICE),
      destination: word(CAPTURE_DESTINATION),
      connection: word(CAPTURE_CONNECTION),
      originalLength: word(CAPTURE_ORIGINAL_LENGTH),
      frame: u8.slice(data, data + word(CAPTURE_LENGTH)),
    };
  }
}

/** Below 0: the first of two packets' numbers is the earlier one. The numbers wrap around. */
function comparePackets(one: number, other: number): number {
  return (one - other) | 0;
}
