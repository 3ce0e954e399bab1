/** Clocks that tests turn, servers on this machine, and short ways to write checks. */

import type { AddressInfo, Server, Socket } from 'node:net';
import { createServer } from 'node:net';
import { onTestFinished } from 'vitest';
import type { CheckConfig } from '../../../../host/config/types.ts';
import type { HealthClock } from '../../../../host/health/clock.ts';
import type { Probe, ProbeResult, ProbeTarget } from '../../../../host/health/probe.ts';
import { createProbe } from '../../../../host/health/probes.ts';

interface Timer {
  readonly at: number;
  readonly order: number;
  readonly act: () => void;
}

/** When fake clocks start: some Tuesday. */
export const WALL_START = 1_700_000_000_000;

/** A clock that stands still until advance(). */
export class FakeClock implements HealthClock {
  #now = 0;
  #order = 0;
  readonly #timers = new Set<Timer>();

  now(): number {
    return this.#now;
  }

  wall(): number {
    return WALL_START + this.#now;
  }

  after(milliseconds: number, act: () => void): () => void {
    const timer = { at: this.#now + milliseconds, order: this.#order++, act };
    this.#timers.add(timer);
    return () => this.#timers.delete(timer);
  }

  get timers(): number {
    return this.#timers.size;
  }

  /** Lets time pass; promises that are settled on the way go on before the next timer. */
  async advance(milliseconds: number): Promise<void> {
    const end = this.#now + milliseconds;
    await settle();
    for (let next = this.#next(end); next !== undefined; next = this.#next(end)) {
      this.#timers.delete(next);
      this.#now = Math.max(this.#now, next.at);
      next.act();
      await settle();
    }
    this.#now = end;
  }

  #next(end: number): Timer | undefined {
    let first: Timer | undefined;
    for (const timer of this.#timers) {
      if (timer.at > end) continue;
      const isEarlier =
        first === undefined ||
        timer.at < first.at ||
        (timer.at === first.at && timer.order < first.order);
      if (isEarlier) first = timer;
    }
    return first;
  }
}

/** Lets promises that are settled already go on. */
export async function settle(): Promise<void> {
  for (let i = 0; i < 12; i++) await Promise.resolve();
}

/** The times every check has, short enough for tests. */
export const TIMING = {
  interval: 1_000,
  timeout: 500,
  rise: 2,
  fall: 3,
  retryDelay: 1_000,
  jitter: 0,
  warmUp: 0,
};

export const PASS: ProbeResult = { ok: true, detail: 'fine', latencyMs: 1 };
export const FAIL: ProbeResult = { ok: false, detail: 'broken', latencyMs: 2 };

type Settings<Check> = Check extends CheckConfig
  ? Omit<Check, keyof typeof TIMING> & Partial<typeof TIMING>
  : never;

/** What a test says of a check. */
export type ProbeSettings = Settings<CheckConfig>;

/** A check with what it does not say filled in. */
export function checkOf(settings: ProbeSettings): CheckConfig {
  return { ...TIMING, ...settings } as CheckConfig;
}

/** Probes a port of this machine once. */
export function probeOnce(
  settings: ProbeSettings,
  port: number,
  address = '127.0.0.1',
): Promise<ProbeResult> {
  const probe: Probe = createProbe(targetOf(port, address), checkOf(settings));
  return probe(new AbortController().signal);
}

export function targetOf(port: number, address = '127.0.0.1'): ProbeTarget {
  return { family: address.includes(':') ? 6 : 4, address, port };
}

/** Starts a server that does `serve` with each connection. @returns its port */
export function tcpServer(serve: (socket: Socket) => void, address?: string): Promise<number> {
  return listening(createServer(serve), address);
}

/** Lets a server listen until the test ends. @returns its port */
export async function listening(server: Server, address = '127.0.0.1'): Promise<number> {
  const sockets = new Set<Socket>();
  server.on('connection', (socket: Socket) => {
    sockets.add(socket);
    socket.on('error', () => undefined);
    socket.once('close', () => sockets.delete(socket));
  });
  await new Promise<void>((resolve) => server.listen(0, address, resolve));
  onTestFinished(async () => {
    for (const socket of sockets) socket.destroy();
    await new Promise((resolve) => server.close(resolve));
  });
  return (server.address() as AddressInfo).port;
}

/** A port nobody listens on. */
export async function closedPort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

/** What keeps the event loop alive: sockets, timers, processes. */
export function resources(): string[] {
  const ours = new Set<string>([
    'TCPSocketWrap',
    'TLSWrap',
    'UDPWrap',
    'Timeout',
    'ProcessWrap',
    'FSReqPromise',
  ]);
  return process.getActiveResourcesInfo().filter((name) => ours.has(name));
}
