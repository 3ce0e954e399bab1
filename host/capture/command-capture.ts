/** `wvs capture`: packets of the running director, before and after, into a file for Wireshark. */

import { createWriteStream } from 'node:fs';
import type { Writable } from 'node:stream';
import {
  type CommandInput,
  type CommandIo,
  type CommandOptions,
  EXIT_OK,
  EXIT_USAGE,
} from '../cli/command.ts';
import { socketPath } from '../cli/socket-option.ts';
import { readVersion } from '../cli/version.ts';
import type { CapturedPacket, CaptureRequest } from '../control/api.ts';
import { askDirector } from '../control/client.ts';
import { pcapngHeader, pcapngPacket } from './pcapng.ts';

const SNAP_LENGTH_MAX = 65_535;
const COUNT_MAX = 1_000_000_000;
const STANDARD_OUTPUT = '-';

/** What the options mean. */
interface CaptureWish {
  readonly request: CaptureRequest;
  /** Packets to take; frames that left because of them do not count. */
  readonly count: number;
  readonly output: string;
}

/** Captures until the count is reached, or a signal ends it. */
export async function captureCommand(input: CommandInput, io: CommandIo): Promise<number> {
  const wish = parseOptions(input.options);
  if (typeof wish === 'string') {
    io.stderr.write(`wvs: ${wish}\n(wvs capture --help lists the options)\n`);
    return EXIT_USAGE;
  }
  const interruption = new Interruption();
  try {
    const { packets, frames, lost } = await capture(wish, socketPath(input, io), interruption);
    const losses = lost === 0 ? '' : `, ${lost} lost because they came too fast`;
    io.stderr.write(`${packets} packets, ${frames} frames${losses}\n`);
    return EXIT_OK;
  } finally {
    interruption.close();
  }
}

/** @returns what is wrong with the options when they are no wish */
function parseOptions(options: CommandOptions): CaptureWish | string {
  const { direction = 'both', service, output = '' } = options;
  if (direction !== 'in' && direction !== 'out' && direction !== 'both') {
    return `--direction ${direction}: expected in, out or both`;
  }
  const snapLength = whole(options.snaplen, SNAP_LENGTH_MAX);
  if (snapLength === undefined) return `--snaplen ${options.snaplen}: expected 1 to 65535`;
  const count = whole(options.count, COUNT_MAX);
  if (count === undefined) return `--count ${options.count}: expected a number of packets`;
  const request = { direction, snapLength, ...(service !== undefined && { service }) } as const;
  return { request, count, output };
}

/** A number from 1 to a limit; without one, the limit. */
function whole(text: string | undefined, most: number): number | undefined {
  if (text === undefined) return most;
  const value = Number(text);
  return /^\d+$/.test(text) && value >= 1 && value <= most ? value : undefined;
}

async function capture(
  { request, count, output }: CaptureWish,
  socket: string,
  interruption: Interruption,
): Promise<{ packets: number; frames: number; lost: number }> {
  let file: CaptureFile | undefined;
  let packets = 0;
  let frames = 0;
  for (let next: CaptureRequest = request; ; ) {
    const answer = await askDirector(socket, 'capture', next);
    // Only now it is sure that there is something to write: a wrong name leaves no file.
    file ??= await CaptureFile.create(output, answer.ports);
    for (const packet of answer.packets) {
      if (packet.kind === 'before' && packets === count) break;
      if (packet.kind === 'before') packets++;
      frames++;
      await file.write(packet);
    }
    if (next.stop === true) {
      await file.close();
      return { packets, frames, lost: answer.lost };
    }
    const isOver = packets >= count || interruption.hasCome || file.isBroken;
    next = { session: answer.session, ...(isOver && { stop: true }) };
  }
}

/** A capture file that grows. */
class CaptureFile {
  readonly #stream: Writable;
  /** Whoever reads it has gone, as the one behind a pipe may. */
  isBroken = false;

  private constructor(stream: Writable) {
    this.#stream = stream;
    stream.on('error', () => {
      this.isBroken = true;
    });
  }

  static async create(path: string, ports: readonly string[]): Promise<CaptureFile> {
    const stream = path === STANDARD_OUTPUT ? process.stdout : await openFile(path);
    const file = new CaptureFile(stream);
    await file.#put(pcapngHeader(ports, `wvs ${readVersion()}`));
    return file;
  }

  write(packet: CapturedPacket): Promise<void> {
    return this.#put(
      pcapngPacket({
        interface: packet.port,
        time: BigInt(Math.round(packet.time * 1000)) * 1_000_000n,
        frame: Buffer.from(packet.frame, 'base64'),
        originalLength: packet.length,
        isOutbound: packet.kind === 'after',
        comment: describePacket(packet),
      }),
    );
  }

  async close(): Promise<void> {
    if (this.#stream === process.stdout || this.isBroken) return;
    await new Promise<void>((resolve) => this.#stream.end(resolve));
  }

  async #put(bytes: Uint8Array): Promise<void> {
    if (this.isBroken || this.#stream.write(bytes)) return;
    await new Promise<void>((resolve) => {
      this.#stream.once('drain', resolve);
      this.#stream.once('error', resolve);
    });
  }
}

async function openFile(path: string): Promise<Writable> {
  const stream = createWriteStream(path);
  await new Promise((resolve, reject) => {
    stream.once('open', resolve);
    stream.once('error', reject);
  });
  return stream;
}

/** The comment: what Wireshark shows above the packet, and filters by (frame.comment contains). */
export function describePacket(packet: CapturedPacket): string {
  const { direction, kind, verdict, reason, service, server } = packet;
  const words = [
    `${kind} the rewrite, ${direction === 'in' ? 'from the client' : 'to the client'}`,
    `verdict ${verdict}${reason === undefined ? '' : `: ${reason}`}`,
    ...(service === undefined ? [] : [`service ${service}`]),
    ...(server === undefined ? [] : [`server ${server}`]),
    `packet ${packet.packet}`,
  ];
  return words.join('; ');
}

/** SIGINT and SIGTERM end a capture in good order. */
class Interruption {
  hasCome = false;
  readonly #note = () => {
    this.hasCome = true;
  };

  constructor() {
    process.on('SIGINT', this.#note);
    process.on('SIGTERM', this.#note);
  }

  close(): void {
    process.off('SIGINT', this.#note);
    process.off('SIGTERM', this.#note);
  }
}
