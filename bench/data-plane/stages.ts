// Where the time goes, by difference. Packets that end early pay only for the steps before their end;
// but only plain packets of known connections take the short way, in passes over the burst, so the two
// ways are told apart.
//
//   turn       nothing received: what a turn costs by itself
//   parse      general way, a wrong IP checksum: received, parsed, dropped
//   hash       general way, a foreign MAC address: also hashed, chains and entries touched
//   forward    short way, a hit with direct-route: everything but the rewriting
//   rewrite    short way, a hit with NAT: also rewritten

import type { Bench } from '../bench.ts';
import { type Competitor, interleave, median, type Sample } from '../measure.ts';
import { makeResult, type Result } from '../result.ts';
import { type Engine, wasmEngine } from './engine.ts';
import { FrameWriter } from './flows.ts';
import { effortOf, sliceOf } from './hit-path.ts';
import { HitLane } from './hits.ts';
import { Rig } from './rig.ts';
import { PORT_WAN } from './rings.ts';

const BURST = 64;
const EMPTY_TURNS = 2000;
/** So few that no step waits for memory: what is measured is the work. */
const FLOWS = 1_000;
const STRANGER = Uint8Array.of(2, 0, 0, 0, 9, 9);
const CHECKSUM_AT = 256 + 14 + 10;

/** What each stage is added to; nothing for the first. */
const BASES: Readonly<Record<string, string>> = {
  parse: 'turn',
  hash: 'parse',
  forward: 'turn',
  rewrite: 'forward',
};

/** Turns that drop every frame, in ns a packet. */
function dropSlice(rig: Rig, engine: Engine, writer: FrameWriter, breaks: boolean): number {
  const [rings] = rig.rings;
  const { u16 } = rig.memory;
  const times: number[] = [];
  for (let batch = 0; batch < 8; batch++) {
    for (let index = 0; index < rings.frames; index++) {
      const chunk = rings.chunk(index);
      writer.fromClient(chunk, (batch * rings.frames + index) % FLOWS);
      if (breaks) u16[(chunk + CHECKSUM_AT) >>> 1] ^= 1;
    }
    const turns = rings.frames / BURST;
    const before = performance.now();
    engine.run({ rings, link: PORT_WAN, burst: BURST, turns, tick: rig.tick });
    times.push(((performance.now() - before) * 1e6) / rings.frames);
  }
  return median(times);
}

function emptySlice(rig: Rig, engine: Engine): number {
  const [rings] = rig.rings;
  const before = performance.now();
  engine.run({ rings, link: PORT_WAN, burst: 0, turns: EMPTY_TURNS, tick: rig.tick });
  return ((performance.now() - before) * 1e6) / EMPTY_TURNS / BURST;
}

export const stages: Bench = {
  name: 'stages',
  about: 'ns a packet that each step adds, by difference',
  async run(context) {
    const { rounds, batches } = effortOf(context);
    const options = { module: context.module, connections: FLOWS } as const;
    const [nat, direct] = (['nat', 'direct-route'] as const).map((method) => {
      const rig = new Rig({ ...options, method });
      rig.connect(FLOWS);
      return rig;
    });
    const hits = ([direct, nat] as const).map((rig) => hitSlices(rig, batches));
    const engine = wasmEngine(nat.dataPlanes[0]);
    const { buffer } = nat.memory.memory;
    const shape = nat.frameShape('in');
    const ours = new FrameWriter(buffer, shape);
    const strange = new FrameWriter(buffer, { ...shape, destinationMac: STRANGER });
    const competitors: readonly Competitor[] = [
      { name: 'turn', slice: () => emptySlice(nat, engine) },
      { name: 'parse', slice: () => dropSlice(nat, engine, ours, true) },
      { name: 'hash', slice: () => dropSlice(nat, engine, strange, false) },
      { name: 'forward', slice: hits[0] },
      { name: 'rewrite', slice: hits[1] },
    ];
    for (const { slice } of competitors) for (let turn = 0; turn < 10; turn++) await slice();
    return differences(await interleave(competitors, rounds));
  },
};

function hitSlices(rig: Rig, batches: number): () => number {
  const [rings] = rig.rings;
  const shape = rig.frameShape('in');
  const { memory, tick } = rig;
  const common = { memory, rings, shape, tick, burst: BURST, flows: FLOWS };
  const lane = new HitLane({ ...common, workers: 1, seed: 5 });
  const engine = wasmEngine(rig.dataPlanes[0]);
  return () => sliceOf(lane, engine, batches);
}

/** What each step adds to its base, round by round. */
function differences(samples: readonly Sample[]): readonly Result[] {
  return samples.map((sample) => {
    const before = samples.find(({ name }) => name === BASES[sample.name]);
    const values = sample.values.map((value, round) => value - (before?.values[round] ?? 0));
    const params = { stage: sample.name, connections: FLOWS, burst: BURST };
    return makeResult({ name: 'stages', unit: 'ns/packet', params }, { ...sample, values });
  });
}
