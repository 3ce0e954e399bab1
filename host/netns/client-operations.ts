/** Runs one operation of the client program in the client's namespace, and returns its report. */
import { createInterface } from 'node:readline';

import type {
  DatagramLoad,
  DatagramReport,
  GreetingReport,
  RefusalReport,
  Target,
} from './client-datagrams.ts';
import type { HttpLoad, HttpReport, TransferReport, Transfers } from './client-http.ts';
import type { Namespace } from './namespaces.ts';
import { builtProgram, ProcessError } from './processes.ts';

const TIMEOUT_MS = 40_000;

export interface Operations {
  readonly http: { readonly request: HttpLoad; readonly report: HttpReport };
  readonly transfers: { readonly request: Transfers; readonly report: readonly TransferReport[] };
  readonly datagrams: { readonly request: DatagramLoad; readonly report: DatagramReport };
  readonly refusal: { readonly request: Target; readonly report: RefusalReport };
  readonly greeting: { readonly request: Target; readonly report: GreetingReport };
}

export interface OperationOptions {
  readonly timeout?: number;
  readonly onEvent?: (event: string) => void;
}

export function runClient<Name extends keyof Operations>(
  namespace: Namespace,
  [name, request]: readonly [Name, Operations[Name]['request']],
  options: OperationOptions = {},
): Promise<Operations[Name]['report']> {
  const { timeout = TIMEOUT_MS, onEvent } = options;
  const program = builtProgram('client.js');
  const child = namespace.spawn([process.execPath, program, name, JSON.stringify(request)]);
  return new Promise((resolve, reject) => {
    let report: Operations[Name]['report'] | undefined;
    let complaints = '';
    const timer = setTimeout(() => {
      complaints += `no report within ${timeout / 1000} s`;
      child.kill('SIGKILL');
    }, timeout);
    createInterface({ input: child.stdout }).on('line', (line) => {
      const message = JSON.parse(line) as { event?: string; report?: typeof report };
      if (message.event !== undefined) onEvent?.(message.event);
      report = message.report ?? report;
    });
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      complaints += text;
    });
    child.once('close', () => {
      clearTimeout(timer);
      if (report !== undefined) resolve(report);
      else reject(new ProcessError(`client ${name}: ${complaints || 'ended without a report'}`));
    });
  });
}
