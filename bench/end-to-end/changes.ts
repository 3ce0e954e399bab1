// What clients notice when something changes: a reload, a director that is started anew, a server that
// dies. Packets come at a steady rate meanwhile; what is lost is counted, and the longest silence.

import { writeFileSync } from 'node:fs';
import { setTimeout as pause } from 'node:timers/promises';
import { stringify } from 'yaml';
import { askDirector } from '../../host/control/client.ts';
import type { Director } from '../../host/netns/director.ts';
import type { Child } from '../../host/netns/namespaces.ts';
import { waitForExit, waitForLine } from '../../host/netns/processes.ts';
import type { Bench, BenchContext } from '../bench.ts';
import { interleave, pluck, type Sample } from '../measure.ts';
import { makeResult, type Result } from '../result.ts';
import { createNetwork, type Network } from './network.ts';
import {
  configurationFile,
  controlSocket,
  DIRECT,
  describeDirector,
  startWvs,
  WVS,
} from './peers.ts';
import {
  ask,
  benchProgram,
  generate,
  HTTP_SERVER_PORT,
  moveToOtherProcessors,
} from './programs.ts';
import { whyNotHere } from './stage.ts';

const BENCH = 'changes';
const RATE = 20_000;
const FLOWS = 1000;
/** When the change comes, after the packets began. */
const BEFORE_MS = 200;
const SECONDS = 2;
/** A restart takes longer. */
const RESTART_SECONDS = 5;

const CHECK = { type: 'tcp', interval: '200ms', timeout: '100ms', rise: 2, fall: 2 } as const;
const REQUESTS = 1000;

function roundsOf({ quick }: BenchContext): readonly [rounds: number, warmUps: number] {
  return quick ? [1, 0] : [5, 1];
}

/** What one change did. */
interface Outcome {
  /** From the wish to its fulfilment. */
  readonly tookMs: number;
  readonly lost: number;
  readonly gapMs: number;
  /** Flows that came out at another server afterwards. */
  readonly moved: number;
}

type DirectorConfiguration = ReturnType<typeof describeDirector>;

/** The director under change. */
class Subject {
  readonly network: Network;
  readonly #configuration: DirectorConfiguration;
  director: Director;
  #weight = 1;

  constructor(network: Network, configuration: DirectorConfiguration, director: Director) {
    this.network = network;
    this.#configuration = configuration;
    this.director = director;
  }

  static async start(network: Network): Promise<Subject> {
    const [site] = network.sites;
    const configuration = describeDirector(network, site, 'packets');
    return new Subject(network, configuration, await startAside(network, configuration));
  }

  /** Another weight for one server, and a server more or less. */
  async reload(): Promise<void> {
    this.#weight = this.#weight === 1 ? 2 : 1;
    const { services } = this.#configuration;
    const changed = services.map((service) => {
      const [first, ...others] = service.servers;
      const servers = [{ ...first, weight: this.#weight }, ...others];
      // Nobody is there; it gets no packet, since all flows are known.
      if (this.#weight === 2) servers.push({ ...first, address: this.#absentServer() });
      return { ...service, servers };
    });
    const file = configurationFile(this.network);
    writeFileSync(file, stringify({ ...this.#configuration, services: changed }));
    await askDirector(controlSocket(this.network), 'reload', {});
  }

  #absentServer(): string {
    const [site] = this.network.sites;
    return `${site.servers[0].replace(/\d+$/, '250')}:9`;
  }

  async restart(): Promise<void> {
    await this.director.stop();
    this.director = await startAside(this.network, this.#configuration);
  }
}

async function startAside(network: Network, configuration: object): Promise<Director> {
  const director = await startWvs(network, network.sites[0], configuration);
  moveToOtherProcessors(director.child.pid ?? 0);
  return director;
}

/** Changes something while packets come. */
async function during(
  subject: Subject,
  seconds: number,
  change: () => Promise<void>,
): Promise<Outcome> {
  const { network } = subject;
  let tookMs = 0;
  let changed: Promise<void> | undefined;
  const onStart = () => {
    changed = (async () => {
      await pause(BEFORE_MS);
      const before = performance.now();
      await change();
      tookMs = performance.now() - before;
    })();
    // Looked at below; until then it must not count as unhandled.
    changed.catch(() => undefined);
  };
  const load = { flows: FLOWS, seconds, rate: RATE, ways: 1, tailMs: 300, mayMove: true } as const;
  const { lost, gapMs, moved } = await generate(network.client, network.sites[0], load, onStart);
  await changed;
  return { tookMs, lost, gapMs, moved };
}

async function measurePackets(context: BenchContext): Promise<readonly Result[]> {
  const names = [WVS];
  const network = createNetwork({ names, direct: DIRECT, isForGenerator: true });
  try {
    const subject = await Subject.start(network);
    const seconds = context.quick ? 0.8 : SECONDS;
    const restart = context.quick ? RESTART_SECONDS / 2 : RESTART_SECONDS;
    context.say(`reloads and restarts while ${RATE} packets/s come`);
    const samples = await interleave<Outcome>(
      [
        { name: 'none', slice: () => during(subject, seconds, async () => undefined) },
        { name: 'reload', slice: () => during(subject, seconds, () => subject.reload()) },
        { name: 'restart', slice: () => during(subject, restart, () => subject.restart()) },
      ],
      ...roundsOf(context),
    );
    return samples.flatMap(describeOutcomes);
  } finally {
    await network.close();
  }
}

function describeOutcomes(sample: Sample<Outcome>): readonly Result[] {
  const params = { change: sample.name, rate: RATE, flows: FLOWS };
  const numbers = [
    ['changes-lost', 'packets', ({ lost }: Outcome) => lost],
    ['changes-moved', 'flows', ({ moved }: Outcome) => moved],
    ['changes-silence', 'ms', ({ gapMs }: Outcome) => gapMs],
    ['changes-took', 'ms', ({ tookMs }: Outcome) => tookMs],
  ] as const;
  return numbers
    .filter(([name]) => sample.name !== 'none' || name !== 'changes-took')
    .map(([name, unit, pick]) => makeResult({ name, unit, params }, pluck(sample, pick)));
}

/** Requests that failed, and for how long, after a server died. */
interface SwitchOver {
  readonly failed: number;
  readonly failingMs: number;
}

async function startServer(network: Network, address: string): Promise<Child> {
  const words = [`address=${address}`, `port=${HTTP_SERVER_PORT}`];
  const child = network.server.spawn([benchProgram('http', 'server'), ...words]);
  await waitForLine(child, /^ready$/, { what: `the web server at ${address}` });
  return child;
}

/** Waits until health checks see so many servers up. */
async function waitForHealth(network: Network, up: number): Promise<void> {
  for (let tries = 0; tries < 100; tries++) {
    const { services } = await askDirector(controlSocket(network), 'status');
    const servers = services.flatMap((service) => service.servers);
    if (servers.filter(({ health }) => health === 'up').length === up) return;
    await pause(50);
  }
  throw new Error(`the health checks do not see ${up} servers up`);
}

async function measureSwitchOver(context: BenchContext): Promise<readonly Result[]> {
  const network = createNetwork({ names: [WVS], direct: DIRECT, isForGenerator: false });
  try {
    const [site] = network.sites;
    const servers: Child[] = [];
    for (const address of site.servers) servers.push(await startServer(network, address));
    const configuration = describeDirector(network, site, 'http');
    const services = configuration.services.map((service) => ({ ...service, check: CHECK }));
    await startWvs(network, site, { ...configuration, services });
    const seconds = context.quick ? 1.5 : 3;
    context.say(`a server dies while ${REQUESTS} connections/s come`);
    const [sample] = await interleave<SwitchOver>(
      [{ name: 'server dies', slice: () => killOne(network, servers, seconds) }],
      ...roundsOf(context),
    );
    const { interval, fall } = CHECK;
    const params = { change: sample.name, rate: REQUESTS, interval, fall };
    return [
      makeResult(
        { name: 'changes-failed', unit: 'requests', params },
        pluck(sample, (one) => one.failed),
      ),
      makeResult(
        { name: 'changes-failing', unit: 'ms', params },
        pluck(sample, (one) => one.failingMs),
      ),
    ];
  } finally {
    await network.close();
  }
}

async function killOne(network: Network, servers: Child[], seconds: number): Promise<SwitchOver> {
  const [site] = network.sites;
  await waitForHealth(network, servers.length);
  const load = { connections: 256, seconds, rate: REQUESTS, closes: true };
  const asked = ask(network.client, site, load);
  asked.catch(() => undefined);
  await pause(2 * BEFORE_MS);
  const [victim] = servers;
  victim.kill('SIGKILL');
  const { failed, firstFailureMs, lastFailureMs } = await asked;
  await waitForExit(victim, { what: 'the killed server', timeout: 5000 });
  servers[0] = await startServer(network, site.servers[0]);
  return { failed, failingMs: lastFailureMs - firstFailureMs };
}

export const changes: Bench = {
  name: BENCH,
  about: 'what a reload, a restart and a dying server cost: packets lost, milliseconds',
  async run(context) {
    const obstacle = whyNotHere();
    if (obstacle !== undefined) {
      context.miss({ name: BENCH, what: 'everything', why: obstacle });
      return [];
    }
    return [...(await measurePackets(context)), ...(await measureSwitchOver(context))];
  },
};
