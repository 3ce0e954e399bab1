// A tier of directors behind a router that spreads flows over them (ECMP), and one of them leaves. The
// connections of the one that left, and those that the router now sends to another, meet a director that
// does not know them: it schedules them anew. Whoever gets another server than before is cut off.
//
// Simulated with the schedulers themselves: every director has its own tables, state and connections.

import { SERVICE_SCHED2 } from '../assembly/shared/codes.ts';
import type { Bench } from './bench.ts';
import { FlowSource } from './data-plane/flows.ts';
import { exactResult, type Result } from './result.ts';
import { SchedulerRig } from './scheduler-rig.ts';

const SERVERS = 16;
const FLOWS = 100_000;
const QUICK_FLOWS = 10_000;
const SEED = 42;
const BUCKETS = 1024;
const PORT = 80;
/** The client's port counts too: sh-port, mh-port. */
const SH_PORT = SERVICE_SCHED2;
const MH_PORT = SERVICE_SCHED2;

/** A connection, as the router and the directors see it. */
interface Flow {
  readonly address: number;
  readonly port: number;
  /** What the router's hash makes of it, from 0 to 2^32 - 1. */
  readonly hash: number;
}

/** How a router spreads flows: the director of a hash, given which of them are there. */
interface Router {
  readonly name: string;
  spread(hash: number, present: readonly number[], all: number): number;
}

/** RFC 2991: the remainder says which. */
const moduloN: Router = {
  name: 'modulo-n',
  spread: (hash, present) => present[hash % present.length],
};

/** RFC 2992: regions of equal size, all of whose borders move. */
const hashThreshold: Router = {
  name: 'hash-threshold',
  spread: (hash, present) => present[Math.floor((hash / 2 ** 32) * present.length)],
};

/** A table of buckets in which only those of the one that left are given to others. */
const resilient: Router = {
  name: 'resilient',
  spread(hash, present, all) {
    const bucket = hash % BUCKETS;
    const first = bucket % all;
    if (present.includes(first)) return first;
    return present[Math.floor(bucket / all) % present.length];
  },
};

const ROUTERS: readonly Router[] = [moduloN, hashThreshold, resilient];

/** What else has happened by the time a director leaves. */
const CASES = [
  { scheduler: 'mh', flags: MH_PORT, change: 'none' },
  { scheduler: 'sh', flags: SH_PORT, change: 'none' },
  { scheduler: 'rr', flags: 0, change: 'none' },
  { scheduler: 'wlc', flags: 0, change: 'none' },
  { scheduler: 'mh', flags: MH_PORT, change: 'a server added' },
  { scheduler: 'sh', flags: SH_PORT, change: 'a server added' },
] as const;

type Case = (typeof CASES)[number];

function makeFlows(count: number): readonly Flow[] {
  const random = new FlowSource(SEED);
  return Array.from({ length: count }, () => ({
    address: random.below(2 ** 32),
    port: 1024 + random.below(60_000),
    hash: random.below(2 ** 32),
  }));
}

/** One director: its schedulers, and which server its connections have. */
class Director {
  readonly #rig = new SchedulerRig(2 * SERVERS);
  readonly #service: number;
  readonly #serverOf = new Map<Flow, number>();

  constructor({ scheduler, flags }: Case) {
    const weights = new Array<number>(SERVERS).fill(1);
    this.#service = this.#rig.addService(scheduler, PORT, weights, flags);
  }

  addServer(): void {
    this.#rig.addServer(PORT, SERVERS, 1);
  }

  /** The server of a flow: by its connection, or by scheduling. */
  serverOf(flow: Flow): number {
    const known = this.#serverOf.get(flow);
    if (known !== undefined) return known;
    const server = this.#rig.connect(this.#service, flow.address, flow.port);
    this.#serverOf.set(flow, server);
    return server;
  }
}

/** The shares, in percent, of flows sent to another director and of connections cut off. */
interface Shares {
  readonly rerouted: number;
  readonly moved: number;
}

function simulate(flows: readonly Flow[], directors: number, router: Router, test: Case): Shares {
  const all = Array.from({ length: directors }, () => new Director(test));
  const present = all.map((_, index) => index);
  const before = flows.map((flow) => {
    const director = router.spread(flow.hash, present, directors);
    return { flow, director, server: all[director].serverOf(flow) };
  });
  if (test.change === 'a server added') for (const each of all) each.addServer();
  // The middle one: with hash-threshold, the case that moves the fewest flows.
  const left = directors >> 1;
  const rest = present.filter((index) => index !== left);
  let rerouted = 0;
  let moved = 0;
  for (const { flow, director, server } of before) {
    const now = router.spread(flow.hash, rest, directors);
    if (now !== director) rerouted++;
    if (all[now].serverOf(flow) !== server) moved++;
  }
  return { rerouted: (100 * rerouted) / flows.length, moved: (100 * moved) / flows.length };
}

export const ecmp: Bench = {
  name: 'ecmp',
  about: 'share of connections cut off when one of several directors leaves, simulated',
  async run(context) {
    const flows = makeFlows(context.quick ? QUICK_FLOWS : FLOWS);
    const results: Result[] = [];
    for (const directors of context.quick ? [4] : [2, 4, 8, 16]) {
      for (const router of ROUTERS) {
        for (const test of CASES) {
          const { rerouted, moved } = simulate(flows, directors, router, test);
          const { scheduler, change } = test;
          const params = { directors, router: router.name, scheduler, change, flows: flows.length };
          results.push(
            exactResult({ name: 'ecmp', unit: '% of connections cut off', params }, moved),
          );
          if (test !== CASES[0]) continue;
          const about = { directors, router: router.name, flows: flows.length };
          results.push(
            exactResult({ name: 'ecmp', unit: '% of flows rerouted', params: about }, rerouted),
          );
        }
      }
    }
    return results;
  },
};
