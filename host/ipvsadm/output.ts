import { EXIT_REFUSED, Exit } from './exit.ts';

/** One of the two streams of a command. */
export type Stream = 'stdout' | 'stderr';

/** Text that a command wrote, in the order it was written. */
export interface Write {
  readonly stream: Stream;
  readonly text: string;
}

/** What the C library gathers before it writes to a pipe. */
const PIPE_BUFFER_BYTES = 4096;

/** Collects what a run of ipvsadm writes to its two streams. */
export class Output {
  readonly writes: Write[] = [];

  /** Appends to standard output, without a line end. */
  print(text: string): void {
    this.#append('stdout', text);
  }

  /** Writes a line to standard error. */
  complain(line: string): void {
    this.#append('stderr', `${line}\n`);
  }

  /** Says why the command line is refused, and ends the run. */
  fail(line: string): never {
    this.complain(line);
    throw new Exit(EXIT_REFUSED);
  }

  /** All that was written to one stream. */
  text(stream: Stream): string {
    return this.writes
      .filter((write) => write.stream === stream)
      .map((write) => write.text)
      .join('');
  }

  #append(stream: Stream, text: string): void {
    if (text !== '') this.writes.push({ stream, text });
  }
}

/**
 * What a reader of one pipe sees that both streams lead to. Standard error is not buffered and
 * standard output is, so errors come before the listings that were printed ahead of them. The
 * recordings of ipvsadm were made through such a pipe.
 */
export function throughPipe(writes: readonly Write[]): string {
  let seen = '';
  let buffered = '';
  for (const { stream, text } of writes) {
    if (stream === 'stderr') {
      seen += text;
      continue;
    }
    buffered += text;
    while (buffered.length > PIPE_BUFFER_BYTES) {
      seen += buffered.slice(0, PIPE_BUFFER_BYTES);
      buffered = buffered.slice(PIPE_BUFFER_BYTES);
    }
  }
  return seen + buffered;
}
