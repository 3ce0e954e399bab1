// The frame around every probe: the timeout, the signal, the one result, and the cleaning up.

import { formatDuration } from '../config/duration.ts';
import { describeError, isOurFault, isPortTaken } from './describe-error.ts';
import type { ProbeResult } from './probe.ts';

/** What a pass may say of the server's weight. */
export type PassedWeight = Pick<ProbeResult, 'weight' | 'weightChange'>;

/** A try under way. Whatever happens after its result is ignored. */
export interface Attempt {
  /** True as soon as there is a result. */
  readonly isOver: boolean;
  pass(detail: string, weight?: PassedWeight): void;
  fail(detail: string): void;
  /** Fails for a reason that is ours, not the server's. */
  giveUp(detail: string): void;
  /** Fails with an error of Node's; it decides whose fault it is. */
  failWith(error: unknown): void;
  /** Says what is waited for from now on, for the sentence of a timeout. */
  waitFor(what: string): void;
  /** From now on the timeout is a pass: silence is what is wanted. */
  passAtTimeout(detail: string): void;
  /** Called once, when there is a result: destroys what the try has opened. */
  onEnd(clean: () => void): void;
}

/** How long a try may take, and what ends it early. */
export interface AttemptLimits {
  readonly timeout: number;
  readonly signal: AbortSignal;
}

/** Runs one try. Never rejects. */
export function attempt(
  { timeout, signal }: AttemptLimits,
  start: (attempt: Attempt) => void | Promise<void>,
): Promise<ProbeResult> {
  return new Promise((resolve) => {
    const startedAt = performance.now();
    const cleaners: (() => void)[] = [];
    let awaited = 'an answer';
    let silence: string | undefined;
    let isOver = false;
    const end = (result: Omit<ProbeResult, 'latencyMs'>) => {
      if (isOver) return;
      isOver = true;
      clearTimeout(timer);
      signal.removeEventListener('abort', onAbort);
      for (const clean of cleaners) cleanQuietly(clean);
      resolve({ ...result, latencyMs: performance.now() - startedAt });
    };
    const onAbort = () => end({ ok: false, isOurs: true, detail: 'stopped' });
    const timer = setTimeout(() => {
      if (silence !== undefined) end({ ok: true, detail: silence });
      end({ ok: false, detail: `timeout: waited ${formatDuration(timeout)} for ${awaited}` });
    }, timeout);
    const running: Attempt = {
      get isOver() {
        return isOver;
      },
      pass: (detail, weight) => end({ ok: true, detail, ...weight }),
      fail: (detail) => end({ ok: false, detail }),
      giveUp: (detail) => end({ ok: false, isOurs: true, detail }),
      failWith: (error) => {
        const detail = describeError(error);
        const fault = isOurFault(error) && { isOurs: true, isPortTaken: isPortTaken(error) };
        end({ ok: false, detail, ...fault });
      },
      waitFor: (what) => {
        awaited = what;
      },
      passAtTimeout: (detail) => {
        silence = detail;
      },
      onEnd: (clean) => {
        if (isOver) cleanQuietly(clean);
        else cleaners.push(clean);
      },
    };
    if (signal.aborted) {
      onAbort();
      return;
    }
    signal.addEventListener('abort', onAbort);
    startQuietly(start, running);
  });
}

function startQuietly(start: (attempt: Attempt) => void | Promise<void>, running: Attempt): void {
  try {
    const promise = start(running);
    promise?.catch((error: unknown) => running.failWith(error));
  } catch (error) {
    running.failWith(error);
  }
}

/** What cannot be closed is closed already. */
function cleanQuietly(clean: () => void): void {
  try {
    clean();
  } catch {
    // The result stands, whatever a socket thinks of being destroyed.
  }
}
