// Sets up a network with every balancer that can take part, and names those that cannot.

import { whyNoAfXdp, whyNoNamespaces } from '../../host/netns/prerequisites.ts';
import type { BenchContext } from '../bench.ts';
import type { Sample } from '../measure.ts';
import { makeResult, type Params, type Result } from '../result.ts';
import { createNetwork, type Network, type Site } from './network.ts';
import { DIRECT, type Kind, PEERS, type Peer, type Running, WVS } from './peers.ts';
import { benchProgram, isInstalled } from './programs.ts';

/** How much is measured. */
export interface Effort {
  readonly rounds: number;
  /** Of each slice. */
  readonly seconds: number;
  readonly warmUps: number;
}

/** Enough to see that it works. */
export const QUICK: Effort = { rounds: 1, seconds: 0.25, warmUps: 0 };

/** A balancer that is up. */
export interface Contestant {
  readonly peer: Peer;
  readonly site: Site;
  readonly running: Running;
}

/** All of them, in their network. */
export interface Stage {
  readonly network: Network;
  readonly contestants: readonly Contestant[];
}

export interface StageOptions {
  /** The bench's name. */
  readonly bench: string;
  readonly kind: Kind;
  /** Whether packets come through; a balancer of which none do does not take part. */
  probe(network: Network, site: Site): Promise<void>;
}

/** Why a bench end to end cannot run on this machine, or undefined. */
export function whyNotHere(): string | undefined {
  const obstacle = whyNoNamespaces() ?? whyNoAfXdp();
  if (obstacle !== undefined) return obstacle;
  const missing = ['ip', 'make', 'cc'].filter((command) => !isInstalled(command));
  return missing.length === 0 ? undefined : `${missing.join(', ')} is not installed`;
}

/**
 * Does something in a network with all balancers, and takes everything down again. Nothing is done
 * where that is impossible; the reason is noted.
 */
export async function onStage(
  context: BenchContext,
  options: StageOptions,
  work: (stage: Stage) => Promise<readonly Result[]>,
): Promise<readonly Result[]> {
  const { bench, kind } = options;
  const obstacle = whyNotHere();
  if (obstacle !== undefined) {
    context.miss({ name: bench, what: 'everything', why: obstacle });
    return [];
  }
  for (const directory of ['generator', 'forwarder', 'http']) benchProgram(directory, '');
  const peers = PEERS.filter((peer) => {
    const why = peer.missing(kind);
    if (why !== undefined) context.miss({ name: bench, what: peer.name, why });
    return why === undefined;
  });
  const network = createNetwork({
    names: peers.map(({ name }) => name),
    direct: DIRECT,
    isForGenerator: kind === 'packets',
  });
  try {
    const contestants: Contestant[] = [];
    for (const [index, peer] of peers.entries()) {
      const contestant = await tryToStart(context, options, network, [peer, network.sites[index]]);
      if (contestant !== undefined) contestants.push(contestant);
    }
    return await work({ network, contestants });
  } finally {
    await network.close();
  }
}

/** @throws Error when it is ours that does not start: that is no missing peer */
async function tryToStart(
  context: BenchContext,
  { bench, kind, probe }: StageOptions,
  network: Network,
  [peer, site]: readonly [Peer, Site],
): Promise<Contestant | undefined> {
  try {
    const running = await peer.start(network, site, kind);
    await probe(network, site);
    return { peer, site, running };
  } catch (error) {
    if (peer.name === WVS || peer.name === DIRECT) throw error;
    const [why] = (error instanceof Error ? error.message : String(error)).split('\n');
    context.miss({ name: bench, what: peer.name, why: `it does not work here: ${why}` });
    return undefined;
  }
}

/** A result for each contestant; ours is compared with all the others. */
export function resultsBy(
  about: { readonly name: string; readonly unit: string; readonly params: Params },
  samples: readonly Sample[],
): readonly Result[] {
  return samples.map((sample) => {
    const others = sample.name === WVS ? samples.filter((other) => other !== sample) : [];
    return makeResult({ ...about, params: { by: sample.name, ...about.params } }, sample, others);
  });
}

/** What each contestant adds to the direct wire, round by round. */
export function addedBy(samples: readonly Sample[]): readonly Sample[] {
  const direct = samples.find(({ name }) => name === DIRECT);
  return samples
    .filter((sample) => sample !== direct)
    .map(({ name, values }) => {
      return { name, values: values.map((value, round) => value - (direct?.values[round] ?? 0)) };
    });
}
