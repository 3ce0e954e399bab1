import { exitCodeOf } from './exit.ts';
import { formatOf } from './format.ts';
import type { FullNatControl } from './full-nat-control.ts';
import { listServices } from './list-services.ts';
import { Output, type Write } from './output.ts';
import { processCommandLine } from './process.ts';
import type { Resolver } from './resolver.ts';

/** What a run of ipvsadm has besides its arguments and the director. */
export interface IpvsadmSurroundings {
  /** What -R reads. */
  readonly stdin: string;
  readonly resolver: Resolver;
}

/** How a run of ipvsadm ended. */
export interface IpvsadmRun {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
  /** Both streams in the order of writing; throughPipe() makes one text of it. */
  readonly writes: readonly Write[];
}

/**
 * ipvsadm 1.31: runs one command line, without the program's name, against the control interface.
 * Prints what ipvsadm prints and returns its exit code. Does not wait for anything, and throws
 * only what the control interface throws besides an IpvsError.
 */
export function ipvsadm(
  args: readonly string[],
  control: FullNatControl,
  { stdin, resolver }: IpvsadmSurroundings,
): IpvsadmRun {
  const output = new Output();
  const context = { control, resolver, output, stdin, isRestoring: false };
  const code = exitCodeOf(() => {
    if (args.length > 0) return processCommandLine(args, context);
    listServices(context, formatOf(new Set(), false));
    return 0;
  });
  return {
    code,
    stdout: output.text('stdout'),
    stderr: output.text('stderr'),
    writes: output.writes,
  };
}
