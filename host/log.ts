/**
 * The director's log: the only file that knows pino's options. One line for each event an
 * operator cares about, as JSON for programs or, on a terminal, as text for people.
 */

import { type Logger, pino, stdTimeFunctions } from 'pino';

export type { Logger } from 'pino';

/** From the loudest to the quietest. */
export const LOG_LEVELS = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'] as const;

export type LogLevel = (typeof LOG_LEVELS)[number];

/** How to log. */
export interface LogOptions {
  /** Default: the environment's WVS_LOG_LEVEL, or else info. */
  readonly level?: LogLevel;
  /** `json` for programs, `text` for people. Default: text on a terminal, otherwise json. */
  readonly format?: 'json' | 'text';
  /** Fields of every line. */
  readonly fields?: Readonly<Record<string, unknown>>;
  /** Where JSON goes instead of stdout. */
  readonly destination?: { write(line: string): void };
}

/** Makes the logger of a process. It writes to stdout. */
export function createLogger(options: LogOptions = {}): Logger {
  const format = options.format ?? (process.stdout.isTTY ? 'text' : 'json');
  const common = {
    level: options.level ?? levelFromEnvironment(process.env),
    // Host name and process id are what journald and containers add anyway.
    base: { ...options.fields },
    timestamp: stdTimeFunctions.isoTime,
    formatters: { level: (label: string) => ({ level: label }) },
  };
  if (options.destination !== undefined) return pino(common, options.destination);
  if (format === 'json') return pino(common);
  // With a transport in another thread pino formats the level itself.
  const { formatters: _, ...withoutFormatters } = common;
  return pino({
    ...withoutFormatters,
    transport: {
      target: 'pino-pretty',
      options: { translateTime: 'SYS:HH:MM:ss.l', ignore: 'pid,hostname' },
    },
  });
}

/** The level WVS_LOG_LEVEL asks for; a word that is no level counts as info. */
export function levelFromEnvironment(environment: NodeJS.ProcessEnv): LogLevel {
  const wanted = environment.WVS_LOG_LEVEL;
  return LOG_LEVELS.find((level) => level === wanted) ?? 'info';
}
