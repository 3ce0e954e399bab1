import { expect, test } from 'vitest';
import type { CheckConfig } from '../../../../host/config/types.ts';
import { Checker, type CheckerSurroundings } from '../../../../host/health/checker.ts';
import { CheckerKeys, probeTarget } from '../../../../host/health/checker-key.ts';
import { InFlight } from '../../../../host/health/in-flight.ts';
import type { ProbeResult } from '../../../../host/health/probe.ts';
import { firstDelay, nextDelay } from '../../../../host/health/probe-times.ts';
import { Random, seedFromEnvironment } from '../../../support/random.ts';
import { configWith } from '../config/support.ts';
import { checkOf, FAIL, FakeClock, PASS, settle, targetOf } from './support.ts';

/** Checkers on a fake clock; probes last `duration` and find what `find` says. */
class Bed {
  readonly clock = new FakeClock();
  readonly inFlight: InFlight;
  /** When probes started. */
  readonly starts: number[] = [];
  readonly late: number[] = [];
  results = 0;
  aborted = 0;
  chance = 0;
  duration = 0;
  find: () => ProbeResult = () => PASS;
  readonly surroundings: CheckerSurroundings;

  constructor(maxInFlight = 1000) {
    this.inFlight = new InFlight(maxInFlight);
    this.surroundings = {
      clock: this.clock,
      chance: () => this.chance,
      inFlight: this.inFlight,
      createProbe: () => (signal) => this.#probe(signal),
      onResult: () => {
        this.results++;
      },
      onLate: (_, milliseconds) => this.late.push(milliseconds),
    };
  }

  checker(settings: Partial<CheckConfig> = {}): Checker {
    const check = { ...checkOf({ type: 'tcp' }), ...settings } as CheckConfig;
    return new Checker({ key: 'key', target: targetOf(80), check }, this.surroundings);
  }

  #probe(signal: AbortSignal): Promise<ProbeResult> {
    this.starts.push(this.clock.now());
    return new Promise((resolve) => {
      const cancel = this.clock.after(this.duration, () => resolve(this.find()));
      signal.addEventListener('abort', () => {
        cancel();
        this.aborted++;
        resolve({ ...FAIL, isOurs: true });
      });
    });
  }
}

test('probes start one interval after the other, however long they take', async () => {
  const bed = new Bed();
  bed.duration = 300;
  bed.checker().start();
  await bed.clock.advance(3_500);
  expect(bed.starts).toEqual([0, 1_000, 2_000, 3_000]);
});

test('a probe longer than the interval → the next one right after it', async () => {
  const bed = new Bed();
  bed.duration = 1_500;
  bed.checker().start();
  await bed.clock.advance(4_000);
  expect(bed.starts).toEqual([0, 1_510, 3_020]);
});

test('failures → retry delay until down, then the interval again', async () => {
  const bed = new Bed();
  bed.find = () => (bed.clock.now() < 2_000 ? PASS : FAIL);
  const checker = bed.checker({ retryDelay: 200 });
  checker.start();
  await bed.clock.advance(5_000);
  expect(bed.starts).toEqual([0, 1_000, 2_000, 2_200, 2_400, 3_400, 4_400]);
  expect(checker.record).toMatchObject({ state: 'down', failures: 5 });
});

test('a server that refuses is down after at most fall x interval, with any jitter', async () => {
  const seed = seedFromEnvironment(7);
  const random = new Random(seed);
  for (let round = 0; round < 50; round++) {
    const bed = new Bed();
    const check = { jitter: random.between(0, 1_000), warmUp: 1_000, fall: random.between(1, 5) };
    const surroundings = { ...bed.surroundings, chance: () => random.u32() / 2 ** 32 };
    const checker = new Checker(
      { key: 'key', target: targetOf(80), check: checkOf({ type: 'tcp', ...check }) },
      surroundings,
    );
    checker.start();
    await bed.clock.advance(3_000 + random.below(1_000));
    const diedAt = bed.clock.now();
    bed.find = () => FAIL;
    await bed.clock.advance(check.fall * 1_000);
    expect(checker.record.state, `seed ${seed}, round ${round}`).toBe('down');
    expect(checker.record.lastResult!.at).toBeGreaterThan(diedAt);
    await checker.stop();
  }
});

test('times: warm-up and jitter are shares of chance', () => {
  const timing = { interval: 1_000, retryDelay: 300, jitter: 100, warmUp: 5_000 };
  expect(firstDelay(timing, () => 0.5)).toBe(2_500);
  const up = { state: 'up', failures: 0 } as const;
  expect(nextDelay(timing, up, () => 0)).toBe(1_000);
  expect(nextDelay(timing, up, () => 0.5)).toBe(950);
  expect(nextDelay({ ...timing, jitter: 99_999 }, up, () => 0.9999999)).toBe(10);
  expect(nextDelay(timing, { state: 'up', failures: 1 }, () => 0.5)).toBe(300);
  expect(nextDelay(timing, { state: 'unknown', failures: 2 }, () => 0.5)).toBe(300);
  expect(nextDelay(timing, { state: 'down', failures: 3 }, () => 0.5)).toBe(950);
});

test('ten thousand servers: the warm-up spreads the first probes evenly', async () => {
  const seed = seedFromEnvironment(11);
  const random = new Random(seed);
  const delays = Array.from({ length: 10_000 }, () =>
    firstDelay(checkOf({ type: 'tcp', warmUp: 2_000 }), () => random.u32() / 2 ** 32),
  );
  const perTenth = Array.from({ length: 10 }, (_, tenth) =>
    delays.reduce((sum, delay) => sum + (Math.floor(delay / 200) === tenth ? 1 : 0), 0),
  );
  for (const count of perTenth) expect(Math.abs(count - 1_000), `seed ${seed}`).toBeLessThan(150);
});

test('no more probes at a time than allowed; the others wait their turn', async () => {
  const bed = new Bed(3);
  bed.duration = 100;
  for (let i = 0; i < 10; i++) bed.checker({ warmUp: 0 }).start();
  await bed.clock.advance(50);
  expect([bed.inFlight.running, bed.inFlight.waiting]).toEqual([3, 7]);
  await bed.clock.advance(400);
  expect(bed.starts).toEqual([0, 0, 0, 100, 100, 100, 200, 200, 200, 300]);
  expect(bed.inFlight.running).toBe(0);
});

test('more probes than there is room for → late, and said so', async () => {
  const bed = new Bed(1);
  bed.duration = 400;
  for (let i = 0; i < 5; i++) bed.checker().start();
  await bed.clock.advance(2_000);
  expect(bed.late).toEqual([1_200, 1_600, 1_000]);
});

test('the limit raised → waiting ones start; lowered → none is ended', async () => {
  const inFlight = new InFlight(1);
  const ends: (() => void)[] = [];
  const start = () => new Promise<void>((resolve) => ends.push(resolve));
  for (let i = 0; i < 4; i++) inFlight.run(start);
  expect(ends).toHaveLength(1);
  inFlight.setMax(3);
  expect(ends).toHaveLength(3);
  inFlight.setMax(1);
  ends[0]!();
  await settle();
  expect([inFlight.running, inFlight.waiting]).toEqual([2, 1]);
  ends[1]!();
  ends[2]!();
  await settle();
  expect(ends).toHaveLength(4);
});

test('a task taken out of the queue does not run', async () => {
  const inFlight = new InFlight(1);
  const ran: string[] = [];
  let end: () => void = () => undefined;
  inFlight.run(() => new Promise((resolve) => (end = resolve)));
  const task = (name: string) => async () => void ran.push(name);
  const cancel = inFlight.run(task('cancelled'));
  inFlight.run(task('kept'));
  cancel();
  expect(inFlight.waiting).toBe(1);
  end();
  await settle();
  expect(ran).toEqual(['kept']);
});

test.each([
  ['before the first probe', 0, 0],
  ['between probes', 1_500, 0],
  ['during a probe', 1_050, 1],
])('stop %s → nothing left, nothing comes', async (_, after, aborted) => {
  const bed = new Bed();
  bed.duration = 100;
  bed.chance = 0.5;
  const checker = bed.checker({ warmUp: after === 0 ? 1_000 : 0 });
  checker.start();
  await bed.clock.advance(after);
  const results = bed.results;
  await checker.stop();
  expect(bed.aborted).toBe(aborted);
  expect(bed.clock.timers).toBe(0);
  await bed.clock.advance(10_000);
  expect(bed.results).toBe(results);
});

test('stop while waiting for room → never starts', async () => {
  const bed = new Bed(1);
  bed.duration = 500;
  bed.checker().start();
  const second = bed.checker();
  second.start();
  await bed.clock.advance(100);
  await second.stop();
  await bed.clock.advance(800);
  expect(bed.starts).toEqual([0]);
});

test('keys: the same target and check → the same; another setting → another', () => {
  const { services } = configWith(`
    services:
      - listen: 192.0.2.80:80/tcp
        forwarding: nat
        check: { type: http, path: /a, interval: 3s }
        servers:
          - { address: '10.0.0.1:80' }
          - { address: '10.0.0.2:80' }
          - { address: '10.0.0.3:80', check: { interval: 3s, path: /a, type: http } }
          - { address: '10.0.0.4:80', check: { type: icmp } }
          - { address: '10.0.0.4:81', check: { type: icmp } }
          - { address: '10.0.0.5:80', check: { type: tcp, port: 81, address: 10.0.0.9 } }
      - listen: 192.0.2.81:80/tcp
        forwarding: nat
        check: { type: http, path: /a, interval: 3s }
        servers:
          - { address: '10.0.0.1:80' }
          - { address: '10.0.0.2:80', check: { type: http, path: /b, interval: 3s } }
          - { address: '10.0.0.9:81', check: { type: tcp, port: 81, address: 10.0.0.9 } }
  `);
  const keys = new CheckerKeys();
  const all = services.flatMap((service) =>
    service.servers.flatMap((server) =>
      server.checks.map((check) => keys.key(probeTarget(service, server, check), check)),
    ),
  );
  const names = new Map<string, string>();
  const letters = all.map((key) => {
    if (!names.has(key)) names.set(key, String.fromCharCode(97 + names.size));
    return names.get(key);
  });
  // .1 is shared by both services, the two icmp ones by both ports, the last one by its target.
  expect(letters.join('')).toBe('abcddeafe');
});

test('via: vip → the virtual address and the tunnel belong to the target and to the key', () => {
  const { services } = configWith(`
    services:
      - listen: 192.0.2.80:80/tcp
        check: { type: tcp, via: vip }
        servers: [{ address: 10.0.0.1 }]
      - listen: 192.0.2.81:80/tcp
        check: { type: tcp, via: vip }
        servers: [{ address: 10.0.0.1 }]
      - listen: 192.0.2.81:80/udp
        forwarding: tunnel
        check: { type: tcp, via: vip }
        servers: [{ address: 10.0.0.1 }]
      - listen: 192.0.2.82:0/tcp
        persistence: { timeout: 60s }
        check: { type: tcp, via: vip, port: 8080 }
        servers: [{ address: 10.0.0.1 }]
  `);
  const keys = new CheckerKeys();
  const targets = services.map((service) => {
    const [server] = service.servers;
    const [check] = server!.checks;
    const target = probeTarget(service, server!, check!);
    return { ...target, key: keys.key(target, check!) };
  });
  const tunnel = { type: 'ipip', port: 0, checksum: 'none' };
  const common = { family: 4, address: '10.0.0.1' };
  expect(targets).toMatchObject([
    { ...common, port: 80, virtual: { address: '192.0.2.80', tunnel: undefined } },
    { ...common, port: 80, virtual: { address: '192.0.2.81', tunnel: undefined } },
    { ...common, port: 80, virtual: { address: '192.0.2.81', tunnel } },
    { ...common, port: 8080, virtual: { address: '192.0.2.82' } },
  ]);
  expect(new Set(targets.map(({ key }) => key)).size).toBe(4);
});
