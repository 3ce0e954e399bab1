// HTTP through a balancer on veth: requests a second on connections that stay, a connection for every
// request, and how much later answers come than without a balancer.

import { availableParallelism } from 'node:os';
import { setTimeout as pause } from 'node:timers/promises';
import { waitForLine } from '../../host/netns/processes.ts';
import type { Bench, BenchContext } from '../bench.ts';
import { type Competitor, interleave, median, pluck, type Sample } from '../measure.ts';
import { makeResult, type Result } from '../result.ts';
import type { Network, Site } from './network.ts';
import { DIRECT, WVS } from './peers.ts';
import {
  ask,
  askWithWrk,
  benchProgram,
  HTTP_PORT,
  HTTP_SERVER_PORT,
  isInstalled,
} from './programs.ts';
import { addedBy, type Effort, onStage, QUICK, resultsBy, type Stage } from './stage.ts';

const BENCH = 'http';
const CONNECTIONS = 64;
const PROBE_TRIES = 50;
const PROBE_PAUSE_MS = 100;

/** Whether a connection is made for every request. */
interface Mode {
  readonly closes: boolean;
  readonly connections: string;
  readonly unit: string;
}

const MODES: readonly Mode[] = [
  { closes: false, connections: 'stay', unit: 'requests/s' },
  { closes: true, connections: 'new', unit: 'connections/s' },
];

/** Requests a second, and the 99th percentile meanwhile in microseconds. */
interface Peak {
  readonly rate: number;
  readonly p99: number;
}

/** The servers answer on both ports: the direct wire goes to the port that clients ask for. */
async function startServers(network: Network): Promise<void> {
  const program = benchProgram('http', 'server');
  for (const port of [HTTP_PORT, HTTP_SERVER_PORT]) {
    const words = [program, `port=${port}`, `threads=${availableParallelism()}`];
    const child = network.server.spawn(words);
    await waitForLine(child, /^ready$/, { what: 'the web server' });
  }
}

/** Waits until a balancer answers. @throws Error when it does not */
async function probe(network: Network, site: Site): Promise<void> {
  for (let tries = 0; tries < PROBE_TRIES; tries++) {
    const load = { connections: 2, seconds: 0.02, rate: 0, closes: true };
    const { answered } = await ask(network.client, site, load);
    if (answered > 0) return;
    await pause(PROBE_PAUSE_MS);
  }
  throw new Error('nobody answers');
}

async function measurePeak(
  { network, contestants }: Stage,
  { rounds, seconds, warmUps }: Effort,
  closes: boolean,
): Promise<readonly Sample<Peak>[]> {
  const load = { connections: CONNECTIONS, seconds, rate: 0, closes };
  const withWrk = isInstalled('wrk') && seconds >= 1;
  const competitors: Competitor<Peak>[] = contestants.map(({ peer, site }) => ({
    name: peer.name,
    async slice() {
      if (withWrk) return await askWithWrk(network.client, site, load);
      const { rate, latencyUs } = await ask(network.client, site, load);
      return { rate, p99: latencyUs.p99 };
    },
  }));
  return await interleave(competitors, rounds, warmUps);
}

/** Latencies with our own client, at a rate that all can take; wrk knows no rates. */
async function measureLatency(
  { network, contestants }: Stage,
  { rounds, seconds, warmUps }: Effort,
  { closes, connections, rate }: Mode & { readonly rate: number },
): Promise<readonly Result[]> {
  const load = { connections: CONNECTIONS, seconds, rate, closes };
  const competitors = contestants.map(({ peer, site }) => {
    return { name: peer.name, slice: () => ask(network.client, site, load) };
  });
  const reports = await interleave(competitors, rounds, warmUps);
  const failed = reports.map((sample) => pluck(sample, (report) => report.failed));
  const params = { connections, load: 'half', client: 'own' };
  const latencies = (['p50', 'p99'] as const).flatMap((percentile) => {
    const samples = reports.map((sample) => pluck(sample, (one) => one.latencyUs[percentile]));
    const at = { ...params, percentile };
    return [
      ...resultsBy({ name: 'http-latency', unit: 'us', params: at }, samples),
      ...resultsBy({ name: 'http-latency-added', unit: 'us', params: at }, addedBy(samples)),
    ];
  });
  return [...latencies, ...resultsBy({ name: 'http-failed', unit: 'requests', params }, failed)];
}

function halfOf(peaks: readonly Sample<Peak>[]): number {
  const balancers = peaks.filter(({ name }) => name !== DIRECT);
  const rates = balancers.map(({ values }) => median(values.map(({ rate }) => rate)));
  return Math.max(100, Math.round(Math.min(...rates) / 200) * 100);
}

async function run(context: BenchContext, stage: Stage): Promise<readonly Result[]> {
  const effort = context.quick ? QUICK : { rounds: 7, seconds: 1, warmUps: 1 };
  const client = isInstalled('wrk') && !context.quick ? 'wrk' : 'own';
  if (!isInstalled('wrk')) {
    context.miss({ name: BENCH, what: 'wrk', why: 'not installed: our own client asks instead' });
  }
  const results: Result[] = [];
  for (const mode of MODES) {
    const { closes, connections, unit } = mode;
    context.say(`${stage.contestants.length} balancers: ${unit}, as many as go`);
    const peaks = await measurePeak(stage, effort, closes);
    const params = { connections, client };
    const rates = peaks.map((sample) => pluck(sample, ({ rate }) => rate));
    const p99s = peaks.map((sample) => pluck(sample, ({ p99 }) => p99));
    const atPeak = { ...params, load: 'peak', percentile: 'p99' };
    const rate = halfOf(peaks);
    context.say(`latency at ${rate} ${unit}`);
    const half = { name: 'half-of-peak', unit, params: { connections } };
    results.push(
      ...resultsBy({ name: BENCH, unit, params }, rates),
      ...resultsBy({ name: 'http-latency', unit: 'us', params: atPeak }, p99s),
      ...(await measureLatency(stage, effort, { ...mode, rate })),
      makeResult(half, { name: WVS, values: [rate] }),
    );
  }
  return results;
}

export const http: Bench = {
  name: BENCH,
  about:
    'requests and connections a second, latency: against nftables, HAProxy, nginx, no balancer',
  async run(context) {
    let served: Network | undefined;
    const options = {
      bench: BENCH,
      kind: 'http',
      async probe(network: Network, site: Site) {
        if (served !== network) await startServers(network);
        served = network;
        await probe(network, site);
      },
    } as const;
    return await onStage(context, options, (stage) => run(context, stage));
  },
};
