/**
 * A director of its own for tests of what takes more than one packet: the debug build over the
 * world of the recordings, in which `cli` is the clients' port and `srv` the real servers'. Its
 * clock stands still unless it is moved.
 */

import { readFileSync } from 'node:fs';
import { DirectorShell } from '../../host/replay/director-shell.ts';
import { networkOf } from '../../host/replay/replay.ts';
import { ReplayDirector } from '../../host/replay/replay-director.ts';
import { readRecording } from '../conformance/recordings.ts';
import { ethernet, ipv4, ipv6, type Layer, packet } from './packet-builder.ts';
import { freshBuild } from './wasm.ts';

const BOOT_TICK = 1000;
const START_TICK = 10_000;
const ETHERNET_BYTES = 14;
/** The director's addresses on its ports, and where its frames come from. */
const MACS = { cli: '02:00:00:00:00:01', srv: '02:00:00:00:01:01' };

export type PortName = keyof typeof MACS;

/** The debug build, compiled once for a test file. */
export async function debugModule(): Promise<WebAssembly.Module> {
  return WebAssembly.compile(readFileSync(freshBuild('debug')));
}

export class SmallDirector {
  readonly director: ReplayDirector;
  readonly #shell: DirectorShell;
  #tick = START_TICK;

  /** With several workers, each packet goes to the one after the last packet's. */
  constructor(module: WebAssembly.Module, commands: readonly string[], workers = 1) {
    const { header } = readRecording('first-nat');
    this.director = new ReplayDirector({
      module,
      network: networkOf(header, 'first-nat'),
      bootTick: BOOT_TICK,
      startTick: START_TICK,
      workers,
    });
    this.#shell = new DirectorShell(this.director, new Map(), BOOT_TICK);
    for (const command of commands) this.run(command);
  }

  /** Runs a command and answers what it printed. */
  run(command: string): string {
    const { code, text } = this.#shell.run(command);
    if (code !== 0) throw new Error(`${command}: ${text}`);
    return text;
  }

  /** The connection table's lines, in words, sorted. */
  connections(): string[] {
    const [, , ...lines] = this.run('ipvsadm -Lnc').trimEnd().split('\n');
    return lines
      .map((line) =>
        line
          .trim()
          .replace(/ +/g, ' ')
          .replace(/ \d\d:\d\d/, ''),
      )
      .sort();
  }

  sleep(seconds: number): void {
    this.#tick += seconds * 100;
    this.director.advance(this.#tick, (this.#tick - START_TICK) * 10);
  }

  /** Sends layers from an address to another, and answers the IP packets that the director sent. */
  send(port: PortName, source: string, destination: string, ...layers: Layer[]): Uint8Array[] {
    const ip = (source.includes(':') ? ipv6 : ipv4)({ source, destination });
    return this.receive(port, packet(ethernet({ destination: MACS[port] }), ip, ...layers));
  }

  /** The same for a frame that is ready. */
  receive(port: PortName, frame: Uint8Array): Uint8Array[] {
    this.director.receive(port, frame);
    return this.director.take().map((sent) => sent.frame.subarray(ETHERNET_BYTES));
  }
}
