// `wvs top`: asks the director again and again and draws what it says.

import type { ReadStream, WriteStream } from 'node:tty';
import type { DirectorStatus } from '../control/api.ts';
import { type Action, actOn, splitKeys } from './keys.ts';
import { createModel, type Order, type Sample } from './model.ts';
import { renderTop, type Screen, type View } from './render.ts';
import { Terminal } from './terminal.ts';

/** Bounds of the time between two looks. */
export const INTERVAL_MIN_MS = 250;
export const INTERVAL_MAX_MS = 60_000;
/** How long one look is when there is only one. */
const ONCE_MS = 1_000;
const ONCE_COLUMNS = 120;

/** Asks the director for its status. */
export type AskStatus = (signal: AbortSignal) => Promise<DirectorStatus>;

/** How to look. */
export interface TopOptions {
  readonly ask: AskStatus;
  readonly order: Order;
  readonly intervalMs: number;
}

/** One frame as text: two looks, a second apart, so that there are rates. */
export async function topOnce(
  { ask, order }: TopOptions,
  columns: number = ONCE_COLUMNS,
): Promise<string> {
  const { signal } = new AbortController();
  const before = await takeSample(ask, signal);
  await new Promise((resolve) => setTimeout(resolve, ONCE_MS));
  const model = createModel(await takeSample(ask, signal), before, order);
  const screen: Screen = { columns, rows: undefined, hasColours: false };
  const [head, , ...rest] = renderTop(model, initialView(order), screen).lines;
  return `${[head, '', ...rest].map((line) => line?.trimEnd()).join('\n')}\n`;
}

/** Draws until the user quits. Rejects when the director does not answer at all. */
export async function runTop(
  options: TopOptions,
  streams: { readonly input: ReadStream; readonly output: WriteStream },
): Promise<void> {
  const abort = new AbortController();
  const first = await takeSample(options.ask, abort.signal);
  const live = new LiveTop(options, streams, { first, abort });
  await live.run();
}

async function takeSample(ask: AskStatus, signal: AbortSignal): Promise<Sample> {
  const status = await ask(signal);
  return { atMs: performance.now(), status };
}

function initialView(order: Order): View {
  return {
    order,
    showsServers: true,
    scroll: 0,
    showsHelp: false,
    isPaused: false,
    message: undefined,
  };
}

class LiveTop {
  readonly #ask: AskStatus;
  readonly #abort: AbortController;
  readonly #terminal: Terminal;
  #intervalMs: number;
  #view: View;
  #now: Sample;
  #before: Sample | undefined;
  #scrollMax = 0;
  #timer: NodeJS.Timeout | undefined;
  #quit: () => void = () => undefined;

  constructor(
    { ask, order, intervalMs }: TopOptions,
    { input, output }: { readonly input: ReadStream; readonly output: WriteStream },
    { first, abort }: { readonly first: Sample; readonly abort: AbortController },
  ) {
    this.#ask = ask;
    this.#abort = abort;
    this.#intervalMs = intervalMs;
    this.#view = initialView(order);
    this.#now = first;
    this.#terminal = new Terminal(input, output, {
      onKeys: (text) => this.#onKeys(text),
      onResize: () => this.#redraw(),
      onResume: () => this.#redraw(),
      onEnd: () => this.#quit(),
    });
  }

  async run(): Promise<void> {
    const quit = new Promise<void>((resolve) => {
      this.#quit = resolve;
    });
    this.#terminal.enter();
    try {
      this.#draw();
      this.#schedule(INTERVAL_MIN_MS);
      await quit;
    } finally {
      clearTimeout(this.#timer);
      this.#abort.abort();
      this.#terminal.leave();
    }
  }

  #schedule(milliseconds = this.#intervalMs): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => void this.#look(), milliseconds);
  }

  async #look(): Promise<void> {
    if (!this.#view.isPaused) {
      try {
        const sample = await takeSample(this.#ask, this.#abort.signal);
        this.#before = this.#now;
        this.#now = sample;
        this.#view = { ...this.#view, message: undefined };
      } catch (error) {
        // It may be being restarted: the last frame stays, and says how old it is.
        if (this.#abort.signal.aborted) return;
        const message = error instanceof Error ? error.message : String(error);
        this.#view = { ...this.#view, message };
      }
      this.#draw();
    }
    this.#schedule();
  }

  #onKeys(text: string): void {
    for (const key of splitKeys(text)) {
      const range = { max: this.#scrollMax, page: Math.max(1, this.#terminal.rows >>> 1) };
      const action = actOn(key, this.#view, range);
      if (action !== undefined) this.#act(action);
    }
  }

  #act(action: Action): void {
    switch (action.kind) {
      case 'quit':
        this.#quit();
        return;
      case 'suspend':
        this.#terminal.suspend();
        return;
      case 'redraw':
        this.#redraw();
        return;
      case 'interval': {
        const wanted = this.#intervalMs * action.factor;
        this.#intervalMs = Math.min(INTERVAL_MAX_MS, Math.max(INTERVAL_MIN_MS, wanted));
        this.#schedule();
        return;
      }
      case 'view':
        this.#view = action.view;
        this.#draw();
        return;
    }
  }

  #redraw(): void {
    this.#terminal.clear();
    this.#draw();
  }

  #draw(): void {
    const { columns, rows } = this.#terminal;
    const model = createModel(this.#now, this.#before, this.#view.order);
    const frame = renderTop(model, this.#view, { columns, rows, hasColours: true });
    this.#scrollMax = frame.scrollMax;
    this.#terminal.draw(frame.lines);
  }
}
