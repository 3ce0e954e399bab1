// The miss path: ns a packet that makes a connection, in a steady state where as many expire. Every
// packet is a SYN of a flow not seen before; the clock moves so that connections end as fast as they
// are made, and the ends are part of the measured turns.

import { COUNTER_CONNECTIONS_CREATED } from '../../assembly/shared/counters.ts';
import type { Bench, BenchContext } from '../bench.ts';
import { type Competitor, interleave, ratioOf, summarize } from '../measure.ts';
import { makeResult, type Result } from '../result.ts';
import { type Engine, wasmEngine } from './engine.ts';
import { FLOWS_MAX, FrameWriter, TCP_SYN } from './flows.ts';
import { effortOf, sliceOf } from './hit-path.ts';
import { HitLane } from './hits.ts';
import { Rig } from './rig.ts';
import { PORT_WAN } from './rings.ts';

const BURST = 64;
/** Room for what the wheel's coarser steps keep longer, and for entries that wait to be free. */
const ROOM = 1.5;
const SMALLEST_ROOM = 20_000;
const SERVERS = 16;

/** New connections on a rig of their own. */
export class MissLane {
  readonly rig: Rig;
  readonly #engine: Engine;
  readonly #writer: FrameWriter;
  readonly #createdAt: number;
  /** Turns of a tick. */
  readonly #turnsPerTick: number;
  #flow = 0;
  #turns = 0;

  /** @param live connections in the table at any time, about */
  constructor(module: WebAssembly.Module, live: number, scheduler: string) {
    const connections = Math.ceil(live * ROOM) + SMALLEST_ROOM;
    this.rig = new Rig({ module, connections, scheduler, servers: SERVERS });
    this.#turnsPerTick = Math.max(1, Math.round(live / 200_000));
    const ticks = Math.max(4, Math.round(live / (BURST * this.#turnsPerTick)));
    this.rig.setTimeouts(ticks);
    this.#engine = wasmEngine(this.rig.dataPlanes[0]);
    const shape = this.rig.frameShape('in', { tcpFlags: TCP_SYN });
    this.rig.rings[0].setLength(shape.size);
    this.#writer = new FrameWriter(this.rig.memory.memory.buffer, shape);
    const { memory } = this.rig;
    this.#createdAt = (memory.counters(0) + COUNTER_CONNECTIONS_CREATED * 8) >>> 2;
    while (this.rig.tick < 1000 + 2 * ticks) this.batch();
  }

  /** Makes as many connections as there are frames. @returns milliseconds */
  batch(): number {
    const { rig } = this;
    const [rings] = rig.rings;
    for (let index = 0; index < rings.frames; index++) {
      this.#writer.fromClient(rings.chunk(index), this.#flow);
      this.#flow = (this.#flow + 1) % FLOWS_MAX;
    }
    const { u32 } = rig.memory;
    const createdBefore = u32[this.#createdAt];
    const before = performance.now();
    for (let turn = 0; turn < rings.frames / BURST; turn++) {
      if (++this.#turns % this.#turnsPerTick === 0) rig.tick++;
      this.#engine.run({ rings, link: PORT_WAN, burst: BURST, turns: 1, tick: rig.tick });
    }
    const spent = performance.now() - before;
    const created = (u32[this.#createdAt] - createdBefore) >>> 0;
    if (created === rings.frames) return spent;
    throw new Error(`${created} of ${rings.frames} connections were made`);
  }

  /** The mean of a slice, as connections end in lumps: in ns a connection. */
  slice(batches: number): number {
    let spent = 0;
    for (let batch = 0; batch < batches; batch++) spent += this.batch();
    return (spent * 1e6) / batches / this.rig.rings[0].frames;
  }
}

function hitCompetitor(context: BenchContext, live: number, batches: number): Competitor {
  const rig = new Rig({ module: context.module, connections: live });
  rig.connect(live);
  const [rings] = rig.rings;
  const { memory, tick } = rig;
  const shape = rig.frameShape('in');
  const options = { memory, rings, shape, burst: BURST, tick, flows: live, workers: 1, seed: 3 };
  const lane = new HitLane(options);
  const engine = wasmEngine(rig.dataPlanes[0]);
  for (let batch = 0; batch < 100; batch++) {
    lane.prepare();
    lane.forward(engine);
  }
  return { name: 'hit', slice: () => sliceOf(lane, engine, batches) };
}

export const newConnections: Bench = {
  name: 'new-connections',
  about: 'ns a new connection, its expiry included, by scheduler, against a hit',
  async run(context) {
    const { rounds, batches } = effortOf(context);
    const results: Result[] = [];
    for (const live of context.quick ? [10_000] : [10_000, 100_000, 1_000_000]) {
      context.say(`keeping ${live} connections alive`);
      const hit = hitCompetitor(context, live, batches);
      const lanes = ['rr', 'wlc'].map((scheduler) => {
        const lane = new MissLane(context.module, live, scheduler);
        return { name: scheduler, slice: () => lane.slice(batches) };
      });
      const [hits, ...misses] = await interleave([hit, ...lanes], rounds);
      for (const sample of misses) {
        const params = { scheduler: sample.name, servers: SERVERS, live, burst: BURST };
        const about = { name: 'new-connections', unit: 'ns/connection', params };
        results.push(makeResult(about, sample, [hits]));
        context.say(
          `${sample.name}: ${ratioOf(sample, hits).value.toFixed(1)} hits, ` +
            `${(1e3 / summarize(sample.values).value).toFixed(2)} M connections/s`,
        );
      }
    }
    return results;
  },
};
