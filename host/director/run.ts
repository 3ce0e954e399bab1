// `wvs run`: a director from its configuration file to its last signal.

import { ServiceManager } from '../appliance/service-manager.ts';
import { formatProblem, formatWarning } from '../config/problems.ts';
import { ReloadLoader } from '../config/reload-loader.ts';
import { createLogger, type Logger } from '../log.ts';
import { Director } from './director.ts';
import { sentenceOf } from './start-error.ts';

const EXIT_OK = 0;
const EXIT_FAILURE = 1;

/** What `wvs run` is given. */
export interface RunOptions {
  /** The configuration file. */
  readonly config: string;
  /** Where the reasons go when the director cannot start. */
  readonly stderr?: { write(text: string): unknown };
  readonly log?: Logger;
}

/** Runs a director until SIGTERM or SIGINT. @returns the exit code */
export async function runDirector(options: RunOptions): Promise<number> {
  const stderr = options.stderr ?? process.stderr;
  const loader = new ReloadLoader();
  const result = await loader.load(options.config);
  for (const warning of result.warnings) stderr.write(`${formatWarning(warning)}\n`);
  if (!result.ok) {
    for (const problem of result.errors) stderr.write(`${formatProblem(problem)}\n`);
    await loader.close();
    return EXIT_FAILURE;
  }
  const log = options.log ?? createLogger();
  const signals = new Signals();
  try {
    const director = await Director.start(result.config, log, loader);
    await serve(director, signals, log);
    return EXIT_OK;
  } catch (error) {
    stderr.write(`wvs: ${sentenceOf(error)}\n`);
    return EXIT_FAILURE;
  } finally {
    signals.close();
  }
}

async function serve(director: Director, signals: Signals, log: Logger): Promise<void> {
  const manager = new ServiceManager({
    onError: (error) => log.warn({ event: 'not-notified', reason: sentenceOf(error) }),
  });
  manager.ready(`process ${process.pid}, packets flow`, () => director.isAlive());
  signals.onReload(async () => {
    manager.reloading();
    await director.reloadAndLog();
    manager.reloaded(`process ${process.pid}, packets flow`);
  });
  const signal = await signals.stop;
  manager.stopping();
  log.info({ event: 'stopping', signal }, `stopping on ${signal}`);
  await director.stop();
  log.info({ event: 'stopped' }, 'stopped');
}

/** The signals a director listens to, from before it starts, so that none is lost. */
class Signals {
  readonly stop: Promise<NodeJS.Signals>;
  readonly #handlers = new Map<NodeJS.Signals, (signal: NodeJS.Signals) => void>();
  #reload: () => unknown = () => undefined;

  constructor() {
    this.stop = new Promise((resolve) => {
      this.#listen('SIGTERM', resolve);
      this.#listen('SIGINT', resolve);
    });
    this.#listen('SIGHUP', () => this.#reload());
  }

  onReload(reload: () => unknown): void {
    this.#reload = reload;
  }

  close(): void {
    for (const [signal, handler] of this.#handlers) process.off(signal, handler);
  }

  #listen(signal: NodeJS.Signals, handler: (signal: NodeJS.Signals) => void): void {
    this.#handlers.set(signal, handler);
    process.on(signal, handler);
  }
}
