// The terminal that `wvs top` draws on: its alternate screen, without cursor and echo, and given
// back as it was however the program ends.

import type { ReadStream, WriteStream } from 'node:tty';

const ENTER = '\x1b[?1049h\x1b[?25l\x1b[?7l';
const LEAVE = '\x1b[?7h\x1b[?25h\x1b[?1049l';
const HOME = '\x1b[H';
const CLEAR_LINE = '\x1b[K';
const CLEAR_ALL = '\x1b[2J';

/** What happens on the terminal. */
export interface TerminalEvents {
  readonly onKeys: (text: string) => void;
  readonly onResize: () => void;
  /** It is ours again after it was given away. */
  readonly onResume: () => void;
  /** A signal, or nobody reads any more. */
  readonly onEnd: () => void;
}

/** The terminal, ours between enter() and leave(). */
export class Terminal {
  readonly #input: ReadStream;
  readonly #output: WriteStream;
  readonly #events: TerminalEvents;
  #isOurs = false;
  readonly #leaveAtExit = () => this.#giveBack();
  readonly #onInput = (data: Buffer | string) => this.#events.onKeys(String(data));
  readonly #onResize = () => this.#events.onResize();
  readonly #onEnd = () => this.#events.onEnd();
  readonly #onContinue = () => this.#resume();

  constructor(input: ReadStream, output: WriteStream, events: TerminalEvents) {
    this.#input = input;
    this.#output = output;
    this.#events = events;
  }

  get columns(): number {
    return this.#output.columns;
  }

  get rows(): number {
    return this.#output.rows;
  }

  /** Takes the terminal. */
  enter(): void {
    this.#take();
    this.#input.on('data', this.#onInput);
    this.#input.once('end', this.#onEnd);
    this.#output.on('resize', this.#onResize);
    this.#output.on('error', this.#onEnd);
    for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) process.on(signal, this.#onEnd);
    process.on('SIGCONT', this.#onContinue);
    process.on('exit', this.#leaveAtExit);
  }

  /** Gives it back as it was. */
  leave(): void {
    this.#giveBack();
    this.#input.off('data', this.#onInput);
    this.#input.off('end', this.#onEnd);
    this.#output.off('resize', this.#onResize);
    this.#output.off('error', this.#onEnd);
    for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) process.off(signal, this.#onEnd);
    process.off('SIGCONT', this.#onContinue);
    process.off('exit', this.#leaveAtExit);
    this.#input.pause();
  }

  /** Shows lines from the top; what was below is cleared. */
  draw(lines: readonly string[]): void {
    if (!this.#isOurs) return;
    const blank = new Array<string>(Math.max(0, this.rows - lines.length)).fill('');
    // Cleared before it is written: behind a full line the cursor stands on its last character.
    const text = [...lines, ...blank].map((line) => CLEAR_LINE + line).join('\r\n');
    this.#output.write(HOME + text);
  }

  /** Forgets what is shown, for what somebody else has written over it. */
  clear(): void {
    if (this.#isOurs) this.#output.write(CLEAR_ALL);
  }

  /** Gives the terminal to the shell until the user brings us back. */
  suspend(): void {
    this.#giveBack();
    process.kill(process.pid, 'SIGTSTP');
  }

  #resume(): void {
    this.#take();
    this.#events.onResume();
  }

  #take(): void {
    if (this.#isOurs) return;
    this.#isOurs = true;
    this.#input.setRawMode(true);
    this.#input.resume();
    this.#output.write(ENTER);
  }

  #giveBack(): void {
    if (!this.#isOurs) return;
    this.#isOurs = false;
    this.#output.write(LEAVE);
    this.#input.setRawMode(false);
  }
}
