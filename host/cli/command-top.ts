/** `wvs top`: the running director, drawn live, or one frame of it. */

import type { ReadStream, WriteStream } from 'node:tty';
import { askDirector } from '../control/client.ts';
import { type Order, SORT_KEYS } from '../top/model.ts';
import { INTERVAL_MAX_MS, INTERVAL_MIN_MS, runTop, type TopOptions, topOnce } from '../top/top.ts';
import { type CommandInput, type CommandIo, EXIT_OK, EXIT_USAGE } from './command.ts';
import { socketPath } from './socket-option.ts';

const DEFAULT_INTERVAL = '2';

/** Draws until the user quits; without a terminal, or with --once, prints one frame. */
export async function topCommand(input: CommandInput, io: CommandIo): Promise<number> {
  const { interval = DEFAULT_INTERVAL, sort = 'connections', once } = input.options;
  const by = SORT_KEYS.find((key) => key === sort);
  const intervalMs = Number(interval) * 1000;
  if (by === undefined) {
    io.stderr.write(`wvs: --sort ${sort}: expected one of ${SORT_KEYS.join(', ')}\n`);
    return EXIT_USAGE;
  }
  if (!(intervalMs >= INTERVAL_MIN_MS && intervalMs <= INTERVAL_MAX_MS)) {
    const [least, most] = [INTERVAL_MIN_MS / 1000, INTERVAL_MAX_MS / 1000];
    io.stderr.write(`wvs: --interval ${interval}: expected seconds from ${least} to ${most}\n`);
    return EXIT_USAGE;
  }
  const socket = socketPath(input, io);
  const order: Order = { by, isReversed: false };
  const options: TopOptions = {
    ask: (signal) => askDirector(socket, 'status', undefined, { signal }),
    order,
    intervalMs,
  };
  const isInteractive = io.stdout.isTTY === true && 'setRawMode' in io.stdin;
  if (once || !isInteractive) {
    io.stdout.write(await topOnce(options, io.stdout.columns));
    return EXIT_OK;
  }
  const streams = { input: io.stdin as ReadStream, output: io.stdout as WriteStream };
  await runTop(options, streams);
  return EXIT_OK;
}
