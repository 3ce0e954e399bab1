// The hit path: ns a packet of a known connection, against the C twin and along every axis.

import type { Bench, BenchContext } from '../bench.ts';
import { type Competitor, interleave, median, type Sample } from '../measure.ts';
import { makeResult, type Params, type Result } from '../result.ts';
import { type Engine, twinEngine, wasmEngine } from './engine.ts';
import type { Direction, Family, FrameShape, Transport } from './flows.ts';
import { HitLane, ServerEnds } from './hits.ts';
import { type Method, Rig } from './rig.ts';

const UNIT = 'ns/packet';
const BURST = 64;
const SEED = 0x1234567;
/** Enough packets for V8 to have compiled every function of the path with all it has. */
const WARM_UP_PACKETS = 400_000;
/** Packets for each connection, until most of those that caches can hold are in them. */
const PACKETS_TO_FILL_CACHES = 2;
const CONNECTIONS_CACHED_MAX = 2 ** 18;

/** Effort of a measurement. */
interface Effort {
  readonly rounds: number;
  /** Batches of a slice. */
  readonly batches: number;
}

/** How long to measure. */
export function effortOf({ quick }: BenchContext): Effort {
  return quick ? { rounds: 5, batches: 6 } : { rounds: 15, batches: 16 };
}

/** A point on the axes. */
interface Point {
  readonly method: Method;
  readonly family: Family;
  readonly protocol: Transport;
  readonly direction: Direction;
  readonly connections: number;
  readonly size?: number;
  readonly burst?: number;
}

const REFERENCE: Point = {
  method: 'nat',
  family: 4,
  protocol: 'tcp',
  direction: 'in',
  connections: 100_000,
};

/** A rig with its connections made; the frames of each point on it are another matter. */
function makeRig(context: BenchContext, point: Point): Rig {
  const { method, family, protocol, connections } = point;
  context.say(`making ${connections} connections (${method}, IPv${family}, ${protocol})`);
  const rig = new Rig({ module: context.module, method, family, protocol, connections });
  rig.connect(connections);
  return rig;
}

function makeLane(rig: Rig, point: Point, options: Partial<FrameShape> = {}): HitLane {
  const { method, family, direction, connections, size, burst = BURST } = point;
  const sized = size === undefined ? options : { ...options, size };
  const ends =
    direction === 'out'
      ? new ServerEnds(rig.memory, connections, method === 'full-nat', family)
      : undefined;
  return new HitLane({
    memory: rig.memory,
    rings: rig.rings[0],
    shape: rig.frameShape(direction, sized),
    burst,
    tick: rig.tick,
    flows: connections,
    workers: 1,
    ends,
    seed: SEED,
  });
}

/** The median batch of a slice, in ns a packet. */
export function sliceOf(lane: HitLane, engine: Engine, batches: number): number {
  // Others have filled the caches with their connections meanwhile.
  run(lane, engine, PACKETS_TO_FILL_CACHES * Math.min(lane.flows, CONNECTIONS_CACHED_MAX));
  const times: number[] = [];
  for (let batch = 0; batch < batches; batch++) {
    lane.prepare();
    times.push((lane.forward(engine) * 1e6) / lane.frames);
  }
  return median(times);
}

/** At least so many packets, and one batch, without measuring. */
function run(lane: HitLane, engine: Engine, packets: number): void {
  for (let sent = 0; sent === 0 || sent < packets; sent += lane.frames) {
    lane.prepare();
    lane.forward(engine);
  }
}

/** The engines that can play a point, the product's first. */
function enginesOf(context: BenchContext, rig: Rig): readonly Engine[] {
  const engines = [wasmEngine(rig.dataPlanes[0])];
  const { otherModule } = context;
  if (otherModule !== undefined) {
    engines.push(wasmEngine(rig.instantiate(otherModule, 0), 'other build'));
  }
  if (rig.plan.method === 'nat' && rig.plan.family === 4) engines.push(twinEngine());
  return engines;
}

/** Several lanes, each measured with every engine, all of them in the same rounds. */
async function measureLanes(
  context: BenchContext,
  lanes: readonly { readonly point: Point; readonly rig: Rig }[],
): Promise<readonly { readonly point: Point; readonly samples: readonly Sample[] }[]> {
  const { rounds, batches } = effortOf(context);
  const competitors: Competitor[] = [];
  const counts: number[] = [];
  for (const { point, rig } of lanes) {
    const lane = makeLane(rig, point);
    const engines = enginesOf(context, rig);
    for (const engine of engines) {
      run(lane, engine, WARM_UP_PACKETS);
      competitors.push({
        name: engine.name,
        slice: () => {
          rig.rings[0].setLength(lane.shape.size);
          return sliceOf(lane, engine, batches);
        },
      });
    }
    counts.push(engines.length);
  }
  context.say(`measuring ${competitors.length} of them in ${rounds} rounds`);
  const samples = await interleave(competitors, rounds);
  let next = 0;
  return lanes.map(({ point }, index) => {
    const first = next;
    next += counts[index];
    return { point, samples: samples.slice(first, next) };
  });
}

function paramsOf(point: Point): Params {
  const { method, family, protocol, direction, connections, burst = BURST } = point;
  const size = point.size ?? smallestOf(point);
  return { method, family, protocol, direction, connections, size, burst, workers: 1 };
}

function smallestOf({ family, protocol }: Point): number {
  return family === 6 && protocol === 'tcp' ? 74 : family === 6 ? 62 : 60;
}

/** By number of connections: the table of bench/README.md. */
export const hitPath: Bench = {
  name: 'hit-path',
  about: 'ns a packet by number of connections, against the C twin',
  async run(context) {
    const sizes = context.quick
      ? [1_000, 100_000]
      : [1_000, 100_000, 1_000_000, 4_000_000, 16_000_000];
    const results: Result[] = [];
    for (const connections of sizes) {
      const point = { ...REFERENCE, connections };
      const rig = makeRig(context, point);
      const points = [point, { ...point, direction: 'out' } as const];
      for (const { point: at, samples } of await measureLanes(
        context,
        points.map((each) => ({ point: each, rig })),
      )) {
        const [wasm, ...others] = samples;
        results.push(
          makeResult({ name: 'hit-path', unit: UNIT, params: paramsOf(at) }, wasm, others),
        );
      }
    }
    return results;
  },
};

/** The other methods and IPv6, against NAT over IPv4. */
export const methods: Bench = {
  name: 'methods',
  about: 'ns a packet by forwarding method and family, against NAT over IPv4',
  async run(context) {
    const sizes = context.quick ? [1_000] : [1_000, 100_000, 1_000_000];
    const results: Result[] = [];
    for (const connections of sizes) {
      const points = [4, 6].flatMap((family) =>
        (['nat', 'direct-route', 'tunnel', 'full-nat'] as const).map((method): Point => {
          return { ...REFERENCE, method, family: family as Family, connections };
        }),
      );
      const lanes = points.map((point) => ({ point, rig: makeRig(context, point) }));
      results.push(...againstFirst('methods', await measureLanes(context, lanes), 'nat IPv4'));
    }
    return results;
  },
};

/** Results against the first point's, under a name of its own. */
function againstFirst(
  name: string,
  measured: readonly { readonly point: Point; readonly samples: readonly Sample[] }[],
  reference: string,
): readonly Result[] {
  const first = { ...measured[0].samples[0], name: reference };
  return measured.map(({ point, samples: [wasm, ...others] }, index) => {
    const twins = others.filter((sample) => sample.name !== 'twin' || index === 0);
    const against = index === 0 ? twins : [first, ...twins];
    return makeResult({ name, unit: UNIT, params: paramsOf(point) }, wasm, against);
  });
}

/** Frame size, burst and protocol, each alone. */
export const axes: Bench = {
  name: 'axes',
  about: 'ns a packet by frame size, burst, protocol and direction, one at a time',
  async run(context) {
    const tcp = makeRig(context, REFERENCE);
    const udp = makeRig(context, { ...REFERENCE, protocol: 'udp' });
    const sizes = context.quick ? [1514] : [128, 512, 1514];
    const bursts = context.quick ? [1, 8] : [1, 4, 8, 16, 32];
    const lanes = [
      { point: REFERENCE, rig: tcp },
      ...sizes.map((size) => ({ point: { ...REFERENCE, size }, rig: tcp })),
      ...bursts.map((burst) => ({ point: { ...REFERENCE, burst }, rig: tcp })),
      { point: { ...REFERENCE, protocol: 'udp' } as const, rig: udp },
      { point: { ...REFERENCE, protocol: 'udp', direction: 'out' } as const, rig: udp },
    ];
    const measured = await measureLanes(context, lanes);
    return measured.map(({ point, samples: [wasm, ...others] }) =>
      makeResult({ name: 'axes', unit: UNIT, params: paramsOf(point) }, wasm, others),
    );
  },
};
