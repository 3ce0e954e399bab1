import { text } from 'node:stream/consumers';
import { DEFAULT_SOCKET } from '../control/api.ts';
import { askDirector, ControlClientError } from '../control/client.ts';
import { exitCodeOf } from './exit.ts';
import { Output, type Write } from './output.ts';
import { commandOf, isQuestion, parseCommand } from './parse.ts';
import { OfflineResolver } from './resolver.ts';

const EXIT_NO_DIRECTOR = 1;

/**
 * `wvs ipvsadm ARGS...`: has the director at `socket` run ipvsadm, prints what it printed and
 * returns its exit code. Help and version need no director; standard input is read for -R only.
 */
export async function ipvsadmMain(
  args: readonly string[],
  socket: string = process.env.WVS_SOCKET ?? DEFAULT_SOCKET,
): Promise<number> {
  if (isQuestion(args)) {
    const output = new Output();
    const resolver = new OfflineResolver();
    const code = exitCodeOf(() => Number(parseCommand(args, { output, resolver }) === undefined));
    print(output.writes);
    return code;
  }
  const stdin = commandOf(args) === 'restore' ? await text(process.stdin) : '';
  try {
    const result = await askDirector(socket, 'ipvsadm', { arguments: args, stdin });
    // A director of another version may not say in which order it wrote.
    const { writes } = result as { writes?: readonly Write[] };
    print(
      writes ?? [
        { stream: 'stdout', text: result.stdout },
        { stream: 'stderr', text: result.stderr },
      ],
    );
    return result.code;
  } catch (error) {
    if (!(error instanceof ControlClientError)) throw error;
    process.stderr.write(`ipvsadm: ${error.message}\n`);
    return EXIT_NO_DIRECTOR;
  }
}

function print(writes: readonly Write[]): void {
  for (const { stream, text: written } of writes) process[stream].write(written);
}
