// The loop of a worker thread: turn, wake the kernel where it sleeps, sleep when there is nothing to
// do. It never goes back to the event loop; the host reaches it through shared memory only.
//
//   turn()            everything that touches packets, in WebAssembly
//   wake transmit     sendto() until a TX ring is empty: in copy mode the kernel sends 32 a call
//   wake receive      recvfrom() where the kernel waits for a fill ring to be filled
//   rest(), poll()    after some turns without a packet; the timers want a turn now and then

import { constants } from 'node:os';
import { drainEvent, pollDescriptors, wakeReceive, wakeTransmit } from 'af-xdp-socket';
import {
  CONTROL_STOP,
  LINK_TRANSMIT,
  RING_CONSUMER,
  RING_PRODUCER,
  WORKER_WAKE_RECEIVE,
  WORKER_WAKE_TRANSMIT,
  WORKER_WHEEL_LEFT,
} from '../../assembly/shared/layout.ts';
import { TICKS_PER_SECOND } from '../../assembly/shared/limits.ts';
import type { DataPlaneMemory } from '../memory/data-plane-memory.ts';
import {
  GAUGE_ASLEEP_MS,
  GAUGE_BUSY_TURNS,
  GAUGE_CLOCK_MS,
  GAUGE_PACKETS,
  GAUGE_TRANSMIT_WAKEUPS,
  GAUGE_TURNS,
} from './gauges.ts';
import type { DataPlane } from './wasm.ts';

const TICK_MS = 1000 / TICKS_PER_SECOND;
/** Turns without a packet before the worker sleeps: going to sleep costs about as much. */
const EMPTY_TURNS_MAX = 4;
/** Longest sleep. The timers' wheel moves on with the next turn, so it is late by this at most. */
const SLEEP_MS = 20;
/** Calls per turn and link to get a TX ring emptied; what is left then waits for the next turn. */
const TRANSMIT_WAKEUPS_MAX = 8;

/** What a loop works with. */
export interface PollLoopOptions {
  readonly memory: DataPlaneMemory;
  readonly worker: number;
  readonly dataPlane: DataPlane;
  /** Descriptors of the links' sockets, in the order of the links. */
  readonly links: readonly number[];
  /** Descriptor of the eventfd that ends the worker's sleep. */
  readonly event: number;
  readonly gauges: Float64Array;
  /** Milliseconds since the director's start. */
  readonly clock: () => number;
  /** Never sleep. */
  readonly busyPoll: boolean;
}

/** Runs until CONTROL_STOP is set. What the data plane throws, it throws. */
export function runPollLoop(options: PollLoopOptions): void {
  const { memory, dataPlane, gauges, clock, busyPoll } = options;
  const { u32 } = memory;
  const block = memory.worker(options.worker);
  const sleeper = createSleeper(options);
  const transmitters = createTransmitters(options);
  const wakeTransmitAt = (block + WORKER_WAKE_TRANSMIT) >>> 2;
  const wakeReceiveAt = (block + WORKER_WAKE_RECEIVE) >>> 2;
  const timersLeftAt = (block + WORKER_WHEEL_LEFT) >>> 2;
  let emptyTurns = 0;
  while (Atomics.load(u32, CONTROL_STOP >>> 2) === 0) {
    const now = clock();
    const packets = dataPlane.turn((now / TICK_MS) >>> 0, now >>> 0);
    gauges[GAUGE_TURNS]++;
    if (u32[wakeTransmitAt] !== 0) transmitters.wake(u32[wakeTransmitAt]);
    if (u32[wakeReceiveAt] !== 0) wakeReceivers(options.links, u32[wakeReceiveAt]);
    if (packets !== 0) {
      gauges[GAUGE_BUSY_TURNS]++;
      gauges[GAUGE_PACKETS] += packets;
      emptyTurns = 0;
    } else if (!busyPoll && u32[timersLeftAt] === 0 && ++emptyTurns >= EMPTY_TURNS_MAX) {
      emptyTurns = 0;
      dataPlane.rest();
      sleeper.sleep();
    }
  }
  dataPlane.rest();
}

/** Sleeps until a packet or the host comes, or the timers want a turn. */
function createSleeper({ links, event, gauges, clock }: PollLoopOptions) {
  const descriptors = Int32Array.of(...links, event);
  const ready = new Int32Array(descriptors.length);
  const eventIndex = links.length;
  const nobody = new Int32Array(new SharedArrayBuffer(4));
  return {
    sleep(): void {
      const before = clock();
      const count = pollDescriptors(descriptors, SLEEP_MS, ready);
      // Without poll() the worker still has to yield, or it would run hot on an error.
      if (count < 0) Atomics.wait(nobody, 0, 0, SLEEP_MS);
      if (count > 0 && ready[eventIndex] !== 0) drainEvent(event);
      const after = clock();
      gauges[GAUGE_ASLEEP_MS] += after - before;
      gauges[GAUGE_CLOCK_MS] = after;
    },
  };
}

/** Gets the kernel to send what is in the TX rings. */
function createTransmitters({ memory, worker, links, gauges }: PollLoopOptions) {
  const { u32 } = memory;
  const rings = links.map((fd, link) => {
    const at = memory.link(worker, link) + LINK_TRANSMIT;
    return {
      fd,
      producer: u32[(at + RING_PRODUCER) >>> 2] >>> 2,
      consumer: u32[(at + RING_CONSUMER) >>> 2] >>> 2,
    };
  });

  function drain({ fd, producer, consumer }: (typeof rings)[number]): void {
    for (let call = 0; call < TRANSMIT_WAKEUPS_MAX; call++) {
      const before = Atomics.load(u32, consumer);
      const result = wakeTransmit(fd);
      gauges[GAUGE_TRANSMIT_WAKEUPS]++;
      if (result === -constants.errno.ENETDOWN) return;
      const after = Atomics.load(u32, consumer);
      // No progress: the completion ring is full, or the device cannot take more now.
      if (after === u32[producer] || after === before) return;
    }
  }

  return {
    wake(bits: number): void {
      for (let left = bits; left !== 0; left &= left - 1)
        drain(rings[31 - Math.clz32(left & -left)]);
    },
  };
}

function wakeReceivers(links: readonly number[], bits: number): void {
  for (let left = bits; left !== 0; left &= left - 1) {
    wakeReceive(links[31 - Math.clz32(left & -left)]);
  }
}
