// Playing a recording: `playRecording` holds the way. For each record the clock moves to its time,
// then its command runs or its frames come in, and what the director did is written down as the
// recorder would have done.

import { SCHEDULER_TWOS } from '../../assembly/shared/codes.ts';
import {
  DESTINATION_ADDRESS,
  DESTINATION_FAMILY,
  DESTINATION_PORT,
  WORKER_RANDOM,
} from '../../assembly/shared/layout.ts';
import { formatEndpoint } from '../config/address.ts';
import { carriedPacket, describeFrame, packetPorts } from './describe.ts';
import { DirectorShell } from './director-shell.ts';
import { Network } from './network.ts';
import {
  portNames,
  type RecordedFrame,
  type RecordedStep,
  type Recording,
  RecordingError,
  type RecordingHeader,
} from './recording.ts';
import { BOOT_TICK, RecordingClock, TICKS_AT_START, tickAt } from './recording-clock.ts';
import { ReplayDirector } from './replay-director.ts';
import type { PortFrame } from './simulated-host.ts';
import type { Choice } from './wasm-worker.ts';
import { addressText, ETHERNET_HEADER, isIpFrame, macText, readIpHeader } from './wire.ts';
import { applyIpLines } from './world-from-ip.ts';

/** How to play a recording. */
export interface ReplayOptions {
  readonly module: WebAssembly.Module;
  /** The recording's name, for messages. */
  readonly file: string;
  /** Workers that share the packets; 1 unless given. */
  readonly workers?: number;
  /** The kernel tick at the recording's start; fitted to the recordings unless given. */
  readonly ticksAtStart?: number;
  /**
   * Lets what `twos` draws at random follow the recording, as far as draws can lead there: all
   * else can then be compared. Otherwise the draws come from a fixed seed.
   */
  readonly followsRandomChoices?: boolean;
}

/** The listings of a recording's `list` steps and of its end. */
const LISTINGS: readonly string[] = [
  'ipvsadm -Ln',
  'ipvsadm -Ln --stats',
  'ipvsadm -Ln --stats --exact',
  'ipvsadm -Ln --rate',
  'ipvsadm -Ln --thresholds',
  'ipvsadm -Ln --persistent-conn',
  'ipvsadm -Lnc',
  'ipvsadm -Lnc --persistent-conn',
  'ipvsadm -Sn',
  'ipvsadm -L --timeout',
  'ipvsadm -L --daemon',
  'cat /proc/net/ip_vs',
  'cat /proc/net/ip_vs_conn',
  'cat /proc/net/ip_vs_stats',
];

/** Draws that are tried to reach a recorded random choice. */
const RANDOM_ATTEMPTS = 4096;

/**
 * Plays a recording against a new director.
 * @returns the same records, with what this director did
 * @throws RecordingError when the recording's world cannot be built
 */
export function playRecording(recording: Recording, options: ReplayOptions): Recording {
  const player = new Player(recording.header, options);
  const steps = recording.steps.map((step) => player.play(step));
  const final = player.finish();
  return {
    header: recording.header,
    steps,
    final,
    // The recorder adds the kernel's messages when there are any.
    kernelLog: recording.kernelLog === undefined ? undefined : player.kernelLog(),
  };
}

/** The network that a recording's header describes. */
export function networkOf(header: RecordingHeader, file: string): Network {
  const network = new Network();
  applyIpLines(network, header.ip, (index, problem) => {
    throw new RecordingError(file, 1, `ip line ${index + 1} '${header.ip[index]}': ${problem}`);
  });
  return network;
}

class Player {
  readonly #clock = new RecordingClock();
  readonly #director: ReplayDirector;
  readonly #shell: DirectorShell;
  readonly #ports: readonly string[];
  readonly #tickOffset: number;
  #step: RecordedStep | undefined;

  constructor(header: RecordingHeader, options: ReplayOptions) {
    const { module, file, workers = 1, ticksAtStart = TICKS_AT_START } = options;
    this.#ports = portNames(header);
    this.#tickOffset = ticksAtStart - TICKS_AT_START;
    const bootTick = BOOT_TICK + this.#tickOffset;
    const follows = options.followsRandomChoices === true;
    this.#director = new ReplayDirector({
      module,
      network: networkOf(header, file),
      workers,
      bootTick,
      startTick: ticksAtStart,
      ...(follows && { chooseBy: (choice: Choice) => this.#followChoice(choice) }),
    });
    const settings = new Map(Object.entries(header.sysctl).map(([k, v]) => [k, String(v)]));
    this.#shell = new DirectorShell(this.#director, settings, bootTick);
    this.#applySysctls(header);
  }

  /** The recording's own settings, where they differ from the defaults. */
  #applySysctls(header: RecordingHeader): void {
    const { control } = this.#director;
    for (const line of header.vsSysctl.split('\n')) {
      const [, name, value] = /^net\.ipv4\.vs\.(\S+) = (.*)$/.exec(line) ?? [];
      if (name === undefined || !control.sysctlNames().includes(name)) continue;
      if (control.sysctl(name) !== value) control.setSysctl(name, value);
    }
  }

  /** Plays one step. */
  play(step: RecordedStep): RecordedStep {
    this.#step = step;
    this.#clock.begin(step);
    this.#advance();
    const { number, time, line } = step;
    const done = { number, time, line, ...this.#perform(step) };
    this.#clock.end(step);
    return done;
  }

  #perform(step: RecordedStep): Partial<RecordedStep> {
    if (step.skipped !== undefined) return { skipped: step.skipped };
    if (step.input !== undefined) return this.#receive(step.input);
    if (step.line.startsWith('$')) {
      const { code, text } = this.#shell.run(step.line.slice(1).trim());
      return { exitCode: code, text };
    }
    if (step.lists !== undefined) return { lists: this.#list() };
    return this.#sleep(step);
  }

  #receive(input: readonly RecordedFrame[]): Partial<RecordedStep> {
    for (const { port, frame } of input) this.#director.receive(port, frame);
    const output = this.#collect();
    return { input, output, realServer: this.#realServer(output) };
  }

  #sleep(step: RecordedStep): Partial<RecordedStep> {
    this.#clock.sleep(step);
    this.#advance();
    const output = this.#collect();
    return output.length > 0 ? { output } : {};
  }

  #list(): Readonly<Record<string, string>> {
    this.#clock.waitForListing();
    this.#advance();
    return Object.fromEntries(
      LISTINGS.map((command) => [command, this.#shell.run(command).text] as const),
    );
  }

  /** The listings at the end. */
  finish(): Readonly<Record<string, string>> {
    return this.#list();
  }

  kernelLog(): string {
    return this.#shell.log.sinceBoot();
  }

  #advance(): void {
    const { milliseconds } = this.#clock;
    this.#director.advance(tickAt(milliseconds) + this.#tickOffset, milliseconds);
  }

  /**
   * The frames in the order in which the recorder sees them: it takes one from each port that has
   * any, again and again.
   */
  #collect(): RecordedFrame[] {
    const queues = this.#ports.map(() => [] as PortFrame[]);
    for (const sent of this.#director.take()) queues[this.#ports.indexOf(sent.port)].push(sent);
    const seen: RecordedFrame[] = [];
    while (queues.some((queue) => queue.length > 0)) {
      for (const queue of queues) {
        const next = queue.shift();
        if (next !== undefined) seen.push({ ...next, description: describeFrame(next.frame) });
      }
    }
    return seen;
  }

  /** The real server that the first packet on the servers' side went to. */
  #realServer(output: readonly RecordedFrame[]): string | null {
    const servers = this.#ports.at(-1);
    const first = output.find(({ port, frame }) => port === servers && isIpFrame(frame));
    if (first === undefined) return null;
    const packet = first.frame.subarray(ETHERNET_HEADER);
    const header = readIpHeader(packet);
    if (header === undefined) return null;
    const { network } = this.#director;
    const address = addressText(header.destination);
    if (carriedPacket(packet) !== undefined) return address;
    // Direct routing: only the MAC address tells.
    if (network.isOwn(header.destination)) {
      return network.addressOfMac(macText(first.frame.subarray(0, 6)), header.family) ?? null;
    }
    const [, port] = packetPorts(packet);
    return port === 0 ? address : formatEndpoint(address, port);
  }

  /** Draws until the destination is the one the recording has for this step. */
  #followChoice({ service, bank, worker, pick }: Choice): number {
    const wanted = this.#step?.realServer;
    const { memory } = this.#director;
    const isRandom = this.#director.schedulerOf(bank, service) === SCHEDULER_TWOS;
    if (!isRandom || typeof wanted !== 'string') return pick();
    const state = (worker + WORKER_RANDOM) >>> 2;
    const before = memory.u32[state];
    for (let attempt = 0; attempt < RANDOM_ATTEMPTS; attempt++) {
      const chosen = pick();
      if (chosen === 0 || this.#names(bank, chosen).includes(wanted)) return chosen;
    }
    memory.u32[state] = before;
    return pick();
  }

  /** How a recording may name a destination. */
  #names(bank: number, destination: number): readonly string[] {
    const { u8 } = this.#director.memory;
    const at = this.#director.memory.destination(bank, destination);
    const bytes = u8[at + DESTINATION_FAMILY] === 4 ? 4 : 16;
    const start = at + DESTINATION_ADDRESS;
    const address = addressText(Uint8Array.from(u8.subarray(start, start + bytes)));
    const port = (u8[at + DESTINATION_PORT] << 8) | u8[at + DESTINATION_PORT + 1];
    return [address, formatEndpoint(address, port)];
  }
}
