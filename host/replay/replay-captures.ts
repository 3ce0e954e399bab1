// Playing captures through a configuration: what would this director do to that traffic? The time
// is the captures' own. Every frame of every input port goes through the data plane in the order of
// its time, and for each there is an account of what became of it.

import {
  VERDICT_DROP,
  VERDICT_HOLD,
  VERDICT_PASS,
  VERDICT_TRANSMIT,
} from '../../assembly/shared/codes.ts';
import { addressBytes, formatEndpoint } from '../config/address.ts';
import type { Config, WorldConfig } from '../config/types.ts';
import { applyConfig } from '../director/apply.ts';
import { TICK_MS } from '../ipvs/timers.ts';
import type { ServiceKey } from '../ipvs/types.ts';
import { counterName } from '../stats/counter-names.ts';
import { describeFrame } from './describe.ts';
import { Network, TABLE_MAIN } from './network.ts';
import type { CapturedFrame } from './pcap.ts';
import { type FrameTrace, ReplayDirector, type SentFrame } from './replay-director.ts';
import { isIpFrame, parseMac, sameBytes } from './wire.ts';

/** Frames that came in by a port. */
export interface CaptureInput {
  readonly port: string;
  readonly frames: readonly CapturedFrame[];
}

/** What became of a frame. */
export type FrameVerdict = 'transmit' | 'drop' | 'pass' | 'hold' | 'ignore';

/** The account of one input frame. */
export interface FrameReport {
  readonly port: string;
  /** Its number in the port's captures, from 1. */
  readonly frame: number;
  /** Seconds since the first frame of all. */
  readonly time: number;
  readonly is: string;
  readonly verdict: FrameVerdict;
  /** Why it was dropped or ignored, null otherwise. */
  readonly reason: string | null;
  /** `tcp 192.0.2.80:80` or `mark 1`, null when no service had to do with it. */
  readonly service: string | null;
  /** `10.0.0.11:8080`, null when no real server had to do with it. */
  readonly server: string | null;
  readonly sent: readonly { readonly port: string; readonly is: string }[];
}

/** What a replay of captures results in. */
export interface CaptureReplay {
  readonly reports: readonly FrameReport[];
  /** Frames sent by each port of the world, in order. */
  readonly output: ReadonlyMap<string, readonly CapturedFrame[]>;
}

/** A configuration or an input that does not fit a replay of captures. */
export class CaptureReplayError extends Error {
  readonly code = 'CAPTURE_REPLAY';
}

/** The tick at which such a replay starts: any will do. */
const START_TICK = 1024;
/** net.ipv4.ip_local_port_range as Linux sets it. */
const EPHEMERAL_PORTS: readonly [number, number] = [32768, 60999];
const NANOSECONDS_PER_MILLISECOND = 1_000_000n;
const VERDICTS: Readonly<Record<number, FrameVerdict>> = {
  [VERDICT_DROP]: 'drop',
  [VERDICT_TRANSMIT]: 'transmit',
  [VERDICT_PASS]: 'pass',
  [VERDICT_HOLD]: 'hold',
};

/**
 * Plays captures.
 * @throws CaptureReplayError when the configuration has no world, or not the ports
 */
export function playCaptures(
  config: Config,
  inputs: readonly CaptureInput[],
  module: WebAssembly.Module,
): CaptureReplay {
  const network = networkOfConfig(config);
  for (const { port } of inputs) checkPort(network, port, config.file);
  const director = new ReplayDirector({
    module,
    network,
    bootTick: START_TICK,
    startTick: START_TICK,
  });
  applyConfig(config, { control: director.control, ephemeralPorts: EPHEMERAL_PORTS });
  director.setMarks(director.tables.marks);
  return new CapturePlayer(director).play(inputs);
}

function checkPort(network: Network, port: string, file: string): void {
  const names = network.ports().map(({ name }) => name);
  if (names.includes(port)) return;
  throw new CaptureReplayError(
    `no port ${port} in the world of ${file}: it has ${names.join(', ') || 'none'}`,
  );
}

/** The network that a configuration's `world` describes. */
export function networkOfConfig(config: Config): Network {
  const { world } = config.director;
  if (world === undefined || world.ports.length === 0) {
    throw new CaptureReplayError(
      `${config.file}: director.world is missing: a replay takes ports, addresses, neighbours ` +
        'and routes from there',
    );
  }
  const network = new Network();
  for (const { name, mac, mtu, addresses } of world.ports) {
    const link = network.addLink(name, parseMac(mac)!);
    link.mtu = mtu;
    link.isUp = true;
    for (const { address, prefixLength } of addresses) {
      network.addAddress({ address: addressBytes(address), prefixLength, link });
    }
  }
  for (const { port, address, mac } of world.neighbours) {
    const link = linkOf(network, port);
    network.setNeighbour({ address: addressBytes(address), link, mac: parseMac(mac)! });
  }
  for (const route of world.routes) addRoute(network, route);
  return network;
}

function linkOf(network: Network, port: string) {
  const link = network.link(port);
  if (link === undefined) throw new CaptureReplayError(`director.world has no port ${port}`);
  return link;
}

function addRoute(network: Network, { to, via, port }: WorldConfig['routes'][number]): void {
  network.addRoute({
    table: TABLE_MAIN,
    prefix: addressBytes(to.address),
    prefixLength: to.prefixLength,
    kind: via === undefined ? 'on-link' : 'via',
    link: linkOf(network, port),
    ...(via && { gateway: addressBytes(via.address) }),
  });
}

/** A frame and where it came from. */
interface Arrival extends CapturedFrame {
  readonly port: string;
  readonly number: number;
}

class CapturePlayer {
  readonly #director: ReplayDirector;
  readonly #output = new Map<string, CapturedFrame[]>();
  #start = 0n;

  constructor(director: ReplayDirector) {
    this.#director = director;
    for (const { name } of director.network.ports()) this.#output.set(name, []);
  }

  play(inputs: readonly CaptureInput[]): CaptureReplay {
    const arrivals = inputs
      .flatMap(({ port, frames }) => {
        return frames.map((frame, index): Arrival => ({ ...frame, port, number: index + 1 }));
      })
      // Sorting is stable: what has the same time stays in the inputs' order.
      .sort((a, b) => (a.time < b.time ? -1 : a.time > b.time ? 1 : 0));
    this.#start = arrivals[0]?.time ?? 0n;
    const reports = arrivals.map((arrival) => this.#receive(arrival));
    return { reports, output: this.#output };
  }

  #receive(arrival: Arrival): FrameReport {
    const director = this.#director;
    const since = arrival.time - this.#start;
    const milliseconds = Number(since / NANOSECONDS_PER_MILLISECOND);
    director.advance(START_TICK + Math.floor(milliseconds / TICK_MS), milliseconds);
    // What timers sent meanwhile belongs to no frame.
    this.#write(director.take(), arrival.time);
    const { port, number, frame } = arrival;
    const fate = this.#fateOf(arrival);
    const sent = director.take();
    this.#write(sent, arrival.time);
    return {
      port,
      frame: number,
      time: Number(since) / 1e9,
      is: describeFrame(frame),
      ...fate,
      sent: sent.map((out) => ({ port: out.port, is: describeFrame(out.frame) })),
    };
  }

  /** Plays the frame, unless it cannot be one that the director received. */
  #fateOf({
    port,
    frame,
    originalLength,
  }: Arrival): Pick<FrameReport, 'verdict' | 'reason' | 'service' | 'server'> {
    const none = { service: null, server: null };
    if (originalLength > frame.length) {
      return { verdict: 'ignore', reason: 'the capture has cut it', ...none };
    }
    const own = this.#director.network.link(port);
    if (own !== undefined && sameBytes(frame.subarray(6, 12), own.mac)) {
      return { verdict: 'ignore', reason: 'the director itself sent it', ...none };
    }
    const trace = this.#director.receive(port, frame);
    if (trace !== undefined) return this.#fateByTrace(trace);
    if (isIpFrame(frame)) return { verdict: 'drop', reason: 'drop-frame-too-long', ...none };
    return { verdict: 'pass', reason: null, ...none };
  }

  #fateByTrace({ verdict, reason, service, destination }: FrameTrace) {
    const { control } = this.#director;
    const isDropped = verdict === VERDICT_DROP;
    const serviceEntry = service === 0 ? undefined : control.serviceById(service);
    const server = destination === 0 ? undefined : control.destinationById(destination);
    return {
      verdict: VERDICTS[verdict] ?? 'drop',
      reason: isDropped && reason !== 0 ? counterName(reason) : null,
      service: serviceEntry === undefined ? null : serviceText(serviceEntry.key),
      server: server === undefined ? null : formatEndpoint(server.key.address, server.key.port),
    };
  }

  /** Frames that a timer sent have their own time, the others that of the frame that caused them. */
  #write(sent: readonly SentFrame[], latest: bigint): void {
    for (const { port, frame, milliseconds } of sent) {
      const own = this.#start + BigInt(Math.floor(milliseconds)) * NANOSECONDS_PER_MILLISECOND;
      const before = latest - own;
      const time = before >= 0n && before < NANOSECONDS_PER_MILLISECOND ? latest : own;
      this.#output.get(port)!.push({ time, frame, originalLength: frame.length });
    }
  }
}

function serviceText(key: ServiceKey): string {
  if ('mark' in key) return `mark ${key.mark}`;
  return `${key.protocol} ${formatEndpoint(key.address, key.port)}`;
}
