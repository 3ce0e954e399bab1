// Packets through a director on veth: how many a second, one way and both ways, how much later they
// come than on a wire, and the processor time they take.

import type { Bench, BenchContext } from '../bench.ts';
import { type Competitor, interleave, median, pluck, type Sample } from '../measure.ts';
import { makeResult, type Result } from '../result.ts';
import { DIRECT, giveWay, WVS } from './peers.ts';
import {
  generate,
  type PacketLoad,
  type PacketReport,
  processorSeconds,
  softIrqThreads,
} from './programs.ts';
import {
  addedBy,
  type Contestant,
  type Effort,
  onStage,
  QUICK,
  resultsBy,
  type Stage,
} from './stage.ts';

const FLOWS = 1000;
const SIZE = 60;
const BENCH = 'packets';
const IDLE_MS = 2000;

/** Reports of a load, from all contestants in turn. */
async function measure(
  { network, contestants }: Stage,
  { rounds, warmUps }: Effort,
  load: PacketLoad,
): Promise<readonly Sample<PacketReport>[]> {
  const competitors: Competitor<PacketReport>[] = contestants.map(({ peer, site }) => {
    return { name: peer.name, slice: () => generate(network.client, site, load) };
  });
  return await interleave(competitors, rounds, warmUps);
}

/** As many packets as go, and how many of those offered got lost. */
async function measurePeak(
  stage: Stage,
  effort: Effort,
  ways: 1 | 2,
): Promise<{ readonly results: readonly Result[]; readonly rates: readonly Sample[] }> {
  const { seconds } = effort;
  const load = { flows: FLOWS, size: SIZE, rate: 0, seconds, ways };
  const reports = await measure(stage, effort, load);
  const params = { flows: FLOWS, size: SIZE, ways };
  const rates = reports.map((sample) => pluck(sample, ({ rate }) => rate));
  const lost = reports.map((sample) => pluck(sample, (report) => shareLost(report)));
  const results = [
    ...resultsBy({ name: BENCH, unit: 'packets/s', params }, rates),
    ...lost.map((sample) => {
      const about = { name: 'packets-lost', unit: '% of offered' };
      return makeResult({ ...about, params: { by: sample.name, ...params } }, sample);
    }),
  ];
  return { results, rates };
}

function shareLost({ lost, sent }: PacketReport): number {
  return sent === 0 ? 0 : (100 * lost) / sent;
}

/** Half of what the slowest balancer forwards: a rate all of them can take. */
function halfOf(rates: readonly Sample[]): number {
  const peaks = rates.filter(({ name }) => name !== DIRECT).map(({ values }) => median(values));
  return Math.max(1000, Math.round(Math.min(...peaks) / 2000) * 1000);
}

/** How long packets take at half the peak. */
async function measureLatency(
  stage: Stage,
  effort: Effort,
  rate: number,
): Promise<readonly Result[]> {
  const { seconds } = effort;
  const load = { flows: FLOWS, size: SIZE, rate, seconds, ways: 1 } as const;
  const reports = await measure(stage, effort, load);
  return (['p50', 'p99'] as const).flatMap((percentile) => {
    const samples = reports.map((sample) => pluck(sample, (one) => one.latencyUs[percentile]));
    const params = { flows: FLOWS, size: SIZE, load: 'half', percentile };
    return [
      ...resultsBy({ name: 'packet-latency', unit: 'us', params }, samples),
      ...resultsBy({ name: 'packet-latency-added', unit: 'us', params }, addedBy(samples)),
    ];
  });
}

/** Everybody's processor time at half the peak: generator, balancer, and the kernel on their behalf. */
async function measureProcessorTime(
  { network, contestants }: Stage,
  { rounds, seconds, warmUps }: Effort,
  rate: number,
): Promise<readonly Result[]> {
  const kernel = softIrqThreads();
  const load = { flows: FLOWS, size: SIZE, rate, seconds, ways: 1, sleeps: true } as const;
  const competitors = contestants.map(({ peer, site, running }) => ({
    name: peer.name,
    async slice() {
      const pids = [...running.pids, ...kernel];
      const before = processorSeconds(pids);
      const report = await generate(network.client, site, load);
      const spent = processorSeconds(pids) - before + report.processorSeconds;
      return (spent * 1e9) / Math.max(1, report.received);
    },
  }));
  const samples = await interleave(competitors, rounds, warmUps);
  const params = { flows: FLOWS, size: SIZE, load: 'half' };
  return [
    ...resultsBy({ name: 'packet-processor-time', unit: 'ns/packet', params }, samples),
    ...resultsBy(
      { name: 'packet-processor-time-added', unit: 'ns/packet', params },
      addedBy(samples),
    ),
  ];
}

/** What a balancer without packets costs. */
async function measureIdle(contestants: readonly Contestant[]): Promise<readonly Result[]> {
  const some = contestants.filter(({ running }) => running.pids.length > 0);
  const read = () => some.map(({ running }) => processorSeconds(running.pids));
  const before = read();
  await new Promise((resolve) => setTimeout(resolve, IDLE_MS));
  const after = read();
  return some.map(({ peer }, index) => {
    const share = ((after[index] - before[index]) * 1000 * 100) / IDLE_MS;
    const about = { name: 'idle', unit: '% of a core', params: { by: peer.name } };
    return makeResult(about, { name: peer.name, values: [share] });
  });
}

async function run(context: BenchContext, stage: Stage): Promise<readonly Result[]> {
  const effort = context.quick ? QUICK : { rounds: 7, seconds: 0.7, warmUps: 1 };
  for (const { running } of stage.contestants) giveWay(running);
  const results: Result[] = [];
  context.say(`${stage.contestants.length} balancers: as many packets as go, one way`);
  const oneWay = await measurePeak(stage, effort, 1);
  context.say('both ways');
  const bothWays = await measurePeak(stage, effort, 2);
  results.push(...oneWay.results, ...bothWays.results);
  const rate = halfOf(oneWay.rates);
  context.say(`latency and processor time at ${rate} packets/s`);
  results.push(...(await measureLatency(stage, effort, rate)));
  results.push(...(await measureProcessorTime(stage, effort, rate)));
  results.push(...(await measureIdle(stage.contestants)));
  const about = { name: 'half-of-peak', unit: 'packets/s', params: { flows: FLOWS, size: SIZE } };
  results.push(makeResult(about, { name: WVS, values: [rate] }));
  return results;
}

export const packets: Bench = {
  name: BENCH,
  about: 'through a director on veth, against a plain-C forwarder, nftables, and no balancer',
  async run(context) {
    const options = {
      bench: BENCH,
      kind: 'packets',
      async probe(network: Stage['network'], site: Stage['contestants'][number]['site']) {
        await generate(network.client, site, { flows: 16, seconds: 0.05, rate: 1000, ways: 2 });
      },
    } as const;
    return await onStage(context, options, (stage) => run(context, stage));
  },
};
