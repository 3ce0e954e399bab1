// SMTP (RFC 5321): the server greets, takes our HELO, and says goodbye.

import { hostname } from 'node:os';
import { attempt } from './attempt.ts';
import type { CheckOf, Probe, ProbeTarget } from './probe.ts';
import { openSocket } from './probe-tcp.ts';

/** A server that says more than this in one answer is no mail server. */
const ANSWER_BYTES_MAX = 16 * 1024;

/** What is said, and which answer is waited for first. */
const STEPS = [
  { code: '220', what: 'the greeting' },
  { code: '250', what: 'the answer to HELO' },
  { code: '221', what: 'the answer to QUIT' },
] as const;

/** A probe that speaks as far as HELO. */
export function smtpProbe(target: ProbeTarget, check: CheckOf<'smtp'>): Probe {
  const commands = [`HELO ${check.helo ?? hostname()}\r\n`, 'QUIT\r\n'];
  return (signal, localPort) =>
    attempt({ timeout: check.timeout, signal }, (running) => {
      const socket = openSocket(target, { source: check.source, localPort }, running);
      let step = 0;
      let unread = '';
      socket.setEncoding('latin1');
      socket.once('connect', () => running.waitFor(STEPS[0].what));
      socket.on('data', (chunk: string) => {
        unread += chunk;
        if (unread.length > ANSWER_BYTES_MAX) {
          running.fail(`${STEPS[step]!.what} is longer than ${ANSWER_BYTES_MAX} bytes`);
        }
        for (let line = nextLine(); line !== undefined && !running.isOver; line = nextLine()) {
          take(line);
        }
      });
      socket.on('end', () => {
        // After HELO nothing more is needed: some servers hang up on QUIT.
        if (step === STEPS.length - 1) running.pass('closed after QUIT');
        else running.fail(`connection closed instead of ${STEPS[step]!.what}`);
      });
      function nextLine(): string | undefined {
        const end = unread.indexOf('\n');
        if (end < 0) return undefined;
        const line = unread.slice(0, end).trimEnd();
        unread = unread.slice(end + 1);
        return line;
      }
      function take(line: string): void {
        // `250-` goes on, `250 ` or `250` ends an answer.
        if (/^\d{3}-/.test(line)) return;
        const { code, what } = STEPS[step]!;
        if (line.slice(0, 3) !== code) {
          running.fail(`${what} is "${line.slice(0, 80)}", expected ${code}`);
          return;
        }
        if (step === STEPS.length - 1) {
          running.pass(line.slice(0, 80));
          return;
        }
        socket.write(commands[step]!);
        step++;
        running.waitFor(STEPS[step]!.what);
      }
    });
}
